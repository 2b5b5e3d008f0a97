//! Cases that have cost somebody progress or data, one test each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::json;
use tallybook::clock::{Clock, SystemClock};
use tallybook::journal::Journal as _;
use tallybook::journal::kafka::KafkaJournal;
use tallybook::kafka::topics;
use tallybook_events::ids::{CommandId, CustomerId, Partition};
use tallybook_events::time::{MICROS_PER_HOUR, Timestamp};

use crate::broken::LeftOut;
use crate::common::{self, until_async};
use crate::frames::Api;
use crate::proxy::{Injected, Treat};
use crate::takeover::{Stage, behind_a_proxy, check, commands_for};
use crate::{PARTITIONS as SERVED, log, made, servers, topics_of_our_own};

const HERE: Partition = Partition(0);
const ELSEWHERE: Partition = Partition(1);

/// A clock that is moved by hand.
#[derive(Debug, Default)]
struct Moved(AtomicI64);

impl Clock for Moved {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Acquire))
    }

    fn command_id(&self) -> CommandId {
        SystemClock.command_id()
    }

    fn customer_id(&self) -> CustomerId {
        SystemClock.customer_id()
    }
}

/// Gives how often each command was accepted.
fn accepted(read: &log::Journal) -> BTreeMap<String, usize> {
    let mut accepted = BTreeMap::new();
    for decision in read.decisions().filter(|of| !of["outcome"]["accepted"].is_null()) {
        *accepted.entry(decision["command"]["command_id"].to_string()).or_default() += 1;
    }
    accepted
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forwarded_just_before_a_kill_is_decided_once() {
    let stage = Stage::on(LeftOut::Nothing).await;
    tokio::task::spawn_blocking(move || {
        for owner in [0, 1] {
            stage.want(owner, ELSEWHERE, owner == 0);
        }
        stage.want(0, HERE, true);
        stage.wait("the claims", || stage.owns(0, HERE) && stage.owns(0, ELSEWHERE)).unwrap();
        // What lies here belongs elsewhere: it is sent on, and the record of that never lands in time.
        stage.set(0, HERE, Treat::Hold);
        let mut abroad = commands_for(ELSEWHERE);
        for _ in 0..3 {
            stage.topic().append(HERE, abroad());
        }
        stage.wait("a record that is held", || stage.held(0, HERE)).unwrap();
        stage.wait("what was sent on", || stage.topic().offsets(ELSEWHERE).len() == 3).unwrap();
        stage.want(0, HERE, false);
        stage.want(1, HERE, true);
        stage.wait("the successor", || stage.owns(1, HERE)).unwrap();
        stage.let_go(0, HERE);
        // The successor sends it on again.
        stage
            .wait("what was sent on again", || stage.topic().offsets(ELSEWHERE).len() == 6)
            .unwrap();
        stage
            .wait("all decisions", || stage.decided(HERE) == 3 && stage.decided(ELSEWHERE) == 6)
            .unwrap();
        let read = log::journal(stage.kafka());
        assert_eq!(accepted(&read).into_values().collect::<Vec<usize>>(), [1, 1, 1]);
        let repeated = read.decisions().filter(|of| !of["outcome"]["repeated"].is_null()).count();
        assert_eq!(repeated, 3, "the second of each is a repeat");
        stage.stop();
    })
    .await
    .expect("it does not panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_got_only_foreign_commands_for_days_goes_on_where_it_was() {
    let clock = Arc::new(Moved::default());
    let asked = Arc::clone(&clock);
    let stage = Stage::with(LeftOut::Nothing, asked as Arc<dyn Clock>).await;
    tokio::task::spawn_blocking(move || {
        stage.want(0, HERE, true);
        stage.want(0, ELSEWHERE, true);
        stage.wait("the claims", || stage.owns(0, HERE) && stage.owns(0, ELSEWHERE)).unwrap();
        let mut abroad = commands_for(ELSEWHERE);
        // An hour between them, for more hours than anything is remembered.
        for hour in 1..=40 {
            clock.0.store(hour * MICROS_PER_HOUR, Ordering::Release);
            stage.topic().append(HERE, abroad());
            let both = 2 * u64::try_from(hour).expect("few hours");
            stage.wait("it to be sent on and decided", || stage.counted() == both).unwrap();
        }
        stage.want(0, HERE, false);
        stage.want(1, HERE, true);
        stage.wait("the successor", || stage.owns(1, HERE)).unwrap();
        clock.0.store(41 * MICROS_PER_HOUR, Ordering::Release);
        stage.topic().append(HERE, abroad());
        stage
            .wait("all decisions", || stage.decided(HERE) == 41 && stage.decided(ELSEWHERE) == 41)
            .unwrap();
        let read = log::journal(stage.kafka());
        assert_eq!(accepted(&read).len(), 41, "each is decided");
        assert!(accepted(&read).into_values().all(|times| times == 1), "and sent on once");
        assert_eq!(stage.topic().offsets(ELSEWHERE).len(), 41);
        stage.stop();
    })
    .await
    .expect("it does not panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_is_wanted_again_at_once_is_decided_from_the_log() {
    let stage = Stage::on(LeftOut::Nothing).await;
    tokio::task::spawn_blocking(move || {
        stage.want(0, HERE, true);
        stage.wait("the claim", || stage.owns(0, HERE)).unwrap();
        let mut commands = commands_for(HERE);
        stage.set(0, HERE, Treat::Hold);
        for _ in 0..5 {
            stage.topic().append(HERE, commands());
        }
        stage.wait("appends that are held", || stage.held(0, HERE)).unwrap();
        // What is decided ahead is in the state, and lands before the claim that follows.
        stage.want(0, HERE, false);
        stage.want(0, HERE, true);
        stage.let_go(0, HERE);
        for _ in 0..5 {
            stage.topic().append(HERE, commands());
        }
        stage.wait("all decisions", || stage.decided(HERE) == 10).unwrap();
        let read = log::journal(stage.kafka());
        assert_eq!(check(&read, HERE, &stage.topic().offsets(HERE)), Ok(()));
        stage.stop();
    })
    .await
    .expect("it does not panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_without_an_offset_are_looked_for() {
    let stage = Stage::on(LeftOut::Offsets).await;
    tokio::task::spawn_blocking(move || {
        stage.want(0, HERE, true);
        stage.wait("the claim", || stage.owns(0, HERE)).unwrap();
        let mut commands = commands_for(HERE);
        for _ in 0..50 {
            stage.topic().append(HERE, commands());
        }
        stage.wait("all to be decided", || stage.counted() == 50).unwrap();
        let read = log::journal(stage.kafka());
        assert_eq!(accepted(&read).into_values().collect::<Vec<usize>>(), [1; 50]);
        let claims = read.counting[&HERE.0].iter().filter(|of| !of["claimed"].is_null()).count();
        assert_eq!(claims, 1, "nothing was begun anew");
        stage.stop();
    })
    .await
    .expect("it does not panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_leader_of_yesterday_says_about_offsets_stops_nothing() {
    let (cluster, proxy) = behind_a_proxy();
    let kafka = tallybook::kafka::Kafka::at(proxy.address());
    made(&kafka).await;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let server = servers::start(&kafka, folder.path(), "one").await;
    let client = server.client();
    client.post("/api/v1/customers", &json!({"key": "before"})).await.expect(201);
    // Every reader hears it: the member of the group, the one that answers, the projector.
    let code = 1;
    proxy.inject("tallybook", Injected { api: Api::Fetch, code, times: 24 });
    until_async("the answers of yesterday", || async {
        (proxy.written("tallybook") >= 24).then_some(())
    })
    .await;
    let key = |number: u32| format!("after-{number}");
    for number in 0..8 {
        let body = json!({"key": key(number)});
        until_async("an answer", || async {
            let reply = client.post("/api/v1/customers", &body).await;
            assert!(reply.status == 201 || reply.status == 409 || reply.status >= 500, "{reply}");
            (reply.status < 500).then_some(())
        })
        .await;
    }
    let halted = server.stderr().contains("halt");
    assert!(!halted, "{}", server.stderr());
    server.stop();
    log::journal(&kafka).check();
    drop(cluster);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_build_halts_at_a_record_of_a_newer_version() {
    let kafka = topics_of_our_own();
    made(&kafka).await;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut server = servers::start(&kafka, folder.path(), "one").await;
    let producer: BaseProducer = kafka.client().create().expect("a producer");
    let topic = kafka.topic(topics::JOURNAL);
    let newer =
        r#"{"v":2,"term":9,"claimed":{"owner":"a newer build","at":"2026-01-01T00:00:00Z"}}"#;
    for partition in 0..SERVED {
        let record = BaseRecord::<(), _>::to(&topic).partition(partition).payload(newer);
        producer.send(record).map_err(|(error, _)| error).expect("there is room");
    }
    producer.flush(common::DEADLINE).expect("it is kept");
    // Whether it decides something or not: it reads on, and ends.
    let client = server.client();
    let asked = client.request(http::Method::POST, "/api/v1/customers").json(&json!({"key": "a"}));
    drop(client.try_send(asked).await);
    let ended = tokio::task::block_in_place(|| server.wait());
    assert_eq!(ended.code(), Some(1), "{}", server.stderr());
    assert!(server.stderr().contains("record of format 2 at offset"), "{}", server.stderr());
    let ends = || -> Vec<u64> {
        let journal = KafkaJournal::open(&kafka).expect("the journal is there");
        let partitions = (0..journal.partitions()).map(Partition);
        partitions.map(|of| journal.bounds(of).expect("an answer").end).collect()
    };
    let before = tokio::task::block_in_place(ends);
    // No second history: a start of it writes nothing at all.
    let arguments = ["--kafka", &kafka.bootstrap, "--kafka-prefix", &kafka.prefix, "--name", "one"];
    let mut again = common::tallybook();
    again.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(folder.path()).args(arguments);
    let mut again = common::Process::spawn(again);
    let ended = tokio::task::block_in_place(|| again.wait());
    assert_eq!(ended.code(), Some(1), "{}", again.stderr());
    assert_eq!(tokio::task::block_in_place(ends), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_of_upstream_transactions_are_decided_and_gaps_are_known() {
    let kafka = topics_of_our_own();
    made(&kafka).await;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let server = servers::start(&kafka, folder.path(), "one").await;
    let id = format!("{}-upstream", kafka.prefix);
    let producer: BaseProducer =
        kafka.producer().set("transactional.id", id).create().expect("a producer");
    producer.init_transactions(common::DEADLINE).expect("transactions begin");
    let topic = kafka.topic(topics::COMMANDS);
    // Five transactions of four commands each; the second and the fourth come to nothing.
    for transaction in 0..5 {
        producer.begin_transaction().expect("it begins");
        for number in 0..4 {
            let key = format!(
                "{}-{transaction}-{number}",
                if transaction % 2 == 1 { "void" } else { "kept" }
            );
            let command = json!({
                "command_id": uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, key.as_bytes()),
                "tenant": common::TENANT, "environment": "live", "type": "CreateCustomer",
                "customer": {"key": key}})
            .to_string();
            let record = BaseRecord::<(), _>::to(&topic).partition(0).payload(&command);
            producer.send(record).map_err(|(error, _)| error).expect("there is room");
        }
        if transaction % 2 == 1 {
            producer.flush(common::DEADLINE).expect("it is sent");
            producer.abort_transaction(common::DEADLINE).expect("it comes to nothing");
        } else {
            producer.commit_transaction(common::DEADLINE).expect("it is kept");
        }
    }
    let client = server.client();
    let keys = || async {
        let list = client.get("/api/v1/customers?limit=100").await.expect(200);
        let items = list["items"].as_array().cloned().unwrap_or_default();
        items.iter().map(|of| of["key"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let kept = until_async("the commands that were kept", || async {
        let keys = keys().await;
        (keys.len() >= 12).then_some(keys)
    })
    .await;
    assert_eq!(kept.len(), 12);
    assert!(kept.iter().all(|key| key.starts_with("kept-")), "{kept:?}");
    server.stop();
    let read = log::journal(&kafka);
    let mut last = None;
    let mut gaps = 0;
    for decision in read.counting[&0].iter().filter(|of| of["source"]["kind"] == "topic") {
        assert_eq!(decision["source"]["prev_offset"].as_u64(), last, "{decision}");
        let offset = decision["source"]["offset"].as_u64().expect("an offset");
        gaps += u32::from(last.is_some_and(|last| offset > last + 1));
        last = Some(offset);
    }
    assert!(gaps >= 2, "the markers and what came to nothing took offsets");
}
