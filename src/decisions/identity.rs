//! Who is the customer? Its birth and its end, its key, its links to outside systems, its parent.

use std::collections::BTreeMap;

use tallybook_events::command::{Claim, CustomerPatch};
use tallybook_events::customer::{
    Change, CustomerArchived, CustomerCreated, CustomerUpdated, Identity, IdentityPatch,
};
use tallybook_events::decision::{Rejection, RejectionCode};
use tallybook_events::event::Event;
use tallybook_events::field::Patch;
use tallybook_events::ids::{CustomerId, CustomerKey, CustomerRef, Provider, Token};
use tallybook_events::json::Json;

use super::address::{self, Address, Birth, SlotOf};
use super::customer::Customer;
use super::{Ask, Record, Verdict, slots, update};

/// Decides the birth of a customer with the facts of a patch.
///
/// # Errors
/// `customer_exists` or `key_taken` when it is there already, `customer_id_refused` when the id is not for
/// the caller to choose; else what refuses the facts.
pub(super) fn create(
    record: &Record,
    ask: &Ask<'_>,
    patch: &CustomerPatch,
    grant: Option<&Claim>,
) -> Result<Verdict, Rejection> {
    let birth = match &ask.command.customer {
        CustomerRef::Id(id) => birth_by_id(record, ask, *id, patch)?,
        CustomerRef::Key(key) => {
            if patch.key.as_set().is_some_and(|asked| asked != key) {
                let detail = "is not the key that the customer is named by";
                let code = RejectionCode::CustomerIdRefused;
                return Err(Rejection::at(code, "/patch/key", detail));
            }
            match address::find(record, ask)? {
                Address::Free(birth) => birth,
                Address::Elsewhere(routed) if routed.birth.is_some() => {
                    return Ok(Verdict::Forward(routed));
                }
                Address::Elsewhere(_) | Address::Lives(_) => return Err(slots::taken(None)),
            }
        }
    };
    born(record, ask, birth, grant, |unborn, mut events| {
        update::facts(unborn, ask, patch, &mut events)?;
        Ok(Verdict::Accepted { events, duplicates: Vec::new(), conflicts: Vec::new() })
    })
}

/// Gives the birth under an id of the caller's choice: a time-ordered one, which no key has.
fn birth_by_id<'a>(
    record: &Record,
    ask: &Ask<'_>,
    id: CustomerId,
    patch: &'a CustomerPatch,
) -> Result<Birth<'a>, Rejection> {
    let refused = |detail| Err(Rejection::new(RejectionCode::CustomerIdRefused, detail));
    let rfc = id.0.get_variant() == uuid::Variant::RFC4122;
    if id != ask.id || !rfc || id.0.get_version() != Some(uuid::Version::SortRand) {
        return refused("a customer's id must be a UUID of version 7, or follow from its key");
    }
    match &record.customer {
        Some(customer) if customer.scope == ask.command.scope => {
            let detail = "a customer with that id is there already";
            Err(Rejection::new(RejectionCode::CustomerExists, detail))
        }
        Some(_) => refused("that id cannot be used"),
        None => {
            let key = patch.key.as_set();
            let slot = if key.is_some() { SlotOf::Elsewhere } else { SlotOf::Here };
            Ok(Birth { key, number: 0, slot })
        }
    }
}

/// Decides a birth, and what `then` decides about the customer that is born; held until the slot has given
/// the key.
///
/// # Errors
/// `version_mismatch` when a version was expected; else what `then` refuses.
pub(super) fn born(
    record: &Record,
    ask: &Ask<'_>,
    birth: Birth<'_>,
    grant: Option<&Claim>,
    then: impl FnOnce(&Customer, Vec<Event>) -> Result<Verdict, Rejection>,
) -> Result<Verdict, Rejection> {
    let Birth { key, number, slot } = birth;
    let scope = &ask.command.scope;
    let unborn = Customer::unborn(ask.id, scope.clone(), key.cloned(), ask.decided_at);
    address::open(&unborn, ask)?;
    let created = Event::CustomerCreated(CustomerCreated {
        customer_id: ask.id,
        tenant: scope.tenant.clone(),
        environment: scope.environment,
        key: key.cloned(),
        birth: number,
    });
    let decided = then(&unborn, vec![created])?;
    match (slot, key) {
        (SlotOf::Elsewhere, Some(key)) => {
            let held = ask.command.command_id;
            let claim = Claim { key: key.clone(), holder: ask.id, held, birth: number > 0 };
            slots::await_key(record, claim, grant, decided)
        }
        (SlotOf::Elsewhere, None) | (SlotOf::Here, _) => Ok(decided),
    }
}

/// Decides the end of a customer.
///
/// # Errors
/// `unknown_customer`, `customer_archived`, `version_mismatch`.
pub(super) fn archive(record: &Record, ask: &Ask<'_>) -> Result<Verdict, Rejection> {
    let customer = match address::find(record, ask)? {
        Address::Lives(customer) => customer,
        Address::Elsewhere(routed) if routed.birth.is_none() => {
            return Ok(Verdict::Forward(routed));
        }
        Address::Elsewhere(_) | Address::Free(_) => return Err(address::unknown()),
    };
    address::open(customer, ask)?;
    let archived = Event::CustomerArchived(CustomerArchived { key: customer.key.clone() });
    Ok(Verdict::Accepted { events: vec![archived], duplicates: Vec::new(), conflicts: Vec::new() })
}

/// What a change of the key needs.
pub(super) enum KeyStep {
    /// Nothing: no other key is asked.
    Keep,
    /// The slot of the new key is at this id, and the key is free.
    Take(CustomerKey),
    /// The slot of the new key is elsewhere.
    Claim(Claim),
}

/// Decides what a change of the key needs.
///
/// # Errors
/// `key_taken` when the slot of the new key is here and another customer has it.
pub(super) fn key_step(
    record: &Record,
    ask: &Ask<'_>,
    customer: &Customer,
    patch: &CustomerPatch,
) -> Result<KeyStep, Rejection> {
    let Some(key) = patch.key.as_set().filter(|key| customer.key.as_ref() != Some(*key)) else {
        return Ok(KeyStep::Keep);
    };
    if CustomerId::slot(&ask.command.scope, key) == ask.id {
        return match record.slot.holder {
            None => Ok(KeyStep::Take(key.clone())),
            Some(_) => Err(slots::taken(Some(patch))),
        };
    }
    let held = ask.command.command_id;
    Ok(KeyStep::Claim(Claim { key: key.clone(), holder: ask.id, held, birth: false }))
}

/// Decides links and parent; differences of the links go into `updated`.
///
/// # Errors
/// `parent_refused` when another parent is asked.
pub(super) fn decide(
    now: &Identity,
    asked: &IdentityPatch,
    updated: &mut CustomerUpdated,
) -> Result<(), Rejection> {
    match &asked.links {
        Patch::Keep => {}
        Patch::Clear => now.links.keys().for_each(|provider| unlink(now, provider, updated)),
        Patch::Set(links) => merge_links(now, links, updated),
    }
    let refused = |detail| {
        let code = RejectionCode::ParentRefused;
        Err(Rejection::at(code, "/patch/identity/parent", detail))
    };
    match (&asked.parent, now.parent) {
        (Patch::Keep, _) | (Patch::Clear, None) => Ok(()),
        (Patch::Clear, Some(_)) => refused("a parent cannot be taken away here yet"),
        (Patch::Set(_), _) => refused("a parent cannot be set here yet"),
    }
}

fn merge_links(
    now: &Identity,
    asked: &BTreeMap<Provider, Option<Token>>,
    updated: &mut CustomerUpdated,
) {
    for (provider, link) in asked {
        let old = now.links.get(provider.as_str()).map(|link| &**link);
        match link.as_ref().map(Token::as_str) {
            None => unlink(now, provider.as_str(), updated),
            new if new == old => {}
            Some(new) => {
                let change = Change { old: old.map_or(Json::Null, Json::from), new: new.into() };
                updated.set.insert(path(provider.as_str()), change);
            }
        }
    }
}

fn unlink(now: &Identity, provider: &str, updated: &mut CustomerUpdated) {
    if let Some(old) = now.links.get(provider) {
        updated.removed.insert(path(provider), Json::from(&**old));
    }
}

fn path(provider: &str) -> Box<str> {
    format!("{}{provider}", CustomerUpdated::LINKS).into()
}
