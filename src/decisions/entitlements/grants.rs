//! Grants and flags: what each is in full, and whose place it takes.

use std::collections::BTreeSet;

use tallybook_events::customer::entitlements::{
    BalanceGranted, EntitlementFacts, Flag, FlagAsked, FlagCleared, FlagSet, Grant, GrantAsked,
    GrantRevoked, HeldGrant, MAX_INTERVAL_COUNT, ResetAsked, ResetInterval, ResetRule,
};
use tallybook_events::decision::{Rejection, RejectionCode};
use tallybook_events::event::Event;
use tallybook_events::ids::{Meter, Token};
use tallybook_events::money::Amount;
use tallybook_events::time::Timestamp;

/// Most windows for which a balance rolls over, when that is bounded.
const MAX_ROLLOVER_WINDOWS: u32 = 100;

/// Where in a command a grant or flag stands.
#[derive(Default)]
pub(super) struct Place<'a> {
    /// JSON pointer to it, or to the plan or purchase that it comes with.
    pub(super) pointer: &'static str,
    /// That plan, and when it starts.
    pub(super) within: Option<(&'a Token, Timestamp)>,
    /// The plan that ends now in favour of it.
    pub(super) replaces: Option<&'a Token>,
}

/// Decides all grants and flags of a plan or purchase.
///
/// # Errors
/// What refuses the first of them that is refused.
pub(super) fn all(
    facts: &EntitlementFacts,
    (grants, flags): (&[GrantAsked], &[FlagAsked]),
    place: &Place<'_>,
    now: Timestamp,
    events: &mut Vec<Event>,
) -> Result<(), Rejection> {
    let under = |list: &str, at: usize, rejection: Rejection| {
        let Rejection { code, detail, pointer } = rejection;
        let below = pointer.as_deref().and_then(|it| it.strip_prefix(place.pointer));
        let pointer = format!("{}/{list}/{at}{}", place.pointer, below.unwrap_or_default());
        Rejection::at(code, pointer, detail)
    };
    let (mut ids, mut features) = (BTreeSet::new(), BTreeSet::new());
    for (at, asked) in grants.iter().enumerate() {
        if !ids.insert(asked.grant_id.as_str()) {
            let rejection = place.invalid("grant_id", "another grant of this command has that id");
            return Err(under("grants", at, rejection));
        }
        grant(facts, asked, place, now, events)
            .map_err(|rejection| under("grants", at, rejection))?;
    }
    for (at, asked) in flags.iter().enumerate() {
        if !features.insert(asked.feature_id.as_str()) {
            let rejection =
                place.invalid("feature_id", "another flag of this command is of that feature");
            return Err(under("flags", at, rejection));
        }
        set_flag(facts, asked, place, now, events)
            .map_err(|rejection| under("flags", at, rejection))?;
    }
    Ok(())
}

impl Place<'_> {
    fn invalid(&self, member: &str, detail: &str) -> Rejection {
        let pointer = format!("{}/{member}", self.pointer);
        Rejection::at(RejectionCode::GrantInvalid, pointer, detail)
    }

    /// Gives the plan that a grant or flag belongs to.
    fn plan_id(&self, asked: Option<&Token>) -> Result<Option<Token>, Rejection> {
        match (self.within, asked) {
            (Some((within, _)), Some(asked)) if within != asked => {
                Err(self.invalid("plan_id", "is not the plan that it comes with"))
            }
            (Some((within, _)), _) => Ok(Some(within.clone())),
            (None, asked) => Ok(asked.cloned()),
        }
    }
}

/// Decides to grant a balance, or to change it. Without a change there is no event.
///
/// # Errors
/// `grant_invalid`.
pub(super) fn grant(
    facts: &EntitlementFacts,
    asked: &GrantAsked,
    place: &Place<'_>,
    now: Timestamp,
    events: &mut Vec<Event>,
) -> Result<(), Rejection> {
    let same = facts.grant(&asked.grant_id, now);
    if same.is_some_and(|held| held.grant.feature_id != asked.feature_id) {
        return Err(place.invalid("feature_id", "cannot be changed"));
    }
    let taken = place.replaces.and_then(|plan_id| of_plan(facts, plan_id, asked, now));
    let before = same.or(taken);
    let grant = whole(asked, before, place, now)?;
    check(&grant, place, now)?;
    if same.is_some_and(|held| held.grant == grant) {
        return Ok(());
    }
    let moved = asked
        .starts_at
        .is_some_and(|start| before.is_none_or(|before| before.grant.starts_at != start));
    let counts_from = match before {
        Some(before) if !moved && grant.starts_at <= now => {
            let window = grant.reset.map_or(Timestamp::MIN, |rule| rule.window_at(now).start);
            window.max(before.counts_from(now))
        }
        Some(_) | None => grant.starts_at,
    };
    let revoked = taken.filter(|_| same.is_none()).map(|taken| taken.grant.clone());
    let instead_of = same.map(|held| Box::new(held.grant.clone()));
    events.push(Event::BalanceGranted(Box::new(BalanceGranted { grant, counts_from, instead_of })));
    if let Some(grant) = revoked
        && !is_revoked(&grant, events)
    {
        let ends_at = counts_from.min(now);
        events.push(Event::GrantRevoked(Box::new(GrantRevoked { grant, ends_at })));
    }
    Ok(())
}

/// Gives the grant of a plan whose place a grant of that feature takes: one with windows of the same
/// length before others.
fn of_plan<'a>(
    facts: &'a EntitlementFacts,
    plan_id: &Token,
    asked: &'a GrantAsked,
    now: Timestamp,
) -> Option<&'a HeldGrant> {
    let old = facts
        .grants_of(&asked.feature_id)
        .filter(|held| held.grant.plan_id.as_ref() == Some(plan_id) && held.is_active(now));
    let alike = |held: &&HeldGrant| match (held.grant.reset, asked.reset) {
        (Some(rule), Some(asked)) => rule.is_as_long_as(asked.interval, asked.interval_count),
        (old, new) => old.is_some() == new.is_some(),
    };
    old.clone().find(alike).or_else(|| old.clone().next())
}

fn is_revoked(grant: &Grant, events: &[Event]) -> bool {
    events.iter().any(|event| {
        matches!(event, Event::GrantRevoked(revoked) if revoked.grant.grant_id == grant.grant_id)
    })
}

/// Gives a grant in full: what is left out is as before, or as the plan has it.
fn whole(
    asked: &GrantAsked,
    before: Option<&HeldGrant>,
    place: &Place<'_>,
    now: Timestamp,
) -> Result<Grant, Rejection> {
    let start = match (place.within, before) {
        (Some((_, started_at)), _) => started_at,
        (None, Some(before)) => before.grant.starts_at,
        (None, None) => now,
    };
    let starts_at = asked.starts_at.unwrap_or(start);
    let reset = |reset: ResetAsked| {
        let ResetAsked { interval, interval_count, anchor } = reset;
        let alike = before
            .and_then(|before| before.grant.reset)
            .filter(|rule| rule.is_as_long_as(interval, interval_count));
        let anchor = anchor.or(alike.map(|rule| rule.anchor)).unwrap_or(starts_at);
        ResetRule { interval, interval_count, anchor }
    };
    Ok(Grant {
        grant_id: asked.grant_id.clone(),
        feature_id: asked.feature_id.clone(),
        plan_id: place.plan_id(asked.plan_id.as_ref())?,
        included: asked.included,
        prepaid: asked.prepaid,
        unlimited: asked.unlimited,
        overage_allowed: asked.overage_allowed,
        max_purchase: asked.max_purchase,
        reset: asked.reset.map(reset),
        rollover: asked.rollover,
        price: asked.price.clone(),
        starts_at,
        expires_at: asked.expires_at,
    })
}

fn check(grant: &Grant, place: &Place<'_>, now: Timestamp) -> Result<(), Rejection> {
    let fault = |member: &str, detail: &str| Err(place.invalid(member, detail));
    if let Some(rule) = grant.reset
        && !(1..=MAX_INTERVAL_COUNT).contains(&rule.interval_count)
    {
        return fault("reset/interval_count", "must be 1 to 1000");
    }
    if let Some(rollover) = grant.rollover {
        let days = |rule: ResetRule| ResetInterval::Day <= rule.interval;
        if !grant.reset.is_some_and(days) {
            return fault("rollover", "needs a reset after a day or more");
        }
        if rollover.windows.is_some_and(|n| !(1..=MAX_ROLLOVER_WINDOWS).contains(&n)) {
            return fault("rollover/windows", "must be 1 to 100");
        }
    }
    if grant.price.as_ref().is_some_and(|price| price.billing_units == Amount::ZERO) {
        return fault("price/billing_units", "must be more than 0");
    }
    if grant.expires_at.is_some_and(|end| end <= grant.starts_at.max(now)) {
        return fault("expires_at", "must be later than the start and than now");
    }
    Ok(())
}

/// Decides to take a grant back.
///
/// # Errors
/// `unknown_grant`.
pub(super) fn revoke(
    facts: &EntitlementFacts,
    grant_id: &Token,
    now: Timestamp,
    events: &mut Vec<Event>,
) -> Result<(), Rejection> {
    let Some(held) = facts.grant(grant_id, now) else {
        let detail = "no such grant of this customer is in force";
        return Err(Rejection::at(RejectionCode::UnknownGrant, "/grant_id", detail));
    };
    let revoked = GrantRevoked { grant: held.grant.clone(), ends_at: now };
    events.push(Event::GrantRevoked(Box::new(revoked)));
    Ok(())
}

/// Decides to switch a feature on. Without a change there is no event.
///
/// # Errors
/// `grant_invalid`.
pub(super) fn set_flag(
    facts: &EntitlementFacts,
    asked: &FlagAsked,
    place: &Place<'_>,
    now: Timestamp,
    events: &mut Vec<Event>,
) -> Result<(), Rejection> {
    let flag = Flag {
        flag_id: asked.flag_id.clone(),
        feature_id: asked.feature_id.clone(),
        plan_id: place.plan_id(asked.plan_id.as_ref())?,
        expires_at: asked.expires_at,
    };
    if flag.expires_at.is_some_and(|end| end <= now) {
        return Err(place.invalid("expires_at", "must not have passed"));
    }
    let before = facts.flag(&flag.feature_id, now).map(|held| held.flag.clone());
    if before.as_ref() != Some(&flag) {
        events.push(Event::FlagSet(FlagSet { flag, instead_of: before }));
    }
    Ok(())
}

/// Decides to switch a feature off. One that is off stays so.
pub(super) fn clear_flag(
    facts: &EntitlementFacts,
    feature: &Meter,
    now: Timestamp,
    events: &mut Vec<Event>,
) {
    if let Some(held) = facts.flag(feature, now) {
        events.push(Event::FlagCleared(FlagCleared { flag: held.flag.clone() }));
    }
}
