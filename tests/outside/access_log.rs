//! The access log: one line for each request where it is asked for, and never a secret, a body or a path.

use crate::common::{Client, Server, until};
use http::Method;
use serde_json::{Value, json};

/// Gives the lines of the access log.
fn lines(stderr: &str) -> Vec<Value> {
    let parsed = stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    parsed.filter(|line| line["target"] == "tallybook::access").collect()
}

/// Sends requests with a secret in every place, and gives what the server logged.
async fn secrets_everywhere(arguments: &[&str]) -> (Server, String) {
    let server = Server::start_with(arguments).await;
    let client = server.client();
    client.post("/api/v1/customers", &json!({"key": "in-body-secret"})).await.expect(201);
    let asked = [
        (Method::GET, "/api/v1/customers/in-body-secret?version=1"),
        (Method::GET, "/api/v1/customers/in-path-secret"),
        (Method::GET, "/api/v1/customers?key_prefix=in-query-secret"),
        (Method::GET, "/in-path-secret"),
        (Method::PATCH, "/api/v1/customers/in-path-secret"),
    ];
    for (method, path) in asked {
        let request = client
            .request(method, path)
            .header("x-forwarded-for", "203.0.113.7")
            .header("forwarded", "for=203.0.113.7;by=in-header-secret")
            .header("x-request-id", "in-header-secret")
            .header("idempotency-key", "in-header-secret")
            .header("user-agent", "in-header-secret")
            .json(&json!({"profile": {"name": "in-body-secret"}}));
        client.send(request).await;
    }
    for key in ["tb_live_abc_wrong-key-secret", "am_sk_wrong-key-secret"] {
        assert_eq!(Client::new(&server.url, Some(key)).get("/api/v1/customers").await.status, 401);
    }
    let stderr = server.stderr();
    (server, stderr)
}

fn assert_no_secret(server: &Server, stderr: &str) {
    let (_, own) = server.key.key.rsplit_once('_').expect("a key");
    for secret in ["-secret", "203.0.113.7", own] {
        assert!(!stderr.contains(secret), "{secret} in:\n{stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_a_line_without_what_it_said() {
    let (server, _) = secrets_everywhere(&["--access-log", "--log-format", "json"]).await;
    let lines = until("a line for each request", || {
        let lines = lines(&server.stderr());
        (lines.len() >= 8).then_some(lines)
    });
    let told: Vec<(Value, Value, Value, Value)> = lines
        .iter()
        .map(|line| {
            assert!(line["micros"].is_u64(), "{line}");
            let peer = line["peer"].as_str().expect("a peer");
            assert!(peer.starts_with("127.0.0.1:"), "the address is the connection's: {line}");
            let member = |name: &str| line[name].clone();
            (member("method"), member("route"), member("status"), member("key"))
        })
        .collect();
    let (id, none) = (json!(server.key.id), Value::Null);
    let (customers, customer) = ("/api/v1/customers", "/api/v1/customers/{customer}");
    let expected = [
        ("POST", customers, 201, &id),
        ("GET", customer, 200, &id),
        ("GET", customer, 404, &id),
        ("GET", customers, 200, &id),
        ("GET", "none", 404, &none),
        ("PATCH", customer, 404, &id),
        ("GET", customers, 401, &none),
        ("GET", customers, 401, &none),
    ]
    .map(|(method, route, status, key)| (json!(method), json!(route), json!(status), key.clone()));
    assert_eq!(told, expected);
    let stderr = server.stderr();
    assert_no_secret(&server, &stderr);
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_told_of_a_request_unless_it_is_asked_for() {
    let (server, stderr) = secrets_everywhere(&["--log-format", "json"]).await;
    assert_eq!(lines(&stderr), Vec::<Value>::new());
    assert_no_secret(&server, &stderr);
    // Everything that there is to tell, and still no secret.
    let (server, stderr) = secrets_everywhere(&["--log", "trace,hyper=off,h2=off,mio=off"]).await;
    assert!(stderr.contains("/api/v1/customers/{customer}"), "{stderr}");
    assert_no_secret(&server, &stderr);
}
