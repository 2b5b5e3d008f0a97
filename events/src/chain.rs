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
