//! What callers may send, for the document. The server reads all of it as text first and checks it
//! itself, to refuse it in the vendor's order and words; here stands what passes.

#![expect(dead_code, reason = "these types are told in the document, and never made")]

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use tallybook_events::ids::{CustomerKey, Token};
use tallybook_events::text::{Country, Email, MetadataKey, Text};

/// What is to be changed. What is absent or null stays as it is; both parents may not be there.
#[derive(JsonSchema)]
#[schemars(extend("anyOf" = [
    {"properties": {"parent_customer_id": {"type": "null"}}},
    {"properties": {"parent_customer_external_id": {"type": "null"}}},
]))]
pub(super) struct UpdateCustomerRequest {
    /// Another external id. The one until now is free then.
    external_id: Option<CustomerKey>,
    /// Name of the person or company.
    #[schemars(length(min = 1))]
    name: Option<Text<255>>,
    /// E-mail address.
    email: Option<Email>,
    /// Primary address line, at most 255 bytes; empty text clears it.
    address_line1: Option<Text<255>>,
    /// Secondary address line, at most 255 bytes; empty text clears it.
    address_line2: Option<Text<255>>,
    /// City, at most 100 bytes; empty text clears it.
    address_city: Option<Text<100>>,
    /// State, province or region, at most 100 bytes; empty text clears it.
    address_state: Option<Text<100>>,
    /// Postal code, at most 20 bytes; empty text clears it.
    address_postal_code: Option<Text<20>>,
    /// Country, ISO 3166-1 alpha-2.
    address_country: Option<Country>,
    /// The whole metadata from now on.
    #[schemars(default, schema_with = "metadata")]
    metadata: (),
    /// The parent's id; empty text clears it.
    parent_customer_id: Option<String>,
    /// The parent's external id; empty text clears it.
    parent_customer_external_id: Option<String>,
    /// Ids of the customer at other providers; one for each provider is kept.
    integration_entity_mapping: Option<Vec<IntegrationEntityMapping>>,
}

/// The customer to be made. Empty text is the same as none; both parents may not be there.
#[derive(JsonSchema)]
#[schemars(extend("anyOf" = [
    {"properties": {"parent_customer_id": {"type": "null"}}},
    {"properties": {"parent_customer_external_id": {"type": "null"}}},
]))]
pub(super) struct CreateCustomerRequest {
    /// The customer's identifier in the caller's own system.
    external_id: CustomerKey,
    /// Name of the person or company.
    name: Option<Text<255>>,
    /// E-mail address.
    email: Option<OrEmpty<Email>>,
    /// Primary address line, at most 255 bytes.
    address_line1: Option<Text<255>>,
    /// Secondary address line, at most 255 bytes.
    address_line2: Option<Text<255>>,
    /// City, at most 100 bytes.
    address_city: Option<Text<100>>,
    /// State, province or region, at most 100 bytes.
    address_state: Option<Text<100>>,
    /// Postal code, at most 20 bytes.
    address_postal_code: Option<Text<20>>,
    /// Country, ISO 3166-1 alpha-2.
    address_country: Option<OrEmpty<Country>>,
    /// Key and value pairs.
    #[schemars(default, schema_with = "metadata")]
    metadata: (),
    /// The parent's id.
    parent_customer_id: Option<String>,
    /// The parent's external id.
    parent_customer_external_id: Option<String>,
    /// Ids of the customer at other providers; one for each provider is kept.
    integration_entity_mapping: Option<Vec<IntegrationEntityMapping>>,
}

/// A text, or the empty one.
#[derive(JsonSchema)]
#[serde(untagged)]
pub(super) enum OrEmpty<T> {
    /// It.
    Text(T),
    /// Nothing.
    Empty(#[schemars(extend("const" = ""))] String),
}

/// A customer's id at another provider.
#[derive(JsonSchema)]
#[serde(untagged)]
enum IntegrationEntityMapping {
    /// As it was spelled early in 2026.
    Then {
        /// The provider.
        provider: Provider,
        /// The id there.
        id: Token,
    },
    /// As later versions spell it.
    Later {
        /// The provider.
        provider_type: Provider,
        /// The id there.
        provider_entity_id: Token,
    },
}

/// A provider.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Provider {
    /// Stripe.
    Stripe,
}

fn metadata(generator: &mut SchemaGenerator) -> Schema {
    let values = <BTreeMap<String, Option<Text<65_536>>>>::json_schema(generator);
    let mut schema = json_schema!({
        "type": ["object", "null"],
        "propertyNames": MetadataKey::json_schema(generator),
        "maxProperties": 512,
    });
    if let Some(of_each) = values.get("additionalProperties") {
        schema.insert("additionalProperties".to_owned(), of_each.clone());
    }
    schema
}

/// Most items of a list; 0 for the default.
pub(super) struct Limit;

impl JsonSchema for Limit {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Limit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "minimum": 0, "maximum": 1000})
    }
}

/// How many items are left out.
pub(super) struct Offset;

impl JsonSchema for Offset {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Offset".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "minimum": 0, "maximum": i64::MAX})
    }
}

/// A moment of RFC 3339.
pub(super) struct Moment;

impl JsonSchema for Moment {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time"})
    }
}

/// Direction of a list.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Direction {
    /// From the smallest, or the oldest.
    Asc,
    /// From the largest, or the newest.
    Desc,
}

/// What may be shown with a customer.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Expanded {
    /// Its parent.
    ParentCustomer,
    /// Nothing.
    #[serde(rename = "")]
    Nothing,
}

/// The shapes that errors have.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ErrorFormat {
    /// That of early 2026; the default.
    Nested,
    /// That of later versions.
    Flat,
}
