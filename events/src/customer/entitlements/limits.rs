//! How does a usage limit stand? What was used of its feature in its window of now. A window follows the
//! billing cycle of the plan that the customer is on, or the calendar in UTC where there is none.
//!
//! That a limit was set or changed does not touch what was used; another billing cycle has other windows.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::answer::Entitlements;
use super::balance::total;
use super::grant::Plan;
use super::held::{EntitlementFacts, HeldGrant};
use super::reset::{ResetInterval, ResetRule};
use super::segments::{Beginnings, Segments};
use super::spending::horizon;
use crate::customer::{BillingControls, LimitAnchor, LimitInterval, UsageLimit};
use crate::ids::Meter;
use crate::money::Total;
use crate::period::Window;
use crate::time::{MICROS_PER_HOUR, Timestamp};

/// Microseconds since 1970 at which a day, a month and a year of the calendar begin.
const CALENDAR: i64 = 0;
/// Microseconds since 1970 at which a week of the calendar begins: Monday, 1970-01-05.
const CALENDAR_WEEK: i64 = 4 * 24 * MICROS_PER_HOUR;

/// How a usage limit stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LimitStanding {
    /// The limit.
    pub limit: UsageLimit,
    /// Its window of now.
    pub window: Window,
    /// What was used in it. Reports have no properties: of a limit with a filter it is nothing.
    pub usage: Total,
}

/// All that usage of a customer is counted for: grants and usage limits.
#[derive(Debug, Clone, Copy)]
pub struct Counted<'a> {
    facts: &'a EntitlementFacts,
    controls: &'a BillingControls,
}

/// What segments of usage may not reach over.
#[derive(Debug, Clone, Copy)]
pub enum Cut<'a> {
    /// Beginnings and ends of a grant and of its windows.
    Grant(&'a HeldGrant),
    /// Windows that follow each other for all time.
    Windows(ResetRule),
}

impl Beginnings for Cut<'_> {
    fn last_at(&self, at: Timestamp) -> Timestamp {
        match self {
            Self::Grant(held) => held.last_at(at),
            Self::Windows(rule) => rule.window_at(at).start,
        }
    }
}

impl UsageLimit {
    fn rule(&self, cycle: Option<Timestamp>) -> ResetRule {
        let (interval, calendar) = match self.interval {
            LimitInterval::Day => (ResetInterval::Day, CALENDAR),
            LimitInterval::Week => (ResetInterval::Week, CALENDAR_WEEK),
            LimitInterval::Month => (ResetInterval::Month, CALENDAR),
            LimitInterval::Year => (ResetInterval::Year, CALENDAR),
        };
        let cycle = cycle.filter(|_| self.anchor != Some(LimitAnchor::Utc));
        ResetRule {
            interval,
            interval_count: 1,
            anchor: cycle.unwrap_or_else(|| Timestamp::from_micros(calendar)),
        }
    }
}

/// Gives where the billing cycle begins at a moment: the period that is paid for of the plan that is in
/// force, rather of one that goes with no other, and of those the first.
fn billing_cycle(plans: &[Plan], at: Timestamp) -> Option<Timestamp> {
    let in_force = |plan: &&Plan| plan.started_at <= at && plan.is_live(at);
    let paid = plans.iter().filter(in_force).filter(|plan| plan.current_period_start.is_some());
    paid.min_by_key(|plan| plan.add_on)?.current_period_start
}

impl<'a> Counted<'a> {
    /// Takes the facts and the controls of a customer.
    pub const fn new(facts: &'a EntitlementFacts, controls: &'a BillingControls) -> Self {
        Self { facts, controls }
    }

    fn limits(self) -> impl Iterator<Item = &'a UsageLimit> + Clone {
        self.controls.usage_limits.iter().flatten()
    }

    /// Gives the features that are counted, each once, in order.
    pub fn features(self) -> Vec<&'a Meter> {
        let mut features = self.facts.features();
        features.extend(self.limits().map(|limit| &limit.feature_id));
        features.sort_unstable();
        features.dedup();
        features
    }

    /// Tells whether usage of a feature is counted.
    pub fn counts(self, feature: &Meter) -> bool {
        self.facts.counts(feature) || self.limits().any(|limit| limit.feature_id == *feature)
    }

    /// Gives what segments of the usage of a feature may not reach over: whatever plan is in force when
    /// they are looked at.
    pub fn cuts(self, feature: &'a Meter) -> impl Iterator<Item = Cut<'a>> + Clone {
        let cycles = self.facts.plans.iter().filter_map(|plan| plan.current_period_start);
        let cycles = std::iter::once(None).chain(cycles.map(Some));
        let of_feature = self.limits().filter(move |limit| limit.feature_id == *feature);
        let windows = of_feature.flat_map(move |limit| cycles.clone().map(|it| limit.rule(it)));
        self.facts.grants_of(feature).map(Cut::Grant).chain(windows.map(Cut::Windows))
    }

    fn window(self, limit: &UsageLimit, now: Timestamp) -> Window {
        limit.rule(billing_cycle(&self.facts.plans, now)).window_at(now)
    }

    /// Gives the moment before which it does not matter now what was used of a feature.
    pub fn horizon(self, feature: &'a Meter, now: Timestamp) -> Timestamp {
        let of_feature = self.limits().filter(|limit| limit.feature_id == *feature);
        let starts = of_feature.map(|limit| self.window(limit, now).start);
        starts.fold(horizon(self.facts.grants_of(feature), now), Timestamp::min)
    }

    /// Gives all that the customer is entitled to at a moment, and how its usage limits stand; `usage`
    /// has what was used of each feature that is counted.
    pub fn answer(self, usage: &BTreeMap<Meter, Segments>, now: Timestamp) -> Entitlements {
        let standing = |limit: &UsageLimit| {
            let window = self.window(limit, now);
            let segments = usage.get(&limit.feature_id).filter(|_| limit.filter.is_none());
            let used = segments.map_or(0, |segments| segments.used_in(window));
            LimitStanding { limit: limit.clone(), window, usage: total(used) }
        };
        Entitlements {
            usage_limits: self.limits().map(standing).collect(),
            ..self.facts.answer(usage, self.controls, now)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn plan(plan_id: &str, add_on: bool, started_at: &str, period: Option<&str>) -> Plan {
        Plan {
            plan_id: plan_id.parse().unwrap(),
            add_on,
            auto_enable: false,
            quantity: 1,
            past_due: false,
            started_at: at(started_at),
            trial_ends_at: None,
            current_period_start: period.map(at),
            current_period_end: None,
            canceled_at: None,
            expires_at: None,
        }
    }

    fn limits(asked: &str) -> BillingControls {
        serde_json::from_str(&format!(r#"{{"usage_limits":{asked}}}"#)).unwrap()
    }

    fn limit(interval: &str) -> BillingControls {
        limits(&format!(r#"[{{"feature_id":"a","limit":"9","interval":"{interval}"}}]"#))
    }

    /// The window of the only limit, and what was used in it, in units.
    fn told(
        plans: &[Plan],
        controls: &BillingControls,
        used: &[(&str, i128)],
        now: &str,
    ) -> [String; 3] {
        let facts = EntitlementFacts { plans: plans.to_vec(), ..EntitlementFacts::default() };
        let (counted, feature) = (Counted::new(&facts, controls), "a".parse().unwrap());
        let moments = used.iter().map(|(moment, used)| (at(moment), used * 1_000_000_000_000));
        let usage = [("a".parse().unwrap(), Segments::of(moments, counted.cuts(&feature)))].into();
        let mut told = counted.answer(&usage, at(now)).usage_limits;
        let LimitStanding { window, usage, .. } = told.pop().expect("a limit");
        assert!(told.is_empty() && counted.horizon(&feature, at(now)) <= window.start);
        [window.start.to_string(), window.end.to_string(), usage.to_string()]
    }

    const USED: [(&str, i128); 4] = [
        ("2025-12-31T23:59:59.999999Z", 1),
        ("2026-01-01T00:00:00Z", 2),
        ("2026-01-19T12:00:00Z", 4),
        ("2026-01-21T00:00:00Z", 8),
    ];

    #[test]
    fn without_a_billing_cycle_windows_are_those_of_the_calendar() {
        let now = "2026-01-21T10:00:00Z";
        for (interval, start, end, usage) in [
            ("day", "2026-01-21", "2026-01-22", "8"),
            ("week", "2026-01-19", "2026-01-26", "12"),
            ("month", "2026-01-01", "2026-02-01", "14"),
            ("year", "2026-01-01", "2027-01-01", "14"),
        ] {
            let midnight = |day: &str| at(&format!("{day}T00:00:00Z")).to_string();
            let expected = [midnight(start), midnight(end), usage.to_owned()];
            assert_eq!(told(&[], &limit(interval), &USED, now), expected, "{interval}");
            let unpaid = plan("free", false, "2026-01-20T00:00:00Z", None);
            assert_eq!(told(&[unpaid], &limit(interval), &USED, now), expected, "{interval}");
        }
    }

    #[test]
    fn windows_follow_the_billing_cycle_of_the_plan_that_is_in_force() {
        let main = plan("pro", false, "2026-01-20T00:00:00Z", Some("2026-01-20T06:00:00Z"));
        let extra = plan("extra", true, "2026-01-01T00:00:00Z", Some("2026-01-05T00:00:00Z"));
        let plans = [extra, main];
        let month = |now: &str| told(&plans, &limit("month"), &USED, now);
        // The plan is scheduled, and one that goes with another is all there is.
        let before = ["2026-01-05T00:00:00Z", "2026-02-05T00:00:00Z", "12"];
        assert_eq!(month("2026-01-19T13:00:00Z"), before);
        let within = ["2026-01-20T06:00:00Z", "2026-02-20T06:00:00Z", "8"];
        assert_eq!(month("2026-01-21T10:00:00Z"), within);
        let after = ["2026-02-20T06:00:00Z", "2026-03-20T06:00:00Z", "0"];
        assert_eq!(month("2026-02-20T06:00:00Z"), after);
        let in_utc =
            limits(r#"[{"feature_id":"a","limit":"9","interval":"month","anchor":"utc"}]"#);
        let calendar = ["2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "14"];
        assert_eq!(told(&plans, &in_utc, &USED, "2026-01-21T10:00:00Z"), calendar);
    }

    #[test]
    fn reports_match_no_filter() {
        let filtered = limits(
            r#"[{"feature_id":"a","limit":"9","interval":"year","filter":{"properties":{"m":"x"}}}]"#,
        );
        let [_, _, usage] = told(&[], &filtered, &USED, "2026-01-21T10:00:00Z");
        assert_eq!(usage, "0");
    }
}
