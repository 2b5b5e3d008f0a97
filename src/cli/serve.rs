//! `tallybook serve`: all roles in one process. Builds the adapters, wires them, and takes them down in
//! the order in which nothing that was accepted goes unanswered.
//!
//! Up: journal, keys, read models, projector, owners of partitions, listener. Down: the other way round.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use axum::Router;
use clap::Args;
use metrics_exporter_prometheus::PrometheusHandle;
use tallybook_projections::progress::Progress;
use tallybook_projections::store::Store as _;
use tallybook_projections::store::sqlite::{SqliteQueries, SqliteStore};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::files;
use super::folder::{DataFolder, DataOption};
use super::keys;
use super::log::{self, KafkaOption, Way};
use super::tls::{self, TlsFiles, TlsOptions};
use crate::clock::{SharedClock, SystemClock};
use crate::config::Settings;
use crate::decisions::{TierCatalogue, decide};
use crate::gateway::{self, Gateway, Operations, Ready, ServerLimits};
use crate::journal::JournalError;
use crate::kafka::Kafka;
use crate::keys::IssuedKey;
use crate::processor::{PartitionStatus, Processor, ProcessorConfig, ProcessorHandle};
use crate::projector::{Projector, ProjectorState, ProjectorStatus};

/// How long owners may take to answer what they have, once nothing new comes in.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// How often it is looked whether all is well.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Most threads that own partitions, whatever the machine has.
const MAX_WORKERS: usize = 16;

/// What is said when the read models do not open.
const READ_MODELS: &str =
    "cannot open the read models; without the files views.db* a start makes them anew";

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    folder: DataOption,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Partitions of a new journal; an old one keeps its own [default: 4]
    #[arg(long, value_name = "N")]
    partitions: Option<u32>,
    #[command(flatten)]
    tls: TlsOptions,
    #[command(flatten)]
    kafka: KafkaOption,
    /// Name of this process among those that share the work; the same after a restart
    /// [default: of its process id]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Log a line for each request: who, what, how it ended; no paths, bodies or secrets
    #[arg(long)]
    access_log: bool,
}

impl Arguments {
    /// Gives what is added to the filter of the log.
    pub(super) const fn log_filter(&self) -> &'static str {
        if self.access_log { ",tallybook::access=debug" } else { "" }
    }
}

/// What a server is started with.
#[derive(Debug)]
pub(super) struct ServeConfig {
    /// The data folder.
    pub(super) folder: DataFolder,
    /// Where to listen.
    pub(super) listen: SocketAddr,
    /// Where its certificate is, if it is to speak TLS.
    pub(super) tls: Option<TlsFiles>,
    /// Partitions, if they are not to be as they come.
    pub(super) partitions: Option<u32>,
    /// Where commands and the journal are; none: in the data folder.
    pub(super) kafka: Option<Kafka>,
    /// Name of this process.
    pub(super) name: String,
    /// The tiers there are.
    pub(super) tiers: TierCatalogue,
    /// Time and ids.
    pub(super) clock: SharedClock,
    /// The routes that it has.
    pub(super) routes: fn(Gateway, Operations) -> Router,
}

/// A server that takes requests.
pub(super) struct Running {
    address: SocketAddr,
    /// Reads the certificate anew when told, where there is one.
    reloading: Option<JoinHandle<()>>,
    first_key: Option<IssuedKey>,
    stop_listening: oneshot::Sender<()>,
    listening: JoinHandle<usize>,
    way: Way,
    processor: Arc<ProcessorHandle>,
    projector: Projector,
}

/// Serves until it is told to stop (SIGTERM, SIGINT), or something fails for good.
pub(super) async fn run(arguments: &Arguments, settings: &Settings) -> anyhow::Result<()> {
    let tiers = match settings.tiers() {
        Some(tiers) => TierCatalogue::new(tiers.clone()),
        None => TierCatalogue::builtin(),
    };
    let mut signals = Signals::listen()?;
    let starting = start(ServeConfig {
        folder: DataFolder::new(&arguments.folder.data),
        listen: arguments.listen,
        tls: arguments.tls.files()?,
        partitions: arguments.partitions,
        kafka: arguments.kafka.kafka(),
        name: arguments.name.clone().unwrap_or_else(usual_name),
        tiers,
        clock: Arc::new(SystemClock),
        routes: gateway::router,
    });
    let running = tokio::select! {
        started = starting => started?,
        () = signals.next() => return Ok(()),
    };
    if let Some(first) = &running.first_key {
        eprintln!("API key of tenant `default`, printed this once: {}", first.reveal());
    }
    eprintln!("listening on {}", running.url());
    let failed = tokio::select! {
        failure = running.failure() => Some(failure),
        () = signals.next() => None,
    };
    tracing::info!("stopping");
    // Whoever asks a second time does not want to wait.
    let stopped = tokio::select! {
        stopped = running.stop() => stopped,
        () = signals.next() => Err(anyhow!("stopped before everything was answered")),
    };
    failed.map_or(stopped, Err)
}

/// Starts a server and gives it once it is ready: what it knows was read, every partition is its own.
///
/// # Errors
/// When a part cannot be built, or the journal is not what it should be.
pub(super) async fn start(config: ServeConfig) -> anyhow::Result<Running> {
    let ServeConfig { folder, listen, tls, partitions, kafka, name, tiers, clock, routes } = config;
    let loaded = tls.as_ref().map(TlsFiles::load).transpose()?;
    let reloading = match (tls, &loaded) {
        (Some(files), Some(loaded)) => Some(tls::reload_on_hangup(files, Arc::clone(loaded))?),
        _ => None,
    };
    // Before anything is done: an address that is taken should cost nothing.
    let listener =
        TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let address = listener.local_addr().context("the listener has no address")?;
    folder.make()?;
    // Before the parts: they find their counters when they begin.
    let metrics = metrics();
    let log = match kafka {
        None => log::open_files(folder.path(), partitions, end_process)?,
        // Brokers are waited for, which blocks.
        Some(kafka) => tokio::task::spawn_blocking(|| log::open_kafka(kafka)).await??,
    };
    let journal = Arc::clone(&log.journal);
    let keys = Arc::new(keys::open(&folder)?);
    let first_key = keys::create_first(&*keys, &*clock)?;
    let mut store = SqliteStore::open(folder.path()).context(READ_MODELS)?;
    let judged = store.checkpoints().context(READ_MODELS)?;
    let progress = Arc::new(Progress::new(journal.partitions()));
    let queries = SqliteQueries::open(folder.path(), Arc::clone(&progress)).context(READ_MODELS)?;
    let projector = Projector::start(Arc::clone(&journal), Box::new(store), progress)
        .context("cannot start the projector")?;
    let processor = Arc::new(
        Processor::start(ProcessorConfig {
            journal,
            clock: Arc::clone(&clock),
            tiers,
            name: name.clone(),
            workers: workers(),
            decide,
            feed: log.feed(),
        })
        .context("cannot start the processor")?,
    );
    let way = log.way(&name, &processor, judged, Arc::clone(&clock))?;
    let gateway = Gateway {
        inbox: way.inbox(),
        queries: Arc::new(queries),
        keys,
        clock,
        timeouts: gateway::Timeouts::default(),
    };
    let ready = readiness(Arc::clone(&processor), projector.status());
    let operations = Operations { ready: Arc::clone(&ready), metrics };
    let (stop_listening, stopping) = oneshot::channel::<()>();
    let router = routes(gateway, operations);
    let limits = ServerLimits { connections: files::connections(), ..ServerLimits::default() };
    let stop = async { drop(stopping.await) };
    let listening = tokio::spawn(gateway::serve(listener, loaded, router, limits, stop));
    let running = Running {
        address,
        reloading,
        first_key,
        stop_listening,
        listening,
        way,
        processor,
        projector,
    };
    running.become_ready(&ready).await?;
    Ok(running)
}

impl Running {
    /// Gives the address that it listens on.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives its address as callers name it.
    fn url(&self) -> String {
        let scheme = if self.reloading.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    async fn become_ready(&self, ready: &Ready) -> anyhow::Result<()> {
        while ready().is_err() || !self.way.is_open() {
            if let Some(failure) = self.look() {
                return Err(failure);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Waits until something has failed for good, and says what.
    pub(super) async fn failure(&self) -> anyhow::Error {
        loop {
            if let Some(failure) = self.look() {
                return failure;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn look(&self) -> Option<anyhow::Error> {
        let halted =
            self.processor.statuses().into_iter().enumerate().find_map(
                |(at, status)| match status {
                    PartitionStatus::Halted { why } => {
                        Some(anyhow!("partition {at} halted: {why}"))
                    }
                    PartitionStatus::Restoring
                    | PartitionStatus::Standby
                    | PartitionStatus::Claiming
                    | PartitionStatus::Owning { .. } => None,
                },
            );
        halted.or_else(|| match self.projector.status().state() {
            ProjectorState::Halted(why) => Some(anyhow!("the projector halted: {why}")),
            ProjectorState::CatchingUp
            | ProjectorState::Following
            | ProjectorState::Retrying(_)
            | ProjectorState::Stopped => None,
        })
    }

    /// Stops: nothing new is let in, what was let in is answered, then the parts are taken down.
    ///
    /// # Errors
    /// When something did not end well.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        let Self { stop_listening, listening, way, processor, projector, reloading, .. } = self;
        if let Some(reloading) = reloading {
            reloading.abort();
        }
        // The listener may have ended by itself: then there is nobody to tell.
        let _ = stop_listening.send(());
        let cut = listening.await.context("the listener ended in a fault")?;
        let stopping = tokio::task::spawn_blocking(move || {
            way.close();
            if let Some(processor) = Arc::into_inner(processor) {
                processor.stop(STOP_WITHIN);
            }
            projector.stop();
        });
        stopping.await.context("the owners ended in a fault")?;
        if cut > 0 {
            tracing::warn!(connections = cut, "connections were cut");
        }
        Ok(())
    }
}

/// Tells whether commands are decided and answers are up to date; if not, what they wait for.
fn readiness(processor: Arc<ProcessorHandle>, projector: ProjectorStatus) -> Ready {
    // Not to keep the owners alive: whoever stops them must have them alone.
    let processor = Arc::downgrade(&processor);
    Arc::new(move || {
        let owned = processor.upgrade().is_some_and(|processor| processor.is_settled());
        if owned { projector.ready() } else { Err("not every partition is owned yet".into()) }
    })
}

fn usual_name() -> String {
    format!("tallybook-{}", std::process::id())
}

fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MAX_WORKERS)
}

/// Gives the process's metrics. One process has one recorder: a second server in it shows its own,
/// empty.
fn metrics() -> PrometheusHandle {
    let recorder = Operations::recorder().build_recorder();
    let handle = recorder.handle();
    // An error says that there is a recorder already.
    drop(metrics::set_global_recorder(recorder));
    handle
}

/// Ends the process after a failed write: nobody can tell what is on the disk. The next start reads it.
fn end_process(error: JournalError) {
    eprintln!("error: the journal cannot be written, so this process ends: {:#}", anyhow!(error));
    std::process::exit(1);
}

/// Signals that ask the process to end.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let cannot = "cannot listen to signals";
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context(cannot)?,
            interrupt: signal(SignalKind::interrupt()).context(cannot)?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
