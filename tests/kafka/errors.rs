//! Every error code of every request that we make, written into answers by the proxy: each ends in going
//! on, in beginning anew, or in a clear end; never in silence, and never in something lost or doubled.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tallybook::clock::{SharedClock, SystemClock};
use tallybook::decisions::{self, TierCatalogue};
use tallybook::inbox::Inbox as _;
use tallybook::inbox::feed::Feed;
use tallybook::inbox::kafka::{KafkaFeed, KafkaInbox, Member};
use tallybook::journal::Journal;
use tallybook::journal::kafka::KafkaJournal;
use tallybook::kafka::{Kafka, topics};
use tallybook::processor::{PartitionStatus, Processor, ProcessorConfig, ProcessorHandle};
use tallybook_events::command::Command;
use tallybook_events::ids::Partition;

use crate::frames::Api;
use crate::proxy::{Injected, Proxy};
use crate::{log, takeover, topics_of_our_own};

/// Codes by kind of request, as Kafka's protocol has them; -1 is "unknown server error".
const CODES: [(Api, &[i16]); 11] = [
    (
        Api::Produce,
        &[
            -1, 2, 3, 5, 6, 7, 10, 13, 17, 18, 19, 20, 21, 29, 31, 32, 35, 43, 45, 46, 47, 56, 59,
            74, 76, 87, 89,
        ],
    ),
    (Api::Fetch, &[-1, 1, 2, 3, 5, 6, 9, 29, 35, 56, 74, 75, 76, 78, 100]),
    (Api::ListOffsets, &[-1, 3, 5, 6, 7, 9, 13, 29, 35, 43, 56, 74, 75, 78]),
    (Api::Metadata, &[-1, 3, 5, 17, 29]),
    (Api::FindCoordinator, &[-1, 13, 14, 15, 24, 30, 35]),
    (Api::JoinGroup, &[-1, 14, 15, 16, 22, 23, 24, 25, 26, 27, 30, 35, 79, 81, 82]),
    (Api::SyncGroup, &[-1, 14, 15, 16, 22, 23, 25, 27, 30, 82]),
    (Api::Heartbeat, &[-1, 14, 15, 16, 22, 25, 27, 30, 82]),
    (Api::InitProducerId, &[-1, 7, 13, 14, 15, 16, 31, 35, 47, 51, 53, 90]),
    (Api::Versions, &[-1, 35]),
    (Api::CreateTopics, &[-1, 7, 17, 29, 36, 37, 38, 39, 40, 41, 42, 44, 89]),
];
/// Cases that are played side by side.
const SIDE_BY_SIDE: usize = 6;
/// How long a case may take until it has come to something.
const COMES_TO: Duration = Duration::from_secs(45);
/// How long is waited for an answer before it is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(3);
/// How long a request that is only made now and then may take to be made.
const MADE_WITHIN: Duration = Duration::from_secs(7);
/// Answers that a code is written into.
const TIMES: u32 = 2;
const PARTITIONS: u32 = 2;

/// The product, in this process.
struct Product {
    handle: ProcessorHandle,
    member: Member,
    inbox: KafkaInbox,
}

impl Product {
    fn start(kafka: &Kafka) -> Result<Self, String> {
        let said = |error: &dyn std::error::Error| format!("{error}: {:?}", error.source());
        let clock: SharedClock = Arc::new(SystemClock);
        let journal = Arc::new(KafkaJournal::open(kafka).map_err(|error| said(&error))?);
        let feed = Arc::new(KafkaFeed::open(kafka).map_err(|error| said(&error))?);
        let handle = Processor::start(ProcessorConfig {
            journal: Arc::clone(&journal) as Arc<dyn Journal>,
            clock: Arc::clone(&clock),
            tiers: TierCatalogue::builtin(),
            name: "one".into(),
            workers: 2,
            decide: decisions::decide,
            feed: Some(Arc::clone(&feed) as Arc<dyn Feed>),
            snapshots: None,
        })
        .map_err(|error| said(&error))?;
        let inbox = KafkaInbox::open(kafka, journal, Vec::new()).map_err(|error| said(&error))?;
        let member = Member::join(kafka, "one", &feed, handle.owners(), clock)
            .map_err(|error| said(&error))?;
        Ok(Self { handle, member, inbox })
    }

    /// Tells why it has come to an end, if it has.
    fn ended(&self) -> Option<String> {
        let halted = self.handle.statuses().into_iter().find_map(|status| match status {
            PartitionStatus::Halted { why } => Some(why),
            PartitionStatus::Restoring
            | PartitionStatus::Standby
            | PartitionStatus::Claiming
            | PartitionStatus::Owning { .. } => None,
        });
        halted.or_else(|| self.member.failed().get().cloned())
    }

    /// Asks until there is an answer, or it has come to an end; neither within the time is a finding.
    async fn ask(&self, command: &Command) -> Result<Result<(), String>, String> {
        let deadline = Instant::now() + COMES_TO;
        loop {
            let answers = self.inbox.submit(vec![command.clone()], ASK_AGAIN).await;
            if answers.into_iter().all(|answer| answer.is_ok()) {
                return Ok(Ok(()));
            }
            if let Some(why) = self.ended() {
                return Ok(Err(why));
            }
            if Instant::now() > deadline {
                return Err(format!("nothing came of it: {:?}", self.handle.statuses()));
            }
        }
    }

    fn stop(self) {
        drop((self.inbox, self.member));
        self.handle.stop(Duration::from_secs(5));
    }
}

/// Topics of one player, and what was answered there.
struct Player {
    kafka: Kafka,
    client: String,
    proxy: Arc<Proxy>,
    commands: Box<dyn FnMut() -> Command + Send>,
    answered: Vec<String>,
}

impl Player {
    async fn new(number: usize) -> Self {
        let (cluster, proxy) = takeover::shared();
        let client = format!("player-{number}");
        let kafka = Kafka { prefix: topics_of_our_own().prefix, ..Kafka::at(cluster.bootstrap()) };
        let partitions = i32::try_from(PARTITIONS).expect("few");
        topics::apply(&kafka, partitions, 1).await.expect("the topics are made");
        let commands = Box::new(takeover::commands_for(Partition(0)));
        Self { kafka, client, proxy: Arc::clone(proxy), commands, answered: Vec::new() }
    }

    fn through_the_proxy(&self) -> Kafka {
        let extra = vec![("client.id".to_owned(), self.client.clone())];
        Kafka { bootstrap: self.proxy.address(), extra, ..self.kafka.clone() }
    }

    /// Plays one case. Gives whether the code was written, and what it came to.
    async fn play(&mut self, api: Api, code: i16) -> Result<(bool, &'static str), String> {
        let kafka = self.through_the_proxy();
        self.proxy.inject(&self.client, Injected { api, code, times: TIMES });
        if api == Api::CreateTopics {
            let other = Kafka { prefix: format!("{}-{code}", kafka.prefix), ..kafka };
            let made = tokio::time::timeout(COMES_TO, topics::apply(&other, 1, 1)).await;
            let made = made.map_err(|_| "topics are waited for for ever")?;
            let written = self.proxy.end_injection(&self.client) > 0;
            return Ok((written, if made.is_ok() { "went on" } else { "said so" }));
        }
        let starting = tokio::task::spawn_blocking(move || Product::start(&kafka)).await;
        let started = starting.map_err(|error| format!("it panics: {error}"))?;
        let Ok(product) = started else {
            let written = self.proxy.end_injection(&self.client) > 0;
            return Ok((written, "did not start"));
        };
        let mut came_to = "went on";
        for _ in 0..2 {
            let command = (self.commands)();
            if product.ask(&command).await?.is_err() {
                came_to = "ended";
                break;
            }
            self.answered.push(command.command_id.to_string());
            // Some are made now and then only.
            let deadline = Instant::now() + MADE_WITHIN;
            while self.proxy.written(&self.client) == 0 && Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        let written = self.proxy.end_injection(&self.client) > 0;
        let stopping = tokio::task::spawn_blocking(move || product.stop());
        let stopped = tokio::time::timeout(COMES_TO, stopping).await;
        stopped.map_err(|_| "it does not stop")?.map_err(|error| format!("it panics: {error}"))?;
        Ok((written, came_to))
    }

    /// All that was answered was accepted, once; nothing else was, twice.
    fn check(&self) {
        let read = log::journal(&self.kafka);
        read.check();
        let accepted: Vec<&Value> = read
            .decisions()
            .filter(|of| !of["outcome"]["accepted"].is_null())
            .map(|of| &of["command"]["command_id"])
            .collect();
        for id in &self.answered {
            let times = accepted.iter().filter(|of| of.as_str() == Some(id)).count();
            assert_eq!(times, 1, "{id} was answered");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_code_ends_in_going_on_or_in_a_clear_end() {
    let cases: VecDeque<(Api, i16)> =
        CODES.iter().flat_map(|(api, codes)| codes.iter().map(|code| (*api, *code))).collect();
    let count = cases.len();
    let cases = Arc::new(Mutex::new(cases));
    let mut players = Vec::new();
    for number in 0..SIDE_BY_SIDE {
        let cases = Arc::clone(&cases);
        players.push(tokio::spawn(async move {
            let mut player = Player::new(number).await;
            let mut seen = Vec::new();
            loop {
                let next = cases.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let Some((api, code)) = next else { break };
                let began = Instant::now();
                let came_to = player.play(api, code).await;
                eprintln!("{api:?} {code}: {came_to:?}, {:?}", began.elapsed());
                seen.push((api, code, came_to));
            }
            tokio::task::block_in_place(|| player.check());
            seen
        }));
    }
    let (mut wrong, mut written) = (Vec::new(), BTreeMap::new());
    let mut played = 0;
    for player in players {
        for (api, code, came_to) in player.await.expect("a player does not panic") {
            played += 1;
            match came_to {
                Ok((is_written, _)) => {
                    *written.entry(api).or_insert(0) += u32::from(is_written);
                }
                Err(fault) => wrong.push(format!("{api:?} {code}: {fault}")),
            }
        }
    }
    assert_eq!(wrong, [] as [String; 0]);
    assert_eq!(played, count);
    for (api, codes) in CODES {
        let codes = u32::try_from(codes.len()).expect("few");
        assert_eq!(written.get(&api), Some(&codes), "each code was written into {api:?}");
    }
}
