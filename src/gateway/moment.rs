//! Moments and dates as dialects write them: a date alone, or ISO 8601 in the spellings that clients
//! have for it.

use std::borrow::Cow;

use chrono::NaiveDate;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use tallybook_events::time::{Date, MICROS_PER_SECOND, Timestamp};

/// A text that is neither a date nor a moment of the years 1970 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoMoment;

/// A date or a moment that is asked for.
#[derive(Debug)]
pub(crate) struct DateOrMoment;

impl JsonSchema for DateOrMoment {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "DateOrMoment".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "anyOf": [{"format": "date"}, {"format": "date-time"}],
            "pattern": "^(19[7-9][0-9]|[2-9][0-9]{3})-"
        })
    }
}

/// Reads `2026-01-31` (midnight in UTC), or ISO 8601 like `2026-01-31T12:00:00Z`: seconds, their
/// fraction and the zone may be missing; without a zone it is UTC.
pub(crate) fn moment(text: &str) -> Result<Timestamp, NoMoment> {
    if let Ok(date) = text.parse::<Date>() {
        return Ok(Timestamp::midnight(date.to_chrono()));
    }
    spelled_out(text).ok_or(NoMoment)?.parse().map_err(|_| NoMoment)
}

/// Reads the same as a date: that of the moment in UTC.
pub(crate) fn date(text: &str) -> Result<Date, NoMoment> {
    let date: NaiveDate = moment(text)?.to_chrono().date_naive();
    date.to_string().parse().map_err(|_| NoMoment)
}

/// Gives the moment without the fraction of its second.
pub(crate) fn whole_seconds(moment: Timestamp) -> Timestamp {
    Timestamp::from_micros(moment.micros() - moment.micros() % MICROS_PER_SECOND)
}

/// Spells a moment of ISO 8601 as RFC 3339 has it.
fn spelled_out(text: &str) -> Option<String> {
    let (date, rest) = (text.get(..10)?, text.get(10..)?);
    let time_and_zone = rest.strip_prefix(['T', 't', ' '])?;
    let zone_at = time_and_zone.find(['Z', 'z', '+', '-']).unwrap_or(time_and_zone.len());
    let (time, zone) = time_and_zone.split_at(zone_at);
    let seconds = if time.len() == 5 { ":00" } else { "" };
    let zone = match (zone.as_bytes(), zone.len()) {
        ([] | [b'z'], _) => "Z".to_owned(),
        ([b'+' | b'-', ..], 3) => format!("{zone}:00"),
        ([b'+' | b'-', ..], 5) => format!("{}:{}", zone.get(..3)?, zone.get(3..)?),
        _ => zone.to_owned(),
    };
    Some(format!("{date}T{time}{seconds}{zone}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_and_iso_8601_are_moments() {
        for (text, expected) in [
            ("2026-01-31", "2026-01-31T00:00:00Z"),
            ("2026-01-31T12:30:15Z", "2026-01-31T12:30:15Z"),
            ("2026-01-31t12:30:15z", "2026-01-31T12:30:15Z"),
            ("2026-01-31 12:30:15", "2026-01-31T12:30:15Z"),
            ("2026-01-31T12:30", "2026-01-31T12:30:00Z"),
            ("2026-01-31T12:30:15.250", "2026-01-31T12:30:15.250Z"),
            ("2026-01-31T00:30:00+02:00", "2026-01-30T22:30:00Z"),
            ("2026-01-31T00:30:00+0200", "2026-01-30T22:30:00Z"),
            ("2026-01-31T00:30-02", "2026-01-31T02:30:00Z"),
            ("9999-12-31", "9999-12-31T00:00:00Z"),
        ] {
            assert_eq!(
                moment(text).map(|moment| moment.to_string()),
                Ok(expected.into()),
                "{text}"
            );
        }
        assert_eq!(date("2026-01-31T00:30:00+02:00").unwrap().to_string(), "2026-01-30");
        assert_eq!(date("2026-01-31").unwrap().to_string(), "2026-01-31");
    }

    #[test]
    fn other_texts_are_not() {
        for text in [
            "",
            "2026",
            "2026-02-30",
            "2026-1-1",
            "1969-12-31",
            "31.01.2026",
            "2026-01-31T",
            "2026-01-31T25:00:00Z",
            "2026-01-31T12:00:00+",
            "2026-01-31T12:00:00+2",
            "2026-01-31T12:00:00Zulu",
            "2026-01-31X12:00:00Z",
            "1767225600",
            "2026-01-3\u{e9}T12:00:00Z",
        ] {
            assert_eq!(moment(text), Err(NoMoment), "{text}");
        }
    }

    #[test]
    fn a_second_has_no_fraction() {
        let moment: Timestamp = "2026-01-31T12:30:15.999999Z".parse().unwrap();
        assert_eq!(whole_seconds(moment).to_string(), "2026-01-31T12:30:15Z");
    }
}
