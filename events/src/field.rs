//! Absent, null and a value: three things, on the wire and inside.
//!
//! [`Field`] is what a request said, [`Patch`] is what we take it to mean. Between the two a dialect
//! decides by name: [`Field::null_clears`], [`Field::null_keeps`], [`Field::null_refused`].

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A member of a JSON object as the caller sent it. Use with `#[serde(default)]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Field<T> {
    /// The member is not there.
    #[default]
    Absent,
    /// The member is there and is `null`.
    Null,
    /// The member is there and has a value.
    Value(T),
}

/// A `null` where the field takes none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("may not be null")]
pub struct NullRefused;

impl<T> Field<T> {
    /// Takes `null` as the wish to clear.
    pub fn null_clears(self) -> Patch<T> {
        match self {
            Self::Absent => Patch::Keep,
            Self::Null => Patch::Clear,
            Self::Value(value) => Patch::Set(value),
        }
    }

    /// Takes `null` as if the field were absent.
    pub fn null_keeps(self) -> Edit<T> {
        match self {
            Self::Absent | Self::Null => Edit::Keep,
            Self::Value(value) => Edit::Set(value),
        }
    }

    /// Takes no `null`.
    ///
    /// # Errors
    /// [`NullRefused`] when the field is `null`.
    pub fn null_refused(self) -> Result<Edit<T>, NullRefused> {
        match self {
            Self::Absent => Ok(Edit::Keep),
            Self::Null => Err(NullRefused),
            Self::Value(value) => Ok(Edit::Set(value)),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<T>::deserialize(deserializer)?.map_or(Self::Null, Self::Value))
    }
}

/// A change of a fact that may be cleared. On the wire: absent, `null`, a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Patch<T> {
    /// Leave it as it is.
    #[default]
    Keep,
    /// Take it away.
    Clear,
    /// Make it this.
    Set(T),
}

impl<T> Patch<T> {
    /// Tells whether nothing is asked. For `skip_serializing_if`.
    pub const fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }

    /// Gives the fact after the patch.
    #[must_use]
    pub fn over(&self, now: Option<T>) -> Option<T>
    where
        T: Clone,
    {
        match self {
            Self::Keep => now,
            Self::Clear => None,
            Self::Set(value) => Some(value.clone()),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<T>::deserialize(deserializer)?.map_or(Self::Clear, Self::Set))
    }
}

impl<T: Serialize> Serialize for Patch<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Keep | Self::Clear => serializer.serialize_none(),
            Self::Set(value) => value.serialize(serializer),
        }
    }
}

impl<T: JsonSchema> JsonSchema for Patch<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Patch_of_{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        <Option<T>>::json_schema(generator)
    }
}

/// A change of a fact that always has a value. On the wire: absent or a value, never `null`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Edit<T> {
    /// Leave it as it is.
    #[default]
    Keep,
    /// Make it this.
    Set(T),
}

impl<T> Edit<T> {
    /// Tells whether nothing is asked. For `skip_serializing_if`.
    pub const fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }

    /// Gives what is asked, if anything is.
    pub const fn as_set(&self) -> Option<&T> {
        match self {
            Self::Keep => None,
            Self::Set(value) => Some(value),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Edit<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::Set)
    }
}

impl<T: Serialize> Serialize for Edit<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Keep => serializer.serialize_none(),
            Self::Set(value) => value.serialize(serializer),
        }
    }
}

impl<T: JsonSchema> JsonSchema for Edit<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Edit_of_{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize, Serialize)]
    struct Body {
        #[serde(default, skip_serializing_if = "Patch::is_keep")]
        a: Patch<u8>,
        #[serde(default, skip_serializing_if = "Edit::is_keep")]
        b: Edit<u8>,
    }

    #[test]
    fn absent_null_and_a_value_are_three_things() {
        let read = |text| serde_json::from_str::<Body>(text).unwrap();
        assert_eq!(read("{}"), Body { a: Patch::Keep, b: Edit::Keep });
        assert_eq!(read(r#"{"a":null}"#), Body { a: Patch::Clear, b: Edit::Keep });
        assert_eq!(read(r#"{"a":1,"b":2}"#), Body { a: Patch::Set(1), b: Edit::Set(2) });
        for text in ["{}", r#"{"a":null}"#, r#"{"a":1,"b":2}"#] {
            assert_eq!(serde_json::to_string(&read(text)).unwrap(), text);
        }
    }

    #[test]
    fn an_edit_takes_no_null() {
        let error = serde_json::from_str::<Body>(r#"{"b":null}"#).unwrap_err();
        assert!(error.to_string().contains("invalid type: null"), "{error}");
    }

    #[test]
    fn a_dialect_says_what_null_means() {
        assert_eq!(Field::<u8>::Null.null_clears(), Patch::Clear);
        assert_eq!(Field::<u8>::Null.null_keeps(), Edit::Keep);
        assert_eq!(Field::<u8>::Null.null_refused(), Err(NullRefused));
        assert_eq!(Field::Value(1).null_refused(), Ok(Edit::Set(1)));
    }
}
