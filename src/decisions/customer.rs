//! The state of one customer.

/// A customer, as far as rules need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customer {
    /// Number of events.
    pub version: u64,
}
