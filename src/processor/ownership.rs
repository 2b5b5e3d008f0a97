//! Who owns a partition, as the log tells it. No I/O: the caller reads, appends and reports.
//!
//! The life of an owner (KAFKA.md, R2 to R4): read up to the end of the log; append a claim with the
//! next term; read on up to the claim's own offset and judge all of it; when the claim is valid the
//! partition is ours and the state is exactly the log's. Then decide ahead and append without waiting:
//! a delivery at exactly the next offset proves that nobody wrote between; any other delivery has to
//! be looked at by reading. What does not come out clean ends the ownership: all that was decided
//! ahead is thrown away, and it begins anew.

use std::collections::VecDeque;

use tallybook_events::chain::{Chain, Checkpoint, Halt, Head, Offset, Verdict};
use tallybook_events::codec::{self, Claimed};
use tallybook_events::time::Timestamp;

use crate::journal::Delivery;

/// What the caller does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The oldest record decided ahead counts now, at this offset.
    Counted(Offset),
    /// Nothing: the record was read before its delivery was told, and counts.
    Settled,
    /// Read and judge; then ask [`Ownership::delivery_read`].
    Read(UpTo),
    /// Compare the record at this offset with our own: another one there is a reason to halt.
    Compare(Offset),
    /// Throw away what was decided ahead and begin anew (R4).
    Reclaim,
}

/// How far to read and judge, from where the reader stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpTo {
    /// Up to and with this offset.
    Offset(Offset),
    /// Up to the end that the log has now.
    End,
}

/// What a record that was read is to the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fetched {
    /// It does not count.
    Skipped,
    /// It counts and is the oldest one that we decided ahead.
    Ours,
    /// It counts and is none of ours: the state must take it in.
    Foreign,
    /// It is our claim and counts.
    OurClaim,
    /// It is another owner's claim and counts: the partition is theirs.
    TheirClaim,
}

/// The owner of one partition, from restore to loss.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ownership {
    chain: Chain,
    phase: Phase,
    /// Seq and head after the last record decided ahead.
    tip: (u64, Head),
    /// Heads after the records decided ahead that do not count yet, oldest first.
    ahead: VecDeque<Head>,
    /// Records that count already, known by reading, whose delivery was not told yet.
    early: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Phase {
    /// Reads what there is.
    Restoring,
    /// A claim of this term is under way, known by its bytes.
    Claiming { term: u64, claim: Vec<u8> },
    /// The partition is ours, in this term.
    Owning { term: u64 },
    /// It is not ours any more.
    Lost,
}

impl Ownership {
    /// Begins to restore from where a reader stands.
    pub fn restoring(chain: Chain) -> Self {
        let at = chain.checkpoint();
        Self {
            chain,
            phase: Phase::Restoring,
            tip: (at.seq, at.head),
            ahead: VecDeque::new(),
            early: 0,
        }
    }

    /// Gives where the owner stands as a reader.
    pub const fn checkpoint(&self) -> Checkpoint {
        self.chain.checkpoint()
    }

    /// Gives the reader itself.
    pub const fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Gives the number of records decided ahead that do not count yet.
    pub fn ahead(&self) -> usize {
        self.ahead.len()
    }

    /// Tells whether the partition is ours.
    pub const fn is_owning(&self) -> bool {
        matches!(self.phase, Phase::Owning { .. })
    }

    /// Makes the claim to append, once all there was is read. `owner` is unique to the process.
    pub fn claim(&mut self, owner: &str, at: Timestamp) -> Vec<u8> {
        let term = self.chain.checkpoint().term + 1;
        let claim = codec::write_claim(&Claimed { term, owner: owner.into(), at });
        self.phase = Phase::Claiming { term, claim: claim.clone() };
        claim
    }

    /// Says what to read when the claim's delivery was told.
    pub const fn claim_delivered(delivery: Delivery) -> UpTo {
        match delivery {
            Delivery::At(offset) => UpTo::Offset(offset),
            Delivery::Unknown => UpTo::End,
        }
    }

    /// Gives term, seq and head that the next record continues; nothing when the partition is not ours.
    pub const fn next_place(&self) -> Option<(u64, u64, Head)> {
        match self.phase {
            Phase::Owning { term } => Some((term, self.tip.0 + 1, self.tip.1)),
            Phase::Restoring | Phase::Claiming { .. } | Phase::Lost => None,
        }
    }

    /// Takes note of a record decided ahead, written for [`Self::next_place`].
    pub fn decided_ahead(&mut self, record: &[u8]) {
        let head = self.tip.1.rolled(record);
        self.tip = (self.tip.0 + 1, head);
        self.ahead.push_back(head);
    }

    /// Judges the delivery of the oldest record whose delivery was not told yet.
    pub fn delivered(&mut self, delivery: Delivery) -> Step {
        if !self.is_owning() {
            return Step::Reclaim;
        }
        if self.early > 0 {
            // It was read and counts, whichever copy of it that was.
            self.early -= 1;
            return Step::Settled;
        }
        let next = self.chain.checkpoint().offset;
        match delivery {
            Delivery::At(offset) if offset == next => {
                let Some(head) = self.ahead.pop_front() else { return Step::Reclaim };
                self.chain.advance_own(offset, head);
                Step::Counted(offset)
            }
            Delivery::At(offset) if offset > next => Step::Read(UpTo::Offset(offset)),
            Delivery::At(offset) => Step::Compare(offset),
            Delivery::Unknown => Step::Read(UpTo::End),
        }
    }

    /// Says whether the record whose delivery made us read has come to count by that. If not: begin anew.
    pub const fn delivery_read(&mut self) -> bool {
        let counts = self.early > 0 && self.is_owning();
        if counts {
            self.early -= 1;
        }
        counts
    }

    /// Judges a record that was read.
    ///
    /// # Errors
    /// [`Halt`] when the reader rule halts.
    pub fn fetched(&mut self, offset: Offset, record: &[u8]) -> Result<Fetched, Halt> {
        let verdict = self.chain.judge(offset, record)?;
        if !verdict.counts() {
            return Ok(Fetched::Skipped);
        }
        let at = self.chain.checkpoint();
        if verdict == Verdict::Valid {
            if self.ahead.front() == Some(&at.head) {
                self.ahead.pop_front();
                self.early += 1;
                return Ok(Fetched::Ours);
            }
            if self.is_owning() {
                // A decision of our term that is not ours: somebody runs under our name.
                self.phase = Phase::Lost;
            }
            return Ok(Fetched::Foreign);
        }
        if let Phase::Claiming { term, claim } = &self.phase
            && record == claim.as_slice()
        {
            self.phase = Phase::Owning { term: *term };
            self.tip = (at.seq, at.head);
            return Ok(Fetched::OurClaim);
        }
        if !matches!(self.phase, Phase::Restoring) {
            self.phase = Phase::Lost;
        }
        Ok(Fetched::TheirClaim)
    }

    /// Ends the ownership and gives the reader back, to go on from.
    pub fn into_chain(self) -> Chain {
        self.chain
    }
}
