//! The checker checked: on made-up journals and answers it finds each thing that must not be, and
//! nothing else. This file makes the journals up.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::checker::stored::Stored;
use crate::checker::{Asked, Fault, Told, check};

mod answers;
mod chain;
mod facts;
mod registrars;
mod views;

pub(super) const CUSTOMER: &str = "5f0c8bd4-0c5e-5d0a-9d6b-3d3f3d1c2b01";

/// Writes a journal of one partition, as an owner would.
#[derive(Default)]
pub(super) struct Writer {
    pub(super) term: u64,
    pub(super) seq: u64,
    pub(super) head: [u8; 32],
    pub(super) journal: Vec<Stored>,
}

impl Writer {
    pub(super) fn append(&mut self, record: Vec<u8>) {
        let offset = u64::try_from(self.journal.len()).expect("a length fits");
        self.journal.push(Stored { partition: 0, offset, record });
    }

    pub(super) fn append_next(&mut self, record: &Value) {
        let record = record.to_string().into_bytes();
        self.head = Sha256::new().chain_update(self.head).chain_update(&record).finalize().into();
        self.seq += 1;
        self.append(record);
    }

    pub(super) fn claim(&mut self) {
        self.term += 1;
        let at = "2026-11-24T05:00:00Z";
        self.append_next(&json!({"v": 1, "term": self.term, "claimed": {"owner": "o", "at": at}}));
    }

    pub(super) fn record(&self, command: &Value, outcome: &Value, events: &Value) -> Value {
        json!({"v": 1, "term": self.term, "seq": self.seq + 1,
            "prev": URL_SAFE_NO_PAD.encode(self.head), "rules": "1",
            "decided_at": format!("2026-11-24T05:00:{:02}Z", self.journal.len()),
            "source": {"kind": "local"}, "command": command, "outcome": outcome,
            "events": events})
    }

    pub(super) fn decide(&mut self, command: &Value, outcome: &Value, events: &Value) {
        self.append_next(&self.record(command, outcome, events));
    }
}

/// The first one makes the customer, each later one gives it another name.
pub(super) fn command(number: u64) -> Value {
    let (kind, patch) = match number {
        1 => ("CreateCustomer", json!({})),
        _ => ("UpdateCustomer", json!({"profile": {"name": format!("n{number}")}})),
    };
    json!({"command_id": format!("c{number}"), "type": kind, "customer": {"key": "a"},
        "patch": patch})
}

/// A command that asks for nothing.
pub(super) fn idle(number: u64) -> Value {
    json!({"command_id": format!("c{number}"), "type": "UpdateCustomer",
        "customer": {"key": "a"}, "patch": {}})
}

pub(super) fn accepted(from: u64, to: u64) -> Value {
    json!({"accepted": {"customer_id": CUSTOMER, "from_version": from, "to_version": to}})
}

pub(super) fn created() -> Value {
    json!({"type": "CustomerCreated.v1", "customer_id": CUSTOMER, "tenant": "t",
        "environment": "live", "key": "a", "birth": 0})
}

pub(super) fn renamed(old: u64, new: u64) -> Value {
    let name = |number: u64| if number < 2 { Value::Null } else { json!(format!("n{number}")) };
    json!({"type": "CustomerUpdated.v1",
        "set": {"profile.name": {"old": name(old), "new": name(new)}}})
}

pub(super) fn told(position: u64, version: u64, events: Value) -> Told {
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
pub(super) fn sound() -> (Writer, Vec<Asked>) {
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

pub(super) fn found(writer: &Writer, asked: &[Asked]) -> Vec<Fault> {
    check(&writer.journal, asked).faults
}

pub(super) fn lost(number: u64) -> Fault {
    Fault::Lost { command_id: format!("c{number}") }
}

pub(super) fn follow_up(command_id: &str, kind: &str, held: &str) -> Value {
    json!({"command_id": command_id, "type": kind, "tenant": "t", "environment": "live",
        "customer": {"key": "a"}, "claim": {"held": held}})
}

pub(super) fn at_slot() -> Value {
    json!({"accepted": {"customer_id": "slot", "from_version": 0, "to_version": 0}})
}

pub(super) fn report(report_id: &str) -> Value {
    json!({"type": "UsageRecorded.v1", "report_id": report_id, "meter": "m",
        "occurred_at": "2026-10-31T23:59:59.500Z", "quantity": "2", "raw": "0.25",
        "charged": "0.3",
        "period": {"start": "2026-10-01T00:00:00Z", "end": "2026-11-01T00:00:00Z"}})
}
