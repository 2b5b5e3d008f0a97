//! Roles in processes of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;
use tallybook::clock::{Clock as _, SystemClock};
use tallybook::kafka::Kafka;
use tallybook_events::time::Timestamp;

use crate::cluster::{all_of, made, serve};
use crate::common::{run, tallybook, until_async};

/// How long a hand-over may take after SIGTERM, from the signal to the last claim.
const HAND_OVER: Duration = Duration::from_millis(500);
/// How often it is tried to be as quick.
const HAND_OVERS: usize = 5;

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

/// Gives who has claimed each partition last, and when the last claim of all was made.
fn owners(kafka: &Kafka) -> (BTreeMap<i32, String>, i64) {
    let (mut owners, mut last) = (BTreeMap::new(), 0);
    for record in all_of(kafka, "journal") {
        let claim = &record.value["claimed"];
        if let Some(owner) = claim["owner"].as_str() {
            owners.insert(record.partition, owner.to_owned());
            let at: Option<Timestamp> = claim["at"].as_str().and_then(|at| at.parse().ok());
            last = last.max(at.expect("a time").micros());
        }
    }
    (owners, last)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_processor_that_is_told_to_stop_hands_over_at_once() {
    let kafka = made().await;
    let folders = [(); 3].map(|()| tempfile::tempdir().expect("a temporary folder can be made"));
    let names = ["first", "second"];
    let front = serve(&kafka, folders[2].path(), "front", "gateway,processor,projector").await;
    let client = front.client();
    for number in 0..40 {
        client.post("/api/v1/customers", &json!({"key": format!("k{number}")})).await.expect(201);
    }
    front.stop();
    let start = |place: usize| serve(&kafka, folders[place].path(), names[place], "processor");
    let mut running = [Some(start(0).await), Some(start(1).await)];
    let mut took = Vec::new();
    for round in 0..HAND_OVERS {
        let (leaver, heir) = (round % 2, names[1 - round % 2]);
        until_async("both to own partitions", || async {
            let owners: BTreeSet<String> = owners(&kafka).0.into_values().collect();
            names.iter().all(|name| owners.contains(*name)).then_some(())
        })
        .await;
        let told = SystemClock.now();
        running[leaver].take().expect("it runs").stop();
        let last = until_async("the heir to own all partitions", || async {
            let (owners, last) = owners(&kafka);
            owners.values().all(|owner| owner == heir).then_some(last)
        })
        .await;
        took.push(Duration::from_micros(u64::try_from(last - told.micros()).unwrap_or(0)));
        if took.last().is_some_and(|took| *took <= HAND_OVER) {
            break;
        }
        // A machine that is busy with other things may take longer: it is tried again.
        running[leaver] = Some(start(leaver).await);
    }
    eprintln!("hand-overs: {took:?}");
    assert!(took.iter().any(|took| *took <= HAND_OVER), "{took:?}");
    for server in running.into_iter().flatten() {
        server.stop();
    }
}
