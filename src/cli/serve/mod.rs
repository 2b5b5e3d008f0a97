//! `tallybook serve`: all roles in one process, or some of them beside other processes. Builds the
//! adapters, wires them, and takes them down in the order in which nothing that was accepted goes
//! unanswered.
//!
//! Up: journal, read models, projector, owners of partitions, keys, listener. Down: the other way round.
//! Each role is a file here, and a [`Part`] when it runs.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use axum::Router;
use clap::Args;
use metrics_exporter_prometheus::PrometheusHandle;
use tallybook_projections::progress::Progress;
use tallybook_projections::store::postgres::PostgresPlace;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::files;
use super::folder::{DataFolder, DataOption};
use super::keys;
use super::log::{self, KafkaOption};
use super::models::{Models, PostgresOption};
use super::tls::{self, TlsFiles, TlsOptions};
use crate::clock::{SharedClock, SystemClock};
use crate::config::Settings;
use crate::decisions::TierCatalogue;
use crate::gateway::{self, Gateway, Operations, ServerLimits};
use crate::journal::JournalError;
use crate::kafka::Kafka;
use crate::kafka::topics::{self, Noting};
use crate::keys::IssuedKey;
use entrance::Entrance;
use hearing::Hearing;
use part::Part;
use roles::{OnKafka, Role};

pub(super) use roles::Roles;
pub(super) use running::Running;

mod roles;
mod part;
mod entrance;
mod processor;
mod projector;
mod watching;
mod hearing;
mod publisher;
mod running;

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
    #[command(flatten)]
    postgres: PostgresOption,
    /// What this process does, with commas between; on Kafka several processes share the work
    /// [default: all that make sense]
    #[arg(long, value_enum, value_name = "ROLES", value_delimiter = ',')]
    roles: Vec<Role>,
    /// Name of this process among those that share the work; the same after a restart
    /// [default: of the machine and its process id]
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
    /// Where the read models are; none: in the data folder.
    pub(super) postgres: Option<PostgresPlace>,
    /// What it does.
    pub(super) roles: Roles,
    /// Name of this process.
    pub(super) name: String,
    /// The tiers there are.
    pub(super) tiers: TierCatalogue,
    /// Time and ids.
    pub(super) clock: SharedClock,
    /// The routes that it has.
    pub(super) routes: fn(Gateway, Operations) -> Router,
}

/// Serves until it is told to stop (SIGTERM, SIGINT), or something fails for good.
pub(super) async fn run(arguments: &Arguments, settings: &Settings) -> anyhow::Result<()> {
    let tiers = match settings.tiers() {
        Some(tiers) => TierCatalogue::new(tiers.clone()),
        None => TierCatalogue::builtin(),
    };
    let kafka = arguments.kafka.kafka()?;
    let on_kafka = if kafka.is_some() { OnKafka::Yes } else { OnKafka::No };
    let roles = Roles::asked(&arguments.roles, on_kafka)?;
    let mut signals = Signals::listen()?;
    let starting = start(ServeConfig {
        folder: DataFolder::new(&arguments.folder.data),
        listen: arguments.listen,
        tls: arguments.tls.files()?,
        partitions: arguments.partitions,
        kafka,
        postgres: arguments.postgres.place()?,
        roles,
        name: arguments.name.clone().unwrap_or_else(usual_name),
        tiers,
        clock: Arc::new(SystemClock),
        routes: gateway::router,
    });
    let running = tokio::select! {
        started = starting => started?,
        () = signals.next() => return Ok(()),
    };
    if let Some(first) = running.first_key() {
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

/// Starts a server and gives it once it is ready: what it knows was read, each part can do its work.
///
/// # Errors
/// When a part cannot be built, or the journal is not what it should be.
pub(super) async fn start(config: ServeConfig) -> anyhow::Result<Running> {
    let loaded = config.tls.as_ref().map(TlsFiles::load).transpose()?;
    let reloading = match (&config.tls, &loaded) {
        (Some(files), Some(loaded)) => {
            Some(tls::reload_on_hangup(files.clone(), Arc::clone(loaded))?)
        }
        _ => None,
    };
    // Before anything is done: an address that is taken should cost nothing.
    let listen = config.listen;
    let listener =
        TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let address = listener.local_addr().context("the listener has no address")?;
    // Before the parts: they find their counters when they begin.
    let metrics = metrics();
    if let Some(kafka) = &config.kafka {
        let noting = if config.roles.has(Role::Processor) { Noting::Yes } else { Noting::No };
        topics::check(kafka, noting).await?;
    }
    // Brokers and databases are waited for, which blocks.
    let (config, built) = tokio::task::spawn_blocking(move || {
        let built = built(&config);
        (config, built)
    })
    .await?;
    let Built { parts, gateway, first_key } = built?;
    let ready = running::all_ready(&parts);
    let operations = Operations { ready: Arc::clone(&ready), metrics };
    let router = match gateway {
        Some(gateway) => (config.routes)(gateway, operations),
        None => gateway::operations_router(operations),
    };
    let (stop_listening, stopping) = oneshot::channel::<()>();
    let limits = ServerLimits { connections: files::connections(), ..ServerLimits::default() };
    let stop = async { drop(stopping.await) };
    let listening = tokio::spawn(gateway::serve(listener, loaded, router, limits, stop));
    let running = Running { address, reloading, first_key, stop_listening, listening, parts };
    running.become_ready(&ready).await?;
    Ok(running)
}

/// What a process is made of.
struct Built {
    /// In the order in which they are to be stopped.
    parts: Vec<Box<dyn Part>>,
    /// What requests are served with, where they are.
    gateway: Option<Gateway>,
    first_key: Option<IssuedKey>,
}

/// Builds the parts for the roles of this process, and starts them. Blocks.
fn built(config: &ServeConfig) -> anyhow::Result<Built> {
    let ServeConfig { folder, roles, clock, name, .. } = config;
    folder.make()?;
    let log = match &config.kafka {
        None => log::open_files(folder.path(), config.partitions, end_process)?,
        Some(kafka) => log::open_kafka(kafka.clone())?,
    };
    let models = Models::at(config.postgres.as_ref(), folder.path());
    let progress = Arc::new(Progress::new(log.journal.partitions()));
    // Before anything moves them: answers are looked for from here on.
    let judged = if roles.has(Role::Gateway) { models.store()?.checkpoints()? } else { Vec::new() };
    let folding: Option<Box<dyn Part>> = if roles.has(Role::Projector) {
        Some(Box::new(projector::start(&log, models.store()?, Arc::clone(&progress), clock)?))
    } else if roles.has(Role::Gateway) {
        Some(Box::new(watching::start(&log, &models, Arc::clone(&progress))?))
    } else {
        None
    };
    let deciding = if roles.has(Role::Processor) {
        Some(processor::start(&log, name, config.tiers.clone(), clock, folder.path())?)
    } else {
        None
    };
    let (mut gateway, mut first_key) = (None, None);
    let mut parts: Vec<Box<dyn Part>> = Vec::new();
    if roles.has(Role::Gateway) {
        let keys = keys::of_server(folder, config.kafka.as_ref())?;
        first_key = keys::create_first(&*keys, &**clock)?;
        let lanes = deciding.as_ref().map(processor::Deciding::lanes);
        let entrance = Entrance::open(&log, lanes, judged)?;
        let queries = models.queries(Arc::clone(&progress))?;
        let hearing = models.watch(&progress).map(|watch| Hearing(Arc::new(watch)));
        parts.extend(hearing.map(|hearing| Box::new(hearing) as Box<dyn Part>));
        gateway = Some(entrance.gateway(queries, keys, Arc::clone(clock)));
        parts.push(Box::new(entrance));
    }
    parts.extend(deciding.map(|deciding| Box::new(deciding) as Box<dyn Part>));
    parts.extend(folding);
    if roles.has(Role::Publisher) {
        parts.push(publisher::start(&log, name, folder.path())?);
    }
    Ok(Built { parts, gateway, first_key })
}

/// Gives a name that no other process has: in containers ids of processes are alike.
fn usual_name() -> String {
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let known = |character: &char| character.is_ascii_alphanumeric() || *character == '-';
    let machine: String = machine.trim().chars().filter(known).collect();
    format!("tallybook-{machine}-{}", std::process::id())
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
