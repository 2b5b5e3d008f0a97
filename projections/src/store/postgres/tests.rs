//! The conformance suite on a real PostgreSQL, and what only this adapter does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tallybook_events::customer::Budget;
use tallybook_events::ids::Position;

use super::*;
use crate::progress::Progress;
use crate::queries::{AsOf, Queries, ReadError};
use crate::store::Rebuild;
use crate::store::conformance::{
    Fixture, FreshFixture, SOON, by_id, commit, commit_some, conformance, stand,
};
use crate::testing::{Log, at, budget_set, created, id, named, scope, used};

#[path = "../../../../tests/common/postgres.rs"]
mod server;

/// A schema of its own.
pub(crate) struct Schema(PostgresPlace);

impl Schema {
    /// Takes a schema that nobody has, on a server.
    fn on(server: &server::Postgres) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let schema = format!("t{}_{number}", std::process::id());
        let place = PostgresPlace::parse(&server.url("postgres")).expect("an address");
        Self(place.in_schema(&schema).expect("a schema"))
    }
}

impl Fixture for Schema {
    fn store(&self) -> Box<dyn Store> {
        Box::new(PostgresStore::open(self.0.clone()).expect("a store"))
    }

    fn queries(&self, progress: Arc<Progress>) -> Box<dyn Queries> {
        Box::new(PostgresQueries::open(&self.0, progress).expect("queries"))
    }

    fn rebuild(&self) -> Box<dyn Rebuild> {
        Box::new(PostgresRebuild::begin(self.0.clone()).expect("a rebuild"))
    }
}

impl FreshFixture for Schema {
    const CASES: u32 = 6;

    fn fresh() -> Self {
        let schema = Self::on(server::shared());
        schema.store();
        schema
    }
}

conformance!(Schema::fresh());

/// One customer that was born, and more and more of its reports.
fn reports(count: u64) -> Log {
    let mut log = Log::new(0);
    log.accept("2026-11-01", id("acme"), 0, &[created("acme")]);
    for version in 1..=count {
        let used = used(&format!("r{version}"), "2026-11-02T00:00:00Z", 1, &Budget::default());
        log.accept("2026-11-02", id("acme"), version, &[used]);
    }
    log
}

/// Waits for something that must come.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < Duration::from_mins(1), "{what} does not come");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn tables_of_a_later_build_are_refused() {
    let schema = Schema::fresh();
    let sql = format!("UPDATE {}.generation SET version = 99", schema.0.home());
    server::shared().sql("postgres", &sql);
    let error = PostgresStore::open(schema.0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the read model cannot be read: its tables are of version 99, this build knows up to 2"
    );
}

#[test]
fn rows_that_this_build_did_not_write_are_said_to_be_damaged() {
    let schema = Schema::fresh();
    let rows = schema.0.rows();
    let sql = format!("INSERT INTO {rows}.positions VALUES (0, -1, 0, 0, '')");
    server::shared().sql("postgres", &sql);
    let error = PostgresStore::open(schema.0).unwrap_err();
    assert_eq!(error.to_string(), "the read model cannot be read: column next_offset is negative");
}

#[test]
fn one_rebuild_at_a_time() {
    let schema = Schema::fresh();
    let first = PostgresRebuild::begin(schema.0.clone()).unwrap();
    let refused = PostgresRebuild::begin(schema.0.clone()).unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused:?}");
    drop(first);
    let began = Instant::now();
    while PostgresRebuild::begin(schema.0.clone()).is_err() {
        assert!(began.elapsed() < Duration::from_secs(10), "the lock was never given back");
    }
}

#[test]
fn an_address_without_a_server_is_no_answer() {
    let place = PostgresPlace::parse("postgres://postgres@127.0.0.1:1/postgres").unwrap();
    assert!(matches!(PostgresStore::open(place), Err(StoreError::Unavailable(_))));
}

#[test]
fn whoever_does_not_lead_stands_by_until_the_leader_is_gone() {
    let schema = Schema::fresh();
    let log = reports(3);
    let leading = || PostgresStore::open(schema.0.clone()).unwrap().leading();
    let (mut first, mut second) = (leading(), leading());
    commit_some(&mut first, &log, 2);
    let from = stand(&mut second, log.partition);
    let next = Batch { parts: vec![log.part(from, 1)] };
    assert!(matches!(second.commit(&next), Err(StoreError::Led)));
    commit_some(&mut first, &log, 1);
    drop(first);
    // The server notices that the session has ended; then the other one leads.
    let began = Instant::now();
    loop {
        let from = stand(&mut second, log.partition);
        match second.commit(&Batch { parts: vec![log.part(from, 1)] }) {
            Ok(()) => break,
            Err(StoreError::Led) => {}
            Err(error) => panic!("{error:?}"),
        }
        assert!(began.elapsed() < Duration::from_secs(4), "nobody leads");
    }
    assert_eq!(stand(&mut second, log.partition).offset, 4);
}

#[tokio::test]
async fn whoever_watches_hears_of_every_commit() {
    let schema = Schema::fresh();
    let log = reports(5);
    let mut store = schema.store();
    commit_some(&mut *store, &log, 2);
    let progress = Arc::new(Progress::new(2));
    let watch = watch(schema.0.clone(), Arc::clone(&progress));
    let at = |seq| Position { partition: log.partition, seq };
    progress.reached(at(2), SOON).await.unwrap();
    assert_eq!(watch.deaf(), None);
    for seq in 3..=7 {
        commit_some(&mut *store, &log, 1);
        // Sooner than by looking.
        progress.reached(at(seq), Duration::from_millis(900)).await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_is_killed_costs_no_row_and_nobody_reads_older_ones() {
    let mut server = server::Postgres::start_local(&[]);
    let schema = Schema::on(&server);
    let log = reports(40);
    let mut store = PostgresStore::open(schema.0.clone()).unwrap();
    let progress = Arc::new(Progress::new(1));
    let reads = PostgresQueries::open(&schema.0, Arc::clone(&progress)).unwrap();
    let _watch = watch(schema.0.clone(), Arc::clone(&progress));
    let (acme, scope) = (by_id("acme"), scope());
    let read = || reads.customer(&scope, &acme, AsOf::Now, at("2026-11-04"));
    for _ in 0..2 {
        commit_some(&mut store, &log, 9);
        let reached = stand(&mut store, log.partition);
        progress.publish(Position { partition: log.partition, seq: reached.seq });
        let before = read().await.unwrap().unwrap().version;
        server.kill();
        let from = log.part(reached, 1);
        let refused = store.commit(&Batch { parts: vec![from] });
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        assert!(matches!(read().await, Err(ReadError::Unavailable(_))));
        server.restart();
        // What was lost is folded again; until then nobody gets an older answer.
        let again = until("an answer", async || {
            let stood =
                store.checkpoints().ok().map(|stand| stand.first().map_or(0, |it| it.1.seq));
            let answer = read().await;
            if stood.is_none_or(|seq| seq < reached.seq) {
                assert!(answer.is_err(), "{answer:?} at {stood:?}, {reached:?}");
                let from = stand(&mut store, log.partition);
                let _ = store.commit(&Batch { parts: vec![log.part(from, 1)] });
                return None;
            }
            answer.ok().flatten()
        });
        assert_eq!(again.await.version, before);
    }
    commit(&mut store, &log);
    assert_eq!(read().await.unwrap().unwrap().version, 41);
}

#[tokio::test]
async fn a_server_that_is_stopped_is_not_waited_for_for_ever() {
    let mut server = server::Postgres::start_local(&[]);
    let schema = Schema::on(&server);
    let log = reports(4);
    let mut store = PostgresStore::open(schema.0.clone()).unwrap();
    commit_some(&mut store, &log, 2);
    let reads = PostgresQueries::open(&schema.0, Arc::new(Progress::new(1))).unwrap();
    let (acme, scope) = (by_id("acme"), scope());
    let read = || reads.customer(&scope, &acme, AsOf::Now, at("2026-11-04"));
    assert_eq!(read().await.unwrap().unwrap().version, 1);
    server.pause();
    assert!(matches!(read().await, Err(ReadError::Unavailable(_))));
    let refused = store.checkpoints();
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    server.resume();
    commit(&mut store, &log);
    assert_eq!(until("an answer", async || read().await.ok().flatten()).await.version, 5);
}

#[test]
fn analysts_see_plain_columns() {
    let schema = Schema::fresh();
    let mut log = Log::new(0);
    let monthly = Budget { period_budget: Some(10.into()), ..Budget::default() };
    let birth = [created("acme"), named("Acme"), budget_set(&monthly)];
    log.accept("2026-11-01", id("acme"), 0, &birth);
    log.accept("2026-11-02", id("acme"), 3, &[used("r1", "2026-11-02T12:30:00Z", 5, &monthly)]);
    log.reject("2026-11-03", id("acme"));
    let seen = |sql: &str| {
        let sql = sql.replace("tallybook.", &format!("{}.", schema.0.home()));
        server::shared().sql("postgres", &format!("SET timezone = 'UTC'; {sql}"))
    };
    commit(&mut *schema.store(), &log);
    let all_is_there = || {
        assert_eq!(
            seen(
                "SELECT key, name, status, version, created_at, period_budget, pg_typeof(period_budget) \
                  FROM tallybook.customers"
            ),
            "acme|Acme|active|4|2026-11-01 00:00:00+00|10|numeric"
        );
        assert_eq!(
            seen(
                "SELECT kind, starts_at, ends_at, raw, charged, reports, budget, first_at \
                  FROM tallybook.period_usage WHERE key = 'acme' AND kind IN ('budget', 'lifetime') \
                  ORDER BY kind"
            ),
            "budget|2026-11-01 00:00:00+00|2026-12-01 00:00:00+00|5|10|1|10|2026-11-02 12:30:00+00\n\
             lifetime|1970-01-01 00:00:00+00|9999-12-31 23:59:59.999999+00|5|10|1||2026-11-02 12:30:00+00"
        );
        assert_eq!(
            seen(
                "SELECT version, type, event ->> 'raw' FROM tallybook.timeline \
                  WHERE recorded_at >= '2026-11-02' ORDER BY version"
            ),
            "4|UsageRecorded.v1|5"
        );
        assert_eq!(
            seen("SELECT outcome, code, count(*) FROM tallybook.commands GROUP BY 1, 2 ORDER BY 1"),
            "accepted||2\nrejected|unknown_customer|1"
        );
        assert_eq!(seen("SELECT partition, seq, term FROM tallybook.positions"), "0|4|1");
        assert_eq!(seen("SELECT count(*) FROM tallybook.feature_usage"), "0");
    };
    all_is_there();
    let mut rebuild = schema.rebuild();
    commit(rebuild.store(), &log);
    rebuild.switch(&mut |_, _| Ok(())).unwrap();
    all_is_there();
}
