//! The tiers there are and what each grants. From configuration; a decision records what it took.

use std::collections::BTreeMap;

use tallybook_events::customer::Terms;
use tallybook_events::money::Amount;
use tallybook_events::text::TierName;

/// Terms by tier.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TierCatalogue {
    tiers: BTreeMap<TierName, Terms>,
}

/// Tier, USD per year, units per year, requests per second, requests at once.
const BUILTIN: [(&str, u32, u64, u64, u64); 5] = [
    ("starter", 100_000, 2_000_000, 50, 100),
    ("growth", 250_000, 10_000_000, 100, 200),
    ("scale", 500_000, 30_000_000, 200, 400),
    ("enterprise", 1_000_000, 80_000_000, 500, 1_000),
    ("custom", 2_000_000, 200_000_000, 1_000, 2_000),
];

impl TierCatalogue {
    /// Makes a catalogue.
    pub fn new(tiers: impl IntoIterator<Item = (TierName, Terms)>) -> Self {
        Self { tiers: tiers.into_iter().collect() }
    }

    /// Gives the catalogue for when the configuration has none.
    ///
    /// # Panics
    /// Never: the names in it are tier names.
    pub fn builtin() -> Self {
        Self::new(BUILTIN.map(|(name, commitment, limit, rate, burst)| {
            let terms = Terms {
                annual_commitment: Some(Amount::from(commitment)),
                annual_limit: Some(limit),
                rate_per_second: Some(rate),
                burst: Some(burst),
            };
            (name.parse().expect("a short plain name"), terms)
        }))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builtin_catalogue_has_five_tiers() {
        let catalogue = TierCatalogue::builtin();
        let names: Vec<&str> = catalogue.names().map(TierName::as_str).collect();
        assert_eq!(names, ["custom", "enterprise", "growth", "scale", "starter"]);
        assert_eq!(
            catalogue.terms(&"growth".parse().unwrap()),
            Some(Terms {
                annual_commitment: Some(Amount::from(250_000)),
                annual_limit: Some(10_000_000),
                rate_per_second: Some(100),
                burst: Some(200),
            })
        );
        assert_eq!(catalogue.terms(&"Growth".parse().unwrap()), None);
    }
}
