//! `Prefer: respond-async`, and what became of a command.

use axum::body::Body;
use http::Method;
use serde_json::{Value, json};
use tallybook_events::decision::{Outcome, Rejection, RejectionCode};
use tallybook_events::ids::{Environment, Partition, Position, Scope};
use tallybook_projections::queries::CommandOutcome;

use crate::gateway::testing::{FakeQueries, Fixture, Got, NOW, accepted, acme, rejected};
use crate::inbox::{Answer, InboxError};

const COMMANDS: &str = "/api/v1/commands";
const CUSTOMERS: &str = "/api/v1/customers";
const ACME: &str = "/api/v1/customers/acme";
const ID: &str = "0194f000-0000-7000-8000-000000000001";

async fn send(fixture: &Fixture, method: Method, path: &str, body: &Value) -> Got {
    let request = fixture.request(method, path).header("prefer", "respond-async");
    fixture.send(request.body(Body::from(body.to_string())).unwrap()).await
}

fn archive() -> Value {
    json!({"command_id": ID, "type": "ArchiveCustomer", "customer": {"key": "acme"}})
}

fn kept(id: &Value) -> Value {
    json!({"command_id": id, "outcome": null, "customer_id": null, "version": null,
        "position": null, "events": [], "rejection": null,
        "location": format!("/api/v1/commands/{}", id.as_str().unwrap_or_default()),
        "detail": "the command is kept and will not be lost; what became of it is told at the \
                   location"})
}

#[tokio::test]
async fn every_write_answers_that_it_is_kept_to_whoever_does_not_want_to_wait() {
    // Nothing is ever shown: whoever would wait for that would wait in vain.
    let fixture = Fixture::with(|command| Ok(accepted(command, 7)), FakeQueries::default());
    let report = json!({"report_id": "r", "occurred_at": NOW, "meter": "m", "quantity": "1",
        "cost": "1"});
    for (method, path, body) in [
        (Method::POST, COMMANDS, archive()),
        (Method::POST, CUSTOMERS, json!({"key": "acme"})),
        (Method::PATCH, ACME, json!({"profile": {"name": "A"}})),
        (Method::DELETE, ACME, Value::Null),
        (Method::POST, "/api/v1/usage", json!({"customer": {"key": "a"}, "reports": [report]})),
    ] {
        let got = send(&fixture, method.clone(), path, &body).await;
        assert_eq!((got.status, got.header("preference-applied")), (202, Some("respond-async")));
        let asked = fixture.inbox.asked().pop().expect("it was asked");
        assert_eq!(got.json(), kept(&json!(asked.command_id.to_string())), "{method} {path}");
        let location = format!("/api/v1/commands/{}", asked.command_id);
        assert_eq!(got.header("location"), Some(&*location));
    }
}

#[tokio::test]
async fn an_array_says_of_each_command_whether_it_is_kept() {
    let fixture = Fixture::deciding(|command| match command.command_id.to_string().as_str() {
        ID => Ok(accepted(command, 7)),
        _ => Err(InboxError::Full),
    });
    let bad = json!({"type": "Fly", "customer": {"key": "acme"}});
    let mut other = archive();
    other["command_id"] = json!("0194f000-0000-7000-8000-000000000002");
    let got = send(&fixture, Method::POST, COMMANDS, &json!([archive(), bad, other])).await;
    assert_eq!((got.status, got.header("preference-applied")), (202, Some("respond-async")));
    assert_eq!(got.header("location"), None);
    let answers = got.json();
    let mut first = kept(&json!(ID));
    first["status"] = json!(202);
    assert_eq!(answers[0], first);
    assert_eq!((&answers[1]["status"], &answers[2]["status"]), (&json!(400), &json!(503)));
}

#[tokio::test]
async fn what_is_not_kept_is_answered_at_once() {
    // A refusal that is not recorded, and a dry run: nothing could be asked for later.
    let reused = Fixture::deciding(|command| {
        let code = RejectionCode::CommandIdReused;
        Ok(Answer { position: None, ..rejected(command, code, Some("/command_id")) })
    });
    let got = send(&reused, Method::POST, COMMANDS, &archive()).await;
    assert_eq!(got.problem().0, 409);
    let dry = Fixture::deciding(|command| {
        let preview = Some(Box::new(acme()));
        Ok(Answer { position: None, preview, ..accepted(command, 8) })
    });
    let mut body = archive();
    body["dry_run"] = true.into();
    let got = send(&dry, Method::POST, COMMANDS, &body).await;
    assert_eq!((got.status, got.header("preference-applied")), (200, None));
    assert_eq!(got.json()["customer"], serde_json::to_value(acme()).unwrap());
    let full = Fixture::deciding(|_| Err(InboxError::Full));
    let got = send(&full, Method::POST, COMMANDS, &archive()).await;
    assert_eq!((got.problem().0, got.header("retry-after")), (503, Some("1")));
}

#[tokio::test]
async fn a_repeat_is_found_under_the_id_of_the_first() {
    let fixture = Fixture::deciding(|command| {
        let command_id = ID.parse().unwrap();
        Ok(Answer { command_id, repeated: true, ..accepted(command, 7) })
    });
    let got = send(&fixture, Method::PATCH, ACME, &json!({})).await;
    let location = format!("/api/v1/commands/{ID}");
    assert_eq!((got.status, got.header("location")), (202, Some(&*location)));
}

fn outcome(outcome: Outcome, events: &str) -> (Scope, CommandOutcome) {
    let scope = Scope { tenant: "t".parse().unwrap(), environment: Environment::Live };
    let found = CommandOutcome {
        command_id: ID.parse().unwrap(),
        position: Position { partition: Partition(0), seq: 5 },
        decided_at: NOW.parse().unwrap(),
        outcome,
        events: serde_json::from_str(events).unwrap(),
    };
    (scope, found)
}

#[tokio::test]
async fn what_became_of_a_command_is_told_in_the_shape_of_its_answer() {
    let fixture = Fixture::new();
    let answered = fixture.call(Method::POST, COMMANDS, archive().to_string()).await;
    let decided = accepted(&fixture.inbox.asked()[0], 7);
    let events = std::str::from_utf8(&decided.events).unwrap();
    let queries =
        FakeQueries { commands: vec![outcome(decided.outcome, events)], ..FakeQueries::default() };
    let fixture = Fixture::with(|command| Ok(accepted(command, 7)), queries);
    let path = format!("/api/v1/commands/{ID}");
    let got = fixture.get(&path).await;
    assert_eq!((got.status, &got.text), (200, &answered.text));
    let rejection = Rejection::at(RejectionCode::KeyTaken, "/patch/key", "another has it");
    let queries = FakeQueries {
        commands: vec![outcome(Outcome::Rejected(rejection), "[]")],
        ..FakeQueries::default()
    };
    let fixture = Fixture::with(|command| Ok(accepted(command, 7)), queries);
    let got = fixture.get(&path).await;
    assert_eq!(got.status, 200);
    assert_eq!(
        got.json(),
        json!({"command_id": ID, "outcome": "rejected", "customer_id": null, "version": null,
            "position": {"partition": 0, "seq": 5}, "events": [],
            "rejection": {"code": "key_taken", "detail": "another has it",
                "pointer": "/patch/key"}})
    );
    // Another tenant's, an unknown one, and what is no id: the same bytes.
    let absent = fixture.get("/api/v1/commands/0194f000-0000-7000-8000-000000000002").await;
    assert_eq!(absent.problem(), (404, "unknown_command".into(), None));
    assert_eq!(fixture.get("/api/v1/commands/x").await.text, absent.text);
    for (tenant, environment) in [("u", "live"), ("t", "test")] {
        let key = fixture.make_key(tenant, environment, "read", 0).reveal();
        let request = http::Request::get(&path).header("x-api-key", key);
        let other = fixture.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!((other.status, &other.text), (404, &absent.text));
    }
}

#[tokio::test]
async fn whoever_asks_for_a_command_that_was_kept_here_waits_until_it_is_shown() {
    // It is kept at seq 5 and never shown.
    let fixture = Fixture::built(
        |command| Ok(accepted(command, 7)),
        FakeQueries::default(),
        crate::gateway::Timeouts::default(),
    );
    let path = format!("/api/v1/commands/{ID}");
    assert_eq!(fixture.get(&path).await.problem().0, 404, "nothing was kept yet");
    assert_eq!(send(&fixture, Method::POST, COMMANDS, &archive()).await.status, 202);
    let got = fixture.get(&path).await;
    assert_eq!(got.problem(), (503, "read_model_behind".into(), None));
    assert_eq!(got.header("retry-after"), Some("1"));
}
