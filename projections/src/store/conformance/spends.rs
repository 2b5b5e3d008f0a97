//! What was spent around a moment: exact, however the reports came.

use tallybook_events::customer::{Budget, TierChanged};
use tallybook_events::event::Event;
use tallybook_events::ids::{Environment, Scope};
use tallybook_events::time::{MICROS_PER_SECOND, Timestamp};

use super::{Fixture, by_id, by_key, commit};
use crate::queries::Queries;
use crate::spend::SpendStats;
use crate::testing::{Log, at, budget_set, corrected, created, id, scope, used};

/// Opens an adapter that has folded the events of one customer.
fn given<F: Fixture>(fixture: &F, decisions: &[&[Event]]) -> Box<dyn Queries> {
    let mut log = Log::new(0);
    log.accept("2026-11-01", id("acme"), 0, &[created("acme")]);
    let mut version = 1;
    for events in decisions {
        log.accept("2026-11-10", id("acme"), version, events);
        version += u64::try_from(events.len()).expect("few events");
    }
    commit(&mut *fixture.store(), &log);
    fixture.reads()
}

fn monthly(report: &str, moment: &str, cost: u32) -> Event {
    used(report, moment, cost, &Budget::default())
}

async fn stats(reads: &dyn Queries, moment: &str) -> SpendStats {
    let found = reads.spending(&scope(), &by_key("acme"), at(moment)).await.unwrap();
    let spending = found.expect("a customer");
    assert_eq!(spending.customer.id, id("acme"));
    spending.stats
}

async fn assert_spent(reads: &dyn Queries, moment: &str, day: &str, month: &str) {
    let stats = stats(reads, moment).await;
    assert_eq!(
        (stats.day.to_string(), stats.month.to_string()),
        (day.into(), month.into()),
        "{moment}"
    );
}

pub(crate) async fn a_day_of_spends_is_exact_to_the_report(fixture: impl Fixture) {
    let late = monthly("r5", "2026-11-03T10:59:59.999999Z", 16);
    let reads = given(
        &fixture,
        &[
            &[monthly("r1", "2026-11-03T10:00:00Z", 1), monthly("r2", "2026-11-03T10:30:00Z", 2)],
            &[monthly("r3", "2026-11-03T15:00:00Z", 4), monthly("r4", "2026-11-04T10:30:00Z", 8)],
            std::slice::from_ref(&late),
        ],
    );
    for (moment, day, month) in [
        ("2026-11-03T09:59:59.999999Z", "0", "31"),
        ("2026-11-03T10:00:00Z", "1", "31"),
        ("2026-11-03T10:30:00Z", "3", "31"),
        ("2026-11-03T23:00:00Z", "23", "31"),
        ("2026-11-04T09:59:59.999999Z", "23", "31"),
        ("2026-11-04T10:00:00Z", "22", "31"),
        ("2026-11-04T10:29:59.999999Z", "22", "31"),
        ("2026-11-04T10:30:00Z", "28", "31"),
        ("2026-11-04T10:59:59.999999Z", "12", "31"),
        ("2026-11-05T10:30:00Z", "0", "31"),
        ("2026-12-01T00:00:00Z", "0", "0"),
        ("2026-10-31T23:59:59Z", "0", "0"),
    ] {
        assert_spent(&*reads, moment, day, month).await;
    }
}

pub(crate) async fn a_part_of_an_hour_is_exact_where_a_window_begins_within_it(
    fixture: impl Fixture,
) {
    // Before the window was set all of the hour counted together, from then on what it is cut into.
    let cut = Budget { period_start: Some(at("2026-11-03T10:20:00Z")), ..Budget::default() };
    let before = monthly("r1", "2026-11-03T10:40:00Z", 1);
    let reads = given(
        &fixture,
        &[
            &[before.clone(), budget_set(&cut)],
            &[
                used("r2", "2026-11-03T10:10:00Z", 2, &cut),
                used("r3", "2026-11-03T10:20:00Z", 4, &cut),
                used("r4", "2026-11-03T10:50:00Z", 8, &cut),
            ],
            &[corrected(&before, used("r5", "2026-11-03T10:45:00Z", 16, &cut))],
        ],
    );
    for (moment, day) in [
        ("2026-11-03T10:05:00Z", "0"),
        ("2026-11-03T10:15:00Z", "2"),
        ("2026-11-03T10:20:00Z", "6"),
        ("2026-11-03T10:44:00Z", "6"),
        ("2026-11-03T10:46:00Z", "22"),
        ("2026-11-03T11:00:00Z", "30"),
        ("2026-11-04T10:10:00Z", "28"),
        ("2026-11-04T10:44:00Z", "24"),
        ("2026-11-04T10:45:00Z", "8"),
        ("2026-11-04T10:50:00Z", "0"),
    ] {
        assert_spent(&*reads, moment, day, "30").await;
    }
}

pub(crate) async fn the_last_spend_is_one_that_cost_something_and_still_counts(
    fixture: impl Fixture,
) {
    let (first, free) =
        (monthly("r1", "2026-11-03T10:00:00Z", 1), monthly("r2", "2026-11-03T10:20:00Z", 0));
    let gone = monthly("r3", "2026-11-03T10:30:00Z", 3);
    let reads = given(
        &fixture,
        &[
            &[first.clone(), free.clone(), gone.clone()],
            // Nothing is left of it where it was.
            &[corrected(&gone, monthly("r4", "2026-11-03T12:15:00Z", 3))],
            &[monthly("r5", "2026-11-03T12:15:00Z", 3)],
            &[corrected(&free, monthly("r6", "2026-11-03T14:00:00Z", 0))],
        ],
    );
    for (moment, last) in [
        ("2026-11-03T09:00:00Z", None),
        ("2026-11-03T10:00:00Z", Some("2026-11-03T10:00:00Z")),
        ("2026-11-03T10:59:00Z", Some("2026-11-03T10:00:00Z")),
        ("2026-11-03T12:14:59Z", Some("2026-11-03T10:00:00Z")),
        ("2026-11-03T12:15:00Z", Some("2026-11-03T12:15:00Z")),
        ("2027-11-03T00:00:00Z", Some("2026-11-03T12:15:00Z")),
    ] {
        assert_eq!(stats(&*reads, moment).await.last_spend_at, last.map(at), "{moment}");
    }
}

pub(crate) async fn reports_of_the_last_moments_are_told_for_a_customer_with_a_rate(
    fixture: impl Fixture,
) {
    let rated = Event::TierChanged(TierChanged {
        from: None,
        to: None,
        annual_commitment: None,
        annual_limit: None,
        rate_per_second: Some(5),
        burst: None,
    });
    let second = |seconds: i64| at("2026-11-03T10:00:00Z").plus_micros(seconds * MICROS_PER_SECOND);
    let report = |seconds: i64| {
        let moment = second(seconds).to_string();
        monthly(&format!("r{seconds}"), &moment, 0)
    };
    let reports = [report(4), report(-3), report(-8), report(12), report(-9)];
    let unrated = given(&fixture, &[&reports]);
    assert_eq!(stats(&*unrated, "2026-11-03T10:00:01Z").await.recent, []);
    drop(unrated);

    let mut log = Log::new(1);
    log.accept("2026-11-01", id("other"), 0, &[created("other"), rated]);
    log.accept("2026-11-03", id("other"), 2, &reports);
    commit(&mut *fixture.store(), &log);
    let reads = fixture.reads();
    for (seconds, expected) in
        [(-20, vec![]), (-9, vec![-9]), (1, vec![-8, -3]), (2, vec![-3]), (12, vec![4, 12])]
    {
        let found = reads.spending(&scope(), &by_id("other"), second(seconds)).await.unwrap();
        let expected: Vec<Timestamp> = expected.into_iter().map(second).collect();
        assert_eq!(found.expect("a customer").stats.recent, expected, "{seconds}");
    }
}

pub(crate) async fn nobody_elses_spends_are_told(fixture: impl Fixture) {
    let reads = given(&fixture, &[&[monthly("r1", "2026-11-03T10:00:00Z", 1)]]);
    let elsewhere = Scope { environment: Environment::Test, ..scope() };
    for (scope, customer) in
        [(&elsewhere, by_id("acme")), (&elsewhere, by_key("acme")), (&scope(), by_key("nobody"))]
    {
        assert_eq!(reads.spending(scope, &customer, at("2026-11-03")).await.unwrap(), None);
    }
}
