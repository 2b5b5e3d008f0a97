//! Autumn (useautumn.com): customers with subscriptions, purchases, balances and flags, as its API of
//! version 2.1 has them. A call names its customer in the body; `null` clears, `metadata` is merged.
//!
//! The way of a call: whose key is it, which version ([`version`]), are there requests left, was its
//! `Idempotency-Key` used before, may the key do this, and only then is the body looked at
//! ([`call`]). [`zod`] reads a body as the vendor's validator does, and says what is wrong in its words;
//! [`asked`] has the bodies, [`shown`] the answers, [`refused`] and [`voice`] say no.
//!
//! Where the vendor has more than we keep, it is ignored (`currency`, `config`, `expand`, `basis` and
//! `filter` of alerts, `delete_in_stripe`), as all unknown members are.

use super::Dialect;
use contract::contract;
use voice::Autumn;

mod contract;
mod voice;
mod version;
mod refused;
mod call;
mod zod;
mod asked;
mod shown;
mod update;
mod create;
mod delete;
mod get;
mod list;
#[cfg(test)]
mod tests;

/// The way that commands of this dialect came in, as it stands in the journal.
const SOURCE: &str = "autumn";

/// Gives the dialect.
pub(crate) fn dialect() -> Dialect {
    Dialect::new::<Autumn>(contract())
}
