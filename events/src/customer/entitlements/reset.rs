//! When does the usage of a balance begin again at zero? A function of the rule and of a moment.

use chrono::{DateTime, Datelike as _, Months, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::period::Window;
use crate::time::{MICROS_PER_HOUR, MICROS_PER_SECOND, Timestamp};

/// Most intervals in one window.
pub const MAX_INTERVAL_COUNT: u32 = 1_000;

/// Unit of the windows of a balance.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ResetInterval {
    /// Never.
    OneOff,
    /// Minute.
    Minute,
    /// Hour.
    Hour,
    /// Day.
    Day,
    /// Week.
    Week,
    /// Month.
    Month,
    /// Three months.
    Quarter,
    /// Six months.
    SemiAnnual,
    /// Year.
    Year,
}

/// How long one unit is.
enum Length {
    Ever,
    Micros(i64),
    Months(i64),
}

impl ResetInterval {
    /// Gives the name used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OneOff => "one_off",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::SemiAnnual => "semi_annual",
            Self::Year => "year",
        }
    }

    const fn length(self) -> Length {
        match self {
            Self::OneOff => Length::Ever,
            Self::Minute => Length::Micros(60 * MICROS_PER_SECOND),
            Self::Hour => Length::Micros(MICROS_PER_HOUR),
            Self::Day => Length::Micros(24 * MICROS_PER_HOUR),
            Self::Week => Length::Micros(7 * 24 * MICROS_PER_HOUR),
            Self::Month => Length::Months(1),
            Self::Quarter => Length::Months(3),
            Self::SemiAnnual => Length::Months(6),
            Self::Year => Length::Months(12),
        }
    }
}

/// When the usage of a balance begins again at zero: at the anchor, and every so many intervals
/// before and after it. Short months clamp, and shorten nothing after them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct ResetRule {
    /// Unit of a window.
    pub interval: ResetInterval,
    /// How many units a window has, 1 or more.
    pub interval_count: u32,
    /// Where a window begins.
    pub anchor: Timestamp,
}

impl ResetRule {
    /// Gives the window in which a moment lies. Windows tile all time.
    pub fn window_at(&self, at: Timestamp) -> Window {
        let count = i64::from(self.interval_count.clamp(1, MAX_INTERVAL_COUNT));
        match self.interval.length() {
            Length::Ever => Window::LIFETIME,
            Length::Micros(unit) => {
                let length = unit * count;
                let into = (at.micros() - self.anchor.micros()).rem_euclid(length);
                let start = at.micros() - into;
                Window {
                    start: Timestamp::from_micros(start),
                    end: Timestamp::from_micros(start + length),
                }
            }
            Length::Months(unit) => months_window(self.anchor.to_chrono(), unit * count, at),
        }
    }

    /// Tells whether windows end at all.
    pub fn recurs(&self) -> bool {
        self.interval != ResetInterval::OneOff
    }

    /// Tells whether another rule has windows of the same length.
    pub fn is_as_long_as(&self, interval: ResetInterval, interval_count: u32) -> bool {
        self.interval == interval && self.interval_count == interval_count
    }
}

fn months_window(anchor: DateTime<Utc>, length: i64, at: Timestamp) -> Window {
    let moment = at.to_chrono();
    let between = i64::from(moment.year() - anchor.year()) * 12 + i64::from(moment.month())
        - i64::from(anchor.month());
    let start_of = |k: i64| nth_month(anchor, k * length);
    // The estimate is the right number or one too many (a later day or hour of the month).
    let estimate = between.div_euclid(length);
    let k = if start_of(estimate) > at { estimate - 1 } else { estimate };
    Window { start: start_of(k), end: start_of(k + 1) }
}

/// Gives the moment so many months after the anchor (or before it), counted from the anchor itself.
fn nth_month(anchor: DateTime<Utc>, months: i64) -> Timestamp {
    let Ok(distance) = u32::try_from(months.unsigned_abs()) else { return Timestamp::MAX };
    let distance = Months::new(distance);
    if months < 0 {
        anchor.checked_sub_months(distance).map_or(Timestamp::MIN, Timestamp::from_chrono)
    } else {
        anchor.checked_add_months(distance).map_or(Timestamp::MAX, Timestamp::from_chrono)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn window(interval: ResetInterval, count: u32, anchor: &str, moment: &str) -> [String; 2] {
        let rule = ResetRule { interval, interval_count: count, anchor: at(anchor) };
        let window = rule.window_at(at(moment));
        [window.start.to_string(), window.end.to_string()]
    }

    #[test]
    fn windows_are_counted_from_the_anchor_both_ways() {
        use ResetInterval::{Day, Hour, Minute, Month, Quarter, SemiAnnual, Week, Year};
        let anchor = "2026-01-31T10:30:00.5Z";
        for (interval, count, moment, start, end) in [
            (Month, 1, "2026-02-10T00:00:00Z", "2026-01-31T10:30", "2026-02-28T10:30"),
            (Month, 1, "2026-03-31T10:30:00.5Z", "2026-03-31T10:30", "2026-04-30T10:30"),
            (Month, 1, "2026-01-31T10:30:00.4Z", "2025-12-31T10:30", "2026-01-31T10:30"),
            (Month, 2, "2026-02-28T11:00:00Z", "2026-01-31T10:30", "2026-03-31T10:30"),
            (Quarter, 1, "2025-11-01T00:00:00Z", "2025-10-31T10:30", "2026-01-31T10:30"),
            (SemiAnnual, 1, "2026-07-31T11:00:00Z", "2026-07-31T10:30", "2027-01-31T10:30"),
            (Year, 1, "2026-12-31T00:00:00Z", "2026-01-31T10:30", "2027-01-31T10:30"),
            (Week, 1, "2026-01-30T00:00:00Z", "2026-01-24T10:30", "2026-01-31T10:30"),
            (Day, 2, "2026-02-04T10:30:00.5Z", "2026-02-04T10:30", "2026-02-06T10:30"),
            (Hour, 1, "2026-02-04T10:30:00Z", "2026-02-04T09:30", "2026-02-04T10:30"),
            (Minute, 5, "2026-01-31T10:36:00Z", "2026-01-31T10:35", "2026-01-31T10:40"),
        ] {
            // All begin half a second after the full minute, as the anchor does.
            let expected = [start, end].map(|it| at(&format!("{it}:00.5Z")).to_string());
            assert_eq!(window(interval, count, anchor, moment), expected, "{interval:?} {moment}");
        }
        let ever = [Timestamp::MIN.to_string(), Timestamp::MAX.to_string()];
        assert_eq!(window(ResetInterval::OneOff, 1, anchor, anchor), ever);
    }

    proptest! {
        #[test]
        fn windows_tile_time(
            interval in 1..9_usize,
            interval_count in 1..20_u32,
            anchor in 0..4_000_000_000_i64,
            moment in 0..6_000_000_000_i64,
        ) {
            let interval = [
                ResetInterval::OneOff, ResetInterval::Minute, ResetInterval::Hour,
                ResetInterval::Day, ResetInterval::Week, ResetInterval::Month,
                ResetInterval::Quarter, ResetInterval::SemiAnnual, ResetInterval::Year,
            ][interval];
            let second = |s: i64| Timestamp::from_micros(s * MICROS_PER_SECOND);
            let rule = ResetRule { interval, interval_count, anchor: second(anchor) };
            let moment = second(moment);
            let window = rule.window_at(moment);
            prop_assert!(window.contains(moment), "{window:?} has not {moment}");
            prop_assert_eq!(rule.window_at(window.start), window);
            prop_assert_eq!(rule.window_at(window.end.plus_micros(-1)), window);
            prop_assert_eq!(rule.window_at(window.end).start, window.end);
            prop_assert_eq!(rule.window_at(rule.anchor).start, rule.anchor);
        }
    }
}
