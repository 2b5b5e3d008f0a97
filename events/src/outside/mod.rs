//! JSON from outside becomes a type here, or a fault with its place. Every way in uses it: what one
//! refuses, all refuse.
//!
//! Stricter than serde: nesting is bounded, what cannot be kept is refused, no member is there twice,
//! and an array is no struct. The text is parsed once, fast. Only when that fails it is parsed again,
//! slowly, to find where.

use std::fmt::Write as _;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::error::Category;
use serde_json::value::RawValue;
use serde_path_to_error::Segment;

use crate::json::{Unsafe, check_text, escape_pointer};
use members::first_repeated;
use strict::Strict;

mod members;
mod strict;

/// Longest text of a fault: it may quote what the caller sent.
const MAX_DETAIL: usize = 240;

/// Why a text is not what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What kind of fault.
    pub kind: FaultKind,
    /// JSON pointer (RFC 6901) of its place; empty for the whole text.
    pub pointer: String,
    /// What is wrong there, in words.
    pub detail: String,
}

/// What kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// There is no text.
    Empty,
    /// The bytes are not UTF-8.
    NotUtf8,
    /// The text is not JSON.
    NotJson,
    /// It is nested too deep.
    TooDeep,
    /// A string has a character that cannot be kept.
    UnsafeText,
    /// A member is there twice.
    Repeated,
    /// A member is not known.
    Unknown,
    /// A member is missing.
    Missing,
    /// A value breaks the rule of its place.
    Invalid,
}

impl Fault {
    /// Makes a fault of a value that breaks the rule of its place.
    pub fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { kind: FaultKind::Invalid, pointer: pointer.into(), detail: detail.into() }
    }

    fn whole(kind: FaultKind, detail: impl Into<String>) -> Self {
        Self { kind, pointer: String::new(), detail: detail.into() }
    }
}

/// Takes bytes as text.
///
/// # Errors
/// [`Fault`] when there are none, or they are not UTF-8.
pub fn text(bytes: &[u8]) -> Result<&str, Fault> {
    if bytes.is_empty() {
        return Err(Fault::whole(FaultKind::Empty, "the body is empty; JSON was expected"));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        Fault::whole(FaultKind::NotUtf8, format!("the body is not UTF-8, at byte {at}"))
    })
}

/// Reads a JSON text as a type.
///
/// # Errors
/// [`Fault`] with the place of what is wrong.
pub fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Fault> {
    check_text(text.as_bytes()).map_err(|fault| unsafe_text(&fault))?;
    let value = parse(text).map_err(|error| locate::<T>(text, error))?;
    match first_repeated(text) {
        None => Ok(value),
        Some(pointer) => Err(Fault {
            kind: FaultKind::Repeated,
            pointer,
            detail: "the member is there twice".into(),
        }),
    }
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = T::deserialize(Strict(&mut deserializer))?;
    deserializer.end()?;
    Ok(value)
}

/// Takes a JSON array apart into the texts of its items, which are not looked into.
///
/// # Errors
/// [`Fault`] when it is no array, or not JSON.
pub fn items(text: &str) -> Result<Vec<&RawValue>, Fault> {
    serde_json::from_str(text).map_err(|error| locate::<Vec<&RawValue>>(text, error))
}

fn unsafe_text(fault: &Unsafe) -> Fault {
    let kind = match fault {
        Unsafe::TooDeep { .. } => FaultKind::TooDeep,
        Unsafe::Nul { .. } | Unsafe::LoneSurrogate { .. } => FaultKind::UnsafeText,
    };
    Fault { kind, pointer: fault.pointer().into(), detail: fault.to_string() }
}

/// Finds the place of an error by parsing again.
fn locate<'a, T: Deserialize<'a>>(text: &'a str, error: serde_json::Error) -> Fault {
    // A number that no machine number holds is a syntax error to the parser, but not to JSON.
    if error.classify() != Category::Data && serde_json::from_str::<IgnoredAny>(text).is_err() {
        return Fault::whole(FaultKind::NotJson, format!("the body is not JSON: {error}"));
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize::<_, T>(Strict(&mut deserializer)) {
        Ok(_) => Fault::whole(FaultKind::Invalid, describe(&error)),
        Err(found) => nulls(text, place(pointer(found.path()), &describe(found.inner()))),
    }
}

/// Says in plain words when what is wrong is a `null`: serde has other words for each type.
fn nulls(text: &str, fault: Fault) -> Fault {
    let value = serde_json::from_str::<serde_json::Value>(text).ok();
    let is_null = value
        .is_some_and(|value| value.pointer(&fault.pointer).is_some_and(serde_json::Value::is_null));
    if is_null && fault.kind == FaultKind::Invalid {
        return Fault { detail: "may not be null".into(), ..fault };
    }
    fault
}

/// Tells kinds of faults apart by serde's words, and makes the place as exact as they allow.
fn place(mut pointer: String, detail: &str) -> Fault {
    let kind = if detail.starts_with("unknown field ") {
        FaultKind::Unknown
    } else if let Some(name) = named(detail, "missing field `") {
        append(&mut pointer, name);
        FaultKind::Missing
    } else if let Some(name) = named(detail, "duplicate field `") {
        append(&mut pointer, name);
        FaultKind::Repeated
    } else {
        FaultKind::Invalid
    };
    let detail = detail.chars().take(MAX_DETAIL).collect();
    Fault { kind, pointer, detail }
}

fn named<'a>(detail: &'a str, before: &str) -> Option<&'a str> {
    detail.strip_prefix(before)?.strip_suffix('`')
}

fn append(pointer: &mut String, name: &str) {
    pointer.push('/');
    pointer.push_str(&escape_pointer(name));
}

/// Gives an error's words without line and column, which mean little beside a pointer.
fn describe(error: &serde_json::Error) -> String {
    let words = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    words.strip_suffix(&place).unwrap_or(&words).to_owned()
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => write!(pointer, "/{index}").expect("writing to a string"),
            Segment::Map { key } | Segment::Enum { variant: key } => append(&mut pointer, key),
            Segment::Unknown => {}
        }
    }
    pointer
}

#[cfg(test)]
mod tests {
    use crate::command::{CommandDraft, CustomerPatch};

    use super::*;

    fn patch(text: &str) -> (FaultKind, String) {
        let fault = read::<CustomerPatch>(text).unwrap_err();
        (fault.kind, fault.pointer)
    }

    fn command(members: &str) -> (FaultKind, String) {
        let text = format!(
            r#"{{"type":"RecordUsage","customer":{{"key":"a"}},"reports":[{{"report_id":"r","occurred_at":"2026-01-01T00:00:00Z","meter":"m"{members}}}]}}"#
        );
        let fault = read::<CommandDraft>(&text).unwrap_err();
        (fault.kind, fault.pointer)
    }

    #[test]
    fn a_fault_has_its_kind_and_its_place() {
        use FaultKind as K;
        for (text, kind, pointer) in [
            ("{", K::NotJson, ""),
            ("{\"profile\":{\"name\":\"x}", K::NotJson, ""),
            ("nonsense", K::NotJson, ""),
            ("{} {}", K::NotJson, ""),
            ("[]", K::Invalid, ""),
            (r#"{"profile":["Jane"]}"#, K::Invalid, "/profile"),
            (r#"{"policy":{"limits":[]}}"#, K::Invalid, "/policy/limits"),
            (
                r#"{"billing_controls":{"auto_topups":[[]]}}"#,
                K::Invalid,
                "/billing_controls/auto_topups/0",
            ),
            (r#"{"profil":{}}"#, K::Unknown, "/profil"),
            (r#"{"profile":{"name":1}}"#, K::Invalid, "/profile/name"),
            (r#"{"profile":{"e/m~il":1}}"#, K::Unknown, "/profile/e~1m~0il"),
            (r#"{"profile":{"email":"jane"}}"#, K::Invalid, "/profile/email"),
            (r#"{"profile":{"address":{"country":"XX"}}}"#, K::Invalid, "/profile/address/country"),
            (r#"{"profile":null}"#, K::Invalid, "/profile"),
            (r#"{"contract":{"status":null}}"#, K::Invalid, "/contract/status"),
            (r#"{"contract":{"status":"gone"}}"#, K::Invalid, "/contract/status"),
            (r#"{"contract":{"annual_limit":1e999}}"#, K::Invalid, "/contract/annual_limit"),
            (r#"{"contract":{"annual_limit":-0}}"#, K::Invalid, "/contract/annual_limit"),
            (r#"{"budget":{"period_budget":1e999}}"#, K::Invalid, "/budget/period_budget"),
            (r#"{"budget":{"period_budget":-0}}"#, K::Invalid, "/budget/period_budget"),
            (
                r#"{"budget":{"period_budget":1234567890123456789012345678901234567890}}"#,
                K::Invalid,
                "/budget/period_budget",
            ),
            (r#"{"policy":{"allowed_mccs":["5411","54"]}}"#, K::Invalid, "/policy/allowed_mccs/1"),
            (r#"{"identity":{"parent":{"key":7}}}"#, K::Invalid, "/identity/parent/key"),
            (r#"{"profile":{"name":"a\u0000"}}"#, K::UnsafeText, "/profile/name"),
            (r#"{"profile":{"name":"\ud800"}}"#, K::UnsafeText, "/profile/name"),
            (r#"{"key":"a","key":"b"}"#, K::Repeated, "/key"),
            (r#"{"profile":{"metadata":{"a":1,"a":2}}}"#, K::Repeated, "/profile/metadata/a"),
        ] {
            assert_eq!(patch(text), (kind, pointer.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_null_where_none_may_be_is_called_so() {
        for (text, pointer) in [
            (r#"{"contract":{"status":null}}"#, "/contract/status"),
            (r#"{"profile":null}"#, "/profile"),
            (r#"{"profile":{"send_email_receipts":null}}"#, "/profile/send_email_receipts"),
            (r#"{"budget":{"markup_percentage":null}}"#, "/budget/markup_percentage"),
            (r#"{"key":null}"#, "/key"),
        ] {
            let fault = read::<CustomerPatch>(text).unwrap_err();
            assert_eq!((&*fault.pointer, &*fault.detail), (pointer, "may not be null"), "{text}");
        }
    }

    #[test]
    fn faults_of_reports_have_their_place() {
        use FaultKind as K;
        for (members, kind, pointer) in [
            ("", K::Invalid, "/reports/0"),
            (r#","cost":"-1""#, K::Invalid, "/reports/0/cost"),
            (r#","cost":true"#, K::Invalid, "/reports/0/cost"),
            (r#","price":1"#, K::Unknown, "/reports/0/price"),
            (r#","meter":"n""#, K::Repeated, "/reports/0/meter"),
        ] {
            assert_eq!(command(members), (kind, pointer.to_owned()), "{members}");
        }
        let missing = read::<CommandDraft>(r#"{"type":"ArchiveCustomer"}"#).unwrap_err();
        assert_eq!((missing.kind, &*missing.pointer), (K::Missing, "/customer"));
    }

    #[test]
    fn nesting_is_bounded_and_its_place_is_told() {
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(200), "]".repeat(200));
        let fault = read::<&RawValue>(&deep).unwrap_err();
        assert_eq!(fault.kind, FaultKind::TooDeep);
        assert_eq!(fault.pointer, format!("/a{}", "/0".repeat(15)));
    }

    #[test]
    fn what_the_caller_sent_is_quoted_in_part_only() {
        let text = format!(r#"{{"contract":{{"status":"{}"}}}}"#, "x".repeat(10_000));
        let fault = read::<CustomerPatch>(&text).unwrap_err();
        assert_eq!(fault.detail.chars().count(), MAX_DETAIL);
    }

    #[test]
    fn bytes_that_are_no_text_are_told_apart() {
        assert_eq!(text(b"").unwrap_err().kind, FaultKind::Empty);
        let fault = text(b"{\"a\":\"\xff\"}").unwrap_err();
        assert_eq!(fault.kind, FaultKind::NotUtf8);
        assert_eq!(fault.detail, "the body is not UTF-8, at byte 6");
    }
}
