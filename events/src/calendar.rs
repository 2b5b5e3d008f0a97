//! Days and dates of the proleptic Gregorian calendar, without the detour over a date library: printing
//! and reading moments is a good part of what a record costs.

/// Days from 0000-03-01 to 1970-01-01. Years are counted from March, so that a leap day ends one.
const EPOCH: i64 = 719_468;
/// Days of 400 years.
const DAYS_OF_ERA: i64 = 146_097;

/// Gives year, month and day of a day counted since 1970-01-01.
pub(crate) const fn date_of(day: i64) -> (i64, i64, i64) {
    let shifted = day + EPOCH;
    let era = shifted.div_euclid(DAYS_OF_ERA);
    let day_of_era = shifted.rem_euclid(DAYS_OF_ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months from March on have 31, 30, 31, 30, 31 days, over and over: 153 days in five.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// Gives the day, counted since 1970-01-01, of a date; nothing when there is no such date.
pub(crate) const fn day_of(year: i64, month: i64, day: i64) -> Option<i64> {
    if month < 1 || month > 12 || day < 1 || day > days_of_month(year, month) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * DAYS_OF_ERA + day_of_era - EPOCH)
}

const fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{Datelike as _, NaiveDate};

    #[test]
    fn every_day_is_the_one_that_the_date_library_has() {
        let first = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
        let last = NaiveDate::from_ymd_opt(9999, 12, 31).unwrap();
        for (day, date) in (0..).zip(first.iter_days().take_while(|date| *date <= last)) {
            let parts = (i64::from(date.year()), i64::from(date.month()), i64::from(date.day()));
            assert_eq!(date_of(day), parts);
            assert_eq!(day_of(parts.0, parts.1, parts.2), Some(day));
        }
    }

    #[test]
    fn there_is_no_thirtieth_of_february() {
        for (year, month, day) in [
            (2026, 2, 29),
            (2100, 2, 29),
            (2024, 2, 30),
            (2026, 0, 1),
            (2026, 13, 1),
            (2026, 4, 31),
            (2026, 1, 0),
        ] {
            assert_eq!(day_of(year, month, day), None, "{year}-{month}-{day}");
        }
        assert!(day_of(2024, 2, 29).is_some() && day_of(2000, 2, 29).is_some());
    }
}
