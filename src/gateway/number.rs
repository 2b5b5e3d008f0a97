//! Amounts as numbers of JSON, for dialects that have them so: printed by their shortest exact text,
//! never through a float, and read from theirs.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use tallybook_events::money::{Amount, MAX_SCALE, Total};

/// A decimal that prints as a number of JSON: `45.67`, `1000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Number(Total);

impl From<Amount> for Number {
    fn from(amount: Amount) -> Self {
        Self(amount.into())
    }
}

impl From<Total> for Number {
    fn from(total: Total) -> Self {
        Self(total)
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = RawValue::from_string(self.0.to_string()).map_err(serde::ser::Error::custom)?;
        text.serialize(serializer)
    }
}

impl JsonSchema for Number {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Number".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "number"})
    }
}

/// An amount that is asked for as a number: any from 0 up to, but without, 10^12.
#[derive(Debug)]
pub(crate) struct AskedNumber;

impl JsonSchema for AskedNumber {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "AskedNumber".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "number", "minimum": 0, "exclusiveMaximum": 1_000_000_000_000_i64})
    }
}

/// Why a number is no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoAmount {
    /// It is below 0.
    Negative,
    /// It is 10^12 or more.
    TooLarge,
}

/// Reads the text of a JSON number as an amount. A dialect that speaks of doubles takes every double:
/// what has more than 12 digits after the point is rounded there, half to even.
pub(crate) fn amount(text: &str) -> Result<Amount, NoAmount> {
    if let Ok(amount) = text.parse() {
        return Ok(amount);
    }
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    if negative {
        // A minus before nothing says nothing.
        let mut mantissa = digits.bytes().take_while(|byte| !b"eE".contains(byte));
        let nothing = mantissa.all(|byte| b"0.".contains(&byte));
        return if nothing { Ok(Amount::ZERO) } else { Err(NoAmount::Negative) };
    }
    trillionths(digits).and_then(Amount::from_trillionths).ok_or(NoAmount::TooLarge)
}

/// Gives the number in units of 10^-12, rounded half to even; nothing when it is far too large.
fn trillionths(text: &str) -> Option<i128> {
    /// More digits than an amount has in all.
    const MAX_DIGITS: i64 = 30;
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|byte| byte - b'0').collect();
    let leading = digits.iter().take_while(|digit| **digit == 0).count();
    if leading == digits.len() {
        return Some(0);
    }
    // An exponent that no number holds makes the number either nothing or far too large.
    let exponent = exponent.parse::<i64>().unwrap_or(if exponent.starts_with('-') {
        i64::MIN / 2
    } else {
        i64::MAX / 2
    });
    let kept = i64::try_from(whole.len()).ok()? + exponent + i64::from(MAX_SCALE);
    if kept - i64::try_from(leading).ok()? > MAX_DIGITS {
        return None;
    }
    let Ok(kept) = usize::try_from(kept) else { return Some(0) };
    let digit = |at: usize| i128::from(digits.get(at).copied().unwrap_or(0));
    let units = (leading..kept).fold(0, |units, at| units * 10 + digit(at));
    let rest = digits.get(kept + 1..).unwrap_or_default();
    let half = digit(kept) == 5 && rest.iter().all(|digit| *digit == 0);
    let up = if half { units % 2 == 1 } else { digit(kept) >= 5 };
    Some(units + i128::from(up))
}

/// Reads the text of a JSON number that is a whole number, however it is spelled; nothing for others.
pub(crate) fn whole_number(text: &str) -> Option<u64> {
    /// No number of fewer digits needs more zeros.
    const MAX_SHIFT: usize = 20;
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (digits, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{digits}{fraction}");
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    let shift = exponent.parse::<i64>().ok()? - i64::try_from(fraction.len()).ok()?;
    let places = usize::try_from(shift.unsigned_abs()).ok()?;
    let whole = if shift < 0 {
        let zeros = significant.len() - significant.trim_end_matches('0').len();
        significant.get(..significant.len() - places.min(zeros)).filter(|_| places <= zeros)?.into()
    } else if places <= MAX_SHIFT {
        format!("{significant}{}", "0".repeat(places))
    } else {
        return None;
    };
    whole.parse().ok().filter(|_| !negative)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, NoAmount> {
        amount(text).map(|amount| serde_json::to_string(&Number::from(amount)).unwrap())
    }

    #[test]
    fn an_amount_is_a_number_by_its_shortest_exact_text() {
        for (asked, printed) in [
            ("0", "0"),
            ("1000", "1000"),
            ("1000.00", "1000"),
            ("45.67", "45.67"),
            ("1e2", "100"),
            ("999999999999.999999999999", "999999999999.999999999999"),
            ("0.000000000001", "0.000000000001"),
        ] {
            assert_eq!(read(asked).as_deref(), Ok(printed), "{asked}");
        }
        let below = Total::ZERO.minus("0.5".parse().unwrap()).unwrap();
        assert_eq!(serde_json::to_string(&Number::from(below)).unwrap(), "-0.5");
    }

    #[test]
    fn every_double_is_taken_and_rounded_at_twelve_digits() {
        for (asked, printed) in [
            ("0.30000000000000004", "0.3"),
            ("0.1000000000005", "0.1"),
            ("0.1000000000015", "0.100000000002"),
            ("0.10000000000050000001", "0.100000000001"),
            ("5e-13", "0"),
            ("5.1e-13", "0.000000000001"),
            ("15e-13", "0.000000000002"),
            ("9.9e-13", "0.000000000001"),
            ("4.9e-13", "0"),
            ("5e-324", "0"),
            ("1e-99999999999999999999", "0"),
            ("0e99999999999999999999", "0"),
            ("00e5", "0"),
            ("123456.7890123456789e3", "123456789.012345678900"),
            ("1.7976931348623157e11", "179769313486.23157"),
            ("0.000000000000000000000000000000000000000000000000012345e50", "1.2345"),
            ("-0", "0"),
            ("-0.0e-1", "0"),
        ] {
            let printed = printed.parse::<Amount>().unwrap().to_string();
            assert_eq!(read(asked), Ok(printed), "{asked}");
        }
    }

    #[test]
    fn what_is_below_nothing_or_too_large_is_told_apart() {
        for (asked, why) in [
            ("-1", NoAmount::Negative),
            ("-5e-324", NoAmount::Negative),
            ("-1e400", NoAmount::Negative),
            ("1e12", NoAmount::TooLarge),
            ("999999999999.9999999999999", NoAmount::TooLarge),
            ("1.7976931348623157e308", NoAmount::TooLarge),
            ("1e99999999999999999999", NoAmount::TooLarge),
        ] {
            assert_eq!(read(asked), Err(why), "{asked}");
        }
    }
}
