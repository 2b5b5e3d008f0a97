//! The ledger of one customer: which rows there are, and what the fold needs to read of them.
//! [`working::Ledger`] has those that are in memory while it is folded.

use std::convert::Infallible;

use serde::Serialize;
use tallybook_events::customer::entitlements::Segments;
use tallybook_events::ids::Meter;
use tallybook_events::money::Amount;
use tallybook_events::period::Window;
use tallybook_events::time::Timestamp;

use crate::period_usage::{RowKey, Tally};

pub mod working;

/// What is kept of one row beside its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LedgerRow {
    /// What was used.
    pub tally: Tally,
    /// For budget windows: the budget at its end (for the current one: now).
    pub budget: Option<Amount>,
    /// For hours: where all events are that count there, or no longer do.
    pub versions: Option<Versions>,
}

/// Versions of a customer, from one to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Versions {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
}

impl Versions {
    /// Makes room for one more.
    #[must_use]
    pub fn with(now: Option<Self>, version: u64) -> Self {
        let Self { first, last } = now.unwrap_or(Self { first: version, last: version });
        Self { first: first.min(version), last: last.max(version) }
    }
}

/// From when on a period budget is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetSince {
    /// Version of the customer that it came with.
    pub version: u64,
    /// The moment.
    pub since: Timestamp,
    /// The budget.
    pub budget: Option<Amount>,
}

/// Where the rows of one customer are kept.
pub trait LedgerSource {
    /// Why a row cannot be read.
    type Error;

    /// Reads one row.
    ///
    /// # Errors
    /// When the store does not answer.
    fn row(&mut self, key: &RowKey) -> Result<Option<LedgerRow>, Self::Error>;

    /// Reads the budget windows that end after a moment.
    ///
    /// # Errors
    /// When the store does not answer.
    fn windows_after(&mut self, at: Timestamp) -> Result<Vec<(Window, LedgerRow)>, Self::Error>;

    /// Reads the hours that begin in a window.
    ///
    /// # Errors
    /// When the store does not answer.
    fn hours(&mut self, window: Window) -> Result<Vec<(Window, LedgerRow)>, Self::Error>;

    /// Reads the budget that was in force just before a moment.
    ///
    /// # Errors
    /// When the store does not answer.
    fn budget_before(&mut self, at: Timestamp) -> Result<Option<Amount>, Self::Error>;

    /// Reads what was used of a feature: the segments that begin at a moment or later.
    ///
    /// # Errors
    /// When the store does not answer.
    fn segments(&mut self, feature: &Meter, from: Timestamp) -> Result<Segments, Self::Error>;

    /// Reads when and how much was used of a feature, in trillionths, of all events that are stored;
    /// what was corrected is there once more, as less than nothing.
    ///
    /// # Errors
    /// When the store does not answer.
    fn moments(&mut self, feature: &Meter) -> Result<Vec<(Timestamp, i128)>, Self::Error>;
}

/// A source without rows: of a customer that is folded from its birth.
#[derive(Debug, Clone, Copy)]
pub struct NoRows;

impl LedgerSource for NoRows {
    type Error = Infallible;

    fn row(&mut self, _: &RowKey) -> Result<Option<LedgerRow>, Infallible> {
        Ok(None)
    }

    fn windows_after(&mut self, _: Timestamp) -> Result<Vec<(Window, LedgerRow)>, Infallible> {
        Ok(Vec::new())
    }

    fn hours(&mut self, _: Window) -> Result<Vec<(Window, LedgerRow)>, Infallible> {
        Ok(Vec::new())
    }

    fn budget_before(&mut self, _: Timestamp) -> Result<Option<Amount>, Infallible> {
        Ok(None)
    }

    fn segments(&mut self, _: &Meter, _: Timestamp) -> Result<Segments, Infallible> {
        Ok(Segments::default())
    }

    fn moments(&mut self, _: &Meter) -> Result<Vec<(Timestamp, i128)>, Infallible> {
        Ok(Vec::new())
    }
}
