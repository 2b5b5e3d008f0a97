//! Read models in PostgreSQL, seen from outside: servers that share one database, or have it taken away.

mod common;
#[path = "common/postgres.rs"]
mod database;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Client, Server, run, tallybook, until, until_async};
use database::Postgres;
use serde_json::{Value, json};

/// Changes that are made while the database is taken away.
const CHANGES: usize = 60;

/// Sends one change after the other, each again until it is acknowledged, and counts them; gives the name
/// that was acknowledged last for each of the customers.
async fn change_on(client: &Client, customers: usize, acknowledged: &AtomicUsize) -> Vec<String> {
    let mut last = vec![String::new(); customers];
    for number in 0..CHANGES {
        let customer = number % customers;
        let name = format!("name {number}");
        let command = json!({
            "command_id": uuid(number),
            "type": "UpdateCustomer",
            "customer": {"key": format!("c{customer}")},
            "patch": {"profile": {"name": name}},
        });
        until_async("an acknowledgement", || async {
            let request = client.request(http::Method::POST, "/api/v1/commands").json(&command);
            let reply = client.try_send(request).await.ok()?;
            (reply.status == 200).then_some(())
        })
        .await;
        acknowledged.fetch_add(1, Ordering::AcqRel);
        last[customer] = name;
    }
    last
}

fn uuid(number: usize) -> String {
    format!("00000000-0000-7000-8000-{number:012}")
}

async fn make(client: &Client, customers: usize) {
    for number in 0..customers {
        client.post("/api/v1/customers", &json!({"key": format!("c{number}")})).await.expect(201);
    }
}

/// Gives all that a scope has, once it is answered.
async fn answers(client: &Client) -> Vec<Value> {
    let list = until_async("a list", || async {
        let request = client.request(http::Method::GET, "/api/v1/customers?limit=100");
        let reply = client.try_send(request).await.ok()?;
        (reply.status == 200).then(|| reply.json())
    })
    .await;
    let items = list["items"].as_array().expect("a list").clone();
    let mut answers = vec![list];
    for item in items {
        let id = item["id"].as_str().expect("it has an id").to_owned();
        for question in ["/timeline?limit=1000", "/usage?limit=1000", "?version=1"] {
            let path = format!("/api/v1/customers/{id}{question}");
            answers.push(client.get(&path).await.expect(200));
        }
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_change_is_lost_however_the_database_goes_away() {
    let mut postgres = Postgres::start_local(&[]);
    let url = postgres.database("books");
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let server = Server::start_in(folder.path(), &["--postgres", &url]).await;
    let client = server.client();
    make(&client, 3).await;
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let changing = tokio::spawn({
        let (client, acknowledged) = (server.client(), Arc::clone(&acknowledged));
        async move { change_on(&client, 3, &acknowledged).await }
    });
    for (round, stops) in [false, true, false].into_iter().enumerate() {
        until("some changes", || {
            (acknowledged.load(Ordering::Acquire) >= (round + 1) * CHANGES / 4).then_some(())
        });
        if stops {
            postgres.pause();
            let refused = client.get("/api/v1/customers/c0").await;
            assert_eq!(refused.status, 503, "{refused}");
            postgres.resume();
        } else {
            postgres.kill();
            let refused = client.get("/api/v1/customers/c0").await;
            assert_eq!(refused.status, 503, "{refused}");
            postgres.restart();
        }
    }
    let last = changing.await.expect("all was acknowledged");
    for (number, name) in last.iter().enumerate() {
        let path = format!("/api/v1/customers/c{number}");
        assert_eq!(client.get(&path).await.expect(200)["profile"]["name"], **name);
    }
    let on_postgres = answers(&client).await;
    let seen = postgres.sql("books", "SELECT key, name FROM tallybook.customers ORDER BY key");
    let expected: Vec<String> =
        last.iter().enumerate().map(|(number, name)| format!("c{number}|{name}")).collect();
    assert_eq!(seen, expected.join("\n"));
    let key = server.key.key.clone();
    server.stop();
    // The same journal folded into SQLite gives the same answers.
    let again = Server::start_in(folder.path(), &[]).await;
    assert_eq!(answers(&again.client_with(&key)).await, on_postgres);
    again.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_in_the_database_changes_no_answer_and_the_server_goes_on() {
    let url = database::shared().database("rebuilt");
    let server = Server::start_with(&["--postgres", &url]).await;
    let client = server.client();
    make(&client, 5).await;
    let report = json!({"report_id": "r", "occurred_at": "2026-01-31T23:59:59Z", "meter": "tokens", "cost": "4.5"});
    let body = json!({"customer": {"key": "c1"}, "reports": [report]});
    client.post("/api/v1/usage", &body).await.expect(200);
    let before = answers(&client).await;
    let data = server.data().display().to_string();
    // The address may come from a file, too.
    let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    std::fs::write(file.path(), format!("{url}\n")).expect("it can be written");
    let mut rebuild = tallybook();
    rebuild.args(["rebuild", "--output", "json", "--data", &data]);
    let ran = run(rebuild.env("TALLYBOOK_POSTGRES_FILE", file.path()));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let told: Value = serde_json::from_str(&ran.stdout).expect("it prints JSON");
    assert_eq!(told["events"], 6);
    assert_eq!(answers(&client).await, before);
    let body = json!({"profile": {"name": "later"}});
    let changed = client.patch("/api/v1/customers/c1", &body).await.expect(200);
    assert_eq!(client.get("/api/v1/customers/c1").await.expect(200), changed);
    let seen = "SELECT name FROM tallybook.customers WHERE key = 'c1'";
    assert_eq!(database::shared().sql("rebuilt", seen), "later");
    server.stop();
}

#[test]
fn a_database_that_is_not_there_is_said_to_be_unavailable() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let made =
        run(tallybook().args(["keys", "create", "--tenant", "t", "--data"]).arg(folder.path()));
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let mut serve = tallybook();
    serve.args(["serve", "--listen", "127.0.0.1:0", "--postgres", "postgres://127.0.0.1:1/none"]);
    let ran = run(serve.arg("--data").arg(folder.path()));
    assert_eq!(ran.code, Some(6), "{}", ran.stderr);
    assert!(ran.stderr.contains("cannot open the read models in PostgreSQL"), "{}", ran.stderr);
    serve.args(["--postgres-file", "/nowhere"]);
    assert_eq!(run(&mut serve).code, Some(2), "an address and a file of it");
}
