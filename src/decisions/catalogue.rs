//! The tiers there are and what each grants. From configuration; a decision records what it took.

use std::collections::BTreeMap;

use tallybook_events::customer::Terms;
use tallybook_events::text::TierName;

/// Terms by tier.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TierCatalogue {
    tiers: BTreeMap<TierName, Terms>,
}

impl TierCatalogue {
    /// Makes a catalogue.
    pub fn new(tiers: impl IntoIterator<Item = (TierName, Terms)>) -> Self {
        Self { tiers: tiers.into_iter().collect() }
    }

    /// Gives what a tier grants.
    pub fn terms(&self, tier: &TierName) -> Option<Terms> {
        self.tiers.get(tier).copied()
    }

    /// Gives the names of the tiers.
    pub fn names(&self) -> impl Iterator<Item = &TierName> {
        self.tiers.keys()
    }
}
