//! The rules: what a command may do to a customer, and what an event does to its state.
//!
//! Pure and synchronous: no clock, no id source, no I/O, no log line. [`decide`] holds all rules and
//! reads only its arguments; [`Record::apply`] holds none and cannot fail. One file per concept;
//! this one composes them.

use std::collections::BTreeMap;

use tallybook_events::command::{Claim, Command, Routed};
use tallybook_events::customer::CustomerDocument;
use tallybook_events::decision::{Outcome, Rejection};
use tallybook_events::event::Event;
use tallybook_events::ids::{CommandId, CustomerId, ReportId};
use tallybook_events::time::Timestamp;

pub use catalogue::TierCatalogue;
pub use customer::Customer;

mod catalogue;
mod customer;

/// Version of these rules, as it stands in each decision. It goes up when a command could be decided
/// otherwise than before; what was decided stays.
pub const RULES: &str = "1";

/// All that is known at one customer id: the customer that lives there, the slot of the key that
/// hashes to it, and what waits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// The customer, once it is born.
    pub customer: Option<Box<Customer>>,
    /// The slot of the key whose slot is here.
    pub slot: Slot,
    /// Commands that wait for a slot's answer, by their id.
    pub held: BTreeMap<CommandId, Held>,
    /// Keys that this customer gave back to slots elsewhere, not answered yet.
    pub releasing: Vec<Claim>,
}

/// Who has the key whose slot is at this id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Slot {
    /// The customer that holds the key: the one that lives here, or one that lives elsewhere.
    pub holder: Option<CustomerId>,
    /// How many customers were born under the key.
    pub births: u32,
}

/// A command that waits for a slot's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The command.
    pub command: Command,
    /// What it waits for.
    pub claim: Claim,
}

/// What a decision reads beside the state.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The command.
    pub command: &'a Command,
    /// The id at which it is decided: [`Command::home`].
    pub id: CustomerId,
    /// When it is decided.
    pub decided_at: Timestamp,
    /// The tiers there are.
    pub tiers: &'a TierCatalogue,
}

/// What becomes of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is done: these are the facts.
    Accepted {
        /// The facts, in order. None when nothing changed.
        events: Vec<Event>,
        /// Reports that had been recorded before, with the same content.
        duplicates: Vec<ReportId>,
        /// Reports whose id had been recorded before with other content.
        conflicts: Vec<ReportId>,
    },
    /// We say no.
    Rejected(Rejection),
    /// The customer lives elsewhere: the command goes there.
    Forward(Routed),
    /// It is held until the slot of the key has answered.
    Deferred(Claim),
}

/// Decides a command. Reads only its arguments.
pub fn decide(record: &Record, ask: &Ask<'_>) -> Verdict {
    let _ = (record, ask);
    Verdict::Forward(Routed { customer_id: ask.id, birth: None })
}

/// A decision, as far as it changes state.
#[derive(Debug, Clone, Copy)]
pub struct Decided<'a> {
    /// The command.
    pub command: &'a Command,
    /// The id at which it was decided.
    pub id: CustomerId,
    /// When.
    pub decided_at: Timestamp,
    /// What became of it.
    pub outcome: &'a Outcome,
    /// The facts.
    pub events: &'a [Event],
}

impl Record {
    /// Applies a decision. Cannot fail: a fact is never refused.
    pub fn apply(&mut self, decided: &Decided<'_>) {
        let _ = decided;
    }

    /// Gives the version of the customer, 0 when there is none.
    pub fn version(&self) -> u64 {
        self.customer.as_ref().map_or(0, |customer| customer.version)
    }

    /// Gives the commands that must be sent now that this decision counts: claims to slots, their
    /// answers, releases. Their ids are derived, so that sending them again is harmless.
    pub fn follow_ups(&self, decided: &Decided<'_>) -> Vec<Command> {
        let _ = decided;
        Vec::new()
    }

    /// Gives the commands to ask again for all that still waits here: a new owner sends them.
    pub fn unanswered(&self) -> Vec<Command> {
        Vec::new()
    }

    /// Gives the customer document; `now` says which period is the current one.
    pub fn document(&self, now: Timestamp) -> Option<CustomerDocument> {
        let _ = now;
        None
    }
}
