//! A customer as Proxy shows it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use tallybook_events::customer::{CustomerDocument, Status};
use tallybook_events::ids::CustomerId;
use tallybook_events::json::Json;

use super::number::Millis;
use super::policy::ShownPolicy;
use crate::gateway::encoded_id::BASE62;

/// What ids begin with.
pub(super) const PREFIX: &str = "cus_";
/// The provider under which the customer's type is kept among its links.
pub(super) const PROVIDER: &str = "proxy";

/// Customer type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum CustomerType {
    /// An individual person.
    #[default]
    Consumer,
    /// A business.
    Corporate,
}

impl CustomerType {
    /// Gives the name on the wire.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Consumer => "consumer",
            Self::Corporate => "corporate",
        }
    }

    /// Gives the type that a customer was made with.
    fn of(links: &BTreeMap<Box<str>, Box<str>>) -> Self {
        let told = links.get(PROVIDER).map(|told| &**told);
        if told == Some(Self::Corporate.as_str()) { Self::Corporate } else { Self::Consumer }
    }
}

/// Customer status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum CustomerStatus {
    /// Suspended.
    Pending,
    /// Active.
    Active,
    /// Archived.
    Deleted,
}

/// Unique customer id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct ShownId(String);

impl From<CustomerId> for ShownId {
    fn from(id: CustomerId) -> Self {
        Self(format!("{PREFIX}{}", BASE62.encode(id)))
    }
}

impl JsonSchema for ShownId {
    fn schema_name() -> Cow<'static, str> {
        "CustomerId".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Unique customer ID",
            "type": "string",
            "pattern": "^cus_[0-9A-Za-z]{22}$"
        })
    }
}

/// A customer.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub(super) struct Customer {
    /// Unique customer ID.
    id: ShownId,
    /// Customer type.
    #[serde(rename = "type")]
    kind: CustomerType,
    /// Customer status.
    status: CustomerStatus,
    /// Customer email.
    email: Option<Box<str>>,
    /// Customer phone number.
    phone: Option<Box<str>>,
    /// First and last name.
    name: ShownName,
    /// Spending policy controls; null when there are none.
    policy: Option<ShownPolicy>,
    /// Custom metadata.
    metadata: BTreeMap<Box<str>, Json>,
    /// When the customer was made.
    created_at: Millis,
}

/// First and last name.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline, deny_unknown_fields)]
struct ShownName {
    /// First name.
    first: Option<Box<str>>,
    /// Last name.
    last: Option<Box<str>>,
}

impl From<CustomerDocument> for Customer {
    fn from(document: CustomerDocument) -> Self {
        let CustomerDocument { id, created_at, archived_at, profile, contract, policy, .. } =
            document;
        Self {
            id: id.into(),
            kind: CustomerType::of(&document.identity.links),
            status: match (archived_at, contract.status) {
                (Some(_), _) => CustomerStatus::Deleted,
                (None, Status::Suspended) => CustomerStatus::Pending,
                (None, Status::Active) => CustomerStatus::Active,
            },
            email: profile.email,
            phone: profile.phone,
            name: ShownName { first: profile.first_name, last: profile.last_name },
            policy: policy.map(ShownPolicy::from),
            metadata: profile.metadata,
            created_at: Millis(created_at),
        }
    }
}
