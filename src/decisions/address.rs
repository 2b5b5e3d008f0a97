//! Where is a command decided? With the customer that it names, at the birth of one, or elsewhere;
//! and may that customer change at all?

use tallybook_events::command::{Claim, Command, CommandBody, CustomerPatch, Routed};
use tallybook_events::decision::{Rejection, RejectionCode};
use tallybook_events::ids::{CustomerId, CustomerKey, CustomerRef, Scope};

use super::customer::Customer;
use super::{Ask, Decided, Record};

/// Most customers that are born under one key, one after the other.
pub(super) const MAX_BIRTHS: u32 = 100_000;

/// Where a command is decided.
pub(super) enum Address<'a> {
    /// With the customer that lives here.
    Lives(&'a Customer),
    /// Nobody lives here, and the key that the command names is free: a customer may be born.
    Free(Birth<'a>),
    /// At another id.
    Elsewhere(Routed),
}

/// Where a command is decided, without what it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whereabouts {
    /// Here, with the customer that it names.
    Customer,
    /// Here, and there is no such customer, or none yet.
    Nobody,
    /// At another id.
    SentOn(Routed),
}

/// Under which words a customer may be born.
#[derive(Debug, Clone, Copy)]
pub(super) struct Birth<'a> {
    /// Its key.
    pub(super) key: Option<&'a CustomerKey>,
    /// How often a customer had been born under the key before.
    pub(super) number: u32,
    /// Who decides on the key.
    pub(super) slot: SlotOf,
}

/// Who decides on the key of a birth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SlotOf {
    /// There is no key, or its slot is at this same id and was never used.
    Here,
    /// A slot at another id.
    Elsewhere,
}

/// Finds where a command is decided.
///
/// # Errors
/// `unknown_customer` when nobody has the id or the key; `customer_id_refused` when it was sent on
/// to an id that is not of its key.
pub(super) fn find<'a>(record: &'a Record, ask: &Ask<'a>) -> Result<Address<'a>, Rejection> {
    at(record, ask.command, ask.id)
}

/// Finds where a command is decided that came to an id.
fn at<'a>(
    record: &'a Record,
    command: &'a Command,
    id: CustomerId,
) -> Result<Address<'a>, Rejection> {
    let scope = &command.scope;
    let here = || record.customer.as_deref().filter(|customer| customer.scope == *scope);
    match (&command.customer, command.routed) {
        (CustomerRef::Id(named), _) => {
            here().filter(|_| *named == id).map(Address::Lives).ok_or_else(unknown)
        }
        (CustomerRef::Key(key), None) => at_slot(record, scope, id, key),
        (CustomerRef::Key(key), Some(Routed { birth: Some(number), .. })) => {
            at_birth(record, scope, id, key, number)
        }
        (CustomerRef::Key(key), Some(Routed { birth: None, .. })) => {
            match here().filter(|customer| customer.holds(key)) {
                Some(customer) => Ok(Address::Lives(customer)),
                None => awaited(record, id, key).map(Address::Elsewhere).ok_or_else(unknown),
            }
        }
    }
}

/// Tells where a command is decided that came to an id.
pub(super) fn whereabouts(record: &Record, command: &Command, id: CustomerId) -> Whereabouts {
    let routed = match at(record, command, id) {
        Ok(Address::Lives(_)) => return Whereabouts::Customer,
        Ok(Address::Free(_)) | Err(_) => return Whereabouts::Nobody,
        Ok(Address::Elsewhere(routed)) => routed,
    };
    let goes = match &command.body {
        CommandBody::CreateCustomer(patch) => {
            routed.birth.is_some() && is_born_as_named(&command.customer, patch)
        }
        CommandBody::RecordUsage(_) => true,
        CommandBody::UpdateCustomer(_)
        | CommandBody::ArchiveCustomer
        | CommandBody::Entitle(_)
        | CommandBody::Claim(Claim::Pledge(_)) => routed.birth.is_none(),
        CommandBody::Claim(Claim::Key(_) | Claim::Edge(_))
        | CommandBody::SettleClaim(_)
        | CommandBody::Release(_)
        | CommandBody::SettleRelease(_) => false,
    };
    if goes { Whereabouts::SentOn(routed) } else { Whereabouts::Nobody }
}

/// Tells whether a birth gives the customer no other key than the one that it is named by. Else it is
/// refused wherever it comes to.
pub(super) fn is_born_as_named(customer: &CustomerRef, patch: &CustomerPatch) -> bool {
    match customer {
        CustomerRef::Id(_) => true,
        CustomerRef::Key(named) => patch.key.as_set().is_none_or(|asked| asked == named),
    }
}

/// At the slot of the key.
fn at_slot<'a>(
    record: &'a Record,
    scope: &Scope,
    id: CustomerId,
    key: &'a CustomerKey,
) -> Result<Address<'a>, Rejection> {
    match record.slot.holder {
        Some(holder) if holder == id => {
            record.customer.as_deref().map(Address::Lives).ok_or_else(unknown)
        }
        Some(holder) => Ok(Address::Elsewhere(Routed { customer_id: holder, birth: None })),
        // A key that ends in a number may have its slot where a further customer of another key
        // lives, or is about to be born. Births under this key that wait for a parent take nothing.
        None if record.slot.births == 0
            && record.customer.is_none()
            && record.held.values().all(|held| held.command.routed.is_none()) =>
        {
            Ok(Address::Free(Birth { key: Some(key), number: 0, slot: SlotOf::Here }))
        }
        None => Ok(Address::Elsewhere(further(scope, key, record.slot.births.max(1)))),
    }
}

/// Where a further customer of a key is to be born, or was born in the meantime.
fn at_birth<'a>(
    record: &'a Record,
    scope: &Scope,
    id: CustomerId,
    key: &'a CustomerKey,
    number: u32,
) -> Result<Address<'a>, Rejection> {
    if !(1..=MAX_BIRTHS).contains(&number) || CustomerId::nth(scope, key, number) != id {
        let detail = "a customer cannot be born under that key at this id";
        return Err(Rejection::new(RejectionCode::CustomerIdRefused, detail));
    }
    Ok(match record.customer.as_deref() {
        None => Address::Free(Birth { key: Some(key), number, slot: SlotOf::Elsewhere }),
        Some(customer) if customer.holds(key) => Address::Lives(customer),
        Some(_) => Address::Elsewhere(further(scope, key, number.saturating_add(1))),
    })
}

/// Gives where the n-th further customer of a key is born.
fn further(scope: &Scope, key: &CustomerKey, number: u32) -> Routed {
    let customer_id = CustomerId::nth(scope, key, number);
    Routed { customer_id, birth: Some(number) }
}

/// Gives how often a customer had been born under a key before the one whose birth is held here.
pub(super) fn birth_number(decided: &Decided<'_>, key: &CustomerKey) -> Option<u32> {
    let routed = decided.command.routed.and_then(|routed| routed.birth);
    let is_number =
        |number: &u32| CustomerId::nth(&decided.command.scope, key, *number) == decided.id;
    routed.into_iter().chain(1..=MAX_BIRTHS).find(is_number)
}

/// Gives the birth that waits here for the key: the slot has given it already, so it sends commands
/// on to a holder that is not born yet.
fn awaited(record: &Record, id: CustomerId, key: &CustomerKey) -> Option<Routed> {
    let of_key = |held: &&super::Held| matches!(&held.claim, Claim::Key(claim) if claim.key == *key && claim.birth);
    let number = record.held.values().find(of_key)?.command.routed?.birth?;
    Some(Routed { customer_id: id, birth: Some(number) })
}

/// Looks whether a customer takes a command at all: it is not archived, and is at the version that
/// the command expects.
///
/// # Errors
/// `customer_archived`, then `version_mismatch`.
pub(super) fn open(customer: &Customer, ask: &Ask<'_>) -> Result<(), Rejection> {
    if customer.archived_at.is_some() {
        let detail = "the customer is archived and takes no changes any more";
        return Err(Rejection::new(RejectionCode::CustomerArchived, detail));
    }
    match ask.command.context.expected_version {
        Some(expected) if expected != customer.version => {
            let version = customer.version;
            let detail = format!("the customer is at version {version}, expected was {expected}");
            Err(Rejection::new(RejectionCode::VersionMismatch, detail))
        }
        Some(_) | None => Ok(()),
    }
}

/// Gives the refusal of a customer that is not there, or not the caller's: the same words for both.
pub(super) fn unknown() -> Rejection {
    Rejection::new(RejectionCode::UnknownCustomer, "there is no such customer")
}
