//! What was read of one customer's rows. Folds and answers are reckoned without waiting: they ask here,
//! and where something is not known they end with the [`Question`]. Whoever may wait has it answered
//! (`asking.rs`) and reckons anew.

use std::collections::HashMap;

use tallybook_events::customer::entitlements::Segments;
use tallybook_events::event::Event;
use tallybook_events::ids::Meter;
use tallybook_events::money::Amount;
use tallybook_events::period::Window;
use tallybook_events::time::Timestamp;

use crate::ledger::{LedgerRow, LedgerSource, Versions};
use crate::period_usage::RowKey;
use crate::spend::SpendSource;

/// Versions whose events are read at once.
const EVENTS_AT_ONCE: u64 = 2_000;

/// What is not known yet, of the rows of one customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Question {
    Row(RowKey),
    WindowsAfter(Timestamp),
    Hours(Window),
    BudgetBefore(Timestamp),
    Segments(Meter, Timestamp),
    Moments(Meter),
    LatestHour(Timestamp),
    Events(Versions),
}

/// Rows of the ledger with their spans.
pub(super) type Spans = Vec<(Window, LedgerRow)>;

/// What is known of the rows of one customer.
#[derive(Debug, Default)]
pub(super) struct Memo {
    rows: HashMap<RowKey, Option<LedgerRow>>,
    /// Budget windows that end after a moment.
    windows: Option<(Timestamp, Spans)>,
    hours: HashMap<Window, Spans>,
    budgets: HashMap<Timestamp, Option<Amount>>,
    segments: HashMap<(Meter, Timestamp), Segments>,
    moments: HashMap<Meter, Vec<(Timestamp, i128)>>,
    latest: HashMap<Timestamp, Spans>,
    /// From new to old.
    events: HashMap<Versions, Vec<Event>>,
}

impl Memo {
    pub(super) fn put_row(&mut self, key: RowKey, row: Option<LedgerRow>) {
        self.rows.insert(key, row);
    }

    pub(super) fn put_windows_after(&mut self, at: Timestamp, windows: Spans) {
        self.windows = Some((at, windows));
    }

    pub(super) fn put_hours(&mut self, window: Window, hours: Spans) {
        self.hours.insert(window, hours);
    }

    pub(super) fn put_budget_before(&mut self, at: Timestamp, budget: Option<Amount>) {
        self.budgets.insert(at, budget);
    }

    pub(super) fn put_segments(&mut self, feature: Meter, from: Timestamp, segments: Segments) {
        self.segments.insert((feature, from), segments);
    }

    pub(super) fn put_moments(&mut self, feature: Meter, moments: Vec<(Timestamp, i128)>) {
        self.moments.insert(feature, moments);
    }

    pub(super) fn put_latest_hour(&mut self, ends_by: Timestamp, hours: Spans) {
        self.latest.insert(ends_by, hours);
    }

    pub(super) fn put_events(&mut self, versions: Versions, newest_first: Vec<Event>) {
        self.events.insert(versions, newest_first);
    }
}

impl LedgerSource for Memo {
    type Error = Question;

    fn row(&mut self, key: &RowKey) -> Result<Option<LedgerRow>, Question> {
        self.rows.get(key).copied().ok_or(Question::Row(*key))
    }

    fn windows_after(&mut self, at: Timestamp) -> Result<Spans, Question> {
        match &self.windows {
            Some((after, windows)) if *after <= at => {
                Ok(windows.iter().filter(|(window, _)| window.end > at).copied().collect())
            }
            _ => Err(Question::WindowsAfter(at)),
        }
    }

    fn hours(&mut self, window: Window) -> Result<Spans, Question> {
        self.hours.get(&window).cloned().ok_or(Question::Hours(window))
    }

    fn budget_before(&mut self, at: Timestamp) -> Result<Option<Amount>, Question> {
        self.budgets.get(&at).copied().ok_or(Question::BudgetBefore(at))
    }

    fn segments(&mut self, feature: &Meter, from: Timestamp) -> Result<Segments, Question> {
        let asked = (feature.clone(), from);
        self.segments.get(&asked).cloned().ok_or(Question::Segments(asked.0, from))
    }

    fn moments(&mut self, feature: &Meter) -> Result<Vec<(Timestamp, i128)>, Question> {
        self.moments.get(feature).cloned().ok_or_else(|| Question::Moments(feature.clone()))
    }
}

impl SpendSource for Memo {
    fn latest_hour(&mut self, ends_by: Timestamp) -> Result<Spans, Question> {
        self.latest.get(&ends_by).cloned().ok_or(Question::LatestHour(ends_by))
    }

    fn events(
        &mut self,
        versions: Versions,
        enough: &mut dyn FnMut(&Event) -> bool,
    ) -> Result<(), Question> {
        let mut last = versions.last;
        while last >= versions.first {
            let first = versions.first.max(last.saturating_sub(EVENTS_AT_ONCE - 1));
            let part = Versions { first, last };
            let Some(events) = self.events.get(&part) else { return Err(Question::Events(part)) };
            if events.iter().any(&mut *enough) || first == 0 {
                return Ok(());
            }
            last = first - 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    #[test]
    fn events_are_asked_for_part_by_part_from_the_newest() {
        let mut memo = Memo::default();
        let versions = Versions { first: 5, last: 4_500 };
        let mut asked = Vec::new();
        for _ in 0..3 {
            let question = memo.events_of(versions).unwrap_err();
            let Question::Events(part) = question else { panic!("{question:?}") };
            asked.push((part.first, part.last));
            memo.put_events(part, Vec::new());
        }
        assert_eq!(asked, [(2_501, 4_500), (501, 2_500), (5, 500)]);
        assert_eq!(memo.events_of(versions), Ok(()));
    }

    #[test]
    fn later_windows_are_among_those_that_are_known() {
        let mut memo = Memo::default();
        memo.put_windows_after(at("2026-11-02"), Vec::new());
        assert_eq!(memo.windows_after(at("2026-11-03")), Ok(Vec::new()));
        let earlier = at("2026-11-01");
        let asked = memo.windows_after(earlier);
        assert_eq!(asked, Err(Question::WindowsAfter(earlier)));
    }

    impl Memo {
        fn events_of(&mut self, versions: Versions) -> Result<(), Question> {
            self.events(versions, &mut |_| false)
        }
    }
}
