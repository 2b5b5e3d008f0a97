//! Moments and dates. A moment is in UTC, counted in microseconds, printed in RFC 3339 with `Z`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::calendar;
use crate::text::TextError;

/// Microseconds of one second.
pub const MICROS_PER_SECOND: i64 = 1_000_000;
/// Microseconds of one hour.
pub const MICROS_PER_HOUR: i64 = 3_600 * MICROS_PER_SECOND;
/// Microseconds of one day.
const MICROS_PER_DAY: i64 = 24 * MICROS_PER_HOUR;
/// 1970-01-01T00:00:00Z, the earliest moment.
const EARLIEST: i64 = 0;
/// 9999-12-31T23:59:59.999999Z, the latest moment.
const LATEST: i64 = 253_402_300_799_999_999;

/// What a text begins with that has a year from 1970 to 9999.
const YEARS: &str = "^(19[7-9][0-9]|[2-9][0-9]{3})-";

/// A moment in UTC: microseconds since 1970, up to the end of the year 9999.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest moment.
    pub const MIN: Self = Self(EARLIEST);
    /// The latest moment.
    pub const MAX: Self = Self(LATEST);

    /// Makes a moment of microseconds since 1970; what is out of range becomes the nearest moment.
    pub fn from_micros(micros: i64) -> Self {
        Self(micros.clamp(EARLIEST, LATEST))
    }

    /// Gives microseconds since 1970.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Gives the number of the hour since 1970 in which the moment lies.
    pub fn hour(self) -> u32 {
        u32::try_from(self.0 / MICROS_PER_HOUR).expect("hours up to the year 9999 fit in 32 bits")
    }

    /// Gives the beginning of an hour counted since 1970.
    pub fn from_hour(hour: u32) -> Self {
        Self::from_micros(i64::from(hour) * MICROS_PER_HOUR)
    }

    /// Gives the moment as chrono has it.
    pub fn to_chrono(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).expect("the range lies within chrono's")
    }

    /// Makes a moment of chrono's; what is out of range becomes the nearest moment.
    pub fn from_chrono(moment: DateTime<Utc>) -> Self {
        Self::from_micros(moment.timestamp_micros())
    }

    /// Gives the moment so many microseconds later (or earlier, when negative), within the range.
    #[must_use]
    pub fn plus_micros(self, micros: i64) -> Self {
        Self::from_micros(self.0.saturating_add(micros))
    }

    /// Gives midnight at the beginning of a date.
    pub fn midnight(date: NaiveDate) -> Self {
        Self::from_chrono(date.and_time(chrono::NaiveTime::MIN).and_utc())
    }
}

impl FromStr for Timestamp {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        if let Some(moment) = Self::usual(text.as_bytes()) {
            return Ok(moment);
        }
        let refused = || TextError::new("is not a time in RFC 3339, like 2026-01-31T12:00:00Z");
        let bytes = text.as_bytes();
        // RFC 3339 wants `T`, no comma and a zone; chrono is more lenient in places.
        if bytes.get(10).is_none_or(|byte| !matches!(byte, b'T' | b't')) || text.contains(',') {
            return Err(refused());
        }
        if bytes.get(17..19) == Some(b"60") {
            return Err(TextError::new("is a leap second, which is not counted here"));
        }
        let moment = DateTime::parse_from_rfc3339(text).map_err(|_| refused())?.with_timezone(&Utc);
        let micros = moment.timestamp_micros();
        if (EARLIEST..=LATEST).contains(&micros) {
            Ok(Self(micros))
        } else {
            Err(TextError::new("is out of range: must lie in the years 1970 to 9999"))
        }
    }
}

/// A moment as text: so many of the bytes.
struct MomentText([u8; 27], usize);

impl MomentText {
    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0[..self.1]).expect("digits and signs only")
    }
}

impl Timestamp {
    /// Writes the moment with no fraction, milliseconds or microseconds: the shortest that is exact.
    fn text(self) -> MomentText {
        let (day, micros) = (self.0.div_euclid(MICROS_PER_DAY), self.0.rem_euclid(MICROS_PER_DAY));
        let (year, month, date) = calendar::date_of(day);
        let second = micros / MICROS_PER_SECOND;
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        for (at, width, value) in [
            (0, 4, year),
            (5, 2, month),
            (8, 2, date),
            (11, 2, second / 3_600),
            (14, 2, second / 60 % 60),
            (17, 2, second % 60),
            (20, 6, micros % MICROS_PER_SECOND),
        ] {
            put_digits(&mut text[at..at + width], value);
        }
        let end = match &text[20..26] {
            b"000000" => 19,
            [_, _, _, b'0', b'0', b'0'] => 23,
            _ => 26,
        };
        text[end] = b'Z';
        MomentText(text, end + 1)
    }

    /// Reads the usual spelling, `2026-01-31T12:00:00Z` with up to six digits of a second; nothing for
    /// any other, right or wrong.
    fn usual(text: &[u8]) -> Option<Self> {
        let number = |range: std::ops::Range<usize>| {
            text.get(range)?.iter().try_fold(0_i64, |sum, byte| {
                byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0'))
            })
        };
        let signs = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
        if signs.iter().any(|(at, sign)| text.get(*at) != Some(sign)) {
            return None;
        }
        let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
        let fraction = match text.get(19..)? {
            b"Z" => 0,
            [b'.', digits @ .., b'Z'] if (1..=6).contains(&digits.len()) => {
                let scale = 10_i64.pow(6 - u32::try_from(digits.len()).ok()?);
                number(20..20 + digits.len())? * scale
            }
            _ => return None,
        };
        let year = number(0..4)?;
        if hour > 23 || minute > 59 || second > 59 || year < 1_970 {
            return None;
        }
        let day = calendar::day_of(year, number(5..7)?, number(8..10)?)?;
        let seconds = (hour * 60 + minute) * 60 + second;
        Some(Self(day * MICROS_PER_DAY + seconds * MICROS_PER_SECOND + fraction))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text().as_str())
    }
}

fn put_digits(place: &mut [u8], mut value: i64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text().as_str())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::deserialize_text(deserializer, "a time in RFC 3339")
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time", "pattern": YEARS})
    }
}

/// A calendar date, `YYYY-MM-DD`, in the years 1970 to 9999.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Date(NaiveDate);

impl Date {
    /// Gives the date as chrono has it.
    pub const fn to_chrono(self) -> NaiveDate {
        self.0
    }
}

impl FromStr for Date {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        let refused = || TextError::new("is not a date, like 2026-01-31");
        let bytes = text.as_bytes();
        let digits = |range: std::ops::Range<usize>| {
            bytes.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit))
        };
        if bytes.len() != 10 || !digits(0..4) || !digits(5..7) || !digits(8..10) {
            return Err(refused());
        }
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| refused())?;
        if (1970..=9999).contains(&date.year()) { Ok(Self(date)) } else { Err(refused()) }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::deserialize_text(deserializer, "a date")
    }
}

impl JsonSchema for Date {
    fn schema_name() -> Cow<'static, str> {
        "Date".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date", "pattern": YEARS})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_read_and_print() {
        for (text, printed) in [
            ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
            ("2026-01-31T12:00:00.5+02:00", "2026-01-31T10:00:00.500Z"),
            ("2026-01-31t12:00:00.123456789z", "2026-01-31T12:00:00.123456Z"),
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
        ] {
            let moment: Timestamp = text.parse().unwrap();
            assert_eq!(moment.to_string(), printed);
            assert_eq!(printed.parse::<Timestamp>().unwrap(), moment);
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "2026-01-31",
            "2026-01-31 12:00:00Z",
            "2026-02-30T00:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T12:00:00",
            "1969-12-31T23:59:59Z",
            "2026-06-30T23:59:60Z",
            "2026-01-31T12:00:00,5Z",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn dates_read_and_print() {
        assert_eq!("2026-02-28".parse::<Date>().unwrap().to_string(), "2026-02-28");
        for text in [
            "2026-02-29",
            "2026-2-28",
            "20260228",
            "+2026-02-28",
            "1969-12-31",
            "2026-02-28T00:00:00Z",
        ] {
            assert!(text.parse::<Date>().is_err(), "{text}");
        }
    }

    #[test]
    fn hours_are_counted_since_1970() {
        let moment: Timestamp = "1970-01-02T01:59:59Z".parse().unwrap();
        assert_eq!(moment.hour(), 25);
        assert_eq!(Timestamp::from_hour(25).to_string(), "1970-01-02T01:00:00Z");
    }
}
