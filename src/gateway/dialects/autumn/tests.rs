//! What no recording shows: the processor, the read models and callers that fail.

use axum::body::Body;
use futures_util::FutureExt;
use http::Method;
use serde_json::{Value, json};
use tallybook_events::decision::RejectionCode;

use crate::gateway::limits::MAX_OF_ONE_KEY;
use crate::gateway::testing::{FakeQueries, Fixture, Got, accepted, acme, rejected};
use crate::inbox::InboxError;

const UPDATE: &str = "/autumn/v1/customers.update";

fn error(code: &str, message: &str) -> Value {
    json!({"message": message, "code": code, "env": "live"})
}

/// Checks an answer that tells the caller to come again.
fn assert_come_again(got: &Got, message: &str) {
    assert_eq!((got.status, got.json()), (503, error("internal_error", message)));
    assert_eq!(got.header("retry-after"), Some("1"));
}

async fn update(fixture: &Fixture) -> Got {
    fixture.call(Method::POST, UPDATE, r#"{"customer_id":"acme","name":"x"}"#).await
}

#[tokio::test]
async fn what_the_processor_cannot_do_now_is_to_be_asked_again() {
    let unavailable = "Service temporarily unavailable";
    let unknown = "The request was not answered in time; it may have been done";
    for (failure, message) in [
        (InboxError::Full, unavailable),
        (InboxError::Stopping, unavailable),
        (InboxError::Unknown, unknown),
    ] {
        let fixture = Fixture::deciding(move |_| Err(failure));
        assert_come_again(&update(&fixture).await, message);
    }
    let changing = |command: &_| Ok(rejected(command, RejectionCode::ChangeInProgress, None));
    let got = update(&Fixture::deciding(changing)).await;
    assert_come_again(&got, "The customer's ID is being changed");
}

#[tokio::test]
async fn a_decision_that_is_not_shown_in_time_is_to_be_asked_for_again() {
    let queries = FakeQueries { documents: vec![acme()], ..FakeQueries::default() };
    let fixture = Fixture::with(|command| Ok(accepted(command, 8)), queries);
    assert_come_again(&update(&fixture).await, "Service temporarily unavailable");
}

#[tokio::test]
async fn rejections_have_their_places_and_faults_are_ours() {
    let at = |code, pointer| Fixture::deciding(move |command| Ok(rejected(command, code, pointer)));
    for (code, pointer, status, expected) in [
        (
            RejectionCode::MetadataTooLarge,
            Some("/patch/profile/metadata"),
            400,
            error("invalid_inputs", "metadata: says the decision"),
        ),
        (
            RejectionCode::ControlInvalid,
            Some("/patch/billing_controls/auto_topups/0/quantity"),
            400,
            error("invalid_inputs", "billing_controls.auto_topups.0.quantity: says the decision"),
        ),
        (RejectionCode::InternalFault, None, 500, error("internal_error", "Internal server error")),
        (
            RejectionCode::CustomerArchived,
            None,
            404,
            error("customer_not_found", "Customer acme not found"),
        ),
    ] {
        let got = update(&at(code, pointer)).await;
        assert_eq!((got.status, got.json()), (status, expected));
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_and_one_that_is_too_large() {
    let fixture = Fixture::new();
    let never = Body::from_stream(futures_util::stream::pending::<Result<bytes::Bytes, String>>());
    let got = fixture.send(fixture.request(Method::POST, UPDATE).body(never).unwrap()).await;
    let message = "the body did not come in time";
    assert_eq!((got.status, got.json()), (408, error("invalid_request", message)));
    let large = format!(r#"{{"customer_id":"acme","name":"{}"}}"#, "x".repeat(64 * 1024));
    let got = fixture.call(Method::POST, UPDATE, large).await;
    let message = "the body has more than 65536 bytes";
    assert_eq!((got.status, got.json()), (413, error("invalid_request", message)));
    assert!(fixture.inbox.asked().is_empty());
}

#[tokio::test]
async fn an_idempotency_key_goes_with_what_it_means_here() {
    let fixture = Fixture::new();
    update(&fixture).await;
    let request = fixture.request(Method::POST, UPDATE).header("idempotency-key", "\"k\"");
    let body = Body::from(r#"{"customer_id":"acme","name":"x"}"#);
    fixture.send(request.body(body).unwrap()).await;
    let asked = fixture.inbox.asked();
    let contexts: Vec<_> = asked.iter().map(|command| &command.context).collect();
    let keys = contexts.iter().map(|context| {
        let key = context.idempotency_key.as_ref().map(ToString::to_string);
        (key, context.refusal_frees_key, context.dry_run)
    });
    assert_eq!(keys.collect::<Vec<_>>(), [(None, false, false), (Some("k".into()), true, false)]);
    assert_eq!(asked[1].source.as_str(), "autumn");
}

#[tokio::test]
async fn a_request_too_many_at_once_is_to_be_asked_again() {
    let fixture = Fixture::new();
    let held = fixture.inbox.gate.lock().await;
    let body = r#"{"customer_id":"acme"}"#;
    let waiting = (0..MAX_OF_ONE_KEY).map(|_| fixture.call(Method::POST, UPDATE, body));
    let mut waiting = futures_util::future::join_all(waiting);
    assert!((&mut waiting).now_or_never().is_none(), "none is answered");
    assert_come_again(&update(&fixture).await, "Service temporarily unavailable");
    drop(held);
    assert!(waiting.await.iter().all(|got| got.status == 200));
}

#[tokio::test]
async fn a_panic_is_a_failure_of_ours() {
    let fixture = Fixture::deciding(|_| panic!("a test panics"));
    let got = update(&fixture).await;
    assert_eq!((got.status, got.json()), (500, error("internal_error", "Internal server error")));
}
