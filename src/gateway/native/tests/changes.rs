//! Making, changing and archiving customers, and reporting usage: what is asked and what is answered.

use axum::body::Body;
use http::Method;
use serde_json::json;
use tallybook_events::command::{Claim, Command, CommandBody, CustomerPatch, KeyClaim};
use tallybook_events::decision::{Accepted, Deferred, Outcome, RejectionCode};
use tallybook_events::field::Edit;
use tallybook_events::ids::CustomerRef;
use tallybook_projections::queries::AsOf;

use crate::gateway::Timeouts;
use crate::gateway::testing::{FakeQueries, Fixture, Got, NOW, accepted, acme, rejected};
use crate::inbox::{Answer, InboxError};

const CUSTOMERS: &str = "/api/v1/customers";
const ACME: &str = "/api/v1/customers/acme";

fn last(fixture: &Fixture) -> Command {
    fixture.inbox.asked().pop().unwrap()
}

fn patch(command: &Command) -> &CustomerPatch {
    let (CommandBody::CreateCustomer(patch) | CommandBody::UpdateCustomer(patch)) = &command.body
    else {
        panic!("{:?}", command.body)
    };
    patch
}

#[tokio::test]
async fn a_created_customer_is_answered_with_its_place() {
    let fixture = Fixture::new();
    let got =
        fixture.call(Method::POST, CUSTOMERS, r#"{"key":"acme","profile":{"name":"A"}}"#).await;
    assert_eq!(got.status, 201, "{got:?}");
    assert_eq!(got.json(), serde_json::to_value(acme()).unwrap());
    assert_eq!(got.header("etag"), Some("\"v7\""));
    assert_eq!(got.header("location"), Some(&*format!("/api/v1/customers/{}", acme().id)));
    let command = last(&fixture);
    assert_eq!(command.customer, CustomerRef::Key("acme".parse().unwrap()));
    assert_eq!(command.issued_at.to_string(), NOW);
    assert!(matches!(&command.body, CommandBody::CreateCustomer(_)));
    assert_eq!(patch(&command).key, Edit::Keep, "the key is the customer's name, no change");
    assert!(patch(&command).profile.as_set().is_some());
}

#[tokio::test]
async fn a_customer_without_a_key_gets_an_id_and_a_repeat_the_same() {
    let fixture = Fixture::new();
    for _ in 0..2 {
        assert_eq!(fixture.call(Method::POST, CUSTOMERS, "{}").await.status, 201);
    }
    let with_key = || {
        let request = fixture.request(Method::POST, CUSTOMERS).header("idempotency-key", "\"k\"");
        fixture.send(request.body(Body::from("{}")).unwrap())
    };
    for _ in 0..2 {
        assert_eq!(with_key().await.status, 201);
    }
    let ids: Vec<_> = fixture.inbox.asked().into_iter().map(|command| command.customer).collect();
    assert_ne!(ids[0], ids[1]);
    assert_eq!(ids[2], ids[3]);
    assert!(ids.iter().all(|id| matches!(id, CustomerRef::Id(id) if id.0.get_version_num() == 7)));
}

#[tokio::test]
async fn a_path_names_a_customer_by_id_or_by_key() {
    let uuid_key = "11111111-2222-4333-8444-555555555555";
    let mut keyed = acme();
    keyed.id = "5f0c1d0e-0000-5000-8000-000000000009".parse().unwrap();
    keyed.key = Some(uuid_key.parse().unwrap());
    let queries = FakeQueries { documents: vec![acme(), keyed], reached: 9, ..Default::default() };
    let fixture = Fixture::with(|command| Ok(accepted(command, 7)), queries);
    let unknown = "99999999-2222-4333-8444-555555555555";
    for (name, expected) in [
        ("acme".to_owned(), CustomerRef::Key("acme".parse().unwrap())),
        ("a%2Fb%20c".to_owned(), CustomerRef::Key("a/b c".parse().unwrap())),
        (acme().id.to_string(), CustomerRef::Id(acme().id)),
        (uuid_key.to_owned(), CustomerRef::Key(uuid_key.parse().unwrap())),
        (unknown.to_owned(), CustomerRef::Id(unknown.parse().unwrap())),
    ] {
        let got = fixture.call(Method::PATCH, &format!("{CUSTOMERS}/{name}"), "{}").await;
        assert_eq!(got.status, 200, "{name}");
        assert_eq!(last(&fixture).customer, expected);
    }
}

#[tokio::test]
async fn a_change_carries_what_its_headers_say() {
    let fixture = Fixture::new();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request = fixture
        .request(Method::PATCH, ACME)
        .header("if-match", "\"v6\"")
        .header("idempotency-key", "k-1")
        .header("x-request-id", "r-1")
        .header("traceparent", trace);
    let got = fixture.send(request.body(Body::from(r#"{"key":"new"}"#)).unwrap()).await;
    assert_eq!(got.status, 200, "{got:?}");
    let command = last(&fixture);
    let context = &command.context;
    let text = |token: &Option<_>| token.as_ref().map(ToString::to_string);
    assert_eq!(context.expected_version, Some(6));
    assert_eq!(text(&context.idempotency_key), Some("k-1".into()));
    assert_eq!(text(&context.fingerprint).unwrap().len(), 43);
    assert_eq!(text(&context.correlation_id), Some("r-1".into()));
    assert_eq!(text(&context.traceparent), Some(trace.into()));
    assert!(!context.dry_run);
    assert_eq!(patch(&command).key, Edit::Set("new".parse().unwrap()));
    let plain = fixture.call(Method::PATCH, ACME, "{}").await;
    assert_eq!(plain.status, 200);
    assert_eq!(last(&fixture).context, tallybook_events::command::Context::default());
}

#[tokio::test]
async fn a_bad_condition_or_key_is_refused_before_it_is_asked() {
    let fixture = Fixture::new();
    for (name, value, status, code) in [
        ("if-match", "v7", 400, "invalid_parameter"),
        ("if-match", "W/\"v7\"", 412, "version_mismatch"),
        ("if-match", "\"x\"", 412, "version_mismatch"),
        ("idempotency-key", "", 400, "invalid_parameter"),
        ("idempotency-key", &*"x".repeat(256), 400, "invalid_parameter"),
    ] {
        let request = fixture.request(Method::PATCH, ACME).header(name, value);
        let got = fixture.send(request.body(Body::from("{}")).unwrap()).await;
        assert_eq!(got.problem(), (status, code.into(), None), "{name} {value}");
    }
    assert_eq!(fixture.inbox.asked(), []);
}

async fn refused(code: RejectionCode, pointer: Option<&'static str>) -> Got {
    let fixture = Fixture::deciding(move |command| Ok(rejected(command, code, pointer)));
    fixture.call(Method::PATCH, ACME, r#"{"profile":{}}"#).await
}

#[tokio::test]
async fn a_rejection_has_its_status_its_code_and_its_place() {
    use RejectionCode as R;
    for (code, status) in [
        (R::UnknownCustomer, 404),
        (R::KeyTaken, 409),
        (R::CustomerExists, 409),
        (R::CustomerArchived, 409),
        (R::CommandIdReused, 409),
        (R::ChangeInProgress, 409),
        (R::VersionMismatch, 412),
        (R::InternalFault, 500),
        (R::IdempotencyKeyReused, 422),
        (R::UnknownTier, 422),
        (R::ContractDatesInverted, 422),
        (R::PeriodInverted, 422),
        (R::DuplicateFeature, 422),
        (R::ControlInvalid, 422),
        (R::MetadataTooLarge, 422),
        (R::UnknownReport, 422),
        (R::AmountOutOfRange, 422),
        (R::ParentRefused, 422),
        (R::ParentIsSelf, 422),
        (R::ParentUnknown, 422),
        (R::ParentIsChild, 422),
        (R::CustomerHasChildren, 422),
        (R::CustomerHasSubscriptions, 422),
        (R::TooManyLinks, 422),
        (R::CustomerIdRefused, 422),
        (R::PlanAttached, 409),
        (R::UnknownPlan, 422),
        (R::PlanInvalid, 422),
        (R::PurchaseExists, 409),
        (R::UnknownGrant, 422),
        (R::GrantInvalid, 422),
        (R::TooManyEntitlements, 422),
        (R::NothingHeld, 422),
    ] {
        let got = refused(code, Some("/patch/contract/tier")).await;
        let pointer = Some("/contract/tier".to_owned());
        assert_eq!(got.problem(), (status, code.as_str().to_owned(), pointer));
    }
    let body = refused(R::UnknownTier, None).await.json();
    assert_eq!(body["detail"], "says the decision");
    assert_eq!(body["position"], json!({"partition": 0, "seq": 5}));
    assert_eq!(body["command_id"].as_str().map(str::len), Some(36));
    let taken = refused(R::KeyTaken, None).await;
    assert_eq!(taken.problem().2, Some("/key".into()));
}

#[tokio::test]
async fn an_unknown_customer_is_told_as_when_it_is_read() {
    let written = refused(RejectionCode::UnknownCustomer, None).await;
    let read = Fixture::new().get("/api/v1/customers/nobody").await;
    assert_eq!(written.text, read.text);
}

#[tokio::test]
async fn a_command_without_an_answer_may_be_asked_again() {
    for (error, status, code, wait) in [
        (InboxError::Full, 503, "overloaded", Some("1")),
        (InboxError::Stopping, 503, "stopping", Some("1")),
        (InboxError::Unknown, 503, "outcome_unknown", Some("1")),
        (InboxError::InFlight, 409, "request_in_flight", None),
    ] {
        let fixture = Fixture::deciding(move |_| Err(error));
        let got = fixture.call(Method::PATCH, ACME, "{}").await;
        assert_eq!(got.problem(), (status, code.into(), None));
        assert_eq!(got.header("retry-after"), wait);
        let command_id = last(&fixture).command_id.to_string();
        assert_eq!(got.json()["command_id"], command_id);
    }
    let elsewhere = |command: &Command| {
        let outcome = Outcome::DeadLettered { reason: "x".into() };
        Ok(Answer { outcome, ..accepted(command, 7) })
    };
    let got = Fixture::deciding(elsewhere).call(Method::PATCH, ACME, "{}").await;
    assert_eq!(got.problem(), (503, "outcome_unknown".into(), None));
}

#[tokio::test]
async fn a_decision_that_is_not_shown_yet_is_told_as_decided() {
    let queries = FakeQueries { documents: vec![acme()], reached: 4, ..FakeQueries::default() };
    let fixture = Fixture::with(|command| Ok(accepted(command, 7)), queries);
    let got = fixture.call(Method::PATCH, ACME, "{}").await;
    assert_eq!(got.problem(), (503, "read_model_behind".into(), None));
    assert_eq!(got.header("retry-after"), Some("1"));
    let body = got.json();
    assert!(body["detail"].as_str().unwrap().contains("was accepted"), "{body}");
    assert_eq!(body["position"], json!({"partition": 0, "seq": 5}));
    assert_eq!(body["command_id"], last(&fixture).command_id.to_string());
}

#[tokio::test]
async fn a_repeat_is_answered_with_the_state_of_then_and_says_so() {
    let fixture =
        Fixture::deciding(|command| Ok(Answer { repeated: true, ..accepted(command, 3) }));
    let got = fixture.call(Method::PATCH, ACME, "{}").await;
    assert_eq!((got.status, got.header("idempotent-replayed")), (200, Some("true")));
    let asked = fixture.queries.asked.lock().unwrap().clone();
    assert_eq!(asked, [(CustomerRef::Id(acme().id), AsOf::Version(3))]);
    let first = Fixture::new().call(Method::PATCH, ACME, "{}").await;
    assert_eq!(first.header("idempotent-replayed"), None);
}

#[tokio::test]
async fn a_held_change_is_answered_202_with_what_is_known() {
    let fixture = Fixture::deciding(|command| {
        let claim = Claim::Key(KeyClaim {
            key: "new".parse().unwrap(),
            holder: acme().id,
            held: command.command_id,
            birth: false,
            under: None,
        });
        let deferred = Deferred { customer_id: acme().id, claim };
        let events = bytes::Bytes::from_static(b"[]");
        Ok(Answer { outcome: Outcome::Deferred(deferred), events, ..accepted(command, 7) })
    });
    let got = fixture.call(Method::PATCH, ACME, r#"{"key":"new"}"#).await;
    assert_eq!(got.status, 202);
    assert_eq!(
        got.json(),
        json!({"command_id": last(&fixture).command_id.to_string(), "outcome": "deferred",
            "customer_id": acme().id.to_string(), "version": null,
            "position": {"partition": 0, "seq": 5}, "events": [], "rejection": null})
    );
}

#[tokio::test]
async fn archiving_is_a_command_with_conditions_too() {
    let fixture = Fixture::new();
    let request = fixture.request(Method::DELETE, ACME).header("if-match", "\"v7\"");
    let got = fixture.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!((got.status, got.header("etag")), (200, Some("\"v7\"")));
    let command = last(&fixture);
    assert_eq!(command.body, CommandBody::ArchiveCustomer);
    assert_eq!(command.context.expected_version, Some(7));
}

#[tokio::test]
async fn each_report_has_its_result() {
    let fixture = Fixture::deciding(|command| {
        let ids = |ids: &[&str]| ids.iter().map(|id| id.parse().unwrap()).collect();
        let accepted_part = Accepted {
            customer_id: acme().id,
            from_version: 7,
            to_version: 9,
            duplicates: ids(&["old", "twice"]),
            conflicts: ids(&["other", "twice"]),
        };
        Ok(Answer { outcome: Outcome::Accepted(accepted_part), ..accepted(command, 9) })
    });
    let report = |id: &str, cost: u32| json!({"report_id": id, "occurred_at": "2026-01-01T00:00:00Z", "meter": "m", "cost": cost});
    let body = json!({"customer": {"key": "acme"}, "reports": [
        report("new", 1), report("old", 1), report("other", 1),
        report("twice", 1), report("twice", 2), report("twice", 1)]});
    let got = fixture.call(Method::POST, "/api/v1/usage", body.to_string()).await;
    assert_eq!(got.status, 200);
    let result = |id: &str, status: &str| json!({"report_id": id, "status": status});
    assert_eq!(
        got.json(),
        json!({"customer_id": acme().id.to_string(), "version": 9,
            "position": {"partition": 0, "seq": 5},
            "results": [result("new", "recorded"), result("old", "duplicate"),
                result("other", "conflict"), result("twice", "recorded"),
                result("twice", "conflict"), result("twice", "duplicate")]})
    );
}

#[tokio::test]
async fn a_rejected_report_is_pointed_at() {
    let refuse = |command: &Command| {
        Ok(rejected(command, RejectionCode::UnknownReport, Some("/reports/0/corrects")))
    };
    let body = r#"{"customer":{"key":"a"},"reports":[{"report_id":"r","occurred_at":"2026-01-01T00:00:00Z","meter":"m","cost":1,"corrects":"x"}]}"#;
    let got = Fixture::deciding(refuse).call(Method::POST, "/api/v1/usage", body).await;
    assert_eq!(got.problem(), (422, "unknown_report".into(), Some("/reports/0/corrects".into())));
}

#[tokio::test]
async fn a_panic_is_a_problem_and_the_next_request_is_served() {
    let fixture = Fixture::deciding(|command| {
        assert!(command.context.expected_version.is_none(), "the rules failed");
        Ok(accepted(command, 7))
    });
    let request = fixture.request(Method::PATCH, ACME).header("if-match", "\"v1\"");
    let got = fixture.send(request.body(Body::from("{}")).unwrap()).await;
    assert_eq!(got.problem(), (500, "internal_fault".into(), None));
    assert!(!got.text.contains("the rules failed"), "what failed is for the log");
    assert_eq!(fixture.call(Method::PATCH, ACME, "{}").await.status, 200);
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_answered() {
    let queries = FakeQueries { documents: vec![acme()], ..FakeQueries::default() };
    let request = std::time::Duration::from_millis(50);
    let timeouts = Timeouts { request, ..Timeouts::default() };
    let fixture = Fixture::built(|command| Ok(accepted(command, 7)), queries, timeouts);
    let _held = fixture.inbox.gate.lock().await;
    let got = fixture.call(Method::PATCH, ACME, "{}").await;
    assert_eq!(got.problem(), (503, "timeout".into(), None));
    assert_eq!(got.header("retry-after"), Some("1"));
}
