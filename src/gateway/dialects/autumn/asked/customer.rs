//! Which customer a call is about, and what of it is to be made or changed.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use tallybook_events::command::CustomerPatch;
use tallybook_events::field::Edit;
use tallybook_events::ids::CustomerKey;
use tallybook_events::json::Json;

use super::super::zod::{Issues, Object, Place};
use super::customer_id::AskedId;
use super::facts::Facts;

/// A call about one customer.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
pub(crate) struct OneCustomer {
    /// The caller's id of the customer, or ours.
    pub(crate) customer_id: AskedId,
}

/// A change of a customer.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
pub(crate) struct UpdateCustomer {
    /// The customer to update: the caller's id, or ours.
    pub(crate) customer_id: AskedId,
    /// What to change.
    #[serde(flatten)]
    pub(crate) change: Change,
}

/// What to change of a customer.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
pub(crate) struct Change {
    #[serde(flatten)]
    facts: Facts,
    /// New id for the customer.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    new_customer_id: Edit<AskedId>,
}

/// What to change of a customer, as older clients say it.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
pub(crate) struct LegacyChange {
    /// New id for the customer.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    id: Edit<AskedId>,
    #[serde(flatten)]
    facts: Facts,
}

/// A customer to be given, or made.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
pub(crate) struct GetOrCreate {
    /// The caller's id of the customer; `null` makes one without an id.
    #[schemars(with = "NullableId")]
    pub(crate) customer_id: Option<AskedId>,
    /// What it is to have if it is made.
    #[serde(flatten)]
    facts: Facts,
}

/// An id that may be `null`, but must be there.
struct NullableId;

impl JsonSchema for NullableId {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "NullableId".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        <Option<AskedId>>::json_schema(generator)
    }
}

/// Reads a body, or says what is wrong with it.
fn read<T>(
    body: &Json,
    read: impl FnOnce(&mut Issues, &Object<'_>) -> Option<T>,
) -> Result<T, String> {
    let mut issues = Issues::default();
    let object = issues.object(&Place::whole(body));
    let value = object.and_then(|object| read(&mut issues, &object));
    issues.or(value)
}

impl OneCustomer {
    pub(crate) fn read(body: &Json) -> Result<Self, String> {
        read(body, |issues, body| {
            Some(Self { customer_id: AskedId::read(issues, &body.at("customer_id"))? })
        })
    }
}

impl UpdateCustomer {
    pub(crate) fn read(body: &Json) -> Result<Self, String> {
        read(body, |issues, body| {
            let customer_id = AskedId::read(issues, &body.at("customer_id"));
            let facts = Facts::read(issues, body);
            let new_customer_id = issues.optional(&body.at("new_customer_id"), AskedId::read);
            let change = Change { facts: facts?, new_customer_id: new_customer_id? };
            Some(Self { customer_id: customer_id?, change })
        })
    }
}

impl LegacyChange {
    pub(crate) fn read(body: &Json) -> Result<Self, String> {
        read(body, |issues, body| {
            let id = issues.optional(&body.at("id"), AskedId::read);
            let facts = Facts::read(issues, body);
            Some(Self { id: id?, facts: facts? })
        })
    }
}

impl From<LegacyChange> for Change {
    fn from(LegacyChange { id, facts }: LegacyChange) -> Self {
        Self { facts, new_customer_id: id }
    }
}

impl Change {
    /// Gives the id that is asked for.
    pub(crate) fn new_id(&self) -> Option<&CustomerKey> {
        self.new_customer_id.as_set().map(AskedId::key)
    }

    /// Gives its facts.
    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Gives it as a patch.
    pub(crate) fn into_patch(self) -> CustomerPatch {
        let key = self.new_id().cloned().map_or(Edit::Keep, Edit::Set);
        CustomerPatch { key, ..self.facts.into_patch() }
    }
}

impl GetOrCreate {
    pub(crate) fn read(body: &Json) -> Result<Self, String> {
        read(body, |issues, body| {
            let place = body.at("customer_id");
            let customer_id = match place.value() {
                Some(Json::Null) => Some(None),
                _ => AskedId::read(issues, &place).map(Some),
            };
            let facts = Facts::read(issues, body);
            Some(Self { customer_id: customer_id?, facts: facts? })
        })
    }

    /// Gives what it is to have if it is made.
    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Gives the same as a patch.
    pub(crate) fn into_patch(self) -> CustomerPatch {
        self.facts.into_patch()
    }
}
