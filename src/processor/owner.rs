//! One partition and its owner: restore, claim, read up to the claim, append, judge, answer.
//!
//! What is decided, and how, is in `deciding`; who owns the partition, in `ownership`.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasherDefault;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tallybook_events::chain::{Chain, Halt, Offset};
use tallybook_events::command::Command;
use tallybook_events::decision::{Outcome, SourceRef};
use tallybook_events::ids::{CommandId, CustomerId, Partition, Scope};
use tallybook_events::time::Timestamp;

use super::answering::Counters;
use super::fed::Place;
use super::memory::{MemoryKey, Ready};
use super::ownership::{Fetched, Ownership, Step, UpTo};
use super::parked::Parked;
use super::restoring::{RestoreError, restore};
use super::state::PartitionState;
use super::trouble::Trouble;
use super::worker::{PartitionStatus, Shared};
use super::{READ_BYTES, READ_RECORDS};
use crate::arena::Arena;
use crate::inbox::{Incoming, ReplyTo};
use crate::journal::{Appender, Delivery, JournalError};

/// A record decided ahead.
#[derive(Debug)]
pub(super) struct Ahead {
    /// Where it is found again while it is ahead; not at all when it is only noted.
    pub(super) key: Option<MemoryKey>,
    /// The same by its idempotency key.
    pub(super) idempotency: Vec<MemoryKey>,
    pub(super) seq: u64,
    /// The command; none when it was none.
    pub(super) command: Option<Box<Command>>,
    pub(super) json: Bytes,
    pub(super) source: SourceRef,
    pub(super) decided_at: Timestamp,
    pub(super) outcome: Outcome,
    pub(super) record: Bytes,
    pub(super) events: Bytes,
    pub(super) reply: Option<ReplyTo>,
    /// Repeats that came while it was decided ahead.
    pub(super) repeats: Vec<ReplyTo>,
    pub(super) follow_ups: Vec<Command>,
}

/// The owner of one partition.
pub(super) struct Owner {
    pub(super) partition: Partition,
    pub(super) shared: Arc<Shared>,
    pub(super) state: PartitionState,
    pub(super) ownership: Ownership,
    pub(super) appender: Option<Box<dyn Appender>>,
    /// Counts appenders: what an older one delivers is none of ours any more.
    pub(super) generation: u64,
    pub(super) claim_pending: bool,
    /// Commands that are not decided yet.
    pub(super) waiting: VecDeque<Incoming>,
    /// Decided and not counted, oldest first; in step with the ownership's.
    pub(super) ahead: VecDeque<Ahead>,
    /// Where in `ahead` a command is, by its seq.
    pub(super) ahead_keys: HashMap<MemoryKey, u64, BuildHasherDefault<Ready>>,
    /// Who waits for a held command.
    pub(super) held_replies: HashMap<(Scope, CommandId), Vec<ReplyTo>>,
    /// Commands to be sent on before the batch is appended.
    pub(super) outgoing: Vec<(Partition, Command)>,
    /// Whether the partition is to be ours. It is, where no group says otherwise.
    pub(super) wanted: bool,
    /// Since when what is said about the log's ends contradicts what was read.
    pub(super) doubted_at: Option<Instant>,
    /// Where it is in the topic of commands, when there is one.
    pub(super) place: Place,
    /// Answers that wait until something is given back, by the customer that gives it.
    pub(super) parked: HashMap<CustomerId, Vec<Parked>>,
    pub(super) counters: Counters,
    /// Records to be appended next.
    pub(super) batch: Vec<Bytes>,
    /// Where records are written.
    pub(super) arena: Arena,
    pub(super) failures: u32,
    pub(super) resume_at: Option<Instant>,
    pub(super) asked_at: Instant,
    pub(super) halted: bool,
    /// What the state began from.
    pub(super) began_from: BeganFrom,
}

/// What a state began from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BeganFrom {
    /// The first record of the journal.
    TheStart,
    /// A snapshot: should the journal not follow on it, it is the snapshot that is not believed.
    ASnapshot,
}

impl Owner {
    pub(super) fn new(partition: Partition, shared: Arc<Shared>) -> Self {
        let wanted = shared.feed.is_none();
        Self {
            partition,
            shared,
            state: PartitionState::default(),
            ownership: Ownership::restoring(Chain::default()),
            appender: None,
            generation: 0,
            claim_pending: false,
            waiting: VecDeque::new(),
            ahead: VecDeque::new(),
            ahead_keys: HashMap::default(),
            held_replies: HashMap::new(),
            outgoing: Vec::new(),
            wanted,
            doubted_at: None,
            place: Place::default(),
            parked: HashMap::new(),
            counters: Counters::find(),
            batch: Vec::new(),
            arena: Arena::default(),
            failures: 0,
            resume_at: wanted.then(Instant::now),
            asked_at: Instant::now(),
            halted: false,
            began_from: BeganFrom::TheStart,
        }
    }

    /// Reads what there is, before the first claim.
    pub(super) fn restore_first(&mut self) {
        self.start_over();
        if let Err(trouble) = self.restore() {
            self.trouble(trouble);
        }
    }

    /// Forgets all, and begins from a snapshot when there is one.
    pub(super) fn start_over(&mut self) {
        let snapshots = self.shared.snapshots.as_ref();
        let loaded = snapshots.and_then(|all| all.load(&*self.shared.journal, self.partition));
        self.began_from = if loaded.is_some() { BeganFrom::ASnapshot } else { BeganFrom::TheStart };
        let (chain, state) = loaded.unwrap_or_default();
        self.state = state;
        self.ownership = Ownership::restoring(chain);
    }

    pub(super) fn restore(&mut self) -> Result<(), Trouble> {
        match self.read_on() {
            Err(RestoreError::Halt { source, .. }) if self.began_from == BeganFrom::ASnapshot => {
                let error = &source as &dyn std::error::Error;
                let partition = self.partition.0;
                tracing::warn!(partition, error, "the snapshot is not believed: all is read");
                self.began_from = BeganFrom::TheStart;
                self.state = PartitionState::default();
                self.ownership = Ownership::restoring(Chain::default());
                self.read_on()?;
            }
            restored => restored?,
        }
        self.doubted_at = None;
        Ok(())
    }

    /// Reads up to the end that the partition has now.
    fn read_on(&mut self) -> Result<(), RestoreError> {
        let mut chain = self.ownership.chain().clone();
        let restored = restore(&*self.shared.journal, self.partition, &mut chain, &mut self.state);
        self.ownership = Ownership::restoring(chain);
        restored
    }

    /// Writes a snapshot, when the state is exactly the journal's.
    pub(super) fn save(&self) {
        let Some(snapshots) = &self.shared.snapshots else { return };
        if self.halted || !self.ahead.is_empty() {
            return;
        }
        let chain = self.ownership.chain();
        let saved = snapshots.save(&*self.shared.journal, self.partition, chain, &self.state);
        if let Err(error) = saved {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(partition = self.partition.0, error, "no snapshot was written");
        }
    }

    /// Tells whether there is nothing under way.
    pub(super) fn is_idle(&self) -> bool {
        self.halted
            || (self.waiting.is_empty()
                && self.ahead.is_empty()
                && self.held_replies.is_empty()
                && self.parked.is_empty())
    }

    /// Gives when the owner wants to be called again at the latest.
    pub(super) fn next_call(&self) -> Option<Instant> {
        self.resume_at
    }

    /// Takes commands in.
    pub(super) fn take(&mut self, batch: Vec<Incoming>) {
        if self.halted {
            // Dropped unanswered: the callers hear that the outcome is unknown.
            return;
        }
        self.waiting.extend(batch);
    }

    /// Does what can be done now: claims when it is time, decides what waits, appends it.
    pub(super) fn advance(&mut self) {
        if self.halted {
            return;
        }
        if !self.wanted {
            return self.stand_by();
        }
        if self.resume_at.is_some_and(|at| at <= Instant::now()) {
            self.resume_at = None;
            if let Err(trouble) = self.begin() {
                return self.trouble(trouble);
            }
        }
        if self.ownership.is_owning() {
            self.ask_again();
            if let Err(trouble) = self.decide_waiting().and_then(|()| self.append()) {
                self.trouble(trouble);
            }
        }
    }

    /// R2: reads to the end, appends a claim. The rest follows its delivery.
    fn begin(&mut self) -> Result<(), Trouble> {
        self.set_status(PartitionStatus::Restoring);
        self.restore()?;
        self.set_status(PartitionStatus::Claiming);
        self.generation += 1;
        let sink = self.shared.sink(self.partition, self.generation);
        let mut appender = self.shared.journal.appender(self.partition, sink)?;
        let claim = self.ownership.claim(&self.shared.name, self.shared.clock.now());
        self.claim_pending = true;
        appender.append(vec![Bytes::from(claim)])?;
        self.appender = Some(appender);
        Ok(())
    }

    fn append(&mut self) -> Result<(), Trouble> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.send_on()?;
        let Some(appender) = &mut self.appender else {
            return Err(Trouble::Reclaim("no appender"));
        };
        appender.append(std::mem::take(&mut self.batch))?;
        Ok(())
    }

    /// Hears what became of appends.
    pub(super) fn delivered(&mut self, generation: u64, deliveries: Vec<Delivery>) {
        if generation != self.generation || self.halted {
            return;
        }
        for delivery in deliveries {
            let done = if self.claim_pending {
                self.claim_delivered(delivery)
            } else {
                self.record_delivered(delivery)
            };
            if let Err(trouble) = done {
                return self.trouble(trouble);
            }
        }
    }

    fn claim_delivered(&mut self, delivery: Delivery) -> Result<(), Trouble> {
        self.read(Ownership::claim_delivered(delivery))?;
        self.claim_pending = false;
        if !self.ownership.is_owning() {
            return Err(Trouble::Reclaim("the claim does not count"));
        }
        let term = self.ownership.checkpoint().term;
        tracing::info!(
            partition = self.partition.0,
            term,
            customers = self.state.len(),
            "partition is ours"
        );
        self.set_status(PartitionStatus::Owning { term });
        self.asked_at = Instant::now();
        self.send(self.state.unanswered());
        self.start_feeding();
        Ok(())
    }

    fn record_delivered(&mut self, delivery: Delivery) -> Result<(), Trouble> {
        match self.ownership.delivered(delivery) {
            Step::Counted(offset) => {
                self.failures = 0;
                self.counted(offset);
                Ok(())
            }
            Step::Settled => Ok(()),
            Step::Read(up_to) => {
                self.read(up_to)?;
                if self.ownership.delivery_read() {
                    Ok(())
                } else {
                    Err(Trouble::Reclaim("a record of ours does not count"))
                }
            }
            Step::Compare(offset) => self.compare(offset),
            Step::Reclaim => Err(Trouble::Reclaim("the partition is another owner's")),
        }
    }

    /// Our oldest record was delivered where we have judged already: it must at least be ours.
    fn compare(&self, offset: Offset) -> Result<(), Trouble> {
        let stored = self.read_one(offset)?;
        match (stored, self.ahead.front()) {
            (Some(stored), Some(ours)) if stored == ours.record => {
                Err(Trouble::Reclaim("a record of ours does not count where it is"))
            }
            _ => Err(Halt::DeliveredElsewhere { offset }.into()),
        }
    }

    pub(super) fn read_one(&self, offset: Offset) -> Result<Option<Bytes>, JournalError> {
        let stored = self.shared.journal.read(self.partition, offset, 1, 1)?;
        Ok(stored
            .into_iter()
            .next()
            .filter(|stored| stored.offset == offset)
            .map(|stored| stored.record))
    }

    /// Reads and judges on.
    fn read(&mut self, up_to: UpTo) -> Result<(), Trouble> {
        let end = match up_to {
            UpTo::Offset(offset) => offset + 1,
            UpTo::End => self.shared.journal.bounds(self.partition)?.end,
        };
        while self.ownership.checkpoint().offset < end {
            let from = self.ownership.checkpoint().offset;
            let stored =
                self.shared.journal.read(self.partition, from, READ_RECORDS, READ_BYTES)?;
            if stored.is_empty() {
                return Err(Halt::Truncated { offset: end, end: from }.into());
            }
            for stored in stored {
                if stored.offset >= end {
                    break;
                }
                match self.ownership.fetched(stored.offset, &stored.record)? {
                    Fetched::Skipped | Fetched::OurClaim | Fetched::TheirClaim => {}
                    Fetched::Ours => self.counted(stored.offset),
                    Fetched::Foreign if self.ahead.is_empty() => {
                        self.state.take_in_record(stored.offset, &stored.record)?;
                    }
                    // The state has what we decided ahead in it: it is rebuilt, from the log alone.
                    Fetched::Foreign => {
                        return Err(Trouble::Reclaim("the partition is another owner's"));
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn set_status(&self, status: PartitionStatus) {
        self.shared.set_status(self.partition, status);
    }
}
