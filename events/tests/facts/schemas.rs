//! What is published is what is written: the schemas in `events/schemas/` are those of the code, and
//! everything stored and everything written is valid under them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::LazyLock;

use serde_json::{Value, json};
use tallybook_events::command::CommandType;
use tallybook_events::decision::RejectionCode;
use tallybook_events::{schemas, versions};

use crate::{examples, golden};

/// Gives the check of one schema.
pub(crate) fn validator(name: &str) -> jsonschema::Validator {
    let schema = all().remove(name).unwrap_or_else(|| panic!("there is no schema {name}"));
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .should_validate_formats(true)
        .build(&schema)
        .expect("a schema that can be compiled")
}

fn all() -> BTreeMap<&'static str, Value> {
    schemas::all().into_iter().map(|(name, schema)| (name, schema.to_value())).collect()
}

/// Checks a value and says where it does not fit.
pub(crate) fn check(name: &str, value: &Value) {
    // Making a check takes long: each is made once.
    static CHECKS: LazyLock<BTreeMap<&'static str, jsonschema::Validator>> =
        LazyLock::new(|| all().keys().map(|name| (*name, validator(name))).collect());
    let check = CHECKS.get(name).unwrap_or_else(|| panic!("there is no schema {name}"));
    let faults: Vec<String> = check
        .iter_errors(value)
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect();
    assert_eq!(faults, Vec::<String>::new(), "{name} {value}");
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn the_stored_schemas_are_those_of_the_code() {
    const AGAIN: &str = "write them again with `cargo run -- schemas --dir events/schemas`";
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let stored: BTreeSet<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let expected: BTreeSet<String> = all().keys().map(|name| format!("{name}.json")).collect();
    assert_eq!(stored, expected, "{AGAIN}");
    for (name, schema) in all() {
        let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
        assert_eq!(value(&text), schema, "{name}: {AGAIN}");
    }
}

#[test]
fn every_schema_is_valid_and_has_its_name() {
    for (name, schema) in all() {
        assert!(jsonschema::meta::is_valid(&schema), "{name}");
        assert_eq!(schema["$id"], json!(format!("urn:tallybook:schema:{name}")));
        assert_eq!(schema["title"], json!(name));
        assert_eq!(schema["$schema"], json!("https://json-schema.org/draft/2020-12/schema"));
    }
}

#[test]
fn the_golden_files_are_valid() {
    for version in versions::ALL {
        check(version.name, &value(&golden::golden(version.name)));
    }
    for name in golden::RECORDS {
        let (kind, _) = name.split_once(".v1").expect("a version");
        check(&format!("{kind}.v1"), &value(&golden::golden(name)));
    }
    check("Customer", &serde_json::to_value(examples::document()).unwrap());
    check("UpdateCustomer", &serde_json::to_value(examples::update()).unwrap());
}

/// Every object of a value, by the JSON pointer to it.
fn objects(value: &Value, pointer: &str, found: &mut Vec<String>) {
    let child = |name: &str| format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
    match value {
        Value::Object(members) => {
            found.push(pointer.to_owned());
            members.iter().for_each(|(name, value)| objects(value, &child(name), found));
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                objects(item, &child(&at.to_string()), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The value with a member more in one of its objects.
fn with_unknown(value: &Value, pointer: &str) -> Value {
    let mut value = value.clone();
    let object = value.pointer_mut(pointer).and_then(Value::as_object_mut).expect("an object");
    object.insert("from_the_future".to_owned(), json!("x"));
    value
}

#[test]
fn events_records_and_documents_are_open_at_every_depth() {
    let mut open: Vec<(&str, Value)> =
        versions::ALL.iter().map(|v| (v.name, value(&golden::golden(v.name)))).collect();
    open.push(("DecisionRecord.v1", value(&golden::golden("DecisionRecord.v1"))));
    open.push(("ClaimRecord.v1", value(&golden::golden("ClaimRecord.v1"))));
    open.push(("Customer", serde_json::to_value(examples::document()).unwrap()));
    for (name, value) in open {
        let mut places = Vec::new();
        objects(&value, "", &mut places);
        for place in places {
            // Members of these are values themselves, not names that we gave.
            if !place.ends_with("/set") && !place.ends_with("/links") {
                check(name, &with_unknown(&value, &place));
            }
        }
    }
}

#[test]
fn commands_are_closed_at_every_depth() {
    let command = serde_json::to_value(examples::update()).unwrap();
    let validator = validator("UpdateCustomer");
    let mut places = Vec::new();
    objects(&command, "", &mut places);
    let free = ["/patch/profile/metadata", "/patch/profile/replace_metadata"];
    let mut closed = 0;
    for place in places {
        let free = free.iter().any(|free| place.starts_with(free))
            || place.ends_with("/links")
            || place.ends_with("/properties");
        closed += usize::from(!free);
        assert_eq!(validator.is_valid(&with_unknown(&command, &place)), free, "{place}");
    }
    assert_eq!(closed, 18, "all the groups of the example");
}

/// Gives an example of every member, by name; claims are of the kind of the command.
fn members(kind: CommandType) -> BTreeMap<&'static str, Value> {
    let (customer, held) =
        ("5f0c8bd4-0c5e-5d0a-9d6b-3d3f3d1c2b01", "0199c0de-0000-7000-8000-000000000001");
    let key = json!({"key": "a", "holder": customer, "held": held});
    let pledge = json!({"pledge": {"key": "a"}, "child": customer, "held": held});
    let edge = json!({"parent": customer, "child": customer, "held": held});
    let claim = match kind.as_str() {
        "ClaimPledge" | "ReleasePledge" => pledge,
        "ClaimEdge" | "ReleaseEdge" | "SettleClaim" => edge,
        _ => key,
    };
    let report = json!({"report_id": "r", "occurred_at": "2026-01-01T00:00:00Z",
        "meter": "m", "cost": 0.25});
    BTreeMap::from([
        ("patch", json!({"budget": {"period_budget": null}})),
        ("reports", json!([report])),
        ("claim", claim),
        ("granted", json!(true)),
        ("answer", json!({"refusal": "parent_unknown"})),
        ("plan", json!({"plan_id": "pro", "grants": [{"grant_id": "g", "feature_id": "f"}]})),
        ("plan_id", json!("pro")),
        ("change", json!({"past_due": true, "expires_at": null})),
        ("cancellation", json!({})),
        ("purchase", json!({"purchase_id": "p", "plan_id": "credits"})),
        (
            "grant",
            json!({"grant_id": "g", "feature_id": "f", "included": 10,
            "reset": {"interval": "month"}, "price": {"billing_method": "prepaid"}}),
        ),
        ("grant_id", json!("g")),
        ("flag", json!({"flag_id": "i", "feature_id": "f"})),
        ("feature_id", json!("f")),
    ])
}

/// Gives the members that a type of command needs, and those that it may have.
fn members_of(kind: CommandType) -> (&'static [&'static str], &'static [&'static str]) {
    match kind {
        CommandType::CreateCustomer => (&[], &["patch"]),
        CommandType::UpdateCustomer => (&["patch"], &["patch"]),
        CommandType::RecordUsage => (&["reports"], &["reports"]),
        CommandType::ArchiveCustomer => (&[], &[]),
        CommandType::ClaimKey
        | CommandType::ClaimPledge
        | CommandType::ClaimEdge
        | CommandType::ReleaseKey
        | CommandType::ReleasePledge
        | CommandType::ReleaseEdge
        | CommandType::SettleRelease => (&["claim"], &["claim"]),
        CommandType::SettleClaim => (&["claim", "granted"], &["claim", "granted", "answer"]),
        CommandType::AttachPlan => (&["plan"], &["plan"]),
        CommandType::UpdatePlan => (&["plan_id", "change"], &["plan_id", "change"]),
        CommandType::CancelPlan => (&["plan_id"], &["plan_id", "cancellation"]),
        CommandType::RecordPurchase => (&["purchase"], &["purchase"]),
        CommandType::GrantBalance => (&["grant"], &["grant"]),
        CommandType::RevokeGrant => (&["grant_id"], &["grant_id"]),
        CommandType::SetFlag => (&["flag"], &["flag"]),
        CommandType::ClearFlag => (&["feature_id"], &["feature_id"]),
    }
}

#[test]
fn each_command_has_its_own_members_and_needs_them() {
    for kind in CommandType::ALL {
        let (needed, allowed) = members_of(kind);
        let members = members(kind);
        let validator = validator(kind.as_str());
        // No type has more than two members: any two, and fewer.
        for chosen in (0..1_usize << members.len()).filter(|chosen| chosen.count_ones() <= 2) {
            let mut command = json!({"type": kind, "customer": {"key": "a"}});
            let chosen: Vec<&str> = members
                .keys()
                .enumerate()
                .filter(|(at, _)| chosen & (1 << at) != 0)
                .map(|(_, name)| *name)
                .collect();
            for name in &chosen {
                command[*name] = members[name].clone();
            }
            let fits = needed.iter().all(|name| chosen.contains(name))
                && chosen.iter().all(|name| allowed.contains(name));
            assert_eq!(validator.is_valid(&command), fits, "{command}");
            // The code agrees with the schema.
            let draft = serde_json::from_str::<tallybook_events::command::CommandDraft>(
                &command.to_string(),
            )
            .unwrap();
            assert_eq!(draft.complete(crate::draft::defaults()).is_ok(), fits, "{command}");
        }
    }
}

#[test]
fn what_breaks_a_rule_of_its_field_is_not_valid() {
    for (name, pointer, wrong) in [
        ("BudgetSet.v1", "/period_budget", json!(100.5)),
        ("BudgetSet.v1", "/duration", json!("hourly")),
        ("BudgetSet.v1", "/period_start", json!("yesterday")),
        ("BudgetSet.v1", "/type", json!("BudgetSet.v2")),
        ("UsageRecorded.v1", "/raw", json!("-1")),
        ("UsageRecorded.v1", "/corrects/report_id", json!("")),
        ("CustomerCreated.v1", "/customer_id", json!("x")),
        ("CustomerCreated.v1", "/environment", json!("prod")),
        ("StatusChanged.v1", "/to", json!(null)),
        ("DecisionRecord.v1", "/prev", json!("short")),
        ("DecisionRecord.v1", "/outcome", json!({"accepted": {}})),
        ("DecisionRecord.v1", "/events/0/type", json!("TierChanged.v9")),
        ("ClaimRecord.v1", "/claimed/at", json!(0)),
    ] {
        let mut value = value(&golden::golden(name));
        assert!(validator(name).is_valid(&value));
        *value.pointer_mut(pointer).expect("a member of the example") = wrong;
        assert!(!validator(name).is_valid(&value), "{name} {pointer}");
    }
}

#[test]
fn every_word_of_a_refusal_is_the_same_in_the_code_and_on_the_wire() {
    let record = &all()["DecisionRecord.v1"];
    let codes = record["$defs"]["RejectionCode"]["oneOf"].as_array().unwrap();
    assert_eq!(codes.len(), 33);
    for code in codes {
        let code = &code["const"];
        let read: RejectionCode = serde_json::from_value(code.clone()).unwrap();
        assert_eq!(code, read.as_str());
    }
}
