//! Amounts of money and quantities: exact decimals, read from the text of a JSON number or string,
//! never through a float.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use rust_decimal::{Decimal, RoundingStrategy};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::value::RawValue;

use crate::decimal::{MAX_TEXT, parse_decimal};
use crate::text::TextError;

/// Most digits after the point. Sums of amounts in this range stay exact.
pub const MAX_SCALE: u32 = 12;
/// An amount is below this: 10^12.
const LIMIT: Decimal = Decimal::from_parts(0xD4A5_1000, 0xE8, 0, false, 0);
/// 10 to the power of the place, up to [`MAX_SCALE`].
const POWERS_OF_TEN: [i128; MAX_SCALE as usize + 1] = {
    let mut powers = [1; MAX_SCALE as usize + 1];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// Money in USD, or a quantity: 0 or more, below 10^12, at most 12 digits after the point.
///
/// In JSON a string (`"12.50"` reads and prints as `"12.5"`); a number is read from its text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Amount(Decimal);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(Decimal::ZERO);

    /// Checks a decimal.
    ///
    /// # Errors
    /// When it is negative, 10^12 or more, or has more than 12 digits after the point.
    pub fn new(decimal: Decimal) -> Result<Self, TextError> {
        let decimal = decimal.normalize();
        if decimal.is_sign_negative() {
            return Err(TextError::new("must not be negative"));
        }
        if decimal >= LIMIT {
            return Err(TextError::new("is out of range: must be below 1000000000000"));
        }
        if decimal.scale() > MAX_SCALE {
            return Err(TextError::new(
                "is out of range: must have at most 12 digits after the point",
            ));
        }
        Ok(Self(decimal))
    }

    /// Gives the decimal.
    pub const fn decimal(self) -> Decimal {
        self.0
    }

    /// Gives the amount in units of 10^-12, the smallest there is: sums of them are plain integers.
    pub const fn trillionths(self) -> i128 {
        self.0.mantissa() * POWERS_OF_TEN[(MAX_SCALE - self.0.scale()) as usize]
    }

    /// Makes an amount of units of 10^-12; nothing when that is out of range.
    #[must_use]
    pub fn from_trillionths(units: i128) -> Option<Self> {
        Self::new(Decimal::try_from_i128_with_scale(units, MAX_SCALE).ok()?).ok()
    }

    /// Gives the amount with a markup in per cent on top, rounded half to even at 12 digits;
    /// nothing when that is out of range.
    #[must_use]
    pub fn marked_up(self, percentage: Self) -> Option<Self> {
        if percentage.0.is_zero() {
            return Some(self);
        }
        let factor = Decimal::ONE.checked_add(percentage.0.checked_div(Decimal::ONE_HUNDRED)?)?;
        let product = self.0.checked_mul(factor)?;
        let rounded =
            product.round_dp_with_strategy(MAX_SCALE, RoundingStrategy::MidpointNearestEven);
        Self::new(rounded).ok()
    }
}

impl From<u32> for Amount {
    fn from(value: u32) -> Self {
        Self(Decimal::from(value))
    }
}

impl FromStr for Amount {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        parse_decimal(text).and_then(Self::new)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(DecimalText::of(self.0).as_str())
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_decimal(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let decimal = deserialize_decimal(deserializer)?;
        Self::new(decimal).map_err(de::Error::custom)
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        if generator.contract().is_serialize() {
            return json_schema!({
                "description": "A decimal, 0 or more, below 10^12, at most 12 digits after the point",
                "type": "string",
                "pattern": "^[0-9]+(\\.[0-9]+)?$"
            });
        }
        json_schema!({
            "description": "A decimal, 0 or more, below 10^12, at most 12 digits after the point",
            "anyOf": [
                {"type": "string", "pattern": "^0*[0-9]{1,12}(\\.[0-9]{1,12}0{0,16})?$", "maxLength": MAX_TEXT},
                {"type": "number", "minimum": 0, "exclusiveMaximum": 1_000_000_000_000_i64}
            ]
        })
    }
}

/// A sum of amounts, or a difference: exact, may be negative. In JSON a string.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Total(Decimal);

impl Total {
    /// Nothing.
    pub const ZERO: Self = Self(Decimal::ZERO);

    /// Gives the decimal.
    pub const fn decimal(self) -> Decimal {
        self.0
    }

    /// Gives the total in units of 10^-12; what is smaller is left out.
    pub fn trillionths(self) -> i128 {
        let decimal = self.0.trunc_with_scale(MAX_SCALE);
        decimal.mantissa() * POWERS_OF_TEN[(MAX_SCALE - decimal.scale()) as usize]
    }

    /// Makes a total of units of 10^-12; nothing when that has more than 28 digits.
    #[must_use]
    pub fn from_trillionths(units: i128) -> Option<Self> {
        Some(Self(Decimal::try_from_i128_with_scale(units, MAX_SCALE).ok()?.normalize()))
    }

    /// Adds an amount; nothing when the sum has no exact decimal any more.
    #[must_use]
    pub fn plus(self, amount: Amount) -> Option<Self> {
        exact_sum(self.0, amount.0).map(Self)
    }

    /// Takes an amount away; nothing when the difference has no exact decimal any more.
    #[must_use]
    pub fn minus(self, amount: Amount) -> Option<Self> {
        exact_sum(self.0, -amount.0).map(Self)
    }

    /// Takes another total away; nothing when the difference has no exact decimal any more.
    #[must_use]
    pub fn less(self, other: Self) -> Option<Self> {
        exact_sum(self.0, -other.0).map(Self)
    }

    /// Gives a hundred times as much: dollars in cents. What has no exact decimal then, a sum of more
    /// than 26 digits, is rounded.
    #[must_use]
    pub fn hundredfold(self) -> Self {
        // Moving the point is exact; only where there are too few digits behind it are some added.
        let Self(decimal) = self;
        let scale = decimal.scale();
        if scale >= 2 {
            let mut shifted = decimal;
            shifted.set_scale(scale - 2).expect("a smaller scale is one");
            return Self(shifted.normalize());
        }
        Self(decimal.saturating_mul(Decimal::ONE_HUNDRED).normalize())
    }

    /// Adds another total; nothing when the sum has no exact decimal any more.
    #[must_use]
    pub fn and(self, other: Self) -> Option<Self> {
        exact_sum(self.0, other.0).map(Self)
    }
}

impl From<Amount> for Total {
    fn from(amount: Amount) -> Self {
        Self(amount.0)
    }
}

impl FromStr for Total {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let decimal = parse_decimal(digits)?.normalize();
        Ok(Self(if negative { -decimal } else { decimal }))
    }
}

impl fmt::Display for Total {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(DecimalText::of(self.0).as_str())
    }
}

impl fmt::Debug for Total {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for Total {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_decimal(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Total {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::deserialize_text(deserializer, "a decimal as a string")
    }
}

impl JsonSchema for Total {
    fn schema_name() -> Cow<'static, str> {
        "Total".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^-?[0-9]+(\\.[0-9]+)?$"})
    }
}

/// Adds without rounding. `Decimal` would round a sum of more than 28 digits: caught by taking back.
fn exact_sum(a: Decimal, b: Decimal) -> Option<Decimal> {
    let sum = a.checked_add(b)?;
    if sum.scale() >= a.scale().max(b.scale()) || sum.is_zero() {
        return Some(sum.normalize());
    }
    let exact = sum.checked_sub(b)? == a && sum.checked_sub(a)? == b;
    exact.then(|| sum.normalize())
}

/// A decimal as text: the last of the bytes, from the index on.
struct DecimalText([u8; DECIMAL_TEXT], usize);

/// Longest text of a decimal: a sign, 29 digits, a point.
const DECIMAL_TEXT: usize = 32;

impl DecimalText {
    fn of(decimal: Decimal) -> Self {
        let mut text = [b'0'; DECIMAL_TEXT];
        let scale = usize::try_from(decimal.scale()).unwrap_or(0);
        let mut at = DECIMAL_TEXT;
        let mut digits = 0;
        let mut put = |byte: u8| {
            at -= 1;
            if let Some(place) = text.get_mut(at) {
                *place = byte;
            }
        };
        let mut rest = decimal.mantissa().unsigned_abs();
        // Most fit in 64 bits, where dividing is fast.
        while rest > 0 || digits <= scale {
            if digits == scale && scale > 0 {
                put(b'.');
            }
            let digit = if let Ok(small) = u64::try_from(rest) {
                rest = u128::from(small / 10);
                small % 10
            } else {
                let digit = rest % 10;
                rest /= 10;
                u64::try_from(digit).unwrap_or(0)
            };
            put(b'0' + u8::try_from(digit).unwrap_or(0));
            digits += 1;
        }
        if decimal.mantissa() < 0 {
            put(b'-');
        }
        Self(text, at)
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0[self.1..]).expect("digits and signs only")
    }
}

fn serialize_decimal<S: Serializer>(decimal: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(DecimalText::of(*decimal).as_str())
}

fn deserialize_decimal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?.get();
    match raw.as_bytes().first() {
        Some(b'"') if !raw.contains('\\') => {
            parse_decimal(&raw[1..raw.len() - 1]).map_err(de::Error::custom)
        }
        Some(b'"') => {
            let text: Cow<'_, str> = serde_json::from_str(raw).map_err(de::Error::custom)?;
            parse_decimal(&text).map_err(de::Error::custom)
        }
        Some(b'0'..=b'9' | b'-') => parse_decimal(raw).map_err(de::Error::custom),
        Some(b'n') => Err(de::Error::custom("invalid type: null, expected a decimal number")),
        _ => Err(de::Error::custom("expected a decimal, as a number or a string")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decimal::usual_decimal;

    fn read(json: &str) -> Result<String, String> {
        serde_json::from_str::<Amount>(json).map(|a| a.to_string()).map_err(|e| e.to_string())
    }

    #[test]
    fn numbers_are_read_from_their_text() {
        for (json, text) in [
            ("0", "0"),
            ("12.50", "12.5"),
            ("\"12.50\"", "12.5"),
            ("0.1", "0.1"),
            ("1e3", "1000"),
            ("\"0000000000882823745411.87119755265800000\"", "882823745411.871197552658"),
            ("\"000000000000000000000000000000000000000000000000000000000001\"", "1"),
            ("1.5E-3", "0.0015"),
            ("100e-2", "1"),
            ("999999999999.999999999999", "999999999999.999999999999"),
            ("0.30000000000000004e0", "out"),
            ("0e999", "0"),
        ] {
            let got = read(json);
            if text == "out" {
                assert!(got.unwrap_err().contains("out of range"), "{json}");
            } else {
                assert_eq!(got.as_deref(), Ok(text), "{json}");
            }
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for json in [
            "-0",
            "-1",
            "1e999",
            "1e-999",
            "1e12",
            "1000000000000",
            "\"\"",
            "\"1,5\"",
            "\" 1\"",
            "\"+1\"",
            "\"1.\"",
            "\".5\"",
            "\"NaN\"",
            "\"0x10\"",
            "\"1_000\"",
            "null",
            "true",
            "[]",
            "{}",
            "1234567890123456789012345678901234567890",
            "0.1234567890123456789012345678901234567890",
            "0.0000000000001",
        ] {
            assert!(read(json).is_err(), "{json} gave {:?}", read(json));
        }
    }

    #[test]
    fn a_markup_is_exact_or_rounded_half_to_even() {
        let amount = |text: &str| text.parse::<Amount>().unwrap();
        assert_eq!(amount("45.67").marked_up(amount("20")), Some(amount("54.804")));
        assert_eq!(amount("1").marked_up(Amount::ZERO), Some(amount("1")));
        assert_eq!(
            amount("0.000000000001").marked_up(amount("50")),
            Some(amount("0.000000000002"))
        );
        assert_eq!(amount("999999999999").marked_up(amount("100")), None);
    }

    #[test]
    fn sums_are_exact_or_nothing() {
        let small: Amount = "0.000000000001".parse().unwrap();
        let mut total = Total::ZERO;
        for _ in 0..1000 {
            total = total.plus("999999999999.999999999999".parse().unwrap()).unwrap();
        }
        assert_eq!(total.to_string(), "999999999999999.999999999");
        assert_eq!(total.plus(small).unwrap().minus(small), Some(total));
        let huge: Total = "79228162514264337593543950335".parse().unwrap();
        assert_eq!(huge.plus(small), None);
        assert_eq!(Total::ZERO.minus(small).unwrap().to_string(), "-0.000000000001");
    }

    #[test]
    fn an_amount_is_a_whole_number_of_trillionths() {
        for (text, units) in [
            ("0", 0),
            ("1", 1_000_000_000_000),
            ("0.25", 250_000_000_000),
            ("0.000000000001", 1),
            ("999999999999.999999999999", 999_999_999_999_999_999_999_999),
        ] {
            let amount: Amount = text.parse().unwrap();
            assert_eq!(amount.trillionths(), units, "{text}");
            assert_eq!(Amount::from_trillionths(units), Some(amount));
            assert_eq!(Total::from_trillionths(units), Some(amount.into()));
        }
        assert_eq!(Amount::from_trillionths(-1), None);
        assert_eq!(Amount::from_trillionths(10_i128.pow(24)), None);
        assert_eq!(Total::from_trillionths(-1).unwrap().to_string(), "-0.000000000001");
        assert_eq!(Total::from_trillionths(10_i128.pow(29)), None);
    }

    #[test]
    fn it_prints_as_the_decimal_library_does() {
        for text in [
            "0",
            "1",
            "10",
            "0.1",
            "0.01",
            "0.000000000001",
            "999999999999.999999999999",
            "12.5",
            "100.05",
            "18446744073709551615",
            "18446744073709551616",
            "79228162514264337593543950335",
            "7.9228162514264337593543950335",
            "0.9999999999999999999999999999",
        ] {
            let decimal: Decimal = text.parse().unwrap();
            assert_eq!(DecimalText::of(decimal).as_str(), decimal.to_string(), "{text}");
            if decimal != Decimal::ZERO {
                assert_eq!(DecimalText::of(-decimal).as_str(), format!("-{text}"));
            }
        }
        assert_eq!(DecimalText::of(-Decimal::ZERO).as_str(), "0");
    }

    #[test]
    fn the_usual_text_is_read_as_any_other() {
        for text in ["0", "7", "12.50", "0.001", "123456789012345678", "1.23456789012345678"] {
            assert_eq!(usual_decimal(text.as_bytes()), Some(text.parse().unwrap()), "{text}");
        }
        for text in ["", ".", "1.", ".5", "-1", "1e3", "1.2.3", "1234567890123456789", "1 ", "٣"] {
            assert_eq!(usual_decimal(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn it_prints_as_a_string() {
        assert_eq!(serde_json::to_string(&Amount::from(7)).unwrap(), "\"7\"");
    }

    #[test]
    fn dollars_are_a_hundred_times_as_many_cents() {
        for (dollars, cents) in [
            ("0", "0"),
            ("1", "100"),
            ("0.5", "50"),
            ("12.34", "1234"),
            ("-0.001", "-0.1"),
            ("999999999999.999999999999", "99999999999999.9999999999"),
            ("9999999999999999.999999999999", "999999999999999999.9999999999"),
        ] {
            let total: Total = dollars.parse().unwrap();
            assert_eq!(total.hundredfold().to_string(), cents);
        }
    }
}
