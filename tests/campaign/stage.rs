//! What the campaign is played on: three brokers, a database, two processors, and two gateways with
//! projectors.

use std::path::Path;
use std::sync::Arc;

use tallybook::kafka::{Kafka, topics};
use tempfile::TempDir;
use tokio::sync::RwLock;

use crate::common::{
    ALL_SCOPES, Client, Process, TENANT, make_key_at, tallybook, until_async_within,
};
use crate::log::Journal;
use crate::watch::{Claims, Watch};
use crate::work::Servers;
use crate::{PARTITIONS, PATIENCE, broker, database, models};

/// The two processors.
pub(crate) const PROCESSORS: [&str; 2] = ["left", "right"];
/// The two that answer and fold.
pub(crate) const FRONTS: [&str; 2] = ["front", "back"];
/// Brokers.
pub(crate) const BROKERS: usize = 3;
/// The one whose disk is small.
pub(crate) const SMALL: usize = 2;

/// Everything that runs, by place.
pub(crate) struct Stage {
    pub(crate) kafka: Kafka,
    pub(crate) processors: [Option<Process>; 2],
    fronts: [Option<Process>; 2],
    /// Where clients write to: the gateways that run.
    pub(crate) servers: Servers,
    pub(crate) watch: Watch,
    database: String,
    key: String,
    folder: TempDir,
    pub(crate) cluster: broker::Cluster,
}

impl Stage {
    pub(crate) async fn set() -> Self {
        let cluster = broker::Cluster::start_with_a_small_disk(BROKERS, SMALL);
        let kafka = Kafka::at(cluster.bootstrap());
        let partitions = i32::try_from(PARTITIONS).expect("few");
        topics::apply(&kafka, partitions, 3).await.expect("the topics are made");
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let at = ["--kafka", &kafka.bootstrap, "--kafka-prefix", &kafka.prefix];
        let key = make_key_at(folder.path(), TENANT, "live", ALL_SCOPES, "0", &at).key;
        let database = database::shared().database("campaign");
        let watch = Watch::start(&kafka);
        let servers: Servers = Arc::new(RwLock::new(Vec::new()));
        let (processors, fronts) = ([None, None], [None, None]);
        let mut stage =
            Self { kafka, processors, fronts, servers, watch, database, key, folder, cluster };
        for place in 0..2 {
            stage.start(place).await;
            stage.start_front(place).await;
        }
        stage
    }

    /// Starts a server with some roles, whose files are in a folder of its name.
    fn spawn(&self, name: &str, more: &[&str]) -> Process {
        let mut command = tallybook();
        command.args(["serve", "--listen", "127.0.0.1:0", "--name", name, "--data"]);
        command.arg(self.folder.path().join(name));
        command.args(["--kafka", &self.kafka.bootstrap, "--kafka-prefix", &self.kafka.prefix]);
        Process::spawn({
            command.args(more);
            command
        })
    }

    /// Starts a processor, and waits until it listens.
    pub(crate) async fn start(&mut self, place: usize) {
        let mut process = self.spawn(PROCESSORS[place], &["--roles", "processor"]);
        listening(&mut process).await;
        self.processors[place] = Some(process);
    }

    /// Starts a gateway with a projector, and waits until it listens.
    pub(crate) async fn start_front(&mut self, place: usize) {
        let more = ["--roles", "gateway,projector", "--postgres", &self.database];
        let mut process = self.spawn(FRONTS[place], &more);
        listening(&mut process).await;
        self.fronts[place] = Some(process);
        self.point_clients().await;
    }

    /// Kills a gateway with its projector.
    pub(crate) async fn kill_front(&mut self, place: usize) {
        let mut front = self.fronts[place].take().expect("it runs");
        self.point_clients().await;
        front.kill();
    }

    /// Tells clients which gateways there are.
    async fn point_clients(&self) {
        let running = self.fronts.iter().flatten();
        let urls = running.filter_map(Process::listening_on);
        let clients = urls.map(|url| Client::new(&url, Some(&self.key))).collect();
        *self.servers.write().await = clients;
    }

    /// Asks a processor to stop, and waits for its end, which must be a good one.
    pub(crate) async fn leave(&mut self, place: usize) {
        let mut process = self.processors[place].take().expect("it runs");
        process.signal("TERM");
        ended(&mut process).await;
    }

    /// Waits until both processors own partitions.
    pub(crate) async fn both_own(&mut self) {
        self.until_owners("both to own partitions", |claims| {
            let owns = |name: &&str| claims.values().any(|claim| claim.owner == *name);
            let all = claims.len() == usize::try_from(PARTITIONS).expect("few");
            all && PROCESSORS.iter().all(owns)
        })
        .await;
    }

    /// Waits until one processor owns all partitions.
    pub(crate) async fn owns_all(&mut self, place: usize) {
        self.until_owners("one to own all partitions", |claims| {
            claims.values().all(|claim| claim.owner == PROCESSORS[place])
        })
        .await;
    }

    async fn until_owners(&mut self, what: &str, are: impl Fn(&Claims) -> bool) {
        let Self { watch, processors, .. } = self;
        until_async_within(PATIENCE, what, || {
            for process in processors.iter_mut().flatten() {
                assert_eq!(process.ended(), None, "serve ended: {}", process.stderr());
            }
            std::future::ready(are(&watch.claims()).then_some(()))
        })
        .await;
    }

    /// Checks that both gateways show what a fresh fold of the whole journal into files shows, and that
    /// this is what its events add up to.
    pub(crate) async fn compare_models(&self, journal: &Journal) {
        let mut process = self.spawn("fresh", &["--roles", "gateway,projector"]);
        let fresh = Client::new(&listening(&mut process).await, Some(&self.key));
        let servers = self.servers.read().await.clone();
        for client in &servers {
            until_async_within(PATIENCE, "equal documents", || async {
                (models::documents(client).await == models::documents(&fresh).await).then_some(())
            })
            .await;
        }
        let expected = models::shown(&fresh).await;
        for client in &servers {
            assert_eq!(models::shown(client).await, expected);
        }
        models::check(&expected, journal);
        process.signal("TERM");
        ended(&mut process).await;
    }

    /// Lets all servers come to a good end.
    pub(crate) async fn end(&mut self) {
        for process in self.processors.iter_mut().chain(&mut self.fronts).flatten() {
            process.signal("TERM");
        }
        for process in self.processors.iter_mut().chain(&mut self.fronts) {
            if let Some(mut process) = process.take() {
                ended(&mut process).await;
            }
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Who looks for the reason of a failure finds what the servers said.
        if std::thread::panicking() {
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
            for process in self.processors.iter().chain(&self.fronts).flatten() {
                let file = folder.join(format!("campaign-{}.log", process.id()));
                eprintln!("a server's log: {}", file.display());
                drop(std::fs::write(file, process.stderr()));
            }
        }
    }
}

async fn listening(process: &mut Process) -> String {
    until_async_within(PATIENCE, "the line `listening on`", || {
        assert_eq!(process.ended(), None, "serve ended: {}", process.stderr());
        std::future::ready(process.listening_on())
    })
    .await
}

async fn ended(process: &mut Process) {
    let status = until_async_within(PATIENCE, "the end of the process", || {
        std::future::ready(process.ended())
    })
    .await;
    assert!(status.success(), "serve ended with {status}: {}", process.stderr());
}
