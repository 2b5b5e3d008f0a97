//! Bytes and records: how a decision and a claim are written, and read back, whatever version wrote
//! them. Stored bytes are never touched; an event of an older version is upcast on reading (see
//! [`crate::versions`]).

use std::borrow::Cow;
use std::io::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::chain::Head;
use crate::command::Command;
use crate::decision::{Decision, FORMAT, Outcome, SourceRef};
use crate::event::Event;
use crate::ids::CommandId;
use crate::time::Timestamp;
use crate::versions;

/// Why bytes are no record that this build reads.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableRecord {
    /// A format that this build does not know.
    #[error("record format {version} is not known")]
    Format {
        /// The format.
        version: u32,
    },
    /// Not JSON, or not of the shape of a record.
    #[error("no record")]
    Syntax(#[source] serde_json::Error),
    /// JSON, but neither a decision nor a claim.
    #[error("no record: {0}")]
    Shape(&'static str),
    /// An event that this build cannot read.
    #[error("event {type_name} cannot be read")]
    Event {
        /// Its type name.
        type_name: String,
        /// Why.
        #[source]
        source: Option<serde_json::Error>,
    },
}

/// What the chain needs to know of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peeked {
    /// A new owner's claim.
    Claim {
        /// Its term.
        term: u64,
    },
    /// A decision.
    Decision {
        /// Term of its owner.
        term: u64,
        /// Its place.
        seq: u64,
        /// The head that it continues.
        prev: Head,
    },
}

/// A record, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A new owner's claim.
    Claim(Claimed),
    /// A decision.
    Decision(Box<Decision>),
    /// A note that something in the commands topic was no command. It takes up a place in the chain.
    DeadLetter(Box<DeadLetter>),
}

/// What is noted of something in the commands topic that was no command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Term of the owner.
    pub term: u64,
    /// Place in the partition.
    pub seq: u64,
    /// When it was noted.
    pub decided_at: Timestamp,
    /// Where it lies.
    pub source: SourceRef,
    /// Why it is no command.
    pub reason: Box<str>,
}

/// `TermClaimed`: an owner begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The term that begins.
    pub term: u64,
    /// Who claims it.
    pub owner: Box<str>,
    /// When.
    pub at: Timestamp,
}

/// What a decision record is made of, but for its place in the chain.
#[derive(Debug, Clone, Copy)]
pub struct DecisionParts<'a> {
    /// When it was decided.
    pub decided_at: Timestamp,
    /// Version of the rules.
    pub rules: &'a str,
    /// Where the command came from.
    pub source: SourceRef,
    /// The command, as JSON; `null` for what was no command.
    pub command: &'a [u8],
    /// What became of it.
    pub outcome: &'a Outcome,
    /// The releases that follow from it.
    pub gives_back: &'a [CommandId],
    /// The facts.
    pub events: &'a [Event],
}

/// Where the parts of a written record lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The `events` array within the record.
    pub events: std::ops::Range<usize>,
}

/// Writes one decision record at the end of `record`.
///
/// # Panics
/// Never: the parts are values that serde can write to memory.
pub fn write_decision(
    record: &mut Vec<u8>,
    term: u64,
    seq: u64,
    prev: &Head,
    parts: &DecisionParts<'_>,
) -> Written {
    const IN_MEMORY: &str = "writing JSON to memory";
    let mut head = [0; 43];
    prev.encode(&mut head);
    write!(record, r#"{{"v":{FORMAT},"term":{term},"seq":{seq},"prev":""#).expect(IN_MEMORY);
    record.extend_from_slice(&head);
    write!(record, r#"","decided_at":"{}","rules":"#, parts.decided_at).expect(IN_MEMORY);
    serde_json::to_writer(&mut *record, parts.rules).expect(IN_MEMORY);
    record.extend_from_slice(br#","source":"#);
    serde_json::to_writer(&mut *record, &parts.source).expect(IN_MEMORY);
    record.extend_from_slice(br#","command":"#);
    record.extend_from_slice(parts.command);
    record.extend_from_slice(br#","outcome":"#);
    serde_json::to_writer(&mut *record, parts.outcome).expect(IN_MEMORY);
    if !parts.gives_back.is_empty() {
        record.extend_from_slice(br#","gives_back":"#);
        serde_json::to_writer(&mut *record, parts.gives_back).expect(IN_MEMORY);
    }
    record.extend_from_slice(br#","events":"#);
    let start = record.len();
    serde_json::to_writer(&mut *record, parts.events).expect(IN_MEMORY);
    let events = start..record.len();
    record.push(b'}');
    Written { events }
}

/// Writes one claim record.
///
/// # Panics
/// Never: the parts are values that serde can write to memory.
pub fn write_claim(claimed: &Claimed) -> Vec<u8> {
    let record = ClaimRecord {
        v: FORMAT,
        term: claimed.term,
        claimed: ClaimBody { owner: Cow::Borrowed(&claimed.owner), at: claimed.at },
    };
    serde_json::to_vec(&record).expect("writing JSON to memory")
}

#[derive(Serialize, Deserialize)]
struct ClaimRecord<'a> {
    v: u32,
    term: u64,
    #[serde(borrow)]
    claimed: ClaimBody<'a>,
}

#[derive(Serialize, Deserialize)]
struct ClaimBody<'a> {
    #[serde(borrow)]
    owner: Cow<'a, str>,
    at: Timestamp,
}

#[derive(Deserialize)]
struct Versioned {
    v: u32,
}

#[derive(Deserialize)]
struct PeekedRecord<'a> {
    v: u32,
    term: Option<u64>,
    seq: Option<u64>,
    prev: Option<Head>,
    #[serde(borrow)]
    claimed: Option<ClaimBody<'a>>,
}

/// Reads what the chain needs to know of a record.
///
/// A record as this build writes it is told by its first bytes alone; its body is looked at when it
/// is read. Any other spelling is parsed as a whole.
///
/// # Errors
/// [`UnreadableRecord`] when the bytes are neither a decision nor a claim.
pub fn peek(record: &[u8]) -> Result<Peeked, UnreadableRecord> {
    if let Some(peeked) = peek_prefix(record) {
        return Ok(peeked);
    }
    let Versioned { v: version } =
        serde_json::from_slice(record).map_err(UnreadableRecord::Syntax)?;
    if version != FORMAT {
        return Err(UnreadableRecord::Format { version });
    }
    let peeked: PeekedRecord<'_> =
        serde_json::from_slice(record).map_err(UnreadableRecord::Syntax)?;
    debug_assert_eq!(peeked.v, version, "the same member");
    match peeked {
        PeekedRecord { term: Some(term), seq: None, prev: None, claimed: Some(_), .. } => {
            Ok(Peeked::Claim { term })
        }
        PeekedRecord {
            term: Some(term), seq: Some(seq), prev: Some(prev), claimed: None, ..
        } => Ok(Peeked::Decision { term, seq, prev }),
        PeekedRecord { .. } => Err(UnreadableRecord::Shape("neither a decision nor a claim")),
    }
}

/// Reads `{"v":1,"term":T,"seq":S,"prev":"…","decided_at":"` without a parser, and looks that the
/// record ends as an object does.
fn peek_prefix(record: &[u8]) -> Option<Peeked> {
    let rest = record.strip_prefix(br#"{"v":1,"term":"#)?;
    let (term, rest) = digits(rest)?;
    let rest = rest.strip_prefix(br#","seq":"#)?;
    let (seq, rest) = digits(rest)?;
    let rest = rest.strip_prefix(br#","prev":""#)?;
    let prev = Head::decode(rest.get(..43)?)?;
    let rest = rest.get(43..)?.strip_prefix(br#"","decided_at":""#)?;
    rest.ends_with(b"}]}").then_some(()).or_else(|| rest.ends_with(b"[]}").then_some(()))?;
    Some(Peeked::Decision { term, seq, prev })
}

fn digits(text: &[u8]) -> Option<(u64, &[u8])> {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at(length);
    if length > 1 && number.first() == Some(&b'0') {
        return None;
    }
    Some((std::str::from_utf8(number).ok()?.parse().ok()?, rest))
}

#[derive(Deserialize)]
struct DecisionRecord<'a> {
    term: u64,
    seq: u64,
    prev: Head,
    decided_at: Timestamp,
    rules: Box<str>,
    source: SourceRef,
    command: Option<Command>,
    outcome: Outcome,
    #[serde(default)]
    gives_back: Vec<CommandId>,
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

/// Reads a record in full.
///
/// # Errors
/// [`UnreadableRecord`] when the bytes are no record, or hold an event that this build does not know.
pub fn read(record: &[u8]) -> Result<Record, UnreadableRecord> {
    read_with_events(record).map(|(record, _)| record)
}

/// Reads a record in full, and gives its events as they were recorded beside it (a claim has none).
///
/// # Errors
/// [`UnreadableRecord`] when the bytes are no record, or hold an event that this build does not know.
pub fn read_with_events(record: &[u8]) -> Result<(Record, Vec<&RawValue>), UnreadableRecord> {
    match peek(record)? {
        Peeked::Claim { .. } => {
            let ClaimRecord { term, claimed, .. } =
                serde_json::from_slice(record).map_err(UnreadableRecord::Syntax)?;
            let claimed = Claimed { term, owner: claimed.owner.into(), at: claimed.at };
            Ok((Record::Claim(claimed), Vec::new()))
        }
        Peeked::Decision { .. } => {
            let DecisionRecord {
                term,
                seq,
                prev,
                decided_at,
                rules,
                source,
                command,
                outcome,
                gives_back,
                events: recorded,
            } = serde_json::from_slice(record).map_err(UnreadableRecord::Syntax)?;
            let Some(command) = command else {
                let Outcome::DeadLettered { reason } = outcome else {
                    return Err(UnreadableRecord::Shape("a decision without its command"));
                };
                let letter = DeadLetter { term, seq, decided_at, source, reason };
                return Ok((Record::DeadLetter(Box::new(letter)), Vec::new()));
            };
            let events =
                recorded.iter().map(|event| read_event(event)).collect::<Result<_, _>>()?;
            let decision = Decision {
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
            };
            Ok((Record::Decision(Box::new(decision)), recorded))
        }
    }
}

/// Reads one event of any version that was ever written.
///
/// # Errors
/// [`UnreadableRecord::Event`] when the type is not known or its body does not fit.
pub fn read_event(raw: &RawValue) -> Result<Event, UnreadableRecord> {
    #[derive(Deserialize)]
    struct Typed<'a> {
        #[serde(rename = "type", borrow)]
        type_name: Cow<'a, str>,
    }
    let text = raw.get();
    let type_name: Cow<'_, str> = match type_prefix(text) {
        Some(name) => name.into(),
        None => {
            serde_json::from_str::<Typed<'_>>(text).map_err(UnreadableRecord::Syntax)?.type_name
        }
    };
    versions::read(versions::ALL, &type_name, text)
        .map_err(|source| UnreadableRecord::Event { type_name: type_name.into_owned(), source })
}

/// Reads `{"type":"…"` as this build writes it.
fn type_prefix(text: &str) -> Option<&str> {
    let (name, _) = text.strip_prefix(r#"{"type":""#)?.split_once('"')?;
    (!name.contains('\\')).then_some(name)
}
