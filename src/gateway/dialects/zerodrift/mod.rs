//! ZeroDrift's Admin API: its customers buy a number of validations a year, in tiers.
//!
//! What the vendor leaves open, decided here:
//!
//! - A customer is named by its id, a UUID; the keys of other dialects are not looked at. Unknown
//!   members and parameters are ignored.
//! - `null` is refused, except for the dates of the contract, which it clears. `metadata` takes the
//!   place of all there was. A date may be a date or a moment, whose date in UTC is taken.
//! - `status` is `active` or `suspended`; `cancelled` is what a deleted customer shows, and it takes no
//!   changes any more (409).
//! - Limits follow the tier; those that were negotiated elsewhere are shown as they are. Without a tier
//!   tier, commitment and limit are `null`.
//! - The customers' own keys for validations are not ours to make: `api_key_id`, and `api_key` and
//!   `warning` where one is made, are `null`.
//! - Usage counts the quantities of all meters, by calendar month and year in UTC. `remaining` is not
//!   below 0; `usage_percent` has two digits after the point.
//! - Lists begin with the youngest. They hold 1,000 customers at most; a `Link` leads to the next ones.
//! - Keys are refused as the vendor's gateway does it: 403 and `{"message":"Forbidden"}`.

use axum::response::Response;
use http::HeaderMap;

use super::Dialect;
use crate::gateway::auth::{AuthError, x_api_key_only};
use crate::gateway::guard::{Refusal, Voice};
use error::ZeroDriftError;

mod contract;
mod error;
mod asked;
mod customer;
mod changes;
mod customers;
mod list;
mod usage;

/// The way that commands of this dialect came in, as it stands in the journal.
const SOURCE: &str = "zerodrift";

/// Gives the dialect.
pub(crate) fn dialect() -> Dialect {
    Dialect::new::<ZeroDrift>(contract::contract())
}

/// How ZeroDrift says no.
struct ZeroDrift;

impl Voice for ZeroDrift {
    fn credential(headers: &HeaderMap) -> Result<&str, AuthError> {
        x_api_key_only(headers)
    }

    fn refuse(refusal: Refusal, _: &HeaderMap) -> Response {
        ZeroDriftError::from(refusal).into_response()
    }
}
