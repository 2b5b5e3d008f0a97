//! Who has a key? Its slot decides: it gives the key to one customer at a time, wherever that lives.
//! The command that needs the key is held at the customer until the slot has answered.

use tallybook_events::command::{Claim, Command, CommandBody, CustomerPatch, Settlement};
use tallybook_events::customer::{KeyClaimed, KeyReleased};
use tallybook_events::decision::{Rejection, RejectionCode};
use tallybook_events::event::Event;
use tallybook_events::ids::{CustomerId, CustomerKey};

use super::{Ask, Record, Verdict, customers_command};

/// Most commands that wait at one customer.
pub(super) const MAX_HELD: usize = 1_000;
/// Most keys on their way back from one customer.
pub(super) const MAX_RELEASING: usize = 16;

/// Decides a claim, at the slot of the key. A claim by the holder is granted again without an event.
///
/// # Errors
/// `key_taken` when another customer has the key.
pub(super) fn claim(record: &Record, ask: &Ask<'_>, claim: &Claim) -> Result<Verdict, Rejection> {
    at_slot_of(ask, &claim.key)?;
    let events = match record.slot.holder {
        Some(holder) if holder == claim.holder => Vec::new(),
        Some(_) => return Err(taken(None)),
        None => vec![Event::KeyClaimed(KeyClaimed {
            key: claim.key.clone(),
            holder: claim.holder,
            birth: claim.birth,
        })],
    };
    Ok(accepted(events))
}

/// Decides on a key that is given back, at its slot. One that the customer does not hold stays as it is.
///
/// # Errors
/// `customer_id_refused` when this is not the slot of the key.
pub(super) fn release(record: &Record, ask: &Ask<'_>, claim: &Claim) -> Result<Verdict, Rejection> {
    at_slot_of(ask, &claim.key)?;
    // A customer that lives here gives its key back itself.
    let held = record.slot.holder == Some(claim.holder) && claim.holder != ask.id;
    let event = held
        .then(|| Event::KeyReleased(KeyReleased { key: claim.key.clone(), holder: claim.holder }));
    Ok(accepted(event.into_iter().collect()))
}

/// Decides the command that waited for a slot's answer, at the customer: as a whole, as things stand now.
///
/// # Errors
/// `nothing_held` when no command waits for this claim; else what refuses the held command.
pub(super) fn settle(
    record: &Record,
    ask: &Ask<'_>,
    settlement: &Settlement,
) -> Result<Verdict, Rejection> {
    let Settlement { claim, granted } = settlement;
    let held = record
        .held
        .get(&claim.held)
        .filter(|held| held.claim == *claim && held.command.scope == ask.command.scope)
        .ok_or_else(|| {
            let detail = "no command waits for this claim, or not any more";
            Rejection::new(RejectionCode::NothingHeld, detail)
        })?;
    if !granted {
        return Err(match patch_of(&held.command) {
            None => overtaken(),
            Some(patch) => taken(Some(patch)),
        });
    }
    let ask = Ask { command: &held.command, ..*ask };
    match customers_command(record, &ask, Some(claim))? {
        accepted @ Verdict::Accepted { .. } => Ok(accepted),
        Verdict::Rejected(rejection) => Err(rejection),
        Verdict::Forward(_) | Verdict::Deferred(_) => Err(overtaken()),
    }
}

/// Decides a slot's word that it has a key back, at the customer that gave it.
pub(super) fn settle_release() -> Verdict {
    accepted(Vec::new())
}

/// Holds a command until the slot of the key that it needs has answered; one whose claim was granted goes
/// through.
///
/// # Errors
/// `change_in_progress` when another change of the key is under way, or too much waits.
pub(super) fn await_key(
    record: &Record,
    claim: Claim,
    grant: Option<&Claim>,
    decided: Verdict,
) -> Result<Verdict, Rejection> {
    if grant == Some(&claim) {
        return Ok(decided);
    }
    // Births under one key wait side by side. Any other change of the key waits alone: so no grant can
    // be used after its key was given back.
    let beside = |other: &Claim| claim.birth && other.birth && other.key == claim.key;
    let busy = record.held.values().any(|held| !beside(&held.claim));
    let returning = record.releasing.iter().any(|release| releases(release, &claim.key));
    if busy || returning {
        let detail = "another change of the key is under way; try again when it is done";
        return Err(Rejection::new(RejectionCode::ChangeInProgress, detail));
    }
    if record.held.len() >= MAX_HELD || record.releasing.len() >= MAX_RELEASING {
        let detail = "too many commands wait for changes of the key; try again later";
        return Err(Rejection::new(RejectionCode::ChangeInProgress, detail));
    }
    Ok(Verdict::Deferred(claim))
}

/// Tells whether a follow-up gives a key back.
pub(super) fn releases(command: &Command, key: &CustomerKey) -> bool {
    matches!(&command.body, CommandBody::ReleaseKey(claim) if claim.key == *key)
}

fn patch_of(command: &Command) -> Option<&CustomerPatch> {
    match &command.body {
        CommandBody::CreateCustomer(patch) | CommandBody::UpdateCustomer(patch) => Some(patch),
        CommandBody::RecordUsage(_)
        | CommandBody::ArchiveCustomer
        | CommandBody::ClaimKey(_)
        | CommandBody::SettleClaim(_)
        | CommandBody::ReleaseKey(_)
        | CommandBody::SettleRelease(_) => None,
    }
}

/// Gives the refusal of a key that another customer has; a key in the patch is pointed at.
pub(super) fn taken(patch: Option<&CustomerPatch>) -> Rejection {
    let detail = "another customer has that key";
    match patch.and_then(|patch| patch.key.as_set()) {
        Some(_) => Rejection::at(RejectionCode::KeyTaken, "/patch/key", detail),
        None => Rejection::new(RejectionCode::KeyTaken, detail),
    }
}

fn overtaken() -> Rejection {
    let detail = "the key changed hands in the meantime; send the command again";
    Rejection::new(RejectionCode::ChangeInProgress, detail)
}

fn accepted(events: Vec<Event>) -> Verdict {
    Verdict::Accepted { events, duplicates: Vec::new(), conflicts: Vec::new() }
}

fn at_slot_of(ask: &Ask<'_>, key: &CustomerKey) -> Result<(), Rejection> {
    if CustomerId::slot(&ask.command.scope, key) == ask.id {
        return Ok(());
    }
    let detail = "this is not the slot of that key";
    Err(Rejection::new(RejectionCode::CustomerIdRefused, detail))
}
