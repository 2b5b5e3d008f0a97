//! The reader rule, written anew from its description: which records count.

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::stored::Stored;

/// How many records back a repeat is told from a fork.
const REMEMBERED: usize = 4_096;

/// A record that counts.
#[derive(Debug)]
pub(crate) struct Counted {
    /// Its partition.
    pub(crate) partition: u64,
    /// Its place among those that count.
    pub(crate) seq: u64,
    /// What it holds.
    pub(crate) value: Value,
    /// The head after it.
    pub(crate) head: [u8; 32],
}

/// Where and why a reader must stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Halted {
    /// The record.
    pub(crate) offset: u64,
    /// The reason.
    pub(crate) why: &'static str,
}

struct Reader {
    term: u64,
    seq: u64,
    head: [u8; 32],
    /// Digests of the last records that counted, the oldest first.
    digests: VecDeque<[u8; 32]>,
}

/// Reads a partition: the records that count, and where it had to stop.
pub(crate) fn walk(partition: u64, records: &[&Stored]) -> (Vec<Counted>, Option<Halted>) {
    let mut reader = Reader { term: 0, seq: 0, head: [0; 32], digests: VecDeque::new() };
    let mut counted = Vec::new();
    for stored in records {
        match reader.judge(&stored.record) {
            Ok(None) => {}
            Ok(Some(value)) => {
                let Reader { seq, head, .. } = reader;
                counted.push(Counted { partition, seq, value, head });
            }
            Err(why) => return (counted, Some(Halted { offset: stored.offset, why })),
        }
    }
    (counted, None)
}

/// Gives where a reader of these records may stand who has seen all decisions: seq and head after the
/// last one, or after any of the claims that follow it.
pub(crate) fn ends(counted: &[Counted]) -> Vec<(u64, [u8; 32])> {
    let claims = counted.iter().rev().take_while(|it| it.value.get("claimed").is_some()).count();
    let from = counted.len() - claims;
    let before = from.checked_sub(1).map_or((0, [0; 32]), |at| (counted[at].seq, counted[at].head));
    std::iter::once(before).chain(counted[from..].iter().map(|it| (it.seq, it.head))).collect()
}

impl Reader {
    /// Gives what the record holds when it counts.
    fn judge(&mut self, record: &[u8]) -> Result<Option<Value>, &'static str> {
        let value: Value = serde_json::from_slice(record).map_err(|_| "no record")?;
        match value["v"].as_u64() {
            Some(1) => {}
            Some(_) => return Err("unknown format"),
            None => return Err("no record"),
        }
        let term = value["term"].as_u64().ok_or("no record")?;
        if value.get("claimed").is_some() {
            if term <= self.term {
                return Ok(None);
            }
            self.term = term;
        } else if !self.continues(term, record, &value)? {
            return Ok(None);
        }
        self.head = Sha256::new().chain_update(self.head).chain_update(record).finalize().into();
        self.seq += 1;
        self.digests.push_back(Sha256::digest(record).into());
        if self.digests.len() > REMEMBERED {
            self.digests.pop_front();
        }
        Ok(Some(value))
    }

    fn continues(&self, term: u64, record: &[u8], value: &Value) -> Result<bool, &'static str> {
        let seq = value["seq"].as_u64().ok_or("no record")?;
        let prev = value["prev"].as_str().ok_or("no record")?;
        let prev = URL_SAFE_NO_PAD.decode(prev).map_err(|_| "no record")?;
        if term > self.term {
            return Err("term ahead");
        }
        if term < self.term || seq > self.seq + 1 {
            return Ok(false);
        }
        if seq == self.seq + 1 {
            return if prev == self.head { Ok(true) } else { Err("fork") };
        }
        let back = usize::try_from(self.seq - seq).map_err(|_| "no record")?;
        let remembered = self.digests.iter().rev().nth(back);
        match remembered {
            Some(digest) if *digest != <[u8; 32]>::from(Sha256::digest(record)) => Err("fork"),
            Some(_) | None => Ok(false),
        }
    }
}
