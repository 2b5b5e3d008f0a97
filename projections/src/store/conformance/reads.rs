//! What is promised to whoever reads.

use std::sync::Arc;
use std::time::Duration;

use tallybook_events::customer::Budget;
use tallybook_events::event::Event;
use tallybook_events::ids::{CustomerId, CustomerRef, Environment, Partition, Position, Scope};

use super::{Fixture, SOON, by_id, by_key, commit, customer, page};
use crate::progress::Progress;
use crate::queries::{
    AsOf, CustomerFilter, ListedStatus, Order, Page, PageRequest, PeriodKind, ReadError,
};
use crate::testing::{
    Log, archived, at, budget_set, created, id, key, named, renamed, scope, suspended, tier, used,
};

pub(crate) async fn a_customer_is_found_by_the_key_that_it_holds_now(fixture: impl Fixture) {
    let reborn = CustomerId::nth(&scope(), &key("acme"), 1);
    let mut birth = created("acme");
    if let Event::CustomerCreated(created) = &mut birth {
        created.customer_id = reborn;
        created.birth = 1;
    }
    let mut log = Log::new(0);
    log.accept("2026-11-01", id("acme"), 0, &[created("acme")]);
    let mut store = fixture.store();
    commit(&mut *store, &log);
    let reads = fixture.reads();
    let found = async |customer: CustomerRef| reads.resolve(&scope(), &customer).await.unwrap();
    assert_eq!(found(by_key("acme")).await, Some(id("acme")));
    assert_eq!(found(by_id("acme")).await, Some(id("acme")));

    log.accept("2026-11-02", id("acme"), 1, &[renamed("acme", "apex")]);
    commit(&mut *store, &log);
    assert_eq!(found(by_key("acme")).await, None);
    assert_eq!(found(by_key("apex")).await, Some(id("acme")));

    log.accept("2026-11-03", reborn, 0, &[birth]);
    log.accept("2026-11-04", id("acme"), 2, &[archived("apex")]);
    commit(&mut *store, &log);
    assert_eq!(found(by_key("acme")).await, Some(reborn));
    assert_eq!(found(by_key("apex")).await, None);
    assert_eq!(found(by_id("acme")).await, Some(id("acme")));
    let gone = customer(&*reads, &by_id("acme"), AsOf::Now, "2026-11-05").await.unwrap();
    assert_eq!((gone.key, gone.archived_at), (Some(key("apex")), Some(at("2026-11-04"))));

    for other in [
        Scope { tenant: "u".parse().unwrap(), ..scope() },
        Scope { environment: Environment::Test, ..scope() },
    ] {
        for customer in [by_key("acme"), by_id("acme"), CustomerRef::Id(reborn)] {
            assert_eq!(reads.resolve(&other, &customer).await.unwrap(), None);
            let read = reads.customer(&other, &customer, AsOf::Now, at("2026-11-05")).await;
            assert_eq!(read.unwrap(), None);
        }
    }
}

pub(crate) async fn the_later_of_two_holders_has_the_key(fixture: impl Fixture) {
    // The partition of the second holder is folded before that of the first one gives the key away.
    let (mut one, mut two) = (Log::new(0), Log::new(1));
    one.accept("2026-11-01", id("acme"), 0, &[created("acme")]);
    two.accept("2026-10-01", id("other"), 0, &[created("other")]);
    two.accept("2026-11-03", id("other"), 1, &[renamed("other", "acme")]);
    let mut store = fixture.store();
    commit(&mut *store, &one);
    commit(&mut *store, &two);
    let reads = fixture.reads();
    assert_eq!(reads.resolve(&scope(), &by_key("acme")).await.unwrap(), Some(id("other")));
    one.accept("2026-11-02", id("acme"), 1, &[renamed("acme", "apex")]);
    commit(&mut *store, &one);
    assert_eq!(reads.resolve(&scope(), &by_key("acme")).await.unwrap(), Some(id("other")));
    assert_eq!(reads.resolve(&scope(), &by_key("apex")).await.unwrap(), Some(id("acme")));
}

/// Reads all pages; each but the last must be full.
async fn pages<T>(
    limit: usize,
    order: Order,
    read: impl AsyncFn(PageRequest) -> Result<Page<T>, ReadError>,
) -> Vec<T> {
    let mut items = Vec::new();
    let mut cursor = None;
    loop {
        let page = read(PageRequest { limit, cursor, order }).await.unwrap();
        assert!(page.next.is_none() || page.items.len() == limit);
        assert!(!page.items.is_empty() || items.is_empty(), "an empty page behind another");
        items.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return items;
        }
    }
}

pub(crate) async fn customers_are_listed_in_the_order_of_their_birth(fixture: impl Fixture) {
    let (mut one, mut two) = (Log::new(0), Log::new(1));
    one.accept("2026-11-01", id("b1"), 0, &[created("b1")]);
    one.accept("2026-11-03", id("a3"), 0, &[created("a3"), tier("growth")]);
    one.accept("2026-11-05", id("a5"), 0, &[created("a5"), tier("growth"), suspended()]);
    two.accept("2026-11-02", id("a2"), 0, &[created("a2"), tier("scale")]);
    two.accept("2026-11-04", id("a_4"), 0, &[created("a_4")]);
    two.accept("2026-11-06", id("a_4"), 1, &[archived("a_4")]);
    let mut store = fixture.store();
    commit(&mut *store, &two);
    commit(&mut *store, &one);
    let reads = fixture.reads();
    let list = async |filter: CustomerFilter, limit, order| -> Vec<String> {
        let documents = pages(limit, order, async |page: PageRequest| {
            reads.customers(&scope(), &filter, &page, at("2026-11-07")).await
        });
        let keys = documents.await.into_iter().map(|document| document.key.unwrap().to_string());
        keys.collect()
    };
    let all = CustomerFilter::default;
    for limit in 1..7 {
        let listed = list(all(), limit, Order::Ascending).await;
        assert_eq!(listed, ["b1", "a2", "a3", "a_4", "a5"], "{limit}");
        let listed = list(all(), limit, Order::Descending).await;
        assert_eq!(listed, ["a5", "a_4", "a3", "a2", "b1"], "{limit}");
        let prefix = |prefix: &str| CustomerFilter { key_prefix: Some(prefix.into()), ..all() };
        assert_eq!(list(prefix("a"), limit, Order::Ascending).await, ["a2", "a3", "a_4", "a5"]);
        assert_eq!(list(prefix("a_"), limit, Order::Descending).await, ["a_4"]);
        assert_eq!(list(prefix("%"), limit, Order::Ascending).await, Vec::<String>::new());
        let tier = CustomerFilter { tier: Some("growth".parse().unwrap()), ..all() };
        assert_eq!(list(tier.clone(), limit, Order::Ascending).await, ["a3", "a5"]);
        let suspended = CustomerFilter { status: Some(ListedStatus::Suspended), ..tier };
        assert_eq!(list(suspended, limit, Order::Ascending).await, ["a5"]);
        let status = |status| CustomerFilter { status: Some(status), ..all() };
        let active = status(ListedStatus::Active);
        assert_eq!(list(active, limit, Order::Ascending).await, ["b1", "a2", "a3"]);
        let archived = status(ListedStatus::Archived);
        assert_eq!(list(archived, limit, Order::Ascending).await, ["a_4"]);
    }
    let elsewhere = Scope { environment: Environment::Test, ..scope() };
    let (all, page) = (all(), page(9, Order::Ascending));
    let none = reads.customers(&elsewhere, &all, &page, at("2026-11-07")).await;
    assert_eq!(none.unwrap(), Page { items: vec![], next: None });
}

pub(crate) async fn a_timeline_has_the_recorded_bytes_page_by_page(fixture: impl Fixture) {
    let mut log = Log::new(0);
    let birth = [created("acme"), named("\"quoted\" \u{e9}")];
    let first = log.accept("2026-11-01", id("acme"), 0, &birth);
    log.accept("2026-11-01", id("other"), 0, &[created("other")]);
    let usage = used("r1", "2026-11-02T00:00:00Z", 5, &Budget::default());
    let second = log.accept("2026-11-02", id("acme"), 2, std::slice::from_ref(&usage));
    let mut store = fixture.store();
    commit(&mut *store, &log);
    let reads = fixture.reads();
    let line = |seq: u64, version: u64, at: &str, event, command| {
        let event = serde_json::to_string(event).unwrap();
        format!("{seq} {version} {at}T00:00:00Z {event} {command} key:1")
    };
    let mut expected = vec![
        line(2, 1, "2026-11-01", &birth[0], first),
        line(2, 2, "2026-11-01", &birth[1], first),
        line(4, 3, "2026-11-02", &usage, second),
    ];
    for order in [Order::Ascending, Order::Descending] {
        for limit in 1..5 {
            let items = pages(limit, order, async |page: PageRequest| {
                reads.timeline(id("acme"), &page).await
            });
            let lines = items.await.into_iter().map(|item| {
                let (seq, version, at) = (item.seq, item.version, item.recorded_at);
                format!("{seq} {version} {at} {} {} {}", item.event, item.command_id, item.actor)
            });
            assert_eq!(lines.collect::<Vec<_>>(), expected, "{order:?} {limit}");
        }
        expected.reverse();
    }
    let none = reads.timeline(id("nobody"), &page(9, Order::Ascending)).await.unwrap();
    assert!(none.items.is_empty() && none.next.is_none());
}

pub(crate) async fn a_ledger_is_read_page_by_page(fixture: impl Fixture) {
    let monthly = Budget { period_budget: Some(10.into()), ..Budget::default() };
    let mut log = Log::new(0);
    log.accept("2026-10-01", id("acme"), 0, &[created("acme"), budget_set(&monthly)]);
    for (version, day) in [(2, "2026-11-30"), (3, "2026-12-01")] {
        let report = used(day, &format!("{day}T12:00:00Z"), 5, &monthly);
        log.accept(day, id("acme"), version, &[report]);
    }
    let mut store = fixture.store();
    commit(&mut *store, &log);
    let reads = fixture.reads();
    let listed = async |kind, limit, order| -> Vec<String> {
        let items = pages(limit, order, async |page: PageRequest| {
            reads.usage(id("acme"), kind, &page).await
        });
        let items = items.await;
        items.iter().map(|item| serde_json::to_string(item).unwrap()).collect()
    };
    let row = |kind: &str, start: &str, end: &str, days: &[&str]| {
        let count = days.len();
        let (raw, charged, quantity) = (5 * count, 10 * count, 50 * count);
        let budget = if kind == "budget" { "\"10\"" } else { "null" };
        let (first, last) = (days[0], days[count - 1]);
        format!(
            "{{\"kind\":\"{kind}\",\"start\":\"{start}Z\",\"end\":\"{end}Z\",\"raw\":\"{raw}\",\
             \"charged\":\"{charged}\",\"quantity\":\"{quantity}\",\"count\":{count},\
             \"budget\":{budget},\"first_at\":\"{first}T12:00:00Z\",\"last_at\":\"{last}T12:00:00Z\"}}"
        )
    };
    let midnight = |day: &str| format!("{day}T00:00:00");
    let (november, december) = (&["2026-11-30"], &["2026-12-01"]);
    let (nov, dec, jan) = (midnight("2026-11-01"), midnight("2026-12-01"), midnight("2027-01-01"));
    let both = &["2026-11-30", "2026-12-01"];
    let mut expected = vec![
        row("lifetime", "1970-01-01T00:00:00", "9999-12-31T23:59:59.999999", both),
        row("year", "2026-01-01T00:00:00", "2027-01-01T00:00:00", both),
        row("budget", &nov, &dec, november),
        row("month", &nov, &dec, november),
        row("day", &midnight("2026-11-30"), &dec, november),
        row("day", &dec, &midnight("2026-12-02"), december),
        row("budget", &dec, &jan, december),
        row("month", &dec, &jan, december),
    ];
    for order in [Order::Ascending, Order::Descending] {
        for limit in [1, 2, 3, 8, 9] {
            assert_eq!(listed(None, limit, order).await, expected, "{limit}");
            for kind in PeriodKind::ALL {
                let named = format!("{{\"kind\":\"{}\"", kind.as_str());
                let of_kind = expected.iter().filter(|row| row.starts_with(&named));
                let of_kind = of_kind.cloned().collect::<Vec<_>>();
                assert_eq!(listed(Some(kind), limit, order).await, of_kind, "{kind:?}");
            }
        }
        expected.reverse();
    }
}

pub(crate) async fn an_unknown_cursor_is_refused(fixture: impl Fixture) {
    fixture.store();
    let reads = fixture.reads();
    let page = PageRequest { cursor: Some("never".into()), ..page(5, Order::Ascending) };
    let all = CustomerFilter::default();
    let customers = reads.customers(&scope(), &all, &page, at("2026-11-01")).await;
    assert!(matches!(customers, Err(ReadError::BadCursor)));
    assert!(matches!(reads.timeline(id("acme"), &page).await, Err(ReadError::BadCursor)));
    assert!(matches!(reads.usage(id("acme"), None, &page).await, Err(ReadError::BadCursor)));
}

pub(crate) async fn readers_wait_for_a_position(fixture: impl Fixture) {
    let mut log = Log::new(0);
    log.accept("2026-11-01", id("acme"), 0, &[created("acme")]);
    let mut store = fixture.store();
    let progress = Arc::new(Progress::new(2));
    let reads = fixture.queries(Arc::clone(&progress));
    let position = Position { partition: Partition(0), seq: 2 };
    let behind = reads.reached(position, Duration::from_millis(1)).await;
    assert!(matches!(behind, Err(ReadError::Behind)), "{behind:?}");
    let wait = async {
        reads.reached(position, SOON).await.unwrap();
        reads.resolve(&scope(), &by_key("acme")).await.unwrap()
    };
    let fold = async {
        tokio::task::yield_now().await;
        commit(&mut *store, &log);
        progress.publish(position);
    };
    assert_eq!(tokio::join!(wait, fold).0, Some(id("acme")));
}
