//! A trace goes with a command: from the request through Kafka's headers into the decision.

use http::Method;
use serde_json::json;

use crate::cluster::{all_of, made, serve};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_from_the_request_through_headers_into_the_decision() {
    let kafka = made().await;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let server = serve(&kafka, folder.path(), "one", "gateway,processor,projector").await;
    let client = server.client();
    let request = client.request(Method::POST, "/api/v1/customers").header("traceparent", TRACE);
    client.send(request.json(&json!({"key": "acme"}))).await.expect(201);
    // A rename asks another slot: its follow-ups belong to the same trace.
    let request =
        client.request(Method::PATCH, "/api/v1/customers/acme").header("traceparent", TRACE);
    client.send(request.json(&json!({"key": "other"}))).await.expect(200);
    server.stop();
    let commands = all_of(&kafka, "commands");
    assert!(commands.len() >= 2, "{commands:?}");
    for command in &commands {
        let traced = ("traceparent".to_owned(), TRACE.to_owned());
        assert!(command.headers.contains(&traced), "{command:?}");
    }
    let decisions = all_of(&kafka, "journal");
    let decisions: Vec<_> = decisions.iter().filter(|of| !of.value["command"].is_null()).collect();
    assert_eq!(decisions.len(), commands.len());
    for decision in decisions {
        assert_eq!(decision.value["command"]["traceparent"], TRACE, "{}", decision.value);
    }
}
