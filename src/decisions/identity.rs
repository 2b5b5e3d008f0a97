//! Who is the customer? Its birth and its end, its key, its links to outside systems.

use std::collections::BTreeMap;

use tallybook_events::command::{CustomerPatch, KeyClaim};
use tallybook_events::customer::{
    Change, CustomerArchived, CustomerCreated, CustomerUpdated, Identity, IdentityPatch,
};
use tallybook_events::decision::{Rejection, RejectionCode};
use tallybook_events::event::Event;
use tallybook_events::field::Patch;
use tallybook_events::ids::{CustomerId, CustomerKey, CustomerRef, Provider, Token};
use tallybook_events::json::Json;

use super::address::{self, Address, Birth, SlotOf};
use super::claims::{self, Grant, Step};
use super::customer::Customer;
use super::{Ask, Record, Verdict, parents, pledges, slots, update};

/// Most links that one customer has.
const MAX_LINKS: usize = 64;

/// Decides the birth of a customer with the facts of a patch.
///
/// # Errors
/// `customer_exists` or `key_taken` when it is there already, `customer_id_refused` when the id is
/// not for the caller to choose; else what refuses the facts.
pub(super) fn create(
    record: &Record,
    ask: &Ask<'_>,
    patch: &CustomerPatch,
    grants: &[Grant],
) -> Result<Verdict, Rejection> {
    let birth = match &ask.command.customer {
        CustomerRef::Id(id) => birth_by_id(record, ask, *id, patch)?,
        CustomerRef::Key(_) => {
            if !address::is_born_as_named(&ask.command.customer, patch) {
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
    born(record, ask, birth, grants, |unborn, mut events| {
        update::facts(unborn, ask, patch, &mut events)?;
        match parents::step(unborn, ask, patch, grants)? {
            Step::Needs(claim) => return claims::wait(record, claim, grants),
            Step::Done(changed) => events.extend(changed.map(Event::ParentChanged)),
        }
        Ok(Verdict::done(events))
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

/// Decides a birth, and what `then` decides about the customer that is born; held until the slot
/// has given the key.
///
/// # Errors
/// `version_mismatch` when a version was expected; else what `then` refuses.
pub(super) fn born(
    record: &Record,
    ask: &Ask<'_>,
    birth: Birth<'_>,
    grants: &[Grant],
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
    if !matches!(decided, Verdict::Accepted { .. }) {
        return Ok(decided);
    }
    match (slot, key) {
        (SlotOf::Elsewhere, Some(key)) => {
            let claim = key_claim(ask, key, number > 0);
            slots::await_key(record, claim, grants, decided)
        }
        (SlotOf::Elsewhere, None) | (SlotOf::Here, _) => Ok(decided),
    }
}

fn key_claim(ask: &Ask<'_>, key: &CustomerKey, birth: bool) -> KeyClaim {
    let held = ask.command.command_id;
    KeyClaim { key: key.clone(), holder: ask.id, held, birth, under: None }
}

/// Decides the end of a customer. Its children keep it as their parent; it gets no further ones.
///
/// # Errors
/// `unknown_customer`, `customer_archived`, `version_mismatch`; `change_in_progress` when it has
/// pledged to stay.
pub(super) fn archive(record: &Record, ask: &Ask<'_>) -> Result<Verdict, Rejection> {
    let customer = match address::find(record, ask)? {
        Address::Lives(customer) => customer,
        Address::Elsewhere(routed) if routed.birth.is_none() => {
            return Ok(Verdict::Forward(routed));
        }
        Address::Elsewhere(_) | Address::Free(_) => return Err(address::unknown()),
    };
    address::open(customer, ask)?;
    pledges::may_end(record)?;
    let archived = Event::CustomerArchived(CustomerArchived { key: customer.key.clone() });
    Ok(Verdict::done(vec![archived]))
}

/// What a change of the key needs.
pub(super) enum KeyStep {
    /// Nothing: no other key is asked.
    Keep,
    /// The slot of the new key is at this id, and the key is free.
    Take(CustomerKey),
    /// The slot of the new key is elsewhere.
    Claim(KeyClaim),
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
    Ok(KeyStep::Claim(key_claim(ask, key, false)))
}

/// Decides links; differences go into `updated`.
///
/// # Errors
/// `too_many_links` when there would be more than before, and too many.
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
    let is_link = |path: &str| path.starts_with(CustomerUpdated::LINKS);
    let added =
        updated.set.iter().filter(|(path, change)| is_link(path) && change.old == Json::Null);
    let gone = updated.removed.keys().filter(|path| is_link(path));
    let (added, gone) = (added.count(), gone.count());
    let links = now.links.len() + added - gone;
    if links > MAX_LINKS && links > now.links.len() {
        let code = RejectionCode::TooManyLinks;
        let detail = format!("would be {links} links, and at most {MAX_LINKS} are kept");
        return Err(Rejection::at(code, "/patch/identity/links", detail));
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::given::{
        Given, KEY, archive, by_id, create, given, nth, report, update, usage, with,
    };
    use super::*;

    const V7: &str = "019bb0c0-0000-7000-8000-000000000001";

    fn v7() -> CustomerId {
        V7.parse().unwrap()
    }

    fn by_other_tenant(asked: Value) -> Value {
        with("tenant", json!("other"), asked)
    }

    fn exists(given: &Given, id: CustomerId) -> bool {
        given.0.records.get(&id).is_some_and(|record| record.customer.is_some())
    }

    #[test]
    fn a_customer_is_born_at_the_slot_of_its_key_and_only_once() {
        given()
            .when(create(json!({})))
            .then(json!([{"type": "CustomerCreated.v1", "customer_id": nth(KEY, 0).to_string(),
                "tenant": "t", "environment": "live", "key": KEY, "birth": 0}]))
            .shows(
                "",
                json!({
                "id": nth(KEY, 0).to_string(), "key": KEY, "tenant": "t", "environment": "live",
                "version": 1, "created_at": "2026-01-15T10:00:00Z",
                "updated_at": "2026-01-15T10:00:00Z", "archived_at": null,
                "profile": {"name": null, "first_name": null, "last_name": null, "email": null,
                    "phone": null, "metadata": {}, "fingerprint": null,
                    "send_email_receipts": false,
                    "address": {"line1": null, "line2": null, "city": null, "state": null,
                        "postal_code": null, "country": null}},
                "contract": {"tier": null, "status": "active", "start": null, "end": null,
                    "annual_commitment": null, "annual_limit": null, "rate_per_second": null,
                    "burst": null},
                "budget": {"period_budget": null, "total_budget": null, "duration": "monthly",
                    "period_start": null, "period_end": null, "markup_percentage": "0"},
                "policy": null, "billing_controls": {}, "identity": {"links": {}, "parent": null},
                "usage": {"period": {"start": "2026-01-01T00:00:00Z",
                        "end": "2026-02-01T00:00:00Z", "raw": "0", "charged": "0", "count": 0,
                        "budget": null, "remaining": null},
                    "lifetime": {"raw": "0", "charged": "0", "count": 0}}}),
            )
            .when(create(json!({"profile": {"name": "B"}})))
            .rejects("key_taken", None);
    }

    #[test]
    fn a_birth_tells_one_event_for_each_concept_that_has_facts() {
        given()
            .when(create(json!({
                "key": KEY, "profile": {"name": "A"}, "identity": {"links": {"stripe": "cus_1"}},
                "contract": {"tier": "growth", "status": "suspended", "start": "2026-01-01"},
                "budget": {"period_budget": 5}, "policy": {"ttl_days": 1},
                "billing_controls": {"usage_alerts": []},
            })))
            .then_types([
                "CustomerCreated",
                "CustomerUpdated",
                "TierChanged",
                "StatusChanged",
                "ContractSet",
                "BudgetSet",
                "PolicyChanged",
                "BillingControlsSet",
            ])
            .shows("/version", json!(8))
            .shows("/profile/name", json!("A"))
            .shows("/identity/links", json!({"stripe": "cus_1"}));
    }

    #[test]
    fn a_key_in_the_patch_must_be_the_one_that_names_the_customer() {
        let given = given()
            .when(create(json!({"key": "other"})))
            .rejects("customer_id_refused", Some("/patch/key"));
        assert!(!exists(&given, nth(KEY, 0)) && !exists(&given, nth("other", 0)));
    }

    #[test]
    fn a_birth_with_a_fault_bears_nobody() {
        let given = given()
            .when(create(json!({"contract": {"tier": "none"}})))
            .rejects("unknown_tier", Some("/patch/contract/tier"))
            .when(with("expected_version", json!(1), create(json!({}))))
            .rejects("version_mismatch", None);
        assert!(!exists(&given, nth(KEY, 0)));
        given
            .when(with("expected_version", json!(0), create(json!({}))))
            .then_types(["CustomerCreated"]);
    }

    #[test]
    fn a_customer_without_a_key_is_born_under_an_id_of_version_7() {
        let born = given()
            .when(by_id(v7(), create(json!({"profile": {"name": "A"}}))))
            .then_types(["CustomerCreated", "CustomerUpdated"]);
        assert_eq!(born.0.document(v7())["key"], Value::Null);
        born.when(by_id(v7(), create(json!({}))))
            .rejects("customer_exists", None)
            .when(by_other_tenant(by_id(v7(), create(json!({})))))
            .rejects("customer_id_refused", None)
            .when(by_id(v7(), update(json!({"profile": {"name": "B"}}))))
            .then_types(["CustomerUpdated"]);
    }

    #[test]
    fn other_ids_are_not_the_callers_to_choose() {
        for id in [
            nth(KEY, 0).to_string(),
            nth(KEY, 1).to_string(),
            "00000000-0000-4000-8000-000000000001".into(),
            "00000000-0000-0000-0000-000000000000".into(),
            "019bb0c0-0000-7000-c000-000000000001".into(),
        ] {
            given()
                .when(by_id(id.parse().unwrap(), create(json!({}))))
                .rejects("customer_id_refused", None);
        }
    }

    #[test]
    fn a_customer_may_get_its_key_at_a_birth_by_id() {
        let born = given()
            .when(by_id(v7(), create(json!({"key": KEY}))))
            .then(json!([{"type": "CustomerCreated.v1", "customer_id": V7, "tenant": "t",
                "environment": "live", "key": KEY, "birth": 0}]));
        assert_eq!(born.0.document(v7())["key"], json!(KEY));
        born.when(update(json!({"profile": {"name": "A"}})))
            .then_types(["CustomerUpdated"])
            .when(create(json!({})))
            .rejects("key_taken", None)
            .when(by_id(
                "019bb0c0-0000-7000-8000-000000000002".parse().unwrap(),
                create(json!({"key": KEY})),
            ))
            .rejects("key_taken", Some("/patch/key"));
    }

    #[test]
    fn an_archived_customer_takes_no_change_and_answers_by_id_only() {
        let id = nth(KEY, 0);
        given()
            .customer(json!({}))
            .at("2026-01-16T00:00:00Z")
            .when(archive())
            .then(json!([{"type": "CustomerArchived.v1", "key": KEY}]))
            .shows("/archived_at", json!("2026-01-16T00:00:00Z"))
            .shows("/updated_at", json!("2026-01-16T00:00:00Z"))
            .shows("/key", json!(KEY))
            .when(by_id(id, update(json!({"profile": {"name": "A"}}))))
            .rejects("customer_archived", None)
            .when(by_id(id, with("expected_version", json!(7), update(json!({})))))
            .rejects("customer_archived", None)
            .when(by_id(id, archive()))
            .rejects("customer_archived", None)
            .when(update(json!({})))
            .rejects("unknown_customer", None)
            .when(archive())
            .rejects("unknown_customer", None)
            .shows("/version", json!(2));
    }

    #[test]
    fn who_is_not_there_can_neither_change_nor_end() {
        let somebody = json!({"type": "UpdateCustomer", "patch": {}});
        for asked in [update(json!({})), archive(), by_id(v7(), somebody), by_id(v7(), archive())] {
            given().when(asked).rejects("unknown_customer", None);
        }
    }

    #[test]
    fn another_tenants_customer_is_as_unknown_as_none() {
        let reports = json!([report("r1", "2026-01-10T00:00:00Z", "1")]);
        for asked in [update(json!({})), archive(), usage(reports)] {
            let in_test = with("environment", json!("test"), asked.clone());
            let id = nth(KEY, 0);
            let mut world = given().customer(json!({})).world();
            let refused = world.ask(by_other_tenant(by_id(id, asked.clone()))).outcome;
            assert_eq!(world.ask(by_id(id, in_test)).outcome, refused);
            assert_eq!(world.ask(by_id(v7(), asked)).outcome, refused);
            assert_eq!(world.record(id).version(), 1);
        }
    }

    #[test]
    fn what_was_sent_on_is_not_believed_blindly() {
        let sent_on = |to: CustomerId, birth: Option<u32>, asked: Value| {
            let routed = match birth {
                Some(birth) => json!({"customer_id": to.to_string(), "birth": birth}),
                None => json!({"customer_id": to.to_string()}),
            };
            with("routed", routed, asked)
        };
        let change = || update(json!({"profile": {"name": "A"}}));
        given()
            .customer(json!({}))
            .when(sent_on(nth(KEY, 0), None, by_id(v7(), change())))
            .rejects("unknown_customer", None)
            .when(by_other_tenant(sent_on(nth(KEY, 0), None, change())))
            .rejects("unknown_customer", None)
            .when(sent_on(nth("other", 1), Some(1), create(json!({}))))
            .rejects("customer_id_refused", None)
            .when(sent_on(nth(KEY, 0), Some(0), create(json!({}))))
            .rejects("customer_id_refused", None)
            .when(sent_on(nth(KEY, 1), Some(1), change()))
            .rejects("unknown_customer", None)
            .when(sent_on(nth(KEY, 0), None, change()))
            .then_types(["CustomerUpdated"]);
    }

    #[test]
    fn a_change_may_expect_a_version() {
        let change = |version: u64| {
            with("expected_version", json!(version), update(json!({"profile": {"name": "A"}})))
        };
        given()
            .customer(json!({}))
            .when(change(0))
            .rejects("version_mismatch", None)
            .when(change(1))
            .then_types(["CustomerUpdated"])
            .when(change(1))
            .rejects("version_mismatch", None)
            .when(change(2))
            .then_nothing()
            .when(with("expected_version", json!(1), archive()))
            .rejects("version_mismatch", None);
    }

    #[test]
    fn links_are_merged_and_null_takes_one_away() {
        let links = |links: Value| update(json!({"identity": {"links": links}}));
        given()
            .customer(json!({}))
            .when(links(json!({"stripe": "cus_1", "razorpay": "r1"})))
            .then(json!([{"type": "CustomerUpdated.v1", "set": {
                "identity.links.stripe": {"old": null, "new": "cus_1"},
                "identity.links.razorpay": {"old": null, "new": "r1"}}}]))
            .when(links(json!({"stripe": "cus_2", "razorpay": null, "paypal": null})))
            .then(json!([{"type": "CustomerUpdated.v1",
                "set": {"identity.links.stripe": {"old": "cus_1", "new": "cus_2"}},
                "removed": {"identity.links.razorpay": "r1"}}]))
            .when(links(json!({"stripe": "cus_2", "paypal": null})))
            .then_nothing()
            .shows("/identity/links", json!({"stripe": "cus_2"}))
            .when(links(Value::Null))
            .then(json!([{"type": "CustomerUpdated.v1",
                "removed": {"identity.links.stripe": "cus_2"}}]))
            .when(links(Value::Null))
            .then_nothing();
    }

    #[test]
    fn only_so_many_links_are_kept() {
        let links = |links: Value| update(json!({"identity": {"links": links}}));
        let many = |range: std::ops::Range<usize>| -> Value {
            range
                .map(|n| (format!("p{n:02}"), json!("x")))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        let mut swapped = many(MAX_LINKS..MAX_LINKS + 1);
        swapped["p00"] = Value::Null;
        given()
            .customer(json!({}))
            .when(links(many(0..MAX_LINKS + 1)))
            .rejects("too_many_links", Some("/patch/identity/links"))
            .when(links(many(0..MAX_LINKS)))
            .then_types(["CustomerUpdated"])
            .when(links(many(0..MAX_LINKS)))
            .then_nothing()
            .when(links(many(MAX_LINKS..MAX_LINKS + 1)))
            .rejects("too_many_links", Some("/patch/identity/links"))
            .when(links(json!({"p00": "y"})))
            .then_types(["CustomerUpdated"])
            .when(links(swapped))
            .then_types(["CustomerUpdated"])
            .when(create(json!({"identity": {"links": many(0..MAX_LINKS + 1)}})))
            .rejects("key_taken", None)
            .accepted(archive())
            .when(create(json!({"identity": {"links": many(0..MAX_LINKS + 1)}})))
            .rejects("too_many_links", Some("/patch/identity/links"));
    }
}
