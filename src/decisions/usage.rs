//! Usage: which reports are recorded, what each is charged, and what it takes the place of.

use std::sync::LazyLock;

use tallybook_events::command::Claim;
use tallybook_events::customer::{Budget, BudgetKind, Corrected, UsageRecorded, UsageReport};
use tallybook_events::decision::{Rejection, RejectionCode};
use tallybook_events::event::Event;
use tallybook_events::ids::ReportId;
use tallybook_events::money::Amount;
use tallybook_events::period::Window;
use tallybook_events::time::Timestamp;

use super::address::{self, Address};
use super::customer::Customer;
use super::hours::{Hours, Tally, segment_start};
use super::reports::{Layers, ReportHash, Reports};
use super::thresholds::{self, Spending, Thresholds};
use super::{Ask, Record, Verdict, identity};

/// What a customer may use in all, in trillionths of a dollar (or of a unit), is below this. Every sum
/// of some of its reports then has an exact decimal.
const MOST: i128 = 10_i128.pow(28);

/// All that a customer used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// In all.
    pub(super) lifetime: Lifetime,
    /// By hours.
    pub(super) hours: Hours,
    /// The reports.
    pub(super) reports: Reports,
    /// The shares of budgets that were told.
    pub(super) thresholds: Thresholds,
}

/// What was used in all, in trillionths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Lifetime {
    /// Cost, charge, number of reports.
    pub(super) tally: Tally,
    /// Quantity over all meters.
    pub(super) quantity: i128,
}

/// The usage of a customer that never used anything.
pub(super) static NOTHING: LazyLock<Usage> = LazyLock::new(Usage::default);

impl Lifetime {
    fn add(&mut self, quantity: Amount, tally: Tally) {
        self.tally.add(tally);
        self.quantity += quantity.trillionths();
    }

    fn take(&mut self, quantity: Amount, tally: Tally) {
        self.tally.take(tally);
        self.quantity -= quantity.trillionths();
    }
}

/// Gives what one report counts.
fn one(raw: Amount, charged: Amount) -> Tally {
    Tally { raw: raw.trillionths(), charged: charged.trillionths(), count: 1 }
}

impl Usage {
    /// Counts a report, and no longer what it corrects.
    pub(super) fn apply(&mut self, recorded: &UsageRecorded) {
        let segment = segment_start(recorded.occurred_at, recorded.period);
        let mut root = None;
        if let Some(corrected) = &recorded.corrects {
            let named = ReportHash::from(&corrected.report_id);
            let lines = Layers { base: &self.reports, fresh: &self.reports };
            root = lines.root(named);
            let counted_in = lines.counting(named).map(|(_, report)| report.segment());
            let taken = one(corrected.raw, corrected.charged);
            self.lifetime.take(corrected.quantity, taken);
            self.hours.take(counted_in.unwrap_or(corrected.occurred_at), taken);
        }
        let added = one(recorded.raw, recorded.charged);
        self.lifetime.add(recorded.quantity, added);
        self.hours.keep(recorded.period);
        self.hours.add(segment, added);
        let id = ReportHash::from(&recorded.report_id);
        self.reports.insert(id, recorded, segment, root);
    }
}

/// Decides a command that reports usage. A key that nobody has gives birth to a customer.
///
/// # Errors
/// The rejection, for the whole command.
pub(super) fn record(
    record: &Record,
    ask: &Ask<'_>,
    reports: &[UsageReport],
    grant: Option<&Claim>,
) -> Result<Verdict, Rejection> {
    match address::find(record, ask)? {
        Address::Elsewhere(routed) => Ok(Verdict::Forward(routed)),
        Address::Lives(customer) => {
            address::open(customer, ask)?;
            decide(customer, reports, Vec::with_capacity(reports.len()))
        }
        Address::Free(birth) => identity::born(record, ask, birth, grant, |blank, events| {
            decide(blank, reports, events)
        }),
    }
}

/// Decides reports about a customer, after the events that the command has caused already.
fn decide(
    customer: &Customer,
    reports: &[UsageReport],
    events: Vec<Event>,
) -> Result<Verdict, Rejection> {
    let mut draft = Draft::new(customer, reports.len(), events);
    let (mut duplicates, mut conflicts) = (Vec::new(), Vec::new());
    for (at, report) in reports.iter().enumerate() {
        match draft.report(at, report)? {
            Heard::New => {}
            Heard::Repeat => duplicates.push(report.report_id.clone()),
            Heard::Conflict => conflicts.push(report.report_id.clone()),
        }
    }
    Ok(Verdict::Accepted { events: draft.events, duplicates, conflicts })
}

/// What a report is to what was recorded.
enum Heard {
    New,
    Repeat,
    Conflict,
}

/// The usage of a customer as it would be after the reports of a command so far.
struct Draft<'a> {
    budget: Budget,
    usage: &'a Usage,
    /// How many reports the command has.
    reports: usize,
    lifetime: Lifetime,
    windows: Windows,
    /// The reports of the command, for those after them.
    fresh: Reports,
    told: Thresholds,
    events: Vec<Event>,
}

impl<'a> Draft<'a> {
    fn new(customer: &'a Customer, reports: usize, events: Vec<Event>) -> Self {
        let usage = customer.usage();
        Self {
            budget: customer.budget(),
            usage,
            reports,
            lifetime: usage.lifetime,
            windows: Windows::default(),
            fresh: Reports::default(),
            told: Thresholds::default(),
            events,
        }
    }

    /// Decides the report at a place of the command.
    fn report(&mut self, at: usize, asked: &UsageReport) -> Result<Heard, Rejection> {
        let id = ReportHash::from(&asked.report_id);
        let lines = Layers { base: &self.usage.reports, fresh: &self.fresh };
        if let Some((kept, known)) = lines.get(id) {
            let repeat = kept.is_repeat(known, asked);
            return Ok(if repeat { Heard::Repeat } else { Heard::Conflict });
        }
        let mut root = None;
        let mut counted_in = None;
        let mut corrects = None;
        if let Some(named) = &asked.corrects {
            let (kept, counting) =
                lines.counting(named.into()).ok_or_else(|| unknown_report(at, named))?;
            root = lines.root(named.into());
            counted_in = Some(counting.segment());
            corrects = Some(kept.corrected(counting, named));
        }
        let period = self.window_at(asked.occurred_at);
        let charged = asked.cost.marked_up(self.budget.markup_percentage);
        let recorded = UsageRecorded {
            report_id: asked.report_id.clone(),
            occurred_at: asked.occurred_at,
            meter: asked.meter.clone(),
            quantity: asked.quantity,
            raw: asked.cost,
            charged: charged.ok_or_else(|| out_of_range(at, "cost"))?,
            period,
            corrects,
        };
        self.count(at, &recorded, counted_in)?;
        if at + 1 < self.reports {
            let segment = segment_start(recorded.occurred_at, period);
            self.fresh.insert(id, &recorded, segment, root);
        }
        self.events.push(Event::UsageRecorded(recorded));
        self.tell(period);
        Ok(Heard::New)
    }

    /// Gives the window of a moment, at hand for most reports.
    fn window_at(&self, at: Timestamp) -> Window {
        let last = self.usage.hours.window();
        if last.contains(at) { last } else { self.budget.schedule().window_at(at) }
    }

    /// Counts a report, and no longer what it corrects, which had counted in a segment.
    fn count(
        &mut self,
        at: usize,
        recorded: &UsageRecorded,
        counted_in: Option<Timestamp>,
    ) -> Result<(), Rejection> {
        let hours = &self.usage.hours;
        if let (Some(corrected), Some(segment)) = (&recorded.corrects, counted_in) {
            let Corrected { quantity, raw, charged, .. } = corrected;
            let taken = one(*raw, *charged);
            self.lifetime.take(*quantity, taken);
            let window = self.window_at(segment);
            self.windows.at(window, hours).take(taken);
        }
        let added = one(recorded.raw, recorded.charged);
        self.lifetime.add(recorded.quantity, added);
        self.windows.at(recorded.period, hours).add(added);
        if self.lifetime.quantity >= MOST {
            return Err(out_of_range(at, "quantity"));
        }
        if self.lifetime.tally.raw.max(self.lifetime.tally.charged) >= MOST {
            return Err(out_of_range(at, "cost"));
        }
        Ok(())
    }

    fn tell(&mut self, period: Window) {
        let used = self.windows.at(period, &self.usage.hours).raw;
        let told = &self.usage.thresholds;
        for spending in spendings(&self.budget, period, used, self.lifetime.tally.raw) {
            thresholds::decide(told, &mut self.told, spending, &mut self.events);
        }
    }
}

/// Gives what counts against the budgets of a period and of all time.
pub(super) fn spendings(
    budget: &Budget,
    period: Window,
    used: i128,
    used_in_all: i128,
) -> [Spending; 2] {
    let &Budget { period_budget, total_budget, .. } = budget;
    let (of_period, of_all) = (BudgetKind::Period, BudgetKind::Total);
    [
        Spending { kind: of_period, budget: period_budget, period, used },
        Spending {
            kind: of_all,
            budget: total_budget,
            period: Window::LIFETIME,
            used: used_in_all,
        },
    ]
}

/// What the windows that a command touches have, once its reports so far are counted. The first takes
/// no memory of its own: most commands touch no other.
#[derive(Default)]
struct Windows {
    first: Option<(Window, Tally)>,
    more: Vec<(Window, Tally)>,
}

impl Windows {
    /// Gives the tally of a window; what was recorded is counted when it is touched first.
    fn at(&mut self, window: Window, hours: &Hours) -> &mut Tally {
        let first = self.first.get_or_insert_with(|| (window, hours.used(window)));
        if first.0 == window {
            return &mut first.1;
        }
        let at = self.more.iter().position(|(other, _)| *other == window).unwrap_or_else(|| {
            self.more.push((window, hours.used(window)));
            self.more.len() - 1
        });
        &mut self.more[at].1
    }
}

fn unknown_report(at: usize, named: &ReportId) -> Rejection {
    let detail = format!("no report {named} of this customer is known");
    Rejection::at(RejectionCode::UnknownReport, format!("/reports/{at}/corrects"), detail)
}

fn out_of_range(at: usize, member: &'static str) -> Rejection {
    let detail = "all that the customer used would be more than can be kept exactly";
    Rejection::at(RejectionCode::AmountOutOfRange, format!("/reports/{at}/{member}"), detail)
}
