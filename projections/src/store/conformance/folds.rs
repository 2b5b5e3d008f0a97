//! What is promised to whoever folds.

use proptest::prelude::*;
use tallybook_events::chain::Checkpoint;
use tallybook_events::customer::Budget;
use tallybook_events::ids::{CustomerRef, Partition, Position};
use tallybook_events::money::Total;
use tallybook_events::period::{BudgetDuration, Window, calendar_window};
use tallybook_events::time::{MICROS_PER_HOUR, Timestamp};

use super::{
    Fixture, FreshFixture, block_on, by_key, commit, commit_some, config, customer, digest,
    fold_in_batches, page, stand,
};
use crate::queries::{AsOf, Order, PeriodKind, UsagePeriod};
use crate::store::{Batch, Part, StoreError};
use crate::testing::random_world::{Reckoned, World, customer_id, steps};
use crate::testing::{Log, budget_set, created, id, key, named, scope, used};

pub(crate) async fn a_new_store_stands_nowhere(fixture: impl Fixture) {
    let mut store = fixture.store();
    assert_eq!(store.checkpoints().unwrap(), []);
    let digest = digest(&mut *store);
    assert_eq!([digest.customers.rows, digest.period_usage.rows, digest.timeline.rows], [0; 3]);
    let reads = fixture.reads();
    assert_eq!(reads.resolve(&scope(), &by_key("acme")).await.unwrap(), None);
    assert_eq!(reads.positions().iter().map(|at| at.seq).collect::<Vec<_>>(), [0, 0]);
}

pub(crate) async fn a_batch_moves_rows_and_positions_together(fixture: impl Fixture) {
    let mut log = Log::new(1);
    log.accept("2026-11-01", id("acme"), 0, &[created("acme")]);
    log.reject("2026-11-02", id("acme"));
    let mut store = fixture.store();
    let part = log.part(Checkpoint::START, usize::MAX);
    let to = part.to;
    store.commit(&Batch { parts: vec![part] }).unwrap();
    assert_eq!((to.offset, to.term, to.seq), (3, 1, 3));
    drop(store);
    assert_eq!(fixture.store().checkpoints().unwrap(), [(Partition(1), to)]);
    let reads = fixture.reads();
    assert_eq!(reads.resolve(&scope(), &by_key("acme")).await.unwrap(), Some(id("acme")));
    assert_eq!(reads.positions()[1], Position { partition: Partition(1), seq: 3 });
}

pub(crate) async fn a_second_projector_is_refused_and_goes_on_from_where_the_rows_stand(
    fixture: impl Fixture,
) {
    let mut log = Log::new(0);
    log.accept("2026-11-01", id("acme"), 0, &[created("acme"), named("A")]);
    log.accept(
        "2026-11-02",
        id("acme"),
        2,
        &[used("r1", "2026-11-02T00:00:00Z", 1, &Budget::default())],
    );
    log.accept(
        "2026-11-03",
        id("acme"),
        3,
        &[used("r2", "2026-11-03T00:00:00Z", 2, &Budget::default())],
    );
    let (mut first, mut second) = (fixture.store(), fixture.store());
    commit_some(&mut *first, &log, 2);
    // Both have the customer in memory; then one of them goes ahead.
    let behind = stand(&mut *second, log.partition);
    commit_some(&mut *second, &log, 1);
    let ahead = digest(&mut *second);
    let stale = Batch { parts: vec![log.part(behind, 1)] };
    assert!(matches!(first.commit(&stale), Err(StoreError::Moved)));
    let from_start = Batch { parts: vec![log.part(Checkpoint::START, 1)] };
    assert!(matches!(first.commit(&from_start), Err(StoreError::Moved)));
    assert_eq!(digest(&mut *first), ahead);
    commit(&mut *first, &log);
    let document = customer(&*fixture.reads(), &by_key("acme"), AsOf::Now, "2026-11-04").await;
    let document = document.unwrap();
    assert_eq!((document.version, document.usage.lifetime.raw.to_string()), (4, "3".into()));
}

pub(crate) async fn two_projectors_may_take_turns(fixture: impl Fixture) {
    let mut log = Log::new(0);
    log.accept("2026-11-01", id("acme"), 0, &[created("acme")]);
    for version in 1..7 {
        let report = format!("r{version}");
        let used = used(&report, "2026-11-02T00:00:00Z", 1, &Budget::default());
        log.accept("2026-11-02", id("acme"), version, &[used]);
    }
    let mut stores = [fixture.store(), fixture.store()];
    for turn in 0..8 {
        commit_some(&mut *stores[turn % 2], &log, 1);
    }
    let document = customer(&*fixture.reads(), &by_key("acme"), AsOf::Now, "2026-11-04").await;
    let document = document.unwrap();
    assert_eq!((document.version, document.usage.lifetime.count), (7, 6));
}

/// Gives the budget windows of a customer: first day, cost and budget.
async fn budgets(fixture: &impl Fixture) -> Vec<String> {
    let page = page(100, Order::Ascending);
    let rows = fixture.reads().usage(id("acme"), Some(PeriodKind::Budget), &page).await.unwrap();
    let line = |row: &UsagePeriod| {
        let budget = row.budget.map_or_else(|| "-".into(), |budget| budget.to_string());
        format!("{} {} of {budget}", row.start.to_string().replace("T00:00:00Z", ""), row.raw)
    };
    rows.items.iter().map(line).collect()
}

pub(crate) async fn what_gave_way_in_a_batch_does_not_come_back_in_it(fixture: impl Fixture) {
    let monthly = Budget::default();
    let weekly = Budget { duration: BudgetDuration::Weekly, ..monthly };
    let mut log = Log::new(0);
    let report = used("r1", "2026-11-20T00:00:00Z", 1, &monthly);
    log.accept("2026-11-20", id("acme"), 0, &[created("acme"), report]);
    commit(&mut *fixture.store(), &log);
    let mut store = fixture.store();
    log.accept("2026-11-24", id("acme"), 2, &[budget_set(&weekly)]);
    log.accept("2026-11-24", id("acme"), 3, &[used("r2", "2026-10-05T00:00:00Z", 2, &weekly)]);
    log.accept("2026-11-24", id("acme"), 4, &[used("r3", "2026-11-24T00:00:00Z", 4, &weekly)]);
    commit(&mut *store, &log);
    assert_eq!(budgets(&fixture).await, ["2026-10-05 2 of -", "2026-11-23 4 of -"]);
    log.accept("2026-11-25", id("acme"), 5, &[used("r4", "2026-11-25T00:00:00Z", 8, &weekly)]);
    let from = stand(&mut *fixture.store(), log.partition);
    store.commit(&Batch { parts: vec![log.part(from, 1)] }).unwrap();
    assert_eq!(budgets(&fixture).await, ["2026-10-05 2 of -", "2026-11-23 12 of -"]);
}

pub(crate) async fn the_budget_of_a_period_is_the_last_before_its_end(fixture: impl Fixture) {
    let monthly = |budget: u32| Budget { period_budget: Some(budget.into()), ..Budget::default() };
    let mut log = Log::new(0);
    log.accept("2026-10-01", id("acme"), 0, &[created("acme")]);
    log.accept("2026-10-31T23:59:59Z", id("acme"), 1, &[budget_set(&monthly(10))]);
    log.accept("2026-11-01", id("acme"), 2, &[budget_set(&monthly(20))]);
    log.accept("2026-11-01", id("acme"), 3, &[budget_set(&monthly(30))]);
    commit(&mut *fixture.store(), &log);
    let late = ["2026-09-30", "2026-10-31", "2026-11-01", "2026-12-01"];
    let reports = late.map(|day| used(day, &format!("{day}T00:00:00Z"), 1, &Budget::default()));
    log.accept("2026-12-01", id("acme"), 4, &reports);
    commit(&mut *fixture.store(), &log);
    assert_eq!(
        budgets(&fixture).await,
        ["2026-09-01 1 of -", "2026-10-01 1 of 10", "2026-11-01 1 of 30", "2026-12-01 1 of 30"]
    );
}

pub(crate) async fn a_batch_that_fails_leaves_nothing_behind(fixture: impl Fixture) {
    let mut log = Log::new(0);
    log.accept("2026-11-01", id("acme"), 0, &[created("acme")]);
    log.accept("2026-11-02", id("acme"), 1, &[named("A")]);
    log.accept("2026-11-03", id("acme"), 7, &[named("B")]);
    let mut store = fixture.store();
    commit_some(&mut *store, &log, 2);
    let before = digest(&mut *store);
    let from = stand(&mut *store, log.partition);
    let refused = store.commit(&Batch { parts: vec![log.part(from, 2)] });
    assert!(matches!(refused, Err(StoreError::Unfoldable(_))), "{refused:?}");
    assert_eq!(digest(&mut *store), before);
    // Two partitions, the second of which does not stand where it should: the first has not moved.
    let mut other = Log::new(1);
    other.accept("2026-11-01", id("other"), 0, &[created("other")]);
    let elsewhere = Part {
        from: Checkpoint { seq: 9, ..Checkpoint::START },
        ..other.part(Checkpoint::START, 2)
    };
    let refused = store.commit(&Batch { parts: vec![log.part(from, 1), elsewhere] });
    assert!(matches!(refused, Err(StoreError::Moved)), "{refused:?}");
    assert_eq!(digest(&mut *store), before);
    // What was tried in vain is not remembered either.
    store.commit(&Batch { parts: vec![log.part(from, 1)] }).unwrap();
    let document = customer(&*fixture.reads(), &by_key("acme"), AsOf::Now, "2026-11-04").await;
    assert_eq!(document.unwrap().profile.name.as_deref(), Some("A"));
}

pub(crate) async fn any_split_gives_the_same_rows<F: FreshFixture>(fixture: F) {
    drop(fixture);
    let sizes = prop::collection::vec(1..40_usize, 1..6);
    let mut runner = proptest::test_runner::TestRunner::new(config(F::CASES));
    runner
        .run(&(steps(120), sizes, 1..5_usize), |(steps, sizes, reopen)| {
            let world = World::of(&steps);
            let whole = F::fresh();
            fold_in_batches(&whole, &world, &[usize::MAX], 100);
            let split = F::fresh();
            fold_in_batches(&split, &world, &sizes, reopen);
            prop_assert_eq!(whole.store().digest().unwrap(), split.store().digest().unwrap());
            Ok(())
        })
        .unwrap();
}

pub(crate) async fn rows_are_what_a_plain_reckoning_gives<F: FreshFixture>(fixture: F) {
    drop(fixture);
    let sizes = prop::collection::vec(1..40_usize, 1..6);
    let mut runner = proptest::test_runner::TestRunner::new(config(F::CASES));
    runner
        .run(&(steps(120), sizes), |(steps, sizes)| {
            let world = World::of(&steps);
            let fixture = F::fresh();
            fold_in_batches(&fixture, &world, &sizes, 100);
            // The test already runs in a runtime: questions are asked on a thread of their own.
            std::thread::scope(|threads| {
                threads.spawn(|| block_on(reckon(&fixture, &world))).join().expect("no panic")
            })
        })
        .unwrap();
}

/// Gives moments to ask for spends: now, and at, just before and a day after some reports.
fn moments(world: &World, reckoned: &Reckoned) -> Vec<Timestamp> {
    let of_reports = reckoned.reports.iter().step_by(3).map(|(report, _)| report.occurred_at);
    let day = 24 * MICROS_PER_HOUR;
    let around = of_reports.flat_map(|at| [at, at.plus_micros(-1), at.plus_micros(day)]);
    around.chain([world.now]).collect()
}

async fn reckon(fixture: &impl Fixture, world: &World) -> Result<(), TestCaseError> {
    let reads = fixture.reads();
    for (number, reckoned) in &world.customers {
        let id = customer_id(*number);
        let rows = reads.usage(id, None, &page(1_000, Order::Ascending)).await.unwrap();
        prop_assert_eq!(rows.next, None);
        let budgets = rows.items.iter().filter(|row| row.kind == PeriodKind::Budget);
        for row in budgets {
            let (raw, count) = reckoned.used(&Window { start: row.start, end: row.end });
            prop_assert_eq!((row.raw, row.count), (raw, count), "{:?}", row);
        }
        for kind in [PeriodKind::Day, PeriodKind::Month, PeriodKind::Year, PeriodKind::Lifetime] {
            let of_kind = rows.items.iter().filter(|row| row.kind == kind);
            let mut seen = (Total::ZERO, 0);
            for row in of_kind {
                let (raw, count) = reckoned.used(&Window { start: row.start, end: row.end });
                prop_assert_eq!((row.raw, row.count), (raw, count), "{:?}", row);
                seen = (seen.0.and(row.raw).unwrap(), seen.1 + row.count);
            }
            prop_assert_eq!(seen, reckoned.used(&Window::LIFETIME), "{:?}", kind);
        }
        let customer = CustomerRef::Id(id);
        for later in [0, 24 * 40] {
            let now = world.now.plus_micros(later * MICROS_PER_HOUR);
            let document = reads.customer(&scope(), &customer, AsOf::Now, now).await.unwrap();
            let document = document.unwrap();
            let window = reckoned.budget.schedule().window_at(now);
            let period = document.usage.period;
            prop_assert_eq!(Window { start: period.start, end: period.end }, window);
            prop_assert_eq!((period.raw, period.count), reckoned.used(&window));
            prop_assert_eq!(document.version, reckoned.version);
            prop_assert_eq!(document.archived_at.is_some(), reckoned.archived);
        }
        for at in moments(world, reckoned) {
            let stats = reads.spending(&scope(), &customer, at).await.unwrap().unwrap().stats;
            let day =
                Window { start: at.plus_micros(1 - 24 * MICROS_PER_HOUR), end: at.plus_micros(1) };
            let month = calendar_window(BudgetDuration::Monthly, at);
            let first = reckoned.first_merchant.as_ref().map(|(_, merchant)| merchant.clone());
            prop_assert_eq!((stats.at, stats.first_merchant), (at, first));
            prop_assert_eq!(stats.day, reckoned.used(&day).0, "24 hours up to {}", at);
            prop_assert_eq!(stats.month, reckoned.used(&month).0, "month of {}", at);
            prop_assert_eq!(stats.last_spend_at, reckoned.last_spend(at), "last up to {}", at);
        }
        let key = CustomerRef::Key(key(&reckoned.key));
        let by_key = reads.resolve(&scope(), &key).await.unwrap();
        prop_assert_eq!(by_key, (!reckoned.archived).then_some(id));
    }
    Ok(())
}
