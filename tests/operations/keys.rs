//! API keys on Kafka: the port's promises, and the command line beside running servers.

use std::time::{Duration, Instant};

use serde_json::Value;
use tallybook::kafka::Kafka;
use tallybook::keys::KeyStore;
use tallybook::keys::conformance::{self, Subject};
use tallybook::keys::kafka::KafkaKeys;

use crate::cluster::{all_of, made, named, serve, unmade};
use crate::common::{Ran, run, run_with, tallybook};

struct Topic(Kafka);

impl Subject for Topic {
    fn open(&self) -> Box<dyn KeyStore> {
        Box::new(KafkaKeys::open(&self.0).expect("the topic is there"))
    }
}

#[test]
fn keys_on_kafka_keep_every_promise() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    conformance::all(|| Topic(runtime.block_on(made())));
}

fn keys(kafka: &Kafka, arguments: &[&str]) -> Ran {
    run(tallybook().arg("keys").args(arguments).args(named(kafka)).args(["--output", "json"]))
}

fn printed(ran: &Ran, member: &str) -> String {
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let json: Value = serde_json::from_str(&ran.stdout).expect("JSON is printed");
    json[member].as_str().expect("a text").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_gateway_honours_within_a_second_what_the_command_line_does_to_keys() {
    let kafka = made().await;
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a temporary folder can be made"));
    let roles = "gateway,processor,projector";
    let servers = [
        serve(&kafka, folders[0].path(), "one", roles).await,
        serve(&kafka, folders[1].path(), "two", roles).await,
    ];
    let status = async |text: &str, wanted: u16| {
        for server in &servers {
            let (client, deadline) =
                (server.client_with(text), Instant::now() + Duration::from_secs(1));
            while client.get("/api/v1/customers").await.status != wanted {
                assert!(Instant::now() < deadline, "not within a second: {wanted}");
            }
        }
    };
    let created = keys(&kafka, &["create", "--tenant", "u", "--scopes", "read"]);
    let (id, first) = (printed(&created, "id"), printed(&created, "key"));
    status(&first, 200).await;
    let rotated = printed(&keys(&kafka, &["rotate", &id, "--overlap", "0"]), "key");
    status(&rotated, 200).await;
    status(&first, 401).await;
    let import = |text: &str| {
        let mut command = tallybook();
        run_with(
            command.args(["keys", "import", "--output", "json"]).args(named(&kafka)),
            &format!("{text}\n"),
        )
    };
    let imported = printed(&import("am_sk_live_abcdef"), "id");
    status("am_sk_live_abcdef", 200).await;
    assert_eq!(import("am_sk_live_abcdef").code, Some(4));
    for id in [&id, &imported] {
        printed(&keys(&kafka, &["revoke", id]), "revoked_at");
    }
    status(&rotated, 401).await;
    status("am_sk_live_abcdef", 401).await;
    assert_eq!(keys(&kafka, &["revoke", "nosuchkey"]).code, Some(3));
    let listed = keys(&kafka, &["list"]);
    let listed: Value = serde_json::from_str(&listed.stdout).expect("JSON is printed");
    // The two of the servers, the one that was made, and the one that was taken over.
    assert_eq!(listed.as_array().map(Vec::len), Some(4));
    // What lies on Kafka opens nothing.
    for found in all_of(&kafka, "keys") {
        let text = found.value.to_string();
        for secret in [&*first, &*rotated, "am_sk_live_abcdef"] {
            let secret = secret.rsplit('_').next().expect("it has parts");
            assert!(!text.contains(secret), "{text}");
        }
    }
    for server in servers {
        server.stop();
    }
}

#[test]
fn without_the_topic_it_is_said_how_to_make_it() {
    let ran = keys(&unmade(), &["list"]);
    assert_eq!(ran.code, Some(3));
    assert!(ran.stderr.contains("`tallybook topics apply` makes it"), "{}", ran.stderr);
}
