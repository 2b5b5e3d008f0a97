//! Proxy (useproxy.ai): customers whom cards are issued to, each with a policy for what may be spent.
//!
//! What the vendor leaves open, decided here:
//!
//! - An id is `cus_` and the customer's UUID in base 62. Nothing else finds a customer.
//! - No member takes `null`, at no depth: 400. Absent members stay as they are; `name`, `policy` and
//!   `policy.limits` are merged member by member, lists of the policy are replaced as lists, `metadata`
//!   is merged at its first level. Unknown members and parameters are ignored.
//! - Amounts are cents. Asked for, they are whole numbers from 0 on, and so are minutes and days; an
//!   amount that another API has set shows what it has of a cent. `policy` is null until a rule is set.
//! - A suspended customer is `pending`, an archived one `deleted`. Deleting what is deleted is answered
//!   as if it were done now; any other change of it is a conflict. Lists show deleted customers, too.
//! - `type` is told when a customer is made, and never changes. It is kept as the customer's link to
//!   the provider `proxy`, which no other API replaces; without one, the customer is a `consumer`.
//! - Errors are `{"error":{"code","message"}}`, with the codes of the vendor's pages.
//! - An `Idempotency-Key` answers again for 24 hours, with `Idempotent-Replayed: true`; used for another
//!   request it is 422, while the first one is under way 409.

use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;

use super::Dialect;
use crate::gateway::auth::{AuthError, bearer_only};
use crate::gateway::guard::{Refusal, Voice};
use error::ProxyError;

mod contract;
mod error;
mod number;
mod policy;
mod asked;
mod customer;
mod customers;
mod list;
mod evaluate;
#[cfg(test)]
mod tests;

/// The way that commands of this dialect came in, as it stands in the journal.
const SOURCE: &str = "proxy";

/// Gives the dialect.
pub(crate) fn dialect() -> Dialect {
    Dialect::new::<Proxy>(contract::contract())
}

/// How Proxy says no.
struct Proxy;

impl Voice for Proxy {
    fn credential(headers: &HeaderMap) -> Result<&str, AuthError> {
        bearer_only(headers)
    }

    fn refuse(refusal: Refusal, _: &HeaderMap) -> Response {
        ProxyError::from(refusal).into_response()
    }
}
