//! What does a decision do to the state? No rule is here: a fact is never refused.

use tallybook_events::command::{Claim, Command, CommandBody, Routed, Settlement};
use tallybook_events::decision::Outcome;
use tallybook_events::event::Event;
use tallybook_events::ids::{CommandId, CustomerId, CustomerKey, CustomerRef};

use super::claims::Grant;
use super::customer::Customer;
use super::{Decided, Held, Record, address, follow_ups, returns};

/// Applies a decision to the record at the id where it was decided.
pub(super) fn apply(record: &mut Record, decided: &Decided<'_>) {
    match decided.outcome {
        Outcome::Accepted(_) => {
            let grants = grants(record, decided);
            for event in decided.events {
                fact(record, decided, event, &grants);
            }
            answered(record, decided);
        }
        Outcome::Rejected(_) => answered(record, decided),
        Outcome::Deferred(deferred) => deferred_for(record, decided, &deferred.claim),
        Outcome::Forwarded { .. }
        | Outcome::DeadLettered { .. }
        | Outcome::Repeated { .. }
        | Outcome::Previewed(_) => {}
    }
}

/// Holds a command, or holds it on for something else that it needs.
fn deferred_for(record: &mut Record, decided: &Decided<'_>, claim: &Claim) {
    let since = decided.decided_at;
    if let CommandBody::SettleClaim(settlement) = &decided.command.body {
        if let Some(held) = record.held.get_mut(&settlement.claim.held()) {
            held.granted.extend(grant(settlement));
            (held.claim, held.since) = (claim.clone(), since);
        }
        return;
    }
    let command = held(record, decided);
    let held = Held { command, claim: claim.clone(), since, granted: Vec::new() };
    record.held.insert(decided.command.command_id, held);
}

/// Gives the command to decide when registrars have answered. It is decided here, whatever way it
/// came: the journal has it as it was asked, and says only where it was decided.
fn held(record: &Record, decided: &Decided<'_>) -> Command {
    let mut command = decided.command.clone();
    command.routed = match &command.customer {
        CustomerRef::Id(_) => None,
        // A birth at the slot of its own key.
        CustomerRef::Key(key) if record.customer.is_none() && is_slot_of(decided, key) => None,
        CustomerRef::Key(key) => {
            let unborn = record.customer.is_none();
            let birth = if unborn { address::birth_number(decided, key) } else { None };
            Some(Routed { customer_id: decided.id, birth })
        }
    };
    command
}

/// Gives what was granted to the command that is decided now.
fn grants(record: &Record, decided: &Decided<'_>) -> Vec<Grant> {
    let CommandBody::SettleClaim(settlement) = &decided.command.body else { return Vec::new() };
    let held = record.held.get(&settlement.claim.held());
    let before = held.map(|held| held.granted.as_slice()).unwrap_or_default();
    before.iter().cloned().chain(grant(settlement)).collect()
}

fn grant(settlement: &Settlement) -> Option<Grant> {
    let Settlement { claim, granted, answer } = settlement;
    granted.then(|| Grant { claim: claim.clone(), answer: answer.clone() })
}

fn fact(record: &mut Record, decided: &Decided<'_>, event: &Event, grants: &[Grant]) {
    match event {
        Event::CustomerCreated(created) => {
            let scope = decided.command.scope.clone();
            let unborn =
                Customer::unborn(decided.id, scope, created.key.clone(), decided.decided_at);
            record.customer = Some(Box::new(unborn));
            if let Some(key) = &created.key {
                record.slot.births += u32::from(is_slot_of(decided, key));
                has_key(record, decided, key, grants);
            }
        }
        Event::KeyChanged(changed) => {
            returns::key(record, decided, changed.from.as_ref());
            if let Some(key) = &changed.to {
                has_key(record, decided, key, grants);
            }
        }
        Event::ParentChanged(changed) => {
            returns::edge(record, decided);
            let edge = changed.to.and_then(|parent| claim_of_parent(grants, parent));
            record.ties.change(|ties| ties.edge = edge);
        }
        Event::CustomerArchived(archived) => {
            returns::key(record, decided, archived.key.as_ref());
            returns::edge(record, decided);
        }
        Event::KeyClaimed(claimed) => {
            record.slot.holder = Some(claimed.holder);
            record.slot.births += u32::from(claimed.birth);
            record.ties.change(|ties| ties.slot = claimed.held);
        }
        Event::KeyReleased(_) => {
            record.slot.holder = None;
            record.ties.change(|ties| ties.slot = None);
        }
        Event::PledgeClaimed(claimed) => record.ties.change(|ties| {
            ties.pledges.insert(claimed.held, claimed.child);
        }),
        Event::PledgeReleased(released) => record.ties.change(|ties| {
            ties.pledges.remove(&released.held);
        }),
        Event::EdgeClaimed(edge) => record.ties.change(|ties| ties.hierarchy.claimed(edge)),
        Event::EdgeReleased(edge) => record.ties.change(|ties| ties.hierarchy.released(edge)),
        Event::CustomerUpdated(_)
        | Event::TierChanged(_)
        | Event::StatusChanged(_)
        | Event::ContractSet(_)
        | Event::BudgetSet(_)
        | Event::PolicyChanged(_)
        | Event::BillingControlsSet(_)
        | Event::UsageRecorded(_)
        | Event::BudgetThresholdReached(_)
        | Event::PlanAttached(_)
        | Event::PlanChanged(_)
        | Event::PlanCanceled(_)
        | Event::PurchaseRecorded(_)
        | Event::BalanceGranted(_)
        | Event::GrantRevoked(_)
        | Event::FlagSet(_)
        | Event::FlagCleared(_)
        | Event::AutoTopupTriggered(_)
        | Event::UsageAlertTriggered(_)
        | Event::BalanceLimitReached(_) => {}
    }
    if let Some(customer) = &mut record.customer {
        customer.apply(event, decided.decided_at);
    }
}

/// The customer here has a key from now on: of the slot here, or by a claim of one elsewhere.
fn has_key(record: &mut Record, decided: &Decided<'_>, key: &CustomerKey, grants: &[Grant]) {
    if is_slot_of(decided, key) {
        record.slot.holder = Some(decided.id);
        record.ties.change(|ties| (ties.slot, ties.key) = (None, None));
        return;
    }
    let claim = grants.iter().find_map(|grant| match &grant.claim {
        Claim::Key(claim) if claim.key == *key => Some(grant.answer.under.unwrap_or(claim.held)),
        Claim::Key(_) | Claim::Pledge(_) | Claim::Edge(_) => None,
    });
    record.ties.change(|ties| ties.key = claim);
}

fn claim_of_parent(grants: &[Grant], parent: CustomerId) -> Option<CommandId> {
    grants.iter().find_map(|grant| match &grant.claim {
        Claim::Edge(claim) if claim.parent == parent => Some(claim.held),
        Claim::Edge(_) | Claim::Key(_) | Claim::Pledge(_) => None,
    })
}

/// Ends what a registrar's answer was waited for, and gives back what is of no use now.
fn answered(record: &mut Record, decided: &Decided<'_>) {
    match &decided.command.body {
        CommandBody::SettleClaim(settlement) => {
            let claim = &settlement.claim;
            let mut idle: Vec<Grant> = grant(settlement).into_iter().collect();
            if record.held.get(&claim.held()).is_some_and(|held| held.claim == *claim) {
                let held = record.held.remove(&claim.held());
                idle.extend(held.into_iter().flat_map(|held| held.granted));
            }
            for grant in &idle {
                returns::idle(record, decided, grant);
            }
        }
        CommandBody::SettleRelease(claim) => {
            let answered = |release: &Command| follow_ups::answers(decided.command, claim, release);
            record.releasing.retain(|release| !answered(release));
        }
        CommandBody::CreateCustomer(_)
        | CommandBody::UpdateCustomer(_)
        | CommandBody::RecordUsage(_)
        | CommandBody::ArchiveCustomer
        | CommandBody::Entitle(_)
        | CommandBody::Claim(_)
        | CommandBody::Release(_) => {}
    }
}

pub(super) fn is_slot_of(decided: &Decided<'_>, key: &CustomerKey) -> bool {
    CustomerId::slot(&decided.command.scope, key) == decided.id
}
