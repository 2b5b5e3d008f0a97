//! The checker checked: on made-up journals and answers it finds each thing that must not be, and
//! nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::checker::amounts;
use crate::checker::stored::Stored;
use crate::checker::views::Answers;
use crate::checker::{Asked, Checked, Fault, Told, check};

const CUSTOMER: &str = "5f0c8bd4-0c5e-5d0a-9d6b-3d3f3d1c2b01";

/// Writes a journal of one partition, as an owner would.
#[derive(Default)]
struct Writer {
    term: u64,
    seq: u64,
    head: [u8; 32],
    journal: Vec<Stored>,
}

impl Writer {
    fn append(&mut self, record: Vec<u8>) {
        let offset = u64::try_from(self.journal.len()).expect("a length fits");
        self.journal.push(Stored { partition: 0, offset, record });
    }

    fn append_next(&mut self, record: &Value) {
        let record = record.to_string().into_bytes();
        self.head = Sha256::new().chain_update(self.head).chain_update(&record).finalize().into();
        self.seq += 1;
        self.append(record);
    }

    fn claim(&mut self) {
        self.term += 1;
        let at = "2026-11-24T05:00:00Z";
        self.append_next(&json!({"v": 1, "term": self.term, "claimed": {"owner": "o", "at": at}}));
    }

    fn record(&self, command: &Value, outcome: &Value, events: &Value) -> Value {
        json!({"v": 1, "term": self.term, "seq": self.seq + 1,
            "prev": URL_SAFE_NO_PAD.encode(self.head), "rules": "1",
            "decided_at": format!("2026-11-24T05:00:{:02}Z", self.journal.len()),
            "source": {"kind": "local"}, "command": command, "outcome": outcome,
            "events": events})
    }

    fn decide(&mut self, command: &Value, outcome: &Value, events: &Value) {
        self.append_next(&self.record(command, outcome, events));
    }
}

/// The first one makes the customer, each later one gives it another name.
fn command(number: u64) -> Value {
    let (kind, patch) = match number {
        1 => ("CreateCustomer", json!({})),
        _ => ("UpdateCustomer", json!({"profile": {"name": format!("n{number}")}})),
    };
    json!({"command_id": format!("c{number}"), "type": kind, "customer": {"key": "a"},
        "patch": patch})
}

/// A command that asks for nothing.
fn idle(number: u64) -> Value {
    json!({"command_id": format!("c{number}"), "type": "UpdateCustomer",
        "customer": {"key": "a"}, "patch": {}})
}

fn accepted(from: u64, to: u64) -> Value {
    json!({"accepted": {"customer_id": CUSTOMER, "from_version": from, "to_version": to}})
}

fn created() -> Value {
    json!({"type": "CustomerCreated.v1", "customer_id": CUSTOMER, "tenant": "t",
        "environment": "live", "key": "a", "birth": 0})
}

fn renamed(old: u64, new: u64) -> Value {
    let name = |number: u64| if number < 2 { Value::Null } else { json!(format!("n{number}")) };
    json!({"type": "CustomerUpdated.v1",
        "set": {"profile.name": {"old": name(old), "new": name(new)}}})
}

fn told(position: u64, version: u64, events: Value) -> Told {
    Told {
        outcome: "accepted".to_owned(),
        position: Some((0, position)),
        customer_id: Some(CUSTOMER.to_owned()),
        version: Some(version),
        events: Some(events),
        code: None,
    }
}

/// A journal of a claim, a birth and three changes, and what one client asked and was told.
fn sound() -> (Writer, Vec<Asked>) {
    let mut writer = Writer::default();
    writer.claim();
    let mut asked = Vec::new();
    for number in 1..=4 {
        let event = if number == 1 { created() } else { renamed(number - 1, number) };
        let events = json!([event]);
        writer.decide(&command(number), &accepted(number - 1, number), &events);
        let told = Some(told(number + 1, number, events));
        asked.push(Asked { client: 7, number, command: command(number), told, mark: 0 });
    }
    (writer, asked)
}

fn found(writer: &Writer, asked: &[Asked]) -> Vec<Fault> {
    check(&writer.journal, asked).faults
}

fn lost(number: u64) -> Fault {
    Fault::Lost { command_id: format!("c{number}") }
}

#[test]
fn a_sound_journal_has_no_fault_and_is_counted() {
    let (mut writer, mut asked) = sound();
    writer.claim();
    // An answer that never came: decided or not, both are right.
    writer.decide(&command(5), &accepted(4, 5), &json!([renamed(4, 5)]));
    for number in [5, 6] {
        asked.push(Asked { client: 7, number, command: command(number), told: None, mark: 0 });
    }
    let refused = json!({"rejected": {"code": "key_taken", "detail": "taken"}});
    writer.decide(&command(8), &refused, &json!([]));
    let told = Told {
        outcome: "rejected".to_owned(),
        position: Some((0, 8)),
        code: Some("key_taken".to_owned()),
        ..Told::default()
    };
    asked.push(Asked { client: 8, number: 1, command: command(8), told: Some(told), mark: 0 });
    let checked = check(&writer.journal, &asked);
    checked.assert_sound();
    assert_eq!(
        checked.seen.to_string(),
        "8 records, 2 claims, 6 decisions (1 rejected, 0 settled), 5 events, 5 acknowledged"
    );
    assert_eq!(checked.ends[&0], [(8, writer.head)]);
    // Claims hold no facts: a reader may stand before them or after any of them.
    let before = writer.head;
    writer.claim();
    assert_eq!(check(&writer.journal, &asked).ends[&0], [(8, before), (9, writer.head)]);
    let mut only_claims = Writer::default();
    only_claims.claim();
    let ends = check(&only_claims.journal, &[]).ends;
    assert_eq!(ends[&0], [(0, [0; 32]), (1, only_claims.head)]);
}

#[test]
fn what_was_acknowledged_and_is_not_there_is_lost() {
    let (mut writer, asked) = sound();
    writer.journal.pop();
    assert_eq!(found(&writer, &asked), [lost(4)]);
    // Without its predecessor a record does not count, nor does what follows it.
    let (mut writer, asked) = sound();
    writer.journal.remove(2);
    let faults = found(&writer, &asked);
    assert_eq!(faults[faults.len() - 3..], [lost(2), lost(3), lost(4)]);
    assert_eq!(faults[0], Fault::Misplaced { partition: 0, offset: 3 });
}

#[test]
fn a_command_decided_twice_is_doubled() {
    let (mut writer, asked) = sound();
    writer.decide(&command(4), &accepted(4, 5), &json!([renamed(4, 5)]));
    let faults = found(&writer, &asked);
    assert!(faults.contains(&Fault::Doubled { command_id: "c4".to_owned() }), "{faults:?}");
}

#[test]
fn a_decision_sent_on_and_a_follow_up_are_no_second_decision() {
    let (mut writer, asked) = sound();
    writer.decide(&command(4), &json!({"forwarded": {"partition": 1}}), &json!([]));
    let claimed = json!([{"type": "KeyClaimed.v1", "key": "a", "holder": CUSTOMER}]);
    writer.decide(&follow_up("f", "ClaimKey", "c9"), &at_slot(), &claimed);
    assert_eq!(found(&writer, &asked), []);
    // But a follow-up has one decision, too.
    writer.decide(&follow_up("f", "ClaimKey", "c9"), &at_slot(), &json!([]));
    assert_eq!(found(&writer, &asked), [Fault::Doubled { command_id: "f".to_owned() }]);
}

fn follow_up(command_id: &str, kind: &str, held: &str) -> Value {
    json!({"command_id": command_id, "type": kind, "tenant": "t", "environment": "live",
        "customer": {"key": "a"}, "claim": {"held": held}})
}

fn at_slot() -> Value {
    json!({"accepted": {"customer_id": "slot", "from_version": 0, "to_version": 0}})
}

#[test]
fn a_slots_answer_settles_the_command_that_waited_for_it() {
    let (mut writer, mut asked) = sound();
    let deferred = json!({"deferred": {"customer_id": CUSTOMER, "claim": {}}});
    writer.decide(&command(5), &deferred, &json!([]));
    let events = json!([renamed(4, 5)]);
    let told = Some(told(7, 5, events.clone()));
    asked.push(Asked { client: 7, number: 5, command: command(5), told, mark: 0 });
    let otherwise = |what| Fault::ToldOtherwise { command_id: "c5".to_owned(), what };
    let checked = check(&writer.journal, &asked);
    assert_eq!(checked.faults, [otherwise("outcome")]);
    assert_eq!(checked.held, ["c5"]);

    writer.decide(&follow_up("s", "SettleClaim", "c5"), &accepted(4, 5), &events);
    let checked = check(&writer.journal, &asked);
    checked.assert_sound();
    assert_eq!((checked.held.len(), checked.seen.settled), (0, 1));
    // A second answer finds nothing held; one that changes something again is a fault.
    let nothing = json!({"rejected": {"code": "nothing_held", "detail": "nothing"}});
    writer.decide(&follow_up("s2", "SettleClaim", "c5"), &nothing, &json!([]));
    assert_eq!(found(&writer, &asked), []);
    writer.decide(&follow_up("s3", "SettleClaim", "c5"), &accepted(5, 6), &json!([renamed(5, 6)]));
    assert_eq!(found(&writer, &asked), [Fault::Doubled { command_id: "s3".to_owned() }]);
}

#[test]
fn a_key_of_two_customers_or_of_none_is_found() {
    let other = "5f0c8bd4-0c5e-5d0a-9d6b-3d3f3d1c2b02";
    let (mut writer, asked) = sound();
    let claimed = json!([{"type": "KeyClaimed.v1", "key": "b", "holder": other}]);
    writer.decide(&follow_up("f", "ClaimKey", "c9"), &at_slot(), &claimed);
    let key = |key: &str| format!("t/live/{key}");
    let leaked = Fault::KeyLeaked { key: key("b"), holder: other.to_owned() };
    assert_eq!(found(&writer, &asked), [leaked]);

    let (mut writer, mut asked) = sound();
    let mut born = created();
    born["customer_id"] = json!(other);
    let birth = json!({"accepted": {"customer_id": other, "from_version": 0, "to_version": 1}});
    writer.decide(&idle(5), &birth, &json!([born]));
    asked.push(Asked { client: 7, number: 5, command: idle(5), told: None, mark: 0 });
    let holders = [CUSTOMER.to_owned(), other.to_owned()];
    assert_eq!(found(&writer, &asked), [Fault::KeyDoubled { key: key("a"), holders }]);
}

#[test]
fn commands_of_one_client_to_one_customer_out_of_order_are_found() {
    let (writer, mut asked) = sound();
    asked[1].number = 3;
    asked[2].number = 2;
    assert_eq!(found(&writer, &asked), [Fault::Reordered { client: 7, earlier: 2, later: 3 }]);
    // Two clients, or two customers, have no order between them.
    asked[2].client = 8;
    assert_eq!(found(&writer, &asked), []);
}

#[test]
fn two_records_for_one_place_are_a_fork() {
    let (mut writer, asked) = sound();
    let mut forked: Value = serde_json::from_slice(&writer.journal[4].record).unwrap();
    forked["rules"] = json!("2");
    writer.append(forked.to_string().into_bytes());
    assert_eq!(found(&writer, &asked), [Fault::Halted { partition: 0, offset: 5, why: "fork" }]);
    // The same bytes again are a repeat, which all readers skip.
    let (mut writer, asked) = sound();
    writer.append(writer.journal[3].record.clone());
    assert_eq!(found(&writer, &asked), []);
    // The next seq on another head.
    let (mut writer, asked) = sound();
    writer.head = [9; 32];
    writer.decide(&command(5), &accepted(4, 5), &json!([]));
    assert_eq!(found(&writer, &asked), [Fault::Halted { partition: 0, offset: 5, why: "fork" }]);
}

#[test]
fn what_the_reader_rule_skips_does_not_count() {
    let (mut writer, asked) = sound();
    let zombie = writer.record(&command(9), &accepted(4, 5), &json!([]));
    writer.claim();
    writer.append(zombie.to_string().into_bytes());
    let void = json!({"v": 1, "term": 2, "claimed": {"owner": "z", "at": "2026-11-24T05:00:00Z"}});
    writer.append(void.to_string().into_bytes());
    let mut gap = writer.record(&command(9), &accepted(4, 5), &json!([]));
    gap["seq"] = json!(writer.seq + 2);
    writer.append(gap.to_string().into_bytes());
    writer.decide(&command(10), &accepted(4, 5), &json!([renamed(4, 10)]));
    let mut asked = asked;
    asked.push(Asked { client: 1, number: 1, command: command(10), told: None, mark: 0 });
    assert_eq!(found(&writer, &asked), []);
}

#[test]
fn a_record_that_cannot_be_explained_halts() {
    let with = |record: &Value| {
        let (mut writer, asked) = sound();
        writer.append(record.to_string().into_bytes());
        found(&writer, &asked)
    };
    let halted = |why| [Fault::Halted { partition: 0, offset: 5, why }];
    assert_eq!(with(&json!({"v": 2})), halted("unknown format"));
    assert_eq!(with(&json!("torn")), halted("no record"));
    assert_eq!(with(&json!({"v": 1, "term": 1})), halted("no record"));
    let (writer, _) = sound();
    let mut ahead = writer.record(&command(9), &accepted(4, 5), &json!([]));
    ahead["term"] = json!(2);
    assert_eq!(with(&ahead), halted("term ahead"));
}

#[test]
fn a_changed_bit_anywhere_is_found() {
    let (writer, asked) = sound();
    for at in 1..writer.journal.len() - 1 {
        let mut journal = writer.journal.clone();
        let record = &mut journal[at].record;
        let place = record.windows(7).position(|window| window == b"\"rules\"").unwrap();
        record[place + 9] ^= 1;
        let faults = check(&journal, &asked).faults;
        let halted =
            Fault::Halted { partition: 0, offset: u64::try_from(at).unwrap() + 1, why: "fork" };
        assert!(faults.contains(&halted), "{faults:?}");
    }
}

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
fn what_nobody_asked_and_what_was_asked_otherwise_are_found() {
    let (writer, mut asked) = sound();
    asked[3].command["patch"]["profile"]["name"] = json!("other");
    asked.remove(2);
    let altered = Fault::Altered { command_id: "c4".to_owned(), member: "patch".to_owned() };
    let unasked = Fault::Unasked { command_id: "c3".to_owned() };
    assert_eq!(found(&writer, &asked), [altered, unasked]);
}

#[test]
fn an_answer_that_is_not_the_journals_is_found() {
    type Change = fn(&mut Told);
    let changes: [(&str, Change); 7] = [
        ("outcome", |told| told.outcome = "rejected".to_owned()),
        ("position", |told| told.position = Some((0, 99))),
        ("position", |told| told.position = Some((1, 5))),
        ("position", |told| told.position = None),
        ("customer_id", |told| told.customer_id = Some("x".to_owned())),
        ("version", |told| told.version = Some(9)),
        ("events", |told| told.events = Some(json!([]))),
    ];
    for (what, change) in changes {
        let (writer, mut asked) = sound();
        change(asked[3].told.as_mut().unwrap());
        let otherwise = Fault::ToldOtherwise { command_id: "c4".to_owned(), what };
        assert_eq!(found(&writer, &asked), [otherwise]);
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
fn time_that_goes_backwards_is_found() {
    let (mut writer, mut asked) = sound();
    let mut record = writer.record(&idle(5), &accepted(4, 4), &json!([]));
    record["decided_at"] = json!("2026-11-24T05:00:03.999999Z");
    writer.append_next(&record);
    asked.push(Asked { client: 7, number: 5, command: idle(5), told: None, mark: 0 });
    assert_eq!(found(&writer, &asked), [Fault::Backwards { partition: 0, seq: 6 }]);
}

fn report(report_id: &str) -> Value {
    json!({"type": "UsageRecorded.v1", "report_id": report_id, "meter": "m",
        "occurred_at": "2026-10-31T23:59:59.500Z", "quantity": "2", "raw": "0.25",
        "charged": "0.3",
        "period": {"start": "2026-10-01T00:00:00Z", "end": "2026-11-01T00:00:00Z"}})
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

/// The journal of [`sound`] with a report and its correction, and what the native API should answer.
fn with_usage() -> (Checked, Answers) {
    let (mut writer, mut asked) = sound();
    let budget = json!({"type": "BudgetSet.v1", "period_budget": "1", "total_budget": null,
        "duration": "monthly", "period_start": null, "period_end": null,
        "markup_percentage": "20"});
    let mut correction = report("q");
    correction["corrects"] = report("r");
    correction["raw"] = json!("0.5");
    writer.decide(&idle(5), &accepted(4, 7), &json!([budget, report("r"), correction]));
    asked.push(Asked { client: 7, number: 5, command: idle(5), told: None, mark: 0 });
    let checked = check(&writer.journal, &asked);
    checked.assert_sound();
    let row = |kind: &str, start: &str, end: &str| {
        json!({"kind": kind, "start": start, "end": end, "raw": "0.5", "charged": "0.3",
            "quantity": "2", "count": 1, "budget": null,
            "first_at": "2026-10-31T23:59:59.500Z", "last_at": "2026-10-31T23:59:59.500Z"})
    };
    let usage = vec![
        row("day", "2026-10-31T00:00:00Z", "2026-11-01T00:00:00Z"),
        row("month", "2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z"),
        row("budget", "2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z"),
        row("year", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        row("lifetime", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"),
    ];
    let document = json!({
        "id": CUSTOMER, "key": "a", "tenant": "t", "environment": "live", "version": 7,
        "created_at": "2026-11-24T05:00:01Z", "updated_at": "2026-11-24T05:00:05Z",
        "archived_at": null,
        "profile": {"name": "n4", "first_name": null, "last_name": null, "email": null,
            "phone": null, "metadata": {}, "fingerprint": null, "send_email_receipts": false,
            "address": {"line1": null, "line2": null, "city": null, "state": null,
                "postal_code": null, "country": null}},
        "contract": {"tier": null, "status": "active", "start": null, "end": null,
            "annual_commitment": null, "annual_limit": null, "rate_per_second": null,
            "burst": null},
        "budget": {"period_budget": "1", "total_budget": null, "duration": "monthly",
            "period_start": null, "period_end": null, "markup_percentage": "20"},
        "policy": null, "billing_controls": {}, "identity": {"links": {}, "parent": null},
        "usage": {
            "period": {"start": "2026-11-01T00:00:00Z", "end": "2026-12-01T00:00:00Z",
                "raw": "0", "charged": "0", "count": 0, "budget": "1", "remaining": "1"},
            "lifetime": {"raw": "0.5", "charged": "0.3", "count": 1}},
    });
    let mut answers = Answers::default();
    answers.customers.insert(CUSTOMER.to_owned(), document);
    answers.usage.insert(CUSTOMER.to_owned(), usage);
    (checked, answers)
}

#[test]
fn answers_that_are_the_fold_have_no_fault() {
    let (mut checked, answers) = with_usage();
    checked.compare_answers(&answers);
    checked.assert_sound();
}

#[test]
fn an_answer_that_differs_from_the_fold_is_found() {
    for pointer in ["/version", "/profile/name", "/usage/lifetime/raw", "/usage/period/remaining"] {
        let (mut checked, mut answers) = with_usage();
        let document = answers.customers.get_mut(CUSTOMER).unwrap();
        *document.pointer_mut(pointer).unwrap() = json!("other");
        checked.compare_answers(&answers);
        let [Fault::View { what, .. }] = &checked.faults[..] else { panic!("{checked:?}") };
        assert_eq!(*what, format!("customer {CUSTOMER}"));
    }
    for change in [
        (|rows| drop(rows.pop())) as fn(&mut Vec<Value>),
        |rows| rows.push(rows[0].clone()),
        |rows| rows[0]["raw"] = json!("0.75"),
        |rows| rows[4]["count"] = json!(2),
    ] {
        let (mut checked, mut answers) = with_usage();
        change(answers.usage.get_mut(CUSTOMER).unwrap());
        checked.compare_answers(&answers);
        let [Fault::View { what, .. }] = &checked.faults[..] else { panic!("{checked:?}") };
        assert_eq!(*what, format!("usage of {CUSTOMER}"));
    }
    let (mut checked, _) = with_usage();
    checked.compare_answers(&Answers::default());
    assert_eq!(checked.faults.len(), 1, "a customer that nobody sees");
}

#[test]
fn the_checkers_own_arithmetic_is_right() {
    for (text, units) in [
        ("0", 0),
        ("12.5", 12_500_000_000_000),
        ("-0.000000000001", -1),
        ("999999999999.999999999999", 999_999_999_999_999_999_999_999),
    ] {
        assert_eq!(amounts::units(text), units);
        assert_eq!(amounts::decimal(units), text);
    }
    for (kind, time, start, end) in [
        ("day", "2024-02-28T23:59:59Z", "2024-02-28T00:00:00Z", "2024-02-29T00:00:00Z"),
        ("day", "2026-02-28T00:00:00Z", "2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"),
        ("day", "2026-12-31T12:00:00Z", "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("month", "2026-12-31T12:00:00Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("year", "2026-12-31T12:00:00Z", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
    ] {
        assert_eq!(amounts::period(kind, time), (start.to_owned(), end.to_owned()));
    }
    assert!(
        amounts::comparable("2026-01-01T00:00:00Z") < amounts::comparable("2026-01-01T00:00:00.5Z")
    );
}
