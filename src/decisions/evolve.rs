//! What does a decision do to the state? No rule is here: a fact is never refused.

use tallybook_events::command::{Claim, CommandBody, Routed, Settlement};
use tallybook_events::decision::Outcome;
use tallybook_events::event::Event;
use tallybook_events::ids::{CustomerId, CustomerKey, CustomerRef};

use super::customer::Customer;
use super::{Decided, Held, Record, address, follow_ups, slots};

/// Applies a decision to the record at the id where it was decided.
pub(super) fn apply(record: &mut Record, decided: &Decided<'_>) {
    match decided.outcome {
        Outcome::Accepted(_) => {
            for event in decided.events {
                fact(record, decided, event);
            }
            answered(record, decided);
        }
        Outcome::Rejected(_) => answered(record, decided),
        Outcome::Deferred(deferred) => {
            let held = held(decided, &deferred.claim);
            record.held.insert(decided.command.command_id, held);
        }
        Outcome::Forwarded { .. } | Outcome::DeadLettered { .. } | Outcome::Repeated { .. } => {}
    }
}

/// Gives the command to decide when the slot has answered. It is decided here, whatever way it
/// came: the journal has it as it was asked, and says only where it was decided.
fn held(decided: &Decided<'_>, claim: &Claim) -> Held {
    let mut command = decided.command.clone();
    command.routed = match &command.customer {
        CustomerRef::Id(_) => None,
        CustomerRef::Key(_) => {
            let birth = if claim.birth { address::birth_number(decided, &claim.key) } else { None };
            Some(Routed { customer_id: decided.id, birth })
        }
    };
    Held { command, claim: claim.clone() }
}

fn fact(record: &mut Record, decided: &Decided<'_>, event: &Event) {
    match event {
        Event::CustomerCreated(created) => {
            let scope = decided.command.scope.clone();
            let unborn =
                Customer::unborn(decided.id, scope, created.key.clone(), decided.decided_at);
            record.customer = Some(Box::new(unborn));
            if let Some(key) = &created.key
                && is_slot_of(decided, key)
            {
                record.slot.holder = Some(decided.id);
                record.slot.births += 1;
            }
        }
        Event::KeyChanged(changed) => {
            give_back(record, decided, changed.from.as_ref());
            if changed.to.as_ref().is_some_and(|key| is_slot_of(decided, key)) {
                record.slot.holder = Some(decided.id);
            }
        }
        Event::CustomerArchived(archived) => give_back(record, decided, archived.key.as_ref()),
        Event::KeyClaimed(claimed) => {
            record.slot.holder = Some(claimed.holder);
            record.slot.births += u32::from(claimed.birth);
        }
        Event::KeyReleased(_) => record.slot.holder = None,
        Event::CustomerUpdated(_)
        | Event::TierChanged(_)
        | Event::StatusChanged(_)
        | Event::ContractSet(_)
        | Event::BudgetSet(_)
        | Event::PolicyChanged(_)
        | Event::BillingControlsSet(_)
        | Event::ParentChanged(_)
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

/// Ends what a slot's answer was waited for.
fn answered(record: &mut Record, decided: &Decided<'_>) {
    match &decided.command.body {
        CommandBody::SettleClaim(Settlement { claim, granted }) => {
            if record.held.get(&claim.held).is_some_and(|held| held.claim == *claim) {
                record.held.remove(&claim.held);
            }
            if *granted && is_idle(record, claim) {
                give_back(record, decided, Some(&claim.key));
            }
        }
        CommandBody::SettleRelease(claim) => record.releasing.retain(
            |release| !matches!(&release.body, CommandBody::ReleaseKey(sent) if sent == claim),
        ),
        CommandBody::CreateCustomer(_)
        | CommandBody::UpdateCustomer(_)
        | CommandBody::RecordUsage(_)
        | CommandBody::ArchiveCustomer
        | CommandBody::Entitle(_)
        | CommandBody::ClaimKey(_)
        | CommandBody::ReleaseKey(_) => {}
    }
}

/// Tells whether a key that a slot gave is of no use here: the customer does not have it, and
/// neither waits for it nor gives it back already.
fn is_idle(record: &Record, claim: &Claim) -> bool {
    let has = record.customer.as_ref().is_some_and(|customer| customer.holds(&claim.key));
    let waits = record.held.values().any(|held| held.claim.key == claim.key);
    let returns = record.releasing.iter().any(|release| slots::releases(release, &claim.key));
    !has && !waits && !returns
}

/// Gives a key back to its slot: here at once, elsewhere by a follow-up.
fn give_back(record: &mut Record, decided: &Decided<'_>, key: Option<&CustomerKey>) {
    let Some(key) = key else { return };
    if is_slot_of(decided, key) {
        record.slot.holder = None;
    } else {
        record.releasing.push(follow_ups::release(decided, key));
    }
}

fn is_slot_of(decided: &Decided<'_>, key: &CustomerKey) -> bool {
    CustomerId::slot(&decided.command.scope, key) == decided.id
}
