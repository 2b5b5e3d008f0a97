//! Numbers as Proxy has them: amounts in cents, minutes and days; and moments with milliseconds.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use tallybook_events::money::{Amount, Total};
use tallybook_events::time::Timestamp;

use crate::gateway::number::{Number, whole_number};

/// Trillionths of a dollar in a cent.
const TRILLIONTHS_PER_CENT: i128 = 10_i128.pow(10);
/// Most cents: amounts are below 10^12 dollars.
const MAX_CENTS: u64 = 10_u64.pow(14) - 1;
/// Most minutes or days: the greatest whole number up to which a double has all of them.
const MAX_WHOLE: u64 = (1 << 53) - 1;

/// A whole number that is asked for: minutes, days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Whole(pub(super) u64);

/// An amount that is asked for, in whole cents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cents(pub(super) Amount);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        whole(deserializer, MAX_WHOLE).map(Self)
    }
}

impl<'de> Deserialize<'de> for Cents {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let cents = whole(deserializer, MAX_CENTS)?;
        let amount = Amount::from_trillionths(i128::from(cents) * TRILLIONTHS_PER_CENT);
        Ok(Self(amount.expect("as many cents are an amount")))
    }
}

fn whole<'de, D: Deserializer<'de>>(deserializer: D, most: u64) -> Result<u64, D::Error> {
    let text = <&RawValue>::deserialize(deserializer)?.get();
    if text == "null" {
        return Err(D::Error::custom("may not be null"));
    }
    let number = text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    match number.then(|| whole_number(text)).flatten() {
        Some(number) if number <= most => Ok(number),
        _ => Err(D::Error::custom(format!("must be a whole number from 0 to {most}"))),
    }
}

macro_rules! whole_schema {
    ($name:ident, $spelled:literal, $most:expr) => {
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                $spelled.into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "integer", "minimum": 0, "maximum": $most})
            }
        }
    };
}
whole_schema!(Whole, "Whole", MAX_WHOLE);
whole_schema!(Cents, "Cents", MAX_CENTS);

/// Gives an amount in cents; what it has of a cent, too.
pub(super) fn cents(amount: Amount) -> Number {
    total_cents(amount.into())
}

/// Gives a sum of amounts in cents.
pub(super) fn total_cents(total: Total) -> Number {
    total.hundredfold().into()
}

/// A moment with milliseconds: `2026-03-15T12:00:00.000Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Millis(pub(super) Timestamp);

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.to_chrono().format("%Y-%m-%dT%H:%M:%S%.3fZ"))
    }
}

impl JsonSchema for Millis {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Millis".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "date-time",
            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        let read: Cents = serde_json::from_str(text).ok()?;
        Some(read.0.to_string())
    }

    #[test]
    fn whole_cents_are_exact_dollars_however_they_are_spelled() {
        for (asked, dollars) in [
            ("0", "0"),
            ("-0", "0"),
            ("0.0e99999", "0"),
            ("1", "0.01"),
            ("123", "1.23"),
            ("123.000", "1.23"),
            ("1.23e2", "1.23"),
            ("12300e-2", "1.23"),
            ("100", "1"),
            ("99999999999999", "999999999999.99"),
            ("1E+13", "100000000000"),
        ] {
            assert_eq!(read(asked).as_deref(), Some(dollars), "{asked}");
        }
    }

    #[test]
    fn what_is_no_whole_number_of_cents_is_refused() {
        for asked in [
            "0.5",
            "1.5e0",
            "1e-1",
            "12301e-2",
            "-1",
            "100000000000000",
            "1e14",
            "1e400",
            "1e-400",
            "1e99999999999999999999",
            "1e-99999999999999999999",
            "\"100\"",
            "null",
            "true",
            "[]",
        ] {
            assert_eq!(read(asked), None, "{asked}");
        }
    }

    #[test]
    fn dollars_are_exact_cents() {
        for (dollars, shown) in [
            ("0", "0"),
            ("0.01", "1"),
            ("12.5", "1250"),
            ("0.005", "0.5"),
            ("999999999999.999999999999", "99999999999999.9999999999"),
        ] {
            let amount: Amount = dollars.parse().unwrap();
            assert_eq!(serde_json::to_string(&cents(amount)).unwrap(), shown);
        }
    }

    #[test]
    fn moments_have_milliseconds() {
        for (moment, shown) in [
            ("2026-03-15T12:00:00Z", "2026-03-15T12:00:00.000Z"),
            ("2026-03-15T12:00:00.123999Z", "2026-03-15T12:00:00.123Z"),
        ] {
            let shown_now = serde_json::to_value(Millis(moment.parse().unwrap())).unwrap();
            assert_eq!(shown_now, shown);
        }
    }
}
