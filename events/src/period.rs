//! Budget windows: a function of the schedule and of a moment. Nothing fires when one ends.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// How long a budget window lasts. Calendar windows are aligned in UTC, weeks begin on Monday.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BudgetDuration {
    /// One day.
    Daily,
    /// One week.
    Weekly,
    /// One month.
    #[default]
    Monthly,
    /// One year.
    Yearly,
}

impl BudgetDuration {
    /// Gives the name used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Yearly => "yearly",
        }
    }
}

/// A span of time: from `start` up to, but without, `end`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct Window {
    /// First moment of the window.
    pub start: Timestamp,
    /// First moment after the window.
    pub end: Timestamp,
}

impl Window {
    /// All time.
    pub const LIFETIME: Self = Self { start: Timestamp::MIN, end: Timestamp::MAX };

    /// Tells whether a moment lies in the window.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }
}

/// When windows begin and end.
///
/// Without `start`: calendar windows. A start without an end: windows of the duration anchored at it
/// (clamped at short months). Start and end: that window once, calendar windows after it. What lies
/// before the start is in calendar windows; a window never reaches over the start or the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Schedule {
    /// How long a window lasts.
    pub duration: BudgetDuration,
    /// The anchor.
    pub start: Option<Timestamp>,
    /// The end of the one custom window. Counts only together with `start`.
    pub end: Option<Timestamp>,
}

impl Schedule {
    /// Gives the window in which a moment lies.
    pub fn window_at(&self, at: Timestamp) -> Window {
        let calendar = calendar_window(self.duration, at);
        match (self.start, self.end) {
            (None, _) => calendar,
            (Some(start), _) if at < start => {
                Window { start: calendar.start, end: calendar.end.min(start) }
            }
            (Some(start), None) => anchored_window(self.duration, start, at),
            (Some(start), Some(end)) if at < end => Window { start, end },
            (Some(_), Some(end)) => Window { start: calendar.start.max(end), end: calendar.end },
        }
    }
}

/// Gives the calendar window (UTC) in which a moment lies.
pub fn calendar_window(duration: BudgetDuration, at: Timestamp) -> Window {
    let date = at.to_chrono().date_naive();
    let first = match duration {
        BudgetDuration::Daily => date,
        BudgetDuration::Weekly => {
            // 1970-01-01 was a Thursday: its week begins before our time does.
            let back = u64::from(date.weekday().num_days_from_monday());
            date.checked_sub_days(Days::new(back)).unwrap_or(date)
        }
        BudgetDuration::Monthly => date.with_day(1).unwrap_or(date),
        BudgetDuration::Yearly => NaiveDate::from_ymd_opt(date.year(), 1, 1).unwrap_or(date),
    };
    let next = match duration {
        BudgetDuration::Daily => first.checked_add_days(Days::new(1)),
        BudgetDuration::Weekly => first.checked_add_days(Days::new(7)),
        BudgetDuration::Monthly => first.checked_add_months(Months::new(1)),
        BudgetDuration::Yearly => first.checked_add_months(Months::new(12)),
    };
    Window {
        start: Timestamp::midnight(first),
        end: next.map_or(Timestamp::MAX, Timestamp::midnight),
    }
}

/// Gives the window of a duration, anchored at `start`, in which `at` (not before `start`) lies.
fn anchored_window(duration: BudgetDuration, start: Timestamp, at: Timestamp) -> Window {
    let anchor = start.to_chrono();
    let moment = at.to_chrono();
    let whole_days = (moment - anchor).num_days();
    let whole_months = i64::from(moment.year() - anchor.year()) * 12 + i64::from(moment.month())
        - i64::from(anchor.month());
    // The estimate is the right number or one too many (a later day or hour of the month).
    let estimate = match duration {
        BudgetDuration::Daily => whole_days,
        BudgetDuration::Weekly => whole_days / 7,
        BudgetDuration::Monthly => whole_months,
        BudgetDuration::Yearly => whole_months / 12,
    };
    let begins =
        |k: i64| nth_start(duration, anchor, k).map_or(Timestamp::MAX, Timestamp::from_chrono);
    let k = if begins(estimate) > at { estimate - 1 } else { estimate };
    Window { start: begins(k), end: begins(k + 1) }
}

/// Gives the start of the k-th window from the anchor, counted from the anchor itself, so that a
/// short month in between shortens nothing after it.
fn nth_start(duration: BudgetDuration, anchor: DateTime<Utc>, k: i64) -> Option<DateTime<Utc>> {
    let k = u64::try_from(k).ok()?;
    let months = |factor: u64| u32::try_from(k * factor).ok().map(Months::new);
    match duration {
        BudgetDuration::Daily => anchor.checked_add_days(Days::new(k)),
        BudgetDuration::Weekly => anchor.checked_add_days(Days::new(7 * k)),
        BudgetDuration::Monthly => anchor.checked_add_months(months(1)?),
        BudgetDuration::Yearly => anchor.checked_add_months(months(12)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn window(schedule: Schedule, moment: &str) -> (String, String) {
        let window = schedule.window_at(at(moment));
        (window.start.to_string(), window.end.to_string())
    }

    fn days(start: &str, end: &str) -> (String, String) {
        (format!("{start}T00:00:00Z"), format!("{end}T00:00:00Z"))
    }

    #[test]
    fn calendar_windows_are_aligned_in_utc() {
        let of = |duration| Schedule { duration, ..Schedule::default() };
        let moment = "2026-11-24T05:30:00Z";
        assert_eq!(window(of(BudgetDuration::Daily), moment), days("2026-11-24", "2026-11-25"));
        assert_eq!(window(of(BudgetDuration::Weekly), moment), days("2026-11-23", "2026-11-30"));
        assert_eq!(window(of(BudgetDuration::Monthly), moment), days("2026-11-01", "2026-12-01"));
        assert_eq!(window(of(BudgetDuration::Yearly), moment), days("2026-01-01", "2027-01-01"));
        assert_eq!(
            window(of(BudgetDuration::Monthly), "2026-12-01T00:00:00Z"),
            days("2026-12-01", "2027-01-01")
        );
    }

    #[test]
    fn a_start_anchors_windows_and_short_months_clamp() {
        let schedule = Schedule { start: Some(at("2026-01-31T00:00:00Z")), ..Schedule::default() };
        assert_eq!(window(schedule, "2026-02-10T00:00:00Z"), days("2026-01-31", "2026-02-28"));
        assert_eq!(window(schedule, "2026-02-28T00:00:00Z"), days("2026-02-28", "2026-03-31"));
        assert_eq!(window(schedule, "2026-04-30T12:00:00Z"), days("2026-04-30", "2026-05-31"));
        let leap = Schedule {
            duration: BudgetDuration::Yearly,
            start: Some(at("2024-02-29T00:00:00Z")),
            end: None,
        };
        assert_eq!(window(leap, "2026-03-01T00:00:00Z"), days("2026-02-28", "2027-02-28"));
        assert_eq!(window(leap, "2028-02-29T00:00:00Z"), days("2028-02-29", "2029-02-28"));
    }

    #[test]
    fn what_lies_before_the_start_is_in_calendar_windows_up_to_it() {
        let schedule = Schedule { start: Some(at("2026-01-10T00:00:00Z")), ..Schedule::default() };
        assert_eq!(window(schedule, "2026-01-09T23:59:59Z"), days("2026-01-01", "2026-01-10"));
        assert_eq!(window(schedule, "2025-12-31T00:00:00Z"), days("2025-12-01", "2026-01-01"));
    }

    #[test]
    fn after_a_given_end_calendar_windows_go_on() {
        let schedule = Schedule {
            start: Some(at("2026-01-10T00:00:00Z")),
            end: Some(at("2026-02-20T00:00:00Z")),
            ..Schedule::default()
        };
        assert_eq!(window(schedule, "2026-02-19T23:59:59Z"), days("2026-01-10", "2026-02-20"));
        assert_eq!(window(schedule, "2026-02-20T00:00:00Z"), days("2026-02-20", "2026-03-01"));
        assert_eq!(window(schedule, "2026-03-01T00:00:00Z"), days("2026-03-01", "2026-04-01"));
    }

    proptest! {
        #[test]
        fn windows_tile_time(
            kind in 0..4_usize,
            start in proptest::option::of(0..4_000_000_000_i64),
            length in proptest::option::of(1..90_000_000_i64),
            moment in 0..6_000_000_000_i64,
        ) {
            let duration = [
                BudgetDuration::Daily, BudgetDuration::Weekly, BudgetDuration::Monthly, BudgetDuration::Yearly,
            ][kind];
            let second = |s: i64| Timestamp::from_micros(s * 1_000_000);
            let end = start.zip(length).map(|(start, length)| second(start + length));
            let schedule = Schedule { duration, start: start.map(second), end };
            let moment = second(moment);
            let window = schedule.window_at(moment);
            prop_assert!(window.contains(moment), "{window:?} has not {moment}");
            prop_assert_eq!(schedule.window_at(window.start), window);
            prop_assert_eq!(schedule.window_at(window.end.plus_micros(-1)), window);
            prop_assert_eq!(schedule.window_at(window.end).start, window.end);
        }
    }
}
