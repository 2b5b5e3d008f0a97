//! The native API of the running server, over HTTP, as a caller knows it.

use crate::common::{Server, make_key, run, tallybook};
use http::Method;
use serde_json::{Value, json};

const CUSTOMERS: &str = "/api/v1/customers";
const ACME: &str = "/api/v1/customers/acme";
const USAGE: &str = "/api/v1/usage";
const COMMANDS: &str = "/api/v1/commands";

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_made_with_every_group_and_shown() {
    let server = Server::start().await;
    let client = server.client();
    let made = client.post(CUSTOMERS, &json!({"key": "acme"})).await;
    assert_eq!((made.status, made.header("etag")), (201, Some("\"v1\"")), "{made}");
    let document = made.json();
    let id = document["id"].as_str().expect("an id").to_owned();
    // UUIDv5 of our namespace and "t/live/acme": any producer can compute it.
    let namespace = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_DNS, b"tallybook.customers");
    assert_eq!(id, uuid::Uuid::new_v5(&namespace, b"t/live/acme").to_string());
    assert_eq!(made.header("location"), Some(&*format!("{CUSTOMERS}/{id}")));
    let (created_at, period) = (&document["created_at"], &document["usage"]["period"]);
    let none = Value::Null;
    let expected = json!({
        "id": id, "key": "acme", "tenant": "t", "environment": "live", "version": 1,
        "created_at": created_at, "updated_at": created_at, "archived_at": none,
        "profile": {"name": none, "first_name": none, "last_name": none, "email": none,
            "phone": none, "metadata": {}, "fingerprint": none, "send_email_receipts": false,
            "address": {"line1": none, "line2": none, "city": none, "state": none,
                "postal_code": none, "country": none}},
        "contract": {"tier": none, "status": "active", "start": none, "end": none,
            "annual_commitment": none, "annual_limit": none, "rate_per_second": none,
            "burst": none},
        "budget": {"period_budget": none, "total_budget": none, "duration": "monthly",
            "period_start": none, "period_end": none, "markup_percentage": "0"},
        "policy": none, "billing_controls": {}, "identity": {"links": {}, "parent": none},
        "usage": {
            "period": {"start": period["start"], "end": period["end"], "raw": "0", "charged": "0",
                "count": 0, "budget": none, "remaining": none},
            "lifetime": {"raw": "0", "charged": "0", "count": 0}}
    });
    assert_eq!(document, expected);
    for name in ["acme", &id] {
        let shown = client.get(&format!("{CUSTOMERS}/{name}")).await;
        assert_eq!((shown.header("etag"), shown.json()), (Some("\"v1\""), expected.clone()));
    }
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_patch_changes_what_it_names() {
    let server = Server::start().await;
    let client = server.client();
    let body = json!({"key": "a/b ü", "profile": {"name": "Jane", "email": "jane@example.com",
        "metadata": {"plan": "gold", "seats": 1.50, "gone": true}}});
    client.post(CUSTOMERS, &body).await.expect(201);
    let path = "/api/v1/customers/a%2Fb%20%C3%BC";
    let before = client.get(path).await.json();
    let merge = client
        .request(Method::PATCH, path)
        .header("content-type", "application/merge-patch+json")
        .body(r#"{"profile":{"email":null,"metadata":{"gone":null,"new":[1e2]}},"contract":{"status":"suspended"}}"#);
    let patched = client.send(merge).await.expect(200);
    let profile = &patched["profile"];
    assert_eq!((&profile["name"], &profile["email"]), (&json!("Jane"), &Value::Null));
    let text = client.get(path).await.text;
    assert!(text.contains(r#""metadata":{"new":[1e2],"plan":"gold","seats":1.5}"#), "{text}");
    assert_eq!(patched["contract"]["status"], "suspended");
    let version = |document: &Value| document["version"].as_u64().expect("a version");
    assert_eq!(version(&patched), version(&before) + 2, "profile and status, one event each");
    let same = client.patch(path, &json!({"contract": {"status": "suspended"}})).await.expect(200);
    assert_eq!(version(&same), version(&patched), "a change of nothing is none");
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_can_be_made_to_depend_on_the_version() {
    let server = Server::start().await;
    let client = server.client();
    let made = client.post(CUSTOMERS, &json!({"key": "acme"})).await;
    let etag = made.header("etag").expect("a tag").to_owned();
    let patch = |name: &str| {
        let request = client.request(Method::PATCH, ACME).header("if-match", &etag);
        client.send(request.json(&json!({"profile": {"name": name}})))
    };
    let first = patch("one").await;
    assert_eq!((first.status, first.header("etag")), (200, Some("\"v2\"")));
    let second = patch("two").await;
    assert_eq!((second.status, second.at("/code")), (412, json!("version_mismatch")));
    let any = client.request(Method::PATCH, ACME).header("if-match", "*");
    let any = client.send(any.json(&json!({"profile": {"name": "three"}}))).await;
    assert_eq!(any.at("/profile/name"), json!("three"));
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_counts_once_and_in_its_own_period() {
    let server = Server::start().await;
    let client = server.client();
    let report = |id: &str, at: &str, cost: &str| json!({"report_id": id, "occurred_at": at, "meter": "tokens", "quantity": "10", "cost": cost});
    let send = |reports: Value| {
        let body = json!({"customer": {"key": "acme"}, "reports": reports});
        let client = &client;
        async move { client.post(USAGE, &body).await.expect(200) }
    };
    let first = send(json!([
        report("r1", "2026-01-31T23:59:59Z", "0.25"),
        report("r2", "2026-02-01T00:00:00Z", "0.50")
    ]))
    .await;
    assert_eq!(first["version"], 3, "the customer was made, and two reports recorded");
    let again = send(json!([
        report("r1", "2026-01-31T23:59:59Z", "0.250"),
        report("r2", "2026-02-01T00:00:00Z", "0.75"),
        report("r3", "2026-02-28T00:00:00Z", "1")
    ]))
    .await;
    let statuses: Vec<&Value> =
        again["results"].as_array().expect("results").iter().map(|r| &r["status"]).collect();
    assert_eq!(statuses, ["duplicate", "conflict", "recorded"]);
    let months = client.get(&format!("{ACME}/usage?kind=month")).await.expect(200);
    assert_eq!(
        months,
        json!({"items": [
            {"kind": "month", "start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z",
                "raw": "0.25", "charged": "0.25", "quantity": "10", "count": 1, "budget": null,
                "first_at": "2026-01-31T23:59:59Z", "last_at": "2026-01-31T23:59:59Z"},
            {"kind": "month", "start": "2026-02-01T00:00:00Z", "end": "2026-03-01T00:00:00Z",
                "raw": "1.5", "charged": "1.5", "quantity": "20", "count": 2, "budget": null,
                "first_at": "2026-02-01T00:00:00Z", "last_at": "2026-02-28T00:00:00Z"}],
            "next": null})
    );
    let lifetime = client.get(ACME).await.at("/usage/lifetime");
    assert_eq!(lifetime, json!({"raw": "1.75", "charged": "1.75", "count": 3}));
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeline_is_read_in_pages_both_ways() {
    let server = Server::start().await;
    let client = server.client();
    client.post(CUSTOMERS, &json!({"key": "acme"})).await.expect(201);
    for name in ["a", "b", "c", "d"] {
        client.patch(ACME, &json!({"profile": {"name": name}})).await.expect(200);
    }
    for (order, expected) in [("asc", [1, 2, 3, 4, 5]), ("desc", [5, 4, 3, 2, 1])] {
        let mut versions = Vec::new();
        let mut path = Some(format!("{ACME}/timeline?limit=2&order={order}"));
        while let Some(next) = path {
            let reply = client.get(&next).await;
            let page = reply.clone().expect(200);
            let items = page["items"].as_array().expect("items");
            assert!((1..=2).contains(&items.len()));
            versions.extend(items.iter().map(|item| item["version"].as_u64().expect("a number")));
            let link = reply.header("link").map(|link| link.trim_start_matches('<').to_owned());
            path = link.map(|link| link.split('>').next().expect("a link").to_owned());
            assert_eq!(path.is_some(), page["next"].is_string());
        }
        assert_eq!(versions, expected, "{order}");
    }
    let first = client.get(&format!("{ACME}/timeline?limit=1")).await.at("/items/0");
    assert_eq!(first["event"]["type"], "CustomerCreated.v1");
    assert_eq!(first["actor"], server.key.id);
    assert_eq!(first["command_id"].as_str().map(str::len), Some(36));
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_shown_as_it_stood() {
    let server = Server::start().await;
    let client = server.client();
    client.post(CUSTOMERS, &json!({"key": "acme"})).await.expect(201);
    let named = client.patch(ACME, &json!({"profile": {"name": "one"}})).await.expect(200);
    let moment = named["updated_at"].as_str().expect("a time").to_owned();
    client.patch(ACME, &json!({"profile": {"name": "two"}})).await.expect(200);
    let then = client.get(&format!("{ACME}?version=2")).await;
    assert_eq!((then.at("/profile/name"), then.header("etag")), (json!("one"), Some("\"v2\"")));
    assert_eq!(client.get(&format!("{ACME}?version=1")).await.at("/profile/name"), Value::Null);
    assert_eq!(
        client.get(&format!("{ACME}?as_of={moment}")).await.at("/profile/name"),
        json!("one")
    );
    for none in ["version=4", "as_of=2000-01-01T00:00:00Z"] {
        assert_eq!(client.get(&format!("{ACME}?{none}")).await.status, 404, "{none}");
    }
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_are_listed_by_page_and_filter() {
    let server = Server::start().await;
    let client = server.client();
    for key in ["a-1", "a-2", "b-1", "b-2", "c-1"] {
        client.post(CUSTOMERS, &json!({"key": key})).await.expect(201);
    }
    client
        .patch("/api/v1/customers/b-1", &json!({"contract": {"status": "suspended"}}))
        .await
        .expect(200);
    let gone = client.request(Method::DELETE, "/api/v1/customers/c-1");
    client.send(gone).await.expect(200);
    let keys = |query: String| {
        let client = &client;
        async move {
            let (mut keys, mut cursor) = (Vec::new(), String::new());
            loop {
                let page =
                    client.get(&format!("{CUSTOMERS}?limit=2{query}{cursor}")).await.expect(200);
                let items = page["items"].as_array().expect("items");
                keys.extend(
                    items.iter().map(|item| item["key"].as_str().expect("a key").to_owned()),
                );
                let Some(next) = page["next"].as_str() else { return keys };
                cursor = format!("&cursor={next}");
            }
        }
    };
    assert_eq!(keys(String::new()).await.len(), 5);
    assert_eq!(keys("&status=suspended".into()).await, ["b-1"]);
    assert_eq!(keys("&status=archived".into()).await, ["c-1"]);
    let mut active = keys("&status=active".into()).await;
    active.sort();
    assert_eq!(active, ["a-1", "a-2", "b-2"]);
    let mut prefixed = keys("&key_prefix=a-".into()).await;
    prefixed.sort();
    assert_eq!(prefixed, ["a-1", "a-2"]);
    assert_eq!(keys("&tier=gold".into()).await, Vec::<String>::new());
    let bad = client.get(&format!("{CUSTOMERS}?cursor=made-up")).await;
    assert_eq!((bad.status, bad.at("/code")), (400, json!("invalid_parameter")));
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archived_customer_answers_by_id_and_frees_its_key() {
    let server = Server::start().await;
    let client = server.client();
    let first = client.post(CUSTOMERS, &json!({"key": "acme"})).await.expect(201);
    let by_id = format!("{CUSTOMERS}/{}", first["id"].as_str().expect("an id"));
    let archived = client.send(client.request(Method::DELETE, ACME)).await.expect(200);
    assert!(archived["archived_at"].is_string(), "{archived}");
    assert_eq!(client.get(ACME).await.status, 404);
    assert_eq!(client.get(&by_id).await.expect(200), archived);
    let refused = client.patch(&by_id, &json!({"profile": {"name": "x"}})).await;
    assert_eq!((refused.status, refused.at("/code")), (409, json!("customer_archived")));
    let second = client.post(CUSTOMERS, &json!({"key": "acme"})).await.expect(201);
    assert_ne!(second["id"], first["id"]);
    assert_eq!(client.get(ACME).await.at("/id"), second["id"]);
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_customer_answers_to_its_new_key_alone() {
    let server = Server::start().await;
    let client = server.client();
    let made = client.post(CUSTOMERS, &json!({"key": "acme"})).await.expect(201);
    client.post(CUSTOMERS, &json!({"key": "taken"})).await.expect(201);
    let refused = client.patch(ACME, &json!({"key": "taken"})).await;
    assert_eq!((refused.status, refused.at("/code")), (409, json!("key_taken")));
    let renamed = client.patch(ACME, &json!({"key": "new"})).await.expect(200);
    assert_eq!((&renamed["id"], &renamed["key"]), (&made["id"], &json!("new")));
    assert_eq!(client.get("/api/v1/customers/new").await.at("/id"), made["id"]);
    assert_eq!(client.get(ACME).await.status, 404);
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_are_decided_once_each() {
    let server = Server::start().await;
    let client = server.client();
    let id = "0194f000-0000-7000-8000-000000000001";
    let create = json!({"command_id": id, "type": "CreateCustomer", "customer": {"key": "acme"},
        "patch": {"profile": {"name": "Acme"}}});
    let first = client.post(COMMANDS, &create).await;
    let answer = first.clone().expect(200);
    assert_eq!((&answer["outcome"], &answer["command_id"]), (&json!("accepted"), &json!(id)));
    assert_eq!(
        answer["version"].as_u64(),
        Some(answer["events"].as_array().expect("a list").len() as u64)
    );
    assert_eq!(answer["rejection"], Value::Null);
    let again = client.post(COMMANDS, &create).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.expect(200), answer);
    let mut dry = json!({"type": "UpdateCustomer", "customer": {"key": "acme"}, "dry_run": true,
        "patch": {"contract": {"status": "suspended"}}});
    let shown = client.post(COMMANDS, &dry).await.expect(200);
    assert_eq!(shown["customer"]["contract"]["status"], "suspended");
    assert_eq!(shown["events"][0]["type"], "StatusChanged.v1");
    assert_eq!(shown["position"], Value::Null);
    assert_eq!(client.get(ACME).await.at("/contract/status"), json!("active"));
    dry["dry_run"] = json!(false);
    let many = json!([dry, {"type": "Nonsense"}, dry, {"type": "ArchiveCustomer", "customer": {"key": "no"}}]);
    let answers = client.post(COMMANDS, &many).await.expect(200);
    let statuses: Vec<&Value> =
        answers.as_array().expect("a list").iter().map(|answer| &answer["status"]).collect();
    assert_eq!(statuses, [200, 400, 200, 404]);
    assert_eq!(answers[0]["events"].as_array().map(Vec::len), Some(1));
    assert_eq!(answers[2]["events"].as_array().map(Vec::len), Some(0));
    assert_eq!(client.get(ACME).await.at("/contract/status"), json!("suspended"));
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_gives_the_first_answer_again() {
    let server = Server::start().await;
    let client = server.client();
    let send = |method: Method, path: &str, body: Value| {
        let request = client.request(method, path).header("idempotency-key", "\"k-1\"");
        client.send(request.json(&body))
    };
    let made = send(Method::POST, CUSTOMERS, json!({})).await;
    let again = send(Method::POST, CUSTOMERS, json!({})).await;
    assert_eq!((made.status, again.status), (201, 201), "{again}");
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.json(), made.json());
    let path = format!("{CUSTOMERS}/{}", made.at("/id").as_str().expect("an id"));
    let reused = send(Method::PATCH, &path, json!({"profile": {"name": "x"}})).await;
    assert_eq!((reused.status, reused.at("/code")), (422, json!("idempotency_key_reused")));
    assert_eq!(client.get(CUSTOMERS).await.at("/items").as_array().map(Vec::len), Some(1));
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_made_or_revoked_beside_the_server_counts_within_a_second() {
    let server = Server::start().await;
    let key = make_key(server.data(), "t", "live", "read");
    let client = server.client_with(&key.key);
    let made = std::time::Instant::now();
    crate::common::until_async("the key to be honoured", async || {
        (client.get(CUSTOMERS).await.status == 200).then_some(())
    })
    .await;
    assert!(made.elapsed() < std::time::Duration::from_secs(1), "{:?}", made.elapsed());
    let ran = run(tallybook().args(["keys", "revoke", &key.id, "--data"]).arg(server.data()));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let revoked = std::time::Instant::now();
    crate::common::until_async("the key to be refused", async || {
        (client.get(CUSTOMERS).await.status == 401).then_some(())
    })
    .await;
    assert!(revoked.elapsed() < std::time::Duration::from_secs(1), "{:?}", revoked.elapsed());
    let stderr = server.stop();
    assert!(!stderr.contains(key.key.rsplit('_').next().expect("a secret")), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_sees_that_it_lives_and_what_it_does() {
    let server = Server::start().await;
    let nobody = crate::common::Client::new(&server.url, None);
    for path in ["/livez", "/readyz"] {
        let reply = nobody.get(path).await;
        assert_eq!((reply.status, &*reply.text), (200, "ok\n"), "{path}");
    }
    assert_eq!(nobody.get("/version").await.at("/version"), json!(env!("CARGO_PKG_VERSION")));
    server.client().post(CUSTOMERS, &json!({"key": "acme"})).await.expect(201);
    let metrics = nobody.get("/metrics").await.text;
    for line in [
        r#"tallybook_http_requests_total{route="/api/v1/customers",method="POST",status="201"} 1"#,
        r#"tallybook_decisions_total{outcome="accepted"} 1"#,
    ] {
        assert!(metrics.lines().any(|told| told == line), "{line} is not in {metrics}");
    }
    server.stop();
}
