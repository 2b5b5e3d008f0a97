//! The same commands over HTTP, at a real server in a temporary folder, from this process.
//!
//! A connection has its own customers, so each customer's commands come in order and the state at the
//! end is that of the run without HTTP.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use hdrhistogram::Histogram;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tallybook_events::command::Command;
use tallybook_events::ids::{Environment, Scope};
use tallybook_events::time::Timestamp;
use tokio::net::TcpStream;

use super::kept::open_file;
use super::load::cpu_time;
use super::workload::{Generator, NOW_MICROS};
use super::{Arguments, digest_of, replay};
use crate::cli::folder::DataFolder;
use crate::cli::keys;
use crate::cli::serve::{self, ServeConfig};
use crate::clock::{FixedClock, SharedClock};
use crate::decisions::TierCatalogue;
use crate::keys::KeyScope;

/// What was measured over HTTP. Server and callers share the cores.
#[derive(Debug, Serialize)]
pub(super) struct HttpFigures {
    commands: u64,
    connections: u64,
    per_request: u64,
    seconds: f64,
    per_second: f64,
    /// From a request to its answer.
    p50_us: u64,
    p99_us: u64,
    cpu_ns_per_command: Option<f64>,
    digest: String,
}

/// Runs the load of `arguments` over HTTP.
///
/// # Errors
/// When a request is not answered as it should be.
pub(super) fn measure(arguments: &Arguments, commands: u64) -> anyhow::Result<HttpFigures> {
    let temporary = tempfile::tempdir().context("making a temporary folder")?;
    let folder = DataFolder::new(temporary.path());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let sent = runtime.block_on(at_a_server(arguments, commands, folder.clone()))?;
    drop(runtime);
    let journal = open_file(folder.path(), None)?;
    Ok(figures(arguments, &sent, digest_of(&replay(&journal)?)))
}

struct Sent {
    commands: u64,
    elapsed: Duration,
    cpu: Option<Duration>,
    latency: Histogram<u64>,
}

async fn at_a_server(
    arguments: &Arguments,
    commands: u64,
    folder: DataFolder,
) -> anyhow::Result<Sent> {
    let clock: SharedClock = Arc::new(FixedClock::new(Timestamp::from_micros(NOW_MICROS)));
    let store = keys::open(&folder)?;
    let scope = Scope { tenant: "bench".parse()?, environment: Environment::Test };
    let key =
        keys::create(&store, scope, KeyScope::ALL.into_iter().collect(), 0, &*clock)?.reveal();
    drop(store);
    let running = serve::start(ServeConfig {
        folder,
        listen: "127.0.0.1:0".parse()?,
        tls: None,
        partitions: Some(arguments.partitions),
        kafka: None,
        name: "tallybook".into(),
        tiers: TierCatalogue::builtin(),
        clock,
    })
    .await?;
    let bodies = bodies(arguments, commands)?;
    let authorization = format!("Bearer {key}");
    let cpu = cpu_time();
    let began = Instant::now();
    let mut connections = Vec::new();
    for bodies in bodies {
        let stream = TcpStream::connect(running.address()).await?;
        stream.set_nodelay(true)?;
        connections.push(tokio::spawn(send(stream, bodies, authorization.clone())));
    }
    let mut sent =
        Sent { commands: 0, elapsed: Duration::ZERO, cpu: None, latency: Histogram::new(3)? };
    for connection in connections {
        let (count, latency) = connection.await??;
        sent.commands += count;
        sent.latency.add(latency)?;
    }
    sent.elapsed = began.elapsed();
    sent.cpu = cpu_time().zip(cpu).map(|(after, before)| after.saturating_sub(before));
    running.stop().await?;
    Ok(sent)
}

/// Makes the requests of each connection: a body, and how many commands it has.
fn bodies(arguments: &Arguments, commands: u64) -> anyhow::Result<Vec<Vec<(Bytes, u64)>>> {
    let customers = arguments.customers.unwrap_or(arguments.commands / 100);
    let mut generator = Generator::new(arguments.workload, arguments.seed, customers);
    let mut shares: Vec<Vec<Command>> = Vec::new();
    shares.resize_with(usize::try_from(arguments.connections)?, Vec::new);
    for command in generator.take(usize::try_from(commands)?) {
        let mut hasher = DefaultHasher::new();
        command.customer.hash(&mut hasher);
        let share = usize::try_from(hasher.finish() % arguments.connections)?;
        shares[share].push(command);
    }
    let per_request = usize::try_from(arguments.per_request)?;
    let body = |commands: &[Command]| -> anyhow::Result<(Bytes, u64)> {
        let json = match commands {
            [one] if per_request == 1 => serde_json::to_vec(one)?,
            several => serde_json::to_vec(several)?,
        };
        Ok((Bytes::from(json), u64::try_from(commands.len())?))
    };
    shares.iter().map(|share| share.chunks(per_request).map(body).collect()).collect()
}

async fn send(
    stream: TcpStream,
    bodies: Vec<(Bytes, u64)>,
    authorization: String,
) -> anyhow::Result<(u64, Histogram<u64>)> {
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    // Ends with the sender; a fault of it is a fault of the request.
    tokio::spawn(connection);
    let mut latency = Histogram::new(3)?;
    let mut commands = 0;
    for (body, count) in bodies {
        let asked = Instant::now();
        request(&mut sender, body, &authorization).await?;
        latency.record(u64::try_from(asked.elapsed().as_micros())?.max(1))?;
        commands += count;
    }
    Ok((commands, latency))
}

async fn request(
    sender: &mut SendRequest<Full<Bytes>>,
    body: Bytes,
    authorization: &str,
) -> anyhow::Result<()> {
    let request = http::Request::post("/api/v1/commands")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .header("authorization", authorization)
        .body(Full::new(body))?;
    sender.ready().await?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    // Refusals are part of the load; what must not be is a server that fails or takes nothing.
    let decided =
        !status.is_server_error() && ![400, 401, 403, 413, 429].contains(&status.as_u16());
    ensure!(decided, "answered {status}: {}", String::from_utf8_lossy(&body));
    Ok(())
}

#[expect(
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    reason = "rates for people, no money"
)]
fn figures(arguments: &Arguments, sent: &Sent, digest: String) -> HttpFigures {
    let seconds = sent.elapsed.as_secs_f64();
    let commands = sent.commands as f64;
    HttpFigures {
        commands: sent.commands,
        connections: arguments.connections,
        per_request: arguments.per_request,
        seconds,
        per_second: commands / seconds,
        p50_us: sent.latency.value_at_quantile(0.5),
        p99_us: sent.latency.value_at_quantile(0.99),
        cpu_ns_per_command: sent.cpu.map(|cpu| cpu.as_nanos() as f64 / commands),
        digest,
    }
}
