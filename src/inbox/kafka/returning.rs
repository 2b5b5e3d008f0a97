//! Answers that wait: what a decision gives back is back with its registrars before its caller hears of
//! it, as where all is in one process. So whoever asks next, anywhere, finds the key free, the parent
//! without that child.
//!
//! Which decisions give something back, they say themselves; that it is back, the answer to the release
//! says, on the same partition and later.

use std::collections::HashSet;
use std::time::Instant;

use tallybook_events::command::CommandBody;
use tallybook_events::decision::Decision;
use tallybook_events::ids::CommandId;
use uuid::Uuid;

use super::waiters::{Waiter, answer_all};
use crate::inbox::Answer;

/// What is on its way back, and who waits for it.
#[derive(Default)]
pub(super) struct Returning {
    /// Releases that follow from decisions that were seen, and whose answers were not.
    releases: HashSet<CommandId>,
    parked: Vec<Parked>,
}

/// An answer that waits for releases.
struct Parked {
    releases: Vec<CommandId>,
    waiters: Vec<Waiter>,
    answer: Answer,
}

impl Returning {
    /// Tells whether nothing is on its way back: then nobody waits for it either.
    pub(super) fn is_empty(&self) -> bool {
        self.releases.is_empty() && self.parked.is_empty()
    }

    /// Takes note of a decision that counts: what it gives back, or that something is back.
    pub(super) fn saw(&mut self, decision: &Decision) {
        self.releases.extend(&decision.gives_back);
        let CommandBody::SettleRelease(_) = decision.command.body else { return };
        let cause = decision.command.context.causation_id.as_ref();
        let Some(id) = cause.and_then(|cause| Uuid::parse_str(cause.as_str()).ok()) else { return };
        if !self.releases.remove(&CommandId(id)) {
            return;
        }
        for parked in std::mem::take(&mut self.parked) {
            self.answer(parked.releases, parked.waiters, parked.answer);
        }
    }

    /// Gives an answer, at once or when all that its decision gives back is back.
    pub(super) fn answer(
        &mut self,
        mut releases: Vec<CommandId>,
        waiters: Vec<Waiter>,
        answer: Answer,
    ) {
        releases.retain(|release| self.releases.contains(release));
        if releases.is_empty() {
            answer_all(waiters, &answer);
        } else if !waiters.is_empty() {
            self.parked.push(Parked { releases, waiters, answer });
        }
    }

    /// Lets those go who have waited long enough.
    pub(super) fn forget_late(&mut self, now: Instant) {
        for parked in &mut self.parked {
            parked.waiters.retain(|waiter| waiter.until > now);
        }
        self.parked.retain(|parked| !parked.waiters.is_empty());
    }
}
