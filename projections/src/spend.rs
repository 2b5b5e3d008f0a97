//! What a customer spent around a moment: the figures that a policy's limits are held against.
//!
//! Whole hours come from the ledger. Of an hour that lies in the window only in part, the reports
//! themselves are added up: the ledger knows between which versions of the customer they are.

use std::collections::HashMap;

use tallybook_events::customer::{CustomerDocument, UsageRecorded};
use tallybook_events::event::Event;
use tallybook_events::ids::Merchant;
use tallybook_events::money::{Amount, Total};
use tallybook_events::period::{BudgetDuration, Window, calendar_window};
use tallybook_events::time::{MICROS_PER_HOUR, MICROS_PER_SECOND, Timestamp};

use crate::customers::CustomerRow;
use crate::fold::CustomerFold;
use crate::ledger::{LedgerRow, LedgerSource, Versions};
use crate::period_usage::{Counting, Measure, RowKey, RowKind};
use crate::queries::PeriodKind;

/// How far back a limit per day looks.
const DAY_MICROS: i64 = 24 * MICROS_PER_HOUR;
/// How far back the rate of reports is looked at.
pub const RATE_MICROS: i64 = 10 * MICROS_PER_SECOND;
/// Most events that are looked at for the rate: the newest.
const MAX_RECENT: usize = 10_000;

/// A customer, and what it spent around a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spending {
    /// The customer as it stands, with its usage in the budget window of the moment.
    pub customer: CustomerDocument,
    /// The figures.
    pub stats: SpendStats,
}

/// What a customer spent around a moment. Costs are raw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpendStats {
    /// The moment.
    pub at: Timestamp,
    /// In the 24 hours up to the moment: after the same moment of the day before, up to it. Exact to
    /// the report.
    pub day: Total,
    /// In the calendar month (UTC) of the moment, also what comes after it.
    pub month: Total,
    /// The last report with a cost up to the moment.
    pub last_spend_at: Option<Timestamp>,
    /// The merchant of the first report that was recorded with one.
    pub first_merchant: Option<Merchant>,
    /// Reports within [`RATE_MICROS`] up to the moment, in order, as far as they are among the newest
    /// that were recorded for their hour. Only for customers with a rate.
    pub recent: Vec<Timestamp>,
}

/// Where the rows and reports of one customer are kept.
pub trait SpendSource: LedgerSource {
    /// Reads the hours of the latest full hour that ends at a moment or before and in which something
    /// was spent.
    ///
    /// # Errors
    /// When the store does not answer.
    fn latest_hour(&mut self, ends_by: Timestamp) -> Result<Vec<(Window, LedgerRow)>, Self::Error>;

    /// Reads events, the newest first, until `enough` says so.
    ///
    /// # Errors
    /// When the store does not answer.
    fn events(
        &mut self,
        versions: Versions,
        enough: &mut dyn FnMut(&Event) -> bool,
    ) -> Result<(), Self::Error>;
}

/// Gives what a customer spent around a moment.
///
/// # Errors
/// When the store does not answer.
pub fn spending<S: SpendSource>(
    row: CustomerRow,
    at: Timestamp,
    source: &mut S,
) -> Result<Option<Spending>, S::Error> {
    let first_merchant = row.groups.first_merchant.as_ref().map(|first| first.merchant.clone());
    let rated = row.groups.contract.rate_per_second.is_some();
    let Some(customer) = CustomerFold::stored(row).document(at, source)? else { return Ok(None) };
    let month = RowKey {
        kind: RowKind::Period(PeriodKind::Month),
        window: calendar_window(BudgetDuration::Monthly, at),
    };
    let stats = SpendStats {
        at,
        day: spent_in(up_to(at, DAY_MICROS), source)?,
        month: source.row(&month)?.unwrap_or_default().tally.raw,
        last_spend_at: last_spend(at, source)?,
        first_merchant,
        recent: if rated { recent(at, source)? } else { Vec::new() },
    };
    Ok(Some(Spending { customer, stats }))
}

/// Gives the window that ends with a moment, which lies in it, and lasts so long.
fn up_to(at: Timestamp, micros: i64) -> Window {
    Window { start: at.plus_micros(1 - micros), end: at.plus_micros(1) }
}

/// Gives the hours that have a part in a window.
fn hours_around(window: Window) -> Window {
    Window { start: Timestamp::from_hour(window.start.hour()), end: window.end }
}

/// Adds up what was spent in a window.
fn spent_in<S: SpendSource>(window: Window, source: &mut S) -> Result<Total, S::Error> {
    let mut sum = Total::ZERO;
    let mut in_part: Vec<Timestamp> = Vec::new();
    let mut versions = None;
    for (hour, row) in source.hours(hours_around(window))? {
        let (Some(first), Some(last)) = (row.tally.first_at, row.tally.last_at) else { continue };
        if window.contains(first) && window.contains(last) {
            sum = sum.and(row.tally.raw).unwrap_or(sum);
        } else if let Some(within) = row.versions.filter(|_| first < window.end) {
            in_part.push(hour.start);
            versions =
                Some(Versions::with(Some(Versions::with(versions, within.first)), within.last));
        }
    }
    let Some(versions) = versions else { return Ok(sum) };
    source.events(versions, &mut |event| {
        let Event::UsageRecorded(used) = event else { return false };
        let Counting { counted, withdrawn } = Counting::of(used);
        let here = |hour, at| in_part.contains(&hour) && window.contains(at);
        if here(counted.hour, counted.measure.at) {
            sum = sum.plus(counted.measure.raw).unwrap_or(sum);
        }
        if let Some(taken) = withdrawn.filter(|taken| here(taken.hour, taken.measure.at)) {
            sum = sum.minus(taken.measure.raw).unwrap_or(sum);
        }
        false
    })?;
    Ok(sum)
}

/// Gives the last report with a cost up to a moment.
fn last_spend<S: SpendSource>(
    at: Timestamp,
    source: &mut S,
) -> Result<Option<Timestamp>, S::Error> {
    let this_hour = Timestamp::from_hour(at.hour());
    // In the hour of the moment all may lie behind it; what was spent in an hour before lies before it.
    for ends_by in [this_hour.plus_micros(MICROS_PER_HOUR), this_hour] {
        let rows = source.latest_hour(ends_by)?;
        let found = last_spend_in(&rows, at, source)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Gives the last report with a cost in the rows of one hour, up to a moment.
fn last_spend_in<S: SpendSource>(
    rows: &[(Window, LedgerRow)],
    at: Timestamp,
    source: &mut S,
) -> Result<Option<Timestamp>, S::Error> {
    let Some((window, _)) = rows.first() else { return Ok(None) };
    let hour = Window { start: window.end.plus_micros(-MICROS_PER_HOUR), end: window.end };
    let versions = rows.iter().filter_map(|(_, row)| row.versions).reduce(|all, more| Versions {
        first: all.first.min(more.first),
        last: all.last.max(more.last),
    });
    let Some(versions) = versions else { return Ok(None) };
    let latest = rows.iter().filter_map(|(_, row)| row.tally.last_at).max();
    let latest = latest.map(|latest| latest.min(at));
    let mut last = None;
    let mut taken: HashMap<(Timestamp, Amount), usize> = HashMap::new();
    source.events(versions, &mut |event| {
        let Event::UsageRecorded(used) = event else { return false };
        let spend = counting(used, &mut taken).map(|measure| measure.at);
        let spend = spend.filter(|spend| *spend <= at && hour.contains(*spend));
        last = last.max(spend);
        last.is_some() && last >= latest
    })?;
    Ok(last)
}

/// Gives the report with a cost that an event counts, unless a later event has taken it back. Events
/// come from new to old: each report is taken back before it is met. Two reports of one moment and one
/// cost are the same to us.
fn counting(
    used: &UsageRecorded,
    taken: &mut HashMap<(Timestamp, Amount), usize>,
) -> Option<Measure> {
    let Counting { counted, withdrawn } = Counting::of(used);
    let measure = counted.measure;
    let again = taken.get_mut(&(measure.at, measure.raw)).filter(|times| **times > 0);
    let counts = match again {
        Some(times) => {
            *times -= 1;
            false
        }
        None => measure.raw > Amount::ZERO,
    };
    if let Some(withdrawn) = withdrawn {
        *taken.entry((withdrawn.measure.at, withdrawn.measure.raw)).or_default() += 1;
    }
    counts.then_some(measure)
}

/// Gives the moments of the reports within [`RATE_MICROS`] up to a moment. A report that was corrected
/// was one all the same.
fn recent<S: SpendSource>(at: Timestamp, source: &mut S) -> Result<Vec<Timestamp>, S::Error> {
    let window = up_to(at, RATE_MICROS);
    let mut moments = Vec::new();
    let mut versions: Option<Versions> = None;
    for (_, row) in source.hours(hours_around(window))? {
        let (Some(first), Some(last)) = (row.tally.first_at, row.tally.last_at) else { continue };
        if let Some(within) = row.versions.filter(|_| first < window.end && last >= window.start) {
            versions =
                Some(Versions::with(Some(Versions::with(versions, within.first)), within.last));
        }
    }
    let Some(versions) = versions else { return Ok(moments) };
    let mut looked_at = 0;
    source.events(versions, &mut |event| {
        if let Event::UsageRecorded(used) = event
            && used.corrects.is_none()
            && window.contains(used.occurred_at)
        {
            moments.push(used.occurred_at);
        }
        looked_at += 1;
        looked_at >= MAX_RECENT
    })?;
    moments.sort_unstable();
    Ok(moments)
}
