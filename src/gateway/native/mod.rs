//! The native API, under `/api/v1`: every route in one place, and what its handlers share.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Serialize;

use super::Core;
use problem::Problem;

mod problem;
mod refusals;
mod guard;
mod parameters;
mod conditions;
mod asked;
mod answer;
mod commands;
mod customers;
mod usage;
mod history;
#[cfg(test)]
mod tests;

/// The way that commands of the native API came in, as it stands in the journal.
const SOURCE: &str = "api";

/// Gives the routes, each whole: a nested router would hide the prefix from the handlers.
pub(crate) fn routes(core: &Arc<Core>) -> Router {
    Router::new()
        .route("/api/v1/commands", post(commands::post))
        .route("/api/v1/customers", get(customers::list).post(customers::create))
        .route(
            "/api/v1/customers/{customer}",
            get(customers::show).patch(customers::update).delete(customers::archive),
        )
        .route("/api/v1/customers/{customer}/timeline", get(history::timeline))
        .route("/api/v1/customers/{customer}/usage", get(history::usage))
        .route("/api/v1/usage", post(usage::post))
        .route_layer(from_fn_with_state(Arc::clone(core), guard::guard))
        .with_state(Arc::clone(core))
}

/// Answers a request for a path that nothing is at.
pub(crate) async fn no_such_path() -> Response {
    Problem::new(StatusCode::NOT_FOUND, "unknown_path", "there is nothing at this path")
        .into_response()
}

/// Answers a request with a method that its path does not take. The router adds `Allow`.
pub(crate) async fn no_such_method() -> Response {
    let detail = "this path does not take this method; see the header Allow";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail).into_response()
}

/// Answers with JSON.
fn json<T: Serialize>(status: StatusCode, body: &T) -> Response {
    let body = serde_json::to_vec(body).expect("writing JSON to memory");
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}
