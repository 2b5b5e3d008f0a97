//! Bad input to the running server: each has the right status, code and pointer, and nothing of it is
//! recorded.

use crate::common::{Client, Reply, Server, make_key};
use http::Method;
use serde_json::{Value, json};

const CUSTOMERS: &str = "/api/v1/customers";
const ACME: &str = "/api/v1/customers/acme";
const USAGE: &str = "/api/v1/usage";
const COMMANDS: &str = "/api/v1/commands";

/// A server with one partition, so that one number tells how much was recorded, and one customer.
struct Watched {
    server: Server,
    client: Client,
}

impl Watched {
    async fn start() -> Self {
        let server = Server::start_with(&["--partitions", "1"]).await;
        let client = server.client();
        client.post(CUSTOMERS, &json!({"key": "acme"})).await.expect(201);
        Self { server, client }
    }

    /// Gives the place of a command that changes nothing.
    async fn place(&self) -> u64 {
        let body = json!({"type": "UpdateCustomer", "customer": {"key": "acme"}, "patch": {}});
        let answer = self.client.post(COMMANDS, &body).await.expect(200);
        assert_eq!(answer["events"], json!([]));
        answer["position"]["seq"].as_u64().expect("a place")
    }

    /// Gives all customers as they stand.
    async fn customers(&self) -> Value {
        self.client.get(CUSTOMERS).await.expect(200)
    }
}

/// Gives status, code and pointer of a problem.
fn problem(reply: &Reply) -> (u16, String, Option<String>) {
    assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{reply}");
    let text = |name: &str| reply.json()[name].as_str().map(str::to_owned);
    (reply.status, text("code").expect("a code"), text("pointer"))
}

/// A request that is to be refused: what is sent, and what is to come back.
struct Refused {
    method: Method,
    path: &'static str,
    body: Vec<u8>,
    status: u16,
    code: &'static str,
    pointer: Option<String>,
}

impl Refused {
    fn new(path: &'static str, body: impl Into<Vec<u8>>, code: &'static str) -> Self {
        let method = if path == ACME { Method::PATCH } else { Method::POST };
        let pointer = Some(String::new());
        Self { method, path, body: body.into(), status: 400, code, pointer }
    }

    fn at(self, pointer: impl Into<String>) -> Self {
        Self { pointer: Some(pointer.into()), ..self }
    }
}

/// Gives every request that is malformed, on every path that could take it.
fn malformed() -> Vec<Refused> {
    let mut refused = Vec::new();
    for (body, code, pointer) in faults_of_a_patch() {
        refused.push(Refused::new(ACME, body, code).at(pointer));
        refused.push(Refused::new(CUSTOMERS, body, code).at(pointer));
        let names_scope = pointer == "/tenant" || pointer == "/environment";
        if code != "not_json" && !names_scope {
            let command = format!(
                r#"{{"type":"UpdateCustomer","customer":{{"key":"acme"}},"patch":{body}}}"#
            );
            refused.push(Refused::new(COMMANDS, command, code).at(format!("/patch{pointer}")));
        }
    }
    for path in [ACME, CUSTOMERS, USAGE, COMMANDS] {
        let deep = format!(r#"{{"x":{}1{}}}"#, "[".repeat(17), "]".repeat(17));
        let bound = if path == USAGE { 1024 * 1024 } else { 64 * 1024 };
        let big = Refused::new(path, format!("{{{}}}", " ".repeat(bound - 1)), "body_too_large");
        refused.push(Refused { status: 413, pointer: None, ..big });
        refused.push(Refused::new(path, "", "empty_body"));
        refused.push(Refused::new(path, &b"\"\xff\""[..], "not_utf8"));
        refused.push(Refused::new(path, deep, "too_deep").at(format!("/x{}", "/0".repeat(15))));
    }
    refused
}

fn faults_of_a_patch() -> Vec<(&'static str, &'static str, &'static str)> {
    vec![
        ("{", "not_json", ""),
        ("{}{}", "not_json", ""),
        (r#"{"profile":}"#, "not_json", ""),
        ("[]", "invalid_value", ""),
        (r#"{"profile":["Jane"]}"#, "invalid_value", "/profile"),
        (r#"{"profile":{"name":7}}"#, "invalid_value", "/profile/name"),
        (
            r#"{"profile":{"send_email_receipts":"yes"}}"#,
            "invalid_value",
            "/profile/send_email_receipts",
        ),
        (r#"{"profil":{}}"#, "unknown_member", "/profil"),
        (r#"{"contract":{"color":"red"}}"#, "unknown_member", "/contract/color"),
        (r#"{"contract":{"status":null}}"#, "invalid_value", "/contract/status"),
        (r#"{"contract":{"status":"cancelled"}}"#, "invalid_value", "/contract/status"),
        (r#"{"budget":{"duration":null}}"#, "invalid_value", "/budget/duration"),
        (r#"{"budget":{"markup_percentage":null}}"#, "invalid_value", "/budget/markup_percentage"),
        (r#"{"key":null}"#, "invalid_value", "/key"),
        (r#"{"budget":{"period_budget":1e999}}"#, "invalid_value", "/budget/period_budget"),
        (r#"{"budget":{"period_budget":-0}}"#, "invalid_value", "/budget/period_budget"),
        (
            r#"{"budget":{"period_budget":1234567890123456789012345678901234567890}}"#,
            "invalid_value",
            "/budget/period_budget",
        ),
        (
            r#"{"budget":{"period_budget":"0.1234567890123"}}"#,
            "invalid_value",
            "/budget/period_budget",
        ),
        (r#"{"contract":{"annual_limit":1e999}}"#, "invalid_value", "/contract/annual_limit"),
        (r#"{"contract":{"annual_limit":1.5}}"#, "invalid_value", "/contract/annual_limit"),
        (r#"{"profile":{"email":"jane@"}}"#, "invalid_value", "/profile/email"),
        (r#"{"profile":{"phone":"555"}}"#, "invalid_value", "/profile/phone"),
        (
            r#"{"profile":{"address":{"country":"Germany"}}}"#,
            "invalid_value",
            "/profile/address/country",
        ),
        (
            r#"{"policy":{"allowed_mccs":["5411","541"]}}"#,
            "invalid_value",
            "/policy/allowed_mccs/1",
        ),
        (r#"{"profile":{"name":"a\u0000"}}"#, "unsafe_text", "/profile/name"),
        (
            r#"{"profile":{"metadata":{"a":{"b":["\ud800"]}}}}"#,
            "unsafe_text",
            "/profile/metadata/a/b/0",
        ),
        (r#"{"profile":{"name":"a","name":"b"}}"#, "duplicate_member", "/profile/name"),
        (r#"{"profile":{"metadata":{"a":1,"a":2}}}"#, "duplicate_member", "/profile/metadata/a"),
        (r#"{"tenant":"other"}"#, "invalid_value", "/tenant"),
        (r#"{"environment":"test"}"#, "invalid_value", "/environment"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_request_is_refused_and_not_recorded() {
    let watched = Watched::start().await;
    let (before, customers) = (watched.place().await, watched.customers().await);
    for Refused { method, path, body, status, code, pointer } in malformed() {
        let shown = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
        let reply = watched.client.raw(method, path, body).await;
        assert_eq!(problem(&reply), (status, code.to_owned(), pointer), "{path} {shown}");
    }
    assert_eq!(watched.place().await, before + 1, "nothing was recorded");
    assert_eq!(watched.customers().await, customers);
    watched.server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_report_refuses_all_reports_with_it() {
    let watched = Watched::start().await;
    let before = watched.place().await;
    let good = json!({"report_id": "r1", "occurred_at": "2026-01-31T12:00:00Z", "meter": "tokens",
        "quantity": "10", "cost": "0.25"});
    for (member, value, code, pointer) in [
        ("cost", json!("-0.25"), "invalid_value", "/reports/1/cost"),
        ("cost", json!("1e13"), "invalid_value", "/reports/1/cost"),
        ("quantity", json!(true), "invalid_value", "/reports/1/quantity"),
        ("occurred_at", json!("yesterday"), "invalid_value", "/reports/1/occurred_at"),
        ("meter", json!(""), "invalid_value", "/reports/1/meter"),
        ("report_id", Value::Null, "invalid_value", "/reports/1/report_id"),
        ("colour", json!(1), "unknown_member", "/reports/1/colour"),
    ] {
        let mut bad = good.clone();
        bad["report_id"] = json!("r2");
        bad[member] = value;
        let body = json!({"customer": {"key": "acme"}, "reports": [good, bad]});
        let reply = watched.client.post(USAGE, &body).await;
        assert_eq!(problem(&reply), (400, code.to_owned(), Some(pointer.to_owned())), "{member}");
    }
    assert_eq!(watched.place().await, before + 1, "nothing was recorded");
    let rows = watched.client.get(&format!("{ACME}/usage")).await.expect(200);
    assert_eq!(rows["items"], json!([]));
    watched.server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_changes_nothing() {
    let watched = Watched::start().await;
    let before = watched.place().await;
    let data = watched.server.data();
    let client = |tenant, environment, scopes| {
        watched.server.client_with(&make_key(data, tenant, environment, scopes).key)
    };
    let (other, test) = (client("u", "live", "admin"), client("t", "test", "admin"));
    let (reader, reporter) = (client("t", "live", "read,audit"), client("t", "live", "usage"));
    let nobody = Client::new(&watched.server.url, None);
    let patch = json!({"profile": {"name": "Mallory"}});
    let id = watched.client.get(ACME).await.at("/id");
    let by_id = format!("{CUSTOMERS}/{}", id.as_str().expect("an id"));
    crate::common::until_async("the keys to be honoured", async || {
        (reporter.get(ACME).await.status != 401).then_some(())
    })
    .await;
    for client in [&reader, &reporter] {
        let reply = client.patch(ACME, &patch).await;
        assert_eq!(problem(&reply), (403, "missing_scope".into(), None));
    }
    assert_eq!(reporter.get(ACME).await.status, 403);
    assert_eq!(nobody.patch(ACME, &patch).await.status, 401);
    for client in [&other, &test] {
        let absent = client.get("/api/v1/customers/nobody").await;
        assert_eq!(problem(&absent), (404, "unknown_customer".into(), None));
        for path in [ACME, &*by_id] {
            assert_eq!(client.get(path).await.text, absent.text);
            assert_eq!(client.patch(path, &patch).await.text, absent.text);
        }
    }
    let named =
        json!({"type": "UpdateCustomer", "customer": {"key": "acme"}, "tenant": "t", "patch": {}});
    let reply = other.post(COMMANDS, &named).await;
    assert_eq!(problem(&reply), (400, "invalid_value".into(), Some("/tenant".into())));
    assert_eq!(watched.client.get(ACME).await.at("/profile/name"), Value::Null);
    // What another tenant asked of a customer that it has not is a rejection of its own.
    assert!(watched.place().await > before);
    watched.server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_customer_does_not_allow_changes_nothing() {
    let watched = Watched::start().await;
    let customers = watched.customers().await;
    let client = &watched.client;
    let stale = client.request(Method::PATCH, ACME).header("if-match", "\"v9\"");
    let stale = client.send(stale.json(&json!({"profile": {"name": "x"}}))).await;
    assert_eq!((stale.status, stale.at("/code")), (412, json!("version_mismatch")));
    let command = |id: &str, patch: Value, more: Value| {
        let mut body = json!({"command_id": id, "type": "UpdateCustomer", "patch": patch,
            "customer": {"key": "acme"}});
        for (name, value) in more.as_object().expect("an object") {
            body[name] = value.clone();
        }
        body
    };
    let (one, two) =
        ("0194f000-0000-7000-8000-000000000001", "0194f000-0000-7000-8000-000000000002");
    let name = |name: &str| json!({"profile": {"name": name}});
    let stale = command(one, name("x"), json!({"expected_version": 9}));
    assert_eq!(client.post(COMMANDS, &stale).await.status, 412);
    let unknown = command(two, name("x"), json!({"customer": {"key": "nobody"}}));
    let reply = client.post(COMMANDS, &unknown).await;
    assert_eq!(problem(&reply), (404, "unknown_customer".into(), Some("/customer".into())));
    let tier = json!({"contract": {"tier": "no such tier"}});
    let reply = client.patch(ACME, &tier).await;
    assert_eq!(problem(&reply), (422, "unknown_tier".into(), Some("/contract/tier".into())));
    let reply = client.post(CUSTOMERS, &json!({"key": "acme"})).await;
    assert_eq!(problem(&reply), (409, "key_taken".into(), Some("/key".into())));
    assert_eq!(watched.customers().await, customers);
    let third = "0194f000-0000-7000-8000-000000000003";
    let first = client.post(COMMANDS, &command(third, name("x"), json!({}))).await;
    assert_eq!(first.status, 200);
    let reused = client.post(COMMANDS, &command(third, name("y"), json!({}))).await;
    assert_eq!((reused.status, reused.at("/code")), (409, json!("command_id_reused")));
    assert_eq!(client.get(ACME).await.at("/profile/name"), json!("x"));
    watched.server.stop();
}
