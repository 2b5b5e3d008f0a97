//! A customer's id in a body: the caller's own, or ours.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use tallybook_events::ids::CustomerKey;

use super::super::zod::{Issues, Place};

/// What an id may have, in words.
const ALLOWED: &str = "Use only letters, numbers, underscores, hyphens, and colons.";

/// A customer's id: 1 to 255 of letters, digits, `_`, `-` and `:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AskedId(CustomerKey);

impl AskedId {
    /// Gives it as a key.
    pub(crate) fn key(&self) -> &CustomerKey {
        &self.0
    }

    /// Gives its text.
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Reads one that must be there.
    pub(crate) fn read(issues: &mut Issues, place: &Place<'_>) -> Option<Self> {
        let text = issues.string(place)?;
        let wrong = |what: &str| format!("cannot contain {what}. {ALLOWED}");
        let message = match text.chars().find(|character| !allowed(*character)) {
            _ if text.is_empty() => "can't be an empty string".to_owned(),
            None => return issues.text(place, text, 255).map(Self),
            // These three are named first, wherever they are.
            Some(_) if text.contains('@') => wrong("@ symbol"),
            Some(_) if text.contains(' ') => wrong("spaces"),
            Some(_) if text.contains('.') => wrong("periods"),
            Some(character) => wrong(&format!("'{character}'")),
        };
        issues.add(place, message)
    }
}

fn allowed(character: char) -> bool {
    character.is_ascii_alphanumeric() || "_-:".contains(character)
}

impl JsonSchema for AskedId {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "CustomerId".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[a-zA-Z0-9_:-]+$"
        })
    }
}

#[cfg(test)]
mod tests {
    use tallybook_events::json::Json;

    use super::*;

    #[test]
    fn an_id_has_letters_digits_and_three_signs() {
        let read = |text: &str| {
            let (body, mut issues) = (Json::from(text), Issues::default());
            let read = AskedId::read(&mut issues, &Place::whole(&body));
            issues.or(read).map(|id| id.as_str().to_owned())
        };
        for good in ["a", "2ee25a41-0d81-4ad2-8451-ec1aadaefe58", "user:7_X-", &"x".repeat(255)] {
            assert_eq!(read(good), Ok(good.into()));
        }
        for (bad, message) in [
            ("", "can't be an empty string".to_owned()),
            ("a b@c.d", format!("cannot contain @ symbol. {ALLOWED}")),
            ("#a b.c", format!("cannot contain spaces. {ALLOWED}")),
            ("#a.b", format!("cannot contain periods. {ALLOWED}")),
            ("a#b", format!("cannot contain '#'. {ALLOWED}")),
            ("a\u{e9}", format!("cannot contain '\u{e9}'. {ALLOWED}")),
            (&"x".repeat(256), "Too big: expected string to have <=255 characters".into()),
        ] {
            assert_eq!(read(bad), Err(format!("input: {message}")), "{bad}");
        }
    }
}
