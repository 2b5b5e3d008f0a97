//! What is promised to whoever reads lists by place and condition, and asks who did it.

use tallybook_events::customer::{Change, CustomerUpdated, ParentChanged};
use tallybook_events::event::Event;
use tallybook_events::json::Json;

use super::{Fixture, commit};
use crate::queries::{
    Condition, CustomerFilter, ListedStatus, Order, Queries, Slice, SliceRequest, SortField,
    TextField, TextTest, TimeField,
};
use crate::testing::{Log, archived, at, created, id, named, scope, suspended};

fn set(path: &str, new: Json) -> Event {
    let set = [(path.into(), Change { old: Json::Null, new })].into();
    Event::CustomerUpdated(CustomerUpdated { set, removed: [].into() })
}

fn parent(key: &str) -> Event {
    Event::ParentChanged(ParentChanged { from: None, to: Some(id(key)) })
}

/// Four customers: in the order of their birth `b`, `a`, `d` (archived) and `c` (suspended).
fn four() -> Log {
    let mut log = Log::new(0);
    let tagged = |value: Json| set("profile.metadata.tag", value);
    log.accept("2026-11-01", id("b"), 0, &[created("b"), named("Zoe"), tagged("x".into())]);
    log.accept("2026-11-02", id("a"), 0, &[created("a"), named("adam"), parent("b")]);
    log.accept("2026-11-03", id("d"), 0, &[created("d"), tagged(Json::Number("1".into()))]);
    let email = set("profile.email", "zoe@example.com".into());
    log.accept("2026-11-04", id("c"), 0, &[created("c"), named("Zoë"), suspended(), email]);
    log.accept("2026-11-05", id("d"), 2, &[archived("d")]);
    log
}

async fn listed(reads: &dyn Queries, filter: &CustomerFilter, slice: SliceRequest) -> String {
    let read = reads.slice(&scope(), filter, &slice, at("2026-11-07")).await;
    let Slice { items, total } = read.unwrap();
    let keys: Vec<String> = items.into_iter().map(|item| item.key.unwrap().to_string()).collect();
    format!("{} of {total}", keys.join(" "))
}

fn part(offset: u64, limit: usize, sort: &[(SortField, Order)]) -> SliceRequest {
    SliceRequest { offset, limit, sort: sort.to_vec() }
}

pub(crate) async fn customers_are_listed_by_their_place(fixture: impl Fixture) {
    let mut store = fixture.store();
    commit(&mut *store, &four());
    let reads = fixture.reads();
    let all = CustomerFilter::default();
    let (born, changed) =
        (SortField::Time(TimeField::Created), SortField::Time(TimeField::Updated));
    let (key, name) = (SortField::Text(TextField::Key), SortField::Text(TextField::Name));
    let (up, down) = (Order::Ascending, Order::Descending);
    for (slice, expected) in [
        (part(0, 10, &[]), "b a d c of 4"),
        (part(0, 10, &[(born, down)]), "c d a b of 4"),
        (part(1, 2, &[(born, down)]), "d a of 4"),
        (part(4, 2, &[]), " of 4"),
        (part(u64::MAX, 2, &[]), " of 4"),
        (part(0, 10, &[(changed, down)]), "d c a b of 4"),
        (part(0, 10, &[(key, up)]), "a b c d of 4"),
        (part(0, 3, &[(name, up), (key, down)]), "d b c of 4"),
    ] {
        assert_eq!(listed(&*reads, &all, slice.clone()).await, expected, "{slice:?}");
    }
}

pub(crate) async fn conditions_leave_those_that_pass_all_of_them(fixture: impl Fixture) {
    let mut store = fixture.store();
    commit(&mut *store, &four());
    let reads = fixture.reads();
    let text = |field, test: fn(Vec<String>) -> TextTest, values: &[&str]| {
        Condition::Text(field, test(values.iter().map(|value| (*value).to_owned()).collect()))
    };
    let tag = |value: &str| Condition::Metadata("tag".into(), value.into());
    let contains = |part: &str| Condition::Text(TextField::Name, TextTest::Contains(part.into()));
    for (only, expected) in [
        (vec![], "b a d c of 4"),
        (vec![text(TextField::Key, TextTest::OneOf, &["a", "d", "e"])], "a d of 2"),
        (vec![text(TextField::Key, TextTest::OneOf, &[])], " of 0"),
        (vec![text(TextField::Key, TextTest::NoneOf, &["a", "d", "e"])], "b c of 2"),
        (vec![text(TextField::Name, TextTest::OneOf, &[""])], "d of 1"),
        (vec![text(TextField::Email, TextTest::OneOf, &["zoe@example.com"])], "c of 1"),
        (vec![contains("ZO")], "b c of 2"),
        (vec![contains("%")], " of 0"),
        (vec![Condition::Id(vec![id("a"), id("c")])], "a c of 2"),
        (vec![Condition::Parent(vec![id("b")])], "a of 1"),
        (vec![tag("x")], "b of 1"),
        (vec![tag("1")], " of 0"),
        (vec![Condition::From(TimeField::Created, at("2026-11-03"))], "d c of 2"),
        (vec![Condition::Until(TimeField::Created, at("2026-11-03"))], "b a d of 3"),
        (vec![Condition::From(TimeField::Updated, at("2026-11-05"))], "d of 1"),
        (vec![contains("zo"), tag("x")], "b of 1"),
    ] {
        let filter = CustomerFilter { only: only.clone(), ..CustomerFilter::default() };
        assert_eq!(listed(&*reads, &filter, part(0, 10, &[])).await, expected, "{only:?}");
    }
    let present = CustomerFilter { status: Some(ListedStatus::Present), ..Default::default() };
    assert_eq!(listed(&*reads, &present, part(0, 10, &[])).await, "b a c of 3");
}

pub(crate) async fn every_version_has_its_authors(fixture: impl Fixture) {
    let mut store = fixture.store();
    commit(&mut *store, &four());
    let reads = fixture.reads();
    let of = [(id("b"), 3), (id("b"), 4), (id("nobody"), 1), (id("d"), 3), (id("d"), 0)];
    let found = reads.authors(&of).await.unwrap();
    let shown = |authors: &Option<crate::queries::Authors>| {
        authors.as_ref().map(|authors| format!("{} {}", authors.created, authors.updated))
    };
    let both = Some("key:1 key:1".to_owned());
    let shown: Vec<_> = found.iter().map(shown).collect();
    assert_eq!(shown, [both.clone(), None, None, both, None]);
    let many: Vec<_> = (0..20).map(|_| (id("a"), 2)).collect();
    let found = reads.authors(&many).await.unwrap();
    assert!(found.len() == 20 && found.iter().all(Option::is_some), "{found:?}");
}
