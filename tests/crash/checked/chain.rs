//! The chain: records that count, records that do not, and what cannot be explained.

use serde_json::{Value, json};

use super::{Writer, accepted, command, found, idle, renamed, sound};
use crate::checker::{Asked, Fault, Told, check};

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
        "8 records, 2 claims, 6 decisions (1 rejected, 0 settled, 0 moves), 5 events, 5 acknowledged"
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
fn time_that_goes_backwards_is_found() {
    let (mut writer, mut asked) = sound();
    let mut record = writer.record(&idle(5), &accepted(4, 4), &json!([]));
    record["decided_at"] = json!("2026-11-24T05:00:03.999999Z");
    writer.append_next(&record);
    asked.push(Asked { client: 7, number: 5, command: idle(5), told: None, mark: 0 });
    assert_eq!(found(&writer, &asked), [Fault::Backwards { partition: 0, seq: 6 }]);
}
