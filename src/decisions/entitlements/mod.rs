//! What is a customer entitled to? Plans, purchases, grants and flags, and what was used of each
//! feature that has grants. How usage counts against grants is told in the events crate; here is
//! which changes are made.

use std::collections::BTreeMap;

use tallybook_events::command::Entitle;
use tallybook_events::customer::UsageRecorded;
use tallybook_events::customer::entitlements::{EntitlementFacts, Segment, Segments};
use tallybook_events::decision::{Rejection, RejectionCode};
use tallybook_events::event::Event;
use tallybook_events::ids::Meter;
use tallybook_events::time::Timestamp;

use self::told::Told;
use super::address::{self, Address};
use super::customer::Customer;
use super::packed::{Packed, Unpackable, Unpacking, pack_json, pack_list, pack_text};
use super::reports::Reports;
use super::{Ask, Record, Verdict};

mod plans;
mod grants;
pub(super) mod told;
pub(super) mod levels;
#[cfg(test)]
pub(super) mod arbitrary;
#[cfg(test)]
mod tests;

/// Most plans of a customer that have not ended.
const MAX_PLANS: usize = 50;
/// Most purchases of a customer that have not ended.
const MAX_PURCHASES: usize = 500;
/// Most grants of a customer: those that have not ended, and those that ended while others that
/// have not were in force.
const MAX_GRANTS: usize = 200;
/// Most flags of a customer.
const MAX_FLAGS: usize = 200;

/// What a customer is entitled to, and what it used of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Entitled {
    /// Plans, purchases, grants and flags.
    pub(super) facts: EntitlementFacts,
    /// What was used of each feature that has grants.
    pub(super) usage: BTreeMap<Meter, Segments>,
    /// What was told about balances.
    pub(super) told: Told,
}

impl Entitled {
    /// Counts a report, and no longer what it corrects.
    pub(super) fn count(&mut self, recorded: &UsageRecorded, at: Timestamp) {
        if let Some(corrected) = &recorded.corrects
            && let Some(segments) = self.usage.get_mut(&corrected.meter)
        {
            segments.take(corrected.occurred_at, corrected.quantity.trillionths());
            self.raised(&corrected.meter, at);
        }
        if let Some(segments) = self.usage.get_mut(&recorded.meter) {
            let grants = self.facts.grants_of(&recorded.meter);
            segments.add(recorded.occurred_at, recorded.quantity.trillionths(), grants);
        }
    }

    /// Applies a fact about entitlements. `reports` are all that count.
    pub(super) fn apply(&mut self, event: &Event, reports: &Reports, at: Timestamp) {
        let Some(features) = event.entitle(&mut self.facts, at) else {
            return self.told.hear(event, at);
        };
        self.usage.retain(|feature, _| self.facts.counts(feature));
        for feature in features {
            self.count_again(&feature, reports);
            self.raised(&feature, at);
        }
    }

    /// Counts the usage of a feature anew where its grants begin and end otherwise than before.
    fn count_again(&mut self, feature: &Meter, reports: &Reports) {
        if !self.facts.counts(feature) {
            return;
        }
        let grants = self.facts.grants_of(feature);
        let fits = self.usage.get(feature).is_some_and(|segments| segments.fit(grants.clone()));
        if !fits {
            self.usage.insert(feature.clone(), Segments::of(reports.counting(feature), grants));
        }
    }

    /// Lets an auto top-up be triggered again when the balance was raised to its threshold.
    fn raised(&mut self, feature: &Meter, at: Timestamp) {
        if let Some(threshold) = self.told.waits(feature)
            && let Some(level) = levels::of(self, feature, at)
            && level.remaining >= threshold.trillionths()
        {
            self.told.answered(feature);
        }
    }
}

/// Decides a change of what a customer is entitled to.
///
/// # Errors
/// `unknown_customer`, `customer_archived`, `version_mismatch`, then what refuses the change.
pub(super) fn decide(
    record: &Record,
    ask: &Ask<'_>,
    asked: &Entitle,
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
    change(&customer.entitled().facts, asked, ask.decided_at, &mut events)?;
    if !events.is_empty() {
        let after = after(customer, &events, ask.decided_at);
        bounded(&after.facts)?;
        levels::tell_of_grants(customer, &after, ask.decided_at, &mut events);
    }
    Ok(Verdict::Accepted { events, duplicates: Vec::new(), conflicts: Vec::new() })
}

fn change(
    facts: &EntitlementFacts,
    asked: &Entitle,
    now: Timestamp,
    events: &mut Vec<Event>,
) -> Result<(), Rejection> {
    match asked {
        Entitle::AttachPlan(plan) => plans::attach(facts, plan, now, events),
        Entitle::UpdatePlan(plan_id, change) => plans::update(facts, plan_id, change, now, events),
        Entitle::CancelPlan(plan_id, told) => plans::cancel(facts, plan_id, *told, now, events),
        Entitle::RecordPurchase(purchase) => plans::purchase(facts, purchase, now, events),
        Entitle::GrantBalance(grant) => {
            let place = grants::Place { pointer: "/grant", ..grants::Place::default() };
            grants::grant(facts, grant, &place, now, events)
        }
        Entitle::RevokeGrant(grant_id) => grants::revoke(facts, grant_id, now, events),
        Entitle::SetFlag(flag) => {
            let place = grants::Place { pointer: "/flag", ..grants::Place::default() };
            grants::set_flag(facts, flag, &place, now, events)
        }
        Entitle::ClearFlag(feature) => {
            grants::clear_flag(facts, feature, now, events);
            Ok(())
        }
    }
}

/// Gives the entitlements of a customer as they would be after events.
fn after(customer: &Customer, events: &[Event], at: Timestamp) -> Entitled {
    let mut after = customer.entitled().clone();
    for event in events {
        after.apply(event, &customer.usage().reports, at);
    }
    after
}

fn bounded(facts: &EntitlementFacts) -> Result<(), Rejection> {
    for (many, most, what) in [
        (facts.plans.len(), MAX_PLANS, "plans"),
        (facts.purchases.len(), MAX_PURCHASES, "purchases"),
        (facts.grants.len(), MAX_GRANTS, "grants"),
        (facts.flags.len(), MAX_FLAGS, "flags"),
    ] {
        if many > most {
            let detail = format!("the customer would have more than {most} {what}");
            return Err(Rejection::new(RejectionCode::TooManyEntitlements, detail));
        }
    }
    Ok(())
}

impl Packed for Entitled {
    fn pack(&self, out: &mut Vec<u8>) {
        let Self { facts, usage, told } = self;
        pack_json(facts, out);
        pack_list(usage.iter(), out, |(feature, segments), out| {
            pack_text(feature.as_str(), out);
            let segments: Vec<&Segment> = segments.iter().collect();
            pack_list(segments.into_iter(), out, |Segment { start, last, used }, out| {
                start.pack(out);
                last.pack(out);
                used.pack(out);
            });
        });
        told.pack(out);
    }

    fn unpack(from: &mut Unpacking<'_>) -> Result<Self, Unpackable> {
        let segment = |from: &mut Unpacking<'_>| {
            Ok(Segment { start: from.take()?, last: from.take()?, used: from.take()? })
        };
        Ok(Self {
            facts: from.json()?,
            usage: from.list(|from| Ok((from.text()?, from.list(segment)?)))?,
            told: from.take()?,
        })
    }
}
