//! Metadata as dialects take it: any JSON by name.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use tallybook_events::text::MetadataKey;

/// Metadata that is asked for.
#[derive(Debug)]
pub(crate) struct AskedMetadata;

impl JsonSchema for AskedMetadata {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "AskedMetadata".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let names = generator.subschema_for::<MetadataKey>();
        json_schema!({"type": "object", "propertyNames": names})
    }
}
