//! Read models can be thrown away: `rebuild` beside a running server, and a start without them, give
//! the same answers.

use crate::common::{Client, Server, run, tallybook};
use serde_json::{Value, json};

const CUSTOMERS: usize = 12;

/// Makes customers with a past: tiers, budgets, usage in two months, one archived.
async fn make_history(client: &Client) {
    for n in 0..CUSTOMERS {
        let key = format!("c{n}");
        let body = json!({"key": key, "contract": {"tier": "growth"}});
        client.post("/api/v1/customers", &body).await.expect(201);
        let body = json!({"budget": {"period_budget": n.to_string(), "markup_percentage": "10"}});
        client.patch(&format!("/api/v1/customers/{key}"), &body).await.expect(200);
        let report = |id: &str, at: &str| json!({"report_id": id, "occurred_at": at, "meter": "tokens", "cost": "4.5"});
        let reports = [report("a", "2026-01-31T23:59:59Z"), report("b", "2026-02-01T00:00:00Z")];
        let body = json!({"customer": {"key": key}, "reports": reports});
        client.post("/api/v1/usage", &body).await.expect(200);
    }
    let archive = json!({"type": "ArchiveCustomer", "customer": {"key": "c0"}});
    client.post("/api/v1/commands", &archive).await.expect(200);
}

/// Asks for all there is.
async fn answers(client: &Client) -> Vec<Value> {
    let list = client.get("/api/v1/customers?limit=100").await.expect(200);
    let items = list["items"].as_array().expect("a list").clone();
    assert_eq!(items.len(), CUSTOMERS);
    let mut answers = vec![list];
    for item in items {
        let id = item["id"].as_str().expect("it has an id").to_owned();
        for question in ["", "/timeline?limit=100", "/usage?limit=100", "?version=2"] {
            let path = format!("/api/v1/customers/{id}{question}");
            answers.push(client.get(&path).await.expect(200));
        }
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_beside_a_server_changes_no_answer_and_the_server_goes_on() {
    let server = Server::start().await;
    let client = server.client();
    make_history(&client).await;
    let before = answers(&client).await;
    let ran = run(tallybook().args(["rebuild", "--output", "json", "--data"]).arg(server.data()));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let told: Value = serde_json::from_str(&ran.stdout).expect("it prints JSON");
    // Created, tier, budget, two reports, and thresholds of the small budgets; one archived.
    assert!(told["events"].as_u64() > Some(5 * CUSTOMERS as u64), "{told}");
    assert!(told["records"].as_u64() >= told["decisions"].as_u64(), "{told}");
    assert_eq!(answers(&client).await, before);
    let body = json!({"contract": {"tier": "scale"}});
    let changed = client.patch("/api/v1/customers/c1", &body).await.expect(200);
    assert_eq!(changed["contract"]["tier"], "scale");
    assert_eq!(client.get("/api/v1/customers/c1").await.expect(200), changed);
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_read_models_makes_them_before_it_listens() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let server = Server::start_in(folder.path(), &[]).await;
    make_history(&server.client()).await;
    let before = answers(&server.client()).await;
    server.stop();
    for entry in std::fs::read_dir(folder.path()).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        let name = path.file_name().expect("it has a name").to_string_lossy().into_owned();
        if name.starts_with("views.db") {
            std::fs::remove_file(path).expect("it can be removed");
        }
    }
    let server = Server::start_in(folder.path(), &[]).await;
    assert_eq!(answers(&server.client()).await, before);
    server.stop();
}

#[test]
fn a_folder_without_a_journal_is_not_found_and_left_as_it_is() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let ran = run(tallybook().args(["rebuild", "--data"]).arg(folder.path()));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(3), ""));
    assert!(ran.stderr.contains("holds no journal"), "{}", ran.stderr);
    assert_eq!(std::fs::read_dir(folder.path()).expect("it is there").count(), 0);
}
