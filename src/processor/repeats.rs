//! How an owner answers what was asked before: like the first time, from the journal.

use bytes::Bytes;
use tallybook_events::chain::Offset;
use tallybook_events::codec::{self, Record as JournalRecord};
use tallybook_events::command::Command;
use tallybook_events::decision::{Decision, Outcome, Rejection, RejectionCode};
use tallybook_events::ids::Position;

use super::memory::MemoryKey;
use super::owner::Owner;
use super::state::subject;
use crate::decisions::Decided;
use crate::inbox::{Answer, InboxError, Incoming, ReplyTo};

/// Where an earlier decision of the same command was found.
pub(super) enum Earlier {
    /// Decided ahead, not counted yet.
    Ahead(usize),
    /// In the journal.
    Recorded(Offset, Box<Decision>),
}

impl Owner {
    /// Looks a command up; `is_it` tells a true hit from a chance one.
    pub(super) fn earlier(
        &self,
        key: MemoryKey,
        is_it: impl Fn(&Command) -> bool,
    ) -> Result<Option<Earlier>, InboxError> {
        if let Some(seq) = self.ahead_keys.get(&key) {
            let first = self.ahead.front().map_or(0, |ahead| ahead.seq);
            let index = usize::try_from(seq.saturating_sub(first)).unwrap_or(usize::MAX);
            if self.command_ahead(index).is_some_and(&is_it) {
                return Ok(Some(Earlier::Ahead(index)));
            }
        }
        let Some(offset) = self.state.memory.place(key) else { return Ok(None) };
        let decision = self.decision_at(offset)?;
        let decision = decision.filter(|decision| is_it(&decision.command));
        Ok(decision.map(|decision| Earlier::Recorded(offset, decision)))
    }

    pub(super) fn decision_at(&self, offset: Offset) -> Result<Option<Box<Decision>>, InboxError> {
        let record = self.read_one(offset).map_err(|error| {
            tracing::warn!(partition = self.partition.0, offset, %error, "an earlier decision cannot be read");
            InboxError::Unknown
        })?;
        match record.as_deref().map(codec::read) {
            Some(Ok(JournalRecord::Decision(decision))) => Ok(Some(decision)),
            Some(Ok(JournalRecord::Claim(_) | JournalRecord::DeadLetter(_)) | Err(_)) | None => {
                Ok(None)
            }
        }
    }

    /// The same command id again.
    pub(super) fn repeat(&mut self, incoming: Incoming, earlier: Earlier) {
        let same = match &earlier {
            Earlier::Ahead(index) => self
                .command_ahead(*index)
                .is_some_and(|ahead| incoming.command.asks_the_same(ahead)),
            Earlier::Recorded(_, decision) => incoming.command.asks_the_same(&decision.command),
        };
        if !same {
            return self.refuse_unrecorded(incoming, Self::command_id_reused());
        }
        match earlier {
            Earlier::Ahead(index) => {
                if let (Some(ahead), Some(reply)) = (self.ahead.get_mut(index), incoming.reply) {
                    ahead.repeats.push(reply);
                }
            }
            Earlier::Recorded(_, decision) => self.answer_recorded(incoming, *decision),
        }
    }

    /// Tells whether the decision that was made under a command's idempotency key has given the key
    /// back: it was a refusal, and a refusal frees the key.
    pub(super) fn gave_back(
        &self,
        command: &Command,
        earlier: &Earlier,
    ) -> Result<bool, InboxError> {
        let Earlier::Recorded(_, decision) = earlier else { return Ok(false) };
        if !command.context.refusal_frees_key {
            return Ok(false);
        }
        let refused = |outcome: &Outcome| matches!(outcome, Outcome::Rejected(rejection) if !rejection.code.is_conflict());
        Ok(match &decision.outcome {
            Outcome::Deferred(_) => {
                self.settled(&decision.command)?.is_some_and(|settled| refused(&settled.outcome))
            }
            // Whoever it was sent on to knows.
            Outcome::Forwarded { .. } => true,
            outcome @ (Outcome::Accepted(_)
            | Outcome::Rejected(_)
            | Outcome::DeadLettered { .. }
            | Outcome::Repeated { .. }
            | Outcome::Previewed(_)) => refused(outcome),
        })
    }

    /// Gives the decision that a held command got in the end, if it has come to one.
    fn settled(&self, held: &Command) -> Result<Option<Box<Decision>>, InboxError> {
        let key = MemoryKey::settled(&held.scope, held.command_id);
        self.state.memory.place(key).map_or(Ok(None), |offset| self.decision_at(offset))
    }

    /// The same idempotency key again, under another command id.
    pub(super) fn repeat_by_key(&mut self, incoming: Incoming, earlier: Earlier) {
        let same = |command: &Command| Self::same_request(&incoming.command, command);
        let is_same = match &earlier {
            Earlier::Ahead(index) => self.command_ahead(*index).is_some_and(same),
            Earlier::Recorded(_, decision) => same(&decision.command),
        };
        if !is_same {
            return self.refuse_unrecorded(incoming, Self::idempotency_key_reused());
        }
        match earlier {
            Earlier::Ahead(_) => refuse(incoming.reply, InboxError::InFlight),
            Earlier::Recorded(_, decision) => self.answer_recorded(incoming, *decision),
        }
    }

    /// Answers as it was answered when it was decided.
    pub(super) fn answer_recorded(&mut self, incoming: Incoming, decision: Decision) {
        let is_forwarded = matches!(decision.outcome, Outcome::Forwarded { .. });
        if decision.command.body.command_type().is_follow_up() && !is_forwarded {
            return self.send_follow_ups_again(&decision);
        }
        let command_id = decision.command.command_id;
        let decision = match &decision.outcome {
            Outcome::Forwarded { to, .. } => {
                // It was sent on, and may have been lost on the way: it goes again, and is a repeat there.
                match to {
                    Some(to) => self.forward(incoming, *to),
                    None => self.shared.push(incoming),
                };
                return;
            }
            Outcome::Deferred(_) => {
                let settled = match self.settled(&decision.command) {
                    Ok(settled) => settled,
                    Err(error) => return refuse(incoming.reply, error),
                };
                let Some(settled) = settled else {
                    if let Some(reply) = incoming.reply {
                        let key = (decision.command.scope, command_id);
                        self.held_replies.entry(key).or_default().push(reply);
                    }
                    return;
                };
                *settled
            }
            Outcome::Accepted(_)
            | Outcome::Rejected(_)
            | Outcome::DeadLettered { .. }
            | Outcome::Repeated { .. }
            | Outcome::Previewed(_) => decision,
        };
        let Some(reply) = incoming.reply else { return };
        let events = serde_json::to_vec(&decision.events).expect("events are JSON");
        let answer = Answer {
            command_id,
            position: Some(Position { partition: self.partition, seq: decision.seq }),
            decided_at: decision.decided_at,
            outcome: decision.outcome,
            events: Bytes::from(events),
            repeated: true,
            preview: None,
        };
        self.deliver(&decision.command, reply, answer);
    }

    /// Sends again what follows from a decision: it may have been lost on the way.
    pub(super) fn send_follow_ups_again(&self, decision: &Decision) {
        let id = subject(&decision.command, &decision.outcome);
        let id = id.unwrap_or_else(|| decision.command.home());
        self.send(self.state.record(id).follow_ups(&Decided {
            command: &decision.command,
            id,
            decided_at: decision.decided_at,
            outcome: &decision.outcome,
            events: &decision.events,
        }));
    }

    fn command_ahead(&self, index: usize) -> Option<&Command> {
        self.ahead.get(index)?.command.as_deref()
    }

    /// Tells whether two requests with one idempotency key ask the same.
    pub(super) fn same_request(ours: &Command, theirs: &Command) -> bool {
        match (&ours.context.fingerprint, &theirs.context.fingerprint) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => ours.asks_the_same(theirs),
        }
    }

    pub(super) fn command_id_reused() -> Rejection {
        let detail = "the command id was used before, for something else";
        Rejection::at(RejectionCode::CommandIdReused, "/command_id", detail)
    }

    pub(super) fn idempotency_key_reused() -> Rejection {
        let detail = "the idempotency key was used before, for another request";
        Rejection::new(RejectionCode::IdempotencyKeyReused, detail)
    }

    /// Says no without a record: the command id or the idempotency key has its decision already.
    pub(super) fn refuse_unrecorded(&self, incoming: Incoming, rejection: Rejection) {
        let Some(reply) = incoming.reply else { return };
        reply.answer(Ok(Answer {
            command_id: incoming.command.command_id,
            position: None,
            decided_at: self.now(),
            outcome: Outcome::Rejected(rejection),
            events: Bytes::from_static(b"[]"),
            repeated: false,
            preview: None,
        }));
    }
}

/// Answers that there is no decision.
pub(super) fn refuse(reply: Option<ReplyTo>, error: InboxError) {
    if let Some(reply) = reply {
        reply.answer(Err(error));
    }
}
