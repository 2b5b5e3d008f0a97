//! Each bad input has its status, its code and its pointer, and never reaches the inbox.

use axum::body::Body;
use http::{Method, Request};

use crate::gateway::testing::Fixture;

const CUSTOMERS: &str = "/api/v1/customers";
const ACME: &str = "/api/v1/customers/acme";
const USAGE: &str = "/api/v1/usage";
const COMMANDS: &str = "/api/v1/commands";

async fn refused(
    method: Method,
    path: &str,
    body: impl Into<bytes::Bytes>,
) -> (u16, String, String) {
    let fixture = Fixture::new();
    let got = fixture.call(method, path, body).await;
    assert_eq!(fixture.inbox.asked(), [], "{got:?}");
    let (status, code, pointer) = got.problem();
    (status, code, pointer.unwrap_or_else(|| "none".into()))
}

async fn each_is_refused(method: Method, path: &str, table: &[(&str, u16, &str, &str)]) {
    for (body, status, code, pointer) in table {
        let got = refused(method.clone(), path, body.to_string()).await;
        assert_eq!(got, (*status, (*code).to_owned(), (*pointer).to_owned()), "{path} {body}");
    }
}

#[tokio::test]
async fn of_a_patch() {
    let table = [
        ("", 400, "empty_body", ""),
        ("{", 400, "not_json", ""),
        ("no", 400, "not_json", ""),
        ("[]", 400, "invalid_value", ""),
        ("null", 400, "invalid_value", ""),
        (r#"{"profile":{"name":7}}"#, 400, "invalid_value", "/profile/name"),
        (r#"{"profile":[]}"#, 400, "invalid_value", "/profile"),
        (r#"{"prof":{}}"#, 400, "unknown_member", "/prof"),
        (r#"{"profile":{"nick":"x"}}"#, 400, "unknown_member", "/profile/nick"),
        (r#"{"profile":null}"#, 400, "invalid_value", "/profile"),
        (r#"{"contract":{"status":null}}"#, 400, "invalid_value", "/contract/status"),
        (r#"{"budget":{"duration":null}}"#, 400, "invalid_value", "/budget/duration"),
        (r#"{"key":null}"#, 400, "invalid_value", "/key"),
        (r#"{"key":""}"#, 400, "invalid_value", "/key"),
        (r#"{"budget":{"period_budget":1e999}}"#, 400, "invalid_value", "/budget/period_budget"),
        (r#"{"budget":{"period_budget":-0}}"#, 400, "invalid_value", "/budget/period_budget"),
        (r#"{"budget":{"period_budget":"-1"}}"#, 400, "invalid_value", "/budget/period_budget"),
        (
            r#"{"budget":{"total_budget":1234567890123456789012345678901234567890}}"#,
            400,
            "invalid_value",
            "/budget/total_budget",
        ),
        (r#"{"contract":{"burst":1e999}}"#, 400, "invalid_value", "/contract/burst"),
        (r#"{"contract":{"start":"2026-02-30"}}"#, 400, "invalid_value", "/contract/start"),
        (r#"{"profile":{"email":"jane"}}"#, 400, "invalid_value", "/profile/email"),
        (
            r#"{"profile":{"address":{"country":"de"}}}"#,
            400,
            "invalid_value",
            "/profile/address/country",
        ),
        (r#"{"policy":{"blocked_mccs":["541"]}}"#, 400, "invalid_value", "/policy/blocked_mccs/0"),
        (r#"{"profile":{"name":"a\u0000b"}}"#, 400, "unsafe_text", "/profile/name"),
        (
            r#"{"profile":{"metadata":{"k":["\udc00"]}}}"#,
            400,
            "unsafe_text",
            "/profile/metadata/k/0",
        ),
        (r#"{"profile":{"name":"a","name":"b"}}"#, 400, "duplicate_member", "/profile/name"),
        (
            r#"{"profile":{"metadata":{"k":{"x":1,"\u0078":2}}}}"#,
            400,
            "duplicate_member",
            "/profile/metadata/k/x",
        ),
        (r#"{"tenant":"other"}"#, 400, "invalid_value", "/tenant"),
        (r#"{"environment":"test"}"#, 400, "invalid_value", "/environment"),
    ];
    each_is_refused(Method::PATCH, ACME, &table).await;
    let deep = format!(r#"{{"profile":{{"metadata":{}1{}}}}}"#, "[".repeat(15), "]".repeat(15));
    let pointer = format!("/profile/metadata{}", "/0".repeat(14));
    let got = refused(Method::PATCH, ACME, deep).await;
    assert_eq!(got, (400, "too_deep".into(), pointer));
    let got = refused(Method::PATCH, ACME, &b"{\"key\":\"\xff\"}"[..]).await;
    assert_eq!(got, (400, "not_utf8".into(), String::new()));
}

#[tokio::test]
async fn of_a_new_customer() {
    let table = [
        ("", 400, "empty_body", ""),
        (r#"{"key":7}"#, 400, "invalid_value", "/key"),
        (r#"{"key":"a\u0001"}"#, 400, "invalid_value", "/key"),
        (r#"{"key":"a","id":"b"}"#, 400, "unknown_member", "/id"),
        (r#"{"tenant":"other"}"#, 400, "invalid_value", "/tenant"),
    ];
    each_is_refused(Method::POST, CUSTOMERS, &table).await;
}

#[tokio::test]
async fn of_usage() {
    let good = r#"{"report_id":"r","occurred_at":"2026-01-01T00:00:00Z","meter":"m","cost":"1"}"#;
    let with = |reports: &str| format!(r#"{{"customer":{{"key":"a"}},"reports":[{reports}]}}"#);
    for (body, code, pointer) in [
        (r#"{"reports":[]}"#.to_owned(), "missing_member", "/customer"),
        (r#"{"customer":{"key":"a"}}"#.to_owned(), "missing_member", "/reports"),
        (r#"{"customer":{},"reports":[]}"#.to_owned(), "invalid_value", "/customer"),
        (with(""), "invalid_value", "/reports"),
        (with(&vec![good; 1_001].join(",")), "invalid_value", "/reports"),
        (with(&format!("{good},{{}}")), "missing_member", "/reports/1/report_id"),
        (with(&good.replace(r#""1""#, "-1")), "invalid_value", "/reports/0/cost"),
        (with(&good.replace("00Z", "00")), "invalid_value", "/reports/0/occurred_at"),
        (with(&good.replace("meter", "metre")), "unknown_member", "/reports/0/metre"),
    ] {
        let got = refused(Method::POST, USAGE, body.clone()).await;
        assert_eq!(got, (400, code.into(), pointer.into()), "{body}");
    }
}

#[tokio::test]
async fn of_a_command() {
    let with = |members: &str| format!(r#"{{"customer":{{"key":"a"}}{members}}}"#);
    for (members, code, pointer) in [
        ("", "missing_member", "/type"),
        (r#","type":"Explode""#, "invalid_value", "/type"),
        (r#","type":"ClaimKey""#, "invalid_value", "/type"),
        (r#","type":"UpdateCustomer""#, "invalid_value", "/patch"),
        (r#","type":"RecordUsage""#, "invalid_value", "/reports"),
        (r#","type":"ArchiveCustomer","patch":{}"#, "invalid_value", "/patch"),
        (r#","type":"ArchiveCustomer","command_id":"7""#, "invalid_value", "/command_id"),
        (
            r#","type":"ArchiveCustomer","expected_version":-1"#,
            "invalid_value",
            "/expected_version",
        ),
        (r#","type":"ArchiveCustomer","fingerprint":"x""#, "invalid_value", "/fingerprint"),
        (r#","type":"ArchiveCustomer","tenant":"u""#, "invalid_value", "/tenant"),
        (r#","type":"ArchiveCustomer","environment":"test""#, "invalid_value", "/environment"),
        (
            r#","type":"UpdateCustomer","patch":{"profile":{"email":"x"}}"#,
            "invalid_value",
            "/patch/profile/email",
        ),
    ] {
        let body = with(members);
        let got = refused(Method::POST, COMMANDS, body.clone()).await;
        assert_eq!(got, (400, code.into(), pointer.into()), "{body}");
    }
    let routed = r#","type":"ArchiveCustomer","routed":{"customer_id":"5f0c1d0e-0000-5000-8000-000000000001"}"#;
    let got = refused(Method::POST, COMMANDS, with(routed)).await;
    assert_eq!(got, (400, "invalid_value".into(), "/routed".into()));
    for none in ["[]", " [ ]"] {
        let got = refused(Method::POST, COMMANDS, none).await;
        assert_eq!(got, (400, "invalid_value".into(), String::new()));
    }
    let got = refused(Method::POST, COMMANDS, "[{}").await;
    assert_eq!(got, (400, "not_json".into(), String::new()));
}

#[tokio::test]
async fn of_a_size_above_the_bound() {
    let padded = |size: usize| format!("{{{}}}", " ".repeat(size - 2));
    for (method, path, bound) in [
        (Method::POST, CUSTOMERS, 64 * 1024),
        (Method::PATCH, ACME, 64 * 1024),
        (Method::POST, COMMANDS, 64 * 1024),
        (Method::POST, USAGE, 1024 * 1024),
    ] {
        let got = refused(method.clone(), path, padded(bound + 1)).await;
        assert_eq!(got, (413, "body_too_large".into(), "none".into()), "{path}");
        let fixture = Fixture::new();
        let got = fixture.call(method, path, padded(bound)).await;
        assert_ne!(got.status, 413, "{path}");
    }
    let array = format!("[{}", padded(1024 * 1024));
    let got = refused(Method::POST, COMMANDS, array).await;
    assert_eq!(got.0, 413);
}

#[tokio::test]
async fn of_a_wrong_type_or_a_coded_body() {
    let fixture = Fixture::new();
    for (method, path, content_type, taken) in [
        (Method::PATCH, ACME, "application/json; charset=utf-8", true),
        (Method::PATCH, ACME, "application/merge-patch+json", true),
        (Method::PATCH, ACME, "text/plain", false),
        (Method::PATCH, ACME, "application/json; charset=utf-16", false),
        (Method::POST, CUSTOMERS, "application/merge-patch+json", false),
        (Method::POST, CUSTOMERS, "application/x-www-form-urlencoded", false),
        (Method::POST, USAGE, "application/json-seq", false),
        (Method::POST, COMMANDS, "text/json", false),
    ] {
        let mut request = fixture.request(method, path).body(Body::from("{}")).unwrap();
        request.headers_mut().insert("content-type", content_type.parse().unwrap());
        let got = fixture.send(request).await;
        assert_eq!(got.status == 415, !taken, "{path} {content_type} {got:?}");
    }
    let bare = Request::post(CUSTOMERS).header("x-api-key", &fixture.key);
    let got = fixture.send(bare.body(Body::from("{}")).unwrap()).await;
    assert_eq!(got.problem(), (415, "unsupported_media_type".into(), None));
    let coded = fixture.request(Method::POST, CUSTOMERS).header("content-encoding", "gzip");
    let got = fixture.send(coded.body(Body::from("{}")).unwrap()).await;
    assert_eq!(got.problem(), (415, "unsupported_media_type".into(), None));
}

#[tokio::test]
async fn of_a_body_that_does_not_come() {
    let fixture = Fixture::new();
    let never = Body::from_stream(futures_util::stream::pending::<Result<bytes::Bytes, String>>());
    let got = fixture.send(fixture.request(Method::POST, CUSTOMERS).body(never).unwrap()).await;
    assert_eq!(got.problem(), (408, "body_timeout".into(), None));
    let broken = futures_util::stream::iter([Err::<bytes::Bytes, _>("gone".to_owned())]);
    let broken = Body::from_stream(broken);
    let got = fixture.send(fixture.request(Method::POST, CUSTOMERS).body(broken).unwrap()).await;
    assert_eq!(got.problem(), (400, "body_incomplete".into(), None));
}

#[tokio::test]
async fn of_a_path_a_method_or_a_parameter() {
    let fixture = Fixture::new();
    for path in ["/", "/api/v1", "/api/v1/customer", "/api/v1/customers/", "/api/v2/customers"] {
        assert_eq!(fixture.get(path).await.problem(), (404, "unknown_path".into(), None), "{path}");
    }
    for (method, path, allowed) in [
        (Method::PUT, ACME, "DELETE,GET,HEAD,PATCH"),
        (Method::GET, USAGE, "POST"),
        (Method::GET, COMMANDS, "POST"),
        (Method::DELETE, CUSTOMERS, "GET,HEAD,POST"),
        (Method::POST, "/livez", "GET,HEAD"),
    ] {
        let got = fixture.call(method.clone(), path, "").await;
        assert_eq!(got.problem(), (405, "method_not_allowed".into(), None), "{method} {path}");
        let mut allow: Vec<&str> = got.header("allow").unwrap().split(',').collect();
        allow.sort_unstable();
        assert_eq!(allow.join(","), allowed, "{method} {path}");
    }
    for path in [
        "/api/v1/customers?limit=0",
        "/api/v1/customers?status=gone",
        "/api/v1/customers?color=red",
        "/api/v1/customers?cursor=bad",
        "/api/v1/customers/acme?as_of=yesterday",
        "/api/v1/customers/acme?version=-1",
        "/api/v1/customers/acme?version=1&as_of=2026-01-01T00:00:00Z",
        "/api/v1/customers/acme/usage?kind=week",
        "/api/v1/customers/acme/timeline?order=up",
    ] {
        let got = fixture.get(path).await;
        assert_eq!(got.problem(), (400, "invalid_parameter".into(), None), "{path}");
    }
    let got = fixture.get("/api/v1/customers/%ff").await;
    assert_eq!(got.problem(), (400, "not_utf8".into(), None));
}
