//! Feature usage: what a customer used of each feature that it has grants or usage limits of, in segments
//! within which no grant and no window of one begins or ends. Balances, and what is used of limits, are
//! reckoned of it when they are asked for.

use std::collections::{BTreeMap, BTreeSet};

use tallybook_events::customer::UsageRecorded;
use tallybook_events::customer::entitlements::{Counted, Segment, Segments};
use tallybook_events::event::Event;
use tallybook_events::ids::Meter;
use tallybook_events::time::Timestamp;

use crate::ledger::LedgerSource;
use crate::projection::Facts;

/// Most segments of one customer that are kept in memory from one batch to the next.
const KEPT_SEGMENTS: usize = 256;

/// The segments of one feature that are in memory: all there are.
#[derive(Debug, Clone, Default)]
struct Held {
    segments: Segments,
    /// Beginnings of segments to be written.
    changed: BTreeSet<Timestamp>,
    /// Whether all that is stored gives way to what is here.
    anew: bool,
}

/// The segments of one customer that are in memory, by feature.
#[derive(Debug, Clone, Default)]
pub struct FeatureUsage {
    features: BTreeMap<Meter, Held>,
}

/// What is to be written of one feature. Take away first, then write.
#[derive(Debug)]
pub struct FeatureWrites<'a> {
    /// The feature.
    pub feature: &'a Meter,
    /// Whether all that is stored is to be taken away.
    pub anew: bool,
    /// Beginnings of segments that are not there any more.
    pub dropped: Vec<Timestamp>,
    /// Segments to be written over what there is.
    pub changed: Vec<Segment>,
}

/// Tells whether an event may change what usage is counted for.
pub(crate) const fn changes_what_counts(event: &Event) -> bool {
    matches!(
        event,
        Event::PlanAttached(_)
            | Event::PlanChanged(_)
            | Event::PlanCanceled(_)
            | Event::PurchaseRecorded(_)
            | Event::BalanceGranted(_)
            | Event::GrantRevoked(_)
            | Event::FlagSet(_)
            | Event::FlagCleared(_)
            | Event::BillingControlsSet(_)
    )
}

impl FeatureUsage {
    /// Folds facts. `before` are the features that were counted before them, `after` is what is counted
    /// after them.
    ///
    /// # Errors
    /// When something that is stored cannot be read. The fold is then of no use any more.
    pub fn apply<S: LedgerSource>(
        &mut self,
        before: &[Meter],
        after: Counted<'_>,
        facts: &Facts<'_>,
        source: &mut S,
    ) -> Result<(), S::Error> {
        if facts.facts.iter().any(|fact| changes_what_counts(&fact.event)) {
            self.fit(before, after, source)?;
        }
        for fact in &facts.facts {
            if let Event::UsageRecorded(recorded) = &fact.event {
                self.count(after, recorded, source)?;
            }
        }
        Ok(())
    }

    /// Sums usage up anew where grants begin and end otherwise than before.
    fn fit<S: LedgerSource>(
        &mut self,
        before: &[Meter],
        after: Counted<'_>,
        source: &mut S,
    ) -> Result<(), S::Error> {
        for gone in before.iter().filter(|feature| !after.counts(feature)) {
            let held = Held { anew: true, ..Held::default() };
            self.features.insert(gone.clone(), held);
        }
        for feature in after.features() {
            let grants = after.cuts(feature);
            let known = before.contains(feature);
            if known && self.held(feature, source)?.segments.fit(grants.clone()) {
                continue;
            }
            let segments = Segments::of(source.moments(feature)?.into_iter(), grants);
            let changed = segments.iter().map(|segment| segment.start).collect();
            self.features.insert(feature.clone(), Held { segments, changed, anew: true });
        }
        Ok(())
    }

    /// Counts a report, and no longer what it corrects.
    fn count<S: LedgerSource>(
        &mut self,
        counted: Counted<'_>,
        recorded: &UsageRecorded,
        source: &mut S,
    ) -> Result<(), S::Error> {
        if let Some(corrected) = &recorded.corrects
            && counted.counts(&corrected.meter)
        {
            let held = self.held(&corrected.meter, source)?;
            let quantity = corrected.quantity.trillionths();
            let changed = held.segments.take(corrected.occurred_at, quantity);
            held.changed.extend(changed.map(|segment| segment.start));
        }
        if counted.counts(&recorded.meter) {
            let held = self.held(&recorded.meter, source)?;
            let grants = counted.cuts(&recorded.meter);
            let quantity = recorded.quantity.trillionths();
            let changed = held.segments.add(recorded.occurred_at, quantity, grants);
            held.changed.extend(changed.map(|segment| segment.start));
        }
        Ok(())
    }

    fn held<S: LedgerSource>(
        &mut self,
        feature: &Meter,
        source: &mut S,
    ) -> Result<&mut Held, S::Error> {
        if !self.features.contains_key(feature) {
            let segments = source.segments(feature, Timestamp::MIN)?;
            self.features.insert(feature.clone(), Held { segments, ..Held::default() });
        }
        Ok(self.features.get_mut(feature).expect("it was put in"))
    }

    /// Gives what is to be written.
    pub fn writes(&self) -> impl Iterator<Item = FeatureWrites<'_>> {
        let touched =
            self.features.iter().filter(|(_, held)| held.anew || !held.changed.is_empty());
        touched.map(|(feature, held)| {
            let there = |start: &Timestamp| {
                held.segments.iter().find(|segment| segment.start == *start).copied()
            };
            let (changed, dropped): (Vec<_>, Vec<_>) = held
                .changed
                .iter()
                .map(|start| (*start, there(start)))
                .partition(|it| it.1.is_some());
            FeatureWrites {
                feature,
                anew: held.anew,
                dropped: dropped.into_iter().map(|(start, _)| start).collect(),
                changed: changed.into_iter().filter_map(|(_, segment)| segment).collect(),
            }
        })
    }

    /// Notes that all is written, and forgets what is too much to keep in memory.
    pub fn written(&mut self) {
        let kept: usize = self.features.values().map(|held| held.segments.iter().count()).sum();
        if kept > KEPT_SEGMENTS {
            self.features.clear();
        }
        for held in self.features.values_mut() {
            held.changed.clear();
            held.anew = false;
        }
    }
}
