//! Parents over the native API of the running server: who may have which, what refuses it, and where
//! it is seen.

use crate::common::{Client, Reply, Server};
use http::Method;
use serde_json::{Value, json};

const CUSTOMERS: &str = "/api/v1/customers";

fn path(key: &str) -> String {
    format!("{CUSTOMERS}/{key}")
}

async fn below(client: &Client, key: &str, parent: Value) -> Reply {
    client.patch(&path(key), &json!({"identity": {"parent": parent}})).await
}

async fn made(client: &Client, keys: &[&str]) -> Vec<String> {
    let mut ids = Vec::new();
    for key in keys {
        let document = client.post(CUSTOMERS, &json!({"key": key})).await.expect(201);
        ids.push(document["id"].as_str().expect("an id").to_owned());
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_is_set_by_id_or_key_shown_and_taken_away() {
    let server = Server::start().await;
    let client = server.client();
    let ids = made(&client, &["child", "p", "q"]).await;
    for (parent, shown) in [
        (json!(ids[1]), json!(ids[1])),
        (json!({"key": "q"}), json!(ids[2])),
        (json!({"id": ids[1]}), json!(ids[1])),
        (Value::Null, Value::Null),
        // As any part of a document it may be sent back as it was shown.
        (Value::Null, Value::Null),
    ] {
        let document = below(&client, "child", parent).await.expect(200);
        assert_eq!(document["identity"]["parent"], shown);
        assert_eq!(client.get(&path("child")).await.json(), document);
    }
    let timeline = client.get(&format!("{}/timeline", path("child"))).await.json();
    let items = timeline["items"].as_array().expect("items");
    let events: Vec<&Value> = items.iter().map(|item| &item["event"]).collect();
    let changed =
        |from: Value, to: Value| json!({"type": "ParentChanged.v1", "from": from, "to": to});
    assert_eq!(
        events[1..],
        [
            &changed(Value::Null, json!(ids[1])),
            &changed(json!(ids[1]), json!(ids[2])),
            &changed(json!(ids[2]), json!(ids[1])),
            &changed(json!(ids[1]), Value::Null),
        ]
    );
    // What its parents were asked for is no part of their history.
    assert_eq!(client.get(&path("p")).await.json()["version"], 1);
    let born = json!({"key": "born", "identity": {"parent": {"key": "p"}}});
    let born = client.post(CUSTOMERS, &born).await.expect(201);
    assert_eq!((&born["identity"]["parent"], &born["version"]), (&json!(ids[1]), &json!(2)));
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_a_rule_is_422_with_its_own_code() {
    let server = Server::start().await;
    let client = server.client();
    let ids = made(&client, &["a", "b", "child", "gone"]).await;
    client.send(client.request(Method::DELETE, &path("gone"))).await;
    below(&client, "child", json!({"key": "b"})).await.expect(200);
    for (key, parent, code) in [
        ("a", json!(ids[0]), "parent_is_self"),
        ("a", json!({"key": "nobody"}), "parent_unknown"),
        ("a", json!(ids[3]), "parent_unknown"),
        ("a", json!({"key": "child"}), "parent_is_child"),
        ("b", json!({"key": "a"}), "customer_has_children"),
    ] {
        let refused = below(&client, key, parent.clone()).await;
        let problem = refused.json();
        assert_eq!((refused.status, &problem["code"]), (422, &json!(code)), "{parent}");
        assert_eq!(problem["pointer"], "/identity/parent", "{problem}");
    }
    // A word that is no id is a fault of the request.
    let refused = below(&client, "a", json!("b")).await;
    assert_eq!((refused.status, &refused.json()["pointer"]), (400, &json!("/identity/parent")));
    // All or nothing: a key that is taken keeps the parent away too.
    let both = json!({"key": "b", "identity": {"parent": {"key": "b"}}});
    assert_eq!(client.patch(&path("a"), &both).await.status, 409);
    assert_eq!(client.get(&path("a")).await.json()["identity"]["parent"], Value::Null);
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_up_can_be_used_at_once() {
    let server = Server::start().await;
    let client = server.client();
    made(&client, &["a", "b", "c"]).await;
    for _ in 0..10 {
        below(&client, "a", json!({"key": "b"})).await.expect(200);
        below(&client, "a", Value::Null).await.expect(200);
        // Neither is a child any more, nor a parent.
        below(&client, "c", json!({"key": "a"})).await.expect(200);
        below(&client, "c", Value::Null).await.expect(200);
        below(&client, "b", json!({"key": "c"})).await.expect(200);
        below(&client, "b", Value::Null).await.expect(200);
    }
    // An archived parent keeps its children; an archived child takes no place.
    below(&client, "a", json!({"key": "b"})).await.expect(200);
    below(&client, "c", json!({"key": "b"})).await.expect(200);
    let ended = client.send(client.request(Method::DELETE, &path("a"))).await;
    assert_eq!(ended.status, 200, "{ended}");
    let ended = client.send(client.request(Method::DELETE, &path("b"))).await;
    assert_eq!(ended.status, 200, "{ended}");
    assert_ne!(client.get(&path("c")).await.json()["identity"]["parent"], Value::Null);
    assert_ne!(ended.json()["archived_at"], Value::Null);
    server.stop();
}
