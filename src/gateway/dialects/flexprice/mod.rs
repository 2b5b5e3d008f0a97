//! The dialect of FlexPrice, an open-source billing system: `/flexprice/v1/customers`.
//!
//! Spoken as its API was when its page on updating customers was written, early in 2026: customers have
//! parents, and errors are nested. What is particular about it:
//!
//! - `null` is the same as absent; `metadata` is text by text and replaced as a whole; a line of the
//!   address is cleared by `""`.
//! - A body is bound before anything else is looked at, then the customer is looked up if its external
//!   id names it, then the fields are checked, then all else (see `update`).
//! - An id is `cust_` and 26 characters, our UUID in Crockford's base 32. A customer that is archived is
//!   found by its id, not by its external id.
//! - An error has the nested shape of then; clients of later versions get the flat one (see `refused`).
//! - Members that later versions of the API added (`contact`, `timezone`, ...) are ignored like all that
//!   is not known; only the later spelling of an integration's mapping is read, too (see `fields`).

use axum::response::Response;
use http::HeaderMap;

use super::Dialect;
use crate::gateway::auth::{self, AuthError};
use crate::gateway::guard::{Refusal, Voice};

mod contract;
mod named;
mod refused;
mod entry;
mod bind;
mod validator;
mod fields;
mod checked;
mod schemas;
mod ids;
mod update;
mod create;
mod customers;
mod filter;
mod list;
mod shown;

/// The dialect's name, as it stands in the journal.
const SOURCE: &str = "flexprice";

/// Gives the dialect.
pub(crate) fn dialect() -> Dialect {
    Dialect::new::<FlexPrice>(contract::contract())
}

/// How FlexPrice finds its callers, and says no.
struct FlexPrice;

impl Voice for FlexPrice {
    fn credential(headers: &HeaderMap) -> Result<&str, AuthError> {
        auth::either(headers)
    }

    fn refuse(refusal: Refusal, headers: &HeaderMap) -> Response {
        let era = refused::Era::of(headers).unwrap_or_default();
        refused::Refused::of(refusal, headers).answer(era)
    }
}
