//! Which usage reports were recorded, and what does each count now? Kept for ever and small: an id
//! is remembered by its hash, a meter's name once, an amount in ten bytes.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hash, Hasher};

use tallybook_events::customer::{Corrected, UsageRecorded, UsageReport};
use tallybook_events::ids::{Meter, ReportId};
use tallybook_events::money::Amount;
use tallybook_events::time::Timestamp;

use super::sip;

/// How many of the last meters are looked through for a name that is there already. A customer with
/// more meters in turn keeps some names twice.
const SHARED_METERS: usize = 32;

/// The hash of a report id: 128 bits, taken as the id itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ReportHash(pub(super) u64, pub(super) u64);

impl From<&ReportId> for ReportHash {
    fn from(id: &ReportId) -> Self {
        let (first, second) = sip::hash(id.as_str().as_bytes());
        Self(first, second)
    }
}

impl Hash for ReportHash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
    }
}

/// Takes what is a hash already as the hash.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Taken(u64);

impl Hasher for Taken {
    fn write(&mut self, bytes: &[u8]) {
        let _ = bytes;
        debug_assert!(false, "only report hashes come here");
    }
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

/// An amount in ten bytes: below 10^24 trillionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Packed([u8; 10]);

impl From<Amount> for Packed {
    fn from(amount: Amount) -> Self {
        let mut packed = [0; 10];
        packed.copy_from_slice(&amount.trillionths().to_le_bytes()[..10]);
        Self(packed)
    }
}

impl From<Packed> for Amount {
    fn from(packed: Packed) -> Self {
        let mut bytes = [0; 16];
        bytes[..10].copy_from_slice(&packed.0);
        Self::from_trillionths(i128::from_le_bytes(bytes)).expect("it was an amount")
    }
}

/// One report, as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Report {
    /// When it was used.
    pub(super) occurred_at: Timestamp,
    /// Microseconds from the start of the segment of usage in which it counts to `occurred_at`.
    into_segment: u32,
    meter: u32,
    quantity: Packed,
    raw: Packed,
    charged: Packed,
    /// For a correction.
    corrects: Option<Box<Correction>>,
}

/// What a correction names, and the report that all corrections of it go back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Correction {
    /// The report that it names.
    pub(super) named: ReportHash,
    /// The first report of the line.
    pub(super) root: ReportHash,
}

impl Report {
    /// Gives the start of the segment of usage in which the report counts.
    pub(super) fn segment(&self) -> Timestamp {
        self.occurred_at.plus_micros(-i64::from(self.into_segment))
    }

    /// Gives what was corrected, if anything.
    pub(super) fn correction(&self) -> Option<Correction> {
        self.corrects.as_deref().copied()
    }
}

/// All reports of a customer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reports {
    known: HashMap<ReportHash, Report, BuildHasherDefault<Taken>>,
    /// The last correction of each report that was corrected, by that report.
    latest: BTreeMap<ReportHash, ReportHash>,
    meters: Vec<Meter>,
}

impl Reports {
    /// Gives a report.
    pub(super) fn get(&self, id: ReportHash) -> Option<&Report> {
        self.known.get(&id)
    }

    /// Gives all reports by their hashes, in that order.
    pub(super) fn sorted(&self) -> Vec<(ReportHash, &Report)> {
        let mut reports: Vec<_> = self.known.iter().map(|(id, report)| (*id, report)).collect();
        reports.sort_unstable_by_key(|(id, _)| *id);
        reports
    }

    /// Gives which correction counts in place of a report that was corrected.
    pub(super) fn latest(&self) -> &BTreeMap<ReportHash, ReportHash> {
        &self.latest
    }

    /// Tells whether a report asks what was recorded under its id.
    pub(super) fn is_repeat(&self, report: &Report, asked: &UsageReport) -> bool {
        let corrects = asked.corrects.as_ref().map(ReportHash::from);
        report.occurred_at == asked.occurred_at
            && report.quantity == asked.quantity.into()
            && report.raw == asked.cost.into()
            && *self.meter(report) == asked.meter
            && report.corrects.as_ref().map(|correction| correction.named) == corrects
    }

    /// Gives a report's facts as they counted, under the id by which a correction names it.
    pub(super) fn corrected(&self, report: &Report, named: &ReportId) -> Corrected {
        let hour = Timestamp::from_hour(report.occurred_at.hour());
        Corrected {
            report_id: named.clone(),
            occurred_at: report.occurred_at,
            meter: self.meter(report).clone(),
            quantity: report.quantity.into(),
            raw: report.raw.into(),
            charged: report.charged.into(),
            counted_from: Some(report.segment()).filter(|from| *from > hour),
        }
    }

    /// Gives the amounts of a report: quantity, raw, charged.
    pub(super) fn amounts(report: &Report) -> [Amount; 3] {
        [report.quantity.into(), report.raw.into(), report.charged.into()]
    }

    /// Gives the meter of a report.
    pub(super) fn meter(&self, report: &Report) -> &Meter {
        let at = usize::try_from(report.meter).expect("an index of 32 bits");
        self.meters.get(at).expect("meters are never taken away")
    }

    /// Remembers a report that counts from a segment of usage on. `root` is what it goes back to.
    pub(super) fn insert(
        &mut self,
        id: ReportHash,
        recorded: &UsageRecorded,
        segment: Timestamp,
        root: Option<ReportHash>,
    ) {
        let corrects = recorded.corrects.as_ref().map(|corrected| {
            let named = ReportHash::from(&corrected.report_id);
            Box::new(Correction { named, root: root.unwrap_or(named) })
        });
        if let Some(correction) = &corrects {
            self.latest.insert(correction.root, id);
        }
        let into_segment = recorded.occurred_at.micros() - segment.micros();
        let report = Report {
            occurred_at: recorded.occurred_at,
            into_segment: u32::try_from(into_segment).expect("a segment lasts an hour at most"),
            meter: self.meter_number(&recorded.meter),
            quantity: recorded.quantity.into(),
            raw: recorded.raw.into(),
            charged: recorded.charged.into(),
            corrects,
        };
        self.known.insert(id, report);
    }

    fn meter_number(&mut self, meter: &Meter) -> u32 {
        let from = self.meters.len().saturating_sub(SHARED_METERS);
        let known = self.meters[from..].iter().position(|known| known == meter);
        let at = known.map_or(self.meters.len(), |at| from + at);
        if at == self.meters.len() {
            self.meters.push(meter.clone());
        }
        u32::try_from(at).expect("fewer than 2^32 meters")
    }
}

/// The reports of a customer together with those that a command adds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layers<'a> {
    /// What was recorded.
    pub(super) base: &'a Reports,
    /// What the command adds.
    pub(super) fresh: &'a Reports,
}

impl<'a> Layers<'a> {
    /// Gives a report, and where it is kept.
    pub(super) fn get(self, id: ReportHash) -> Option<(&'a Reports, &'a Report)> {
        let within = |reports: &'a Reports| Some((reports, reports.get(id)?));
        within(self.fresh).or_else(|| within(self.base))
    }

    /// Gives the first report of the line of corrections that a report belongs to.
    pub(super) fn root(self, id: ReportHash) -> Option<ReportHash> {
        let (_, report) = self.get(id)?;
        Some(report.correction().map_or(id, |correction| correction.root))
    }

    /// Gives the report that counts now in the line that a report belongs to, and where it is kept.
    pub(super) fn counting(self, id: ReportHash) -> Option<(&'a Reports, &'a Report)> {
        let root = self.root(id)?;
        let latest = self.fresh.latest.get(&root).or_else(|| self.base.latest.get(&root));
        self.get(latest.copied().unwrap_or(root))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_survives_packing() {
        for text in ["0", "0.000000000001", "12.5", "999999999999.999999999999"] {
            let amount: Amount = text.parse().unwrap();
            assert_eq!(Amount::from(Packed::from(amount)), amount);
        }
    }

    #[test]
    fn a_report_takes_little_room() {
        assert!(size_of::<(ReportHash, Report)>() <= 72, "{}", size_of::<(ReportHash, Report)>());
    }

    #[test]
    fn names_of_meters_are_kept_once_unless_there_are_very_many() {
        let mut reports = Reports::default();
        let meter = |n: usize| format!("meter-{n}").parse::<Meter>().unwrap();
        for _ in 0..3 {
            (0..SHARED_METERS)
                .for_each(|n| assert_eq!(reports.meter_number(&meter(n)) as usize, n));
        }
        assert_eq!(reports.meters.len(), SHARED_METERS);
        (0..2 * SHARED_METERS).for_each(|n| {
            reports.meter_number(&meter(n));
        });
        assert_eq!(reports.meters.len(), 2 * SHARED_METERS);
    }
}
