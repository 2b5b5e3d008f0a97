//! Respan (formerly Keywords AI): customers are users that gateway traffic made; what is set here are
//! their budgets and a few words about them. Its backend is Django REST Framework, and so are the
//! shapes of its refusals.
//!
//! What the vendor leaves open, decided here:
//!
//! - A key opens one environment. Asked for the other (`environment=test` with a live key), a customer
//!   is not found, and a list is empty.
//! - `null` clears where the vendor says "or null"; elsewhere it is a fault of that field. `metadata`
//!   takes the place of all there was. Unknown members and parameters are ignored.
//! - Amounts are doubles there: every one is taken, and kept exactly up to 12 digits after the point.
//! - `period_start` of an answer is the first moment of the current window. `period_end` is `null` while
//!   windows of a duration follow each other; it is told when the window is one that was set with an end.
//! - `total_period_usage` and costs are charged amounts, with the markup. `organization_name` is `null`:
//!   a tenant has no name, only the identifier that lists show as `unique_organization_id`.
//! - Deleting archives: the key is free again, and the next usage under it makes another customer.

use axum::response::Response;
use http::HeaderMap;

use super::Dialect;
use crate::gateway::auth::{AuthError, bearer_only};
use crate::gateway::guard::{Refusal, Voice};
use error::RespanError;

mod contract;
mod error;
mod asked;
mod user;
mod update;
mod users;
mod list;
mod filters;
mod listed;

/// The way that commands of this dialect came in, as it stands in the journal.
const SOURCE: &str = "respan";

/// Gives the dialect.
pub(crate) fn dialect() -> Dialect {
    Dialect::new::<Respan>(contract::contract())
}

/// How Respan says no.
struct Respan;

impl Voice for Respan {
    fn credential(headers: &HeaderMap) -> Result<&str, AuthError> {
        bearer_only(headers)
    }

    fn refuse(refusal: Refusal, _: &HeaderMap) -> Response {
        RespanError::from(refusal).into_response()
    }
}
