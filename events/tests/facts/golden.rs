//! What was ever written stays readable: one stored example of every version, never edited.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::value::RawValue;
use tallybook_events::codec::{self, DecisionParts, Record};
use tallybook_events::decision::Outcome;
use tallybook_events::lean;
use tallybook_events::versions;

use crate::examples;
use crate::round_trip::write;

/// The stored records: a decision with each outcome, what Tallybook sends itself, and a claim.
pub(crate) const RECORDS: [&str; 14] = [
    "DecisionRecord.v1",
    "DecisionRecord.v1.rejected",
    "DecisionRecord.v1.deferred",
    "DecisionRecord.v1.forwarded",
    "DecisionRecord.v1.dead_lettered",
    "DecisionRecord.v1.repeated",
    "DecisionRecord.v1.previewed",
    "DecisionRecord.v1.dead_letter",
    "DecisionRecord.v1.ClaimPledge",
    "DecisionRecord.v1.ClaimEdge",
    "DecisionRecord.v1.SettleClaim",
    "DecisionRecord.v1.ReleaseKey",
    "DecisionRecord.v1.gives_back",
    "ClaimRecord.v1",
];

/// Reads a golden file.
pub(crate) fn golden(name: &str) -> String {
    let path = folder().join(format!("{name}.json"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("{}: {error}. Every version has a stored example", path.display())
    })
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden")
}

#[test]
fn every_event_version_is_read_as_the_value_that_was_written() {
    for version in versions::ALL {
        let stored: Box<RawValue> = serde_json::from_str(&golden(version.name)).unwrap();
        let event = codec::read_event(&stored).unwrap();
        let expected = examples::event(version.name);
        assert_eq!(event, expected, "{}", version.name);
        if event.type_name() == version.name {
            assert_eq!(serde_json::to_string(&event).unwrap(), stored.get(), "{}", version.name);
        }
    }
}

#[test]
fn members_that_came_later_are_read_and_written_too() {
    for (name, event) in examples::events_with_more() {
        let stored: Box<RawValue> = serde_json::from_str(&golden(name)).unwrap();
        assert_eq!(codec::read_event(&stored).unwrap(), event, "{name}");
        assert_eq!(serde_json::to_string(&event).unwrap(), stored.get(), "{name}");
    }
}

#[test]
fn every_golden_file_is_of_a_version_that_is_read() {
    let known: BTreeSet<String> = versions::ALL
        .iter()
        .map(|version| version.name)
        .chain(RECORDS)
        .chain(examples::events_with_more().iter().map(|(name, _)| *name))
        .map(|name| format!("{name}.json"))
        .collect();
    let stored: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(stored, known);
}

#[test]
fn decision_records_are_read_and_written_as_they_were() {
    let mut decisions = examples::other_decisions();
    decisions.extend(examples::follow_ups());
    decisions.push(("DecisionRecord.v1", examples::decision()));
    assert_eq!(decisions.len(), RECORDS.len() - 2);
    for (name, decision) in decisions {
        let stored = golden(name);
        let written = String::from_utf8(write(&decision)).unwrap();
        assert_eq!(written, stored, "{name}");
        let read = codec::read(stored.as_bytes()).unwrap();
        assert_eq!(read, Record::Decision(Box::new(decision)), "{name}");
    }
}

#[test]
fn the_note_of_what_was_no_command_is_read_and_written_as_it_was() {
    let stored = golden("DecisionRecord.v1.dead_letter");
    let letter = examples::dead_letter();
    let read = codec::read(stored.as_bytes()).unwrap();
    assert_eq!(read, Record::DeadLetter(Box::new(letter.clone())));
    let mut written = Vec::new();
    let parts = DecisionParts {
        decided_at: letter.decided_at,
        rules: "1",
        source: letter.source,
        command: b"null",
        outcome: &Outcome::DeadLettered { reason: letter.reason },
        gives_back: &[],
        events: &[],
    };
    let prev = examples::decision().prev;
    codec::write_decision(&mut written, letter.term, letter.seq, &prev, &parts);
    assert_eq!(String::from_utf8(written).unwrap(), stored);
    let no_command = stored.replace("dead_lettered", "unheard_of");
    assert!(codec::read(no_command.as_bytes()).is_err());
}

#[test]
fn the_claim_record_is_read_and_written_as_it_was() {
    let stored = golden("ClaimRecord.v1");
    assert_eq!(codec::read(stored.as_bytes()).unwrap(), Record::Claim(examples::claim()));
    assert_eq!(String::from_utf8(codec::write_claim(&examples::claim())).unwrap(), stored);
}

#[test]
fn a_record_says_the_same_to_who_reads_millions() {
    for name in RECORDS {
        let stored = golden(name);
        let full = codec::read(stored.as_bytes()).unwrap();
        assert_eq!(lean::read(stored.as_bytes()).unwrap(), full, "{name}");
    }
}
