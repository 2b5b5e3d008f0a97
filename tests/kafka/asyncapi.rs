//! The document of our topics: it is `AsyncAPI` 3.0, and real records are as it says.

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};
use tallybook::kafka::Kafka;

use crate::common::node::Node;
use crate::common::{Client, run, tallybook};
use crate::publisher::{NONSENSE, Record, consumed};

/// Gives the document as it is printed.
fn printed() -> Value {
    let ran = run(tallybook().arg("asyncapi"));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    serde_json::from_str(&ran.stdout).expect("JSON")
}

fn validator(schema: &Value) -> Validator {
    jsonschema::options().with_draft(Draft::Draft7).build(schema).expect("a schema of draft 7")
}

/// Gives the official schema of documents.
fn official() -> Validator {
    let folder = "tests/kafka/asyncapi";
    let ran = run(&mut Node::with(folder).script(&format!("{folder}/schema.mjs")));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    validator(&serde_json::from_str(&ran.stdout).expect("JSON"))
}

fn faults(validator: &Validator, value: &Value) -> Vec<String> {
    let fault = |error: jsonschema::ValidationError<'_>| {
        format!("{} {error}", error.instance_path()).chars().take(500).collect()
    };
    validator.iter_errors(value).map(fault).collect()
}

/// Gives every reference of a value.
fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn the_document_keeps_to_the_official_schema_and_names_every_topic() {
    let official = official();
    let document = printed();
    assert_eq!(faults(&official, &document), Vec::<String>::new());
    let mut broken = document.clone();
    broken["channels"]["events"]["address"] = json!(1);
    assert_ne!(faults(&official, &broken), Vec::<String>::new(), "the check can fail");
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 100, "{}", found.len());
    for reference in found {
        let pointer = reference.strip_prefix('#').expect("within the document");
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    let channels = document["channels"].as_object().expect("channels");
    let topics = ["commands", "customers", "dead-letters", "events", "journal", "keys", "usage"];
    assert_eq!(channels.keys().collect::<Vec<_>>(), topics);
}

/// Checks that a server gives to anybody what is printed.
pub(crate) async fn is_served(server: &Client) {
    let nobody = Client::new(server.url(), None);
    assert_eq!(nobody.get("/asyncapi.json").await.expect(200), printed());
}

/// Gives the message of a topic that a record is.
fn message(topic: &str, record: &Record) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match topic {
        "commands" => text(&record.value()["type"]),
        "journal" if record.value()["claimed"].is_null() => "DecisionRecord.v1".to_owned(),
        "journal" => "ClaimRecord.v1".to_owned(),
        "events" => record.header("ce_type").to_owned(),
        "customers" if record.value.is_none() => "CustomerGone".to_owned(),
        "customers" => "Customer".to_owned(),
        "usage" if record.value.is_none() => "CustomerPeriodGone".to_owned(),
        "usage" => "CustomerPeriod".to_owned(),
        "keys" if record.key.as_deref() == Some("#journal") => "JournalIdentity".to_owned(),
        "keys" => "KeyChange".to_owned(),
        "dead-letters" => "DeadLetter".to_owned(),
        other => panic!("no topic is named {other}"),
    }
}

/// Checks that every record of the topics is as the document says, and gives which kinds there were.
pub(crate) fn records_are_as_it_says(kafka: &Kafka) -> Vec<String> {
    let document = printed();
    // Definitions stay where references look for them.
    let part = |message: &str, part: &str| {
        let mut schema = document.clone();
        let members = schema.as_object_mut().expect("an object");
        let pointer = format!("#/components/messages/{message}/{part}");
        members.insert("allOf".to_owned(), json!([{"$ref": pointer}]));
        validator(&schema)
    };
    let mut kinds = Vec::new();
    let channels = document["channels"].as_object().expect("channels");
    for (topic, channel) in channels {
        let mut validators = std::collections::BTreeMap::new();
        for record in consumed(kafka, topic) {
            // Anybody may put anything there: what is no command becomes a dead letter.
            if topic == "commands" && record.value.as_deref() == Some(NONSENSE) {
                continue;
            }
            let message = message(topic, &record);
            assert!(!channel["messages"][&message].is_null(), "{topic} has no {message}");
            let (payload, headers) = validators
                .entry(message.clone())
                .or_insert_with(|| (part(&message, "payload"), part(&message, "headers")));
            // A dead letter may be anything.
            if topic != "dead-letters" {
                let value = record.value.as_deref().map_or(Value::Null, |_| record.value());
                assert_eq!(faults(payload, &value), Vec::<String>::new(), "{topic} {record:?}");
                assert!(!payload.is_valid(&json!(["none of ours"])), "the check can fail");
            }
            let said: serde_json::Map<String, Value> =
                record.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
            assert_eq!(faults(headers, &said.into()), Vec::<String>::new(), "{topic} {record:?}");
        }
        kinds.extend(validators.into_keys());
    }
    kinds.sort_unstable();
    kinds
}
