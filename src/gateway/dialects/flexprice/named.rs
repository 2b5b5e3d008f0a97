//! What callers name: customers, and what they asked of them.

/// A customer as a caller named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    /// By its id.
    Id(String),
    /// By its external id.
    External(String),
}

/// What a caller had asked, as far as refusals tell it back.
#[derive(Debug)]
pub(super) struct AskedFor {
    /// The customer.
    pub(super) customer: Name,
    /// The parent.
    pub(super) parent: Option<Name>,
    /// Whether the customer was to be made.
    pub(super) made: Made,
}

/// Whether a customer is made or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    /// It is made.
    New,
    /// It is there.
    Known,
}
