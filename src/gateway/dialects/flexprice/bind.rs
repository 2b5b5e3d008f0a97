//! From the bytes of a body to its members, as the vendor's server binds them; what does not fit is
//! told in the words of its JSON reader.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use tallybook_events::outside::{self, Fault, FaultKind};

use super::refused::{Code, Refused};

/// A body that can be bound.
pub(super) trait Bound: Default + for<'a> Deserialize<'a> {
    /// The name of its type.
    const NAME: &'static str;

    /// Gives the type of a member, and the name of the type that the member belongs to, by the names
    /// on the way to it.
    fn type_of(path: &[&str]) -> (&'static str, &'static str);
}

/// Binds a body. `null` is the same as an empty object.
///
/// # Errors
/// [`Refused`] with the hint when it does not fit.
pub(super) fn bind<T: Bound>(body: &[u8], hint: &str) -> Result<T, Refused> {
    let refused = |internal: String| Refused::new(Code::ValidationError, hint, internal);
    let text = outside::text(body).map_err(|fault| refused(empty_or(fault.detail, body)))?;
    let bound: Option<T> = outside::read(text).map_err(|fault| refused(told::<T>(text, &fault)))?;
    Ok(bound.unwrap_or_default())
}

fn empty_or(detail: String, body: &[u8]) -> String {
    if body.is_empty() { "EOF".to_owned() } else { detail }
}

/// Tells a fault in the words of Go's `encoding/json`, where it has words for it.
fn told<T: Bound>(text: &str, fault: &Fault) -> String {
    if text.trim().is_empty() {
        return "EOF".to_owned();
    }
    let cut_off = || serde_json::from_str::<IgnoredAny>(text).is_err_and(|error| error.is_eof());
    match fault.kind {
        FaultKind::NotJson if cut_off() => "unexpected EOF".to_owned(),
        FaultKind::Invalid => wrong_type::<T>(text, fault).unwrap_or_else(|| fault.detail.clone()),
        FaultKind::Empty
        | FaultKind::NotUtf8
        | FaultKind::NotJson
        | FaultKind::TooDeep
        | FaultKind::UnsafeText
        | FaultKind::Repeated
        | FaultKind::Unknown
        | FaultKind::Missing => fault.detail.clone(),
    }
}

fn wrong_type<T: Bound>(text: &str, fault: &Fault) -> Option<String> {
    let whole: Value = serde_json::from_str(text).ok()?;
    let kind = match whole.pointer(&fault.pointer)? {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let name = T::NAME;
    let path: Vec<&str> = fault.pointer.split('/').skip(1).collect();
    if path.is_empty() {
        return Some(format!("json: cannot unmarshal {kind} into Go value of type dto.{name}"));
    }
    let (owner, expected) = T::type_of(&path);
    // Places in lists have no name.
    let members: Vec<&str> =
        path.into_iter().filter(|part| part.parse::<usize>().is_err()).collect();
    // A member of a map is told by the map's name.
    let members = if members.first() == Some(&"metadata") { &members[..1] } else { &members[..] };
    let field = members.join(".");
    Some(format!(
        "json: cannot unmarshal {kind} into Go struct field {owner}.{field} of type {expected}"
    ))
}
