//! Those who wait for decisions, by the command's id.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tallybook_events::command::Command;
use tallybook_events::ids::CommandId;

use crate::inbox::{Answer, ReplyTo};

/// One who waits for a decision.
pub(super) struct Waiter {
    command: Command,
    reply: ReplyTo,
    pub(super) until: Instant,
}

/// Those who wait, by the command's id.
#[derive(Default)]
pub(super) struct Waiters(Mutex<HashMap<CommandId, Vec<Waiter>>>);

impl Waiters {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<CommandId, Vec<Waiter>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    pub(super) fn add(&self, commands: Vec<Command>, replies: Vec<ReplyTo>, until: Instant) {
        let mut waiters = self.lock();
        for (command, reply) in commands.into_iter().zip(replies) {
            waiters.entry(command.command_id).or_default().push(Waiter { command, reply, until });
        }
    }

    /// Takes out those who wait for this decision.
    pub(super) fn take(&self, command: &Command) -> Vec<Waiter> {
        let mut waiters = self.lock();
        let Some(of_id) = waiters.get_mut(&command.command_id) else { return Vec::new() };
        let (taken, left): (Vec<_>, Vec<_>) =
            std::mem::take(of_id).into_iter().partition(|waiter| waiter.asked(command));
        *of_id = left;
        if of_id.is_empty() {
            waiters.remove(&command.command_id);
        }
        taken
    }

    pub(super) fn has(&self, id: CommandId) -> bool {
        self.lock().contains_key(&id)
    }

    /// Lets those go who have waited long enough.
    pub(super) fn forget_late(&self, now: Instant) {
        self.lock().retain(|_, of_id| {
            of_id.retain(|waiter| waiter.until > now);
            !of_id.is_empty()
        });
    }
}

impl Waiter {
    /// Tells whether a recorded command is the one that was asked here: another one may bear its id.
    fn asked(&self, recorded: &Command) -> bool {
        self.command.scope == recorded.scope && self.command.asks_the_same(recorded)
    }
}

/// Gives an answer to all who wait for it.
pub(super) fn answer_all(waiters: Vec<Waiter>, answer: &Answer) {
    for waiter in waiters {
        waiter.reply.answer(Ok(answer.clone()));
    }
}
