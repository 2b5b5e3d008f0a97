//! The native API, under `/api/v1`: what its handlers share, and how it says no.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};

use super::Core;
use super::auth::{self, AuthError};
use super::guard::{Refusal, Voice, guard};
use super::observe::Panicked;
pub(crate) use contract::contract;
use problem::Problem;

mod contract;
mod shapes;
mod problem;
mod refusals;
mod parameters;
mod conditions;
mod asked;
mod answer;
mod later;
mod commands;
mod echo;
mod customers;
mod usage;
mod history;
mod entitlements;
mod check;
#[cfg(test)]
mod tests;

/// The way that commands of the native API came in, as it stands in the journal.
const SOURCE: &str = "api";

/// Gives the routes, with their guard.
pub(crate) fn routes(core: &Arc<Core>) -> Router {
    contract()
        .routes()
        .route_layer(from_fn_with_state(Arc::clone(core), guard::<Native>))
        .with_state(Arc::clone(core))
}

/// Gives the route that only gives back what it reads, with the same guard. For measuring.
pub(crate) fn echo(path: &str, core: &Arc<Core>) -> Router {
    Router::new()
        .route(path, axum::routing::post(echo::post))
        .route_layer(from_fn_with_state(Arc::clone(core), guard::<Native>))
        .with_state(Arc::clone(core))
}

/// How the native API says no.
pub(crate) struct Native;

impl Voice for Native {
    fn credential(headers: &HeaderMap) -> Result<&str, AuthError> {
        auth::either(headers)
    }

    fn refuse(refusal: Refusal, _: &HeaderMap) -> Response {
        let problem = match refusal {
            Refusal::Unauthorized(error) => error.into(),
            Refusal::RateExceeded(exceeded) => exceeded.into(),
            Refusal::Overloaded => Problem::overloaded(),
            Refusal::TimedOut => Problem::timed_out(),
            Refusal::Panicked => Panicked.into(),
            Refusal::NoSuchPath => {
                let detail = "there is nothing at this path";
                Problem::new(StatusCode::NOT_FOUND, "unknown_path", detail)
            }
            // The router adds `Allow`.
            Refusal::NoSuchMethod => {
                let detail = "this path does not take this method; see the header Allow";
                Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
            }
        };
        problem.into_response()
    }
}

/// Says no to a request that no other API answers.
pub(crate) fn refuse(refusal: Refusal, headers: &HeaderMap) -> Response {
    Native::refuse(refusal, headers)
}
