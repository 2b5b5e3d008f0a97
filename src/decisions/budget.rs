//! The budget: what may be spent in a period and in all, and when periods begin.

use tallybook_events::customer::{Budget, BudgetPatch};
use tallybook_events::decision::{Rejection, RejectionCode};
use tallybook_events::event::Event;
use tallybook_events::field::Patch;
use tallybook_events::period::calendar_window;
use tallybook_events::time::Timestamp;

use super::customer::Customer;
use super::thresholds::{self, Thresholds};
use super::usage::spendings;

/// Decides a patch of the budget; a new budget may be used up already, to a share that is told.
///
/// # Errors
/// `period_inverted` when the custom period would end before it begins.
pub(super) fn decide(
    customer: &Customer,
    asked: &BudgetPatch,
    decided_at: Timestamp,
    events: &mut Vec<Event>,
) -> Result<(), Rejection> {
    let now = customer.budget();
    let new = merged(&now, asked, decided_at);
    if new == now {
        return Ok(());
    }
    if let (Some(start), Some(end)) = (new.period_start, new.period_end)
        && end <= start
    {
        let member = if asked.period_end.is_keep() { "period_start" } else { "period_end" };
        let pointer = format!("/patch/budget/{member}");
        let detail = format!("the period would begin at {start} and not end after it, at {end}");
        return Err(Rejection::at(RejectionCode::PeriodInverted, pointer, detail));
    }
    events.push(Event::BudgetSet(new.into()));
    let usage = customer.usage();
    let period = new.schedule().window_at(decided_at);
    let used = usage.hours.used(period).raw;
    let mut fresh = Thresholds::default();
    for spending in spendings(&new, period, used, usage.lifetime.tally.raw) {
        thresholds::decide(&usage.thresholds, &mut fresh, spending, events);
    }
    Ok(())
}

/// Gives the budget after a patch. An end without a start gets the start of the calendar window in which
/// we are; a start that is taken away takes an end with it that is not asked anew.
fn merged(now: &Budget, asked: &BudgetPatch, decided_at: Timestamp) -> Budget {
    let duration = asked.duration.as_set().copied().unwrap_or(now.duration);
    let mut period_start = asked.period_start.over(now.period_start);
    let mut period_end = asked.period_end.over(now.period_end);
    match (&asked.period_start, &asked.period_end) {
        (Patch::Clear, Patch::Keep) => period_end = None,
        (Patch::Keep | Patch::Clear, Patch::Set(_)) if period_start.is_none() => {
            period_start = Some(calendar_window(duration, decided_at).start);
        }
        (
            Patch::Keep | Patch::Clear | Patch::Set(_),
            Patch::Keep | Patch::Clear | Patch::Set(_),
        ) => {}
    }
    Budget {
        period_budget: asked.period_budget.over(now.period_budget),
        total_budget: asked.total_budget.over(now.total_budget),
        duration,
        period_start,
        period_end,
        markup_percentage: asked
            .markup_percentage
            .as_set()
            .copied()
            .unwrap_or(now.markup_percentage),
    }
}
