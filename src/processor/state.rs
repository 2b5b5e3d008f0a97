//! The customers of a partition, and what a journal record does to them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tallybook_events::chain::{Halt, Offset};
use tallybook_events::codec::Record as JournalRecord;
use tallybook_events::command::{Command, CommandBody};
use tallybook_events::decision::{Decision, Outcome, RejectionCode, SourceRef};
use tallybook_events::ids::CustomerId;
use tallybook_events::lean;
use tallybook_events::time::Timestamp;

use super::idempotency;
use super::memory::{Memory, MemoryKey};
use crate::decisions::{Decided, RareTies, Record, Slot};

/// All that one partition knows. A function of its journal alone.
#[derive(Debug, Default)]
pub struct PartitionState {
    records: HashMap<CustomerId, Record>,
    /// Customers that wait for an answer from a registrar.
    waiting: BTreeSet<CustomerId>,
    pub(super) memory: Memory,
    /// When the last decision was made. Never goes backwards.
    pub(super) decided_at: Option<Timestamp>,
    /// Offset of the last command of the topic that left a record here.
    pub(super) last_source: Option<u64>,
}

/// What is known at an id that nothing is known of.
static NOTHING: Record = Record {
    customer: None,
    slot: Slot { holder: None, births: 0 },
    ties: RareTies::NONE,
    held: BTreeMap::new(),
    releasing: Vec::new(),
};

impl PartitionState {
    /// Gives what is known at a customer id.
    pub fn record(&self, id: CustomerId) -> &Record {
        self.records.get(&id).unwrap_or(&NOTHING)
    }

    /// Gives all that is known, in no order.
    pub fn records(&self) -> impl Iterator<Item = (CustomerId, &Record)> {
        self.records.iter().map(|(id, record)| (*id, record))
    }

    /// Gives the number of customer ids of which something is known.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Tells whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Makes a state with room for so many customers.
    pub(super) fn with_room(count: usize) -> Self {
        Self { records: HashMap::with_capacity(count), ..Self::default() }
    }

    /// Puts in what is known at an id.
    pub(super) fn put(&mut self, id: CustomerId, record: Record) {
        if !record.held.is_empty() || !record.releasing.is_empty() {
            self.waiting.insert(id);
        }
        self.records.insert(id, record);
    }

    /// Applies a decision to the customer (or slot) that it is about.
    pub(super) fn apply(&mut self, decided: &Decided<'_>) {
        let record = self.records.entry(decided.id).or_default();
        record.apply(decided);
        if record.held.is_empty() && record.releasing.is_empty() {
            self.waiting.remove(&decided.id);
        } else {
            self.waiting.insert(decided.id);
        }
    }

    /// Remembers where a command was decided; `idempotency` is where its idempotency key is found.
    pub(super) fn remember(
        &mut self,
        command: &Command,
        outcome: &Outcome,
        idempotency: &[MemoryKey],
        offset: Offset,
        decided_at: Timestamp,
    ) {
        let scope = &command.scope;
        self.memory.remember(MemoryKey::command(scope, command.command_id), offset, decided_at);
        for key in idempotency {
            self.memory.remember(*key, offset, decided_at);
        }
        if let Some(held) = outcome.settles(&command.body) {
            let key = MemoryKey::settled(scope, held);
            self.memory.remember(key, offset, decided_at);
        }
    }

    /// Takes in a decision of the journal.
    pub(super) fn take_in(&mut self, offset: Offset, decision: &Decision) {
        self.decided_at = Some(decision.decided_at);
        self.take_in_source(decision.source);
        if is_first(&decision.outcome) {
            let Decision { command, outcome, decided_at, .. } = decision;
            let idempotency = idempotency::recorded(self, command, outcome);
            self.remember(command, outcome, &idempotency, offset, *decided_at);
        }
        let Some(id) = subject(&decision.command, &decision.outcome) else { return };
        self.apply(&Decided {
            command: &decision.command,
            id,
            decided_at: decision.decided_at,
            outcome: &decision.outcome,
            events: &decision.events,
        });
    }

    /// Takes in a record of the journal that counts.
    ///
    /// # Errors
    /// [`Halt::Unreadable`] when this build cannot read it.
    pub(super) fn take_in_record(&mut self, offset: Offset, record: &[u8]) -> Result<(), Halt> {
        match lean::read(record).map_err(|source| Halt::Unreadable { offset, source })? {
            JournalRecord::Claim(_) => {}
            JournalRecord::Decision(decision) => self.take_in(offset, &decision),
            JournalRecord::DeadLetter(letter) => {
                self.decided_at = Some(letter.decided_at);
                self.take_in_source(letter.source);
            }
        }
        Ok(())
    }

    /// Takes note of how far the topic of commands is decided.
    pub(super) const fn take_in_source(&mut self, source: SourceRef) {
        if let SourceRef::Topic { offset, .. } = source {
            self.last_source = Some(offset);
        }
    }

    /// Gives the commands to ask again for all that still waits for an answer.
    pub(super) fn unanswered(&self) -> Vec<Command> {
        self.waiting.iter().flat_map(|id| self.record(*id).unanswered()).collect()
    }
}

/// Tells whether a decision is the one that a repeat of its command is answered with. It is not when
/// it is itself about a repeat.
pub(super) const fn is_first(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Rejected(rejection) => !matches!(
            rejection.code,
            RejectionCode::CommandIdReused | RejectionCode::IdempotencyKeyReused
        ),
        Outcome::Repeated { .. } | Outcome::DeadLettered { .. } | Outcome::Previewed(_) => false,
        Outcome::Accepted(_) | Outcome::Deferred(_) | Outcome::Forwarded { .. } => true,
    }
}

/// Gives the customer (or slot) whose state a decision changes, if it changes one. A refusal changes
/// nothing, but for that of a held command: it is held no longer.
pub(super) fn subject(command: &Command, outcome: &Outcome) -> Option<CustomerId> {
    outcome
        .customer_id()
        .or_else(|| matches!(command.body, CommandBody::SettleClaim(_)).then(|| command.home()))
}
