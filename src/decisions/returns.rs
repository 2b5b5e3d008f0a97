//! What does a customer give back? A key that it had, its place below a parent, and what registrars
//! granted that came to nothing. A slot that is here has its key back at once; all else is on its way
//! until the registrar has answered.

use tallybook_events::command::{Claim, EdgeClaim, KeyClaim, PledgeClaim};
use tallybook_events::ids::{CommandId, CustomerKey, CustomerRef};

use super::claims::Grant;
use super::evolve::is_slot_of;
use super::{Decided, Record, follow_ups};

/// Gives back the key that the customer had.
pub(super) fn key(record: &mut Record, decided: &Decided<'_>, key: Option<&CustomerKey>) {
    let Some(key) = key else { return };
    if is_slot_of(decided, key) {
        record.slot.holder = None;
        record.ties.change(|ties| ties.slot = None);
        return;
    }
    let under = record.ties.get().key;
    record.ties.change(|ties| ties.key = None);
    send_key(record, decided, key, under);
}

/// Gives back the place below the parent that the customer had, if it had one.
pub(super) fn edge(record: &mut Record, decided: &Decided<'_>) {
    let parent = record.customer.as_ref().and_then(|customer| customer.identity().parent);
    let (Some(held), Some(parent)) = (record.ties.get().edge, parent) else { return };
    record.ties.change(|ties| ties.edge = None);
    send(record, decided, Claim::Edge(EdgeClaim { parent, child: decided.id, held }));
}

/// Gives back what was granted, unless it is of use: the customer has it by that claim, or a command
/// that waits does. A pledge has done its work in any case.
pub(super) fn idle(record: &mut Record, decided: &Decided<'_>, grant: &Grant) {
    match &grant.claim {
        Claim::Key(claim) => {
            let has = record.customer.as_ref().is_some_and(|customer| customer.holds(&claim.key));
            // Also when it is on its way back already: this may have been granted after that.
            if !has && !waits(record, |other| is_key(other, &claim.key)) {
                let under = Some(grant.answer.under.unwrap_or(claim.held));
                send_key(record, decided, &claim.key, under);
            }
        }
        Claim::Edge(claim) => {
            let has = record.ties.get().edge == Some(claim.held);
            if !has && !waits(record, |other| *other == grant.claim) {
                send(record, decided, grant.claim.clone());
            }
        }
        Claim::Pledge(claim) => {
            let Some(parent) = grant.answer.pledged else { return };
            if !waits(record, |other| *other == grant.claim) {
                let pledge = CustomerRef::Id(parent);
                let PledgeClaim { child, held, .. } = *claim;
                send(record, decided, Claim::Pledge(PledgeClaim { pledge, child, held }));
            }
        }
    }
}

/// Tells whether a command that waits here waits for such a claim, or has it.
fn waits(record: &Record, is: impl Fn(&Claim) -> bool) -> bool {
    let mut held = record.held.values();
    held.any(|held| is(&held.claim) || held.granted.iter().any(|grant| is(&grant.claim)))
}

fn is_key(claim: &Claim, key: &CustomerKey) -> bool {
    matches!(claim, Claim::Key(claim) if claim.key == *key)
}

fn send_key(
    record: &mut Record,
    decided: &Decided<'_>,
    key: &CustomerKey,
    under: Option<CommandId>,
) {
    let (key, held) = (key.clone(), decided.command.command_id);
    let claim = KeyClaim { key, holder: decided.id, held, birth: false, under };
    send(record, decided, Claim::Key(claim));
}

/// Sends a release, also when the same is on its way back already: a claim that came again may have been
/// granted after that one had been taken back. Each has an id of its own, by which it is answered.
fn send(record: &mut Record, decided: &Decided<'_>, claim: Claim) {
    let release = follow_ups::release(decided, claim);
    if !record.releasing.iter().any(|sent| sent.command_id == release.command_id) {
        record.releasing.push(release);
    }
}
