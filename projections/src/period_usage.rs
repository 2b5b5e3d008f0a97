//! Period usage: what a customer used in each hour, day, month, year, budget window, and ever.
//!
//! A report counts where its own `occurred_at` lies, however late it comes. The fold gives changes of
//! the ledger in terms of reports and budgets; [`crate::ledger`] makes them in the rows.

use tallybook_events::customer::{Budget, Corrected, UsageRecorded};
use tallybook_events::event::Event;
use tallybook_events::money::{Amount, Total};
use tallybook_events::period::{BudgetDuration, Schedule, Window, calendar_window};
use tallybook_events::time::{MICROS_PER_HOUR, Timestamp};

use crate::projection::{Facts, Projection};
use crate::queries::PeriodKind;

/// Kind of a row: an hour, of which windows are added up again, or a period that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RowKind {
    /// An hour (UTC), or what is left of it from where a budget window begins within it. A budget
    /// window is the sum of the hours that begin in it.
    Hour,
    /// A period.
    Period(PeriodKind),
}

impl RowKind {
    /// Gives the name in stores.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Period(kind) => kind.as_str(),
        }
    }
}

impl PeriodKind {
    /// All kinds, in their order.
    pub const ALL: [Self; 5] = [Self::Budget, Self::Day, Self::Month, Self::Year, Self::Lifetime];

    /// Gives the name used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Day => "day",
            Self::Month => "month",
            Self::Year => "year",
            Self::Lifetime => "lifetime",
        }
    }
}

/// Which row of a customer's ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowKey {
    /// Its kind.
    pub kind: RowKind,
    /// Its span.
    pub window: Window,
}

impl RowKey {
    /// Gives the row of an hour, or what is left of it, that begins at a moment.
    pub fn hour(start: Timestamp) -> Self {
        let end = Timestamp::from_hour(start.hour()).plus_micros(MICROS_PER_HOUR);
        Self { kind: RowKind::Hour, window: Window { start, end } }
    }

    /// Gives the row of a budget window.
    pub const fn budget(window: Window) -> Self {
        Self { kind: RowKind::Period(PeriodKind::Budget), window }
    }

    /// Gives the row of all time.
    pub const LIFETIME: Self =
        Self { kind: RowKind::Period(PeriodKind::Lifetime), window: Window::LIFETIME };

    /// Gives the calendar rows, and that of all time, in which a moment lies.
    pub fn around(at: Timestamp) -> [Self; 4] {
        let calendar = |kind, duration| Self {
            kind: RowKind::Period(kind),
            window: calendar_window(duration, at),
        };
        [
            calendar(PeriodKind::Day, BudgetDuration::Daily),
            calendar(PeriodKind::Month, BudgetDuration::Monthly),
            calendar(PeriodKind::Year, BudgetDuration::Yearly),
            Self::LIFETIME,
        ]
    }
}

/// What was used in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Cost.
    pub raw: Total,
    /// Charge.
    pub charged: Total,
    /// Quantity over all meters.
    pub quantity: Total,
    /// Number of reports.
    pub count: u64,
    /// First report that counted here.
    pub first_at: Option<Timestamp>,
    /// Last report that counted here.
    pub last_at: Option<Timestamp>,
}

/// One report, as far as sums need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measure {
    /// When it was used.
    pub at: Timestamp,
    /// Cost.
    pub raw: Amount,
    /// Charge.
    pub charged: Amount,
    /// Quantity.
    pub quantity: Amount,
}

impl Tally {
    /// Counts a report.
    pub fn add(&mut self, measure: &Measure) {
        let Measure { at, raw, charged, quantity } = *measure;
        self.raw = within(self.raw, self.raw.plus(raw));
        self.charged = within(self.charged, self.charged.plus(charged));
        self.quantity = within(self.quantity, self.quantity.plus(quantity));
        self.count += 1;
        self.first_at = Some(self.first_at.map_or(at, |first| first.min(at)));
        self.last_at = Some(self.last_at.map_or(at, |last| last.max(at)));
    }

    /// Counts a report no more. First and last stay, unless nothing is left.
    pub fn take(&mut self, measure: &Measure) {
        let Measure { raw, charged, quantity, .. } = *measure;
        self.raw = within(self.raw, self.raw.minus(raw));
        self.charged = within(self.charged, self.charged.minus(charged));
        self.quantity = within(self.quantity, self.quantity.minus(quantity));
        self.count = self.count.saturating_sub(1);
        if self.count == 0 {
            self.first_at = None;
            self.last_at = None;
        }
    }

    /// Adds what was used in another span.
    pub fn join(&mut self, other: &Self) {
        self.raw = within(self.raw, self.raw.and(other.raw));
        self.charged = within(self.charged, self.charged.and(other.charged));
        self.quantity = within(self.quantity, self.quantity.and(other.quantity));
        self.count += other.count;
        self.first_at = [self.first_at, other.first_at].into_iter().flatten().min();
        self.last_at = self.last_at.max(other.last_at);
    }
}

/// A fact is never refused. The rules refuse reports long before a sum has no exact decimal any more;
/// should one come all the same, the sum stays where it is, in every fold alike.
fn within(now: Total, sum: Option<Total>) -> Total {
    sum.unwrap_or(now)
}

/// What becomes of a customer's ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerChange {
    /// A report counts, in every row in whose span it lies; its budget window gets a row if it has none.
    Counted {
        /// The report.
        measure: Measure,
        /// The budget window that it was recorded for.
        period: Window,
        /// Beginning of the hour in which it counts; where the window begins later: of the window.
        hour: Timestamp,
        /// Version of the customer after it.
        version: u64,
        /// The moment of the decision.
        decided_at: Timestamp,
        /// The budget in force at that moment.
        budget: Option<Amount>,
    },
    /// A report was corrected and counts no more.
    Withdrawn {
        /// The report.
        measure: Measure,
        /// Beginning of the hour, or of what was left of it, in which it had counted.
        hour: Timestamp,
        /// Version of the customer after the correction.
        version: u64,
    },
    /// From a moment on another budget is in force; windows that have ended by then keep theirs.
    BudgetChanged {
        /// The moment.
        at: Timestamp,
        /// Version of the customer after the change: orders changes of one moment.
        version: u64,
        /// The budget from now on.
        budget: Option<Amount>,
    },
    /// From a moment on windows begin and end otherwise. Rows that have ended by then stay; the others
    /// give way to rows of the windows that there are now, added up from hours.
    WindowsChanged {
        /// The moment.
        at: Timestamp,
        /// When windows begin and end from now on.
        schedule: Schedule,
        /// The budget in force.
        budget: Option<Amount>,
    },
}

/// The fold: the state is the budget as it stands.
#[derive(Debug)]
pub struct PeriodUsage;

impl Projection for PeriodUsage {
    const NAME: &'static str = "period_usage";
    type State = Budget;
    type Change<'a> = LedgerChange;

    fn apply(budget: &mut Budget, facts: &Facts<'_>) -> Vec<LedgerChange> {
        let mut changes = Vec::new();
        for fact in &facts.facts {
            match &fact.event {
                Event::UsageRecorded(used) => {
                    let Counting { counted, withdrawn } = Counting::of(used);
                    let version = fact.version;
                    if let Some(Placed { measure, hour }) = withdrawn {
                        changes.push(LedgerChange::Withdrawn { measure, hour, version });
                    }
                    changes.push(LedgerChange::Counted {
                        measure: counted.measure,
                        period: used.period,
                        hour: counted.hour,
                        version,
                        decided_at: facts.decided_at,
                        budget: budget.period_budget,
                    });
                }
                Event::BudgetSet(set) => {
                    let before = std::mem::replace(budget, (*set).into());
                    compare(&before, budget, facts.decided_at, fact.version, &mut changes);
                }
                Event::CustomerCreated(_)
                | Event::CustomerUpdated(_)
                | Event::TierChanged(_)
                | Event::StatusChanged(_)
                | Event::ContractSet(_)
                | Event::PolicyChanged(_)
                | Event::BillingControlsSet(_)
                | Event::KeyChanged(_)
                | Event::ParentChanged(_)
                | Event::BudgetThresholdReached(_)
                | Event::PlanAttached(_)
                | Event::PlanChanged(_)
                | Event::PlanCanceled(_)
                | Event::PurchaseRecorded(_)
                | Event::BalanceGranted(_)
                | Event::GrantRevoked(_)
                | Event::FlagSet(_)
                | Event::FlagCleared(_)
                | Event::AutoTopupTriggered(_)
                | Event::UsageAlertTriggered(_)
                | Event::BalanceLimitReached(_)
                | Event::CustomerArchived(_)
                | Event::KeyClaimed(_)
                | Event::KeyReleased(_)
                | Event::PledgeClaimed(_)
                | Event::PledgeReleased(_)
                | Event::EdgeClaimed(_)
                | Event::EdgeReleased(_) => {}
            }
        }
        changes
    }
}

/// What one event about usage counts, and what it takes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counting {
    /// What counts.
    pub(crate) counted: Placed,
    /// What counts no more.
    pub(crate) withdrawn: Option<Placed>,
}

/// A report and where it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placed {
    /// The report.
    pub(crate) measure: Measure,
    /// Beginning of the hour, or of what is left of it, in which it counts.
    pub(crate) hour: Timestamp,
}

impl Counting {
    /// Gives what an event counts and takes back.
    pub(crate) fn of(used: &UsageRecorded) -> Self {
        let withdrawn = used.corrects.as_ref().map(|corrected| {
            let Corrected { occurred_at, quantity, raw, charged, counted_from, .. } = corrected;
            let (at, raw, charged, quantity) = (*occurred_at, *raw, *charged, *quantity);
            Placed {
                measure: Measure { at, raw, charged, quantity },
                hour: counted_from.unwrap_or_else(|| Timestamp::from_hour(at.hour())),
            }
        });
        let UsageRecorded { occurred_at: at, quantity, raw, charged, period, .. } = used;
        let (at, raw, charged, quantity) = (*at, *raw, *charged, *quantity);
        let counted = Placed {
            measure: Measure { at, raw, charged, quantity },
            hour: Timestamp::from_hour(at.hour()).max(period.start),
        };
        Self { counted, withdrawn }
    }
}

fn compare(
    before: &Budget,
    after: &Budget,
    at: Timestamp,
    version: u64,
    changes: &mut Vec<LedgerChange>,
) {
    let budget = after.period_budget;
    if before.period_budget != budget {
        changes.push(LedgerChange::BudgetChanged { at, version, budget });
    }
    if before.schedule() != after.schedule() {
        changes.push(LedgerChange::WindowsChanged { at, schedule: after.schedule(), budget });
    }
}
