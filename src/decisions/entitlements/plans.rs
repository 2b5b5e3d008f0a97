//! Plans and purchases: what comes with them, and when it ends.

use tallybook_events::customer::entitlements::{
    Cancellation, EntitlementFacts, FlagAsked, GrantAsked, Plan, PlanAsked, PlanAttached,
    PlanCanceled, PlanChanged, PlanPatch, Purchase, PurchaseAsked, PurchaseRecorded,
};
use tallybook_events::decision::{Rejection, RejectionCode};
use tallybook_events::event::Event;
use tallybook_events::field::Edit;
use tallybook_events::ids::Token;
use tallybook_events::time::Timestamp;

use super::grants::{self, Place};

/// Decides to attach a plan, with its grants and flags; the plan whose place it takes ends when it
/// starts.
///
/// # Errors
/// `plan_attached`, `unknown_plan` for the one to be replaced, `plan_invalid`; what refuses a grant
/// or flag.
pub(super) fn attach(
    facts: &EntitlementFacts,
    asked: &PlanAsked,
    now: Timestamp,
    events: &mut Vec<Event>,
) -> Result<(), Rejection> {
    if facts.plan(&asked.plan_id, now).is_some() {
        let detail = "the plan is attached already; update it, or cancel it first";
        return Err(Rejection::at(RejectionCode::PlanAttached, "/plan/plan_id", detail));
    }
    let replaced = asked
        .replaces
        .as_ref()
        .map(|replaced| facts.plan(replaced, now).ok_or_else(|| unknown("/plan/replaces")))
        .transpose()?;
    let plan = Plan {
        plan_id: asked.plan_id.clone(),
        add_on: asked.add_on,
        auto_enable: asked.auto_enable,
        quantity: asked.quantity,
        past_due: false,
        started_at: asked.started_at.unwrap_or(now),
        trial_ends_at: asked.trial_ends_at,
        current_period_start: asked.current_period_start,
        current_period_end: asked.current_period_end,
        canceled_at: None,
        expires_at: asked.expires_at,
    };
    check(&plan, "/plan")?;
    if plan.expires_at.is_some_and(|end| end <= now) {
        return Err(invalid("/plan/expires_at", "must not have passed"));
    }
    let (plan_id, started_at) = (plan.plan_id.clone(), plan.started_at);
    events.push(Event::PlanAttached(PlanAttached { plan }));
    let place = Place {
        pointer: "/plan",
        within: Some((&plan_id, started_at)),
        replaces: replaced.map(|plan| &plan.plan_id).filter(|_| started_at <= now),
    };
    grants::all(facts, (&asked.grants, &asked.flags), &place, now, events)?;
    if let Some(replaced) = replaced {
        events.push(Event::PlanCanceled(PlanCanceled {
            plan_id: replaced.plan_id.clone(),
            canceled_at: replaced.canceled_at.unwrap_or(now),
            expires_at: started_at.max(now),
        }));
    }
    Ok(())
}

/// Decides a change of an attached plan. Without a change there is no event.
///
/// # Errors
/// `unknown_plan`, `plan_invalid`.
pub(super) fn update(
    facts: &EntitlementFacts,
    plan_id: &Token,
    change: &PlanPatch,
    now: Timestamp,
    events: &mut Vec<Event>,
) -> Result<(), Rejection> {
    let from = facts.plan(plan_id, now).ok_or_else(|| unknown("/plan_id"))?;
    let to = Plan {
        plan_id: from.plan_id.clone(),
        add_on: over(&change.add_on, from.add_on),
        auto_enable: over(&change.auto_enable, from.auto_enable),
        quantity: over(&change.quantity, from.quantity),
        past_due: over(&change.past_due, from.past_due),
        started_at: from.started_at,
        trial_ends_at: change.trial_ends_at.over(from.trial_ends_at),
        current_period_start: change.current_period_start.over(from.current_period_start),
        current_period_end: change.current_period_end.over(from.current_period_end),
        canceled_at: change.canceled_at.over(from.canceled_at),
        expires_at: change.expires_at.over(from.expires_at),
    };
    check(&to, "/change")?;
    if to != *from {
        let changed = PlanChanged { from: from.clone(), to };
        events.push(Event::PlanChanged(Box::new(changed)));
    }
    Ok(())
}

fn over<T: Copy>(edit: &Edit<T>, now: T) -> T {
    edit.as_set().copied().unwrap_or(now)
}

/// Decides to cancel an attached plan. One that is cancelled already stays as it is, unless it is to
/// end at another moment.
///
/// # Errors
/// `unknown_plan`.
pub(super) fn cancel(
    facts: &EntitlementFacts,
    plan_id: &Token,
    told: Cancellation,
    now: Timestamp,
    events: &mut Vec<Event>,
) -> Result<(), Rejection> {
    let plan = facts.plan(plan_id, now).ok_or_else(|| unknown("/plan_id"))?;
    let period_end = plan.current_period_end.filter(|end| now < *end && plan.started_at <= now);
    let already = plan.expires_at.filter(|_| plan.canceled_at.is_some());
    let canceled = PlanCanceled {
        plan_id: plan_id.clone(),
        canceled_at: told.canceled_at.or(plan.canceled_at).unwrap_or(now),
        expires_at: told.expires_at.or(already).or(period_end).unwrap_or(now),
    };
    let as_told = plan.canceled_at == Some(canceled.canceled_at)
        && plan.expires_at == Some(canceled.expires_at);
    if !as_told {
        events.push(Event::PlanCanceled(canceled));
    }
    Ok(())
}

/// Decides to record a purchase, with its grants and flags. The same one again changes nothing.
///
/// # Errors
/// `purchase_exists` when another was recorded under its id, `plan_invalid`; what refuses a grant or
/// flag.
pub(super) fn purchase(
    facts: &EntitlementFacts,
    asked: &PurchaseAsked,
    now: Timestamp,
    events: &mut Vec<Event>,
) -> Result<(), Rejection> {
    let known = facts.purchases.iter().find(|known| known.purchase_id == asked.purchase_id);
    let purchase = Purchase {
        purchase_id: asked.purchase_id.clone(),
        plan_id: asked.plan_id.clone(),
        quantity: asked.quantity,
        started_at: asked.started_at.or(known.map(|known| known.started_at)).unwrap_or(now),
        expires_at: asked.expires_at,
    };
    if let Some(known) = known {
        if *known == purchase {
            return Ok(());
        }
        let detail = "another purchase was recorded under that id";
        let code = RejectionCode::PurchaseExists;
        return Err(Rejection::at(code, "/purchase/purchase_id", detail));
    }
    if purchase.quantity == 0 {
        return Err(invalid("/purchase/quantity", "must be 1 or more"));
    }
    if purchase.expires_at.is_some_and(|end| end <= purchase.started_at.max(now)) {
        return Err(invalid("/purchase/expires_at", "must be later than the start and than now"));
    }
    let (plan_id, started_at) = (purchase.plan_id.clone(), purchase.started_at);
    let (grants, flags) = ending_with(&purchase, asked);
    events.push(Event::PurchaseRecorded(PurchaseRecorded { purchase }));
    let within = Some((&plan_id, started_at));
    let place = Place { pointer: "/purchase", within, replaces: None };
    grants::all(facts, (&grants, &flags), &place, now, events)
}

/// Gives what comes with a purchase: it ends with it, if it does not end before.
fn ending_with(purchase: &Purchase, asked: &PurchaseAsked) -> (Vec<GrantAsked>, Vec<FlagAsked>) {
    let end = |own: Option<Timestamp>| own.into_iter().chain(purchase.expires_at).min();
    let grant = |it: &GrantAsked| GrantAsked { expires_at: end(it.expires_at), ..it.clone() };
    let flag = |it: &FlagAsked| FlagAsked { expires_at: end(it.expires_at), ..it.clone() };
    (asked.grants.iter().map(grant).collect(), asked.flags.iter().map(flag).collect())
}

fn check(plan: &Plan, pointer: &str) -> Result<(), Rejection> {
    let fault = |member: &str, detail: &str| Err(invalid(&format!("{pointer}/{member}"), detail));
    if plan.quantity == 0 {
        return fault("quantity", "must be 1 or more");
    }
    if plan.expires_at.is_some_and(|end| end <= plan.started_at && plan.canceled_at.is_none()) {
        return fault("expires_at", "must be later than the start");
    }
    let period = plan.current_period_start.zip(plan.current_period_end);
    if period.is_some_and(|(start, end)| end <= start) {
        return fault("current_period_end", "must be later than the start of the period");
    }
    Ok(())
}

fn invalid(pointer: &str, detail: &str) -> Rejection {
    Rejection::at(RejectionCode::PlanInvalid, pointer, detail)
}

fn unknown(pointer: &str) -> Rejection {
    let detail = "no such plan is attached to this customer";
    Rejection::at(RejectionCode::UnknownPlan, pointer, detail)
}
