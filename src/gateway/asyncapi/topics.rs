//! What lies in each topic.

use schemars::JsonSchema as _;
use serde_json::{Value, json};
use tallybook_events::command::CommandType;
use tallybook_events::customer::CustomerDocument;
use tallybook_events::{schemas, versions};
use tallybook_projections::told::CustomerPeriod;

use super::{Message, Shape, Topic, headers, of_json};

/// Members that a command must have in the topic, where nothing else says them.
const ASKED_IN_TOPIC: [&str; 3] = ["command_id", "tenant", "environment"];
/// Events about registrars: no part of any customer's history, so they are not published.
const ABOUT_REGISTRARS: [&str; 6] =
    ["KeyClaimed", "KeyReleased", "PledgeClaimed", "PledgeReleased", "EdgeClaimed", "EdgeReleased"];
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

pub(super) fn commands(asked: &mut Shape) -> Topic {
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

pub(super) fn journal(recorded: &mut Shape) -> Topic {
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

pub(super) fn events(written: &mut Shape) -> Topic {
    let messages = versions::ALL
        .iter()
        .filter(|version| {
            let name = version.name.split_once('.').map_or(version.name, |(name, _)| name);
            !ABOUT_REGISTRARS.contains(&name)
        })
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

pub(super) fn customers(written: &mut Shape) -> Topic {
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

pub(super) fn usage(written: &mut Shape) -> Topic {
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

pub(super) fn keys() -> Topic {
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
    let journal = json!({
        "type": "object",
        "description": "Which journal the topics belong to: what `topics check` compares with.",
        "properties": {
            "cluster_id": {"type": "string", "description": "Id of the cluster."},
            "partitions": {"type": "integer", "minimum": 1},
            "first": {"type": "object", "description": "What each partition began with."},
        },
        "required": ["cluster_id", "partitions", "first"],
    });
    let says = "A key was made, rotated or revoked.";
    let which = "Which journal the topics belong to; its key is `#journal`.";
    Topic {
        name: "keys",
        title: "API keys",
        says: "API keys, for Tallybook's own use: nobody else reads or writes it.",
        key: "The id of the key, and which change it is.",
        compacted: true,
        read: false,
        messages: vec![
            of_json("KeyChange", says, headers(&[]), change),
            of_json("JournalIdentity", which, headers(&[]), journal),
        ],
    }
}

pub(super) fn dead_letters() -> Topic {
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

/// Gives the headers of what is published but for events.
fn published_headers(has_value: bool) -> Value {
    let content = [("content-type", "What the value is: application/json.", true)];
    let position = [("tallybook-position", POSITION, true)];
    let content = if has_value { &content[..] } else { &[] };
    headers(&[content, &position].concat())
}
