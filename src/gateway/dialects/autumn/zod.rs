//! Reads a body as the vendor's validator does: all that is wrong is found, in the order of the rules,
//! and said in its words.
//!
//! The readers give nothing where something is wrong; what it is, [`Issues`] keeps.

use std::collections::BTreeMap;
use std::fmt::Display;

use tallybook_events::field::{Edit, Field};
use tallybook_events::json::Json;
use tallybook_events::money::Amount;

use crate::gateway::number::{NoAmount, amount, whole_number};

/// A place in a body, and what is there, if anything.
#[derive(Debug, Clone)]
pub(super) struct Place<'a> {
    path: String,
    value: Option<&'a Json>,
}

impl<'a> Place<'a> {
    /// The body as a whole.
    pub(super) fn whole(value: &'a Json) -> Self {
        Self { path: String::new(), value: Some(value) }
    }

    /// Gives what is there.
    pub(super) fn value(&self) -> Option<&'a Json> {
        self.value
    }

    /// The same place with something else in it.
    pub(super) fn with<'b>(&self, value: &'b Json) -> Place<'b> {
        Place { path: self.path.clone(), value: Some(value) }
    }

    /// A place within this one.
    pub(super) fn within(&self, name: impl Display, value: Option<&'a Json>) -> Self {
        let path = match &*self.path {
            "" => name.to_string(),
            path => format!("{path}.{name}"),
        };
        Self { path, value }
    }

    /// Names what is there as the validator names types.
    fn received(&self) -> &'static str {
        match self.value {
            None => "undefined",
            Some(Json::Null) => "null",
            Some(Json::Bool(_)) => "boolean",
            Some(Json::Number(_)) => "number",
            Some(Json::String(_)) => "string",
            Some(Json::Array(_)) => "array",
            Some(Json::Object(_)) => "object",
        }
    }
}

/// An object in a body.
#[derive(Debug, Clone)]
pub(super) struct Object<'a> {
    place: Place<'a>,
    members: &'a BTreeMap<Box<str>, Json>,
}

impl<'a> Object<'a> {
    /// Gives the place of a member, whether it is there or not.
    pub(super) fn at(&self, name: &str) -> Place<'a> {
        self.place.within(name, self.members.get(name))
    }

    /// Gives the places of all members.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'a str, Place<'a>)> {
        self.members.iter().map(|(name, value)| (&**name, self.place.within(name, Some(value))))
    }
}

/// All that is wrong in a body.
#[derive(Debug, Default)]
pub(super) struct Issues(Vec<String>);

impl Issues {
    /// Adds what is wrong at a place. What is returned is no value.
    pub(super) fn add<T>(&mut self, place: &Place<'_>, message: impl Display) -> Option<T> {
        let path = if place.path.is_empty() { "input" } else { &place.path };
        self.0.push(format!("{path}: {message}"));
        None
    }

    /// Tells how much is wrong so far.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Gives what was read, if nothing is wrong; else all that is, in one text.
    pub(super) fn or<T>(mut self, read: Option<T>) -> Result<T, String> {
        match read {
            Some(read) if self.0.is_empty() => Ok(read),
            _ if self.0.len() == 1 => Err(self.0.remove(0)),
            _ => Err(format!("[Validation Errors] {}", self.0.join("; "))),
        }
    }

    /// Reads an object.
    pub(super) fn object<'a>(&mut self, place: &Place<'a>) -> Option<Object<'a>> {
        self.object_or(place, "object")
    }

    /// Reads an object whose members have no fixed names.
    pub(super) fn record<'a>(&mut self, place: &Place<'a>) -> Option<Object<'a>> {
        self.object_or(place, "record")
    }

    fn object_or<'a>(&mut self, place: &Place<'a>, expected: &str) -> Option<Object<'a>> {
        match place.value {
            Some(Json::Object(members)) => Some(Object { place: place.clone(), members }),
            _ => self.wrong_type(place, expected),
        }
    }

    /// Reads an array, item by item.
    pub(super) fn array<'a, T>(
        &mut self,
        place: &Place<'a>,
        mut item: impl FnMut(&mut Self, &Place<'a>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Some(Json::Array(items)) = place.value else { return self.wrong_type(place, "array") };
        // All items are looked at, also after one that is wrong.
        let read: Vec<Option<T>> = (0..)
            .zip(items)
            .map(|(at, value): (usize, _)| item(self, &place.within(at, Some(value))))
            .collect();
        read.into_iter().collect()
    }

    /// Reads a string.
    pub(super) fn string<'a>(&mut self, place: &Place<'a>) -> Option<&'a str> {
        match place.value {
            Some(Json::String(text)) => Some(text),
            _ => self.wrong(place, "a string"),
        }
    }

    /// Reads a string of 1 to `max` characters without control characters, as a type of ours.
    pub(super) fn word<T: std::str::FromStr<Err: Display>>(
        &mut self,
        place: &Place<'_>,
        max: usize,
    ) -> Option<T> {
        match self.string(place)? {
            "" => self.add(place, "cannot be empty"),
            text => self.text(place, text, max),
        }
    }

    /// Makes a type of ours of a string of at most `max` characters.
    pub(super) fn text<T: std::str::FromStr<Err: Display>>(
        &mut self,
        place: &Place<'_>,
        text: &str,
        max: usize,
    ) -> Option<T> {
        if text.chars().count() > max {
            return self.add(place, format!("Too big: expected string to have <={max} characters"));
        }
        text.parse().map_or_else(|error| self.add(place, error), Some)
    }

    /// Reads `true` or `false`.
    pub(super) fn boolean(&mut self, place: &Place<'_>) -> Option<bool> {
        match place.value {
            Some(Json::Bool(value)) => Some(*value),
            _ => self.wrong(place, "a boolean"),
        }
    }

    /// Reads the text of a number.
    pub(super) fn number<'a>(&mut self, place: &Place<'a>) -> Option<&'a str> {
        match place.value {
            Some(Json::Number(text)) => Some(text),
            _ => self.wrong(place, "a number"),
        }
    }

    /// Reads a number that is `least` or more.
    pub(super) fn amount(&mut self, place: &Place<'_>, least: u32) -> Option<Amount> {
        let text = self.number(place)?;
        match amount(text) {
            Ok(read) if read >= Amount::from(least) => Some(read),
            Ok(_) | Err(NoAmount::Negative) => self.too_small(place, least),
            Err(NoAmount::TooLarge) => {
                self.add(place, "Too big: expected number to be <1000000000000")
            }
        }
    }

    /// Reads an integer from `least` to `most`.
    pub(super) fn integer(&mut self, place: &Place<'_>, least: u32, most: u32) -> Option<u32> {
        let text = self.number(place)?;
        let read = match amount(text) {
            Err(NoAmount::Negative) => return self.too_small(place, least),
            Err(NoAmount::TooLarge) => None,
            Ok(_) => match whole_number(text) {
                None => return self.wrong_type(place, "int"),
                Some(read) => u32::try_from(read).ok().filter(|read| *read <= most),
            },
        };
        match read {
            None => self.add(place, format!("Too big: expected number to be <={most}")),
            Some(read) if read < least => self.too_small(place, least),
            Some(read) => Some(read),
        }
    }

    /// Reads one of some words.
    pub(super) fn one_of<T: Copy>(
        &mut self,
        place: &Place<'_>,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        let text = place.value.and_then(Json::as_str);
        let found = words.iter().find(|(word, _)| Some(*word) == text);
        if let Some((_, value)) = found {
            return Some(*value);
        }
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        self.add(place, format!("must be one of: {}", all.join(", ")))
    }

    /// Reads a field that may be absent, and may be `null`.
    pub(super) fn nullish<'a, T>(
        &mut self,
        place: &Place<'a>,
        read: impl FnOnce(&mut Self, &Place<'a>) -> Option<T>,
    ) -> Option<Field<T>> {
        match place.value {
            None => Some(Field::Absent),
            Some(Json::Null) => Some(Field::Null),
            Some(_) => read(self, place).map(Field::Value),
        }
    }

    /// Reads a field that may be absent.
    pub(super) fn optional<'a, T>(
        &mut self,
        place: &Place<'a>,
        read: impl FnOnce(&mut Self, &Place<'a>) -> Option<T>,
    ) -> Option<Edit<T>> {
        match place.value {
            None => Some(Edit::Keep),
            Some(_) => read(self, place).map(Edit::Set),
        }
    }

    /// Reads a field that has a value of its own when it is absent.
    pub(super) fn or_default<'a, T>(
        &mut self,
        place: &Place<'a>,
        default: T,
        read: impl FnOnce(&mut Self, &Place<'a>) -> Option<T>,
    ) -> Option<T> {
        if place.value.is_none() { Some(default) } else { read(self, place) }
    }

    /// Says in short words that something is not of a plain type.
    fn wrong<T>(&mut self, place: &Place<'_>, expected: &str) -> Option<T> {
        self.add(place, format!("must be {expected} (received {})", place.received()))
    }

    /// Says that something is not of another type.
    fn wrong_type<T>(&mut self, place: &Place<'_>, expected: &str) -> Option<T> {
        let received = place.received();
        self.add(place, format!("Invalid input: expected {expected}, received {received}"))
    }

    fn too_small<T>(&mut self, place: &Place<'_>, least: u32) -> Option<T> {
        self.add(place, format!("Too small: expected number to be >={least}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T>(
        body: &str,
        read: impl FnOnce(&mut Issues, &Object<'_>) -> Option<T>,
    ) -> Result<T, String> {
        let body: Json = serde_json::from_str(body).unwrap();
        let mut issues = Issues::default();
        let object = issues.object(&Place::whole(&body));
        let value = object.and_then(|object| read(&mut issues, &object));
        issues.or(value)
    }

    #[test]
    fn what_is_wrong_is_said_in_the_vendors_words() {
        let text =
            |body| read(body, |issues, object| issues.string(&object.at("a")).map(str::to_owned));
        assert_eq!(text(r#"{"a":"x"}"#), Ok("x".into()));
        assert_eq!(text("{}"), Err("a: must be a string (received undefined)".into()));
        assert_eq!(text(r#"{"a":null}"#), Err("a: must be a string (received null)".into()));
        assert_eq!(text(r#"{"a":[]}"#), Err("a: must be a string (received array)".into()));
        assert_eq!(text("[]"), Err("input: Invalid input: expected object, received array".into()));
        let flag = |body| read(body, |issues, object| issues.boolean(&object.at("a")));
        assert_eq!(flag(r#"{"a":0}"#), Err("a: must be a boolean (received number)".into()));
        let list = |body| {
            read(body, |issues, object| {
                issues.array(&object.at("a"), |issues, item| issues.boolean(item))
            })
        };
        assert_eq!(list(r#"{"a":[true,false]}"#), Ok(vec![true, false]));
        assert_eq!(
            list(r#"{"a":{}}"#),
            Err("a: Invalid input: expected array, received object".into())
        );
        let both = "[Validation Errors] a.0: must be a boolean (received number); \
                    a.2: must be a boolean (received null)";
        assert_eq!(list(r#"{"a":[1,true,null]}"#), Err(both.into()));
        let words = [("day", 1), ("week", 7)];
        let word = |body| read(body, |issues, object| issues.one_of(&object.at("a"), &words));
        assert_eq!(word(r#"{"a":"week"}"#), Ok(7));
        assert_eq!(word(r#"{"a":"year"}"#), Err("a: must be one of: day, week".into()));
    }

    #[test]
    fn numbers_have_bounds() {
        let integer = |value: &str| {
            let body = format!("{{\"a\":{value}}}");
            read(&body, |issues, object| issues.integer(&object.at("a"), 1, 1_000))
        };
        assert_eq!(integer("1000"), Ok(1_000));
        assert_eq!(integer("5.0"), Ok(5));
        assert_eq!(integer("1e2"), Ok(100));
        for (value, message) in [
            ("0", "Too small: expected number to be >=1"),
            ("-7", "Too small: expected number to be >=1"),
            ("1001", "Too big: expected number to be <=1000"),
            ("1e300", "Too big: expected number to be <=1000"),
            ("1.5", "Invalid input: expected int, received number"),
            ("2.5e-42", "Invalid input: expected int, received number"),
            ("1.0000000000001", "Invalid input: expected int, received number"),
            ("\"1\"", "must be a number (received string)"),
        ] {
            assert_eq!(integer(value), Err(format!("a: {message}")), "{value}");
        }
        let amount = |value: &str| {
            let body = format!("{{\"a\":{value}}}");
            read(&body, |issues, object| issues.amount(&object.at("a"), 0))
                .map(|amount| amount.to_string())
        };
        assert_eq!(amount("0.30000000000000004"), Ok("0.3".into()));
        assert_eq!(amount("1e13"), Err("a: Too big: expected number to be <1000000000000".into()));
        assert_eq!(amount("-1"), Err("a: Too small: expected number to be >=0".into()));
    }
}
