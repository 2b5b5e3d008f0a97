//! `Prefer: respond-async` from outside: 202 means that the command is not lost, and what became of it is
//! told at its location.

use crate::common::{Client, Reply, Server, make_key};
use http::Method;
use serde_json::{Value, json};

const CUSTOMERS: &str = "/api/v1/customers";
const COMMANDS: &str = "/api/v1/commands";

async fn later(client: &Client, method: Method, path: &str, body: &Value) -> Reply {
    let request = client.request(method, path).header("prefer", "respond-async").json(body);
    client.send(request).await
}

/// Gives where to ask, after looking that the answer is a 202 as it should be.
fn location(reply: &Reply) -> String {
    assert_eq!((reply.status, reply.header("preference-applied")), (202, Some("respond-async")));
    let location = reply.header("location").expect("it has a location").to_owned();
    assert_eq!(reply.at("/location"), json!(location));
    let id = reply.at("/command_id");
    assert_eq!(location, format!("{COMMANDS}/{}", id.as_str().expect("an id")));
    location
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_of_it_is_told_like_the_answer_to_a_command() {
    let server = Server::start().await;
    let client = server.client();
    let id = "7b0c2a52-5f0e-4d0c-9f0e-0a4f5a4f3a10";
    let create = json!({"command_id": id, "type": "CreateCustomer", "customer": {"key": "acme"},
        "patch": {"profile": {"name": "Acme"}, "contract": {"tier": "growth"}}});
    let told = location(&later(&client, Method::POST, COMMANDS, &create).await);
    assert_eq!(told, format!("{COMMANDS}/{id}"));
    let found = client.get(&told).await;
    // The same command again is answered like the first time.
    let answered = client.post(COMMANDS, &create).await;
    assert_eq!((answered.status, answered.header("idempotent-replayed")), (200, Some("true")));
    assert_eq!((found.status, &found.text), (200, &answered.text));
    assert_eq!(found.at("/outcome"), "accepted");
    assert_eq!(found.at("/events").as_array().map(Vec::len), Some(3));
    // A refusal is told too.
    let taken = location(&later(&client, Method::POST, CUSTOMERS, &json!({"key": "acme"})).await);
    let refused = client.get(&taken).await.expect(200);
    assert_eq!((&refused["outcome"], &refused["version"]), (&json!("rejected"), &Value::Null));
    assert_eq!(refused["rejection"]["code"], "key_taken");
    // One that changes nothing, and a rename, which is held until the slot of the key has answered.
    let body = json!({"contract": {"tier": "growth"}});
    let same = later(&client, Method::PATCH, "/api/v1/customers/acme", &body).await;
    let same = client.get(&location(&same)).await.expect(200);
    assert_eq!((&same["outcome"], &same["events"]), (&json!("accepted"), &json!([])));
    for number in 0..8 {
        let key = if number == 0 { "acme".to_owned() } else { format!("acme-{}", number - 1) };
        let body = json!({"key": format!("acme-{number}")});
        let renamed = later(&client, Method::PATCH, &format!("{CUSTOMERS}/{key}"), &body).await;
        let renamed = client.get(&location(&renamed)).await.expect(200);
        assert_eq!(renamed["outcome"], "accepted", "{renamed}");
        assert_eq!(renamed["events"][0]["type"], "KeyChanged.v1", "{renamed}");
    }
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_outlives_a_kill() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for round in 0..5 {
        let server = Server::start_in(folder.path(), &[]).await;
        let client = server.client();
        let asked = (0..16).map(|n| {
            let (client, body) = (client.clone(), json!({"key": format!("{round}-{n}")}));
            async move { location(&later(&client, Method::POST, CUSTOMERS, &body).await) }
        });
        let told = futures_util::future::join_all(asked).await;
        server.kill();
        let server = Server::start_in(folder.path(), &[]).await;
        let client = server.client();
        for location in told {
            let found = client.get(&location).await;
            assert_eq!((found.status, found.at("/outcome")), (200, json!("accepted")), "{found}");
        }
        server.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_by_idempotency_key_has_the_location_of_the_first() {
    let server = Server::start().await;
    let client = server.client();
    let ask = async |name: &str| {
        let request = client
            .request(Method::POST, CUSTOMERS)
            .header("prefer", "respond-async")
            .header("idempotency-key", "k-1");
        client.send(request.json(&json!({"key": "acme", "profile": {"name": name}}))).await
    };
    let first = location(&ask("A").await);
    assert_eq!(location(&ask("A").await), first);
    assert_eq!(client.get(&first).await.at("/outcome"), "accepted");
    // Used again for something else, it is refused at once: nothing of that is kept.
    let other = ask("B").await;
    assert_eq!((other.status, other.at("/code")), (422, json!("idempotency_key_reused")));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_scopes_command_is_as_absent_as_none() {
    let server = Server::start().await;
    let told = later(&server.client(), Method::POST, CUSTOMERS, &json!({"key": "acme"})).await;
    let told = location(&told);
    assert_eq!(server.client().get(&told).await.status, 200);
    let absent = format!("{COMMANDS}/0194f000-0000-7000-8000-000000000001");
    let absent = server.client().get(&absent).await;
    assert_eq!((absent.status, absent.at("/code")), (404, json!("unknown_command")));
    for (tenant, environment) in [("other", "live"), (crate::common::TENANT, "test")] {
        let key = make_key(server.data(), tenant, environment, "read");
        let client = server.client_with(&key.key);
        let found = crate::common::until_async("the key", async || {
            let found = client.get(&told).await;
            (found.status != 401).then_some(found)
        })
        .await;
        assert_eq!((found.status, &found.text), (404, &absent.text), "{tenant} {environment}");
    }
    let writer = make_key(server.data(), crate::common::TENANT, "live", "write");
    let client = server.client_with(&writer.key);
    let found = crate::common::until_async("the key", async || {
        let found = client.get(&told).await;
        (found.status != 401).then_some(found)
    })
    .await;
    assert_eq!((found.status, found.at("/code")), (403, json!("missing_scope")));
}
