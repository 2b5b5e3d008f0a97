//! What a customer is entitled to: as the facts and the reports that count say, however they came.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use tallybook_events::customer::entitlements::{
    BalanceGranted, Counted, Entitlements, Flag, FlagSet, Grant, HeldGrant, Plan, PlanAttached,
    PlanCanceled, ResetInterval, ResetRule, Segments,
};
use tallybook_events::customer::{BillingControls, BillingControlsSet, UsageRecorded};
use tallybook_events::event::Event;
use tallybook_events::ids::CustomerRef;
use tallybook_events::money::Total;

use super::{
    Fixture, FreshFixture, block_on, by_key, commit, commit_some, config, fold_in_batches,
};
use crate::queries::{AsOf, Queries};
use crate::testing::random_world::{World, customer_id, steps};
use crate::testing::{Log, at, corrected, created, id, scope, used};

fn grant(grant_id: &str, included: u32, starts_at: &str) -> Grant {
    Grant {
        grant_id: grant_id.parse().unwrap(),
        feature_id: "tokens".parse().unwrap(),
        plan_id: None,
        included: included.into(),
        prepaid: 0_u32.into(),
        unlimited: false,
        overage_allowed: false,
        max_purchase: None,
        reset: None,
        rollover: None,
        price: None,
        starts_at: at(starts_at),
        expires_at: None,
    }
}

fn monthly(grant_id: &str, included: u32, starts_at: &str) -> Grant {
    let anchor = at(starts_at);
    let reset = ResetRule { interval: ResetInterval::Month, interval_count: 1, anchor };
    Grant { reset: Some(reset), ..grant(grant_id, included, starts_at) }
}

fn granted(grant: Grant) -> Event {
    let counts_from = grant.starts_at;
    Event::BalanceGranted(Box::new(BalanceGranted { grant, counts_from, instead_of: None }))
}

async fn read(reads: &dyn Queries, now: &str) -> Entitlements {
    reads.entitlements(&scope(), &by_key("acme"), AsOf::Now, at(now)).await.unwrap().unwrap()
}

/// Used and remaining tokens at a moment.
async fn tokens(reads: &dyn Queries, now: &str) -> (String, String) {
    let entitlements = read(reads, now).await;
    let balance = &entitlements.balances[&"tokens".parse().unwrap()];
    (balance.usage.to_string(), balance.remaining.to_string())
}

fn pair(used: &str, remaining: &str) -> (String, String) {
    (used.to_owned(), remaining.to_owned())
}

/// A report of ten times the number.
fn report(id: &str, moment: &str, tens: u32) -> Event {
    used(id, moment, tens, &tallybook_events::customer::Budget::default())
}

pub(crate) async fn what_no_command_has_set_is_empty(fixture: impl Fixture) {
    let mut log = Log::new(0);
    log.accept("2026-11-01", id("acme"), 0, &[created("acme"), report("r", "2026-11-01", 1)]);
    let mut store = fixture.store();
    commit(&mut *store, &log);
    let reads = fixture.reads();
    assert_eq!(read(&*reads, "2026-11-02").await, Entitlements::default());
    let (nobody, now) = (by_key("nobody"), at("2026-11-02"));
    let nobody = reads.entitlements(&scope(), &nobody, AsOf::Now, now).await.unwrap();
    assert_eq!(nobody, None);
}

pub(crate) async fn balances_are_as_of_now(fixture: impl Fixture) {
    let mut log = Log::new(0);
    log.accept("2026-11-01", id("acme"), 0, &[created("acme")]);
    log.accept("2026-11-02", id("acme"), 1, &[granted(monthly("g", 100, "2026-11-02"))]);
    let reports = [
        report("r1", "2026-11-01", 1),
        report("r2", "2026-11-10", 2),
        report("r3", "2026-12-03", 3),
    ];
    log.accept("2026-12-03", id("acme"), 2, &reports);
    let mut store = fixture.store();
    commit(&mut *store, &log);
    let reads = fixture.reads();
    assert_eq!(tokens(&*reads, "2026-11-20").await, pair("20", "80"));
    assert_eq!(tokens(&*reads, "2026-12-03").await, pair("30", "70"));
    assert_eq!(tokens(&*reads, "2027-02-01").await, pair("0", "100"));
    assert_eq!(read(&*reads, "2026-11-01").await, Entitlements::default());
    let balance = read(&*reads, "2026-11-20").await.balances.into_values().next().unwrap();
    assert_eq!(balance.next_reset_at, Some(at("2026-12-02")));
}

pub(crate) async fn corrections_and_late_reports_change_the_balance_of_their_window(
    fixture: impl Fixture,
) {
    let mut log = Log::new(0);
    log.accept("2026-11-01", id("acme"), 0, &[created("acme")]);
    log.accept("2026-11-01", id("acme"), 1, &[granted(monthly("g", 100, "2026-11-01"))]);
    let first = report("r1", "2026-11-10", 4);
    log.accept("2026-12-02", id("acme"), 2, &[first.clone(), report("r2", "2026-12-02", 1)]);
    let mut store = fixture.store();
    commit(&mut *store, &log);
    let reads = fixture.reads();
    assert_eq!(tokens(&*reads, "2026-12-02").await, pair("10", "90"));
    let moved = corrected(&first, report("r3", "2026-12-01", 2));
    log.accept("2026-12-03", id("acme"), 4, &[moved]);
    // A store that is opened anew goes on from the rows.
    commit(&mut *fixture.store(), &log);
    assert_eq!(tokens(&*reads, "2026-12-03").await, pair("30", "70"));
    assert_eq!(tokens(&*reads, "2026-11-30").await, pair("0", "100"));
}

pub(crate) async fn a_grant_that_reaches_back_counts_what_was_reported_before(
    fixture: impl Fixture,
) {
    let mut log = Log::new(0);
    let early = report("r1", "2026-11-10T10:10:00Z", 1);
    let reports = [
        created("acme"),
        early.clone(),
        report("r2", "2026-11-10T10:20:00Z", 2),
        corrected(&early, report("r3", "2026-11-10T10:40:00Z", 4)),
    ];
    log.accept("2026-11-11", id("acme"), 0, &reports);
    let reaching = granted(grant("g", 1_000, "2026-11-10T10:15:00Z"));
    log.accept("2026-11-12", id("acme"), 4, &[reaching]);
    let mut store = fixture.store();
    commit_some(&mut *store, &log, 1);
    commit(&mut *store, &log);
    let reads = fixture.reads();
    assert_eq!(tokens(&*reads, "2026-11-12").await, pair("60", "940"));
    // Another grant begins in the middle of what was one segment until now.
    let within = granted(monthly("h", 15, "2026-11-10T10:30:00Z"));
    log.accept("2026-11-13", id("acme"), 5, &[within]);
    commit(&mut *fixture.store(), &log);
    let breakdown = read(&*reads, "2026-11-13").await.balances.into_values().next().unwrap();
    let used: Vec<_> =
        breakdown.breakdown.iter().map(|it| (it.id.to_string(), it.usage.to_string())).collect();
    assert_eq!(used, [pair("h", "15"), pair("g", "45")]);
}

pub(crate) async fn plans_and_flags_end_when_they_end(fixture: impl Fixture) {
    let plan_id = Some("pro".parse().unwrap());
    let plan = Plan {
        plan_id: "pro".parse().unwrap(),
        add_on: false,
        auto_enable: true,
        quantity: 1,
        past_due: false,
        started_at: at("2026-11-02"),
        trial_ends_at: None,
        current_period_start: None,
        current_period_end: None,
        canceled_at: None,
        expires_at: None,
    };
    let flag = Flag {
        flag_id: "i".parse().unwrap(),
        feature_id: "workflows".parse().unwrap(),
        plan_id: plan_id.clone(),
        expires_at: None,
    };
    let mut log = Log::new(0);
    let events = [
        created("acme"),
        Event::PlanAttached(PlanAttached { plan: plan.clone() }),
        granted(Grant { plan_id, ..grant("g", 100, "2026-11-02") }),
        Event::FlagSet(FlagSet { flag: flag.clone(), instead_of: None }),
    ];
    log.accept("2026-11-01", id("acme"), 0, &events);
    let mut store = fixture.store();
    commit(&mut *store, &log);
    let reads = fixture.reads();
    let entitlements = read(&*reads, "2026-11-05").await;
    assert_eq!(entitlements.subscriptions.len(), 1);
    assert_eq!(entitlements.flags.into_values().collect::<Vec<_>>(), [flag]);
    assert_eq!(tokens(&*reads, "2026-11-05").await, pair("0", "100"));
    let canceled = PlanCanceled {
        plan_id: plan.plan_id,
        canceled_at: at("2026-11-06"),
        expires_at: at("2026-11-20"),
    };
    log.accept("2026-11-06", id("acme"), 4, &[Event::PlanCanceled(canceled)]);
    commit(&mut *fixture.store(), &log);
    assert_eq!(read(&*reads, "2026-11-19").await.subscriptions.len(), 1);
    assert_eq!(read(&*reads, "2026-11-20").await, Entitlements::default());
}

fn controls(json: &str) -> BillingControls {
    serde_json::from_str(json).unwrap()
}

fn controls_set(from: &BillingControls, to: &BillingControls) -> Event {
    let (from, to) = (from.clone(), to.clone());
    Event::BillingControlsSet(Box::new(BillingControlsSet { from, to }))
}

/// What was used of each usage limit.
fn of_limits(entitlements: &Entitlements) -> Vec<String> {
    entitlements.usage_limits.iter().map(|standing| standing.usage.to_string()).collect()
}

pub(crate) async fn usage_limits_count_what_was_used_in_their_windows(fixture: impl Fixture) {
    let none = BillingControls::default();
    let both = controls(
        r#"{"usage_limits":[{"feature_id":"tokens","limit":"50","interval":"day"},
            {"feature_id":"tokens","limit":"90","interval":"month"},
            {"feature_id":"other","limit":"9","interval":"year"}]}"#,
    );
    let first = report("r1", "2026-11-10T10:00:00Z", 1);
    let mut log = Log::new(0);
    let early = [created("acme"), first.clone(), report("r2", "2026-10-31T23:59:59Z", 2)];
    log.accept("2026-11-10T12:00:00Z", id("acme"), 0, &early);
    log.accept("2026-11-10T13:00:00Z", id("acme"), 3, &[controls_set(&none, &both)]);
    let mut store = fixture.store();
    commit(&mut *store, &log);
    let reads = fixture.reads();
    // What was used before the limit was set counts.
    let seen = async |now: &str| of_limits(&read(&*reads, now).await);
    assert_eq!(seen("2026-11-10T14:00:00Z").await, ["10", "10", "0"]);
    assert_eq!(seen("2026-11-11T00:00:00Z").await, ["0", "10", "0"]);
    let corrected = corrected(&first, report("r3", "2026-11-10T11:00:00Z", 4));
    let more = [corrected, report("r4", "2026-11-09T00:00:00Z", 1)];
    log.accept("2026-11-10T15:00:00Z", id("acme"), 4, &more);
    commit(&mut *store, &log);
    assert_eq!(seen("2026-11-10T16:00:00Z").await, ["40", "50", "0"]);
    // Another bound leaves what was used alone; so does a grant, whose windows are others.
    let mut wider = both.clone();
    wider.usage_limits.iter_mut().flatten().for_each(|limit| limit.limit = 500_u32.into());
    let granted = granted(monthly("g", 100, "2026-11-09T12:00:00Z"));
    log.accept("2026-11-10T17:00:00Z", id("acme"), 6, &[controls_set(&both, &wider), granted]);
    commit(&mut *fixture.store(), &log);
    assert_eq!(seen("2026-11-10T18:00:00Z").await, ["40", "50", "0"]);
    assert_eq!(tokens(&*reads, "2026-11-10T18:00:00Z").await, pair("40", "60"));
    assert_eq!(of_limits(&reads_at(&*reads, "2026-11-10T15:30:00Z").await), ["40", "50", "0"]);
    // Without limits nothing is told, and the grant goes on.
    log.accept("2026-11-10T19:00:00Z", id("acme"), 8, &[controls_set(&wider, &none)]);
    log.accept("2026-11-10T20:00:00Z", id("acme"), 9, &[report("r5", "2026-11-10T20:00:00Z", 1)]);
    commit(&mut *fixture.store(), &log);
    assert_eq!(seen("2026-11-10T21:00:00Z").await, Vec::<String>::new());
    assert_eq!(tokens(&*reads, "2026-11-10T21:00:00Z").await, pair("50", "50"));
}

/// What the customer was entitled to at a moment.
async fn reads_at(reads: &dyn Queries, moment: &str) -> Entitlements {
    let then = AsOf::Time(at(moment));
    let found = reads.entitlements(&scope(), &by_key("acme"), then, at("2030-01-01")).await;
    found.unwrap().unwrap()
}

pub(crate) async fn what_was_known_then_is_told_as_of_then(fixture: impl Fixture) {
    let mut log = Log::new(0);
    log.accept("2026-11-01", id("acme"), 0, &[created("acme"), report("r1", "2026-11-01", 1)]);
    // It reaches back, and counts what was reported before.
    log.accept("2026-11-02", id("acme"), 2, &[granted(monthly("g", 100, "2026-11-01"))]);
    log.accept("2026-11-03", id("acme"), 3, &[report("r2", "2026-11-01", 2)]);
    log.accept("2026-11-04", id("acme"), 4, &[report("r3", "2026-11-04", 4)]);
    let mut store = fixture.store();
    commit(&mut *store, &log);
    let reads = fixture.reads();
    let ask = async |as_of: AsOf| {
        let (acme, now) = (by_key("acme"), at("2026-11-20"));
        let found = reads.entitlements(&scope(), &acme, as_of, now).await.unwrap();
        let tokens = "tokens".parse().unwrap();
        let balance = |it: Entitlements| it.balances.get(&tokens).map(|it| it.usage.to_string());
        found.map(balance)
    };
    let used = |used: &str| Some(Some(used.to_owned()));
    for (moment, told) in [
        ("2026-10-31", None),
        ("2026-11-01", Some(None)),
        ("2026-11-02", used("10")),
        ("2026-11-03T23:59:59Z", used("30")),
        ("2026-11-04", used("70")),
        ("2026-11-30", used("70")),
        ("2026-12-01", used("0")),
    ] {
        assert_eq!(ask(AsOf::Time(at(moment))).await, told, "{moment}");
    }
    for (version, told) in
        [(0, None), (2, Some(None)), (3, used("10")), (4, used("30")), (5, used("70")), (6, None)]
    {
        assert_eq!(ask(AsOf::Version(version)).await, told, "{version}");
    }
}

/// What a customer is entitled to, by every report and every grant of a world.
fn plainly(world: &World, customer: usize) -> Entitlements {
    let Some(reckoned) = world.customers.get(&customer) else { return Entitlements::default() };
    let moment = |report: &UsageRecorded| (report.occurred_at, report.quantity.trillionths());
    let counting = reckoned.reports.iter().filter(|(_, counts)| *counts);
    let facts = &reckoned.entitled;
    let grants: Vec<&HeldGrant> = facts.grants.iter().collect();
    let moments = counting.map(|(report, _)| moment(report));
    let segments = Segments::of(moments, grants.iter().copied());
    let usage = [("tokens".parse().unwrap(), segments)].into();
    let mut answer = facts.answer(&usage, &BillingControls::default(), world.now);
    answer.usage_limits =
        Counted::new(facts, &reckoned.controls).answer(&BTreeMap::new(), world.now).usage_limits;
    for standing in &mut answer.usage_limits {
        let counting = reckoned.reports.iter().filter(|(_, counts)| *counts);
        let within = counting.filter(|(report, _)| standing.window.contains(report.occurred_at));
        let used = within.map(|(report, _)| report.quantity.trillionths()).sum();
        standing.usage = Total::from_trillionths(used).unwrap();
    }
    answer
}

pub(crate) async fn balances_are_what_a_plain_reckoning_gives<F: FreshFixture>(fixture: F) {
    drop(fixture);
    let sizes = prop::collection::vec(1..40_usize, 1..6);
    let mut runner = proptest::test_runner::TestRunner::new(config(F::CASES));
    runner
        .run(&(steps(120), sizes, 1..5_usize), |(steps, sizes, reopen)| {
            let world = World::of(&steps);
            let fixture = F::fresh();
            fold_in_batches(&fixture, &world, &sizes, reopen);
            // The test already runs in a runtime: questions are asked on a thread of their own.
            std::thread::scope(|threads| {
                threads.spawn(|| block_on(reckon(&fixture, &world))).join().expect("no panic")
            })
        })
        .unwrap();
}

async fn reckon(fixture: &impl Fixture, world: &World) -> Result<(), TestCaseError> {
    let reads = fixture.reads();
    for customer in world.customers.keys() {
        let name = CustomerRef::Id(customer_id(*customer));
        let answer =
            reads.entitlements(&scope(), &name, AsOf::Now, world.now).await.unwrap().unwrap();
        prop_assert_eq!(&answer, &plainly(world, *customer));
    }
    Ok(())
}
