//! The rules: what a command may do to a customer, and what an event does to its state.
//!
//! Pure and synchronous: no clock, no id source, no I/O, no log line. [`decide`] holds all rules
//! and reads only its arguments; [`Record::apply`] holds none and cannot fail. One file per
//! concept; this one composes them.

use std::collections::BTreeMap;

use tallybook_events::command::{Claim, Command, CommandBody, Routed};
use tallybook_events::customer::CustomerDocument;
use tallybook_events::decision::{Outcome, Rejection};
use tallybook_events::event::Event;
use tallybook_events::ids::{CommandId, CustomerId, ReportId};
use tallybook_events::time::Timestamp;

pub use address::Whereabouts;
pub use catalogue::TierCatalogue;
pub use claims::Grant;
pub use customer::Customer;
pub use hierarchy::Hierarchy;
pub use packed::{Packed, Unpackable, Unpacking};
pub use ties::{RareTies, Ties};

mod address;
mod identity;
mod claims;
mod slots;
mod parents;
mod pledges;
mod hierarchy;
mod ties;
mod update;
mod profile;
mod contract;
mod catalogue;
mod budget;
mod thresholds;
mod usage;
mod hours;
mod reports;
mod sip;
mod policy;
mod controls;
mod entitlements;
mod evolve;
mod returns;
mod customer;
mod follow_ups;
mod digest;
mod packed;
#[cfg(test)]
mod world;
#[cfg(test)]
mod given;
#[cfg(test)]
mod arbitrary;
#[cfg(test)]
mod properties;

/// Version of these rules, as it stands in each decision. It goes up when a command could be
/// decided otherwise than before; what was decided stays.
pub const RULES: &str = "3";

/// All that is known at one customer id: the customer that lives there, the slot of the key that
/// hashes to it, and what waits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// The customer, once it is born.
    pub customer: Option<Box<Customer>>,
    /// The slot of the key whose slot is here.
    pub slot: Slot,
    /// What binds it to others.
    pub ties: RareTies,
    /// Commands that wait for a registrar's answer, by their id.
    pub held: BTreeMap<CommandId, Held>,
    /// Commands that give something back to registrars, sent and not answered yet.
    pub releasing: Vec<Command>,
}

/// Who has the key whose slot is at this id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Slot {
    /// The customer that holds the key: the one that lives here, or one that lives elsewhere.
    pub holder: Option<CustomerId>,
    /// How many customers were born under the key.
    pub births: u32,
}

/// A command that waits for a registrar's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The command.
    pub command: Command,
    /// What it waits for.
    pub claim: Claim,
    /// Since when it waits for that.
    pub since: Timestamp,
    /// What it was granted before.
    pub granted: Vec<Grant>,
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
    /// It is held until a registrar has answered.
    Deferred(Claim),
}

impl Verdict {
    /// It is done, and no report was known before.
    const fn done(events: Vec<Event>) -> Self {
        Self::Accepted { events, duplicates: Vec::new(), conflicts: Vec::new() }
    }
}

/// Decides a command. Reads only its arguments.
///
/// A command that was deferred is decided as a whole when all registrars have answered: the verdict
/// on the last `SettleClaim` is the verdict on the held command.
pub fn decide(record: &Record, ask: &Ask<'_>) -> Verdict {
    customers_command(record, ask, &[]).unwrap_or_else(Verdict::Rejected)
}

/// Decides a command; `grants` are the claims that registrars have granted to it.
fn customers_command(
    record: &Record,
    ask: &Ask<'_>,
    grants: &[Grant],
) -> Result<Verdict, Rejection> {
    match &ask.command.body {
        CommandBody::CreateCustomer(patch) => identity::create(record, ask, patch, grants),
        CommandBody::UpdateCustomer(patch) => update::decide(record, ask, patch, grants),
        CommandBody::RecordUsage(reports) => usage::record(record, ask, reports, grants),
        CommandBody::ArchiveCustomer => identity::archive(record, ask),
        CommandBody::Entitle(asked) => entitlements::decide(record, ask, asked),
        CommandBody::Claim(claim) => claims::claim(record, ask, claim),
        CommandBody::SettleClaim(settlement) => claims::settle(record, ask, settlement),
        CommandBody::Release(claim) => claims::release(record, ask, claim),
        CommandBody::SettleRelease(_) => Ok(claims::settle_release()),
    }
}

/// Tells where a command is decided that came to an id: where [`Verdict::Forward`] would send it, with
/// no more than the state there.
pub fn whereabouts(record: &Record, command: &Command, id: CustomerId) -> Whereabouts {
    address::whereabouts(record, command, id)
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
        evolve::apply(self, decided);
    }

    /// Gives the version of the customer, 0 when there is none.
    pub fn version(&self) -> u64 {
        self.customer.as_ref().map_or(0, |customer| customer.version)
    }

    /// Gives the commands that must be sent now that this decision counts: claims to registrars, their
    /// answers, releases. Their ids are derived, so that sending them again is harmless.
    ///
    /// The decision must have been applied here; others after it may have been, too.
    pub fn follow_ups(&self, decided: &Decided<'_>) -> Vec<Command> {
        follow_ups::of(self, decided)
    }

    /// Gives the commands to ask again for all that still waits here: a new owner sends them.
    pub fn unanswered(&self) -> Vec<Command> {
        follow_ups::unanswered(self)
    }

    /// Tells whether something that a command gave back is still on its way.
    pub fn gives_back(&self, cause: CommandId) -> bool {
        self.releasing.iter().any(|release| follow_ups::is_caused(release, cause))
    }

    /// Gives the customer document; `now` says which period is the current one.
    pub fn document(&self, now: Timestamp) -> Option<CustomerDocument> {
        self.customer.as_ref().map(|customer| customer.document(now))
    }
}

/// Gives a digest of all state: equal for equal records, whatever way they came about.
pub fn state_digest<'a>(records: impl Iterator<Item = (CustomerId, &'a Record)>) -> [u8; 32] {
    digest::of(records)
}
