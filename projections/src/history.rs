//! How did a customer stand then? Where the row of now cannot say, its history is folded again, up to a
//! version or a moment.

use std::collections::BTreeMap;

use tallybook_events::customer::CustomerDocument;
use tallybook_events::customer::entitlements::{Entitlements, Segments};
use tallybook_events::event::Event;
use tallybook_events::ids::Meter;
use tallybook_events::time::Timestamp;

use crate::customers::CustomerRow;
use crate::fold::CustomerFold;
use crate::ledger::NoRows;
use crate::projection::Facts;
use crate::queries::AsOf;

/// What answers a question about a moment.
#[derive(Debug)]
pub(crate) enum Then {
    /// Nothing: there was no such customer, or there was no such version.
    Nobody,
    /// The row of now, looked at from that moment.
    Row(Box<CustomerRow>, Timestamp),
    /// The history of the customer.
    History(Bounds),
}

/// How far a history is folded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// The last version, if that is what bounds it.
    pub(crate) last_version: Option<u64>,
    /// The last moment.
    pub(crate) last_moment: Timestamp,
    /// The moment from which what was folded is looked at.
    pub(crate) seen_at: Timestamp,
}

/// Tells what answers a question about a customer.
pub(crate) fn then(row: CustomerRow, as_of: AsOf, now: Timestamp) -> Then {
    match as_of {
        AsOf::Now => Then::Row(Box::new(row), now),
        AsOf::Version(version) if version == row.version => Then::Row(Box::new(row), now),
        AsOf::Version(version) if version == 0 || version > row.version => Then::Nobody,
        AsOf::Version(version) => Then::History(Bounds {
            last_version: Some(version),
            last_moment: Timestamp::MAX,
            seen_at: now,
        }),
        AsOf::Time(at) if at >= row.updated_at => Then::Row(Box::new(row), at),
        AsOf::Time(at) if at < row.created_at => Then::Nobody,
        AsOf::Time(at) => {
            Then::History(Bounds { last_version: None, last_moment: at, seen_at: at })
        }
    }
}

/// A history while it is folded.
#[derive(Debug)]
pub(crate) struct History {
    fold: CustomerFold,
    /// When and how much was used of each feature, in trillionths.
    moments: BTreeMap<Meter, Vec<(Timestamp, i128)>>,
}

impl History {
    /// Begins before the birth of the customer.
    pub(crate) fn unborn() -> Self {
        Self { fold: CustomerFold::unborn(), moments: BTreeMap::new() }
    }

    /// Gives the version that it has come to.
    pub(crate) fn version(&self) -> u64 {
        self.fold.version()
    }

    /// Folds facts that follow on those before.
    pub(crate) fn apply(&mut self, facts: &Facts<'_>) {
        match self.fold.apply(facts, &mut NoRows) {
            Ok(()) => {}
            Err(never) => match never {},
        }
        for fact in &facts.facts {
            each_moment(&fact.event, |meter, moment, used| {
                self.moments.entry(meter.clone()).or_default().push((moment, used));
            });
        }
    }

    /// Gives the customer document, seen from a moment.
    pub(crate) fn document(self, at: Timestamp) -> Option<CustomerDocument> {
        match self.fold.document(at, &mut NoRows) {
            Ok(document) => document,
            Err(never) => match never {},
        }
    }

    /// Gives what the customer was entitled to, seen from a moment.
    pub(crate) fn entitlements(self, at: Timestamp) -> Option<Entitlements> {
        let (row, _) = self.fold.row()?;
        let counted = row.counted();
        let mut usage = BTreeMap::new();
        for feature in counted.features() {
            let moments = self.moments.get(feature).into_iter().flatten().copied();
            usage.insert(feature.clone(), Segments::of(moments, counted.cuts(feature)));
        }
        Some(counted.answer(&usage, at))
    }
}

/// Tells when and how much of which feature was used, in trillionths, as an event has it; what was
/// corrected once more, as less than nothing.
pub(crate) fn each_moment(event: &Event, mut tell: impl FnMut(&Meter, Timestamp, i128)) {
    let Event::UsageRecorded(used) = event else { return };
    if let Some(corrected) = &used.corrects {
        let used = -corrected.quantity.trillionths();
        tell(&corrected.meter, corrected.occurred_at, used);
    }
    tell(&used.meter, used.occurred_at, used.quantity.trillionths());
}
