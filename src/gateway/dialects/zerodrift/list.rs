//! `GET /admin/customers`: customers, cancelled ones too, the youngest first.
//!
//! The vendor's list has no pages. Ours has so many customers at most, and then a `Link` to the next.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::header::LINK;
use http::{HeaderValue, StatusCode, Uri};
use schemars::JsonSchema;
use serde::Serialize;
use tallybook_projections::queries::{CustomerFilter, ListedStatus, Order, PageRequest};

use super::asked::Tier;
use super::customer::ListedCustomer;
use super::error::ZeroDriftError;
use crate::gateway::Core;
use crate::gateway::answer::json;
use crate::gateway::auth::Caller;
use crate::gateway::query::Query;
use crate::keys::KeyScope;

/// Most customers of one answer, and as many as there are unless fewer are asked for.
pub(super) const MAX_LISTED: usize = 1_000;

/// A list of customers.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct CustomerList {
    /// The customers.
    customers: Vec<ListedCustomer>,
}

/// Lists customers.
pub(super) async fn list(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Response, ZeroDriftError> {
    caller.require(KeyScope::Read)?;
    let query = Query::read(&uri)?;
    let filter = filter(&query)?;
    let limit = match query.last("limit").map(str::parse) {
        None => MAX_LISTED,
        Some(Ok(limit @ 1..=MAX_LISTED)) => limit,
        Some(_) => {
            let error = format!("limit must be an integer from 1 to {MAX_LISTED}");
            return Err(ZeroDriftError::bad_request(error));
        }
    };
    let cursor = query.last("cursor").map(str::to_owned);
    let page = PageRequest { limit, cursor, order: Order::Descending };
    let now = core.gateway.clock.now();
    let found = core.gateway.queries.customers(caller.scope(), &filter, &page, now).await?;
    let customers = found.items.into_iter().map(ListedCustomer::from).collect();
    let mut response = json(StatusCode::OK, &CustomerList { customers });
    if let Some(next) = found.next {
        let link = format!("<{}>; rel=\"next\"", query.link(&uri, "cursor", &next));
        let link = HeaderValue::try_from(link).expect("a percent-encoded address is printable");
        response.headers_mut().insert(LINK, link);
    }
    Ok(response)
}

fn filter(query: &Query) -> Result<CustomerFilter, ZeroDriftError> {
    let status = match query.last("status") {
        None => None,
        Some("active") => Some(ListedStatus::Active),
        Some("suspended") => Some(ListedStatus::Suspended),
        Some("cancelled") => Some(ListedStatus::Archived),
        Some(_) => {
            let error = "status must be one of active, suspended, cancelled";
            return Err(ZeroDriftError::bad_request(error));
        }
    };
    let tier = match query.last("tier").map(Tier::read) {
        None => None,
        Some(Some(tier)) => Some(tier),
        Some(None) => {
            return Err(ZeroDriftError::bad_request(format!("tier {}", Tier::EXPECTED)));
        }
    };
    Ok(CustomerFilter { status, tier, ..CustomerFilter::default() })
}
