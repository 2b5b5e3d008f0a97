//! Which records of a journal count: the reader rule, the same piece of code for every reader.
//!
//! Per partition a reader keeps where it is, the term, the seq and the rolling head. A record is
//! judged once, at its offset, in offset order, and never anew: the first valid one wins. What does
//! not continue the chain is skipped by all readers alike; what cannot be explained halts.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::codec::{self, Peeked, UnreadableRecord};
use crate::text::TextError;

/// How many of the last heads a reader remembers, to tell a repeat from a fork.
pub const REMEMBERED: usize = 4_096;

/// A place in the stored log of one partition, valid records and skipped ones alike.
pub type Offset = u64;

/// The rolling head: SHA-256 over the head before and the record's bytes. 32 zero bytes at the start.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Head(pub [u8; 32]);

impl Head {
    /// The head before the first record.
    pub const START: Self = Self([0; 32]);

    /// Gives the head after a record.
    #[must_use]
    pub fn rolled(&self, record: &[u8]) -> Self {
        Self(Sha256::new().chain_update(self.0).chain_update(record).finalize().into())
    }

    /// Writes the head as base64url without padding.
    pub fn encode(&self, text: &mut [u8; 43]) {
        URL_SAFE_NO_PAD.encode_slice(self.0, text).expect("32 bytes are 43 characters");
    }

    /// Reads a head from base64url.
    pub(crate) fn decode(text: &[u8]) -> Option<Self> {
        let mut head = [0; 33];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut head).ok()?;
        Some(Self(head.get(..length)?.try_into().ok()?))
    }
}

impl fmt::Display for Head {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 43];
        self.encode(&mut text);
        formatter.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl std::str::FromStr for Head {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        Self::decode(text.as_bytes()).ok_or(TextError::new("is not a head: 32 bytes in base64url"))
    }
}

impl Serialize for Head {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Head {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::deserialize_text(deserializer, "a head")
    }
}

impl JsonSchema for Head {
    fn schema_name() -> Cow<'static, str> {
        "Head".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[A-Za-z0-9_-]{43}$"})
    }
}

/// Where a reader stands: enough to go on from. The next decision's `prev` proves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The next offset to judge.
    pub offset: Offset,
    /// The term of the last valid claim.
    pub term: u64,
    /// The seq of the last valid record.
    pub seq: u64,
    /// The rolling head after it.
    pub head: Head,
}

impl Checkpoint {
    /// Before the first record.
    pub const START: Self = Self { offset: 0, term: 0, seq: 0, head: Head::START };
}

/// What a record is to a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// A claim that counts: a new term begins.
    Claimed,
    /// A decision that counts.
    Valid,
    /// A claim of a term that is not above ours: skip.
    VoidClaim,
    /// A decision of an older term: skip.
    Zombie,
    /// A decision of our term whose predecessor was lost on the way: skip.
    Gap,
    /// A decision of our term that counted before: skip.
    Repeat,
}

impl Verdict {
    /// Tells whether the record counts.
    pub const fn counts(self) -> bool {
        matches!(self, Self::Claimed | Self::Valid)
    }
}

/// Why a reader stops for good, at `offset`, and never skips.
#[derive(Debug, thiserror::Error)]
pub enum Halt {
    /// Two records for one place.
    #[error(
        "two records for seq {seq} of term {term}: the record at offset {offset} forks the journal"
    )]
    Fork {
        /// Where.
        offset: Offset,
        /// The term of both.
        term: u64,
        /// The seq of both.
        seq: u64,
    },
    /// A decision of a term that nobody claimed here.
    #[error("decision of term {found} at offset {offset}, but the last claim is of term {term}")]
    TermAhead {
        /// Where.
        offset: Offset,
        /// The term of the record.
        found: u64,
        /// Our term.
        term: u64,
    },
    /// A record of a later build.
    #[error(
        "record of format {version} at offset {offset}: this build knows format {}",
        crate::decision::FORMAT
    )]
    UnknownFormat {
        /// Where.
        offset: Offset,
        /// Its format.
        version: u32,
    },
    /// Bytes that are no record.
    #[error("unreadable record at offset {offset}")]
    Unreadable {
        /// Where.
        offset: Offset,
        /// What the codec says.
        #[source]
        source: UnreadableRecord,
    },
    /// Records came out of order, or were left out.
    #[error("record at offset {found} where offset {offset} or a later one was due")]
    OutOfOrder {
        /// What was due.
        offset: Offset,
        /// What came.
        found: Offset,
    },
    /// The log ends before our head.
    #[error("the log ends at offset {end}, but records up to {offset} were judged")]
    Truncated {
        /// Where we stand.
        offset: Offset,
        /// Where the log ends.
        end: Offset,
    },
    /// The log begins after where we stand.
    #[error("the log begins at offset {low}, but offset {offset} is the next to judge")]
    Trimmed {
        /// Where we stand.
        offset: Offset,
        /// Where the log begins.
        low: Offset,
    },
    /// Our record was delivered where another one was judged.
    #[error("our record was delivered at offset {offset}, where another record was judged")]
    DeliveredElsewhere {
        /// Where.
        offset: Offset,
    },
    /// The head differs from that of a checkpoint at the same place.
    #[error("the head at seq {seq} is not that of the checkpoint")]
    BesideCheckpoint {
        /// Where.
        seq: u64,
    },
}

/// A reader of one partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Chain {
    at: Checkpoint,
    /// The heads after the last records; the last is `at.head`. They tell repeats from forks.
    recent: VecDeque<Head>,
}

impl Default for Chain {
    fn default() -> Self {
        Self::from(Checkpoint::START)
    }
}

impl From<Checkpoint> for Chain {
    fn from(at: Checkpoint) -> Self {
        Self { at, recent: VecDeque::from([at.head]) }
    }
}

impl Chain {
    /// Gives where the reader stands.
    pub const fn checkpoint(&self) -> Checkpoint {
        self.at
    }

    /// Gives the head before the last record that counts; nothing when none was judged yet.
    pub fn head_before(&self) -> Option<Head> {
        self.recent.iter().rev().nth(1).copied()
    }

    /// Judges the record at an offset and, when it counts, moves the head on.
    ///
    /// # Errors
    /// [`Halt`] when the record cannot be explained. The reader has not moved; a second call halts again.
    pub fn judge(&mut self, offset: Offset, record: &[u8]) -> Result<Verdict, Halt> {
        if offset < self.at.offset {
            return Err(Halt::OutOfOrder { offset: self.at.offset, found: offset });
        }
        let verdict = self.verdict(offset, record)?;
        if verdict.counts() {
            self.roll(record);
        }
        self.at.offset = offset + 1;
        Ok(verdict)
    }

    fn verdict(&mut self, offset: Offset, record: &[u8]) -> Result<Verdict, Halt> {
        let peeked = codec::peek(record).map_err(|source| match source {
            UnreadableRecord::Format { version } => Halt::UnknownFormat { offset, version },
            UnreadableRecord::Syntax(_)
            | UnreadableRecord::Shape(_)
            | UnreadableRecord::Event { .. } => Halt::Unreadable { offset, source },
        })?;
        match peeked {
            Peeked::Claim { term } if term > self.at.term => {
                self.at.term = term;
                Ok(Verdict::Claimed)
            }
            Peeked::Claim { .. } => Ok(Verdict::VoidClaim),
            Peeked::Decision { term, seq, prev } => {
                self.decision(offset, record, (term, seq, prev))
            }
        }
    }

    fn decision(
        &self,
        offset: Offset,
        record: &[u8],
        (term, seq, prev): (u64, u64, Head),
    ) -> Result<Verdict, Halt> {
        if term > self.at.term {
            return Err(Halt::TermAhead { offset, found: term, term: self.at.term });
        }
        if term < self.at.term {
            return Ok(Verdict::Zombie);
        }
        if seq > self.at.seq + 1 {
            return Ok(Verdict::Gap);
        }
        if seq == self.at.seq + 1 {
            return if prev == self.at.head {
                Ok(Verdict::Valid)
            } else {
                Err(Halt::Fork { offset, term, seq })
            };
        }
        match self.remembered(seq) {
            Some(head) if head != prev.rolled(record) => Err(Halt::Fork { offset, term, seq }),
            Some(_) | None => Ok(Verdict::Repeat),
        }
    }

    /// Gives the head after the record at a seq, when that is remembered.
    fn remembered(&self, seq: u64) -> Option<Head> {
        let back = usize::try_from(self.at.seq.checked_sub(seq)?).ok()?;
        let place = self.recent.len().checked_sub(back + 1)?;
        // The head that a reader started from belongs to a record that it has not seen: it counts too,
        // for it is the head after the record at the checkpoint's seq.
        self.recent.get(place).copied()
    }

    fn roll(&mut self, record: &[u8]) {
        self.at.head = self.at.head.rolled(record);
        self.at.seq += 1;
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(self.at.head);
    }

    /// Judges a record of our own that was delivered at the very next offset: nobody wrote between, so
    /// its bytes need not be read again. The caller knows that it continues the chain.
    pub fn advance_own(&mut self, offset: Offset, head: Head) {
        debug_assert_eq!(offset, self.at.offset, "only a contiguous delivery needs no reading");
        self.at = Checkpoint { offset: offset + 1, term: self.at.term, seq: self.at.seq + 1, head };
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(head);
    }

    /// Checks the bounds of the log against where the reader stands.
    ///
    /// # Errors
    /// [`Halt::Trimmed`] when the log begins after, [`Halt::Truncated`] when it ends before.
    pub fn check_bounds(&self, low: Offset, end: Offset) -> Result<(), Halt> {
        let offset = self.at.offset;
        if low > offset {
            return Err(Halt::Trimmed { offset, low });
        }
        if end < offset {
            return Err(Halt::Truncated { offset, end });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::{Claimed, DecisionParts, write_claim, write_decision};
    use crate::decision::{Outcome, SourceRef};
    use crate::time::Timestamp;

    fn claim(term: u64) -> Vec<u8> {
        let at = Timestamp::from_micros(0);
        write_claim(&Claimed { term, owner: "a test".into(), at })
    }

    /// A decision at a place of the chain; `what` makes its bytes its own.
    fn decision(term: u64, seq: u64, prev: Head, what: &str) -> Vec<u8> {
        let mut record = Vec::new();
        let parts = DecisionParts {
            decided_at: Timestamp::from_micros(0),
            rules: "1",
            source: SourceRef::Local,
            command: b"{}",
            outcome: &Outcome::DeadLettered { reason: what.into() },
            gives_back: &[],
            events: &[],
        };
        write_decision(&mut record, term, seq, &prev, &parts);
        record
    }

    /// A decision that continues a chain.
    fn next(chain: &Chain, what: &str) -> Vec<u8> {
        let Checkpoint { term, seq, head, .. } = chain.checkpoint();
        decision(term, seq + 1, head, what)
    }

    /// A reader that has judged a claim of term 3 and four decisions: seq 5, offset 5.
    fn reader() -> (Chain, Vec<Vec<u8>>) {
        let mut chain = Chain::default();
        let mut log = vec![claim(3)];
        assert_eq!(chain.judge(0, &log[0]).unwrap(), Verdict::Claimed);
        for offset in 1..5 {
            let record = next(&chain, &format!("decision at {offset}"));
            assert_eq!(chain.judge(offset, &record).unwrap(), Verdict::Valid);
            log.push(record);
        }
        (chain, log)
    }

    /// The record is skipped: the reader goes on at the next offset, and nothing else has changed.
    fn skipped(mut chain: Chain, record: &[u8]) -> Verdict {
        let before = chain.clone();
        let offset = chain.checkpoint().offset;
        let verdict = chain.judge(offset, record).unwrap();
        assert!(!verdict.counts());
        let mut expected = before;
        expected.at.offset += 1;
        assert_eq!(chain, expected);
        verdict
    }

    /// The reader halts, has not moved, and halts again.
    fn halted(mut chain: Chain, record: &[u8]) -> String {
        let before = chain.clone();
        let offset = chain.checkpoint().offset;
        let halt = chain.judge(offset, record).unwrap_err().to_string();
        assert_eq!(chain, before);
        assert_eq!(chain.judge(offset, record).unwrap_err().to_string(), halt);
        assert_eq!(chain, before);
        halt
    }

    #[test]
    fn the_head_is_the_digest_of_the_head_before_and_the_records_bytes() {
        let record = claim(1);
        let digest = Sha256::digest([[0; 32].as_slice(), &record].concat());
        let first = Head::START.rolled(&record);
        assert_eq!(first.0, <[u8; 32]>::from(digest));
        let digest = Sha256::digest([first.0.as_slice(), b"second"].concat());
        assert_eq!(first.rolled(b"second").0, <[u8; 32]>::from(digest));
    }

    #[test]
    fn before_the_first_record_everything_is_zero() {
        let start = Checkpoint { offset: 0, term: 0, seq: 0, head: Head([0; 32]) };
        assert_eq!(Chain::default().checkpoint(), start);
    }

    #[test]
    fn a_claim_above_our_term_counts_and_takes_one_seq() {
        let (mut chain, _) = reader();
        let before = chain.checkpoint();
        let record = claim(7);
        assert_eq!(chain.judge(5, &record).unwrap(), Verdict::Claimed);
        let after = Checkpoint { offset: 6, term: 7, seq: 6, head: before.head.rolled(&record) };
        assert_eq!(chain.checkpoint(), after);
    }

    #[test]
    fn a_claim_of_our_term_is_void() {
        assert_eq!(skipped(reader().0, &claim(3)), Verdict::VoidClaim);
    }

    #[test]
    fn a_claim_below_our_term_is_void() {
        assert_eq!(skipped(reader().0, &claim(2)), Verdict::VoidClaim);
    }

    #[test]
    fn a_decision_that_continues_the_chain_counts() {
        let (mut chain, _) = reader();
        let before = chain.checkpoint();
        let record = next(&chain, "the next");
        assert_eq!(chain.judge(5, &record).unwrap(), Verdict::Valid);
        let after = Checkpoint { offset: 6, term: 3, seq: 6, head: before.head.rolled(&record) };
        assert_eq!(chain.checkpoint(), after);
    }

    #[test]
    fn a_decision_of_an_older_term_is_a_zombie_wherever_it_would_fit() {
        let (mut chain, log) = reader();
        let late = next(&chain, "decided before the claim was seen");
        chain.judge(5, &claim(4)).unwrap();
        assert_eq!(skipped(chain.clone(), &late), Verdict::Zombie);
        assert_eq!(skipped(chain.clone(), &log[4]), Verdict::Zombie);
        let Checkpoint { seq, head, .. } = chain.checkpoint();
        assert_eq!(skipped(chain.clone(), &decision(3, seq + 1, head, "fits")), Verdict::Zombie);
        assert_eq!(skipped(chain, &decision(2, 900, Head::START, "far")), Verdict::Zombie);
    }

    #[test]
    fn a_decision_whose_predecessor_was_lost_is_a_gap() {
        let (chain, _) = reader();
        let lost = next(&chain, "lost on the way");
        let head = chain.checkpoint().head.rolled(&lost);
        assert_eq!(skipped(chain.clone(), &decision(3, 7, head, "next")), Verdict::Gap);
        assert_eq!(skipped(chain, &decision(3, 900, Head::START, "far")), Verdict::Gap);
    }

    #[test]
    fn a_decision_that_counted_before_is_a_repeat() {
        let (chain, log) = reader();
        for record in &log[1..] {
            assert_eq!(skipped(chain.clone(), record), Verdict::Repeat);
        }
    }

    #[test]
    fn a_decision_too_old_to_remember_is_a_repeat_whatever_its_bytes() {
        let (mut chain, _) = reader();
        let remembered = u64::try_from(REMEMBERED).unwrap();
        for offset in 5..remembered {
            let record = next(&chain, "one more");
            chain.judge(offset, &record).unwrap();
        }
        // 4,096 records are judged, and all are remembered: the claim too.
        let other = |seq| decision(3, seq, Head::START, "other bytes");
        let fork = "two records for seq 1 of term 3: the record at offset 4096 forks the journal";
        assert_eq!(halted(chain.clone(), &other(1)), fork);
        let record = next(&chain, "the first is forgotten");
        chain.judge(remembered, &record).unwrap();
        assert_eq!(skipped(chain.clone(), &other(1)), Verdict::Repeat);
        let fork = "two records for seq 2 of term 3: the record at offset 4097 forks the journal";
        assert_eq!(halted(chain, &other(2)), fork);
    }

    #[test]
    fn other_bytes_for_a_seq_that_counted_are_a_fork() {
        let (chain, _) = reader();
        let (_, log) = reader();
        let prev = log[..4].iter().fold(Head::START, |head, record| head.rolled(record));
        let forked = decision(3, 5, prev, "other bytes on the same head");
        let fork = "two records for seq 5 of term 3: the record at offset 5 forks the journal";
        assert_eq!(halted(chain, &forked), fork);
    }

    #[test]
    fn a_decision_at_the_seq_of_the_claim_of_its_term_is_a_fork() {
        let (mut chain, _) = reader();
        let before = chain.checkpoint();
        chain.judge(5, &claim(4)).unwrap();
        let forked = decision(4, 6, before.head, "in the place of the claim");
        let fork = "two records for seq 6 of term 4: the record at offset 6 forks the journal";
        assert_eq!(halted(chain, &forked), fork);
    }

    #[test]
    fn the_next_seq_on_another_head_is_a_fork() {
        let (chain, _) = reader();
        let forked = decision(3, 6, Head::START, "beside");
        let fork = "two records for seq 6 of term 3: the record at offset 5 forks the journal";
        assert_eq!(halted(chain, &forked), fork);
    }

    #[test]
    fn the_first_of_two_that_fit_counts_and_the_second_halts() {
        let (mut chain, _) = reader();
        let (first, second) = (next(&chain, "first"), next(&chain, "second"));
        assert_eq!(chain.judge(5, &first).unwrap(), Verdict::Valid);
        let fork = "two records for seq 6 of term 3: the record at offset 6 forks the journal";
        assert_eq!(halted(chain, &second), fork);
    }

    #[test]
    fn a_decision_of_a_term_that_nobody_claimed_halts() {
        let (chain, _) = reader();
        let Checkpoint { seq, head, .. } = chain.checkpoint();
        let halt = "decision of term 4 at offset 5, but the last claim is of term 3";
        assert_eq!(halted(chain, &decision(4, seq + 1, head, "unclaimed")), halt);
        let halt = "decision of term 1 at offset 0, but the last claim is of term 0";
        assert_eq!(halted(Chain::default(), &decision(1, 1, Head::START, "first")), halt);
    }

    #[test]
    fn a_record_of_another_format_halts() {
        let (chain, log) = reader();
        let of_format = |record: &[u8], format: &str| {
            let text = std::str::from_utf8(record).unwrap();
            text.replacen(r#""v":1"#, &format!(r#""v":{format}"#), 1).into_bytes()
        };
        let halt = "record of format 2 at offset 5: this build knows format 1";
        assert_eq!(halted(chain.clone(), &of_format(&next(&chain, "later"), "2")), halt);
        assert_eq!(halted(chain.clone(), &of_format(&claim(9), "2")), halt);
        assert_eq!(halted(chain.clone(), br#"{"v":2,"of":"another shape"}"#), halt);
        let halt = "record of format 0 at offset 5: this build knows format 1";
        assert_eq!(halted(chain, &of_format(&log[4], "0")), halt);
    }

    #[test]
    fn bytes_that_are_no_record_halt() {
        let (chain, _) = reader();
        let whole = next(&chain, "torn");
        let torn = &whole[..whole.len() - 1];
        let none: [&[u8]; 8] = [
            b"",
            b"\0\0\0\0",
            b"null",
            br#"{"v":1}"#,
            br#"{"v":1,"term":9}"#,
            br#"{"v":1,"term":9,"seq":1,"claimed":{"owner":"x","at":"2026-01-01T00:00:00Z"}}"#,
            br#"{"v":1,"term":-1,"claimed":{"owner":"x","at":"2026-01-01T00:00:00Z"}}"#,
            torn,
        ];
        for record in none {
            let halt = halted(chain.clone(), record);
            assert_eq!(halt, "unreadable record at offset 5", "{}", record.escape_ascii());
        }
    }

    #[test]
    fn a_record_that_was_judged_is_never_judged_anew() {
        let (mut chain, log) = reader();
        let before = chain.clone();
        let halt = chain.judge(4, &log[4]).unwrap_err().to_string();
        assert_eq!(halt, "record at offset 4 where offset 5 or a later one was due");
        assert_eq!(chain, before);
    }

    #[test]
    fn offsets_that_hold_no_record_are_passed_over() {
        let (mut chain, _) = reader();
        let record = next(&chain, "after a marker of the broker");
        assert_eq!(chain.judge(8, &record).unwrap(), Verdict::Valid);
        assert_eq!(chain.checkpoint().offset, 9);
    }

    #[test]
    fn a_log_that_ends_before_our_head_halts() {
        let (chain, _) = reader();
        let halt = chain.check_bounds(0, 4).unwrap_err().to_string();
        assert_eq!(halt, "the log ends at offset 4, but records up to 5 were judged");
    }

    #[test]
    fn a_log_that_begins_after_our_offset_halts() {
        let (chain, _) = reader();
        let halt = chain.check_bounds(6, 9).unwrap_err().to_string();
        assert_eq!(halt, "the log begins at offset 6, but offset 5 is the next to judge");
    }

    #[test]
    fn a_log_around_where_we_stand_is_well() {
        let (chain, _) = reader();
        chain.check_bounds(0, 5).unwrap();
        chain.check_bounds(5, 5).unwrap();
        chain.check_bounds(3, 900).unwrap();
    }

    #[test]
    fn halts_that_others_find_name_the_place() {
        assert_eq!(
            Halt::DeliveredElsewhere { offset: 7 }.to_string(),
            "our record was delivered at offset 7, where another record was judged"
        );
        assert_eq!(
            Halt::BesideCheckpoint { seq: 7 }.to_string(),
            "the head at seq 7 is not that of the checkpoint"
        );
    }

    #[test]
    fn an_own_record_at_the_very_next_offset_needs_no_reading() {
        let (mut judged, _) = reader();
        let mut advanced = judged.clone();
        let record = next(&judged, "ours");
        judged.judge(5, &record).unwrap();
        let head = advanced.checkpoint().head.rolled(&record);
        advanced.advance_own(5, head);
        assert_eq!(advanced, judged);
    }

    #[test]
    fn a_stored_checkpoint_is_proven_by_the_next_decision() {
        let (chain, log) = reader();
        let record = next(&chain, "the proof");
        let mut going_on = Chain::from(chain.checkpoint());
        assert_eq!(going_on.judge(5, &record).unwrap(), Verdict::Valid);
        let beside = Checkpoint { head: Head([9; 32]), ..chain.checkpoint() };
        let fork = "two records for seq 6 of term 3: the record at offset 5 forks the journal";
        assert_eq!(halted(Chain::from(beside), &record), fork);
        // The record at the checkpoint is known by the head, the ones before it are not remembered.
        let from_checkpoint = Chain::from(chain.checkpoint());
        assert_eq!(skipped(from_checkpoint.clone(), &log[4]), Verdict::Repeat);
        assert_eq!(skipped(from_checkpoint.clone(), &log[2]), Verdict::Repeat);
        let fork = "two records for seq 5 of term 3: the record at offset 5 forks the journal";
        assert_eq!(halted(from_checkpoint, &decision(3, 5, Head::START, "other")), fork);
    }

    #[test]
    fn a_head_reads_back_as_it_is_written() {
        let head = Head::START.rolled(b"x");
        let text = head.to_string();
        assert_eq!(text.len(), 43);
        assert_eq!(text.parse::<Head>().unwrap(), head);
        assert_eq!(serde_json::to_string(&head).unwrap(), format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<Head>(&format!("\"{text}\"")).unwrap(), head);
        assert!(format!("{text}A").parse::<Head>().is_err());
        assert!(text[1..].parse::<Head>().is_err());
    }

    /// What comes into the log beside the records that count.
    #[derive(Debug, Clone)]
    enum Noise {
        /// A replaced owner goes on with its own chain.
        Zombie(prop::sample::Index),
        /// A later record of the same owner comes before its predecessor.
        Early(prop::sample::Index),
        /// Something that was written before comes once more.
        Again(prop::sample::Index),
        /// Somebody claims a term that is taken.
        VoidClaim(prop::sample::Index),
    }

    fn noise() -> impl Strategy<Value = Noise> {
        prop_oneof![
            any::<prop::sample::Index>().prop_map(Noise::Zombie),
            any::<prop::sample::Index>().prop_map(Noise::Early),
            any::<prop::sample::Index>().prop_map(Noise::Again),
            any::<prop::sample::Index>().prop_map(Noise::VoidClaim),
        ]
    }

    /// The records that count: `true` is a claim of a new owner. Also gives the term of each.
    fn honest(claims: &[bool]) -> Vec<(u64, Vec<u8>)> {
        let (mut term, mut head) = (1, Head::START);
        let mut log = vec![];
        for (place, claims) in (0..).zip(std::iter::once(&true).chain(claims)) {
            term += u64::from(*claims);
            let record = match claims {
                true => claim(term),
                false => decision(term, place + 1, head, "honest"),
            };
            head = head.rolled(&record);
            log.push((term, record));
        }
        log
    }

    /// Puts noise before each honest record. Gives the log, and whether each record counts.
    fn noisy(honest: &[(u64, Vec<u8>)], noises: &[Vec<Noise>]) -> Vec<(bool, Vec<u8>)> {
        let mut log: Vec<(bool, Vec<u8>)> = vec![];
        // Replaced owners: term, seq and head of what they hold for the chain.
        let mut replaced: Vec<(u64, u64, Head)> = vec![];
        let (mut term, mut seq, mut head) = (0, 0, Head::START);
        for (place, (record, noises)) in honest.iter().zip(noises).enumerate() {
            for noise in noises {
                let same_term = honest[place..].iter().skip(1).take_while(|(of, _)| *of == term);
                let early: Vec<_> = same_term.collect();
                match noise {
                    Noise::Zombie(index) if !replaced.is_empty() => {
                        let owner = index.get_mut(&mut replaced);
                        let late = decision(owner.0, owner.1 + 1, owner.2, "late");
                        *owner = (owner.0, owner.1 + 1, owner.2.rolled(&late));
                        log.push((false, late));
                    }
                    Noise::Early(index) if record.0 == term && !early.is_empty() => {
                        log.push((false, index.get(&early).1.clone()));
                    }
                    Noise::Again(index) if !log.is_empty() => {
                        let again = index.get(&log).1.clone();
                        // An early one that is due now would count.
                        if again != record.1 {
                            log.push((false, again));
                        }
                    }
                    Noise::VoidClaim(index) => {
                        let taken = index.index(usize::try_from(term + 1).unwrap());
                        log.push((false, claim(u64::try_from(taken).unwrap())));
                    }
                    Noise::Zombie(_) | Noise::Early(_) | Noise::Again(_) => {}
                }
            }
            if record.0 > term {
                replaced.push((term, seq, head));
                term = record.0;
            }
            head = head.rolled(&record.1);
            seq += 1;
            log.push((true, record.1.clone()));
        }
        log
    }

    proptest! {
        #[test]
        fn whatever_comes_between_the_head_is_where_the_valid_records_lead(
            claims in prop::collection::vec(prop::bool::weighted(0.2), 1..40),
            noises in prop::collection::vec(prop::collection::vec(noise(), 0..4), 40),
            stop in any::<prop::sample::Index>(),
        ) {
            let honest = honest(&claims);
            let log = noisy(&honest, &noises);
            let head = honest.iter().fold(Head::START, |head, (_, record)| head.rolled(record));
            let mut chain = Chain::default();
            let stop = stop.index(log.len());
            for (place, (counts, record)) in log.iter().enumerate() {
                if place == stop {
                    // Another reader goes on from here, with what is stored of a checkpoint.
                    chain = Chain::from(chain.checkpoint());
                }
                let offset = u64::try_from(place).unwrap();
                let verdict = chain.judge(offset, record).unwrap();
                prop_assert_eq!(verdict.counts(), *counts, "offset {} is {:?}", offset, verdict);
            }
            let expected = Checkpoint {
                offset: u64::try_from(log.len()).unwrap(),
                term: honest.last().unwrap().0,
                seq: u64::try_from(honest.len()).unwrap(),
                head,
            };
            prop_assert_eq!(chain.checkpoint(), expected);
        }
    }
}
