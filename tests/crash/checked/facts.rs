//! Events: versions without gaps, effects that were asked for, one past.

use serde_json::json;

use super::{CUSTOMER, accepted, command, created, found, idle, renamed, report, sound};
use crate::checker::{Asked, Fault};

#[test]
fn a_version_that_does_not_follow_is_found() {
    for (from, to) in [(5, 6), (4, 6), (3, 4), (4, 4)] {
        let (mut writer, mut asked) = sound();
        writer.decide(&command(5), &accepted(from, to), &json!([renamed(4, 5)]));
        asked.push(Asked { client: 7, number: 5, command: command(5), told: None, mark: 0 });
        let broken = Fault::VersionBroken { customer_id: CUSTOMER.to_owned(), seq: 6 };
        assert_eq!(found(&writer, &asked), [broken], "{from} to {to}");
    }
}

#[test]
fn an_accepted_command_without_effect_is_found() {
    let usage = json!({"command_id": "c5", "type": "RecordUsage", "customer": {"key": "a"},
        "reports": [{"report_id": "r"}, {"report_id": "q"}]});
    let merge = json!({"command_id": "c5", "type": "UpdateCustomer", "customer": {"key": "a"},
        "patch": {"profile": {"name": "n3", "metadata": {"x": null, "y": "1"}}}});
    let mut duplicate = accepted(4, 5);
    duplicate["accepted"]["duplicates"] = json!(["q"]);
    let (mut birth, mut end) = (idle(5), idle(5));
    birth["type"] = json!("CreateCustomer");
    end["type"] = json!("ArchiveCustomer");
    for (command, outcome, events, what) in [
        (command(5), accepted(4, 4), json!([]), Some("profile.name")),
        (usage.clone(), accepted(4, 5), json!([report("r")]), Some("report \"q\"")),
        (usage, duplicate, json!([report("r")]), None),
        (merge, accepted(4, 4), json!([]), Some("profile.metadata")),
        (birth, accepted(4, 4), json!([]), Some("CustomerCreated.v1")),
        (end, accepted(4, 4), json!([]), Some("CustomerArchived.v1")),
    ] {
        let (mut writer, mut asked) = sound();
        writer.decide(&command, &outcome, &events);
        asked.push(Asked { client: 7, number: 5, command, told: None, mark: 0 });
        let faults: Vec<Fault> = what
            .map(|what| Fault::NoEffect { command_id: "c5".to_owned(), what: what.to_owned() })
            .into_iter()
            .collect();
        assert_eq!(found(&writer, &asked), faults);
    }
}

#[test]
fn events_that_do_not_follow_from_those_before_are_found() {
    let threshold = json!({"type": "BudgetThresholdReached.v1", "kind": "period",
        "percentage": 80, "budget": "1", "used": "0.9", "period": report("r")["period"]});
    let past = |what: &str| Fault::OtherPast {
        customer_id: CUSTOMER.to_owned(),
        seq: 6,
        what: what.to_owned(),
    };
    let twice =
        Fault::ReportDoubled { customer_id: CUSTOMER.to_owned(), report_id: "r".to_owned() };
    let status = json!({"type": "StatusChanged.v1", "from": "suspended", "to": "active"});
    let removed = json!({"type": "CustomerUpdated.v1",
        "removed": {"profile.metadata.x": "never there"}});
    let budget = json!({"type": "BudgetSet.v1", "period_budget": "1", "total_budget": null,
        "duration": "monthly", "period_start": null, "period_end": null,
        "markup_percentage": "20"});
    let archived = json!({"type": "CustomerArchived.v1", "key": "a"});
    for (events, fault) in [
        (vec![renamed(3, 5)], past("profile.name")),
        (vec![status], past("/contract/status")),
        (vec![removed], past("profile.metadata.x")),
        (vec![report("r"), report("r")], twice),
        (
            vec![threshold.clone(), threshold.clone()],
            past(&format!(
                "threshold reached again: [String(\"period\"), Number(80), String(\"1\"), {:?}]",
                threshold["period"]
            )),
        ),
        (vec![json!({"type": "Unheard.v1"})], past("event of type Unheard.v1")),
        (vec![budget.clone(), budget], past("BudgetSet.v1 changes nothing")),
        (vec![created()], past("born again")),
        (vec![archived.clone(), archived], past("archived again")),
    ] {
        let (mut writer, mut asked) = sound();
        let to = 4 + u64::try_from(events.len()).unwrap();
        writer.decide(&idle(5), &accepted(4, to), &json!(events));
        asked.push(Asked { client: 7, number: 5, command: idle(5), told: None, mark: 0 });
        assert_eq!(found(&writer, &asked), [fault]);
    }
}
