//! Both sides fold the same facts: after every decision the customer that the rules see and the one
//! that is read are the same, whatever moment is asked for.

use proptest::prelude::*;
use serde_json::json;
use tallybook_events::chain::Head;
use tallybook_events::codec::{self, DecisionParts, Record as Recorded};
use tallybook_events::command::{Command, CommandBody, CustomerPatch};
use tallybook_events::decision::{Accepted, Outcome, SourceRef};
use tallybook_events::ids::{CustomerRef, Partition};
use tallybook_events::period::BudgetDuration;
use tallybook_events::time::Timestamp;
use tallybook_projections::fold::CustomerFold;
use tallybook_projections::ledger::NoRows;
use tallybook_projections::projection::Facts;

use super::kit::{command, id, key};
use crate::decisions::{Ask, Decided, RULES, Record, TierCatalogue, Verdict, decide};

/// One command: so many minutes after the one before, and what is asked.
#[derive(Debug, Clone)]
struct Step {
    minutes_later: i64,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Patch(serde_json::Value),
    /// Reports, so many minutes before the command, their costs, and the report that they correct.
    Use(Vec<(i64, u32, Option<usize>)>),
    /// A budget, its duration, and a window from so many minutes before on for so many minutes.
    Budget(Option<u32>, BudgetDuration, Option<i64>, Option<i64>),
    Archive,
}

const MINUTE: i64 = 60_000_000;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ago = || prop_oneof![3 => 0..200_i64, 1 => 0..100_000_i64];
    let corrects = prop_oneof![2 => Just(None), 1 => (0..30_usize).prop_map(Some)];
    let reports = prop::collection::vec((ago(), 0..50_u32, corrects), 1..5);
    let duration = prop::sample::select(vec![
        BudgetDuration::Daily,
        BudgetDuration::Weekly,
        BudgetDuration::Monthly,
        BudgetDuration::Yearly,
    ]);
    let start = prop::option::of(prop_oneof![-100..100_i64, -10_000..10_000_i64]);
    let length = prop::option::of(prop_oneof![1..200_i64, 1..50_000_i64]);
    let patches = prop::sample::select(vec![
        json!({"profile": {"name": "A", "metadata": {"a": 1, "b": {"c": [2]}}}}),
        json!({"profile": {"name": null, "metadata": {"a": null}, "address": {"city": "X"}}}),
        json!({"contract": {"status": "suspended", "start": "2026-01-01", "burst": 7}}),
        json!({"contract": {"status": "active", "annual_commitment": "10.5"}}),
        json!({"policy": {"limits": {"per_day": "5"}, "allowed_mccs": ["5411"]}}),
        json!({"policy": null, "identity": {"links": {"stripe": "cus_1"}}}),
        json!({"billing_controls": {"overage_allowed": [{"feature_id": "f", "enabled": true}]}}),
        json!({"budget": {"markup_percentage": "20", "total_budget": "1000"}}),
    ]);
    let what = prop_oneof![
        3 => patches.prop_map(What::Patch),
        10 => reports.prop_map(What::Use),
        5 => (prop::option::of(0..200_u32), duration, start, length)
            .prop_map(|(budget, duration, start, length)| What::Budget(budget, duration, start, length)),
        1 => Just(What::Archive),
    ];
    let step = (prop_oneof![0..90_i64, 0..10_000_i64], what)
        .prop_map(|(minutes_later, what)| Step { minutes_later, what });
    prop::collection::vec(step, 1..40)
}

fn earlier(now: Timestamp, minutes: i64) -> Timestamp {
    now.plus_micros(-minutes * MINUTE)
}

/// Makes the body of a command; `reported` counts the reports that were ever asked for.
fn body(what: &What, now: Timestamp, reported: &mut usize) -> CommandBody {
    let patch = match what {
        What::Archive => return CommandBody::ArchiveCustomer,
        What::Use(reports) => {
            let mut asked = Vec::new();
            for (ago, cost, corrects) in reports {
                let mut report = json!({
                    "report_id": format!("r{reported}"),
                    "occurred_at": earlier(now, *ago),
                    "meter": "tokens",
                    "cost": cost.to_string(),
                });
                let earlier_one = corrects.filter(|_| *reported > 0).map(|nth| nth % *reported);
                if let Some(nth) = earlier_one {
                    report["corrects"] = format!("r{nth}").into();
                }
                *reported += 1;
                asked.push(serde_json::from_str(&report.to_string()).unwrap());
            }
            return CommandBody::RecordUsage(asked);
        }
        What::Budget(budget, duration, start, length) => {
            let start = start.map(|ago| earlier(now, ago));
            let end = start.zip(*length).map(|(start, minutes)| earlier(start, -minutes));
            json!({"budget": {
                "period_budget": budget.map(|budget| budget.to_string()),
                "duration": duration,
                "period_start": start,
                "period_end": end,
            }})
        }
        What::Patch(patch) => patch.clone(),
    };
    let text = patch.to_string();
    CommandBody::UpdateCustomer(Box::new(serde_json::from_str::<CustomerPatch>(&text).unwrap()))
}

/// Both sides of one customer.
struct Sides {
    rules: Record,
    read: CustomerFold,
    seq: u64,
}

impl Sides {
    /// Decides a command, writes the decision as the journal has it, and folds it on both sides.
    fn decide(&mut self, command: &Command, now: Timestamp) {
        let (id, tiers) = (id("acme"), TierCatalogue::default());
        let ask = Ask { command, id, decided_at: now, tiers: &tiers };
        let Verdict::Accepted { events, .. } = decide(&self.rules, &ask) else { return };
        let from_version = self.rules.version();
        let to_version = from_version + u64::try_from(events.len()).unwrap();
        let outcome = Outcome::Accepted(Accepted {
            customer_id: id,
            from_version,
            to_version,
            duplicates: Vec::new(),
            conflicts: Vec::new(),
        });
        let decided = Decided { command, id, decided_at: now, outcome: &outcome, events: &events };
        self.rules.apply(&decided);
        self.seq += 1;
        let parts = DecisionParts {
            decided_at: now,
            rules: RULES,
            source: SourceRef::Local,
            command: &serde_json::to_vec(command).unwrap(),
            outcome: &outcome,
            gives_back: &[],
            events: &events,
        };
        let mut record = Vec::new();
        codec::write_decision(&mut record, 1, self.seq, &Head::START, &parts);
        let (read, recorded) = codec::read_with_events(&record).unwrap();
        let Recorded::Decision(decision) = read else { panic!("it is a decision") };
        let Some(facts) = Facts::of(Partition(0), *decision, &recorded).unwrap() else { return };
        facts.follow(self.read.version()).unwrap();
        let Ok(()) = self.read.apply(&facts, &mut NoRows);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_rules_and_the_readers_see_the_same_customer(steps in steps()) {
        let mut now = Timestamp::from_micros(1_800_000_000_000_000);
        let mut sides = Sides { rules: Record::default(), read: CustomerFold::unborn(), seq: 0 };
        let mut reported = 0;
        let birth = CommandBody::CreateCustomer(Box::default());
        sides.decide(&command(CustomerRef::Key(key("acme")), now, 1, birth), now);
        for (number, step) in (2..).zip(&steps) {
            now = earlier(now, -step.minutes_later);
            let body = body(&step.what, now, &mut reported);
            sides.decide(&command(CustomerRef::Id(id("acme")), now, number, body), now);
            for later in [0, 45, 60 * 24 * 40] {
                let moment = earlier(now, -later);
                let Ok(read) = sides.read.clone().document(moment, &mut NoRows);
                prop_assert_eq!(sides.rules.document(moment), read);
            }
        }
    }
}

#[test]
fn a_correction_takes_away_where_the_report_had_counted() {
    let now =
        Timestamp::from_micros(1_800_000_000_000_000 / (60 * MINUTE) * (60 * MINUTE) + 50 * MINUTE);
    let mut sides = Sides { rules: Record::default(), read: CustomerFold::unborn(), seq: 0 };
    let mut reported = 0;
    let birth = CommandBody::CreateCustomer(Box::default());
    sides.decide(&command(CustomerRef::Key(key("acme")), now, 1, birth), now);
    let monthly = BudgetDuration::Monthly;
    for (number, what) in (2..).zip([
        What::Use(vec![(10, 1, None)]),
        What::Budget(None, monthly, Some(20), Some(10_000)),
        What::Use(vec![(15, 2, None)]),
        What::Use(vec![(30, 4, Some(0))]),
    ]) {
        let body = body(&what, now, &mut reported);
        sides.decide(&command(CustomerRef::Id(id("acme")), now, number, body), now);
        let Ok(read) = sides.read.clone().document(now, &mut NoRows);
        assert_eq!(sides.rules.document(now), read, "{what:?}");
    }
}
