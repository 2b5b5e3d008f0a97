//! What stands in requests and answers of the native API and is no type of its own elsewhere, for its
//! document.

#![expect(dead_code, reason = "only the shapes are wanted")]

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};
use tallybook_events::command::CommandType;
use tallybook_events::schemas;

use super::commands::MAX_COMMANDS;

/// How many items a page may have.
#[derive(JsonSchema)]
#[schemars(inline)]
pub(crate) struct Limit(#[schemars(range(min = 1, max = 1_000))] u16);

/// Where a page ended; opaque.
#[derive(JsonSchema)]
#[schemars(inline)]
pub(crate) struct Cursor(#[schemars(length(min = 1, max = 255))] String);

/// Direction of a list.
#[derive(JsonSchema)]
#[schemars(inline, rename_all = "snake_case")]
pub(crate) enum OrderWord {
    Asc,
    Desc,
}

/// Status of customers in lists.
#[derive(JsonSchema)]
#[schemars(inline, rename_all = "snake_case")]
pub(crate) enum StatusWord {
    Active,
    Suspended,
    Archived,
}

/// One entity tag, or `*` for any.
#[derive(JsonSchema)]
#[schemars(inline, example = "*", example = "\"v7\"")]
pub(crate) struct IfMatch(#[schemars(regex(pattern = r#"^(\*|(W/)?"[!#-+\-./0-~]*")$"#))] String);

/// A list that is the whole body.
#[derive(JsonSchema)]
#[schemars(inline)]
pub(crate) struct Many<T>(Vec<T>);

/// One command that a caller may send.
struct AnyCommand;

impl JsonSchema for AnyCommand {
    fn schema_name() -> Cow<'static, str> {
        "Command".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let kinds = CommandType::ALL.into_iter().filter(|kind| !kind.is_follow_up());
        let commands = kinds.map(|kind| over_http(schemas::asked(kind, generator)));
        json_schema!({
            "description": "A command. What is missing and not of its type is made here.",
            "oneOf": commands.collect::<Vec<Value>>(),
        })
    }
}

/// Takes away what callers may not set.
fn over_http(mut command: Schema) -> Value {
    for (member, value) in command.ensure_object() {
        if let ("properties", Some(properties)) = (member.as_str(), value.as_object_mut()) {
            properties.retain(|name, _| name != "routed" && name != "fingerprint");
        }
    }
    command.to_value()
}

/// One command, or an array of them.
pub(crate) struct OneOrMany;

impl JsonSchema for OneOrMany {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "OneOrMany".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<AnyCommand>().to_value();
        // A fault of one is told in its own answer: the array is taken all the same.
        let item = json!({"anyOf": [one, true]});
        let many = json!({"type": "array", "items": item, "minItems": 1, "maxItems": MAX_COMMANDS});
        json_schema!({"anyOf": [one, many]})
    }
}
