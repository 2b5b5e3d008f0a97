//! JSON that is not ours: metadata values, kept exactly; and the checks that every JSON text from
//! outside passes before it is parsed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::value::RawValue;

/// Deepest nesting of a request, counted in arrays and objects.
pub const MAX_DEPTH: usize = 16;

/// A JSON value as the caller sent it. Numbers keep their text; members are ordered by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Json {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number, by its text.
    Number(Box<str>),
    /// A string.
    String(Box<str>),
    /// An array.
    Array(Vec<Json>),
    /// An object.
    Object(BTreeMap<Box<str>, Json>),
}

impl Json {
    /// Gives the text of a string value.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Array(_) | Self::Object(_) => None,
        }
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(text) => RawValue::from_string(text.to_string())
                .map_err(serde::ser::Error::custom)?
                .serialize(serializer),
            Self::String(text) => serializer.serialize_str(text),
            Self::Array(items) => serializer.collect_seq(items),
            Self::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (name, value) in members {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        read(raw.get(), 0).map_err(de::Error::custom)
    }
}

fn read(text: &str, depth: usize) -> Result<Json, serde_json::Error> {
    if depth > MAX_DEPTH {
        return Err(de::Error::custom("is nested too deep"));
    }
    Ok(match text.as_bytes().first() {
        Some(b'n') => Json::Null,
        Some(b't') => Json::Bool(true),
        Some(b'f') => Json::Bool(false),
        Some(b'"') => Json::String(serde_json::from_str(text)?),
        Some(b'[') => serde_json::from_str::<Vec<&RawValue>>(text)?
            .into_iter()
            .map(|item| read(item.get(), depth + 1))
            .collect::<Result<_, _>>()
            .map(Json::Array)?,
        Some(b'{') => serde_json::from_str::<BTreeMap<Box<str>, &RawValue>>(text)?
            .into_iter()
            .map(|(name, value)| Ok::<_, serde_json::Error>((name, read(value.get(), depth + 1)?)))
            .collect::<Result<_, _>>()
            .map(Json::Object)?,
        _ => Json::Number(text.into()),
    })
}

impl JsonSchema for Json {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Json".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!(true)
    }
}

/// Why a JSON text from outside is not even looked at, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsafe {
    /// More than [`MAX_DEPTH`] arrays and objects around one value.
    #[error("is nested deeper than {MAX_DEPTH} levels")]
    TooDeep {
        /// JSON pointer (RFC 6901) of the value.
        pointer: String,
    },
    /// `\u0000` in a string.
    #[error("contains U+0000, which cannot be kept")]
    Nul {
        /// JSON pointer of the value.
        pointer: String,
    },
    /// Half of a surrogate pair in a string.
    #[error("contains a lone surrogate, which is not a character")]
    LoneSurrogate {
        /// JSON pointer of the value.
        pointer: String,
    },
}

impl Unsafe {
    /// Gives the JSON pointer of the fault.
    pub fn pointer(&self) -> &str {
        match self {
            Self::TooDeep { pointer } | Self::Nul { pointer } | Self::LoneSurrogate { pointer } => {
                pointer
            }
        }
    }
}

/// Looks for what must not come in: nesting above [`MAX_DEPTH`], `\u0000`, lone surrogates.
///
/// One pass over the bytes. It does not check the syntax; a text that is not JSON passes or fails
/// here and is refused by the parser anyway.
///
/// # Errors
/// [`Unsafe`] with the pointer of the first fault.
pub fn check_text(text: &[u8]) -> Result<(), Unsafe> {
    // The common text has no escapes at all and few brackets: whatever they enclose is not too deep.
    let opening = text.iter().filter(|byte| matches!(byte, b'{' | b'[')).count();
    if opening <= MAX_DEPTH && !text.contains(&b'\\') {
        return Ok(());
    }
    // Many a text has no `\u` and is not deep: decide that without keeping a path.
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        if in_string {
            match byte {
                b'"' => in_string = false,
                b'\\' if text.get(at + 1) == Some(&b'u') => return check_with_path(text),
                b'\\' => at += 1,
                _ => {}
            }
        } else {
            match byte {
                b'"' => in_string = true,
                b'{' | b'[' => {
                    depth += 1;
                    if depth > MAX_DEPTH {
                        return check_with_path(text);
                    }
                }
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        at += 1;
    }
    Ok(())
}

enum Level {
    Object(String),
    Array(usize),
}

/// The same check, keeping the path of where it is.
fn check_with_path(text: &[u8]) -> Result<(), Unsafe> {
    let mut path: Vec<Level> = Vec::new();
    let mut at = 0;
    let mut last_string = String::new();
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                let end = string_end(text, at);
                let body = text.get(at + 1..end).unwrap_or_default();
                check_string(body).map_err(|fault| fault(pointer(&path)))?;
                last_string = String::from_utf8_lossy(body).into_owned();
                at = end;
            }
            b':' => {
                if let Some(Level::Object(name)) = path.last_mut() {
                    *name = std::mem::take(&mut last_string);
                }
            }
            b',' => {
                if let Some(Level::Array(index)) = path.last_mut() {
                    *index += 1;
                }
            }
            b'{' | b'[' => {
                if path.len() == MAX_DEPTH {
                    return Err(Unsafe::TooDeep { pointer: pointer(&path) });
                }
                path.push(if *byte == b'{' {
                    Level::Object(String::new())
                } else {
                    Level::Array(0)
                });
            }
            b'}' | b']' => {
                path.pop();
            }
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// Gives the place of the closing quote of the string that opens at `at` (or the end of the text).
fn string_end(text: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while let Some(byte) = text.get(end) {
        match byte {
            b'"' => break,
            b'\\' => end += 2,
            _ => end += 1,
        }
    }
    end
}

fn check_string(body: &[u8]) -> Result<(), fn(String) -> Unsafe> {
    let unit = |at: usize| -> Option<u16> {
        let escape = body.get(at..at + 6)?;
        let digits = escape.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let mut at = 0;
    while let Some(byte) = body.get(at) {
        if *byte != b'\\' {
            at += 1;
            continue;
        }
        match unit(at) {
            None => at += 2,
            Some(0) => return Err(|pointer| Unsafe::Nul { pointer }),
            Some(0xD800..=0xDBFF) => match unit(at + 6) {
                Some(0xDC00..=0xDFFF) => at += 12,
                _ => return Err(|pointer| Unsafe::LoneSurrogate { pointer }),
            },
            Some(0xDC00..=0xDFFF) => return Err(|pointer| Unsafe::LoneSurrogate { pointer }),
            Some(_) => at += 6,
        }
    }
    Ok(())
}

fn pointer(path: &[Level]) -> String {
    let mut pointer = String::new();
    for level in path {
        pointer.push('/');
        match level {
            Level::Object(name) => pointer.push_str(&escape_pointer(name)),
            Level::Array(index) => write!(pointer, "{index}").expect("writing to a string"),
        }
    }
    pointer
}

/// Escapes one member name for a JSON pointer (RFC 6901).
pub fn escape_pointer(name: &str) -> Cow<'_, str> {
    if name.contains(['~', '/']) {
        name.replace('~', "~0").replace('/', "~1").into()
    } else {
        name.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_kept_exactly() {
        for text in [
            r#"{"a":[1,2.50,1e999,1234567890123456789012345678901234567890],"b":{"c":null,"d":true},"e":"\u00e9\n"}"#,
            "[]",
            "-0",
            "\"x\"",
        ] {
            let value: Json = serde_json::from_str(text).unwrap();
            let printed = serde_json::to_string(&value).unwrap();
            assert_eq!(printed, text.replace("\\u00e9", "é"), "{text}");
            assert_eq!(serde_json::from_str::<Json>(&printed).unwrap(), value);
        }
    }

    #[test]
    fn spaces_and_order_do_not_count() {
        let a: Json = serde_json::from_str(r#"{"a": 1, "b": [ 1 ]}"#).unwrap();
        let b: Json = serde_json::from_str(r#"{"b":[1],"a":1}"#).unwrap();
        assert_eq!(a, b);
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(check_text(nested(16).as_bytes()), Ok(()));
        let fault = check_text(nested(17).as_bytes()).unwrap_err();
        assert_eq!(fault, Unsafe::TooDeep { pointer: "/0".repeat(16) });
        let wide = format!("[{}]", vec!["[]"; 100].join(","));
        assert_eq!(check_text(wide.as_bytes()), Ok(()));
    }

    #[test]
    fn nul_and_lone_surrogates_are_found_with_their_place() {
        let nul = br#"{"a":{"x/y":["ok","b\u0000"]}}"#;
        assert_eq!(check_text(nul), Err(Unsafe::Nul { pointer: "/a/x~1y/1".into() }));
        let lone = br#"{"a":"\ud83d","b":1}"#;
        assert_eq!(check_text(lone), Err(Unsafe::LoneSurrogate { pointer: "/a".into() }));
        assert!(check_text(br#"{"a":"\udc00"}"#).is_err());
        assert!(check_text(br#"{"a":"\ud83d\u0041"}"#).is_err());
        assert_eq!(check_text(br#"{"a":"\ud83d\ude00 \\u0000 \u00e9"}"#), Ok(()));
    }
}
