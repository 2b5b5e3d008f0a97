//! Lists of customers, and the answer to a deletion.

use schemars::JsonSchema;
use serde::Serialize;

use super::customer::Customer;

/// A page of customers.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum CustomerList<'a> {
    /// By cursor, from version 2.3 on.
    ByCursor {
        /// The customers. Fewer than asked for do not mean that there are no more.
        list: Vec<Customer<'a>>,
        /// Where the next page begins; nothing after the last.
        next_cursor: Option<String>,
    },
    /// By number, before version 2.3.
    ByNumber {
        /// The customers.
        list: Vec<Customer<'a>>,
        /// How many of them.
        total: usize,
        /// How many were asked for.
        limit: u32,
        /// How many were skipped.
        offset: u32,
        /// Whether there are more.
        has_more: bool,
    },
}

/// A customer was deleted.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Deleted {
    /// It was.
    pub(crate) success: bool,
}
