//! All our topics on Kafka as an `AsyncAPI` 3.0 document, made of the same types as the JSON Schemas and
//! the `OpenAPI` documents.
//!
//! One type may have three shapes: as it is asked (closed: what we do not know is refused), as it lies in
//! the journal, and as it is published (both open: a reader must let members be that it does not know).
//! So definitions have a suffix: `Asked`, `Recorded` or none.

use std::collections::BTreeMap;

use schemars::Schema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};
use tallybook_events::schemas;

mod topics;

/// Where the definitions of schemas are.
const SCHEMAS: &str = "/components/schemas";
/// What a reference to one of them begins with.
const REFERENCE: &str = "#/components/schemas/";
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
        topics::commands(&mut asked),
        topics::journal(&mut recorded),
        topics::events(&mut written),
        topics::customers(&mut written),
        topics::usage(&mut written),
        topics::keys(),
        topics::dead_letters(),
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
