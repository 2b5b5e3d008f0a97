//! What is true of all commands: a replay comes to the same state, the same command twice changes
//! nothing, any split into commands gives the same usage, no change is no event, nothing panics,
//! and the document is what a plain fold of the events says.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use tallybook_events::codec;
use tallybook_events::decision::Outcome;
use tallybook_events::event::Event;
use tallybook_events::ids::CustomerId;
use tallybook_events::money::{Amount, Total};
use tallybook_events::time::Timestamp;

use super::arbitrary::{about_claims, anything, asked, hour, patch, report};
use super::given::{World, by_key, create, nth, update, usage};
use super::{Packed as _, Record, Unpacking};

/// One step of a script.
#[derive(Debug, Clone)]
enum Step {
    /// A caller asks.
    Ask(Value),
    /// One of the follow-ups on their way arrives.
    Arrive(usize),
    /// One of them arrives and will arrive again.
    ArriveTwice(usize),
    /// Time goes on, by minutes.
    Wait(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => asked().prop_map(Step::Ask),
        4 => about_claims().prop_map(Step::Ask),
        5 => any::<usize>().prop_map(Step::Arrive),
        1 => any::<usize>().prop_map(Step::ArriveTwice),
        1 => (0..60_000_i64).prop_map(Step::Wait),
    ]
}

fn play(world: &mut World, step: Step) {
    match step {
        Step::Ask(asked) => {
            world.send(asked);
        }
        Step::Arrive(which) if !world.sent.is_empty() => {
            let which = which % world.sent.len();
            let follow_up = world.sent.remove(which).unwrap();
            world.hear(follow_up);
        }
        Step::ArriveTwice(which) if !world.sent.is_empty() => {
            let follow_up = world.sent[which % world.sent.len()].clone();
            world.hear(follow_up);
        }
        Step::Arrive(_) | Step::ArriveTwice(_) => {}
        Step::Wait(minutes) => world.now = world.now.plus_micros(minutes * 60_000_000),
    }
}

/// What waits is asked again, as a new owner does, until all is answered.
fn settle(world: &mut World) {
    while let Some(follow_up) = world.sent.pop_front() {
        world.hear(follow_up);
    }
    let unanswered: Vec<_> = world.records.values().flat_map(Record::unanswered).collect();
    assert_eq!(unanswered, [], "all is answered");
}

proptest! {
    #[test]
    fn a_state_comes_back_from_its_bytes(
        steps in vec(prop_oneof![3 => step(), 1 => anything().prop_map(Step::Ask)], 1..60),
    ) {
        let mut world = World::default();
        for step in steps {
            play(&mut world, step);
        }
        for record in world.records.values() {
            let mut bytes = Vec::new();
            record.pack(&mut bytes);
            let mut from = Unpacking::of(&bytes);
            let back: Record = from.take().unwrap();
            prop_assert_eq!(&back, record);
            prop_assert!(from.is_done());
            for end in [0, bytes.len() / 2, bytes.len() - 1] {
                prop_assert!(Unpacking::of(&bytes[..end]).take::<Record>().is_err());
            }
        }
    }

    #[test]
    fn a_replay_comes_to_the_same_state_in_whatever_order_follow_ups_arrive(
        steps in vec(step(), 1..60),
    ) {
        let mut world = World::default();
        for step in steps {
            play(&mut world, step);
            world.check_holders();
            world.check_hierarchy();
        }
        settle(&mut world);
        world.check();
        world.check_quiet();
    }

    #[test]
    fn nothing_panics(steps in vec(anything(), 1..25)) {
        let mut world = World::default();
        for asked in steps {
            world.try_send(asked);
            let now = world.now;
            for record in world.records.values() {
                record.document(now);
                record.document(Timestamp::MIN);
                record.document(Timestamp::MAX);
            }
            world.digest();
        }
        let replayed = world.replayed();
        prop_assert_eq!(replayed, world.records);
    }

    #[test]
    fn the_same_command_twice_changes_nothing(before in vec(asked(), 0..10), asked in asked()) {
        let mut world = World::default();
        for asked in before {
            world.ask(asked);
        }
        world.ask(asked.clone());
        let digest = world.digest();
        let again = world.ask(asked.clone());
        match (&again.outcome, asked["type"].as_str()) {
            // What was freed by the first may be taken by the second: a birth, or the end of
            // another.
            (Outcome::Accepted(_), Some("CreateCustomer" | "ArchiveCustomer")) => {}
            (
                Outcome::Accepted(_),
                Some(
                    "UpdateCustomer" | "AttachPlan" | "UpdatePlan" | "CancelPlan" | "RecordPurchase"
                    | "GrantBalance" | "RevokeGrant" | "SetFlag" | "ClearFlag",
                ),
            ) => {
                prop_assert_eq!(&again.events, &Vec::<Event>::new());
                prop_assert_eq!(world.digest(), digest);
            }
            (Outcome::Accepted(accepted), _) => {
                prop_assert_eq!(&again.events, &Vec::<Event>::new());
                prop_assert!(!accepted.duplicates.is_empty() || !accepted.conflicts.is_empty());
                prop_assert_eq!(world.digest(), digest);
            }
            (Outcome::Rejected(_), _) => prop_assert_eq!(world.digest(), digest),
            (other, _) => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn any_split_into_commands_gives_the_same_usage(
        facts in patch(),
        reports in vec(report(), 1..40),
        splits in vec(1..9_usize, 40),
    ) {
        let mut known = Vec::new();
        let mut reports = reports;
        for report in &mut reports {
            // A correction of nothing known refuses its whole command, whatever else is in it.
            let corrects = report.get("corrects").cloned();
            if corrects.is_some_and(|corrects| !known.contains(&corrects)) {
                report.as_object_mut().unwrap().remove("corrects");
            }
            // Amounts that are refused do so, too.
            for member in ["quantity", "cost"] {
                report[member] = json!(report[member].to_string().trim_matches('"').len());
            }
            known.push(report["report_id"].clone());
        }
        let mut facts = facts;
        if let Some(budget) = facts.get_mut("budget").and_then(Value::as_object_mut) {
            budget.insert("markup_percentage".into(), json!("12.5"));
        }
        let record = |commands: Vec<Vec<Value>>| {
            let mut world = World::default();
            world.ask(by_key("a", create(facts.clone())));
            for reports in commands {
                let reply = world.ask(by_key("a", usage(json!(reports))));
                assert!(matches!(reply.outcome, Outcome::Accepted(_)), "{reply:?}");
            }
            world.records
        };
        let mut rest = reports.clone();
        let mut split = Vec::new();
        for length in splits.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let tail = rest.split_off((*length).min(rest.len()));
            split.push(std::mem::replace(&mut rest, tail));
        }
        let at_once = record(vec![reports.clone()]);
        prop_assert_eq!(record(split), at_once.clone());
        prop_assert_eq!(record(reports.into_iter().map(|it| vec![it]).collect()), at_once);
    }

    #[test]
    fn what_is_asked_as_it_stands_is_no_event(
        facts in vec(patch(), 1..6),
        reports in vec(report(), 0..9),
    ) {
        let mut world = World::default();
        for facts in facts {
            world.ask(by_key("a", create(facts.clone())));
            world.ask(by_key("a", update(facts)));
        }
        for report in reports {
            world.ask(by_key("a", usage(json!([report]))));
        }
        let id = nth("a", 0);
        prop_assume!(world.record(id).customer.is_some());
        let document = world.document(id);
        let mut patch = json!({"key": document["key"]});
        for group in ["profile", "contract", "budget", "policy", "billing_controls", "identity"] {
            patch[group] = document[group].clone();
        }
        patch["profile"]["replace_metadata"] = patch["profile"]["metadata"].take();
        patch["profile"].as_object_mut().unwrap().remove("metadata");
        if document["policy"].is_null() {
            patch["policy"] = Value::Null;
        }
        let reply = world.ask(by_key("a", update(patch)));
        prop_assert_eq!(reply.events(), json!([]));
        prop_assert_eq!(world.document(id), document);
    }

    #[test]
    fn the_document_is_what_a_plain_fold_says(steps in vec(step(), 1..40), now in hour()) {
        let mut world = World::default();
        for step in steps {
            play(&mut world, step);
        }
        settle(&mut world);
        world.now = world.now.max(now.parse().unwrap());
        for (id, record) in &world.records {
            if record.customer.is_some() {
                prop_assert_eq!(world.document(*id), folded(&world, *id));
            }
        }
    }
}

/// Folds the events of a customer into its document, by plain means: JSON in, JSON out, and all
/// reports added up anew.
fn folded(world: &World, id: CustomerId) -> Value {
    let mut document = json!({"version": 0, "archived_at": null, "policy": null,
        "billing_controls": {}, "identity": {"links": {}, "parent": null},
        "profile": {"name": null, "first_name": null, "last_name": null, "email": null,
            "phone": null, "metadata": {}, "fingerprint": null, "send_email_receipts": false,
            "address": {"line1": null, "line2": null, "city": null, "state": null,
                "postal_code": null, "country": null}},
        "contract": {"tier": null, "status": "active", "start": null, "end": null,
            "annual_commitment": null, "annual_limit": null, "rate_per_second": null,
            "burst": null},
        "budget": {"period_budget": null, "total_budget": null, "duration": "monthly",
            "period_start": null, "period_end": null, "markup_percentage": "0"}});
    let mut counting: BTreeMap<String, Value> = BTreeMap::new();
    let mut roots: BTreeMap<String, String> = BTreeMap::new();
    for (at, bytes) in &world.journal {
        let codec::Record::Decision(decision) = codec::read(bytes).unwrap() else { continue };
        for event in decision.events.iter().filter(|_| *at == id) {
            if !event.counts_in_version() {
                continue;
            }
            let event: Value =
                serde_json::from_str(&serde_json::to_string(event).unwrap()).unwrap();
            document["version"] = json!(document["version"].as_u64().unwrap() + 1);
            document["updated_at"] = json!(decision.decided_at);
            if event["type"] == "UsageRecorded.v1" {
                let id = event["report_id"].as_str().unwrap().to_owned();
                let named = event["corrects"]["report_id"].as_str();
                let root = named.map_or(id.clone(), |named| roots[named].clone());
                roots.insert(id, root.clone());
                counting.insert(root, event);
            } else {
                fold(&mut document, &event, decision.decided_at);
            }
        }
    }
    document["usage"] = added_up(&document["budget"], counting.values(), world.now);
    document
}

fn fold(document: &mut Value, event: &Value, decided_at: Timestamp) {
    let keep = |group: &mut Value, names: &[&str]| {
        for name in names {
            group[*name] = event[*name].clone();
        }
    };
    match event["type"].as_str().unwrap().trim_end_matches(".v1") {
        "CustomerCreated" => {
            document["id"] = event["customer_id"].clone();
            document["created_at"] = json!(decided_at);
            keep(document, &["key", "tenant", "environment"]);
        }
        "CustomerUpdated" => {
            for (path, _) in event["removed"].as_object().into_iter().flatten() {
                let (place, name) = place(document, path);
                place.as_object_mut().unwrap().remove(name);
            }
            for (path, change) in event["set"].as_object().into_iter().flatten() {
                let (place, name) = place(document, path);
                place[name] = change["new"].clone();
            }
        }
        "TierChanged" => {
            document["contract"]["tier"] = event["to"].clone();
            let terms = ["annual_commitment", "annual_limit", "rate_per_second", "burst"];
            keep(&mut document["contract"], &terms);
        }
        "StatusChanged" => document["contract"]["status"] = event["to"].clone(),
        "ContractSet" => keep(&mut document["contract"], &["start", "end"]),
        "BudgetSet" => {
            let mut budget = event.clone();
            budget.as_object_mut().unwrap().remove("type");
            document["budget"] = budget;
        }
        "PolicyChanged" => document["policy"] = event["to"].clone(),
        "BillingControlsSet" => document["billing_controls"] = event["to"].clone(),
        "KeyChanged" => document["key"] = event["to"].clone(),
        "ParentChanged" => document["identity"]["parent"] = event["to"].clone(),
        "CustomerArchived" => document["archived_at"] = json!(decided_at),
        // What is only told is no part of the document, nor are entitlements.
        "BudgetThresholdReached"
        | "PlanAttached"
        | "PlanChanged"
        | "PlanCanceled"
        | "PurchaseRecorded"
        | "BalanceGranted"
        | "GrantRevoked"
        | "FlagSet"
        | "FlagCleared"
        | "AutoTopupTriggered"
        | "UsageAlertTriggered"
        | "BalanceLimitReached" => {}
        other => panic!("no such event: {other}"),
    }
}

/// The object that a dotted path leads to, and the name within it.
fn place<'a, 'p>(document: &'a mut Value, path: &'p str) -> (&'a mut Value, &'p str) {
    for prefix in ["profile.metadata.", "identity.links.", "profile.address.", "profile."] {
        if let Some(name) = path.strip_prefix(prefix) {
            let pointer = format!("/{}", prefix.trim_end_matches('.').replace('.', "/"));
            return (document.pointer_mut(&pointer).unwrap(), name);
        }
    }
    panic!("no such path: {path}")
}

fn added_up<'a>(budget: &Value, reports: impl Iterator<Item = &'a Value>, now: Timestamp) -> Value {
    let budget: tallybook_events::customer::Budget =
        serde_json::from_str(&budget.to_string()).unwrap();
    let window = budget.schedule().window_at(now);
    let mut sums = [(Total::ZERO, Total::ZERO, 0_u64); 2];
    for report in reports {
        let amount = |name: &str| report[name].as_str().unwrap().parse::<Amount>().unwrap();
        let occurred_at: Timestamp = report["occurred_at"].as_str().unwrap().parse().unwrap();
        for (raw, charged, count) in &mut sums[usize::from(!window.contains(occurred_at))..] {
            *raw = raw.plus(amount("raw")).unwrap();
            *charged = charged.plus(amount("charged")).unwrap();
            *count += 1;
        }
    }
    let [(raw, charged, count), lifetime] = sums;
    let remaining = budget.period_budget.map(|budget| {
        let remaining = budget.decimal() - raw.decimal();
        remaining.normalize().to_string()
    });
    json!({
        "period": {"start": window.start, "end": window.end, "raw": raw, "charged": charged,
            "count": count, "budget": budget.period_budget, "remaining": remaining},
        "lifetime": {"raw": lifetime.0, "charged": lifetime.1, "count": lifetime.2},
    })
}
