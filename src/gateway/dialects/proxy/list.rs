//! `GET /v1/customers`: customers page by page, in the order of their birth.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use tallybook_projections::queries::{CustomerFilter, Order, PageRequest};

use super::customer::Customer;
use super::error::ProxyError;
use crate::gateway::Core;
use crate::gateway::answer::json;
use crate::gateway::auth::Caller;
use crate::gateway::query::Query;
use crate::keys::KeyScope;

/// Customers of a page, unless asked otherwise.
const DEFAULT_LIMIT: usize = 50;
/// Most customers of a page.
const MAX_LIMIT: usize = 100;

/// A page of customers.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub(super) struct CustomerPage {
    /// The customers.
    data: Vec<Customer>,
    /// Cursor for the next page of results; null on the last one.
    next_cursor: Option<String>,
}

/// How many customers a page has.
pub(super) struct Limit;

impl JsonSchema for Limit {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Limit".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT
        })
    }
}

/// Lists customers, deleted ones, too.
pub(super) async fn list(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Response, ProxyError> {
    caller.require(KeyScope::Read)?;
    let query = Query::read(&uri)?;
    let limit = match query.last("limit") {
        None => DEFAULT_LIMIT,
        Some(text) => {
            text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit)).ok_or_else(|| {
                ProxyError::parameter("limit must be a whole number from 1 to 100")
            })?
        }
    };
    let cursor = query.last("cursor").map(str::to_owned);
    let page = PageRequest { limit, cursor, order: Order::Ascending };
    let (all, now) = (CustomerFilter::default(), core.gateway.clock.now());
    let found = core.gateway.queries.customers(caller.scope(), &all, &page, now).await?;
    let data = found.items.into_iter().map(Customer::from).collect();
    Ok(json(StatusCode::OK, &CustomerPage { data, next_cursor: found.next }))
}
