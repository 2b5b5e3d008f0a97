//! `POST /commands`: one and many.

use axum::body::Body;
use http::Method;
use serde_json::{Value, json};
use tallybook_events::command::Command;
use tallybook_events::decision::RejectionCode;

use crate::gateway::testing::{Fixture, Reply, accepted, acme, rejected};
use crate::inbox::{Answer, InboxError};

const COMMANDS: &str = "/api/v1/commands";
const ID: &str = "0194f000-0000-7000-8000-000000000001";

fn archive(key: &str) -> Value {
    json!({"type": "ArchiveCustomer", "customer": {"key": key}})
}

/// Decides by the customer's key: it is the code of the rejection or error.
fn by_key(command: &Command) -> Reply {
    let tallybook_events::ids::CustomerRef::Key(key) = &command.customer else { panic!() };
    match key.as_str() {
        "unknown" => Ok(rejected(command, RejectionCode::UnknownCustomer, None)),
        "tier" => Ok(rejected(command, RejectionCode::UnknownTier, Some("/patch/contract/tier"))),
        "full" => Err(InboxError::Full),
        "old" => Ok(Answer { repeated: true, ..accepted(command, 7) }),
        _ => Ok(accepted(command, 7)),
    }
}

#[tokio::test]
async fn one_command_is_answered_with_its_decision() {
    let fixture = Fixture::new();
    let mut body = archive("acme");
    body["command_id"] = ID.into();
    body["expected_version"] = 6.into();
    body["reason"] = "moved away".into();
    let got = fixture.call(Method::POST, COMMANDS, body.to_string()).await;
    assert_eq!(got.status, 200);
    assert_eq!(
        got.json(),
        json!({"command_id": ID, "outcome": "accepted", "customer_id": acme().id.to_string(),
            "version": 7, "position": {"partition": 0, "seq": 5},
            "events": [{"type": "StatusChanged.v1", "from": "active", "to": "suspended"}],
            "rejection": null})
    );
    let command = fixture.inbox.asked().pop().unwrap();
    assert_eq!(command.command_id.to_string(), ID);
    assert_eq!(command.context.expected_version, Some(6));
    assert_eq!(command.context.reason.unwrap().as_str(), "moved away");
}

#[tokio::test]
async fn one_rejected_command_is_a_problem() {
    let fixture = Fixture::deciding(by_key);
    let got = fixture.call(Method::POST, COMMANDS, archive("unknown").to_string()).await;
    assert_eq!(got.problem(), (404, "unknown_customer".into(), Some("/customer".into())));
    let got = fixture.call(Method::POST, COMMANDS, archive("tier").to_string()).await;
    let pointer = Some("/patch/contract/tier".to_owned());
    assert_eq!(got.problem(), (422, "unknown_tier".into(), pointer));
    let got = fixture.call(Method::POST, COMMANDS, archive("old").to_string()).await;
    assert_eq!((got.status, got.header("idempotent-replayed")), (200, Some("true")));
}

#[tokio::test]
async fn a_dry_run_shows_the_customer_as_it_would_stand() {
    let fixture = Fixture::deciding(|command| {
        let preview = command.context.dry_run.then(|| Box::new(acme()));
        Ok(Answer { position: None, preview, ..accepted(command, 8) })
    });
    let mut body = archive("acme");
    body["dry_run"] = true.into();
    let got = fixture.call(Method::POST, COMMANDS, body.to_string()).await.json();
    assert_eq!(got["position"], Value::Null);
    assert_eq!(got["customer"], serde_json::to_value(acme()).unwrap());
    assert_eq!(got["events"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn many_commands_have_one_answer_each_in_their_order() {
    let mut fixture = Fixture::deciding(by_key);
    fixture.key = fixture.make_key("t", "live", "write", 0).reveal();
    let bad_field = json!({"type": "UpdateCustomer", "customer": {"key": "a"},
        "patch": {"profile": {"email": "x"}}});
    let usage = json!({"type": "RecordUsage", "customer": {"key": "a"}, "command_id": ID,
        "reports": [{"report_id": "r", "occurred_at": "2026-01-01T00:00:00Z", "meter": "m", "cost": 1}]});
    let body = json!([
        archive("a"),
        bad_field,
        archive("unknown"),
        "text",
        archive("tier"),
        usage,
        archive("full"),
        archive("b")
    ]);
    let got = fixture.call(Method::POST, COMMANDS, body.to_string()).await;
    assert_eq!(got.status, 200);
    let got = got.json();
    let items = got.as_array().unwrap();
    let column = |pointer: &str| -> Vec<Value> {
        items.iter().map(|item| item.pointer(pointer).cloned().unwrap_or_default()).collect()
    };
    let none = Value::Null;
    assert_eq!(column("/status"), [200, 400, 404, 400, 422, 403, 503, 200]);
    let (yes, no) = (json!("accepted"), json!("rejected"));
    let outcomes = [&yes, &none, &no, &none, &no, &none, &none, &yes].map(Clone::clone);
    assert_eq!(column("/outcome"), outcomes);
    assert_eq!(items[4]["rejection"]["code"], "unknown_tier");
    assert_eq!(items[4]["rejection"]["pointer"], "/4/patch/contract/tier");
    assert_eq!(items[1]["problem"]["pointer"], "/1/patch/profile/email");
    assert_eq!(items[3]["problem"]["pointer"], "/3");
    assert_eq!(items[5]["problem"]["code"], "missing_scope");
    assert_eq!(items[5]["command_id"], ID);
    assert_eq!(items[6]["problem"]["code"], "overloaded");
    let keys: Vec<String> =
        fixture.inbox.asked().iter().map(|c| format!("{:?}", c.customer)).collect();
    let asked = ["a", "unknown", "tier", "full", "b"].map(|key| format!("Key(\"{key}\")"));
    assert_eq!(keys, asked);
}

#[tokio::test]
async fn an_array_has_bounds_of_its_own() {
    let fixture = Fixture::new();
    let array = |count: usize| json!(vec![archive("a"); count]).to_string();
    assert_eq!(fixture.call(Method::POST, COMMANDS, array(1_000)).await.status, 200);
    let got = fixture.call(Method::POST, COMMANDS, array(1_001)).await;
    assert_eq!(got.problem(), (400, "invalid_value".into(), Some(String::new())));
    assert_eq!(fixture.inbox.asked().len(), 1_000);
}

#[tokio::test]
async fn an_idempotency_key_comes_in_the_header_or_in_the_command() {
    let fixture = Fixture::new();
    let mut body = archive("a");
    body["idempotency_key"] = "k".into();
    let send = |header: Option<&str>, body: &Value| {
        let mut request = fixture.request(Method::POST, COMMANDS);
        if let Some(key) = header {
            request = request.header("idempotency-key", key);
        }
        fixture.send(request.body(Body::from(body.to_string())).unwrap())
    };
    assert_eq!(send(None, &body).await.status, 200);
    assert_eq!(send(Some("k"), &body).await.status, 200);
    assert_eq!(send(Some("k"), &archive("a")).await.status, 200);
    for command in fixture.inbox.asked() {
        assert_eq!(command.context.idempotency_key, Some("k".parse().unwrap()));
        assert_eq!(command.context.fingerprint.unwrap().as_str().len(), 43);
    }
    let got = send(Some("other"), &body).await;
    let pointer = Some("/idempotency_key".to_owned());
    assert_eq!(got.problem(), (400, "invalid_value".into(), pointer));
    // One key for many is refused as a whole, as a key that is none.
    for key in ["k", ""] {
        let got = send(Some(key), &json!([archive("a")])).await;
        assert_eq!(got.problem(), (400, "invalid_parameter".into(), None));
    }
    let got = send(None, &json!([body])).await.json();
    assert_eq!(got[0]["status"], 200);
}
