//! `GET /v1/customers` and `POST /v1/customers/search`: lists customers.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tallybook_events::field::Field;

use super::bind::bind;
use super::entry::Entry;
use super::filter::conditions::SortCondition;
use super::filter::{BAD_FILTER, FilterBody, Wanted, wanted};
use super::refused::{Code, Refused};
use super::shown::CustomerResponse;
use crate::gateway::Core;
use crate::gateway::answer::json;
use crate::gateway::auth::Caller;
use crate::gateway::query::Query;
use crate::keys::KeyScope;

/// A list of customers.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ListCustomersResponse {
    /// The customers.
    items: Vec<CustomerResponse>,
    /// Which part of the list it is.
    pagination: PaginationResponse,
}

/// Which part of a list it is.
#[derive(Debug, Serialize, JsonSchema)]
struct PaginationResponse {
    /// How many there are in all.
    total: u64,
    /// Most items that there could be.
    limit: usize,
    /// How many were left out first.
    offset: u64,
}

/// Lists customers by the query.
pub(super) async fn list(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    let (entry, _) = Entry::of(&core, &caller, request);
    let listed = async {
        entry.admit(KeyScope::Read)?;
        listed(&entry, wanted(of_query(&entry.query(BAD_FILTER)?)?)?).await
    };
    let result = listed.await;
    entry.answer(result)
}

/// Lists customers by the body.
pub(super) async fn search(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    let (entry, body) = Entry::of(&core, &caller, request);
    let listed = async {
        entry.admit(KeyScope::Read)?;
        listed(&entry, wanted(bind(&entry.body(body).await?, BAD_FILTER)?)?).await
    };
    let result = listed.await;
    entry.answer(result)
}

async fn listed(entry: &Entry<'_>, wanted: Wanted) -> Result<Response, Refused> {
    let Wanted { filter, slice, parents } = wanted;
    let gateway = &entry.core.gateway;
    let (scope, now) = (entry.caller.scope(), gateway.clock.now());
    let found = gateway.queries.slice(scope, &filter, &slice, now).await?;
    let items = entry.core.all_shown_in_flexprice(found.items, parents).await?;
    let pagination =
        PaginationResponse { total: found.total, limit: slice.limit, offset: slice.offset };
    Ok(json(StatusCode::OK, &ListCustomersResponse { items, pagination }))
}

/// Reads a filter of a query. A parameter that is there several times counts as its first, or as a list.
fn of_query(query: &Query) -> Result<FilterBody, Refused> {
    let first = |name: &str| query.all(name).next().map(str::to_owned);
    let text = |name: &str| first(name).map_or(Field::Absent, Field::Value);
    let all = |name: &str| Field::Value(query.all(name).map(str::to_owned).collect());
    let number = |name: &str| match first(name) {
        None => Ok(Field::Absent),
        Some(value) if value.is_empty() => Ok(Field::Absent),
        Some(value) => value.parse().map(Field::Value).map_err(|_| {
            let internal = format!("strconv.ParseInt: parsing {value:?}: invalid syntax");
            Refused::new(Code::ValidationError, BAD_FILTER, internal)
        }),
    };
    let direction = first("order").unwrap_or_else(|| "desc".to_owned());
    let sort = first("sort").filter(|field| !field.is_empty());
    Ok(FilterBody {
        limit: number("limit")?,
        offset: number("offset")?,
        status: text("status"),
        order: text("order"),
        expand: text("expand"),
        start_time: text("start_time"),
        end_time: text("end_time"),
        customer_ids: all("customer_ids"),
        external_ids: all("external_ids"),
        external_id: text("external_id"),
        email: text("email"),
        parent_customer_ids: all("parent_customer_ids"),
        sort: sort.map_or(Field::Absent, |field| {
            Field::Value(vec![SortCondition::by(&field, &direction)])
        }),
        ..FilterBody::default()
    })
}
