//! Spans of time on the command line: `90s`, `15m`, `24h`, `7d`, or `0`.

use std::str::FromStr;
use std::time::Duration;

/// Longest span, in seconds: ten years.
const MAX_SECONDS: u64 = 10 * 365 * 86_400;

/// A span of time: a whole number and its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

/// A text that is no span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number with s, m, h or d, like 24h, of ten years at most; or 0")]
pub(super) struct NoSpan;

impl FromStr for Span {
    type Err = NoSpan;
    fn from_str(text: &str) -> Result<Self, NoSpan> {
        let number_ends = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(number_ends);
        let number: u64 = number.parse().map_err(|_| NoSpan)?;
        let seconds = match unit {
            "" if number == 0 => 0,
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return Err(NoSpan),
        };
        let seconds = number.checked_mul(seconds).filter(|seconds| *seconds <= MAX_SECONDS);
        seconds.map(|seconds| Self(Duration::from_secs(seconds))).ok_or(NoSpan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_number_and_a_unit() {
        for (text, seconds) in [
            ("0", 0),
            ("0s", 0),
            ("90s", 90),
            ("15m", 900),
            ("24h", 86_400),
            ("3650d", MAX_SECONDS),
        ] {
            assert_eq!(text.parse(), Ok(Span(Duration::from_secs(seconds))), "{text}");
        }
        let huge = format!("{}d", u64::MAX);
        for text in ["", "h", "24", "24 h", "-1h", "1.5h", "1w", "3651d", "24H", &huge] {
            assert_eq!(text.parse::<Span>(), Err(NoSpan), "{text}");
        }
    }
}
