//! For tests: random decisions about a few customers in two partitions, and a plain reckoning of what
//! they used, that knows of no rows.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tallybook_events::customer::entitlements::{
    BalanceGranted, EntitlementFacts, Grant, GrantRevoked, Plan, PlanAttached, ResetInterval,
    ResetRule,
};
use tallybook_events::customer::{
    BillingControls, BillingControlsSet, Budget, LimitInterval, UsageLimit, UsageRecorded,
};
use tallybook_events::event::Event;
use tallybook_events::ids::{CustomerId, Merchant, ReportId};
use tallybook_events::money::{Amount, Total};
use tallybook_events::period::{BudgetDuration, Window};
use tallybook_events::time::{MICROS_PER_HOUR, Timestamp};

use crate::testing::{
    Log, archived, at, budget_set, corrected, created, id, named, renamed, suspended, tier,
};

const MICROS_PER_MINUTE: i64 = MICROS_PER_HOUR / 60;

/// Customers in a world.
pub(crate) const CUSTOMERS: usize = 5;

/// What happens next, to which customer, how much later.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    customer: usize,
    hours_later: i64,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Name,
    Tier,
    Suspend,
    Rename,
    Archive,
    Refuse,
    /// Reports, so many hours before (or after) the decision, and their costs.
    Use(Vec<(i64, u32)>),
    /// Another total for one of the reports before, so many hours before the decision.
    Correct(usize, i64, u32),
    Budget {
        period_budget: Option<u32>,
        duration: BudgetDuration,
        start: Option<i64>,
        hours: Option<i64>,
    },
    /// A grant of tokens is made or changed.
    Grant {
        which: u32,
        included: u32,
        reset: Option<ResetInterval>,
        /// So many hours ago it starts, when it is new.
        start: i64,
        life: Option<i64>,
    },
    /// A grant is taken back.
    Revoke(u32),
    /// Usage limits of tokens are set.
    Limits(Vec<LimitInterval>),
    /// A plan is attached, whose billing cycle began so many hours ago.
    Plan(i64),
}

/// Gives steps of any kind, mostly usage.
pub(crate) fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let ago = prop_oneof![6 => 0..48_i64, 2 => 0..2_000_i64, 1 => -72..0_i64];
    let reports = prop::collection::vec((ago.clone(), 0..20_u32), 1..6);
    let duration = prop::sample::select(vec![
        BudgetDuration::Daily,
        BudgetDuration::Weekly,
        BudgetDuration::Monthly,
        BudgetDuration::Yearly,
    ]);
    let budget = (
        prop::option::of(0..100_u32),
        duration,
        prop::option::of(-500..100_i64),
        prop::option::of(1..500_i64),
    );
    let reset = prop::sample::select(vec![
        ResetInterval::Hour,
        ResetInterval::Day,
        ResetInterval::Week,
        ResetInterval::Month,
    ]);
    let start = prop_oneof![3 => -48..48_i64, 1 => 0..1_000_i64];
    let life = prop::option::weighted(0.3, 1_000..3_000_i64);
    let grant = (0..3_u32, 0..50_u32, prop::option::of(reset), start, life).prop_map(
        |(which, included, reset, start, life)| What::Grant { which, included, reset, start, life },
    );
    let interval = prop::sample::select(vec![
        LimitInterval::Day,
        LimitInterval::Week,
        LimitInterval::Month,
        LimitInterval::Year,
    ]);
    let what = prop_oneof![
        2 => Just(What::Name),
        1 => Just(What::Tier),
        1 => Just(What::Suspend),
        2 => Just(What::Rename),
        1 => Just(What::Archive),
        1 => Just(What::Refuse),
        12 => reports.prop_map(What::Use),
        4 => (0..50_usize, ago, 0..20_u32).prop_map(|(nth, ago, cost)| What::Correct(nth, ago, cost)),
        4 => grant,
        1 => (0..3_u32).prop_map(What::Revoke),
        1 => prop::collection::vec(interval, 0..3).prop_map(What::Limits),
        1 => (-20..900_i64).prop_map(What::Plan),
        6 => budget.prop_map(|(period_budget, duration, start, hours)| What::Budget {
            period_budget, duration, start, hours
        }),
    ];
    let step = (0..CUSTOMERS, prop_oneof![3 => 0..30_i64, 1 => 0..400_i64], what)
        .prop_map(|(customer, hours_later, what)| Step { customer, hours_later, what });
    prop::collection::vec(step, 1..most)
}

/// What is known of one customer without any row.
#[derive(Debug, Default)]
pub(crate) struct Reckoned {
    pub(crate) version: u64,
    pub(crate) archived: bool,
    pub(crate) key: String,
    pub(crate) budget: Budget,
    /// Reports by id; those that were corrected do not count.
    pub(crate) reports: Vec<(UsageRecorded, bool)>,
    pub(crate) entitled: EntitlementFacts,
    pub(crate) controls: BillingControls,
    /// The first report that named a merchant, and the merchant.
    pub(crate) first_merchant: Option<(ReportId, Merchant)>,
}

/// A journal of two partitions, and what is known of its customers.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) logs: [Log; 2],
    pub(crate) customers: BTreeMap<usize, Reckoned>,
    pub(crate) now: Timestamp,
}

pub(crate) fn customer_id(customer: usize) -> CustomerId {
    id(&format!("key-{customer}"))
}

fn hours(hours: i64) -> i64 {
    hours * MICROS_PER_HOUR
}

impl World {
    pub(crate) fn of(steps: &[Step]) -> Self {
        let mut world = Self {
            logs: [Log::new(0), Log::new(1)],
            customers: BTreeMap::new(),
            now: at("2026-10-30"),
        };
        for step in steps {
            world.step(step);
        }
        world
    }

    fn step(&mut self, step: &Step) {
        self.now = self.now.plus_micros(hours(step.hours_later));
        let (customer, now) = (step.customer, self.now);
        let log = &mut self.logs[customer % 2];
        let id = customer_id(customer);
        let reckoned = self.customers.entry(customer).or_default();
        let mut events = Vec::new();
        if reckoned.version == 0 {
            reckoned.key = format!("key-{customer}");
            events.push(created(&reckoned.key));
        } else if reckoned.archived || matches!(step.what, What::Refuse) {
            log.reject(&now.to_string(), id);
            return;
        }
        reckoned.happen(&step.what, now, &mut events);
        log.accept(&now.to_string(), id, reckoned.version, &events);
        reckoned.version += u64::try_from(events.len()).expect("few events");
    }
}

fn limit(interval: LimitInterval) -> UsageLimit {
    UsageLimit {
        feature_id: "tokens".parse().expect("a meter"),
        enabled: true,
        limit: 100_u32.into(),
        interval,
        anchor: None,
        filter: None,
    }
}

/// A plan that is in force for five weeks.
fn plan(number: usize, now: Timestamp, period: Timestamp) -> Plan {
    Plan {
        plan_id: format!("p{number}").parse().expect("a name"),
        add_on: number.is_multiple_of(2),
        auto_enable: false,
        quantity: 1,
        past_due: false,
        started_at: now,
        trial_ends_at: None,
        current_period_start: Some(period),
        current_period_end: None,
        canceled_at: None,
        expires_at: Some(now.plus_micros(hours(840))),
    }
}

impl Reckoned {
    fn happen(&mut self, what: &What, now: Timestamp, events: &mut Vec<Event>) {
        match what {
            What::Name => events.push(named(&format!("name {}", self.version))),
            What::Tier => events.push(tier(&format!("tier-{}", self.version % 3))),
            What::Suspend => events.push(suspended()),
            What::Rename => {
                let to = format!("{}+", self.key);
                events.push(renamed(&self.key, &to));
                self.key = to;
            }
            What::Archive => {
                events.push(archived(&self.key));
                self.archived = true;
            }
            What::Refuse => {}
            What::Grant { .. } | What::Revoke(_) => self.entitle(what, now, events),
            What::Limits(intervals) => {
                let usage_limits = intervals.iter().map(|interval| limit(*interval)).collect();
                let to = BillingControls {
                    usage_limits: Some(usage_limits),
                    ..BillingControls::default()
                };
                let from = std::mem::replace(&mut self.controls, to.clone());
                let set = BillingControlsSet { from, to };
                events.push(Event::BillingControlsSet(Box::new(set)));
            }
            What::Plan(ago) => {
                let plan = plan(self.entitled.plans.len(), now, now.plus_micros(-hours(*ago)));
                let attached = PlanAttached { plan };
                attached.apply(&mut self.entitled, now);
                events.push(Event::PlanAttached(attached));
            }
            What::Use(reports) => {
                for (ago, cost) in reports {
                    let report = self.report(now.plus_micros(-hours(*ago)), *cost);
                    events.push(Event::UsageRecorded(report.clone()));
                    self.meet(&report, None);
                    self.reports.push((report, true));
                }
            }
            What::Correct(nth, ago, cost) => {
                let report = self.report(now.plus_micros(-hours(*ago)), *cost);
                let mut counting = self.reports.iter_mut().filter(|(_, counts)| *counts);
                let Some((earlier, counts)) = counting.nth(*nth) else { return };
                *counts = false;
                let corrected_id = earlier.report_id.clone();
                let (earlier, later) =
                    (Event::UsageRecorded(earlier.clone()), Event::UsageRecorded(report.clone()));
                events.push(corrected(&earlier, later));
                self.meet(&report, Some(&corrected_id));
                self.reports.push((report, true));
            }
            What::Budget { period_budget, duration, start, hours: length } => {
                let start = start.map(|ago| now.plus_micros(-hours(ago)));
                let end =
                    start.zip(*length).map(|(start, length)| start.plus_micros(hours(length)));
                let budget = Budget {
                    period_budget: period_budget.map(Amount::from),
                    duration: *duration,
                    period_start: start,
                    period_end: end,
                    ..Budget::default()
                };
                if budget != self.budget {
                    self.budget = budget;
                    events.push(budget_set(&budget));
                }
            }
        }
    }

    /// Makes or changes a grant, or takes it back.
    fn entitle(&mut self, what: &What, now: Timestamp, events: &mut Vec<Event>) {
        match what {
            What::Grant { which, included, reset, start, life } => {
                let grant =
                    grant(*which, *included, now.plus_micros(-hours(*start)), *reset, *life);
                let before = self.entitled.grant(&grant.grant_id, now);
                let counts_from = before.map_or(grant.starts_at, |before| {
                    let window =
                        grant.reset.map_or(Timestamp::MIN, |rule| rule.window_at(now).start);
                    window.max(before.counts_from(now))
                });
                let instead_of = before.map(|before| Box::new(before.grant.clone()));
                let granted = BalanceGranted { grant, counts_from, instead_of };
                granted.apply(&mut self.entitled, now);
                events.push(Event::BalanceGranted(Box::new(granted)));
            }
            What::Revoke(which) => {
                let grant_id = format!("g{which}").parse().expect("a name");
                let Some(held) = self.entitled.grant(&grant_id, now) else { return };
                let revoked = GrantRevoked { grant: held.grant.clone(), ends_at: now };
                revoked.apply(&mut self.entitled, now);
                events.push(Event::GrantRevoked(Box::new(revoked)));
            }
            What::Name
            | What::Tier
            | What::Suspend
            | What::Rename
            | What::Archive
            | What::Refuse
            | What::Use(_)
            | What::Correct(..)
            | What::Limits(_)
            | What::Plan(_)
            | What::Budget { .. } => {}
        }
    }

    fn meet(&mut self, report: &UsageRecorded, corrects: Option<&ReportId>) {
        let Some(merchant) = &report.merchant else { return };
        match &mut self.first_merchant {
            None => self.first_merchant = Some((report.report_id.clone(), merchant.clone())),
            Some((id, first)) if corrects == Some(id) => *first = merchant.clone(),
            Some(_) => {}
        }
    }

    /// Makes a report of some minute of the hour that begins at a moment.
    fn report(&self, hour: Timestamp, cost: u32) -> UsageRecorded {
        let moment = hour.plus_micros(i64::from(cost) * 3 * MICROS_PER_MINUTE);
        UsageRecorded {
            report_id: format!("r{}", self.reports.len()).parse().expect("a report id"),
            occurred_at: moment,
            meter: "tokens".parse().expect("a meter"),
            quantity: (cost + 1).into(),
            raw: cost.into(),
            charged: (2 * cost).into(),
            period: self.budget.schedule().window_at(moment),
            // Some do name one.
            merchant: cost
                .is_multiple_of(3)
                .then(|| format!("m{}", cost % 2).parse().expect("a name")),
            corrects: None,
        }
    }

    /// Adds up the reports of a window: cost and number.
    pub(crate) fn used(&self, window: &Window) -> (Total, u64) {
        let within = |report: &UsageRecorded| window.contains(report.occurred_at);
        let counting = self.reports.iter().filter(|(report, counts)| *counts && within(report));
        counting.fold((Total::ZERO, 0), |(raw, count), (report, _)| {
            (raw.plus(report.raw).expect("a small sum"), count + 1)
        })
    }

    /// Gives the last report with a cost up to a moment.
    pub(crate) fn last_spend(&self, at: Timestamp) -> Option<Timestamp> {
        let spends = self.reports.iter().filter(|(report, counts)| {
            *counts && report.raw > Amount::ZERO && report.occurred_at <= at
        });
        spends.map(|(report, _)| report.occurred_at).max()
    }
}

/// A grant of tokens; windows begin where it starts.
fn grant(
    which: u32,
    included: u32,
    starts_at: Timestamp,
    reset: Option<ResetInterval>,
    life: Option<i64>,
) -> Grant {
    Grant {
        grant_id: format!("g{which}").parse().expect("a name"),
        feature_id: "tokens".parse().expect("a meter"),
        plan_id: None,
        included: included.into(),
        prepaid: Amount::ZERO,
        unlimited: false,
        overage_allowed: which == 1,
        max_purchase: None,
        reset: reset.map(|interval| ResetRule { interval, interval_count: 1, anchor: starts_at }),
        rollover: None,
        price: None,
        starts_at,
        expires_at: life.map(|life| starts_at.plus_micros(hours(life))),
    }
}
