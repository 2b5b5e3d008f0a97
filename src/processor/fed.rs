//! How an owner deals with what it is fed from a topic: everything leaves a record, so that the next
//! offset to be fed is always in the journal (R1).

use std::time::{Duration, Instant};

use bytes::Bytes;
use tallybook_events::chain::Offset;
use tallybook_events::command::{Command, Context};
use tallybook_events::decision::{Decision, Outcome, Preview, SourceRef};

use super::deciding::{Deciding, Previewed};
use super::idempotency::Used;
use super::memory::MemoryKey;
use super::owner::Owner;
use super::ownership::Ownership;
use super::repeats::Earlier;
use super::trouble::Trouble;
use super::worker::PartitionStatus;
use crate::inbox::Incoming;
use crate::inbox::feed::{Dead, Fed, Letter};

/// How often a standby reads on.
const FOLLOW_EVERY: Duration = Duration::from_millis(100);
/// How long what was decided ahead may take to count, once the partition is given up.
const RELEASE_WITHIN: Duration = Duration::from_millis(400);

/// An owner's place in its topic.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// Offset of the last command decided, those ahead too.
    pub(super) tip: Option<u64>,
    /// What was no command and waits to be noted, by offset.
    dead: std::collections::VecDeque<(u64, Dead)>,
    /// Counts the times that we began to be fed.
    session: u64,
    /// Until when what is ahead may still count, once the partition is given up.
    release_by: Option<Instant>,
    followed_at: Option<Instant>,
}

impl Owner {
    /// Tells that the partition is wanted, or not any more.
    pub(super) fn want(&mut self, wanted: bool) {
        if self.halted || wanted == self.wanted {
            return;
        }
        self.wanted = wanted;
        if wanted {
            if self.place.release_by.take().is_some() {
                // Given up and wanted again, with things ahead: they are in the state, not in the log.
                self.release();
            }
            (self.failures, self.resume_at) = (0, Some(Instant::now()));
            return;
        }
        self.resume_at = None;
        self.stop_feeding();
        self.place.release_by = Some(Instant::now() + RELEASE_WITHIN);
    }

    /// The partition is ours: asks for its commands.
    pub(super) fn start_feeding(&mut self) {
        let Some(feed) = &self.shared.feed else { return };
        self.place.tip = self.state.last_source;
        self.place.session += 1;
        let from = self.state.last_source.map(|last| last + 1);
        feed.begin(self.partition, self.place.session, from);
    }

    /// Asks for no more commands, and forgets those that wait: they lie in the topic.
    pub(super) fn stop_feeding(&mut self) {
        if let Some(feed) = &self.shared.feed {
            feed.end(self.partition);
            self.place.session += 1;
            self.waiting.clear();
            self.place.dead.clear();
            self.outgoing.clear();
        }
    }

    /// Takes what it is fed; what belongs to another session is dropped.
    pub(super) fn feed(&mut self, session: u64, batch: Vec<Fed>) {
        if self.halted || !self.wanted || session != self.place.session {
            return;
        }
        for Fed { offset, letter } in batch {
            match letter {
                Letter::Command { command, json } => {
                    let partition = self.partition;
                    let source = SourceRef::Topic { partition, offset, prev_offset: None };
                    self.waiting.push_back(Incoming { command, json, source, reply: None });
                }
                Letter::Dead(dead) => self.place.dead.push_back((offset, dead)),
            }
        }
    }

    /// Does what a partition that is not wanted needs: hands over what it had, then reads on.
    pub(super) fn stand_by(&mut self) {
        if let Some(deadline) = self.place.release_by {
            if !self.ahead.is_empty() && Instant::now() < deadline {
                return;
            }
            self.place.release_by = None;
            self.release();
        }
        if self.place.followed_at.is_some_and(|at| at.elapsed() < FOLLOW_EVERY) {
            return;
        }
        match self.restore() {
            Ok(()) => self.set_status(PartitionStatus::Standby),
            Err(Trouble::Halt(why)) => self.halt(why),
            Err(Trouble::Doubt(why)) if self.doubts_long() => self.halt(why),
            Err(Trouble::Doubt(why)) => {
                tracing::warn!(partition = self.partition.0, why, "the journal is asked again");
            }
            Err(Trouble::Reclaim(why)) => {
                tracing::debug!(partition = self.partition.0, why, "a standby reads on later");
            }
        }
        self.place.followed_at = Some(Instant::now());
    }

    fn release(&mut self) {
        tracing::info!(
            partition = self.partition.0,
            ahead = self.ahead.len(),
            "partition is given up"
        );
        self.appender = None;
        self.generation += 1;
        self.claim_pending = false;
        self.batch.clear();
        self.forget_ahead();
    }

    /// Notes what was no command, up to an offset.
    pub(super) fn note_dead(&mut self, before: Option<u64>) -> Result<(), Trouble> {
        let due = |(offset, _): &(u64, Dead)| before.is_none_or(|before| *offset < before);
        let mut dead = Vec::new();
        while self.place.dead.front().is_some_and(due) {
            dead.extend(self.place.dead.pop_front());
        }
        let (Some(feed), false) = (&self.shared.feed, dead.is_empty()) else { return Ok(()) };
        let buried = feed.bury(self.partition, dead.clone());
        buried.map_err(|_| Trouble::Reclaim("what is no command could not be put aside"))?;
        for (offset, Dead { reason, .. }) in dead {
            if self.place.tip.is_none_or(|tip| offset > tip) {
                let outcome = Outcome::DeadLettered { reason };
                self.note(offset, Bytes::from_static(b"null"), outcome, None);
            }
        }
        Ok(())
    }

    /// Takes up a command of the topic. Gives it back when it must wait until what is ahead counts.
    pub(super) fn take_up_fed(&mut self, incoming: Incoming) -> Result<Option<Incoming>, Trouble> {
        let SourceRef::Topic { offset, .. } = incoming.source else { return Ok(Some(incoming)) };
        self.note_dead(Some(offset))?;
        if self.place.tip.is_some_and(|tip| offset <= tip) {
            return Ok(None);
        }
        let command = &incoming.command;
        let home = self.shared.partition_of(command.home());
        if home != self.partition {
            self.outgoing.push((home, (**command).clone()));
            let outcome = Outcome::Forwarded { partition: home, to: None };
            self.note_command(offset, incoming, outcome);
            return Ok(None);
        }
        self.decide_fed(offset, incoming)
    }

    fn decide_fed(&mut self, offset: u64, incoming: Incoming) -> Result<Option<Incoming>, Trouble> {
        let unread = |_| Trouble::Reclaim("an earlier decision cannot be read");
        let command = &incoming.command;
        let Context { dry_run, refusal_frees_key, .. } = command.context;
        // A dry run has no memory, but when it asks whether its key is used.
        if dry_run && !refusal_frees_key {
            self.note_preview(offset, incoming);
            return Ok(None);
        }
        let key = MemoryKey::command(&command.scope, command.command_id);
        let earlier = self.earlier(key, |other| {
            other.command_id == command.command_id && other.scope == command.scope
        });
        match earlier.map_err(unread)? {
            Some(Earlier::Ahead(_)) => return Ok(Some(incoming)),
            Some(Earlier::Recorded(place, decision)) => {
                let same = command.asks_the_same(&decision.command);
                if !same {
                    let rejection = Self::command_id_reused();
                    self.note_command(offset, incoming, Outcome::Rejected(rejection));
                    return Ok(None);
                }
                self.note_repeat(offset, incoming, place, *decision);
                return Ok(None);
            }
            None => {}
        }
        let idempotency = match self.used(command).map_err(unread)? {
            Used::Before(Earlier::Ahead(_)) => return Ok(Some(incoming)),
            Used::Before(Earlier::Recorded(place, decision)) => {
                if Self::same_request(command, &decision.command) {
                    self.note_repeat(offset, incoming, place, *decision);
                } else {
                    let rejection = Self::idempotency_key_reused();
                    self.note_command(offset, incoming, Outcome::Rejected(rejection));
                }
                return Ok(None);
            }
            Used::Not(idempotency) => idempotency,
        };
        if dry_run {
            self.note_preview(offset, incoming);
        } else {
            self.decide(incoming, key, idempotency);
        }
        Ok(None)
    }

    /// Notes what would become of a command: its sender finds the answer there, and nobody else.
    fn note_preview(&mut self, offset: u64, incoming: Incoming) {
        let outcome = match self.previewed(&incoming.command, self.now()) {
            Err(to) => {
                let partition = self.shared.partition_of(to.customer_id);
                let command = Command { routed: Some(to), ..(*incoming.command).clone() };
                self.outgoing.push((partition, command));
                Outcome::Forwarded { partition, to: Some(to) }
            }
            Ok(Previewed { outcome, events, customer }) => {
                let json = |event| serde_json::to_value(event).expect("an event is JSON");
                let events = events.iter().map(json).collect();
                let customer = customer
                    .map(|customer| serde_json::to_value(customer).expect("a document is JSON"));
                Outcome::Previewed(Box::new(Preview { outcome, events, customer }))
            }
        };
        self.note_command(offset, incoming, outcome);
    }

    /// Notes a repeat: it points at the decision of then, or it is sent on again.
    fn note_repeat(&mut self, offset: u64, incoming: Incoming, place: Offset, decision: Decision) {
        if let Outcome::Forwarded { partition, to } = decision.outcome {
            let mut command = (*incoming.command).clone();
            command.routed = to.or(command.routed);
            self.outgoing.push((partition, command));
            self.note_command(offset, incoming, Outcome::Forwarded { partition, to });
            return;
        }
        let mut place = place;
        if let Outcome::Deferred(_) = decision.outcome {
            let key = MemoryKey::settled(&decision.command.scope, decision.command.command_id);
            if let Some(settled) = self.state.memory.place(key) {
                place = settled;
            }
        }
        if decision.command.body.command_type().is_follow_up() {
            self.send_follow_ups_again(&decision);
        }
        self.note_command(offset, incoming, Outcome::Repeated { offset: place });
    }

    fn note_command(&mut self, offset: u64, incoming: Incoming, outcome: Outcome) {
        let Incoming { command, json, .. } = incoming;
        self.note(offset, json, outcome, Some(command));
    }

    /// Writes a record that changes nothing and is not remembered.
    fn note(&mut self, offset: u64, json: Bytes, outcome: Outcome, command: Option<Box<Command>>) {
        let source = self.next_source(offset);
        let decided_at = self.now();
        self.state.decided_at = Some(decided_at);
        self.write_ahead(Deciding {
            key: None,
            idempotency: Vec::new(),
            command,
            json,
            source,
            reply: None,
            decided_at,
            outcome,
            events: Vec::new(),
            follow_ups: Vec::new(),
        });
    }

    /// Gives the source of the next record, and takes note that it is the last one now.
    pub(super) fn next_source(&mut self, offset: u64) -> SourceRef {
        let prev_offset = self.place.tip.replace(offset);
        SourceRef::Topic { partition: self.partition, offset, prev_offset }
    }

    /// Sends on what was decided to be decided elsewhere. It is kept there before the record of that is
    /// appended here.
    pub(super) fn send_on(&mut self) -> Result<(), Trouble> {
        let Some(feed) = &self.shared.feed else { return Ok(()) };
        if self.outgoing.is_empty() {
            return Ok(());
        }
        let sent = feed.send(std::mem::take(&mut self.outgoing));
        sent.map_err(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "commands were not sent on");
            Trouble::Reclaim("commands could not be sent on")
        })
    }

    /// Begins to restore anew from where the chain is known; from a snapshot or the start when the state
    /// has in it what was decided ahead.
    pub(super) fn forget_ahead(&mut self) {
        let chain = self.ownership.chain().clone();
        if self.ahead.is_empty() {
            self.ownership = Ownership::restoring(chain);
        } else {
            self.start_over();
        }
        self.ahead_keys.clear();
        if self.shared.feed.is_some() {
            self.ahead.clear();
        }
    }
}
