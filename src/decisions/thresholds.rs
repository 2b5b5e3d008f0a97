//! When is a share of a budget told? Once for each period (or lifetime), budget value and share.

use tallybook_events::customer::{BudgetKind, BudgetThresholdReached};
use tallybook_events::event::Event;
use tallybook_events::money::{Amount, Total};
use tallybook_events::period::Window;
use tallybook_events::time::Timestamp;

use super::packed::{Packed, Unpackable, Unpacking, pack_json, pack_list};

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

/// Decides which shares of a budget are to be told now, and adds them to the events. `fresh` is
/// what this command told already.
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

impl Packed for Thresholds {
    fn pack(&self, out: &mut Vec<u8>) {
        pack_list(self.0.iter(), out, |told, out| {
            let Told { kind, start, budget, percentage } = told;
            pack_json(kind, out);
            start.pack(out);
            budget.pack(out);
            percentage.pack(out);
        });
    }

    fn unpack(from: &mut Unpacking<'_>) -> Result<Self, Unpackable> {
        let told = from.list(|from| {
            let kind = from.json()?;
            Ok(Told { kind, start: from.take()?, budget: from.take()?, percentage: from.take()? })
        });
        told.map(Self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::given::{Given, correction, given, report, update, usage};

    const JANUARY: (&str, &str) = ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z");
    const FEBRUARY: (&str, &str) = ("2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z");
    const EVER: (&str, &str) = ("1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z");

    fn with_budget(budget: Value) -> Given {
        given().customer(json!({"budget": budget}))
    }

    /// A share of a budget: kind, percentage, budget, used, period.
    type Share<'a> = (&'a str, u32, &'a str, &'a str, (&'a str, &'a str));

    impl Given {
        /// Records usage and asserts which shares are told after it.
        fn tells<const N: usize>(self, report: Value, shares: [Share<'_>; N]) -> Self {
            self.does(usage(json!([report])), shares)
        }

        fn does<const N: usize>(self, asked: Value, shares: [Share<'_>; N]) -> Self {
            let mut world = self.world();
            let events = world.ask(asked).events();
            let told: Vec<Value> = events.as_array().unwrap().iter().skip(1).cloned().collect();
            let expected: Vec<Value> = shares
                .map(|(kind, percentage, budget, used, (start, end))| {
                    json!({"type": "BudgetThresholdReached.v1", "kind": kind,
                        "percentage": percentage, "budget": budget, "used": used,
                        "period": {"start": start, "end": end}})
                })
                .into();
            assert_eq!(told, expected);
            Given::of(world)
        }
    }

    #[test]
    fn a_share_is_told_when_it_is_reached_exactly_and_once_in_a_period() {
        with_budget(json!({"period_budget": "100"}))
            .tells(report("r1", "2026-01-02T00:00:00Z", "79.999999999999"), [])
            .tells(
                report("r2", "2026-01-03T00:00:00Z", "0.000000000001"),
                [("period", 80, "100", "80", JANUARY)],
            )
            .tells(report("r3", "2026-01-04T00:00:00Z", "19.99"), [])
            .tells(
                report("r4", "2026-01-05T00:00:00Z", "0.02"),
                [("period", 100, "100", "100.01", JANUARY)],
            )
            .tells(report("r5", "2026-01-06T00:00:00Z", "500"), []);
    }

    #[test]
    fn one_report_may_reach_both_shares_of_both_budgets() {
        with_budget(json!({"period_budget": "10", "total_budget": "20"})).tells(
            report("r1", "2026-01-02T00:00:00Z", "25"),
            [
                ("period", 80, "10", "25", JANUARY),
                ("period", 100, "10", "25", JANUARY),
                ("total", 80, "20", "25", EVER),
                ("total", 100, "20", "25", EVER),
            ],
        );
    }

    #[test]
    fn each_period_tells_anew_and_the_total_budget_once() {
        with_budget(json!({"period_budget": "10", "total_budget": "20"}))
            .tells(report("r1", "2026-01-31T23:59:59Z", "9"), [("period", 80, "10", "9", JANUARY)])
            .tells(
                report("r2", "2026-02-01T00:00:00Z", "9"),
                [("period", 80, "10", "9", FEBRUARY), ("total", 80, "20", "18", EVER)],
            )
            .tells(report("r3", "2026-03-01T00:00:00Z", "1"), []);
    }

    #[test]
    fn a_late_report_counts_in_its_own_period() {
        with_budget(json!({"period_budget": "10"}))
            .tells(report("r1", "2026-02-10T00:00:00Z", "7"), [])
            .tells(report("r2", "2026-01-10T00:00:00Z", "8"), [("period", 80, "10", "8", JANUARY)])
            .tells(
                report("r3", "2026-02-11T00:00:00Z", "1"),
                [("period", 80, "10", "8", FEBRUARY)],
            );
    }

    #[test]
    fn another_budget_is_told_at_once_and_the_same_one_never_again() {
        let budget = |amount: &str| update(json!({"budget": {"period_budget": amount}}));
        with_budget(json!({"period_budget": "100"}))
            .tells(
                report("r1", "2026-01-10T00:00:00Z", "90"),
                [("period", 80, "100", "90", JANUARY)],
            )
            .does(budget("1000"), [])
            .does(
                budget("90"),
                [("period", 80, "90", "90", JANUARY), ("period", 100, "90", "90", JANUARY)],
            )
            .does(budget("100"), [])
            .tells(
                report("r2", "2026-01-10T00:00:00Z", "10"),
                [("period", 100, "100", "100", JANUARY)],
            )
            .does(budget("90"), []);
    }

    #[test]
    fn a_new_budget_looks_at_the_period_of_now_and_at_all_time() {
        let budget = json!({"budget": {"period_budget": "5", "total_budget": "5"}});
        given()
            .customer(json!({}))
            .used([report("r1", "2025-12-10T00:00:00Z", "5"), report("r2", JANUARY.0, "4")])
            .does(
                update(budget),
                [
                    ("period", 80, "5", "4", JANUARY),
                    ("total", 80, "5", "9", EVER),
                    ("total", 100, "5", "9", EVER),
                ],
            )
            .does(update(json!({"budget": {"markup_percentage": "20"}})), []);
    }

    #[test]
    fn a_new_window_is_another_period() {
        with_budget(json!({"period_budget": "10"}))
            .tells(report("r1", JANUARY.0, "8"), [("period", 80, "10", "8", JANUARY)])
            .does(update(json!({"budget": {"duration": "yearly"}})), [])
            .does(
                update(json!({"budget": {"period_start": "2025-12-31T00:00:00Z"}})),
                [("period", 80, "10", "8", ("2025-12-31T00:00:00Z", "2026-12-31T00:00:00Z"))],
            );
    }

    #[test]
    fn a_budget_of_nothing_is_reached_by_the_first_cost() {
        with_budget(json!({"period_budget": "0"}))
            .tells(report("r1", "2026-01-10T00:00:00Z", "0"), [])
            .tells(
                report("r2", "2026-01-10T00:00:00Z", "0.01"),
                [("period", 80, "0", "0.01", JANUARY), ("period", 100, "0", "0.01", JANUARY)],
            );
    }

    #[test]
    fn the_raw_cost_counts_whatever_is_charged() {
        with_budget(json!({"period_budget": "10", "markup_percentage": "100"}))
            .tells(report("r1", "2026-01-10T00:00:00Z", "7.9"), [])
            .tells(
                report("r2", "2026-01-10T00:00:00Z", "0.1"),
                [("period", 80, "10", "8", JANUARY)],
            );
    }

    #[test]
    fn what_a_correction_takes_away_does_not_arm_a_share_again() {
        with_budget(json!({"period_budget": "10"}))
            .tells(report("r1", "2026-01-10T00:00:00Z", "9"), [("period", 80, "10", "9", JANUARY)])
            .tells(correction("r2", "r1", "2026-01-10T00:00:00Z", "1"), [])
            .tells(report("r3", "2026-01-10T00:00:00Z", "7.5"), [])
            .tells(
                correction("r4", "r1", "2026-01-10T00:00:00Z", "2.5"),
                [("period", 100, "10", "10", JANUARY)],
            );
    }

    #[test]
    fn a_share_is_told_once_within_a_command() {
        let reports = json!([
            report("r1", "2026-01-10T00:00:00Z", "8"),
            report("r2", "2026-01-10T00:00:00Z", "1"),
            report("r3", "2026-02-10T00:00:00Z", "8"),
            report("r4", "2026-01-10T00:00:00Z", "1"),
        ]);
        with_budget(json!({"period_budget": "10"})).when(usage(reports)).then_types([
            "UsageRecorded",
            "BudgetThresholdReached",
            "UsageRecorded",
            "UsageRecorded",
            "BudgetThresholdReached",
            "UsageRecorded",
            "BudgetThresholdReached",
        ]);
    }

    #[test]
    fn more_than_the_largest_amount_may_be_used() {
        let most = "999999999999";
        with_budget(json!({"period_budget": most})).tells(report("r1", JANUARY.0, "1"), []).tells(
            report("r2", JANUARY.0, most),
            [
                ("period", 80, most, "1000000000000", JANUARY),
                ("period", 100, most, "1000000000000", JANUARY),
            ],
        );
    }
}
