//! Keys, scopes, rates: who is let in to what.

use axum::body::Body;
use futures_util::FutureExt;
use http::header::AUTHORIZATION;
use http::{Method, Request};
use tallybook_events::time::Timestamp;

use crate::gateway::MAX_REQUESTS;
use crate::gateway::limits::MAX_OF_ONE_KEY;
use crate::gateway::testing::{FakeQueries, Fixture, accepted, acme, document};

const ACME: &str = "/api/v1/customers/acme";

fn get(path: &str, headers: &[(&'static str, &str)]) -> Request<Body> {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_key_is_asked_for_and_looked_at() {
    let fixture = Fixture::new();
    let good = fixture.key.clone();
    let revoked = fixture.make_key("t", "live", "admin", 0);
    fixture.keys.revoke(&revoked.key.id, Timestamp::MIN).unwrap();
    let (id, secret) = good.rsplit_once('_').unwrap();
    let other_secret = format!("{id}_{}", secret.replace(&secret[..1], "0").replace("00", "0z"));
    let other_environment = good.replace("_live_", "_test_");
    let (bearer, revoked) = (format!("Bearer {good}"), revoked.reveal());
    let unknown = "tb_live_0000000000000000_0000";
    for (headers, status, code) in [
        (vec![], 401, "missing_key"),
        (vec![("authorization", "Basic dTpw")], 401, "missing_key"),
        (vec![("authorization", "Bearer nonsense")], 401, "invalid_key"),
        (vec![("x-api-key", unknown)], 401, "invalid_key"),
        (vec![("x-api-key", &*revoked)], 401, "invalid_key"),
        (vec![("x-api-key", &*other_secret)], 401, "invalid_key"),
        (vec![("x-api-key", &*other_environment)], 401, "invalid_key"),
        (vec![("authorization", &*bearer), ("x-api-key", unknown)], 400, "conflicting_credentials"),
        (vec![("authorization", &*bearer), ("x-api-key", &*good)], 200, ""),
        (vec![("authorization", &*bearer)], 200, ""),
        (vec![("x-api-key", &*good)], 200, ""),
    ] {
        let got = fixture.send(get(ACME, &headers)).await;
        assert_eq!(got.status, status, "{headers:?} {got:?}");
        if status != 200 {
            assert_eq!(got.problem(), (status, code.to_owned(), None));
        }
        let challenged = got.header("www-authenticate") == Some("Bearer realm=\"tallybook\"");
        assert_eq!(challenged, status == 401);
        assert!(!got.text.contains(secret), "an answer never has a key's secret");
    }
}

#[tokio::test]
async fn each_route_needs_its_scope() {
    let create = r#"{"type":"CreateCustomer","customer":{"key":"a"}}"#;
    let report = r#"{"report_id":"r","occurred_at":"2026-01-01T00:00:00Z","meter":"m","cost":"1"}"#;
    let usage = format!(r#"{{"customer":{{"key":"a"}},"reports":[{report}]}}"#);
    let record = usage.replacen('{', r#"{"type":"RecordUsage","#, 1);
    let routes = [
        (Method::GET, "/api/v1/customers", "", "read"),
        (Method::GET, ACME, "", "read"),
        (Method::GET, "/api/v1/customers/acme/timeline", "", "read"),
        (Method::GET, "/api/v1/customers/acme/usage", "", "read"),
        (Method::POST, "/api/v1/customers", "{}", "write"),
        (Method::PATCH, ACME, "{}", "write"),
        (Method::DELETE, ACME, "", "write"),
        (Method::POST, "/api/v1/commands", create, "write"),
        (Method::POST, "/api/v1/commands", &*record, "usage"),
        (Method::POST, "/api/v1/usage", &*usage, "usage"),
    ];
    let mut fixture = Fixture::new();
    for scope in ["read", "write", "usage", "audit", "admin"] {
        fixture.key = fixture.make_key("t", "live", scope, 0).reveal();
        for (method, path, body, needed) in &routes {
            let before = fixture.inbox.asked().len();
            let got = fixture.call(method.clone(), path, body.to_string()).await;
            if scope == *needed || scope == "admin" {
                assert!(got.status < 300, "{scope} {method} {path} {got:?}");
            } else {
                assert_eq!(got.problem(), (403, "missing_scope".into(), None));
                assert_eq!(got.json()["detail"], format!("the key lacks the scope `{needed}`"));
                assert_eq!(fixture.inbox.asked().len(), before, "nothing was asked");
            }
        }
    }
}

#[tokio::test]
async fn another_tenants_customer_is_as_absent_as_none() {
    let mut fixture = Fixture::new();
    fixture.key = fixture.make_key("u", "live", "admin", 0).reveal();
    let theirs = format!("/api/v1/customers/{}", acme().id);
    let none = "/api/v1/customers/ffffffff-0000-5000-8000-000000000001";
    let absent = fixture.get(none).await;
    assert_eq!(absent.problem(), (404, "unknown_customer".into(), None));
    for path in ["", "/timeline", "/usage"] {
        for other in [&*theirs, ACME, none, "/api/v1/customers/%00", "/api/v1/customers/x%2Fy"] {
            let got = fixture.get(&format!("{other}{path}")).await;
            assert_eq!((got.status, &got.text), (404, &absent.text), "{other}{path}");
        }
    }
    let mut test = Fixture::new();
    test.key = test.make_key("t", "test", "admin", 0).reveal();
    assert_eq!(test.get(ACME).await.text, absent.text, "nor is it seen from the test environment");
}

#[tokio::test]
async fn a_command_has_the_scope_of_its_key_and_of_nothing_else() {
    let fixture = Fixture::new();
    let body =
        r#"{"type":"ArchiveCustomer","customer":{"key":"a"},"tenant":"t","environment":"live"}"#;
    assert_eq!(fixture.call(Method::POST, "/api/v1/commands", body).await.status, 200);
    let named = r#"{"tenant":"t","environment":"live","profile":{}}"#;
    assert_eq!(fixture.call(Method::PATCH, ACME, named).await.status, 200);
    for command in fixture.inbox.asked() {
        assert_eq!(command.scope.tenant.as_str(), "t");
        assert_eq!(command.actor.as_str(), fixture.key.split('_').nth(2).unwrap());
        assert_eq!(command.source.as_str(), "api");
    }
}

#[tokio::test]
async fn only_who_may_do_everything_may_speak_for_others() {
    let mut fixture = Fixture::new();
    let body =
        r#"{"type":"ArchiveCustomer","customer":{"key":"a"},"actor":"jane","source":"import"}"#;
    assert_eq!(fixture.call(Method::POST, "/api/v1/commands", body).await.status, 200);
    let command = fixture.inbox.asked().pop().unwrap();
    assert_eq!((command.actor.as_str(), command.source.as_str()), ("jane", "import"));
    fixture.key = fixture.make_key("t", "live", "write", 0).reveal();
    let got = fixture.call(Method::POST, "/api/v1/commands", body).await;
    assert_eq!(got.problem(), (403, "missing_scope".into(), Some("/actor".into())));
}

#[tokio::test]
async fn a_key_has_a_rate_and_is_told_it() {
    let fixture = Fixture::new();
    let slow = fixture.make_key("t", "live", "read", 2).reveal();
    let mut told = Vec::new();
    for _ in 0..3 {
        let got = fixture.send(get(ACME, &[("x-api-key", &slow)])).await;
        assert_eq!(got.header("ratelimit-policy"), Some("\"key\";q=2;w=1"));
        told.push((got.status, got.header("ratelimit").unwrap().to_owned()));
        if got.status == 429 {
            assert_eq!(got.problem(), (429, "rate_limited".into(), None));
            assert_eq!(got.header("retry-after"), Some("1"));
        }
    }
    // A slow machine may let time for one more go by; the first is always let in with one left.
    assert_eq!(told[0], (200, "\"key\";r=1;t=1".into()));
    let got = fixture.send(get(ACME, &[("x-api-key", &fixture.key)])).await;
    assert_eq!((got.status, got.header("ratelimit")), (200, None));
}

#[tokio::test]
async fn a_key_that_sends_too_much_is_refused_before_anything_else() {
    let fixture = Fixture::new();
    let slow = fixture.make_key("t", "live", "admin", 1).reveal();
    let body = || Body::from(r#"{"type":"ArchiveCustomer","customer":{"key":"a"}}"#);
    let mut refused = 0;
    for _ in 0..20 {
        let request = Request::post("/api/v1/commands")
            .header(AUTHORIZATION, format!("Bearer {slow}"))
            .header("content-type", "application/json");
        let got = fixture.send(request.body(body()).unwrap()).await;
        refused += usize::from(got.status == 429);
    }
    assert!(refused >= 10, "{refused} of 20");
    assert_eq!(fixture.inbox.asked().len(), 20 - refused);
}

#[tokio::test]
async fn more_requests_than_there_is_room_for_are_told_to_come_again() {
    let fixture = Fixture::new();
    let held = fixture.inbox.gate.lock().await;
    // No key has all the room: two fill it.
    let keys = [fixture.key.clone(), fixture.make_key("u", "live", "admin", 0).reveal()];
    let patch = |at: usize| {
        let request = Request::patch(ACME).header("x-api-key", &keys[at % 2]);
        let request = request.header("content-type", "application/json");
        fixture.send(request.body(Body::from("{}")).unwrap())
    };
    let waiting = (0..MAX_REQUESTS).map(patch);
    let mut waiting = futures_util::future::join_all(waiting);
    assert!((&mut waiting).now_or_never().is_none(), "none is answered");
    let got = fixture.get(ACME).await;
    assert_eq!(got.problem(), (503, "overloaded".into(), None));
    assert_eq!(got.header("retry-after"), Some("1"));
    assert_eq!(fixture.get("/livez").await.status, 200, "the operator is let in");
    drop(held);
    let answered = waiting.await;
    assert!(answered.iter().step_by(2).all(|got| got.status == 200));
    assert_eq!(fixture.get(ACME).await.status, 200);
}

#[tokio::test]
async fn a_key_that_takes_half_of_the_room_leaves_the_rest_to_others() {
    let fixture = Fixture::new();
    let held = fixture.inbox.gate.lock().await;
    let waiting = (0..MAX_OF_ONE_KEY).map(|_| fixture.call(Method::PATCH, ACME, "{}"));
    let mut waiting = futures_util::future::join_all(waiting);
    assert!((&mut waiting).now_or_never().is_none(), "none is answered");
    let got = fixture.get(ACME).await;
    assert_eq!(got.problem(), (503, "overloaded".into(), None));
    assert_eq!(got.header("retry-after"), Some("1"));
    let other = fixture.make_key("t", "live", "read", 0).reveal();
    assert_eq!(fixture.send(get(ACME, &[("x-api-key", &other)])).await.status, 200);
    drop(held);
    assert!(waiting.await.iter().all(|got| got.status == 200));
    assert_eq!(fixture.get(ACME).await.status, 200);
}

#[tokio::test]
async fn a_list_is_of_the_keys_tenant() {
    let theirs = document("u", "acme", "5f0c1d0e-0000-5000-8000-000000000002");
    let queries = FakeQueries { documents: vec![acme(), theirs], ..FakeQueries::default() };
    let fixture = Fixture::with(|command| Ok(accepted(command, 7)), queries);
    let got = fixture.get("/api/v1/customers").await.json();
    let tenants: Vec<_> = got["items"].as_array().unwrap().iter().map(|i| &i["tenant"]).collect();
    assert_eq!(tenants, ["t"]);
}
