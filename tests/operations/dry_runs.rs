//! A dry run through the topic of commands is answered, and leaves only a note that counts for nothing.

use http::Method;
use serde_json::json;

use crate::cluster::{all_of, made, serve};

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_is_answered_through_kafka_and_changes_nothing() {
    let kafka = made().await;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let server = serve(&kafka, folder.path(), "one", "gateway,processor,projector").await;
    let client = server.client();
    client.post("/api/v1/customers", &json!({"key": "acme"})).await.expect(201);
    let id = "7b0c2a52-5f0e-4d0c-9f0e-0a4f5a4f3a11";
    let mut command = json!({"command_id": id, "type": "UpdateCustomer", "customer": {"key": "acme"},
        "patch": {"profile": {"name": "Acme"}}, "dry_run": true});
    let dry = client.post("/api/v1/commands", &command).await.expect(200);
    assert_eq!(
        (&dry["outcome"], &dry["version"], &dry["position"], &dry["customer"]["profile"]["name"]),
        (&json!("accepted"), &json!(2), &json!(null), &json!("Acme")),
        "{dry}"
    );
    assert_eq!(dry["events"][0]["type"], "CustomerUpdated.v1");
    let missing = json!({"type": "ArchiveCustomer", "customer": {"key": "none"}, "dry_run": true});
    let refused = client.post("/api/v1/commands", &missing).await;
    assert_eq!((refused.status, refused.at("/code")), (404, json!("unknown_customer")));
    assert_eq!(client.get("/api/v1/customers/acme").await.expect(200)["version"], json!(1));
    assert_eq!(client.get(&format!("/api/v1/commands/{id}")).await.status, 404);
    // The same command, in earnest: it was not decided before.
    command["dry_run"] = json!(false);
    let done = client.post("/api/v1/commands", &command).await;
    assert_eq!(done.header("idempotent-replayed"), None);
    assert_eq!(done.expect(200)["version"], json!(2));
    server.stop();
    assert_eq!(all_of(&kafka, "dead-letters").len(), 0);
    let previewed = all_of(&kafka, "journal")
        .iter()
        .filter(|of| !of.value["outcome"]["previewed"].is_null())
        .count();
    assert_eq!(previewed, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn autumn_tells_a_used_idempotency_key_through_kafka() {
    let kafka = made().await;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let server = serve(&kafka, folder.path(), "one", "gateway,processor,projector").await;
    let client = server.client();
    client.post("/api/v1/customers", &json!({"key": "acme"})).await.expect(201);
    let update = |body: serde_json::Value| {
        let path = "/autumn/v1/customers.update";
        let request = client.request(Method::POST, path).header("idempotency-key", "once");
        client.send(request.json(&body))
    };
    // Refused for its body: the key is free then.
    let bad = json!({"customer_id": "acme", "name": 7});
    assert_eq!(update(bad.clone()).await.status, 400);
    let good = json!({"customer_id": "acme", "name": "Acme"});
    assert_eq!(update(good.clone()).await.expect(200)["name"], json!("Acme"));
    // Used now, and that comes before what is wrong with the body.
    assert_eq!(update(good).await.status, 409);
    assert_eq!(update(bad).await.status, 409);
    server.stop();
    assert_eq!(all_of(&kafka, "dead-letters").len(), 0);
}
