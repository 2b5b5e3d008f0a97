//! What no recording can show: refusals of bodies that are too big or too slow, requests under way,
//! and our own failures.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::Method;
use serde_json::json;

use crate::gateway::testing::{FakeQueries, Fixture, Got, accepted, acme};
use crate::inbox::InboxError;

/// Address of the customer that the fixture's read models show.
fn address() -> String {
    let id = crate::gateway::encoded_id::BASE62.encode(acme().id);
    format!("/proxy/v1/customers/cus_{id}")
}

/// Gives status, code and `Retry-After` of an error, after looking that it is one.
fn error(got: &Got) -> (u16, String, Option<&str>) {
    let body = got.json();
    let code = body["error"]["code"].as_str().unwrap_or_default();
    let message = body["error"]["message"].as_str().unwrap_or_default();
    assert_eq!(body, json!({"error": {"code": code, "message": message}}), "{got:?}");
    assert!(!code.is_empty() && !message.is_empty(), "{got:?}");
    (got.status, code.to_owned(), got.header("retry-after"))
}

async fn changed(fixture: &Fixture) -> Got {
    fixture.call(Method::PATCH, &address(), r#"{"email":"a@example.com"}"#).await
}

#[tokio::test]
async fn a_command_without_a_decision_is_told_apart() {
    for (failure, expected) in [
        (InboxError::InFlight, (409, "conflict", None)),
        (InboxError::Full, (503, "service_unavailable", Some("1"))),
        (InboxError::Stopping, (503, "service_unavailable", Some("1"))),
        (InboxError::Unknown, (503, "service_unavailable", Some("1"))),
    ] {
        let fixture = Fixture::deciding(move |_| Err(failure));
        let got = changed(&fixture).await;
        let (status, code, wait) = error(&got);
        assert_eq!((status, &*code, wait), expected, "{failure:?}");
    }
}

#[tokio::test]
async fn a_decision_that_is_not_shown_in_time_is_unavailable() {
    let fixture = Fixture::with(|command| Ok(accepted(command, 7)), FakeQueries::default());
    let got = changed(&fixture).await;
    assert_eq!(error(&got), (503, "service_unavailable".into(), Some("1")));
}

#[tokio::test]
async fn bodies_that_are_too_big_or_too_slow_are_refused() {
    let fixture = Fixture::new();
    let big = format!(r#"{{"metadata":{{"a":"{}"}}}}"#, "x".repeat(70_000));
    let got = fixture.call(Method::PATCH, &address(), big).await;
    assert_eq!(error(&got), (413, "payload_too_large".into(), None));
    let never = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
    let request = fixture.request(Method::PATCH, &address()).body(Body::from_stream(never));
    let started = tokio::time::timeout(Duration::from_secs(10), fixture.send(request.unwrap()));
    let got = started.await.expect("bodies have a bound in time");
    assert_eq!(error(&got), (408, "request_timeout".into(), None));
    assert_eq!(fixture.inbox.asked().len(), 0);
}

#[tokio::test]
async fn what_is_asked_becomes_one_command() {
    let fixture = Fixture::new();
    let got = changed(&fixture).await;
    assert_eq!(got.status, 200, "{got:?}");
    let [command] = &fixture.inbox.asked()[..] else { panic!("one command") };
    let asked = serde_json::to_value(command).unwrap();
    assert_eq!(asked["type"], "UpdateCustomer");
    assert_eq!(asked["source"], "proxy");
    assert_eq!(asked["customer"], json!({"id": acme().id}));
    assert_eq!(asked["patch"], json!({"profile": {"email": "a@example.com"}}));
}
