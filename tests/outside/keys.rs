//! API keys from outside: imported, rotated, revoked, beside a server that honours it within a second.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::common::{Ran, Server, make_key, run, run_with, tallybook};
use serde_json::{Value, json};

const CUSTOMERS: &str = "/api/v1/customers";
/// As a vendor may have issued it.
const FOREIGN: &str = "am_sk_live_4fK!x/9+dQ==";

fn keys(data: &Path, arguments: &[&str]) -> Ran {
    run(tallybook().arg("keys").args(arguments).args(["--output", "json", "--data"]).arg(data))
}

fn import(data: &Path, text: &str, arguments: &[&str]) -> Ran {
    let mut command = tallybook();
    command.args(["keys", "import", "--output", "json", "--data"]).arg(data).args(arguments);
    run_with(&mut command, text)
}

fn printed(ran: &Ran) -> Value {
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    serde_json::from_str(&ran.stdout).expect("it prints JSON")
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_else(|| panic!("no {member} in {value}"))
}

/// Gives the status that a request with this key gets.
async fn status(server: &Server, key: &str) -> u16 {
    server.client_with(key).get(CUSTOMERS).await.status
}

/// Waits until a request with this key gets a status; that must come within a second of `since`.
async fn soon(server: &Server, key: &str, expected: u16, since: Instant) {
    crate::common::until_async("the key's status", async || {
        (status(server, key).await == expected).then_some(())
    })
    .await;
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_a_vendor_issued_opens_its_tenant_and_is_nowhere_kept() {
    let server = Server::start().await;
    assert_eq!(status(&server, FOREIGN).await, 401);
    let grant = ["--tenant", "acme", "--environment", "test", "--scopes", "read,write"];
    let made = printed(&import(server.data(), &format!("{FOREIGN}\n"), &grant));
    soon(&server, FOREIGN, 200, Instant::now()).await;
    let client = server.client_with(FOREIGN);
    let customer = client.post(CUSTOMERS, &json!({"key": "a"})).await.expect(201);
    assert_eq!(
        (&customer["tenant"], &customer["environment"]),
        (&json!("acme"), &json!("test")),
        "{customer}"
    );
    let timeline = client.get("/api/v1/customers/a/timeline").await.expect(200);
    assert_eq!(timeline["items"][0]["actor"], made["id"]);
    let usage = json!({"customer": {"key": "a"}, "reports": []});
    assert_eq!(client.post("/api/v1/usage", &usage).await.status, 403, "a scope it has not");
    for other in [&FOREIGN[..FOREIGN.len() - 1], &format!("{FOREIGN}x"), &FOREIGN.to_lowercase()] {
        assert_eq!(status(&server, other).await, 401, "{other}");
    }
    let revoked = keys(server.data(), &["revoke", text(&made, "id")]);
    assert_eq!(revoked.code, Some(0), "{}", revoked.stderr);
    soon(&server, FOREIGN, 401, Instant::now()).await;
    let data = server.data().to_owned();
    let keys: Vec<u8> = ["keys.db", "keys.db-wal"]
        .iter()
        .flat_map(|name| std::fs::read(data.join(name)).unwrap_or_default())
        .collect();
    assert!(keys.len() > 4096, "the file of keys is there");
    assert!(!keys.windows(FOREIGN.len()).any(|bytes| bytes == FOREIGN.as_bytes()));
    let stderr = server.stop();
    assert!(!stderr.contains(FOREIGN), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_imported_key_has_a_rate_like_any_other() {
    let server = Server::start().await;
    let grant = ["--tenant", "acme", "--rate", "1"];
    printed(&import(server.data(), FOREIGN, &grant));
    soon(&server, FOREIGN, 200, Instant::now()).await;
    let client = server.client_with(FOREIGN);
    let refused = crate::common::until_async("a second request within a second", async || {
        let reply = client.get(CUSTOMERS).await;
        (reply.status == 429).then_some(reply)
    })
    .await;
    assert_eq!(refused.header("ratelimit-policy"), Some("\"key\";q=1;w=1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_key_has_two_secrets_for_a_while_and_then_one() {
    let server = Server::start().await;
    let (old, data) = (make_key(server.data(), "acme", "live", "read"), server.data().to_owned());
    soon(&server, &old.key, 200, Instant::now()).await;
    let rotated = printed(&keys(&data, &["rotate", &old.id]));
    let new = text(&rotated, "key");
    assert_eq!(text(&rotated, "id"), old.id);
    assert!(new.starts_with(&format!("tb_live_{}_", old.id)) && new != old.key, "{new}");
    soon(&server, new, 200, Instant::now()).await;
    assert_eq!(status(&server, &old.key).await, 200, "the old one opens it for a day yet");
    // Then with a short overlap: the first secret ends at once, the second one soon.
    let last = printed(&keys(&data, &["rotate", &old.id, "--overlap", "2s"]));
    let since = Instant::now();
    soon(&server, &old.key, 401, since).await;
    assert_eq!(status(&server, new).await, 200);
    soon(&server, text(&last, "key"), 200, since).await;
    crate::common::until_async("the end of the overlap", async || {
        (status(&server, new).await == 401).then_some(())
    })
    .await;
    assert!(since.elapsed() > Duration::from_millis(1_500), "{:?}", since.elapsed());
    let listed = printed(&keys(&data, &["list"]));
    let mut key = listed
        .as_array()
        .and_then(|keys| keys.iter().find(|key| key["id"] == *old.id))
        .expect("it is listed")
        .clone();
    assert_eq!(key["former_until"].take(), last["former_until"]);
    let (created, rotated) = (key["created_at"].take(), key["rotated_at"].take());
    assert!(rotated.as_str() > created.as_str(), "{created} {rotated}");
    assert_eq!(
        key,
        json!({
            "id": old.id, "tenant": "acme", "environment": "live", "scopes": "read", "rate": 0,
            "origin": "issued", "created_at": null, "rotated_at": null, "former_until": null,
            "revoked_at": null,
        })
    );
    assert_eq!(keys(&data, &["revoke", &old.id]).code, Some(0));
    soon(&server, text(&last, "key"), 401, Instant::now()).await;
    assert_eq!(keys(&data, &["rotate", &old.id]).code, Some(4), "a revoked key is not rotated");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_without_overlap_ends_an_imported_text_at_once() {
    let server = Server::start().await;
    let made = printed(&import(server.data(), FOREIGN, &["--tenant", "acme"]));
    soon(&server, FOREIGN, 200, Instant::now()).await;
    let rotated = keys(server.data(), &["rotate", text(&made, "id"), "--overlap", "0"]);
    let rotated = printed(&rotated);
    let since = Instant::now();
    soon(&server, FOREIGN, 401, since).await;
    soon(&server, text(&rotated, "key"), 200, since).await;
    let listed = printed(&keys(server.data(), &["list"]));
    let key = listed.as_array().and_then(|keys| keys.last()).expect("it is listed");
    assert_eq!(
        (text(key, "origin"), text(key, "rotated_at")),
        ("issued", text(key, "former_until"))
    );
}

#[test]
fn what_cannot_be_imported_is_refused_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let data = folder.path().join("data");
    let long = "x".repeat(513);
    for text in
        ["", "\n", "am_sk_1", "am sk live 12", "am_sk_live_1\nmore", "am_sk_l\u{e9}ve_1", &long]
    {
        let ran = import(&data, text, &[]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{text:?}");
        assert!(ran.stderr.contains("8 to 512 visible ASCII characters"), "{}", ran.stderr);
        assert!(text.is_empty() || text == "\n" || !ran.stderr.contains(text), "{}", ran.stderr);
    }
    assert!(!data.exists());
    let made = make_key(&data, "acme", "live", "read");
    let ran = import(&data, &made.key, &[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(4), ""), "a key of this folder");
    let longest = &long[1..];
    assert_eq!(import(&data, longest, &[]).code, Some(0));
    let again = import(&data, &format!("{longest}\r\n"), &["--tenant", "other"]);
    assert_eq!((again.code, again.stdout.as_str()), (Some(4), ""), "{}", again.stderr);
    assert_eq!(keys(&data, &["rotate", "abc"]).code, Some(3));
    assert_eq!(keys(&data, &["rotate", &made.id, "--overlap", "1w"]).code, Some(2));
}
