//! `send --kafka`: a file goes straight to the topic of commands.

use serde_json::{Value, json};
use tallybook::kafka::Kafka;

use crate::cluster::{all_of, made, named, serve};
use crate::common::{Ran, run, tallybook, until_async};

fn send(kafka: &Kafka, file: &std::path::Path, more: &[&str]) -> Ran {
    run(tallybook().arg("send").arg(file).args(named(kafka)).args(more).args(["--output", "json"]))
}

fn lines(commands: &[Value]) -> String {
    commands.iter().fold(String::new(), |text, command| text + &command.to_string() + "\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_goes_to_the_topic_and_each_outcome_is_found_by_its_id() {
    let kafka = made().await;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let server = serve(&kafka, folder.path(), "one", "gateway,processor,projector").await;
    let file = folder.path().join("commands.jsonl");
    let create =
        |number: u32| json!({"type": "CreateCustomer", "customer": {"key": format!("k{number}")}});
    let mut commands: Vec<Value> = (0..50).map(create).collect();
    let id = "7b0c2a52-5f0e-4d0c-9f0e-0a4f5a4f3a12";
    let refused = json!({"command_id": id, "type": "UpdateCustomer", "customer": {"key": "k0"},
        "patch": {"contract": {"tier": "no-such"}}});
    commands.push(refused);
    std::fs::write(&file, lines(&commands) + "nonsense\n").expect("it can be written");
    let answers = folder.path().join("answers.jsonl");
    let answers_to = answers.to_string_lossy().into_owned();
    let sent = send(&kafka, &file, &["--tenant", "t", "--answers", &answers_to]);
    assert_eq!(sent.code, Some(1), "{}", sent.stderr);
    assert!(sent.stderr.contains("line 52: is not a JSON object"), "{}", sent.stderr);
    let printed: Value = serde_json::from_str(&sent.stdout).expect("JSON is printed");
    let expected = json!({"lines": 52, "accepted": 0, "rejected": 0, "deferred": 0,
        "delivered": 51, "malformed": 1});
    assert_eq!(printed, expected);
    let client = server.client();
    let outcome = until_async("the outcome", || async {
        let found = client.get(&format!("/api/v1/commands/{id}")).await;
        (found.status == 200).then(|| found.json())
    })
    .await;
    assert_eq!(outcome["outcome"], "rejected");
    assert_eq!(outcome["rejection"]["code"], "unknown_tier");
    let answers = std::fs::read_to_string(&answers).expect("answers were written");
    let first: Value = answers
        .lines()
        .find_map(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            (line["line"] == 1).then(|| line["answer"].clone())
        })
        .expect("the first line has an answer");
    let path = format!("/api/v1/commands/{}", first["command_id"].as_str().expect("an id"));
    let found = until_async("the outcome", || async {
        let found = client.get(&path).await;
        (found.status == 200).then(|| found.json())
    })
    .await;
    assert_eq!(found["outcome"], "accepted");
    server.stop();
    assert_eq!(all_of(&kafka, "commands").len(), 51);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_cut_goes_on_with_the_same_ids() {
    let kafka = made().await;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("commands.jsonl");
    let create = |key: &str| json!({"type": "CreateCustomer", "customer": {"key": key}});
    std::fs::write(&file, lines(&[create("a"), create("b")])).expect("it can be written");
    let state = folder.path().join("state");
    let resume = state.to_string_lossy().into_owned();
    let more = ["--tenant", "t", "--resume", &resume];
    // Nobody answers at this address: it has begun, and gives up.
    let nowhere = Kafka { prefix: kafka.prefix.clone(), ..Kafka::at("127.0.0.1:1") };
    let cut = send(&nowhere, &file, &more);
    assert_eq!(cut.code, Some(6), "{}", cut.stderr);
    assert!(cut.stderr.contains("the Kafka at 127.0.0.1:1 does not answer"), "{}", cut.stderr);
    for _ in 0..2 {
        assert_eq!(send(&kafka, &file, &more).code, Some(0));
    }
    let mut ids: Vec<_> = all_of(&kafka, "commands")
        .into_iter()
        .map(|of| of.value["command_id"].to_string())
        .collect();
    ids.sort();
    ids.dedup();
    // A run that has come to its end begins anew, with new ids.
    assert_eq!(ids.len(), 4);
    assert!(!state.exists());
}
