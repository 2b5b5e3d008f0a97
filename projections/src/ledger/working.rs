//! The ledger of one customer while it is folded: the rows that the fold reads and writes, each read
//! once and written once however often it changes in between.

use std::collections::{BTreeMap, BTreeSet};

use tallybook_events::customer::{Budget, LifetimeSummary, PeriodSummary, UsageSummary};
use tallybook_events::money::{Amount, Total};
use tallybook_events::period::{Schedule, Window};
use tallybook_events::time::Timestamp;

use super::{BudgetSince, LedgerRow, LedgerSource, Versions};
use crate::period_usage::{LedgerChange, Measure, RowKey, RowKind, Tally};
use crate::queries::PeriodKind;

/// Most rows of one customer that are kept in memory from one batch to the next.
const KEPT_ROWS: usize = 16;
/// Most budget windows among them.
const KEPT_WINDOWS: usize = 4;

#[derive(Debug, Clone, Copy, Default)]
struct Held {
    row: LedgerRow,
    changed: bool,
}

/// The rows of one customer that are in memory.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    rows: BTreeMap<RowKey, Held>,
    /// Budget windows that end after this moment are all in memory. None: not known of any.
    windows_after: Option<Timestamp>,
    /// Whether all rows there are are in memory.
    whole: bool,
    /// Rows to be taken away.
    dropped: BTreeSet<RowKey>,
    /// Budgets to be remembered.
    budgets: Vec<BudgetSince>,
}

/// What is to be written of a ledger. Take away first, then write.
#[derive(Debug)]
pub struct LedgerWrites<'a> {
    /// Rows to be taken away.
    pub dropped: Vec<RowKey>,
    /// Rows to be written over what there is.
    pub changed: Vec<(RowKey, &'a LedgerRow)>,
    /// Budgets to be remembered.
    pub budgets: &'a [BudgetSince],
}

impl Ledger {
    /// Makes the ledger of a customer that is not born yet: nothing need be read.
    pub fn unborn() -> Self {
        Self { whole: true, windows_after: Some(Timestamp::MIN), ..Self::default() }
    }

    /// Tells whether a row is in memory, or known not to be there.
    pub fn knows(&self, key: &RowKey) -> bool {
        self.whole || self.rows.contains_key(key) || self.dropped.contains(key)
    }

    /// Tells whether all budget windows that end after a moment are in memory.
    pub fn knows_windows_after(&self, at: Timestamp) -> bool {
        self.windows_after.is_some_and(|after| after <= at)
    }

    /// Makes one change.
    ///
    /// # Errors
    /// When a row cannot be read. The ledger is then of no use any more.
    pub fn make<S: LedgerSource>(
        &mut self,
        change: &LedgerChange,
        source: &mut S,
    ) -> Result<(), S::Error> {
        match *change {
            LedgerChange::Counted { measure, period, hour, version, decided_at, budget } => {
                self.load_windows(period.start.min(hour), source)?;
                if !self.rows.contains_key(&RowKey::budget(period)) {
                    let budget = if period.end > decided_at {
                        budget
                    } else {
                        self.budget_before(period.end, source)?
                    };
                    self.open(period, budget, source)?;
                }
                self.each(&measure, hour, version, source, Tally::add)
            }
            LedgerChange::Withdrawn { measure, hour, version } => {
                self.load_windows(hour, source)?;
                self.each(&measure, hour, version, source, Tally::take)
            }
            LedgerChange::BudgetChanged { at, version, budget } => {
                self.load_windows(at, source)?;
                self.budgets.push(BudgetSince { version, since: at, budget });
                for (_, held) in self.windows_mut().filter(|(window, _)| window.end > at) {
                    *held = Held { row: LedgerRow { budget, ..held.row }, changed: true };
                }
                Ok(())
            }
            LedgerChange::WindowsChanged { at, schedule, budget } => {
                self.reschedule(at, &schedule, budget, source)
            }
        }
    }

    /// Gives what was used in the budget window of a moment, and ever.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn summary<S: LedgerSource>(
        &mut self,
        budget: &Budget,
        now: Timestamp,
        source: &mut S,
    ) -> Result<UsageSummary, S::Error> {
        let window = budget.schedule().window_at(now);
        let period = match self.find(&RowKey::budget(window), source)? {
            Some(row) => row.tally,
            None => self.sum(window, source)?,
        };
        let ever = self.find(&RowKey::LIFETIME, source)?.unwrap_or_default().tally;
        let left = |budget| Total::from(budget).less(period.raw);
        Ok(UsageSummary {
            period: PeriodSummary {
                start: window.start,
                end: window.end,
                raw: period.raw,
                charged: period.charged,
                count: period.count,
                budget: budget.period_budget,
                remaining: budget.period_budget.and_then(left),
            },
            lifetime: LifetimeSummary { raw: ever.raw, charged: ever.charged, count: ever.count },
        })
    }

    /// Gives what is to be written.
    pub fn writes(&self) -> LedgerWrites<'_> {
        let changed = self.rows.iter().filter(|(_, held)| held.changed);
        LedgerWrites {
            dropped: self.dropped.iter().copied().collect(),
            changed: changed.map(|(key, held)| (*key, &held.row)).collect(),
            budgets: &self.budgets,
        }
    }

    /// Notes that all is written, and forgets what is not likely to be asked for soon.
    pub fn written(&mut self) {
        self.dropped.clear();
        self.budgets.clear();
        self.rows.values_mut().for_each(|held| held.changed = false);
        if self.rows.len() <= KEPT_ROWS {
            return;
        }
        self.whole = false;
        let mut windows: Vec<Window> = self.windows_mut().map(|(window, _)| *window).collect();
        windows.sort_by_key(|window| std::cmp::Reverse(window.end));
        if let (Some(oldest), Some(after)) = (windows.get(KEPT_WINDOWS), self.windows_after) {
            // Those that end after this one stay, and are still all that do.
            self.windows_after = Some(after.max(oldest.end));
        }
        let after = self.windows_after;
        let mut newest: BTreeMap<RowKind, Window> = BTreeMap::new();
        for key in self.rows.keys() {
            newest.insert(key.kind, key.window);
        }
        self.rows.retain(|key, _| match key.kind {
            RowKind::Period(PeriodKind::Budget) => {
                after.is_some_and(|after| key.window.end > after)
            }
            RowKind::Hour
            | RowKind::Period(
                PeriodKind::Day | PeriodKind::Month | PeriodKind::Year | PeriodKind::Lifetime,
            ) => newest.get(&key.kind) == Some(&key.window),
        });
    }

    /// Changes every row in whose span a report lies that counts in an hour.
    fn each<S: LedgerSource>(
        &mut self,
        measure: &Measure,
        hour: Timestamp,
        version: u64,
        source: &mut S,
        change: fn(&mut Tally, &Measure),
    ) -> Result<(), S::Error> {
        for key in RowKey::around(measure.at).into_iter().chain([RowKey::hour(hour)]) {
            let row = self.find(&key, source)?.unwrap_or_default();
            let held = self.rows.entry(key).or_insert(Held { row, changed: true });
            held.changed = true;
            change(&mut held.row.tally, measure);
            if key.kind == RowKind::Hour {
                held.row.versions = Some(Versions::with(held.row.versions, version));
            }
        }
        // By the hour, not by the moment: so a window always is the sum of the hours that begin in it.
        for (_, held) in self.windows_mut().filter(|(window, _)| window.contains(hour)) {
            held.changed = true;
            change(&mut held.row.tally, measure);
        }
        Ok(())
    }

    /// Puts rows of the windows that there are now in place of those that have not ended by `at`.
    fn reschedule<S: LedgerSource>(
        &mut self,
        at: Timestamp,
        schedule: &Schedule,
        budget: Option<Amount>,
        source: &mut S,
    ) -> Result<(), S::Error> {
        self.load_windows(at, source)?;
        let given_way: Vec<Window> = self
            .windows_mut()
            .map(|(window, _)| *window)
            .filter(|window| window.end > at && schedule.window_at(window.start) != *window)
            .collect();
        for window in &given_way {
            let key = RowKey::budget(*window);
            self.rows.remove(&key);
            self.dropped.insert(key);
        }
        let current = schedule.window_at(at);
        let later = Window { start: current.start, end: Timestamp::MAX };
        self.load_hours(later, source)?;
        let mut due: BTreeSet<Window> = self
            .hours(later)
            .filter(|(_, tally)| tally.count > 0)
            .map(|(key, _)| schedule.window_at(key.window.start))
            .collect();
        if given_way.iter().any(|window| window.contains(at)) {
            due.insert(current);
        }
        for window in due {
            if !self.rows.contains_key(&RowKey::budget(window)) {
                self.open(window, budget, source)?;
            }
        }
        Ok(())
    }

    /// Makes the row of a budget window, added up from hours.
    fn open<S: LedgerSource>(
        &mut self,
        window: Window,
        budget: Option<Amount>,
        source: &mut S,
    ) -> Result<(), S::Error> {
        let tally = self.sum(window, source)?;
        let key = RowKey::budget(window);
        self.dropped.remove(&key);
        self.rows
            .insert(key, Held { row: LedgerRow { tally, budget, versions: None }, changed: true });
        Ok(())
    }

    /// Adds up the hours of a window.
    fn sum<S: LedgerSource>(&mut self, window: Window, source: &mut S) -> Result<Tally, S::Error> {
        self.load_hours(window, source)?;
        let mut sum = Tally::default();
        for (_, tally) in self.hours(window) {
            sum.join(tally);
        }
        Ok(sum)
    }

    /// Gives the budget that was in force just before a moment.
    fn budget_before<S: LedgerSource>(
        &self,
        at: Timestamp,
        source: &mut S,
    ) -> Result<Option<Amount>, S::Error> {
        match self.budgets.iter().rev().find(|set| set.since < at) {
            Some(set) => Ok(set.budget),
            None => source.budget_before(at),
        }
    }

    fn find<S: LedgerSource>(
        &mut self,
        key: &RowKey,
        source: &mut S,
    ) -> Result<Option<LedgerRow>, S::Error> {
        if let Some(held) = self.rows.get(key) {
            return Ok(Some(held.row));
        }
        if self.whole || self.dropped.contains(key) {
            return Ok(None);
        }
        let row = source.row(key)?;
        if let Some(row) = row {
            self.rows.insert(*key, Held { row, changed: false });
        }
        Ok(row)
    }

    /// Brings the budget windows that end after a moment into memory.
    fn load_windows<S: LedgerSource>(
        &mut self,
        at: Timestamp,
        source: &mut S,
    ) -> Result<(), S::Error> {
        if self.knows_windows_after(at) {
            return Ok(());
        }
        for (window, row) in source.windows_after(at)? {
            let key = RowKey::budget(window);
            if !self.dropped.contains(&key) {
                self.rows.entry(key).or_insert(Held { row, changed: false });
            }
        }
        self.windows_after = Some(at);
        Ok(())
    }

    /// Brings the hours that begin in a window into memory.
    fn load_hours<S: LedgerSource>(
        &mut self,
        window: Window,
        source: &mut S,
    ) -> Result<(), S::Error> {
        if !self.whole {
            for (window, row) in source.hours(window)? {
                let key = RowKey { kind: RowKind::Hour, window };
                self.rows.entry(key).or_insert(Held { row, changed: false });
            }
        }
        Ok(())
    }

    /// Gives the hours in memory that begin in a window, in order.
    fn hours(&self, window: Window) -> impl Iterator<Item = (&RowKey, &Tally)> {
        let from =
            |start| RowKey { kind: RowKind::Hour, window: Window { start, end: Timestamp::MIN } };
        let held = self.rows.range(from(window.start)..from(window.end));
        held.map(|(key, held)| (key, &held.row.tally))
    }

    /// Gives the budget windows that are in memory.
    fn windows_mut(&mut self) -> impl Iterator<Item = (&Window, &mut Held)> {
        let first = RowKey::budget(Window { start: Timestamp::MIN, end: Timestamp::MIN });
        let last = RowKey::budget(Window { start: Timestamp::MAX, end: Timestamp::MAX });
        self.rows.range_mut(first..=last).map(|(key, held)| (&key.window, held))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::CustomerFold;
    use crate::ledger::NoRows;
    use crate::testing::{Log, at, budget_set, corrected, created, id, used, window};
    use tallybook_events::event::Event;
    use tallybook_events::period::BudgetDuration;

    /// One customer's decisions, and the ledger that they give.
    struct Story {
        log: Log,
        version: u64,
    }

    impl Story {
        fn given(events: &[Event]) -> Self {
            let story = Self { log: Log::new(0), version: 0 };
            story.on("2026-10-01", &[created("acme")]).on("2026-10-01", events)
        }

        fn on(mut self, at: &str, events: &[Event]) -> Self {
            if !events.is_empty() {
                self.log.accept(at, id("acme"), self.version, events);
                self.version += u64::try_from(events.len()).unwrap();
            }
            self
        }

        fn fold(&self) -> CustomerFold {
            let mut fold = CustomerFold::unborn();
            for facts in self.log.facts() {
                facts.follow(fold.version()).unwrap();
                let Ok(()) = fold.apply(&facts, &mut NoRows);
            }
            fold
        }

        /// Rows of a kind: span, cost, number of reports and budget.
        fn rows(&self, kind: RowKind) -> Vec<String> {
            let fold = self.fold();
            let rows = fold.ledger().writes().changed.into_iter();
            rows.filter(|(key, _)| key.kind == kind).map(|(key, row)| line(&key, row)).collect()
        }

        fn budgets(&self) -> Vec<String> {
            self.rows(RowKind::Period(PeriodKind::Budget))
        }

        /// The current period at a moment: span, cost, number of reports, budget and what is left.
        fn period(&self, now: &str) -> String {
            let Ok(document) = self.fold().document(at(now), &mut NoRows);
            let period = document.unwrap().usage.period;
            let window = Window { start: period.start, end: period.end };
            let (raw, count, budget) = (period.raw, period.count, amount(period.budget));
            let left = period.remaining.map_or_else(|| "-".to_owned(), |left| left.to_string());
            format!("{}: {raw} in {count} of {budget}, {left} left", span(&window))
        }
    }

    fn line(key: &RowKey, row: &LedgerRow) -> String {
        let LedgerRow { tally, budget, .. } = row;
        let (raw, count, budget) = (tally.raw, tally.count, amount(*budget));
        format!("{}: {raw} in {count} of {budget}", span(&key.window))
    }

    fn amount(amount: Option<Amount>) -> String {
        amount.map_or_else(|| "-".to_owned(), |amount| amount.to_string())
    }

    fn span(window: &Window) -> String {
        let short = |at: Timestamp| at.to_string().replace("T00:00:00Z", "");
        format!("{}..{}", short(window.start), short(window.end))
    }

    fn monthly(budget: u32) -> Budget {
        Budget { period_budget: Some(budget.into()), ..Budget::default() }
    }

    fn every(duration: BudgetDuration) -> Budget {
        Budget { duration, ..Budget::default() }
    }

    fn custom(start: &str, end: &str) -> Budget {
        Budget { period_start: Some(at(start)), period_end: Some(at(end)), ..Budget::default() }
    }

    const NONE: Budget = Budget {
        period_budget: None,
        total_budget: None,
        duration: BudgetDuration::Monthly,
        period_start: None,
        period_end: None,
        markup_percentage: Amount::ZERO,
    };

    #[test]
    fn a_report_counts_in_each_period_in_which_it_lies() {
        let story = Story::given(&[used("r1", "2026-11-24T05:30:00Z", 5, &NONE)])
            .on("2026-11-25", &[used("r2", "2026-11-24T05:10:00Z", 2, &NONE)]);
        let fold = story.fold();
        let tally = Tally {
            raw: Amount::from(7).into(),
            charged: Amount::from(14).into(),
            quantity: Amount::from(70).into(),
            count: 2,
            first_at: Some(at("2026-11-24T05:10:00Z")),
            last_at: Some(at("2026-11-24T05:30:00Z")),
        };
        let row = LedgerRow { tally, budget: None, versions: None };
        let hour = LedgerRow { versions: Some(Versions { first: 2, last: 3 }), ..row };
        let key = |kind, start, end| RowKey { kind, window: window(start, end) };
        let period = |kind, start, end| key(RowKind::Period(kind), start, end);
        let expected = [
            key(RowKind::Hour, "2026-11-24T05:00:00Z", "2026-11-24T06:00:00Z"),
            period(PeriodKind::Budget, "2026-11-01", "2026-12-01"),
            period(PeriodKind::Day, "2026-11-24", "2026-11-25"),
            period(PeriodKind::Month, "2026-11-01", "2026-12-01"),
            period(PeriodKind::Year, "2026-01-01", "2027-01-01"),
            RowKey::LIFETIME,
        ];
        let row_of = |key: RowKey| if key.kind == RowKind::Hour { &hour } else { &row };
        let expected = expected.map(|key| (key, row_of(key)));
        assert_eq!(fold.ledger().writes().changed, expected);
        assert!(fold.ledger().writes().dropped.is_empty());
    }

    #[test]
    fn the_last_moment_of_a_month_and_the_first_of_the_next_are_two_periods() {
        let story = Story::given(&[budget_set(&monthly(10))]).on(
            "2026-12-01",
            &[
                used("r1", "2026-11-30T23:59:59.999999Z", 5, &NONE),
                used("r2", "2026-12-01T00:00:00Z", 7, &NONE),
            ],
        );
        let both = ["2026-11-01..2026-12-01: 5 in 1 of 10", "2026-12-01..2027-01-01: 7 in 1 of 10"];
        assert_eq!(story.budgets(), both);
        assert_eq!(
            story.rows(RowKind::Period(PeriodKind::Month)),
            both.map(|row| row.replace("of 10", "of -"))
        );
        assert_eq!(
            story.rows(RowKind::Period(PeriodKind::Day)),
            ["2026-11-30..2026-12-01: 5 in 1 of -", "2026-12-01..2026-12-02: 7 in 1 of -"]
        );
    }

    #[test]
    fn after_the_end_of_a_period_usage_reads_zero_and_the_old_one_stays() {
        let story = Story::given(&[budget_set(&monthly(10))])
            .on("2026-11-30", &[used("r1", "2026-11-30T12:00:00Z", 15, &NONE)]);
        assert_eq!(
            story.period("2026-11-30T23:59:59Z"),
            "2026-11-01..2026-12-01: 15 in 1 of 10, -5 left"
        );
        assert_eq!(story.period("2026-12-01"), "2026-12-01..2027-01-01: 0 in 0 of 10, 10 left");
        assert_eq!(story.budgets(), ["2026-11-01..2026-12-01: 15 in 1 of 10"]);
    }

    #[test]
    fn a_late_report_counts_in_its_own_period_with_the_budget_of_then() {
        let story = Story::given(&[])
            .on("2026-10-05", &[budget_set(&monthly(10))])
            .on("2026-11-05", &[budget_set(&monthly(20))])
            .on("2026-12-05", &[budget_set(&monthly(30))])
            .on(
                "2026-12-06",
                &[
                    used("r1", "2026-09-30T00:00:00Z", 1, &NONE),
                    used("r2", "2026-10-01T00:00:00Z", 2, &NONE),
                    used("r3", "2026-11-30T00:00:00Z", 3, &NONE),
                    used("r4", "2026-12-06T00:00:00Z", 4, &NONE),
                ],
            );
        assert_eq!(
            story.budgets(),
            [
                "2026-09-01..2026-10-01: 1 in 1 of -",
                "2026-10-01..2026-11-01: 2 in 1 of 10",
                "2026-11-01..2026-12-01: 3 in 1 of 20",
                "2026-12-01..2027-01-01: 4 in 1 of 30",
            ]
        );
    }

    #[test]
    fn another_budget_is_that_of_the_current_period_and_leaves_ended_ones_alone() {
        let story = Story::given(&[budget_set(&monthly(10))])
            .on("2026-10-20", &[used("r1", "2026-10-20T00:00:00Z", 1, &NONE)])
            .on("2026-11-20", &[used("r2", "2026-11-20T00:00:00Z", 2, &NONE)])
            .on("2026-12-01", &[budget_set(&monthly(20))])
            .on("2026-12-02", &[used("r3", "2026-12-02T00:00:00Z", 3, &NONE)])
            .on("2026-12-03", &[budget_set(&Budget { period_budget: None, ..monthly(0) })]);
        assert_eq!(
            story.budgets(),
            [
                "2026-10-01..2026-11-01: 1 in 1 of 10",
                "2026-11-01..2026-12-01: 2 in 1 of 10",
                "2026-12-01..2027-01-01: 3 in 1 of -",
            ]
        );
    }

    #[test]
    fn a_budget_set_when_a_period_ends_is_not_yet_that_of_the_period() {
        let late = used("r1", "2026-11-30T00:00:00Z", 1, &NONE);
        let story = Story::given(&[budget_set(&monthly(10))])
            .on("2026-12-01", &[budget_set(&monthly(20))])
            .on("2026-12-01", &[late]);
        assert_eq!(story.budgets(), ["2026-11-01..2026-12-01: 1 in 1 of 10"]);
    }

    #[test]
    fn a_correction_takes_the_old_total_away_where_it_had_counted() {
        let first = used("r1", "2026-11-10T00:00:00Z", 5, &NONE);
        let story = Story::given(std::slice::from_ref(&first))
            .on("2026-11-11", &[corrected(&first, used("r2", "2026-11-10T00:00:00Z", 3, &NONE))]);
        assert_eq!(story.budgets(), ["2026-11-01..2026-12-01: 3 in 1 of -"]);

        let second = used("r2", "2026-12-01T00:00:00Z", 4, &NONE);
        let story = Story::given(&[first.clone(), used("r3", "2026-11-02T00:00:00Z", 1, &NONE)])
            .on("2026-12-02", &[corrected(&first, second.clone())])
            .on("2026-12-03", &[corrected(&second, used("r4", "2026-12-01T00:00:00Z", 6, &NONE))]);
        assert_eq!(
            story.budgets(),
            ["2026-11-01..2026-12-01: 1 in 1 of -", "2026-12-01..2027-01-01: 6 in 1 of -"]
        );
        assert_eq!(
            story.rows(RowKind::Period(PeriodKind::Day)),
            [
                "2026-11-02..2026-11-03: 1 in 1 of -",
                "2026-11-10..2026-11-11: 0 in 0 of -",
                "2026-12-01..2026-12-02: 6 in 1 of -",
            ]
        );
        let ever = story.rows(RowKind::Period(PeriodKind::Lifetime));
        assert_eq!(ever, ["1970-01-01..9999-12-31T23:59:59.999999Z: 7 in 2 of -"]);
    }

    #[test]
    fn a_period_that_lost_all_its_reports_has_no_first_and_last() {
        let first = used("r1", "2026-11-10T00:00:00Z", 5, &NONE);
        let second = corrected(&first, used("r2", "2026-12-01T00:00:00Z", 4, &NONE));
        let fold = Story::given(&[first, second]).fold();
        let november = RowKey::budget(window("2026-11-01", "2026-12-01"));
        let rows = fold.ledger().writes().changed;
        let row = rows.iter().find(|(key, _)| *key == november).unwrap().1;
        assert_eq!(*row, LedgerRow::default());
    }

    #[test]
    fn another_window_takes_the_place_of_the_current_one_and_old_ones_stay() {
        let weekly = every(BudgetDuration::Weekly);
        let story = Story::given(&[
            used("r1", "2026-10-20T00:00:00Z", 1, &NONE),
            used("r2", "2026-11-20T00:00:00Z", 2, &NONE),
            used("r3", "2026-11-23T00:00:00Z", 4, &NONE),
        ])
        .on("2026-11-24", &[budget_set(&weekly)]);
        assert_eq!(
            story.budgets(),
            ["2026-10-01..2026-11-01: 1 in 1 of -", "2026-11-23..2026-11-30: 4 in 1 of -"]
        );
        assert_eq!(
            story.fold().ledger().writes().dropped,
            [RowKey::budget(window("2026-11-01", "2026-12-01"))]
        );
        let back = story.on("2026-11-25", &[budget_set(&NONE)]);
        assert_eq!(
            back.budgets(),
            ["2026-10-01..2026-11-01: 1 in 1 of -", "2026-11-01..2026-12-01: 6 in 2 of -"]
        );
    }

    #[test]
    fn the_row_of_a_new_window_is_there_though_nothing_was_used_in_it() {
        let daily = every(BudgetDuration::Daily);
        let story = Story::given(&[used("r1", "2026-11-20T00:00:00Z", 2, &NONE)]).on(
            "2026-11-24T10:00:00Z",
            &[budget_set(&Budget { period_budget: Some(9.into()), ..daily })],
        );
        assert_eq!(story.budgets(), ["2026-11-24..2026-11-25: 0 in 0 of 9"]);
        let unused = Story::given(&[]).on("2026-11-24", &[budget_set(&daily)]);
        assert_eq!(unused.budgets(), Vec::<String>::new());
    }

    #[test]
    fn a_new_window_counts_what_was_used_in_it_before_it_was_set() {
        let weekly = every(BudgetDuration::Weekly);
        let story = Story::given(&[used("r1", "2026-11-30T12:00:00Z", 2, &NONE)])
            .on("2026-12-01", &[budget_set(&weekly)]);
        assert_eq!(
            story.budgets(),
            ["2026-11-01..2026-12-01: 2 in 1 of -", "2026-11-30..2026-12-07: 2 in 1 of -"]
        );
        assert_eq!(story.period("2026-12-02"), "2026-11-30..2026-12-07: 2 in 1 of -, - left");
    }

    #[test]
    fn windows_that_have_not_begun_give_way_too() {
        let daily = every(BudgetDuration::Daily);
        let story = Story::given(&[
            used("r1", "2026-11-24T01:00:00Z", 1, &NONE),
            used("r2", "2026-12-10T01:00:00Z", 2, &NONE),
            used("r3", "2026-12-11T01:00:00Z", 4, &NONE),
        ])
        .on("2026-11-24", &[budget_set(&daily)]);
        assert_eq!(
            story.budgets(),
            [
                "2026-11-24..2026-11-25: 1 in 1 of -",
                "2026-12-10..2026-12-11: 2 in 1 of -",
                "2026-12-11..2026-12-12: 4 in 1 of -",
            ]
        );
    }

    #[test]
    fn a_late_report_counts_in_its_window_of_now_and_in_old_rows_around_it() {
        let anchored = custom("2026-11-20", "2026-12-20");
        let story = Story::given(&[used("r1", "2026-11-05T00:00:00Z", 1, &NONE)])
            .on("2026-12-10", &[budget_set(&anchored)])
            .on("2026-12-11", &[used("r2", "2026-11-10T00:00:00Z", 2, &anchored)])
            .on("2026-12-12", &[used("r3", "2026-11-25T00:00:00Z", 4, &anchored)]);
        assert_eq!(
            story.budgets(),
            [
                "2026-11-01..2026-11-20: 3 in 2 of -",
                "2026-11-01..2026-12-01: 7 in 3 of -",
                "2026-11-20..2026-12-20: 4 in 1 of -",
            ]
        );
    }

    #[test]
    fn a_window_that_begins_within_an_hour_counts_from_there_on() {
        let from_half_past = custom("2026-11-24T05:30:00Z", "2026-12-24T00:00:00Z");
        let story =
            Story::given(&[]).on("2026-11-24T05:30:00Z", &[budget_set(&from_half_past)]).on(
                "2026-11-24T06:00:00Z",
                &[
                    used("r1", "2026-11-24T05:29:59Z", 1, &from_half_past),
                    used("r2", "2026-11-24T05:30:00Z", 2, &from_half_past),
                ],
            );
        let window = "2026-11-24T05:30:00Z..2026-12-24";
        assert_eq!(
            story.budgets(),
            [
                "2026-11-01..2026-11-24T05:30:00Z: 1 in 1 of -".to_owned(),
                format!("{window}: 2 in 1 of -")
            ]
        );
        assert_eq!(
            story.rows(RowKind::Hour),
            [
                "2026-11-24T05:00:00Z..2026-11-24T06:00:00Z: 1 in 1 of -",
                "2026-11-24T05:30:00Z..2026-11-24T06:00:00Z: 2 in 1 of -",
            ]
        );
        // Away and back again: added up from the hours it is the same, and a correction finds its hour.
        let second = used("r2", "2026-11-24T05:30:00Z", 2, &from_half_past);
        let story = story
            .on("2026-11-24T07:00:00Z", &[budget_set(&NONE)])
            .on("2026-11-24T08:00:00Z", &[budget_set(&from_half_past)]);
        assert_eq!(story.budgets().last(), Some(&format!("{window}: 2 in 1 of -")));
        let later = used("r3", "2026-11-24T05:30:00Z", 7, &from_half_past);
        let story = story.on("2026-11-24T09:00:00Z", &[corrected(&second, later)]);
        assert_eq!(story.budgets().last(), Some(&format!("{window}: 7 in 1 of -")));
    }

    #[test]
    fn a_window_set_later_is_exact_to_the_hour() {
        let from_half_past = custom("2026-11-24T05:30:00Z", "2026-12-24T00:00:00Z");
        let story = Story::given(&[
            used("r1", "2026-11-24T05:40:00Z", 1, &NONE),
            used("r2", "2026-11-24T06:00:00Z", 2, &NONE),
        ])
        .on("2026-11-24T07:00:00Z", &[budget_set(&from_half_past)]);
        assert_eq!(story.budgets(), ["2026-11-24T05:30:00Z..2026-12-24: 2 in 1 of -"]);
    }

    #[test]
    fn after_a_custom_window_calendar_windows_go_on() {
        let custom =
            Budget { period_budget: Some(10.into()), ..custom("2026-11-10", "2026-11-20") };
        let story = Story::given(&[budget_set(&custom)])
            .on("2026-11-15", &[used("r1", "2026-11-15T00:00:00Z", 1, &custom)])
            .on("2026-11-25", &[used("r2", "2026-11-25T00:00:00Z", 2, &custom)])
            .on("2026-12-05", &[used("r3", "2026-12-05T00:00:00Z", 3, &custom)]);
        assert_eq!(
            story.budgets(),
            [
                "2026-11-10..2026-11-20: 1 in 1 of 10",
                "2026-11-20..2026-12-01: 2 in 1 of 10",
                "2026-12-01..2027-01-01: 3 in 1 of 10",
            ]
        );
    }

    #[test]
    fn what_is_kept_in_memory_is_bounded() {
        let daily = every(BudgetDuration::Daily);
        let mut story = Story::given(&[budget_set(&daily)]);
        for day in 1..=30 {
            let moment = format!("2026-11-{day:02}T12:00:00Z");
            story = story.on(&moment, &[used(&format!("r{day}"), &moment, 1, &daily)]);
        }
        let mut ledger = story.fold().ledger().clone();
        assert_eq!(ledger.rows.len(), 30 + 30 + 30 + 1 + 1 + 1);
        ledger.written();
        let kept = ledger.windows_mut().map(|(window, _)| span(window)).collect::<Vec<_>>();
        assert_eq!(
            kept,
            [
                "2026-11-27..2026-11-28",
                "2026-11-28..2026-11-29",
                "2026-11-29..2026-11-30",
                "2026-11-30..2026-12-01"
            ]
        );
        assert_eq!(ledger.windows_after, Some(at("2026-11-27")));
        assert_eq!(ledger.rows.len(), 4 + 5);
        assert!(!ledger.whole);
    }
}
