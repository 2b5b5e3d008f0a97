//! Which usage reports were recorded, and what does each count now? Kept for ever and small: an id
//! is remembered by its hash, the names of a meter and a merchant once, an amount in ten bytes.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hash, Hasher};

use tallybook_events::customer::{Corrected, UsageRecorded, UsageReport};
use tallybook_events::ids::{Merchant, Meter, ReportId};
use tallybook_events::money::Amount;
use tallybook_events::time::Timestamp;

use super::packed::{Unpackable, Unpacking, pack_list, pack_maybe, pack_text};
use super::{packed, sip};

/// How many of the last labels are looked through for one that is there already. A customer with
/// more of them in turn keeps some twice.
const SHARED_LABELS: usize = 32;

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

/// What was used, and where it was bought.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Label {
    meter: Meter,
    merchant: Option<Merchant>,
}

/// One report, as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Report {
    /// When it was used.
    pub(super) occurred_at: Timestamp,
    /// Microseconds from the start of the segment of usage in which it counts to `occurred_at`.
    into_segment: u32,
    label: u32,
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
    labels: Vec<Label>,
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

    /// Gives when and how much was used of a meter, in trillionths, by the reports that count.
    pub(super) fn counting(&self, meter: &Meter) -> impl Iterator<Item = (Timestamp, i128)> {
        let counts = |id: ReportHash, report: &Report| {
            let root = report.correction().map_or(id, |correction| correction.root);
            self.latest.get(&root).is_none_or(|latest| *latest == id)
        };
        self.known
            .iter()
            .filter(move |(id, report)| self.meter(report) == meter && counts(**id, report))
            .map(|(_, report)| (report.occurred_at, Amount::from(report.quantity).trillionths()))
    }

    /// Tells whether a report asks what was recorded under its id.
    pub(super) fn is_repeat(&self, report: &Report, asked: &UsageReport) -> bool {
        let corrects = asked.corrects.as_ref().map(ReportHash::from);
        report.occurred_at == asked.occurred_at
            && report.quantity == asked.quantity.into()
            && report.raw == asked.cost.into()
            && self.label(report).meter == asked.meter
            && self.label(report).merchant == asked.merchant
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
        &self.label(report).meter
    }

    /// Gives the merchant that a report names.
    pub(super) fn merchant(&self, report: &Report) -> Option<&Merchant> {
        self.label(report).merchant.as_ref()
    }

    fn label(&self, report: &Report) -> &Label {
        let at = usize::try_from(report.label).expect("an index of 32 bits");
        self.labels.get(at).expect("labels are never taken away")
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
            label: self.label_number(&recorded.meter, recorded.merchant.as_ref()),
            quantity: recorded.quantity.into(),
            raw: recorded.raw.into(),
            charged: recorded.charged.into(),
            corrects,
        };
        self.known.insert(id, report);
    }

    fn label_number(&mut self, meter: &Meter, merchant: Option<&Merchant>) -> u32 {
        let from = self.labels.len().saturating_sub(SHARED_LABELS);
        let same = |known: &Label| known.meter == *meter && known.merchant.as_ref() == merchant;
        let known = self.labels[from..].iter().position(same);
        let at = known.map_or(self.labels.len(), |at| from + at);
        if at == self.labels.len() {
            self.labels.push(Label { meter: meter.clone(), merchant: merchant.cloned() });
        }
        u32::try_from(at).expect("fewer than 2^32 labels")
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

impl packed::Packed for ReportHash {
    fn pack(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_le_bytes());
        out.extend_from_slice(&self.1.to_le_bytes());
    }

    fn unpack(from: &mut Unpacking<'_>) -> Result<Self, Unpackable> {
        let mut half = || from.bytes(8)?.try_into().map(u64::from_le_bytes).map_err(|_| Unpackable);
        Ok(Self(half()?, half()?))
    }
}

impl packed::Packed for Packed {
    fn pack(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }

    fn unpack(from: &mut Unpacking<'_>) -> Result<Self, Unpackable> {
        from.bytes(10)?.try_into().map(Self).map_err(|_| Unpackable)
    }
}

impl packed::Packed for Report {
    fn pack(&self, out: &mut Vec<u8>) {
        let Self { occurred_at, into_segment, label, quantity, raw, charged, corrects } = self;
        occurred_at.pack(out);
        into_segment.pack(out);
        label.pack(out);
        for amount in [quantity, raw, charged] {
            amount.pack(out);
        }
        pack_maybe(corrects.as_deref(), out, |Correction { named, root }, out| {
            named.pack(out);
            root.pack(out);
        });
    }

    fn unpack(from: &mut Unpacking<'_>) -> Result<Self, Unpackable> {
        let correction = |from: &mut Unpacking<'_>| {
            Ok(Box::new(Correction { named: from.take()?, root: from.take()? }))
        };
        Ok(Self {
            occurred_at: from.take()?,
            into_segment: from.take()?,
            label: from.take()?,
            quantity: from.take()?,
            raw: from.take()?,
            charged: from.take()?,
            corrects: from.maybe(correction)?,
        })
    }
}

impl packed::Packed for Reports {
    fn pack(&self, out: &mut Vec<u8>) {
        let Self { known, latest, labels } = self;
        pack_list(labels.iter(), out, |Label { meter, merchant }, out| {
            pack_text(meter.as_str(), out);
            pack_maybe(merchant.as_ref(), out, |merchant, out| pack_text(merchant.as_str(), out));
        });
        pack_list(known.iter(), out, |(id, report), out| {
            id.pack(out);
            report.pack(out);
        });
        pack_list(latest.iter(), out, |(root, latest), out| {
            root.pack(out);
            latest.pack(out);
        });
    }

    fn unpack(from: &mut Unpacking<'_>) -> Result<Self, Unpackable> {
        let labels: Vec<Label> = from.list(|from| {
            Ok(Label { meter: from.text()?, merchant: from.maybe(Unpacking::text)? })
        })?;
        let mut known = HashMap::default();
        let count = from.count()?;
        known.reserve(count);
        for _ in 0..count {
            let (id, report): (ReportHash, Report) = (from.take()?, from.take()?);
            if usize::try_from(report.label).is_ok_and(|label| label < labels.len()) {
                known.insert(id, report);
            } else {
                return Err(Unpackable);
            }
        }
        let latest = from.list(|from| Ok((from.take()?, from.take()?)))?;
        Ok(Self { known, latest, labels })
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
    fn names_are_kept_once_unless_there_are_very_many() {
        let mut reports = Reports::default();
        let meter = |n: usize| format!("meter-{n}").parse::<Meter>().unwrap();
        for _ in 0..3 {
            (0..SHARED_LABELS)
                .for_each(|n| assert_eq!(reports.label_number(&meter(n), None) as usize, n));
        }
        assert_eq!(reports.labels.len(), SHARED_LABELS);
        (0..2 * SHARED_LABELS).for_each(|n| {
            reports.label_number(&meter(n), None);
        });
        assert_eq!(reports.labels.len(), 2 * SHARED_LABELS);
        let merchant = "amazon.com".parse().unwrap();
        let last = meter(2 * SHARED_LABELS - 1);
        let at = |reports: &mut Reports, merchant| reports.label_number(&last, merchant) as usize;
        assert_eq!(at(&mut reports, Some(&merchant)), 2 * SHARED_LABELS);
        assert_eq!(at(&mut reports, Some(&merchant)), 2 * SHARED_LABELS);
        assert_eq!(at(&mut reports, None), 2 * SHARED_LABELS - 1);
    }
}
