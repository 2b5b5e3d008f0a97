//! `bench --http`: commands over HTTP, at a real server in a temporary folder, from this process; beside
//! them the floor: the same server giving the same JSON back, with the same guard, read and printed by the
//! same code, but neither decided, kept nor shown. Both in turns, in one run.
//!
//! A connection has its own customers, so each customer's commands come in order, and the state at the
//! end must be that of a plain run of the same commands.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::Serialize;
use tallybook_events::command::Command;
use tallybook_events::ids::{Environment, Scope};
use tallybook_events::time::Timestamp;

use self::callers::{Caller, Passed, Way, bodies, pass, pass_in_time, shares};
use super::kept::{JournalKind, Kept, open_file};
use super::load::{Load, Pace};
use super::workload::{Generator, NOW_MICROS, Workload};
use super::{Arguments, PATIENCE, digest_of, replay, start};
use crate::cli::folder::DataFolder;
use crate::cli::keys;
use crate::cli::serve::{self, Roles, Running, ServeConfig};
use crate::clock::{FixedClock, SharedClock};
use crate::decisions::TierCatalogue;
use crate::gateway;
use crate::inbox::local::LocalInbox;
use crate::keys::KeyScope;

mod callers;

/// Turns of each kind: the machine is noisy, and its noise should meet both.
const ROUNDS: usize = 10;
/// The part of the commands that is sent evenly spaced in time.
const IN_TIME: usize = 5;

/// What was measured over HTTP. Server and callers share the cores.
#[derive(Debug, Serialize)]
struct HttpReport {
    workload: &'static str,
    seed: u64,
    commands: u64,
    durability: &'static str,
    connections: u64,
    per_request: u64,
    rounds: usize,
    seconds: f64,
    /// Commands that were decided, kept and shown, by the second.
    per_second: f64,
    /// From a request to its answer.
    p50_us: u64,
    p99_us: u64,
    cpu_ns_per_request: Option<f64>,
    /// The same by kinds of threads.
    thread_ns_per_request: BTreeMap<String, f64>,
    /// Commands that were given back, by the second.
    floor_per_second: f64,
    floor_p50_us: u64,
    floor_p99_us: u64,
    floor_cpu_ns_per_request: Option<f64>,
    floor_thread_ns_per_request: BTreeMap<String, f64>,
    /// `per_second` by `floor_per_second`.
    ratio: f64,
    in_time: InTime,
    digest: String,
}

/// What was measured with requests that come evenly spaced, half as many as were answered before.
#[derive(Debug, Serialize)]
struct InTime {
    requests: u64,
    requests_per_second: u32,
    /// From the moment at which a request was due to its answer.
    p50_us: u64,
    p99_us: u64,
}

/// Runs the command and prints one JSON line.
///
/// # Errors
/// When a request is not answered as it should be, or the state is not that of a plain run.
pub(super) fn run(arguments: &Arguments, commands: u64) -> anyhow::Result<()> {
    use std::io::Write as _;
    let workload = arguments.workload.unwrap_or(Workload::Update);
    let customers = arguments.customers.unwrap_or(commands / 100);
    let commands =
        Generator::new(workload, arguments.seed, customers).take(usize::try_from(commands)?);
    let temporary = tempfile::tempdir().context("making a temporary folder")?;
    let folder = DataFolder::new(temporary.path());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measured = runtime.block_on(at_a_server(arguments, &commands, folder.clone()))?;
    drop(runtime);
    let journal = open_file(folder.path(), None)?;
    let digest = digest_of(&replay(&journal)?);
    ensure!(
        digest == plain(arguments, commands)?,
        "the state is not that of a plain run: the figures are void"
    );
    let report = report(arguments, workload, &measured, digest);
    writeln!(std::io::stdout().lock(), "{}", serde_json::to_string(&report)?)?;
    Ok(())
}

/// Gives the digest of the state after a run without HTTP and without a file.
fn plain(arguments: &Arguments, commands: Vec<Command>) -> anyhow::Result<String> {
    let nowhere = tempfile::tempdir().context("making a temporary folder")?;
    let kept =
        Kept::open(JournalKind::Memory, nowhere.path(), arguments.partitions, arguments.seed)?;
    let handle = start(&kept.journal, "bench, plain", None)?;
    let inbox = LocalInbox::new(handle.lanes());
    Load::none()?.drive(&inbox, commands, Pace { batch: 128, in_flight: 16 })?;
    inbox.stop();
    Ok(digest_of(&handle.stop(PATIENCE)))
}

struct Measured {
    decided: Passed,
    echoed: Passed,
    in_time: Passed,
    in_time_per_second: u32,
}

async fn at_a_server(
    arguments: &Arguments,
    commands: &[Command],
    folder: DataFolder,
) -> anyhow::Result<Measured> {
    let (running, authorization) = serve(arguments, folder).await?;
    let connections = usize::try_from(arguments.connections)?;
    let mut callers = Vec::with_capacity(connections);
    let mut most = 0;
    for share in shares(commands, connections) {
        let bodies = bodies(&share, usize::try_from(arguments.per_request)?)?;
        most = most.max(bodies.len());
        callers.push(Caller::connect(running.address(), &authorization, bodies).await?);
    }
    let share = (most - most / IN_TIME).div_ceil(ROUNDS);
    let (mut decided, mut echoed) = (Passed::nothing()?, Passed::nothing()?);
    // Not counted: caches and connections become warm.
    let (mut callers, _) = pass(callers, share, Way::Echo).await?;
    for round in 0..ROUNDS {
        // What is decided is not there any more: the floor comes first, with the same bodies.
        let (back, floor) = pass(callers, share, Way::Echo).await?;
        let (back, done) = pass(back, share, Way::Decide).await?;
        ensure!(floor.commands == done.commands, "round {round} was not the same for both");
        echoed.add(&floor)?;
        decided.add(&done)?;
        callers = back;
    }
    let in_time_per_second = half_of(&decided);
    let in_time = pass_in_time(callers, in_time_per_second).await?;
    running.stop().await?;
    Ok(Measured { decided, echoed, in_time, in_time_per_second })
}

/// Starts a server that can echo, and gives it with what a caller must show.
async fn serve(arguments: &Arguments, folder: DataFolder) -> anyhow::Result<(Running, String)> {
    let clock: SharedClock = Arc::new(FixedClock::new(Timestamp::from_micros(NOW_MICROS)));
    let store = keys::open(&folder)?;
    let scope = Scope { tenant: "bench".parse()?, environment: Environment::Test };
    let scopes = KeyScope::ALL.into_iter().collect();
    let key = keys::create(&store, scope, scopes, 0, &*clock)?.reveal();
    drop(store);
    let running = serve::start(ServeConfig {
        folder,
        listen: "127.0.0.1:0".parse()?,
        tls: None,
        partitions: Some(arguments.partitions),
        kafka: None,
        postgres: None,
        roles: Roles::embedded(),
        name: "tallybook".into(),
        tiers: TierCatalogue::builtin(),
        clock,
        routes: gateway::measured_router,
    })
    .await?;
    Ok((running, format!("Bearer {key}")))
}

/// Gives half of the requests that were answered in a second.
fn half_of(passed: &Passed) -> u32 {
    let millis = passed.elapsed.as_millis().max(1);
    u32::try_from(u128::from(passed.requests) * 500 / millis).unwrap_or(u32::MAX).max(1)
}

#[expect(
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    reason = "rates for people, no money"
)]
fn report(
    arguments: &Arguments,
    workload: Workload,
    measured: &Measured,
    digest: String,
) -> HttpReport {
    let Measured { decided, echoed, in_time, in_time_per_second } = measured;
    let per_second = |passed: &Passed| passed.commands as f64 / passed.elapsed.as_secs_f64();
    let cpu =
        |passed: &Passed| passed.cpu.map(|cpu| cpu.as_nanos() as f64 / passed.requests as f64);
    let threads = |passed: &Passed| {
        let used = passed.threads.iter().filter(|(_, time)| !time.is_zero());
        let each = |(name, time): (&String, &Duration)| {
            (name.clone(), (time.as_nanos() as f64 / passed.requests as f64).round())
        };
        used.map(each).collect()
    };
    HttpReport {
        workload: workload.as_str(),
        seed: arguments.seed,
        commands: decided.commands + in_time.commands,
        durability: "fsync-per-ack",
        connections: arguments.connections,
        per_request: arguments.per_request,
        rounds: ROUNDS,
        seconds: decided.elapsed.as_secs_f64(),
        per_second: per_second(decided),
        p50_us: decided.latency.value_at_quantile(0.5),
        p99_us: decided.latency.value_at_quantile(0.99),
        cpu_ns_per_request: cpu(decided),
        thread_ns_per_request: threads(decided),
        floor_per_second: per_second(echoed),
        floor_p50_us: echoed.latency.value_at_quantile(0.5),
        floor_p99_us: echoed.latency.value_at_quantile(0.99),
        floor_cpu_ns_per_request: cpu(echoed),
        floor_thread_ns_per_request: threads(echoed),
        ratio: per_second(decided) / per_second(echoed),
        in_time: InTime {
            requests: in_time.requests,
            requests_per_second: *in_time_per_second,
            p50_us: in_time.latency.value_at_quantile(0.5),
            p99_us: in_time.latency.value_at_quantile(0.99),
        },
        digest,
    }
}
