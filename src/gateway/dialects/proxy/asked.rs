//! What requests ask for: the bodies that make and change a customer, and the customer in an address.

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use bytes::Bytes;
use http::HeaderMap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use tallybook_events::command::CustomerPatch;
use tallybook_events::customer::{IdentityPatch, ProfilePatch};
use tallybook_events::field::{Edit, Patch};
use tallybook_events::ids::CustomerId;
use tallybook_events::json::Json;
use tallybook_events::text::{Email, MetadataKey, Name, Phone};

use super::customer::{CustomerType, PREFIX, PROVIDER};
use super::error::ProxyError;
use super::policy::{AskedPolicy, set};
use crate::gateway::Core;
use crate::gateway::body::{self, JSON, MAX_SINGLE};
use crate::gateway::encoded_id::BASE62;

/// What may be changed. What is absent stays as it is; nothing may be null.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct UpdateCustomerRequest {
    /// Customer email.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    email: Edit<Email>,
    /// Customer phone number, in E.164 form.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    phone: Edit<Phone>,
    /// First and last name, each by itself.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    name: Edit<AskedName>,
    /// Spending policy controls.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    policy: Edit<AskedPolicy>,
    /// Custom metadata, merged into what there is.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    #[schemars(with = "Metadata")]
    metadata: Edit<BTreeMap<MetadataKey, NotNull>>,
}

/// What a customer is made with.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct CreateCustomerRequest {
    /// Customer type. It never changes.
    #[serde(rename = "type", default, skip_serializing_if = "Edit::is_keep")]
    customer_type: Edit<CustomerType>,
    /// Customer email.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    email: Edit<Email>,
    /// Customer phone number, in E.164 form.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    phone: Edit<Phone>,
    /// First and last name.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    name: Edit<AskedName>,
    /// Spending policy controls.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    policy: Edit<AskedPolicy>,
    /// Custom metadata.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    #[schemars(with = "Metadata")]
    metadata: Edit<BTreeMap<MetadataKey, NotNull>>,
}

/// First and last name.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(inline)]
struct AskedName {
    /// First name.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    first: Edit<Name>,
    /// Last name.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    last: Edit<Name>,
}

impl From<UpdateCustomerRequest> for CustomerPatch {
    fn from(asked: UpdateCustomerRequest) -> Self {
        let UpdateCustomerRequest { email, phone, name, policy, metadata } = asked;
        let AskedName { first, last } = match name {
            Edit::Set(name) => name,
            Edit::Keep => AskedName::default(),
        };
        let member = |(name, NotNull(value))| (name, Some(value));
        Self {
            profile: Edit::Set(ProfilePatch {
                email: set(email, |email| email),
                phone: set(phone, |phone| phone),
                first_name: set(first, |name| name),
                last_name: set(last, |name| name),
                metadata: set(metadata, |members| members.into_iter().map(member).collect()),
                ..ProfilePatch::default()
            }),
            policy: set(policy, AskedPolicy::into),
            ..Self::default()
        }
    }
}

impl From<CreateCustomerRequest> for CustomerPatch {
    fn from(asked: CreateCustomerRequest) -> Self {
        let CreateCustomerRequest { customer_type, email, phone, name, policy, metadata } = asked;
        let identity = match customer_type {
            Edit::Keep => Edit::Keep,
            Edit::Set(customer_type) => {
                let provider = PROVIDER.parse().expect("a plain word");
                let told = customer_type.as_str().parse().expect("a plain word");
                let links = Patch::Set([(provider, Some(told))].into());
                Edit::Set(IdentityPatch { links, ..IdentityPatch::default() })
            }
        };
        Self { identity, ..UpdateCustomerRequest { email, phone, name, policy, metadata }.into() }
    }
}

/// A value of the metadata: any but null, and with no null inside.
#[derive(Debug)]
struct NotNull(Json);

impl<'de> Deserialize<'de> for NotNull {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Json::deserialize(deserializer)?;
        if holds_null(&value) {
            return Err(D::Error::custom("may not be null, nor have null in it"));
        }
        Ok(Self(value))
    }
}

/// Nesting is bounded where the text is read.
fn holds_null(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::Bool(_) | Json::Number(_) | Json::String(_) => false,
        Json::Array(items) => items.iter().any(holds_null),
        Json::Object(members) => members.values().any(holds_null),
    }
}

/// Metadata that is asked for.
struct Metadata;

impl JsonSchema for Metadata {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Metadata".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let name = generator.subschema_for::<MetadataKey>();
        let value = generator.subschema_for::<NotNull>();
        json_schema!({"type": "object", "propertyNames": name, "additionalProperties": value})
    }
}

impl JsonSchema for NotNull {
    fn schema_name() -> Cow<'static, str> {
        "MetadataValue".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<Self>();
        json_schema!({
            "description": "Any value but null, with no null in it",
            "anyOf": [
                {"type": ["string", "number", "boolean"]},
                {"type": "array", "items": value},
                {"type": "object", "additionalProperties": value}
            ]
        })
    }
}

/// A path's last part, percent-decoded.
pub(super) type IdInPath = Result<Path<String>, PathRejection>;

/// Reads which customer a path means. What can be no id is nobody's.
pub(super) fn customer(id: IdInPath) -> Result<CustomerId, ProxyError> {
    let Path(text) = id.map_err(|_| ProxyError::not_found())?;
    customer_id(&text).ok_or_else(ProxyError::not_found)
}

/// Reads an id of a customer.
pub(super) fn customer_id(text: &str) -> Option<CustomerId> {
    BASE62.decode(text.strip_prefix(PREFIX)?)
}

/// Reads a body of JSON.
pub(super) async fn body(
    core: &Core,
    headers: &HeaderMap,
    unread: Body,
) -> Result<Bytes, ProxyError> {
    body::check_type(headers, &[JSON])?;
    Ok(body::read(headers, unread, MAX_SINGLE, core.gateway.timeouts.body).await?)
}
