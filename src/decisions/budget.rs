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

/// Gives the budget after a patch. An end without a start gets the start of the calendar window in
/// which we are; a start that is taken away takes an end with it that is not asked anew.
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::given::{given, report, update};

    fn budget(budget: Value) -> Value {
        update(json!({"budget": budget}))
    }

    /// The event that sets the default budget with other members.
    fn set(other: Value) -> Value {
        let mut set = json!({"type": "BudgetSet.v1", "period_budget": null, "total_budget": null,
            "duration": "monthly", "period_start": null, "period_end": null,
            "markup_percentage": "0"});
        set.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
        json!([set])
    }

    fn window(start: &str, end: &str) -> (Value, Value) {
        (json!(format!("{start}T00:00:00Z")), json!(format!("{end}T00:00:00Z")))
    }

    #[test]
    fn a_change_tells_the_whole_budget_as_it_now_stands() {
        given()
            .customer(json!({}))
            .when(budget(json!({"period_budget": 100, "markup_percentage": 20.5})))
            .then(set(json!({"period_budget": "100", "markup_percentage": "20.5"})))
            .when(budget(json!({"total_budget": "1000", "duration": "daily"})))
            .then(set(json!({"period_budget": "100", "markup_percentage": "20.5",
                "total_budget": "1000", "duration": "daily"})));
    }

    #[test]
    fn absent_null_and_a_value_are_three_things() {
        for limit in ["period_budget", "total_budget"] {
            given()
                .customer(json!({}))
                .when(budget(json!({limit: null})))
                .then_nothing()
                .when(budget(json!({limit: "0"})))
                .then(set(json!({limit: "0"})))
                .when(budget(json!({limit: 0})))
                .then_nothing()
                .when(budget(json!({})))
                .then_nothing()
                .when(budget(json!({limit: null})))
                .then(set(json!({})));
        }
    }

    #[test]
    fn what_is_asked_as_it_is_changes_nothing() {
        given()
            .customer(json!({"budget": {"period_budget": "5"}}))
            .when(budget(
                json!({"period_budget": "5.00", "duration": "monthly", "period_start": null,
                "period_end": null, "markup_percentage": "0", "total_budget": null}),
            ))
            .then_nothing()
            .shows("/version", json!(2));
    }

    #[test]
    fn a_period_ends_after_it_begins() {
        let (start, end) = window("2026-01-10", "2026-02-10");
        given()
            .customer(json!({}))
            .when(budget(json!({"period_start": end, "period_end": start})))
            .rejects("period_inverted", Some("/patch/budget/period_end"))
            .when(budget(json!({"period_start": end, "period_end": end})))
            .rejects("period_inverted", Some("/patch/budget/period_end"))
            .when(budget(json!({"period_start": start, "period_end": end})))
            .then(set(json!({"period_start": start, "period_end": end})))
            .when(budget(json!({"period_start": end})))
            .rejects("period_inverted", Some("/patch/budget/period_start"))
            .when(budget(json!({"period_end": "2026-01-10T00:00:00Z"})))
            .rejects("period_inverted", Some("/patch/budget/period_end"))
            .when(budget(json!({"period_start": end, "period_end": null})))
            .then(set(json!({"period_start": end})));
    }

    #[test]
    fn an_end_without_a_start_begins_with_the_calendar_window_of_now() {
        given()
            .customer(json!({}))
            .when(budget(json!({"period_end": "2026-02-10T00:00:00Z"})))
            .then(set(json!({"period_start": "2026-01-01T00:00:00Z",
                "period_end": "2026-02-10T00:00:00Z"})))
            .updated(json!({"budget": {"period_start": null, "period_end": null}}))
            .when(budget(json!({"period_end": "2026-02-10T00:00:00Z", "duration": "weekly"})))
            .then(set(json!({"period_start": "2026-01-12T00:00:00Z",
                "period_end": "2026-02-10T00:00:00Z", "duration": "weekly"})))
            .updated(json!({"budget": {"period_start": null}}))
            .when(budget(json!({"period_end": "2026-01-12T00:00:00Z"})))
            .rejects("period_inverted", Some("/patch/budget/period_end"));
    }

    #[test]
    fn a_start_that_is_taken_away_takes_its_end_along() {
        let (start, end) = window("2026-01-10", "2026-02-10");
        given()
            .customer(json!({"budget": {"period_start": start, "period_end": end}}))
            .when(budget(json!({"period_start": null})))
            .then(set(json!({})));
    }

    #[test]
    fn nothing_but_the_window_moves_the_window() {
        let (start, end) = window("2026-01-10", "2026-02-10");
        given()
            .customer(json!({"budget": {"period_start": start, "period_end": end}}))
            .used([report("r1", "2026-01-12T00:00:00Z", "3")])
            .at("2026-01-20T00:00:00Z")
            .updated(json!({"budget": {"period_budget": "10", "markup_percentage": "5"},
                "contract": {"tier": "growth", "status": "suspended"}, "profile": {"name": "A"}}))
            .shows(
                "/usage/period",
                json!({"start": start, "end": end, "raw": "3", "charged": "3",
                "count": 1, "budget": "10", "remaining": "7"}),
            );
    }

    #[test]
    fn the_current_period_is_a_function_of_the_budget_and_of_now() {
        let period = |start: &str, end: &str, raw: &str| {
            let (start, end) = window(start, end);
            json!({"start": start, "end": end, "raw": raw, "charged": raw,
                "count": u8::from(raw != "0"), "budget": null, "remaining": null})
        };
        given()
            .customer(json!({}))
            .used([report("r1", "2026-01-31T23:59:59.999999Z", "3")])
            .at("2026-01-31T23:59:59Z")
            .shows("/usage/period", period("2026-01-01", "2026-02-01", "3"))
            .at("2026-02-01T00:00:00Z")
            .shows("/usage/period", period("2026-02-01", "2026-03-01", "0"))
            .updated(json!({"budget": {"duration": "yearly"}}))
            .shows("/usage/period", period("2026-01-01", "2027-01-01", "3"))
            .updated(json!({"budget": {"duration": "weekly"}}))
            .shows("/usage/period", period("2026-01-26", "2026-02-02", "3"))
            .updated(json!({"budget": {"duration": "daily"}}))
            .shows("/usage/period", period("2026-02-01", "2026-02-02", "0"))
            .shows("/usage/lifetime", json!({"raw": "3", "charged": "3", "count": 1}));
    }

    #[test]
    fn a_window_that_is_set_later_has_the_usage_that_lies_in_it() {
        let (start, end) = window("2026-01-10", "2026-01-12");
        given()
            .customer(json!({}))
            .used([
                report("r1", "2026-01-09T23:59:59Z", "1"),
                report("r2", "2026-01-10T00:00:00Z", "2"),
                report("r3", "2026-01-11T23:59:59Z", "4"),
                report("r4", "2026-01-12T00:00:00Z", "8"),
            ])
            .updated(json!({"budget": {"period_start": start, "period_end": end}}))
            .at("2026-01-11T00:00:00Z")
            .shows("/usage/period/raw", json!("6"))
            .used([report("r5", "2026-01-10T00:30:00Z", "16")])
            .shows("/usage/period/raw", json!("22"))
            .at("2026-01-12T00:00:00Z")
            .shows("/usage/period/raw", json!("8"))
            .shows("/usage/period/end", json!("2026-02-01T00:00:00Z"));
    }

    #[test]
    fn a_window_that_begins_within_an_hour_does_not_share_that_hour() {
        given()
            .customer(json!({}))
            .used([report("r1", "2026-01-15T10:10:00Z", "1")])
            .at("2026-01-15T10:30:00Z")
            .updated(json!({"budget": {"period_start": "2026-01-15T10:30:00Z"}}))
            .shows("/usage/period/raw", json!("0"))
            .used([
                report("r2", "2026-01-15T10:40:00Z", "2"),
                report("r3", "2026-01-15T10:20:00Z", "4"),
            ])
            .shows("/usage/period/raw", json!("2"))
            .shows("/usage/lifetime/raw", json!("7"));
    }

    #[test]
    fn a_start_without_an_end_anchors_windows_that_clamp_at_short_months() {
        let (start, end) = window("2026-02-28", "2026-03-31");
        given()
            .customer(json!({"budget": {"period_start": "2026-01-31T00:00:00Z"}}))
            .used([
                report("r1", "2026-02-27T23:59:59Z", "1"),
                report("r2", "2026-02-28T00:00:00Z", "2"),
                report("r3", "2026-03-30T23:59:59Z", "4"),
            ])
            .at("2026-03-05T00:00:00Z")
            .shows("/usage/period/start", start)
            .shows("/usage/period/end", end)
            .shows("/usage/period/raw", json!("6"));
    }
}
