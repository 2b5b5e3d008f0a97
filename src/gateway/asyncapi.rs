//! All our topics on Kafka as an `AsyncAPI` 3.0 document, made of the same types as the JSON Schemas and
//! the `OpenAPI` documents.
//!
//! One type may have three shapes: as it is asked (closed: what we do not know is refused), as it lies in
//! the journal, and as it is published (both open: a reader must let members be that it does not know).
//! So definitions have a suffix: `Asked`, `Recorded` or none.

use std::collections::BTreeMap;

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};
use tallybook_events::command::CommandType;
use tallybook_events::customer::CustomerDocument;
use tallybook_events::{schemas, versions};
use tallybook_projections::told::CustomerPeriod;

/// Where the definitions of schemas are.
const SCHEMAS: &str = "/components/schemas";
/// What a reference to one of them begins with.
const REFERENCE: &str = "#/components/schemas/";
/// Members that a command must have in the topic, where nothing else says them.
const ASKED_IN_TOPIC: [&str; 3] = ["command_id", "tenant", "environment"];
/// Headers of an event, and whether each is always there.
const EVENT_HEADERS: [(&str, &str, bool); 18] = [
    ("ce_specversion", "Version of CloudEvents: 1.0.", true),
    (
        "ce_id",
        "Place in the journal: `{partition}-{seq}-{index}`. The same event has the same id.",
        true,
    ),
    ("ce_source", "`/tallybook/{tenant}/{environment}`.", true),
    ("ce_type", "Type of the event, with its version.", true),
    ("ce_time", "When it was decided.", true),
    ("ce_subject", "The customer's id.", true),
    ("ce_dataschema", "Id of the value's schema; `tallybook schemas` prints it.", true),
    ("ce_partitionkey", "The customer's id.", true),
    ("ce_tenant", "Tenant of the customer.", true),
    ("ce_environment", "Environment of the customer.", true),
    ("ce_customerversion", "Version of the customer after the event.", true),
    ("ce_commandid", "The command that it came from.", true),
    ("ce_actor", "Who asked.", true),
    ("ce_correlationid", "The caller's word for all that belongs together.", false),
    ("ce_causationid", "What caused the command.", false),
    ("ce_traceparent", "W3C trace context.", false),
    ("content-type", "What the value is: application/json.", true),
    ("tallybook-position", POSITION, true),
];
/// Headers of a dead letter.
const DEAD_LETTER_HEADERS: [(&str, &str, bool); 3] = [
    ("reason", "Why it is no command.", true),
    ("source_partition", "Its partition in the topic of commands.", true),
    ("source_offset", "Its offset there.", true),
];
/// Headers of a command.
const COMMAND_HEADERS: [(&str, &str, bool); 1] =
    [("traceparent", "W3C trace context, where Tallybook itself sent it.", false)];
/// What the header of every published record says.
const POSITION: &str =
    "Where in the journal it comes from: JSON with `offset`, `term`, `seq` and `head`.";

/// A topic while it is described.
struct Topic {
    name: &'static str,
    title: &'static str,
    says: &'static str,
    /// What the keys of its records are.
    key: &'static str,
    compacted: bool,
    /// Whether we read it; the others we write.
    read: bool,
    messages: Vec<Message>,
}

/// A kind of records.
struct Message {
    name: String,
    title: String,
    content_type: &'static str,
    headers: Value,
    payload: Value,
}

/// The definitions of one shape.
struct Shape {
    generator: SchemaGenerator,
    suffix: &'static str,
    is_open: bool,
}

impl Shape {
    fn new(settings: SchemaSettings, suffix: &'static str, is_open: bool) -> Self {
        let settings = settings.with(|settings| settings.definitions_path = SCHEMAS.into());
        Self { generator: settings.into_generator(), suffix, is_open }
    }

    /// Gives a schema as part of the document.
    fn part(&mut self, mut schema: Schema) -> Value {
        if self.is_open {
            schemas::let_unknown_be(&mut schema);
        }
        for transform in self.generator.transforms_mut() {
            transform.transform(&mut schema);
        }
        self.pointed(schema.to_value())
    }

    /// Gives the definitions that its parts name.
    fn definitions(mut self) -> Map<String, Value> {
        let definitions = self.generator.take_definitions(true);
        let named = definitions.into_iter().map(|(name, definition)| {
            let mut schema = Schema::try_from(definition).expect("schemars defines schemas");
            if self.is_open {
                schemas::let_unknown_be(&mut schema);
            }
            (name + self.suffix, self.pointed(schema.to_value()))
        });
        named.collect()
    }

    /// Makes references point at the definitions of this shape.
    fn pointed(&self, mut value: Value) -> Value {
        point(&mut value, self.suffix);
        value
    }
}

fn point(value: &mut Value, suffix: &str) {
    match value {
        Value::Object(members) => {
            for (member, value) in members {
                if let (true, Value::String(text)) = (member == "$ref", &mut *value) {
                    if text.starts_with(REFERENCE) {
                        text.push_str(suffix);
                    }
                } else {
                    point(value, suffix);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| point(item, suffix)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Gives the document.
pub fn asyncapi() -> Value {
    let draft = SchemaSettings::draft07;
    let mut asked = Shape::new(draft().for_deserialize(), "Asked", false);
    let mut recorded = Shape::new(draft().for_deserialize(), "Recorded", true);
    let mut written = Shape::new(draft().for_serialize(), "", true);
    let topics = [
        commands(&mut asked),
        journal(&mut recorded),
        events(&mut written),
        customers(&mut written),
        usage(&mut written),
        keys(),
        dead_letters(),
    ];
    let mut definitions = written.definitions();
    definitions.extend(recorded.definitions());
    definitions.extend(asked.definitions());
    let each = |part: fn(&Topic) -> Value| -> BTreeMap<&str, Value> {
        topics.iter().map(|topic| (topic.name, part(topic))).collect()
    };
    let operations: BTreeMap<String, Value> = topics.iter().map(operation).collect();
    let messages: BTreeMap<&str, Value> = topics
        .iter()
        .flat_map(|topic| topic.messages.iter().map(|one| (one.name.as_str(), message(topic, one))))
        .collect();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tallybook: topics",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "All topics of Tallybook on Apache Kafka. What it publishes is written in \
                transactions: read it at isolation.level=read_committed, and each record is there once, \
                in order within its partition.",
            "license": {"name": "Apache 2.0"},
        },
        "defaultContentType": "application/json",
        "channels": each(channel),
        "operations": operations,
        "components": {"messages": messages, "schemas": definitions},
    })
}

fn channel(topic: &Topic) -> Value {
    let refer = |one: &Message| json!({"$ref": format!("#/components/messages/{}", one.name)});
    let messages = topic.messages.iter().map(|one| (one.name.as_str(), refer(one)));
    let cleanup = if topic.compacted { "compact" } else { "delete" };
    json!({
        "address": format!("{{prefix}}.{}", topic.name),
        "title": topic.title,
        "description": topic.says,
        "parameters": {"prefix": {
            "description": "What the names of the topics begin with (--kafka-prefix).",
            "default": "tallybook",
        }},
        "messages": messages.collect::<BTreeMap<_, _>>(),
        "bindings": {"kafka": {
            "topicConfiguration": {"cleanup.policy": [cleanup]},
            "bindingVersion": "0.5.0",
        }},
    })
}

fn operation(topic: &Topic) -> (String, Value) {
    let (action, verb) = if topic.read { ("receive", "read") } else { ("send", "write") };
    let refer =
        |one: &Message| json!({"$ref": format!("#/channels/{}/messages/{}", topic.name, one.name)});
    let described = json!({
        "action": action,
        "channel": {"$ref": format!("#/channels/{}", topic.name)},
        "title": topic.title,
        "messages": topic.messages.iter().map(refer).collect::<Value>(),
    });
    (format!("{verb}-{}", topic.name), described)
}

fn message(topic: &Topic, one: &Message) -> Value {
    json!({
        "name": one.name,
        "title": one.title,
        "contentType": one.content_type,
        "headers": one.headers,
        "payload": one.payload,
        "bindings": {"kafka": {
            "key": {"type": "string", "description": topic.key},
            "bindingVersion": "0.5.0",
        }},
    })
}

/// Makes a message of JSON.
fn of_json(name: &str, title: &str, headers: Value, payload: Value) -> Message {
    let (name, title) = (name.to_owned(), title.to_owned());
    Message { name, title, content_type: "application/json", headers, payload }
}

/// Gives the schema of headers: name, what it says, and whether it is always there.
fn headers(all: &[(&str, &str, bool)]) -> Value {
    let properties: Map<String, Value> = all
        .iter()
        .map(|(name, says, _)| ((*name).to_owned(), json!({"type": "string", "description": says})))
        .collect();
    let required: Vec<&str> =
        all.iter().filter(|(.., always)| *always).map(|(name, ..)| *name).collect();
    json!({"type": "object", "properties": properties, "required": required})
}

/// Gives the headers of what is published but for events.
fn published_headers(has_value: bool) -> Value {
    let content = [("content-type", "What the value is: application/json.", true)];
    let position = [("tallybook-position", POSITION, true)];
    let content = if has_value { &content[..] } else { &[] };
    headers(&[content, &position].concat())
}

fn commands(asked: &mut Shape) -> Topic {
    let mut messages = Vec::new();
    for kind in CommandType::ALL {
        let mut schema = schemas::asked(kind, &mut asked.generator);
        for member in ASKED_IN_TOPIC {
            schemas::require(&mut schema, member);
        }
        let says = schema.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
        messages.push(of_json(kind.as_str(), &says, headers(&COMMAND_HEADERS), asked.part(schema)));
    }
    Topic {
        name: "commands",
        title: "Commands",
        says: "What is asked. Any program may put commands here. What is no command becomes a dead \
               letter.",
        key: "The customer's id, best; a command on another partition is forwarded.",
        compacted: false,
        read: true,
        messages,
    }
}

fn journal(recorded: &mut Shape) -> Topic {
    let titles = ["What was decided, with all its events.", "An owner of the partition begins."];
    let parts = schemas::recorded(&mut recorded.generator);
    let messages = parts
        .into_iter()
        .zip(titles)
        .map(|((name, schema), title)| of_json(name, title, headers(&[]), recorded.part(schema)))
        .collect();
    Topic {
        name: "journal",
        title: "The journal",
        says: "The only source of truth. Not every record counts: judge them by the chain (`term`, \
               `seq`, `prev`), or read what is published.",
        key: "None.",
        compacted: false,
        read: false,
        messages,
    }
}

fn events(written: &mut Shape) -> Topic {
    let messages = versions::ALL
        .iter()
        // About the slot of a key: no part of any customer's history.
        .filter(|version| !["KeyClaimed.v1", "KeyReleased.v1"].contains(&version.name))
        .map(|version| {
            let schema = schemas::happened(version, &mut written.generator);
            let says = schema.get("description").and_then(Value::as_str).unwrap_or_default();
            let says = says.to_owned();
            of_json(version.name, &says, headers(&EVENT_HEADERS), written.part(schema))
        })
        .collect();
    Topic {
        name: "events",
        title: "Events",
        says: "Every event by itself: a CloudEvent 1.0 in the binary mode of its Kafka binding.",
        key: "The customer's id.",
        compacted: false,
        read: false,
        messages,
    }
}

fn customers(written: &mut Shape) -> Topic {
    let schema = CustomerDocument::json_schema(&mut written.generator);
    let says = "A customer as it stands; the current period is that of its last event.";
    let standing = of_json("Customer", says, published_headers(true), written.part(schema));
    let gone = of_json(
        "CustomerGone",
        "The customer is archived: a record without a value.",
        published_headers(false),
        json!({"type": "null"}),
    );
    Topic {
        name: "customers",
        title: "Customers",
        says: "Every customer that is not archived, as it stands.",
        key: "The customer's id.",
        compacted: true,
        read: false,
        messages: vec![standing, gone],
    }
}

fn usage(written: &mut Shape) -> Topic {
    let schema = CustomerPeriod::json_schema(&mut written.generator);
    let says = "What a customer used in one period.";
    let standing = of_json("CustomerPeriod", says, published_headers(true), written.part(schema));
    let gone = of_json(
        "CustomerPeriodGone",
        "There is no such period any more: a record without a value.",
        published_headers(false),
        json!({"type": "null"}),
    );
    Topic {
        name: "usage",
        title: "Usage by period",
        says: "What every customer used in each period, as it stands.",
        key: "`{customer}/{kind}/{start}/{end}`.",
        compacted: true,
        read: false,
        messages: vec![standing, gone],
    }
}

fn keys() -> Topic {
    let change = json!({
        "type": "object",
        "description": "One change of one key. Only digests are kept, never what opens a key.",
        "properties": {
            "v": {"type": "integer", "const": 1},
            "id": {"type": "string", "description": "Id of the key."},
            "created": {"type": "object"},
            "rotated": {"type": "object"},
            "revoked": {"type": "object"},
        },
        "required": ["v", "id"],
        "oneOf": [
            {"required": ["created"]},
            {"required": ["rotated"]},
            {"required": ["revoked"]},
        ],
    });
    let says = "A key was made, rotated or revoked.";
    Topic {
        name: "keys",
        title: "API keys",
        says: "API keys, for Tallybook's own use: nobody else reads or writes it.",
        key: "The id of the key, and which change it is.",
        compacted: true,
        read: false,
        messages: vec![of_json("KeyChange", says, headers(&[]), change)],
    }
}

fn dead_letters() -> Topic {
    let letter = Message {
        name: "DeadLetter".to_owned(),
        title: "What was in the topic of commands and is no command, as it was.".to_owned(),
        content_type: "application/octet-stream",
        headers: headers(&DEAD_LETTER_HEADERS),
        payload: json!({"description": "The original bytes, whatever they are."}),
    };
    Topic {
        name: "dead-letters",
        title: "Dead letters",
        says: "What was in the topic of commands and is no command, with the reason.",
        key: "The key that it had.",
        compacted: false,
        read: false,
        messages: vec![letter],
    }
}
