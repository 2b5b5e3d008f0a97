//! One customer while it is folded: its row and its ledger, from one decision to the next.

use tallybook_events::customer::CustomerDocument;
use tallybook_events::ids::Meter;
use tallybook_events::time::Timestamp;

use crate::customers::{CustomerRow, Customers, RowChange};
use crate::feature_usage::FeatureUsage;
use crate::ledger::LedgerSource;
use crate::ledger::working::Ledger;
use crate::period_usage::PeriodUsage;
use crate::projection::{Facts, Projection as _};

/// A customer in memory.
#[derive(Debug, Clone)]
pub struct CustomerFold {
    row: Option<CustomerRow>,
    ledger: Ledger,
    features: FeatureUsage,
    change: RowChange,
}

impl CustomerFold {
    /// Begins with nothing: the customer is not born yet.
    pub fn unborn() -> Self {
        let features = FeatureUsage::default();
        Self { row: None, ledger: Ledger::unborn(), features, change: RowChange::Nothing }
    }

    /// Goes on from a row that is stored; of its ledger nothing is read yet.
    pub fn stored(row: CustomerRow) -> Self {
        let (ledger, features) = (Ledger::default(), FeatureUsage::default());
        Self { row: Some(row), ledger, features, change: RowChange::Nothing }
    }

    /// Gives the version of the customer, 0 before its birth.
    pub fn version(&self) -> u64 {
        self.row.as_ref().map_or(0, |row| row.version)
    }

    /// Folds facts that [follow](Facts::follow) on this customer.
    ///
    /// # Errors
    /// When a row of the ledger cannot be read. The fold is then of no use any more.
    pub fn apply<S: LedgerSource>(
        &mut self,
        facts: &Facts<'_>,
        source: &mut S,
    ) -> Result<(), S::Error> {
        let mut budget = self.row.as_ref().map(|row| row.groups.budget).unwrap_or_default();
        for change in PeriodUsage::apply(&mut budget, facts) {
            self.ledger.make(&change, source)?;
        }
        let features = |row: &CustomerRow| row.counted().features().into_iter().cloned().collect();
        let before: Vec<Meter> = self.row.as_ref().map(features).unwrap_or_default();
        let changed = Customers::apply(&mut self.row, facts).into_iter().max();
        if let Some(row) = self.row.as_ref().filter(|row| !before.is_empty() || row.counts_usage())
        {
            self.features.apply(&before, row.counted(), facts, source)?;
        }
        self.change = self.change.max(changed.unwrap_or_default());
        Ok(())
    }

    /// Gives the row and how much of it changed since it was written.
    pub fn row(&self) -> Option<(&CustomerRow, RowChange)> {
        self.row.as_ref().map(|row| (row, self.change))
    }

    /// Gives the ledger.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Gives what was used of features.
    pub const fn features(&self) -> &FeatureUsage {
        &self.features
    }

    /// Notes that all is written.
    pub fn written(&mut self) {
        self.change = RowChange::Nothing;
        self.features.written();
        self.ledger.written();
    }

    /// Gives the customer document; `now` says which period is the current one.
    ///
    /// # Errors
    /// When a row of the ledger cannot be read.
    pub fn document<S: LedgerSource>(
        mut self,
        now: Timestamp,
        source: &mut S,
    ) -> Result<Option<CustomerDocument>, S::Error> {
        let Some(row) = self.row else { return Ok(None) };
        let usage = self.ledger.summary(&row.groups.budget, now, source)?;
        Ok(Some(row.document(usage)))
    }
}
