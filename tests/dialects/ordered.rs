//! JSON as it was written: members in their order, numbers by their text.

use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A JSON value as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ordered {
    /// `null`, `true`, `false` or a number, by its text.
    Plain(String),
    /// A string, without its quotes and escapes.
    Text(String),
    /// An array.
    Array(Vec<Ordered>),
    /// An object, its members in their order.
    Object(Vec<(String, Ordered)>),
}

impl Ordered {
    /// Reads JSON.
    pub(crate) fn read(text: &str) -> serde_json::Result<Self> {
        let text = text.trim();
        Ok(match text.as_bytes().first() {
            Some(b'{') => {
                let Members(members) = serde_json::from_str(text)?;
                let read =
                    |(name, raw): (String, Box<RawValue>)| Ok((name, Self::read(raw.get())?));
                Self::Object(members.into_iter().map(read).collect::<serde_json::Result<_>>()?)
            }
            Some(b'[') => {
                let items: Vec<Box<RawValue>> = serde_json::from_str(text)?;
                let read = |raw: Box<RawValue>| Self::read(raw.get());
                Self::Array(items.into_iter().map(read).collect::<serde_json::Result<_>>()?)
            }
            Some(b'"') => Self::Text(serde_json::from_str(text)?),
            _ => {
                let raw: Box<RawValue> = serde_json::from_str(text)?;
                Self::Plain(raw.get().to_owned())
            }
        })
    }

    /// Gives a member of an object.
    pub(crate) fn member(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members.iter().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    /// Gives the value at a JSON pointer.
    pub(crate) fn at(&self, pointer: &str) -> Option<&Self> {
        pointer.split('/').skip(1).try_fold(self, |value, step| match value {
            Self::Object(_) => value.member(&step.replace("~1", "/").replace("~0", "~")),
            Self::Array(items) => items.get(step.parse::<usize>().ok()?),
            Self::Plain(_) | Self::Text(_) => None,
        })
    }

    /// Gives the text of a string, or a plain value as it was written.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Plain(text) | Self::Text(text) => Some(text),
            Self::Array(_) | Self::Object(_) => None,
        }
    }
}

impl fmt::Display for Ordered {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(text) => formatter.write_str(text),
            Self::Text(text) => fmt::Display::fmt(&serde_json::Value::from(&**text), formatter),
            Self::Array(items) => {
                let items: Vec<String> = items.iter().map(Self::to_string).collect();
                write!(formatter, "[{}]", items.join(","))
            }
            Self::Object(members) => {
                let print = |(name, value): &(String, Self)| {
                    format!("{}:{value}", serde_json::Value::from(&**name))
                };
                let members: Vec<String> = members.iter().map(print).collect();
                write!(formatter, "{{{}}}", members.join(","))
            }
        }
    }
}

/// The members of an object, in their order, each by its text.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Members;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members: Vec<(String, Box<RawValue>)> = Vec::new();
                while let Some((name, value)) = map.next_entry()? {
                    if members.iter().any(|(other, _)| *other == name) {
                        return Err(A::Error::custom(format_args!("member {name} is there twice")));
                    }
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Read)
    }
}
