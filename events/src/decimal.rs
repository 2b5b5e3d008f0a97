//! What a decimal number's text says, exactly: never through a float.

use rust_decimal::Decimal;

use crate::text::TextError;

/// Longest text of a number that is read at all.
pub(crate) const MAX_TEXT: usize = 64;

/// Reads a JSON number's text (or the same in a string): no sign but in the exponent.
pub(crate) fn parse_decimal(text: &str) -> Result<Decimal, TextError> {
    if let Some(decimal) = usual_decimal(text.as_bytes()) {
        return Ok(decimal);
    }
    if text.len() > MAX_TEXT {
        return Err(TextError::new("is out of range: too many digits"));
    }
    if text.starts_with('-') {
        return Err(TextError::new("must not be negative"));
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        None => (text, 0),
        Some((mantissa, exponent)) => {
            let digits = exponent.trim_start_matches(['+', '-']);
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(TextError::new("is not a decimal number"));
            }
            let exponent: i32 = exponent.parse().map_err(|_| TextError::new("is out of range"))?;
            (mantissa, exponent)
        }
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return Err(TextError::new("is not a decimal number"));
    }
    let out_of_range = || TextError::new("is out of range: more digits than can be kept exactly");
    // Zeros at either end say nothing, and would count as digits.
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let point = if fraction.is_empty() { "" } else { "." };
    let exact = Decimal::from_str_exact(&format!("0{whole}{point}{fraction}"));
    let decimal = exact.map_err(|_| out_of_range())?;
    shift(decimal.normalize(), exponent).ok_or_else(out_of_range)
}

/// Reads up to 18 digits with at most one point among them; nothing for any other text, right or wrong.
pub(crate) fn usual_decimal(text: &[u8]) -> Option<Decimal> {
    let (mut mantissa, mut point) = (0_i64, None);
    if text.len() > 19 || !text.first()?.is_ascii_digit() || !text.last()?.is_ascii_digit() {
        return None;
    }
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'0'..=b'9' if at < 18 || point.is_some() => {
                mantissa = mantissa * 10 + i64::from(byte - b'0');
            }
            b'.' if point.is_none() => point = Some(at),
            _ => return None,
        }
    }
    let scale = point.map_or(0, |at| text.len() - at - 1);
    Some(Decimal::new(mantissa, u32::try_from(scale).ok()?))
}

/// Multiplies by a power of ten, exactly.
fn shift(decimal: Decimal, exponent: i32) -> Option<Decimal> {
    if decimal.is_zero() || exponent == 0 {
        return Some(decimal);
    }
    let scale = i64::from(decimal.scale()) - i64::from(exponent);
    let (mantissa, scale) = if let Ok(scale) = u32::try_from(scale) {
        (decimal.mantissa(), scale)
    } else {
        let zeros = u32::try_from(-scale).ok()?;
        (decimal.mantissa().checked_mul(10_i128.checked_pow(zeros)?)?, 0)
    };
    Decimal::try_from_i128_with_scale(mantissa, scale).ok()
}
