//! What a state needs of a record, read in one pass: most records are of usage, and whoever replays
//! them has millions of them to read.
//!
//! Of a usage command that is not held the reports are left out: its events say all that counts. Any
//! record that is not plain usage as this build writes it is read by [`codec::read`], in full.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::chain::Head;
use crate::codec::{self, Record, UnreadableRecord};
use crate::command::{Command, CommandBody, Context, Routed};
use crate::customer::{BudgetThresholdReached, CustomerCreated, UsageRecorded};
use crate::decision::{Decision, FORMAT, Outcome, SourceRef};
use crate::event::Event;
use crate::ids::{Actor, CommandId, CustomerRef, Environment, Origin, Scope, Tenant, Token};
use crate::time::Timestamp;

/// Reads a record as far as a state needs it.
///
/// # Errors
/// As [`codec::read`].
pub fn read(record: &[u8]) -> Result<Record, UnreadableRecord> {
    match usage(record) {
        Some(decision) => Ok(Record::Decision(Box::new(decision))),
        None => codec::read(record),
    }
}

/// Reads a decision about plain usage; nothing for any other record, right or wrong.
fn usage(record: &[u8]) -> Option<Decision> {
    let text = std::str::from_utf8(record).ok()?;
    let UsageRecord { v, term, seq, prev, decided_at, rules, source, command, outcome, events } =
        serde_json::from_str(text).ok()?;
    let is_held = matches!(outcome, Outcome::Deferred(_));
    if v != FORMAT || is_held || !command.reports.get().starts_with('[') {
        return None;
    }
    let (command, rules) = (command.into_command(), rules.into());
    let (events, gives_back) = (events.0, Vec::new());
    Some(Decision {
        term,
        seq,
        prev,
        decided_at,
        rules,
        source,
        command,
        outcome,
        gives_back,
        events,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UsageRecord<'a> {
    v: u32,
    term: u64,
    seq: u64,
    prev: Head,
    decided_at: Timestamp,
    rules: &'a str,
    source: SourceRef,
    #[serde(borrow)]
    command: UsageCommand<'a>,
    outcome: Outcome,
    events: UsualEvents,
}

/// The type of command that is read here; for any other, reading ends where it says so.
#[derive(Deserialize)]
enum OnlyUsage {
    RecordUsage,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UsageCommand<'a> {
    command_id: CommandId,
    tenant: Tenant,
    environment: Environment,
    #[serde(rename = "type")]
    command_type: OnlyUsage,
    customer: CustomerRef,
    issued_at: Timestamp,
    actor: Actor,
    source: Origin,
    idempotency_key: Option<Token>,
    fingerprint: Option<Token>,
    #[serde(default)]
    refusal_frees_key: bool,
    expected_version: Option<u64>,
    correlation_id: Option<Token>,
    causation_id: Option<Token>,
    traceparent: Option<Token>,
    reason: Option<Token>,
    #[serde(default)]
    dry_run: bool,
    routed: Option<Routed>,
    #[serde(borrow)]
    reports: &'a RawValue,
}

impl UsageCommand<'_> {
    fn into_command(self) -> Command {
        let OnlyUsage::RecordUsage = self.command_type;
        Command {
            command_id: self.command_id,
            scope: Scope { tenant: self.tenant, environment: self.environment },
            customer: self.customer,
            issued_at: self.issued_at,
            actor: self.actor,
            source: self.source,
            context: Context {
                idempotency_key: self.idempotency_key,
                fingerprint: self.fingerprint,
                refusal_frees_key: self.refusal_frees_key,
                expected_version: self.expected_version,
                correlation_id: self.correlation_id,
                causation_id: self.causation_id,
                traceparent: self.traceparent,
                reason: self.reason,
                dry_run: self.dry_run,
            },
            routed: self.routed,
            body: CommandBody::RecordUsage(Vec::new()),
        }
    }
}

/// Events that usage causes.
struct UsualEvents(Vec<Event>);

impl<'de> Deserialize<'de> for UsualEvents {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = UsualEvents;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("events")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<UsualEvents, A::Error> {
                let mut events = Vec::with_capacity(1);
                while let Some(UsualEvent(event)) = items.next_element()? {
                    events.push(event);
                }
                Ok(UsualEvents(events))
            }
        }
        deserializer.deserialize_seq(List)
    }
}

/// An event whose first member is its type, one of those that usage causes most.
struct UsualEvent(Event);

impl<'de> Deserialize<'de> for UsualEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Typed;
        impl<'de> Visitor<'de> for Typed {
            type Value = UsualEvent;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an event of usage")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<UsualEvent, A::Error> {
                if members.next_key::<&str>()? != Some("type") {
                    return Err(A::Error::custom("the type is not first"));
                }
                let name = members.next_value::<&str>()?;
                let body = MapAccessDeserializer::new(members);
                let event = match name {
                    "UsageRecorded.v1" => {
                        UsageRecorded::deserialize(body).map(Event::UsageRecorded)
                    }
                    "CustomerCreated.v1" => {
                        CustomerCreated::deserialize(body).map(Event::CustomerCreated)
                    }
                    "BudgetThresholdReached.v1" => {
                        BudgetThresholdReached::deserialize(body).map(Event::BudgetThresholdReached)
                    }
                    _ => Err(A::Error::custom("another event")),
                };
                event.map(UsualEvent)
            }
        }
        deserializer.deserialize_map(Typed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(command: &str, outcome: &str, events: &str) -> Vec<u8> {
        format!(
            r#"{{"v":1,"term":3,"seq":42,"prev":"{}","decided_at":"2026-01-15T12:00:00Z","rules":"2","source":{{"kind":"topic","partition":3,"offset":991,"prev_offset":null}},"command":{{"command_id":"0198c5f0-0000-7000-8000-000000000001","tenant":"t","environment":"live","type":"RecordUsage","customer":{{"key":"acme"}},"issued_at":"2026-01-15T12:00:00Z","actor":"a","source":"api"{command},"reports":[{{"report_id":"r","occurred_at":"2026-01-15T11:00:00Z","meter":"m","quantity":"1","cost":"0.5"}}]}},"outcome":{outcome},"events":{events}}}"#,
            Head::START
        )
        .into_bytes()
    }

    const ACCEPTED: &str = r#"{"accepted":{"customer_id":"3f809f54-897b-578e-9666-4beae021ba94","from_version":1,"to_version":2}}"#;
    const USED: &str = r#"{"type":"UsageRecorded.v1","report_id":"r","occurred_at":"2026-01-15T11:00:00Z","meter":"m","quantity":"1","raw":"0.5","charged":"0.5","period":{"start":"2026-01-01T00:00:00Z","end":"2026-02-01T00:00:00Z"}}"#;

    #[test]
    fn usage_is_read_in_one_pass_and_says_the_same() {
        let key = r#","idempotency_key":"k","fingerprint":"f","refusal_frees_key":true,"traceparent":"00-1","reason":"why""#;
        for (command, events) in
            [("", format!("[{USED}]")), (key, format!("[{USED},{USED}]")), (key, "[]".to_owned())]
        {
            let record = recorded(command, ACCEPTED, &events);
            let lean = usage(&record).unwrap();
            let Record::Decision(mut full) = codec::read(&record).unwrap() else {
                panic!("it is a decision")
            };
            full.command.body = CommandBody::RecordUsage(Vec::new());
            assert_eq!(lean, *full);
        }
    }

    #[test]
    fn what_is_no_plain_usage_is_read_in_full() {
        let archived = r#"{"type":"CustomerArchived.v1","key":null}"#;
        let turned = USED.replace(r#""type":"UsageRecorded.v1","#, "");
        let turned = turned.replace(r#""meter""#, r#""type":"UsageRecorded.v1","meter""#);
        let deferred = r#"{"deferred":{"customer_id":"3f809f54-897b-578e-9666-4beae021ba94","claim":{"key":"acme","claimant":"3f809f54-897b-578e-9666-4beae021ba94","held":"0198c5f0-0000-7000-8000-000000000001"}}}"#;
        for record in [
            recorded("", ACCEPTED, &format!("[{turned}]")),
            recorded("", ACCEPTED, &format!("[{archived}]")),
            recorded("", deferred, "[]"),
        ] {
            assert!(usage(&record).is_none());
        }
        let turned = recorded("", ACCEPTED, &format!("[{turned}]"));
        assert_eq!(read(&turned).unwrap(), codec::read(&turned).unwrap());
        // Another format, another type, bytes that are none: told as ever.
        let text = String::from_utf8(recorded("", ACCEPTED, "[]")).unwrap();
        let later = text.replace(r#"{"v":1,"#, r#"{"v":2,"#);
        assert!(matches!(read(later.as_bytes()), Err(UnreadableRecord::Format { version: 2 })));
        let unread = text.replace(r#""term":3"#, r#""term":"three""#);
        assert!(read(unread.as_bytes()).is_err());
        assert!(read(b"\xff").is_err());
    }
}
