//! How does a customer change? One patch over all concepts, decided as a whole: each concept adds
//! the events for what it changes, in this order.

use tallybook_events::command::CustomerPatch;
use tallybook_events::customer::{CustomerUpdated, KeyChanged};
use tallybook_events::decision::Rejection;
use tallybook_events::event::Event;

use super::address::{self, Address};
use super::claims::{self, Grant, Step};
use super::customer::Customer;
use super::entitlements::levels;
use super::identity::{self, KeyStep};
use super::{Ask, Record, Verdict, budget, contract, controls, parents, policy, profile, slots};

/// Decides a patch of a customer that is there. Without a change there is no event.
///
/// # Errors
/// `unknown_customer`, `customer_archived`, `version_mismatch`, then what a concept refuses, then
/// what is wrong with the parent, then with the key.
pub(super) fn decide(
    record: &Record,
    ask: &Ask<'_>,
    patch: &CustomerPatch,
    grants: &[Grant],
) -> Result<Verdict, Rejection> {
    let customer = match address::find(record, ask)? {
        Address::Lives(customer) => customer,
        Address::Elsewhere(routed) if routed.birth.is_none() => {
            return Ok(Verdict::Forward(routed));
        }
        Address::Elsewhere(_) | Address::Free(_) => return Err(address::unknown()),
    };
    address::open(customer, ask)?;
    let mut events = Vec::new();
    facts(customer, ask, patch, &mut events)?;
    match parents::step(customer, ask, patch, grants)? {
        Step::Needs(claim) => return claims::wait(record, claim, grants),
        Step::Done(changed) => events.extend(changed.map(Event::ParentChanged)),
    }
    let from = customer.key.clone();
    match identity::key_step(record, ask, customer, patch)? {
        KeyStep::Keep => Ok(Verdict::done(events)),
        KeyStep::Take(key) => {
            events.push(Event::KeyChanged(KeyChanged { from, to: Some(key) }));
            Ok(Verdict::done(events))
        }
        KeyStep::Claim(claim) => {
            events.push(Event::KeyChanged(KeyChanged { from, to: Some(claim.key.clone()) }));
            slots::await_key(record, claim, grants, Verdict::done(events))
        }
    }
}

/// Decides all facts of a patch but the parent and the key, and adds the events.
///
/// # Errors
/// What the first concept that refuses says.
pub(super) fn facts(
    customer: &Customer,
    ask: &Ask<'_>,
    patch: &CustomerPatch,
    events: &mut Vec<Event>,
) -> Result<(), Rejection> {
    let mut updated = CustomerUpdated::default();
    if let Some(asked) = patch.profile.as_set() {
        profile::decide(customer.profile(), asked, &mut updated)?;
    }
    if let Some(asked) = patch.identity.as_set() {
        identity::decide(customer.identity(), asked, &mut updated)?;
    }
    if !updated.is_empty() {
        events.push(Event::CustomerUpdated(updated));
    }
    if let Some(asked) = patch.contract.as_set() {
        contract::decide(customer.contract(), asked, ask.tiers, events)?;
    }
    if let Some(asked) = patch.budget.as_set() {
        budget::decide(customer, asked, ask.decided_at, events)?;
    }
    policy::decide(customer.policy(), &patch.policy, events);
    controls::decide(customer.billing_controls(), &patch.billing_controls, events)?;
    levels::tell_of_controls(customer, events, ask.decided_at);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::given::{given, update};

    #[test]
    fn one_patch_over_all_concepts_is_told_in_a_fixed_order() {
        given()
            .customer(json!({}))
            .used([super::super::given::report("r1", "2026-01-10T00:00:00Z", "5")])
            .when(update(json!({
                "key": "new", "billing_controls": {"usage_alerts": []}, "policy": {"ttl_days": 1},
                "budget": {"period_budget": 5},
                "contract": {"tier": "growth", "status": "suspended", "start": "2026-01-01"},
                "identity": {"links": {"stripe": "cus_1"}}, "profile": {"name": "A"},
            })))
            .then_types([
                "CustomerUpdated",
                "TierChanged",
                "StatusChanged",
                "ContractSet",
                "BudgetSet",
                "BudgetThresholdReached",
                "BudgetThresholdReached",
                "PolicyChanged",
                "BillingControlsSet",
                "KeyChanged",
            ])
            .shows("/version", json!(12));
    }

    #[test]
    fn profile_and_links_change_in_one_event() {
        given()
            .customer(json!({}))
            .when(update(json!({
                "profile": {"name": "A"}, "identity": {"links": {"stripe": "cus_1"}},
            })))
            .then(json!([{"type": "CustomerUpdated.v1", "set": {
                "profile.name": {"old": null, "new": "A"},
                "identity.links.stripe": {"old": null, "new": "cus_1"},
            }}]));
    }

    #[test]
    fn an_update_that_changes_nothing_leaves_no_trace() {
        let all = json!({
            "profile": {"name": "A"}, "contract": {"tier": "growth"},
            "budget": {"period_budget": 5}, "policy": {"ttl_days": 1},
            "billing_controls": {"usage_alerts": []}, "identity": {"links": {"stripe": "cus_1"}},
        });
        given()
            .customer(all.clone())
            .at("2026-01-16T00:00:00Z")
            .when(update(all))
            .then_nothing()
            .when(update(json!({})))
            .then_nothing()
            .shows("/version", json!(6))
            .shows("/updated_at", json!("2026-01-15T10:00:00Z"));
    }

    #[test]
    fn one_fault_refuses_the_whole_patch() {
        given()
            .customer(json!({}))
            .when(update(json!({"profile": {"name": "A"}, "contract": {"tier": "none"}})))
            .rejects("unknown_tier", Some("/patch/contract/tier"))
            .shows("/profile/name", json!(null))
            .shows("/version", json!(1));
    }
}
