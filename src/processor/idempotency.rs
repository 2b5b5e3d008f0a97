//! Whose is an idempotency key? It belongs to the customer that decides the command, however that is
//! named. What it was first used for is found, too, by the name that was used, as long as nobody else
//! has that name: so a rename that comes again is known as a repeat, and so is a birth.

use tallybook_events::command::{Command, CommandBody};
use tallybook_events::decision::Outcome;
use tallybook_events::ids::{CustomerId, Token};

use super::memory::MemoryKey;
use super::owner::Owner;
use super::repeats::Earlier;
use super::state::PartitionState;
use crate::decisions::{self, Whereabouts};
use crate::inbox::InboxError;

/// Most hops from a name to the customer that is followed here.
const MAX_HOPS: usize = 4;

/// What is known of the idempotency key of a command.
pub(super) enum Used {
    /// It was used before.
    Before(Earlier),
    /// It was not, or was given back: it is remembered under these from now on.
    Not(Vec<MemoryKey>),
}

/// With whom a command is decided, as far as it can be followed within a partition.
enum Decider {
    /// A customer that is there.
    Customer(CustomerId),
    /// Nobody yet: one may be born here.
    Nobody(CustomerId),
    /// Somebody on another partition.
    Elsewhere,
}

impl Decider {
    fn of(state: &PartitionState, command: &Command, is_here: impl Fn(CustomerId) -> bool) -> Self {
        let mut id = command.home();
        let mut at = decisions::whereabouts(state.record(id), command, id);
        for _ in 0..MAX_HOPS {
            let routed = match at {
                Whereabouts::Customer => return Self::Customer(id),
                Whereabouts::Nobody => return Self::Nobody(id),
                Whereabouts::SentOn(routed) => routed,
            };
            id = routed.customer_id;
            if !is_here(id) {
                break;
            }
            let command = Command { routed: Some(routed), ..command.clone() };
            at = decisions::whereabouts(state.record(id), &command, id);
        }
        Self::Elsewhere
    }

    /// Gives what the idempotency key of a command is remembered under: the customer, and the name.
    fn places(&self, command: &Command, token: &Token) -> Vec<MemoryKey> {
        let births =
            matches!(command.body, CommandBody::CreateCustomer(_) | CommandBody::RecordUsage(_));
        let customer = match self {
            Self::Customer(id) => Some(*id),
            Self::Nobody(id) => Some(*id).filter(|_| births),
            Self::Elsewhere => None,
        };
        let by_customer = |id| MemoryKey::idempotency(&command.scope, id, token);
        customer.map(by_customer).into_iter().chain([by_name(command, token)]).collect()
    }
}

fn by_name(command: &Command, token: &Token) -> MemoryKey {
    MemoryKey::idempotency_by_name(&command.scope, command.customer.home(&command.scope), token)
}

/// Gives what the idempotency key of a recorded decision is remembered under. The state is that of just
/// before the decision.
pub(super) fn recorded(
    state: &PartitionState,
    command: &Command,
    outcome: &Outcome,
) -> Vec<MemoryKey> {
    let Some(token) = &command.context.idempotency_key else { return Vec::new() };
    let decider = match outcome {
        Outcome::Forwarded { .. } => Decider::Elsewhere,
        Outcome::Accepted(_)
        | Outcome::Rejected(_)
        | Outcome::Deferred(_)
        | Outcome::DeadLettered { .. }
        | Outcome::Repeated { .. }
        | Outcome::Previewed(_) => Decider::of(state, command, |_| true),
    };
    decider.places(command, token)
}

impl Owner {
    /// Looks up what the idempotency key of a command was used for. A command that is sent on to
    /// another partition is looked up there.
    pub(super) fn used(&self, command: &Command) -> Result<Used, InboxError> {
        let Some(token) = &command.context.idempotency_key else {
            return Ok(Used::Not(Vec::new()));
        };
        let here = |id| self.shared.partition_of(id) == self.partition;
        let decider = Decider::of(&self.state, command, here);
        let places = decider.places(command, token);
        // A birth is known by the name that it is to get: no second one follows from a repeat.
        let key = match (&command.body, decider) {
            (CommandBody::CreateCustomer(_), _) | (_, Decider::Nobody(_)) => {
                by_name(command, token)
            }
            (_, Decider::Customer(id)) => MemoryKey::idempotency(&command.scope, id, token),
            (_, Decider::Elsewhere) => return Ok(Used::Not(places)),
        };
        let earlier = self.earlier(key, |other| {
            other.context.idempotency_key.as_ref() == Some(token) && other.scope == command.scope
        })?;
        match earlier {
            Some(earlier) if !self.gave_back(command, &earlier)? => Ok(Used::Before(earlier)),
            Some(_) | None => Ok(Used::Not(places)),
        }
    }
}
