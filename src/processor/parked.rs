//! Answers that wait: what a command gave back is back with its registrars before its caller hears that
//! it is done. So whoever asks next, anywhere, finds the key free, the parent without that child.

use tallybook_events::command::Command;
use tallybook_events::ids::{CommandId, CustomerId};

use super::owner::Owner;
use super::state::subject;
use crate::inbox::{Answer, ReplyTo};

/// An answer that waits until what the command gave back is back.
#[derive(Debug)]
pub(super) struct Parked {
    /// The command whose decision gave something back.
    cause: CommandId,
    reply: ReplyTo,
    answer: Answer,
}

impl Owner {
    /// Gives an answer, at once or when all that the decided command gave back is back.
    pub(super) fn deliver(&mut self, decided: &Command, reply: ReplyTo, answer: Answer) {
        let cause = decided.command_id;
        match subject(decided, &answer.outcome) {
            Some(id) if self.state.record(id).gives_back(cause) => {
                self.parked.entry(id).or_default().push(Parked { cause, reply, answer });
            }
            Some(_) | None => reply.answer(Ok(answer)),
        }
    }

    /// Gives the answers that wait no longer, at one customer.
    pub(super) fn unpark(&mut self, id: CustomerId) {
        let Some(parked) = self.parked.remove(&id) else { return };
        let record = self.state.record(id);
        let (wait, done): (Vec<_>, Vec<_>) =
            parked.into_iter().partition(|parked| record.gives_back(parked.cause));
        if !wait.is_empty() {
            self.parked.insert(id, wait);
        }
        for Parked { reply, answer, .. } in done {
            reply.answer(Ok(answer));
        }
    }

    /// Gives the answers that wait no longer, everywhere: another owner may have heard the registrars.
    pub(super) fn unpark_all(&mut self) {
        let ids: Vec<CustomerId> = self.parked.keys().copied().collect();
        for id in ids {
            self.unpark(id);
        }
    }
}
