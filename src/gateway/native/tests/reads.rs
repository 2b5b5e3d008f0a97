//! Customers, timelines, usage: questions and pages; and what an operator asks.

use serde_json::json;
use tallybook_events::ids::CustomerRef;
use tallybook_projections::queries::{AsOf, CustomerFilter, ListedStatus, Order, PageRequest};

use crate::gateway::testing::{FakeQueries, Fixture, accepted, acme};

#[tokio::test]
async fn a_customer_is_shown_with_its_version_as_a_tag() {
    let fixture = Fixture::new();
    for name in ["acme".to_owned(), acme().id.to_string(), "%61cme".to_owned()] {
        let got = fixture.get(&format!("/api/v1/customers/{name}")).await;
        assert_eq!((got.status, got.header("etag")), (200, Some("\"v7\"")), "{name}");
        assert_eq!(got.header("content-type"), Some("application/json"));
        assert_eq!(got.json(), serde_json::to_value(acme()).unwrap());
    }
}

#[tokio::test]
async fn a_customer_is_shown_as_it_stood() {
    let fixture = Fixture::new();
    let time = "2026-03-01T00:00:00Z";
    for (query, as_of) in [
        ("", AsOf::Now),
        ("?version=3", AsOf::Version(3)),
        ("?as_of=2026-03-01T00:00:00Z", AsOf::Time(time.parse().unwrap())),
        ("?as_of=2026-03-01T01%3A00%3A00%2B01%3A00", AsOf::Time(time.parse().unwrap())),
    ] {
        assert_eq!(fixture.get(&format!("/api/v1/customers/acme{query}")).await.status, 200);
        let asked = fixture.queries.asked.lock().unwrap().pop().unwrap();
        assert_eq!(asked, (CustomerRef::Key("acme".parse().unwrap()), as_of), "{query}");
    }
}

#[tokio::test]
async fn a_uuid_is_asked_for_as_id_and_then_as_key() {
    let fixture = Fixture::new();
    let uuid = "99999999-2222-4333-8444-555555555555";
    assert_eq!(fixture.get(&format!("/api/v1/customers/{uuid}")).await.status, 404);
    let asked = fixture.queries.asked.lock().unwrap().clone();
    let (id, key) = (uuid.parse().unwrap(), uuid.parse().unwrap());
    assert_eq!(asked, [(CustomerRef::Id(id), AsOf::Now), (CustomerRef::Key(key), AsOf::Now)]);
}

#[tokio::test]
async fn a_list_is_asked_for_by_page_and_filter() {
    let queries =
        FakeQueries { documents: vec![acme()], next: Some("n&x".into()), ..FakeQueries::default() };
    let fixture = Fixture::with(|command| Ok(accepted(command, 7)), queries);
    let path =
        "/api/v1/customers?status=suspended&tier=gold&key_prefix=a%2F&limit=2&cursor=c&order=desc";
    let got = fixture.get(path).await;
    assert_eq!(
        got.json(),
        json!({"items": [serde_json::to_value(acme()).unwrap()], "next": "n&x"})
    );
    let link = "</api/v1/customers?status=suspended&tier=gold&key_prefix=a%2F&limit=2&order=desc&cursor=n%26x>; rel=\"next\"";
    assert_eq!(got.header("link"), Some(link));
    let filter = CustomerFilter {
        status: Some(ListedStatus::Suspended),
        tier: Some("gold".parse().unwrap()),
        key_prefix: Some("a/".into()),
        ..CustomerFilter::default()
    };
    let page = PageRequest { limit: 2, cursor: Some("c".into()), order: Order::Descending };
    assert_eq!(*fixture.queries.pages.lock().unwrap(), [(filter, page)]);
}

#[tokio::test]
async fn the_last_page_has_no_next() {
    let fixture = Fixture::new();
    for path in ["/api/v1/customers/acme/timeline", "/api/v1/customers/acme/usage?kind=month"] {
        let got = fixture.get(path).await;
        assert_eq!((got.status, got.header("link")), (200, None));
        assert_eq!(got.json(), json!({"items": [], "next": null}), "{path}");
    }
    let page = PageRequest { limit: 50, cursor: None, order: Order::Ascending };
    let pages = fixture.queries.pages.lock().unwrap().clone();
    assert_eq!(pages, vec![(CustomerFilter::default(), page); 2]);
}

#[tokio::test]
async fn an_operator_needs_no_key() {
    let fixture = Fixture::new();
    for path in ["/livez", "/readyz", "/metrics", "/version"] {
        let bare = http::Request::get(path).body(axum::body::Body::empty()).unwrap();
        assert_eq!(fixture.send(bare).await.status, 200, "{path}");
    }
    let version = fixture.get("/version").await.json();
    assert_eq!(version, json!({"name": "tallybook", "version": env!("CARGO_PKG_VERSION")}));
}
