//! Commands on the wire: what is missing, what does not belong, what `null` means.

use serde_json::{Value, json};
use tallybook_events::command::{
    Command, CommandBody, CommandDraft, CommandType, Defaults, DraftFault, MAX_REPORTS,
};
use tallybook_events::ids::{Environment, Scope};

use crate::examples::{self, text};

/// Gives what a draft needs, as a way in would.
pub(crate) fn defaults() -> Defaults {
    Defaults {
        command_id: Some(text("0199c0de-0000-7000-8000-000000000001")),
        scope: Some(Scope { tenant: text("acme-corp"), environment: Environment::Live }),
        issued_at: Some(text("2026-11-24T05:30:00Z")),
        actor: Some(text("key-1")),
        source: Some(text("api")),
    }
}

fn read(command: &Value) -> Result<CommandDraft, String> {
    serde_json::from_str(&command.to_string()).map_err(|error| error.to_string())
}

fn complete(command: &Value, defaults: Defaults) -> Result<Command, DraftFault> {
    read(command).expect("a draft").complete(defaults)
}

fn written(command: &Command) -> Value {
    serde_json::from_str(&serde_json::to_string(command).expect("a command is JSON")).expect("JSON")
}

fn archive() -> Value {
    json!({"type": "ArchiveCustomer", "customer": {"key": "a"}})
}

#[test]
fn what_the_way_in_knows_is_filled_in_and_what_the_caller_says_stands() {
    let silent = complete(&archive(), defaults()).unwrap();
    assert_eq!(
        written(&silent),
        json!({"command_id": "0199c0de-0000-7000-8000-000000000001", "tenant": "acme-corp",
            "environment": "live", "type": "ArchiveCustomer", "customer": {"key": "a"},
            "issued_at": "2026-11-24T05:30:00Z", "actor": "key-1", "source": "api"})
    );
    let said = json!({"command_id": "0199c0de-0000-7000-8000-00000000ffff", "tenant": "other",
        "environment": "test", "type": "ArchiveCustomer", "customer": {"key": "a"},
        "issued_at": "2025-01-01T00:00:00Z", "actor": "me", "source": "topic"});
    assert_eq!(written(&complete(&said, defaults()).unwrap()), said);
    assert_eq!(written(&complete(&said, Defaults::NONE).unwrap()), said);
}

#[test]
fn what_nobody_knows_is_missed_at_its_place() {
    let whole = written(&complete(&archive(), defaults()).unwrap());
    for (member, pointer) in [
        ("command_id", "/command_id"),
        ("tenant", "/tenant"),
        ("environment", "/environment"),
        ("issued_at", "/issued_at"),
        ("actor", "/actor"),
        ("source", "/source"),
    ] {
        let mut command = whole.clone();
        command.as_object_mut().unwrap().remove(member);
        let fault = complete(&command, Defaults::NONE).unwrap_err();
        assert_eq!(fault, DraftFault { pointer, detail: "is missing" });
    }
    for member in ["type", "customer"] {
        let mut command = whole.clone();
        command.as_object_mut().unwrap().remove(member);
        assert!(read(&command).unwrap_err().contains(&format!("missing field `{member}`")));
    }
}

#[test]
fn a_body_member_that_is_missing_or_does_not_belong_is_named() {
    let claim = json!({"key": "a", "holder": "5f0c8bd4-0c5e-5d0a-9d6b-3d3f3d1c2b01",
        "held": "0199c0de-0000-7000-8000-000000000001"});
    let report = json!({"report_id": "r", "occurred_at": "2026-01-01T00:00:00Z", "meter": "m",
        "cost": "1"});
    let many: Vec<Value> = (0..=MAX_REPORTS).map(|_| report.clone()).collect();
    let misplaced = "does not belong to this type of command";
    for (kind, member, value, pointer, detail) in [
        ("UpdateCustomer", "reason", json!("x"), "/patch", "is missing"),
        ("RecordUsage", "reason", json!("x"), "/reports", "is missing"),
        ("RecordUsage", "reports", json!([]), "/reports", "must not be empty"),
        ("RecordUsage", "reports", json!(many), "/reports", "must have at most 1000 reports"),
        ("RecordUsage", "patch", json!({}), "/patch", misplaced),
        ("ArchiveCustomer", "patch", json!({}), "/patch", misplaced),
        ("ArchiveCustomer", "reports", json!([report]), "/reports", misplaced),
        ("CreateCustomer", "claim", claim.clone(), "/claim", misplaced),
        ("ClaimKey", "granted", json!(true), "/granted", misplaced),
        ("ClaimKey", "answer", json!({}), "/answer", misplaced),
        ("ClaimEdge", "claim", claim.clone(), "/claim", misplaced),
        ("ReleasePledge", "claim", claim.clone(), "/claim", misplaced),
        ("ClaimKey", "reason", json!("x"), "/claim", "is missing"),
        ("SettleClaim", "claim", claim, "/granted", "is missing"),
        ("SettleClaim", "granted", json!(false), "/claim", "is missing"),
    ] {
        let mut command = json!({"type": kind, "customer": {"key": "a"}});
        command[member] = value;
        let fault = complete(&command, defaults()).unwrap_err();
        assert_eq!(fault, DraftFault { pointer, detail }, "{kind} with {member}");
    }
}

#[test]
fn a_parent_is_named_by_a_bare_id_too() {
    let id = "5f0c8bd4-0c5e-5d0a-9d6b-3d3f3d1c2b01";
    let asked = |parent: &Value| {
        json!({"type": "UpdateCustomer", "customer": {"key": "a"},
            "patch": {"identity": {"parent": parent}}})
    };
    for (parent, kept) in [
        (json!(id), json!({"id": id})),
        (json!({"id": id}), json!({"id": id})),
        (json!({"key": id}), json!({"key": id})),
        (json!(null), json!(null)),
    ] {
        let command = complete(&asked(&parent), defaults()).unwrap();
        assert_eq!(written(&command)["patch"], json!({"identity": {"parent": kept}}));
    }
    for parent in [json!("acme"), json!({}), json!({"key": ""}), json!(1)] {
        assert!(read(&asked(&parent)).is_err(), "{parent}");
    }
}

#[test]
fn a_create_may_have_no_patch_and_reports_may_be_a_thousand() {
    let create = json!({"type": "CreateCustomer", "customer": {"key": "a"}});
    let command = complete(&create, defaults()).unwrap();
    assert_eq!(command.body, CommandBody::CreateCustomer(Box::default()));
    let report = json!({"report_id": "r", "occurred_at": "2026-01-01T00:00:00Z", "meter": "m",
        "cost": "1"});
    let reports: Vec<Value> = (0..MAX_REPORTS).map(|_| report.clone()).collect();
    let usage = json!({"type": "RecordUsage", "customer": {"key": "a"}, "reports": reports});
    let command = complete(&usage, defaults()).unwrap();
    assert_eq!(command.body.command_type(), CommandType::RecordUsage);
}

#[test]
fn a_report_counts_something_and_corrects_another() {
    let with = |more: Value| {
        let mut report = json!({"report_id": "r", "occurred_at": "2026-01-01T00:00:00Z",
            "meter": "m"});
        report.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        read(&json!({"type": "RecordUsage", "customer": {"key": "a"}, "reports": [report]}))
    };
    assert!(with(json!({})).unwrap_err().contains("needs a quantity or a cost"));
    assert!(with(json!({"cost": "1", "corrects": "r"})).unwrap_err().contains("correct itself"));
    assert!(with(json!({"quantity": 1, "corrects": "q"})).is_ok());
    assert!(with(json!({"quantity": 1, "unit": "h"})).unwrap_err().contains("unknown field"));
}

/// Every member of a value outside lists, by the JSON pointer to it.
fn members(value: &Value, pointer: &str, found: &mut Vec<String>) {
    if let Value::Object(object) = value {
        for (name, value) in object {
            let pointer = format!("{pointer}/{name}");
            members(value, &pointer, found);
            found.push(pointer);
        }
    }
}

fn changed(command: &Value, pointer: &str, new: Option<Value>) -> Value {
    let mut command = command.clone();
    let (object, name) = pointer.rsplit_once('/').expect("a pointer");
    let object = command.pointer_mut(object).and_then(Value::as_object_mut).expect("an object");
    match new {
        Some(value) => object.insert(name.to_owned(), value),
        None => object.remove(name),
    };
    command
}

#[test]
fn absent_null_and_a_value_stay_three_things_through_the_whole_patch() {
    const NEVER_NULL: [&str; 10] = [
        "/patch/key",
        "/patch/profile",
        "/patch/profile/replace_metadata",
        "/patch/profile/send_email_receipts",
        "/patch/contract",
        "/patch/contract/status",
        "/patch/budget",
        "/patch/budget/duration",
        "/patch/budget/markup_percentage",
        "/patch/identity",
    ];
    let whole = written(&examples::update());
    let mut pointers = Vec::new();
    members(&whole["patch"], "/patch", &mut pointers);
    // A reference names one customer: its one member is no fact of its own.
    pointers.retain(|pointer| pointer != "/patch/identity/parent/id");
    assert_eq!(pointers.len(), 65, "every member of the patch: {pointers:#?}");
    for pointer in pointers {
        let absent = changed(&whole, &pointer, None);
        assert_eq!(written(&complete(&absent, Defaults::NONE).unwrap()), absent, "{pointer}");
        let null = changed(&whole, &pointer, Some(Value::Null));
        let read = read(&null);
        if NEVER_NULL.contains(&pointer.as_str()) {
            assert!(read.is_err(), "{pointer}");
        } else {
            assert_eq!(written(&read.unwrap().complete(Defaults::NONE).unwrap()), null);
        }
    }
    assert_eq!(written(&complete(&whole, Defaults::NONE).unwrap()), whole);
    let read: Command =
        serde_json::from_str(&serde_json::to_string(&examples::update()).unwrap()).unwrap();
    assert_eq!(read, examples::update());
}

#[test]
fn unknown_members_are_refused_at_every_depth() {
    let whole = written(&examples::update());
    let free = ["/patch/profile/metadata", "/patch/profile/replace_metadata"];
    let mut pointers = vec![String::new(), "/patch".to_owned(), "/customer".to_owned()];
    members(&whole["patch"], "/patch", &mut pointers);
    pointers.push("/patch/billing_controls/auto_topups/0".to_owned());
    pointers.push("/patch/billing_controls/auto_topups/0/purchase_limit".to_owned());
    pointers.push("/patch/billing_controls/usage_limits/0/filter".to_owned());
    let mut refused = 0;
    for pointer in pointers {
        if whole.pointer(&pointer).is_none_or(|value| !value.is_object()) {
            continue;
        }
        let read = read(&changed(&whole, &format!("{pointer}/surprise"), Some(json!("x"))));
        if free.contains(&pointer.as_str()) || pointer.ends_with("/links") {
            assert!(read.is_ok(), "{pointer}");
        } else {
            assert!(read.is_err(), "{pointer}");
            refused += 1;
        }
    }
    assert_eq!(refused, 15);
}
