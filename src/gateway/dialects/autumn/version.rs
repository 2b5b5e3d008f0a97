//! The header `x-api-version`: which version of the vendor's API a client speaks.
//!
//! A version is `2.1`, `2.1.0` or `2` (what is missing is 0), or the date of its release, maybe with
//! `.clover` behind it. Every well-formed one is taken; the shape of an answer follows from it.

use http::HeaderMap;
use tallybook_events::time::Date;

/// Name of the header.
pub(super) const X_API_VERSION: &str = "x-api-version";

/// Releases by date, the newest first: one that is asked for by another date is the last one before it.
const RELEASES: [(&str, ApiVersion); 8] = [
    ("2026-05-13", ApiVersion(2, 3)),
    ("2026-03-18", ApiVersion(2, 2)),
    ("2026-03-17", ApiVersion(2, 1)),
    ("2026-03-16", ApiVersion(2, 0)),
    ("2025-05-05", ApiVersion(1, 2)),
    ("2025-04-17", ApiVersion(1, 1)),
    ("2025-04-01", ApiVersion(0, 2)),
    ("2025-02-01", ApiVersion(0, 1)),
];
/// Longest header that is looked at.
const MAX_TEXT: usize = 32;

/// A version of the vendor's API, by its first two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ApiVersion(u32, u32);

impl ApiVersion {
    /// The version of a client that does not say one; the oldest whose shape of a customer we have.
    pub(super) const DEFAULT: Self = Self(2, 1);
    /// From here on billing controls say where they come from, and lists have cursors.
    pub(super) const CURSORS: Self = Self(2, 3);

    /// Reads the header of a request; the text of the header when it is no version.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, String> {
        let Some(value) = headers.get(X_API_VERSION) else { return Ok(Self::DEFAULT) };
        let text = String::from_utf8_lossy(value.as_bytes());
        // An empty header counts as none.
        if text.is_empty() {
            return Ok(Self::DEFAULT);
        }
        Self::read(&text).ok_or_else(|| text.into_owned())
    }

    fn read(text: &str) -> Option<Self> {
        if text.len() > MAX_TEXT {
            return None;
        }
        let date = text.strip_suffix(".clover").unwrap_or(text);
        if date.parse::<Date>().is_ok() {
            // Dates in this form have the order of their texts.
            return RELEASES.iter().find(|(from, _)| *from <= date).map(|(_, version)| *version);
        }
        let mut numbers = text.split('.').map(number);
        let (major, minor) = (numbers.next()??, numbers.next().unwrap_or(Some(0))?);
        numbers.all(|number| number.is_some()).then_some(Self(major, minor))
    }
}

fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ApiVersion, String> {
        let mut headers = HeaderMap::new();
        headers.insert(X_API_VERSION, text.parse().unwrap());
        ApiVersion::of(&headers)
    }

    #[test]
    fn versions_are_numbers_or_dates() {
        assert_eq!(ApiVersion::of(&HeaderMap::new()), Ok(ApiVersion(2, 1)));
        for (text, expected) in [
            ("", ApiVersion(2, 1)),
            ("2.1", ApiVersion(2, 1)),
            ("2.1.0", ApiVersion(2, 1)),
            ("2", ApiVersion(2, 0)),
            ("2.4.0", ApiVersion(2, 4)),
            ("2.10", ApiVersion(2, 10)),
            ("3.0", ApiVersion(3, 0)),
            ("0.2", ApiVersion(0, 2)),
            ("2026-03-17", ApiVersion(2, 1)),
            ("2026-03-17.clover", ApiVersion(2, 1)),
            ("2026-03-16", ApiVersion(2, 0)),
            ("2026-03-18", ApiVersion(2, 2)),
            ("2026-05-12", ApiVersion(2, 2)),
            ("2026-05-13", ApiVersion(2, 3)),
            ("2027-01-01", ApiVersion(2, 3)),
            ("2025-02-01", ApiVersion(0, 1)),
        ] {
            assert_eq!(read(text), Ok(expected), "{text}");
        }
        assert!(ApiVersion(2, 10) > ApiVersion(2, 3));
    }

    #[test]
    fn anything_else_is_none() {
        for text in [
            "v2.1",
            "2.",
            ".1",
            "2.x",
            "2.1.x",
            "-2.1",
            "2,1",
            "beta",
            "2026-13-01",
            "2026-02-30",
            "2024-12-31",
            "99999999999",
            "2.1.clover",
            "0000000000000000000000000000000002.1",
        ] {
            assert_eq!(read(text), Err(text.to_owned()), "{text}");
        }
    }
}
