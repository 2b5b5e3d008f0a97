//! The body that makes or changes a customer, as it comes.

use std::collections::BTreeMap;

use serde::Deserialize;
use tallybook_events::field::Field;

use super::bind::Bound;

/// The members of the body. All are known to both requests.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct CustomerBody {
    pub(super) external_id: Field<String>,
    pub(super) name: Field<String>,
    pub(super) email: Field<String>,
    pub(super) address_line1: Field<String>,
    pub(super) address_line2: Field<String>,
    pub(super) address_city: Field<String>,
    pub(super) address_state: Field<String>,
    pub(super) address_postal_code: Field<String>,
    pub(super) address_country: Field<String>,
    /// `null` as a value is the empty text, as it is for the vendor's JSON reader.
    pub(super) metadata: Field<BTreeMap<String, Option<String>>>,
    pub(super) parent_customer_id: Field<String>,
    pub(super) parent_customer_external_id: Field<String>,
    pub(super) integration_entity_mapping: Field<Vec<Option<MappingBody>>>,
}

/// A customer's id at another provider. Later versions of the API spell both members otherwise, and
/// their client libraries know that spelling only.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct MappingBody {
    provider: Field<String>,
    id: Field<String>,
    provider_type: Field<String>,
    provider_entity_id: Field<String>,
}

impl MappingBody {
    /// Gives the provider; empty when it is not there.
    pub(super) fn provider(&self) -> &str {
        first(&self.provider, &self.provider_type)
    }

    /// Gives the id there; empty when it is not there.
    pub(super) fn id(&self) -> &str {
        first(&self.id, &self.provider_entity_id)
    }
}

fn first<'a>(one: &'a Field<String>, other: &'a Field<String>) -> &'a str {
    match (one, other) {
        (Field::Value(text), _) | (_, Field::Value(text)) => text,
        _ => "",
    }
}

/// The body of a change.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct UpdateBody(pub(super) CustomerBody);

/// The body that makes a customer.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct CreateBody(pub(super) CustomerBody);

impl Bound for UpdateBody {
    const NAME: &'static str = "UpdateCustomerRequest";

    fn type_of(path: &[&str]) -> (&'static str, &'static str) {
        type_of(Self::NAME, path)
    }
}

impl Bound for CreateBody {
    const NAME: &'static str = "CreateCustomerRequest";

    fn type_of(path: &[&str]) -> (&'static str, &'static str) {
        type_of(Self::NAME, path)
    }
}

fn type_of(name: &'static str, path: &[&str]) -> (&'static str, &'static str) {
    match path {
        ["metadata"] => (name, "map[string]string"),
        ["integration_entity_mapping"] => (name, "[]*dto.IntegrationEntityMapping"),
        ["integration_entity_mapping", _] => (name, "dto.IntegrationEntityMapping"),
        ["integration_entity_mapping", ..] => ("IntegrationEntityMapping", "string"),
        _ => (name, "string"),
    }
}
