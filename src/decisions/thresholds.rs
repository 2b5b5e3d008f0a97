//! When is a share of a budget told? Once for each period (or lifetime), budget value and share.

use tallybook_events::customer::{BudgetKind, BudgetThresholdReached};
use tallybook_events::event::Event;
use tallybook_events::money::{Amount, Total};
use tallybook_events::period::Window;
use tallybook_events::time::Timestamp;

/// The shares that are told, in per cent.
const PERCENTAGES: [u32; 2] = [80, 100];

/// A share that was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Told {
    /// Which budget.
    pub(super) kind: BudgetKind,
    /// Where the period begins.
    pub(super) start: Timestamp,
    /// The budget.
    pub(super) budget: Amount,
    /// The share.
    pub(super) percentage: u32,
}

impl From<&BudgetThresholdReached> for Told {
    fn from(reached: &BudgetThresholdReached) -> Self {
        let &BudgetThresholdReached { kind, percentage, budget, period, .. } = reached;
        Self { kind, start: period.start, budget, percentage }
    }
}

/// The shares that a customer's events told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Thresholds(Vec<Told>);

impl Thresholds {
    /// Remembers that a share was told.
    pub(super) fn apply(&mut self, reached: &BudgetThresholdReached) {
        let told = Told::from(reached);
        if let Err(at) = self.0.binary_search(&told) {
            self.0.insert(at, told);
        }
    }

    /// Gives what was told, in order.
    pub(super) fn told(&self) -> &[Told] {
        &self.0
    }

    fn has(&self, told: &Told) -> bool {
        self.0.binary_search(told).is_ok()
    }
}

/// A budget and the raw cost that counts against it, in trillionths.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spending {
    /// Which budget.
    pub(super) kind: BudgetKind,
    /// The budget, if there is one.
    pub(super) budget: Option<Amount>,
    /// The period, or all time.
    pub(super) period: Window,
    /// The raw cost in it.
    pub(super) used: i128,
}

/// Decides which shares of a budget are to be told now, and adds them to the events. `fresh` is what
/// this command told already.
///
/// A budget of 0 is reached by the first raw cost above 0.
pub(super) fn decide(
    told: &Thresholds,
    fresh: &mut Thresholds,
    spending: Spending,
    events: &mut Vec<Event>,
) {
    let Spending { kind, budget: Some(budget), period, used } = spending else { return };
    for percentage in PERCENTAGES {
        if used == 0 || used * 100 < budget.trillionths() * i128::from(percentage) {
            return;
        }
        let share = Told { kind, start: period.start, budget, percentage };
        if told.has(&share) || fresh.has(&share) {
            continue;
        }
        let used = Total::from_trillionths(used).expect("sums are kept below 10^28");
        let reached = BudgetThresholdReached { kind, percentage, budget, used, period };
        fresh.apply(&reached);
        events.push(Event::BudgetThresholdReached(reached));
    }
}
