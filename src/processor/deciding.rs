//! How an owner decides: repeats first, then the rules; the record is written and appended ahead.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use tallybook_events::codec::{self, DecisionParts};
use tallybook_events::command::{Command, CommandBody, Context, Routed};
use tallybook_events::customer::CustomerDocument;
use tallybook_events::decision::{
    Accepted, Deferred, Outcome, Rejection, RejectionCode, SourceRef,
};
use tallybook_events::event::Event;
use tallybook_events::ids::{CommandId, CustomerId, Partition};
use tallybook_events::time::Timestamp;

use super::MAX_AHEAD;
use super::idempotency::Used;
use super::memory::MemoryKey;
use super::owner::{Ahead, Owner};
use super::repeats::refuse;
use super::state::subject;
use super::trouble::Trouble;
use crate::decisions::{Ask, Decided, RULES, Verdict};
use crate::inbox::{Answer, Incoming, ReplyTo};

/// Most hops within a partition before a command is refused: slot to customer is one.
const MAX_HOPS: usize = 4;

impl Owner {
    /// Decides what waits, as far as may be decided ahead.
    pub(super) fn decide_waiting(&mut self) -> Result<(), Trouble> {
        let room = MAX_AHEAD.saturating_sub(self.ahead.len());
        for _ in 0..room.min(self.waiting.len()) {
            let Some(incoming) = self.waiting.pop_front() else { break };
            if let SourceRef::Local = incoming.source {
                self.take_up(incoming);
            } else if let Some(waits) = self.take_up_fed(incoming)? {
                self.waiting.push_front(waits);
                return Ok(());
            }
        }
        if self.waiting.is_empty() { self.note_dead(None) } else { Ok(()) }
    }

    fn take_up(&mut self, incoming: Incoming) {
        let Context { dry_run, refusal_frees_key, .. } = incoming.command.context;
        // A dry run has no memory, but when it asks whether its key is used.
        if dry_run && !refusal_frees_key {
            return self.preview(incoming);
        }
        let scope = &incoming.command.scope;
        let key = MemoryKey::command(scope, incoming.command.command_id);
        match self.earlier(key, |command| {
            command.command_id == incoming.command.command_id
                && command.scope == incoming.command.scope
        }) {
            Err(error) => return refuse(incoming.reply, error),
            Ok(Some(earlier)) => return self.repeat(incoming, earlier),
            Ok(None) => {}
        }
        let idempotency = match self.used(&incoming.command) {
            Err(error) => return refuse(incoming.reply, error),
            Ok(Used::Before(earlier)) => return self.repeat_by_key(incoming, earlier),
            Ok(Used::Not(idempotency)) => idempotency,
        };
        if dry_run {
            return self.preview(incoming);
        }
        self.decide(incoming, key, idempotency);
    }

    /// Sends a command to the customer that its slot named.
    pub(super) fn forward(&mut self, mut incoming: Incoming, to: Routed) -> Partition {
        incoming.command.routed = Some(to);
        if let SourceRef::Topic { .. } = incoming.source {
            let partition = self.shared.partition_of(to.customer_id);
            self.outgoing.push((partition, *incoming.command));
            return partition;
        }
        incoming.json =
            Bytes::from(serde_json::to_vec(&incoming.command).expect("a command is JSON"));
        self.shared.push(incoming)
    }

    /// Runs the rules as of a moment, following a slot to a customer of the same partition.
    fn judge(
        &self,
        mut command: Box<Command>,
        decided_at: Timestamp,
    ) -> (Verdict, Box<Command>, CustomerId) {
        for _ in 0..MAX_HOPS {
            let id = command.home();
            let record = self.state.record(id);
            let ask = Ask { command: &command, id, decided_at, tiers: &self.shared.tiers };
            let verdict = catch_unwind(AssertUnwindSafe(|| (self.shared.decide)(record, &ask))).unwrap_or_else(|_| {
                tracing::error!(partition = self.partition.0, command_id = %command.command_id, "the rules failed on a command");
                Verdict::Rejected(Rejection::new(
                    RejectionCode::InternalFault,
                    "the rules failed on this command; it changed nothing",
                ))
            });
            if let Verdict::Forward(routed) = verdict
                && self.shared.partition_of(routed.customer_id) == self.partition
            {
                command.routed = Some(routed);
                continue;
            }
            return (verdict, command, id);
        }
        let rejection =
            Rejection::new(RejectionCode::InternalFault, "the command was sent on in a circle");
        let id = command.home();
        (Verdict::Rejected(rejection), command, id)
    }

    /// Gives the time of the next decision: the clock's, but never before the last one.
    pub(super) fn now(&self) -> Timestamp {
        let now = self.shared.clock.now();
        self.state.decided_at.map_or(now, |last| last.max(now))
    }

    pub(super) fn decide(
        &mut self,
        incoming: Incoming,
        key: MemoryKey,
        idempotency: Vec<MemoryKey>,
    ) {
        let Incoming { command, json, mut source, reply } = incoming;
        if let SourceRef::Topic { offset, .. } = source {
            source = self.next_source(offset);
        }
        let asked_routed = command.routed;
        // One reading of the clock: what the rules saw is what is recorded.
        let decided_at = self.now();
        let (verdict, mut command, id) = self.judge(command, decided_at);
        let version = self.state.record(id).version();
        let (outcome, events) = if let Verdict::Forward(to) = verdict {
            // From a topic it goes before the record of that is kept, in one process after it: else a
            // crash could leave a decision there and no word of it here, and a repeat go elsewhere.
            if let SourceRef::Topic { .. } = source {
                let (command, json) = (command.clone(), json.clone());
                self.forward(Incoming { command, json, source, reply: None }, to);
            }
            let partition = self.shared.partition_of(to.customer_id);
            (Outcome::Forwarded { partition, to: Some(to) }, Vec::new())
        } else {
            outcome_of(verdict, id, version)
        };
        let follow_ups = self.apply(&command, id, decided_at, &outcome, &events);
        command.routed = asked_routed;
        self.write_ahead(Deciding {
            key: Some(key),
            idempotency,
            command: Some(command),
            json,
            source,
            reply,
            decided_at,
            outcome,
            events,
            follow_ups,
        });
    }

    fn apply(
        &mut self,
        command: &Command,
        id: CustomerId,
        decided_at: Timestamp,
        outcome: &Outcome,
        events: &[Event],
    ) -> Vec<Command> {
        self.state.decided_at = Some(decided_at);
        let decided = Decided { command, id, decided_at, outcome, events };
        let changes = subject(command, outcome).is_some();
        if changes {
            self.state.apply(&decided);
        }
        if changes || command.body.command_type().is_follow_up() {
            return self.state.record(id).follow_ups(&decided);
        }
        Vec::new()
    }

    pub(super) fn write_ahead(&mut self, deciding: Deciding) {
        let Deciding {
            key,
            idempotency,
            command,
            json,
            source,
            reply,
            decided_at,
            outcome,
            events,
            follow_ups,
        } = deciding;
        let Some((term, seq, head)) = self.ownership.next_place() else {
            // Cannot be: only an owner decides. The command goes unanswered rather than unrecorded.
            return;
        };
        let gives_back: Vec<CommandId> = follow_ups
            .iter()
            .filter(|follow_up| matches!(follow_up.body, CommandBody::Release(_)))
            .map(|release| release.command_id)
            .collect();
        let parts = DecisionParts {
            decided_at,
            rules: RULES,
            source,
            command: &json,
            outcome: &outcome,
            gives_back: &gives_back,
            events: &events,
        };
        let (record, written) =
            self.arena.write(|record| codec::write_decision(record, term, seq, &head, &parts));
        self.ownership.decided_ahead(&record);
        for key in key.into_iter().chain(idempotency.iter().copied()) {
            self.ahead_keys.insert(key, seq);
        }
        self.batch.push(record.clone());
        let events = record.slice(written.events);
        let repeats = Vec::new();
        self.ahead.push_back(Ahead {
            key,
            idempotency,
            seq,
            command,
            json,
            source,
            decided_at,
            outcome,
            record,
            events,
            reply,
            repeats,
            follow_ups,
        });
    }

    /// Decides without recording, and shows what would be.
    fn preview(&mut self, incoming: Incoming) {
        let command_id = incoming.command.command_id;
        let decided_at = self.now();
        match self.previewed(&incoming.command, decided_at) {
            Err(to) => drop(self.forward(incoming, to)),
            Ok(Previewed { outcome, events, customer }) => {
                let events = Bytes::from(serde_json::to_vec(&events).expect("events are JSON"));
                if let Some(reply) = incoming.reply {
                    reply.answer(Ok(Answer {
                        command_id,
                        position: None,
                        decided_at,
                        outcome,
                        events,
                        repeated: false,
                        preview: customer.map(Box::new),
                    }));
                }
            }
        }
    }

    /// Runs the rules and shows what would be, or where the command is to be asked instead.
    pub(super) fn previewed(
        &self,
        command: &Command,
        decided_at: Timestamp,
    ) -> Result<Previewed, Routed> {
        let (verdict, command, id) = self.judge(Box::new(command.clone()), decided_at);
        let record = self.state.record(id);
        let version = record.version();
        if let Verdict::Forward(to) = verdict {
            return Err(to);
        }
        let (outcome, events) = outcome_of(verdict, id, version);
        let mut after = record.clone();
        after.apply(&Decided {
            command: &command,
            id,
            decided_at,
            outcome: &outcome,
            events: &events,
        });
        let customer = after.document(decided_at);
        Ok(Previewed { outcome, events, customer })
    }
}

/// What would become of a command.
pub(super) struct Previewed {
    pub(super) outcome: Outcome,
    pub(super) events: Vec<Event>,
    /// The customer as it would stand.
    pub(super) customer: Option<CustomerDocument>,
}

/// Makes the outcome of a verdict that is not sent on.
pub(super) fn outcome_of(verdict: Verdict, id: CustomerId, version: u64) -> (Outcome, Vec<Event>) {
    match verdict {
        Verdict::Accepted { events, duplicates, conflicts } => {
            let count = events.iter().filter(|event| event.counts_in_version()).count();
            let to_version = version + u64::try_from(count).unwrap_or(0);
            let accepted = Accepted {
                customer_id: id,
                from_version: version,
                to_version,
                duplicates,
                conflicts,
            };
            (Outcome::Accepted(accepted), events)
        }
        Verdict::Rejected(rejection) => (Outcome::Rejected(rejection), Vec::new()),
        Verdict::Deferred(claim) => {
            (Outcome::Deferred(Deferred { customer_id: id, claim }), Vec::new())
        }
        Verdict::Forward(_) => {
            let code = RejectionCode::InternalFault;
            (
                Outcome::Rejected(Rejection::new(code, "the command was sent on in a circle")),
                Vec::new(),
            )
        }
    }
}

/// A decision before it is written.
pub(super) struct Deciding {
    pub(super) key: Option<MemoryKey>,
    pub(super) idempotency: Vec<MemoryKey>,
    pub(super) command: Option<Box<Command>>,
    pub(super) json: Bytes,
    pub(super) source: SourceRef,
    pub(super) reply: Option<ReplyTo>,
    pub(super) decided_at: Timestamp,
    pub(super) outcome: Outcome,
    pub(super) events: Vec<Event>,
    pub(super) follow_ups: Vec<Command>,
}
