//! Bytes and records: what is written reads back, however it is spelled, and nothing else is read.

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tallybook_events::chain::Head;
use tallybook_events::codec::{self, Claimed, DecisionParts, Peeked, Record, UnreadableRecord};
use tallybook_events::decision::Decision;

use crate::{arbitrary, examples, golden, schemas};

pub(crate) fn write(decision: &Decision) -> Vec<u8> {
    let mut record = Vec::new();
    let written = codec::write_decision(
        &mut record,
        decision.term,
        decision.seq,
        &decision.prev,
        &DecisionParts {
            decided_at: decision.decided_at,
            rules: &decision.rules,
            source: decision.source,
            command: &serde_json::to_vec(&decision.command).expect("a command is JSON"),
            outcome: &decision.outcome,
            gives_back: &decision.gives_back,
            events: &decision.events,
        },
    );
    assert_eq!(
        record[written.events].to_vec(),
        serde_json::to_vec(&decision.events).expect("events are JSON")
    );
    record
}

fn any_decision() -> impl Strategy<Value = Decision> {
    let place = (any::<u64>(), any::<u64>(), any::<[u8; 32]>());
    let events = proptest::collection::vec(arbitrary::happened::event(), 0..4);
    let gives_back = proptest::collection::vec(any::<u128>(), 0..3);
    (
        place,
        arbitrary::happened::source(),
        arbitrary::asked::command(),
        arbitrary::happened::outcome(),
        gives_back,
        events,
    )
        .prop_map(|((term, seq, prev), source, command, outcome, gives_back, events)| {
            Decision {
                term,
                seq,
                prev: Head(prev),
                decided_at: command.issued_at,
                rules: "1".into(),
                source,
                command,
                outcome,
                gives_back: gives_back
                    .into_iter()
                    .map(|id| tallybook_events::ids::CommandId(uuid::Uuid::from_u128(id)))
                    .collect(),
                events,
            }
        })
}

/// The same JSON in another order of members, with spaces. Numbers keep their text.
fn respelled(text: &str) -> String {
    match text.as_bytes()[0] {
        b'{' => {
            let members: std::collections::BTreeMap<String, &RawValue> =
                serde_json::from_str(text).expect("an object");
            let members: Vec<String> = members
                .iter()
                .rev()
                .map(|(name, value)| format!("{} : {}", escaped(name), respelled(value.get())))
                .collect();
            format!("{{ {} }}\n", members.join(" , "))
        }
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(text).expect("an array");
            let items: Vec<String> = items.iter().map(|item| respelled(item.get())).collect();
            format!("[\t{}]", items.join(" ,\r\n"))
        }
        b'"' => escaped(&serde_json::from_str::<String>(text).expect("a string")),
        _ => text.to_owned(),
    }
}

/// A JSON string with every character as an escape.
fn escaped(text: &str) -> String {
    let mut string = String::from('"');
    for unit in text.encode_utf16() {
        write!(string, "\\u{unit:04x}").expect("writing to a string");
    }
    string + "\""
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_reads_back(decision in any_decision()) {
        let record = write(&decision);
        let Decision { term, seq, prev, .. } = decision;
        prop_assert_eq!(codec::peek(&record).unwrap(), Peeked::Decision { term, seq, prev });
        prop_assert_eq!(codec::read(&record).unwrap(), Record::Decision(Box::new(decision.clone())));
        let Record::Decision(read) = codec::read(&record).unwrap() else { unreachable!() };
        prop_assert_eq!(write(&read), record, "the same bytes again");
    }

    #[test]
    fn another_spelling_of_a_record_is_the_same_record(decision in any_decision()) {
        let record = write(&decision);
        let other = respelled(std::str::from_utf8(&record).unwrap());
        prop_assert_ne!(other.as_bytes(), &record[..]);
        prop_assert_eq!(codec::peek(other.as_bytes()).unwrap(), codec::peek(&record).unwrap());
        prop_assert_eq!(codec::read(other.as_bytes()).unwrap(), codec::read(&record).unwrap());
    }

    #[test]
    fn a_record_cut_short_is_no_record(decision in any_decision(), cut in any::<prop::sample::Index>()) {
        let record = write(&decision);
        let cut = &record[..cut.index(record.len())];
        prop_assert!(codec::read(cut).is_err());
    }

    #[test]
    fn garbage_is_no_record_and_breaks_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(codec::peek(&bytes).is_err());
        prop_assert!(codec::read(&bytes).is_err());
    }
}

proptest! {
    // Compiled for each case: fewer of them.
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_written_is_valid_under_its_schema(decision in any_decision()) {
        for event in &decision.events {
            schemas::check(event.type_name(), &value(&serde_json::to_string(event).unwrap()));
        }
        let command = value(&serde_json::to_string(&decision.command).unwrap());
        schemas::check(decision.command.body.command_type().as_str(), &command);
        schemas::check("DecisionRecord.v1", &value(std::str::from_utf8(&write(&decision)).unwrap()));
    }
}

/// As a `Value`, whose numbers are bounded: those that are not stand as they were, in a string.
fn value(text: &str) -> Value {
    match text.as_bytes()[0] {
        b'{' => {
            let members: std::collections::BTreeMap<String, &RawValue> =
                serde_json::from_str(text).expect("an object");
            members.into_iter().map(|(name, member)| (name, value(member.get()))).collect()
        }
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(text).expect("an array");
            items.into_iter().map(|item| value(item.get())).collect()
        }
        _ => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
    }
}

#[test]
fn a_claim_in_another_spelling_is_the_same_claim() {
    let stored = golden::golden("ClaimRecord.v1");
    let other = respelled(&stored);
    assert_eq!(codec::peek(other.as_bytes()).unwrap(), Peeked::Claim { term: 4 });
    assert_eq!(codec::read(other.as_bytes()).unwrap(), Record::Claim(examples::claim()));
    let claimed = Claimed { owner: "".into(), ..examples::claim() };
    let written = codec::write_claim(&claimed);
    assert_eq!(codec::read(&written).unwrap(), Record::Claim(claimed));
}

#[test]
fn a_format_of_a_later_build_is_named_as_such() {
    for text in [
        r#"{"v":2,"term":1,"seq":1,"prev":"x","decided_at":"?"}"#,
        r#"{"v":2}"#,
        r#"{"term":"iii","v":4294967295,"events":{}}"#,
        r#"{"v":0,"term":4,"claimed":{}}"#,
    ] {
        for error in
            [codec::peek(text.as_bytes()).unwrap_err(), codec::read(text.as_bytes()).unwrap_err()]
        {
            assert!(
                matches!(error, UnreadableRecord::Format { version } if version != 1),
                "{text}"
            );
        }
    }
}

#[test]
fn what_is_neither_a_decision_nor_a_claim_is_no_record() {
    for text in ["", "null", "1", "[]", "{}", "{\"v\":\"1\"}", "{\"v\":-1}", "\u{feff}{\"v\":1}"] {
        let error = codec::peek(text.as_bytes()).unwrap_err();
        assert!(matches!(error, UnreadableRecord::Syntax(_)), "{text}: {error}");
    }
    let claim: Value = serde_json::from_str(&golden::golden("ClaimRecord.v1")).unwrap();
    let decision: Value = serde_json::from_str(&golden::golden("DecisionRecord.v1")).unwrap();
    let without = |record: &Value, member: &str| {
        let mut record = record.clone();
        record.as_object_mut().unwrap().remove(member);
        record
    };
    let mut both = decision.clone();
    both["claimed"] = claim["claimed"].clone();
    let mut odd = claim.clone();
    odd["seq"] = json!(7);
    for record in [
        without(&claim, "term"),
        without(&claim, "claimed"),
        without(&decision, "term"),
        without(&decision, "seq"),
        without(&decision, "prev"),
        both,
        odd,
        json!({"v": 1}),
    ] {
        let error = codec::peek(record.to_string().as_bytes()).unwrap_err();
        assert!(matches!(error, UnreadableRecord::Shape(_)), "{record}: {error}");
    }
}

#[test]
fn a_decision_without_one_of_its_members_is_not_read() {
    let decision: Value = serde_json::from_str(&golden::golden("DecisionRecord.v1")).unwrap();
    for member in decision.as_object().unwrap().keys() {
        let mut record = decision.clone();
        record.as_object_mut().unwrap().remove(member);
        assert!(codec::read(record.to_string().as_bytes()).is_err(), "{member}");
    }
}

#[test]
fn an_event_that_is_not_known_or_does_not_fit_is_named() {
    for (event, name) in [
        (json!({"type": "BudgetSet.v2"}), "BudgetSet.v2"),
        (json!({"type": "Budget\"Set"}), "Budget\"Set"),
        (json!({"type": "StatusChanged.v1", "from": "active", "to": "gone"}), "StatusChanged.v1"),
    ] {
        let mut record: Value = serde_json::from_str(&golden::golden("DecisionRecord.v1")).unwrap();
        record["events"] = json!([event]);
        let error = codec::read(record.to_string().as_bytes()).unwrap_err();
        let UnreadableRecord::Event { type_name, source } = error else {
            panic!("{event}: {error}")
        };
        assert_eq!(type_name, name);
        assert_eq!(source.is_none(), name != "StatusChanged.v1");
    }
    let nameless = RawValue::from_string(r#"{"from":"active"}"#.to_owned()).unwrap();
    assert!(matches!(codec::read_event(&nameless).unwrap_err(), UnreadableRecord::Syntax(_)));
}

#[test]
fn members_that_a_later_build_adds_to_an_event_are_let_be() {
    let later = r#"{"more":[1],"type":"StatusChanged.v1","from":"active","to":"suspended"}"#;
    let read = codec::read_event(&RawValue::from_string(later.to_owned()).unwrap()).unwrap();
    assert_eq!(read, examples::event("StatusChanged.v1"));
}

#[test]
fn a_prefix_that_only_looks_like_a_record_does_not_pass_as_one_that_ends() {
    let stored = golden::golden("DecisionRecord.v1");
    let torn = &stored.as_bytes()[..stored.len() - 1];
    assert!(codec::peek(torn).is_err());
    let mut leading_zero = stored.replacen("\"term\":3", "\"term\":03", 1);
    assert!(codec::peek(leading_zero.as_bytes()).is_err());
    leading_zero = stored.replacen("\"seq\":42", "\"seq\":99999999999999999999", 1);
    assert!(codec::peek(leading_zero.as_bytes()).is_err());
}
