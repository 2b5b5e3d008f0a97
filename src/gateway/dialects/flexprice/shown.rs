//! Customers as FlexPrice shows them.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use tallybook_events::customer::CustomerDocument;
use tallybook_events::ids::{CustomerId, CustomerRef, Scope};
use tallybook_events::json::Json;
use tallybook_events::time::Timestamp;
use tallybook_projections::queries::{AsOf, Authors, ReadError};

use super::ids;
use crate::gateway::Core;

/// What an id looks like.
const ID: &str = "^cust_[0-7][0-9A-HJKMNP-TV-Z]{25}$";

/// Describes a member that is always there, and may be null.
fn id_or_null(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": ["string", "null"], "pattern": ID})
}

/// A customer. Its members have the order of the vendor's own.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CustomerResponse {
    /// Its id.
    #[schemars(extend("pattern" = ID))]
    id: String,
    /// Its identifier in the caller's own system; empty when it has none.
    external_id: String,
    /// Name of the person or company.
    name: String,
    /// E-mail address.
    email: String,
    /// The parent's id.
    #[schemars(schema_with = "id_or_null")]
    parent_customer_id: Option<String>,
    /// Primary address line.
    address_line1: String,
    /// Secondary address line.
    address_line2: String,
    /// City.
    address_city: String,
    /// State, province or region.
    address_state: String,
    /// Postal code.
    address_postal_code: String,
    /// Country, ISO 3166-1 alpha-2.
    address_country: String,
    /// Key and value pairs. A value that is no text, which another API may have set, is shown as JSON.
    metadata: BTreeMap<String, String>,
    /// The environment.
    environment_id: String,
    /// The tenant.
    tenant_id: String,
    /// Whether it may still be changed.
    status: Status,
    /// When it was made.
    created_at: Timestamp,
    /// When it was changed last.
    updated_at: Timestamp,
    /// Who made it.
    created_by: String,
    /// Who changed it last.
    updated_by: String,
    /// The parent, where it is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent_customer: Option<Box<CustomerResponse>>,
}

/// Status of a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// It is there.
    Published,
    /// It was deleted: it takes no changes, and its external id is free.
    Archived,
}

/// Whether a customer's parent is shown with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parents {
    /// It is.
    Shown,
    /// Only its id is.
    Named,
}

impl CustomerResponse {
    fn of(document: CustomerDocument, authors: &Authors) -> Self {
        let CustomerDocument { profile, identity, .. } = document;
        let text = |text: Option<Box<str>>| text.map(String::from).unwrap_or_default();
        Self {
            id: ids::shown(document.id),
            external_id: document.key.map(|key| key.to_string()).unwrap_or_default(),
            name: text(profile.name),
            email: text(profile.email),
            parent_customer_id: identity.parent.map(ids::shown),
            address_line1: text(profile.address.line1),
            address_line2: text(profile.address.line2),
            address_city: text(profile.address.city),
            address_state: text(profile.address.state),
            address_postal_code: text(profile.address.postal_code),
            address_country: text(profile.address.country),
            metadata: profile.metadata.into_iter().map(member).collect(),
            environment_id: document.environment.to_string(),
            tenant_id: document.tenant.to_string(),
            status: document.archived_at.map_or(Status::Published, |_| Status::Archived),
            created_at: document.created_at,
            updated_at: document.updated_at,
            created_by: authors.created.to_string(),
            updated_by: authors.updated.to_string(),
            parent_customer: None,
        }
    }
}

fn member((name, value): (Box<str>, Json)) -> (String, String) {
    let text = match value {
        Json::String(text) => text.into(),
        other @ (Json::Null
        | Json::Bool(_)
        | Json::Number(_)
        | Json::Array(_)
        | Json::Object(_)) => serde_json::to_string(&other).expect("writing JSON to memory"),
    };
    (name.into(), text)
}

impl Core {
    /// Shows one customer.
    pub(super) async fn shown_in_flexprice(
        &self,
        document: CustomerDocument,
        parents: Parents,
    ) -> Result<CustomerResponse, ReadError> {
        let shown = self.all_shown_in_flexprice(vec![document], parents).await?.pop();
        shown.ok_or(ReadError::Behind)
    }

    /// Shows customers.
    pub(super) async fn all_shown_in_flexprice(
        &self,
        documents: Vec<CustomerDocument>,
        parents: Parents,
    ) -> Result<Vec<CustomerResponse>, ReadError> {
        let known = match parents {
            Parents::Named => BTreeMap::new(),
            Parents::Shown => self.parents_of(&documents).await?,
        };
        let mut above = BTreeMap::new();
        let (ids, parents): (Vec<CustomerId>, Vec<CustomerDocument>) = known.into_iter().unzip();
        for (id, parent) in ids.into_iter().zip(self.with_authors(parents).await?) {
            above.insert(id, parent);
        }
        let of: Vec<Option<CustomerId>> =
            documents.iter().map(|document| document.identity.parent).collect();
        let mut shown = Vec::with_capacity(documents.len());
        for (parent, (document, authors)) in of.into_iter().zip(self.with_authors(documents).await?)
        {
            let parent = parent.and_then(|id| above.get(&id));
            let parent_customer = parent.map(|(document, authors)| {
                Box::new(CustomerResponse::of(document.clone(), authors))
            });
            shown.push(CustomerResponse {
                parent_customer,
                ..CustomerResponse::of(document, &authors)
            });
        }
        Ok(shown)
    }

    /// Gives the parents of customers. They have none themselves.
    async fn parents_of(
        &self,
        documents: &[CustomerDocument],
    ) -> Result<BTreeMap<CustomerId, CustomerDocument>, ReadError> {
        let now = self.gateway.clock.now();
        let mut found = BTreeMap::new();
        for document in documents {
            let Some(parent) = document.identity.parent.filter(|id| !found.contains_key(id)) else {
                continue;
            };
            let (tenant, environment) = (document.tenant.clone(), document.environment);
            let (scope, by_id) = (Scope { tenant, environment }, CustomerRef::Id(parent));
            let read = self.gateway.queries.customer(&scope, &by_id, AsOf::Now, now).await?;
            found.extend(read.map(|document| (parent, document)));
        }
        Ok(found)
    }

    /// Adds to each customer who made it and who changed it last.
    async fn with_authors(
        &self,
        documents: Vec<CustomerDocument>,
    ) -> Result<Vec<(CustomerDocument, Authors)>, ReadError> {
        let of: Vec<(CustomerId, u64)> =
            documents.iter().map(|document| (document.id, document.version)).collect();
        let authors = self.gateway.queries.authors(&of).await?;
        let both = documents.into_iter().zip(authors);
        both.map(|(document, authors)| Ok((document, authors.ok_or(ReadError::Behind)?))).collect()
    }
}
