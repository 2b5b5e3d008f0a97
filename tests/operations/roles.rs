//! Roles in processes of their own.

use serde_json::json;

use crate::cluster::{made, serve};
use crate::common::{run, tallybook};

#[tokio::test(flavor = "multi_thread")]
async fn each_role_may_be_a_process_of_its_own() {
    let kafka = made().await;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let elsewhere = tempfile::tempdir().expect("a temporary folder can be made");
    let processor = serve(&kafka, elsewhere.path(), "p", "processor").await;
    let projector = serve(&kafka, folder.path(), "j", "projector").await;
    let gateway = serve(&kafka, folder.path(), "g", "gateway").await;
    let client = gateway.client();
    for number in 0..20 {
        let key = format!("k{number}");
        let made = client.post("/api/v1/customers", &json!({"key": key})).await.expect(201);
        assert_eq!(made["version"], json!(1));
        // It is read back at once, though another process writes the rows.
        let read = client.get(&format!("/api/v1/customers/{key}")).await.expect(200);
        assert_eq!(read["id"], made["id"]);
    }
    for server in [&processor, &projector, &gateway] {
        let client = server.client();
        for path in ["/livez", "/readyz", "/metrics"] {
            assert_eq!(client.get(path).await.status, 200, "{path} of {}", server.url);
        }
    }
    assert_eq!(processor.client().get("/api/v1/customers/k0").await.status, 404);
    let health =
        |url: &str, more: &[&str]| run(tallybook().args(["health", "--url", url]).args(more)).code;
    assert_eq!(health(&processor.url, &[]), Some(0));
    assert_eq!(health(&gateway.url, &["--live"]), Some(0));
    let url = processor.url.clone();
    processor.stop();
    assert_eq!(health(&url, &[]), Some(6));
    projector.stop();
    gateway.stop();
}

#[test]
fn without_kafka_roles_cannot_be_parted() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let ran = run(tallybook()
        .args(["serve", "--listen", "127.0.0.1:0", "--roles", "gateway,projector", "--data"])
        .arg(folder.path()));
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("--roles lacks processor"), "{}", ran.stderr);
}
