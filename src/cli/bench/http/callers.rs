//! Callers over HTTP: connections, each with its own customers, and passes over what they have to send.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::ensure;
use hdrhistogram::Histogram;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tallybook_events::command::Command;
use tallybook_events::ids::CustomerRef;
use tokio::net::TcpStream;

use crate::cli::bench::load::{cpu_time, thread_times};
use crate::gateway::ECHO;

/// What is asked of the commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// That they are decided, kept and shown.
    Decide,
    /// That they are given back. They are sent again later.
    Echo,
}

/// The body of one request.
#[derive(Debug, Clone)]
pub(super) struct Body {
    json: Bytes,
    commands: u64,
}

/// One connection and what it has to send.
pub(super) struct Caller {
    sender: SendRequest<Full<Bytes>>,
    authorization: String,
    bodies: VecDeque<Body>,
}

/// What passes came to.
#[derive(Debug, Clone)]
pub(super) struct Passed {
    pub(super) requests: u64,
    pub(super) commands: u64,
    pub(super) elapsed: Duration,
    /// Time of the cores, when the system tells it: server and callers together.
    pub(super) cpu: Option<Duration>,
    /// The same by kinds of threads.
    pub(super) threads: BTreeMap<String, Duration>,
    /// From a request to its answer, in microseconds.
    pub(super) latency: Histogram<u64>,
}

impl Passed {
    pub(super) fn nothing() -> anyhow::Result<Self> {
        let (elapsed, cpu) = (Duration::ZERO, Some(Duration::ZERO));
        let (threads, latency) = (BTreeMap::new(), Histogram::new(3)?);
        Ok(Self { requests: 0, commands: 0, elapsed, cpu, threads, latency })
    }

    /// Adds another.
    pub(super) fn add(&mut self, other: &Self) -> anyhow::Result<()> {
        self.requests += other.requests;
        self.commands += other.commands;
        self.elapsed += other.elapsed;
        self.cpu = self.cpu.zip(other.cpu).map(|(sum, more)| sum + more);
        for (name, more) in &other.threads {
            *self.threads.entry(name.clone()).or_default() += *more;
        }
        Ok(self.latency.add(&other.latency)?)
    }

    fn count(&mut self, body: &Body, asked: Instant) -> anyhow::Result<()> {
        self.requests += 1;
        self.commands += body.commands;
        Ok(self.latency.record(u64::try_from(asked.elapsed().as_micros())?.max(1))?)
    }
}

/// Parts commands among connections: all of one customer to the same, about as many to each.
pub(super) fn shares(commands: &[Command], connections: usize) -> Vec<Vec<&Command>> {
    let mut of_customer: HashMap<&CustomerRef, (usize, usize)> = HashMap::new();
    for (at, command) in commands.iter().enumerate() {
        of_customer.entry(&command.customer).or_insert((0, at)).0 += 1;
    }
    let mut busiest: Vec<(usize, usize, &CustomerRef)> = of_customer
        .into_iter()
        .map(|(customer, (count, first))| (count, first, customer))
        .collect();
    busiest.sort_unstable_by_key(|(count, first, _)| (Reverse(*count), *first));
    let mut room: BinaryHeap<Reverse<(usize, usize)>> =
        (0..connections).map(|at| Reverse((0, at))).collect();
    let mut place: HashMap<&CustomerRef, usize> = HashMap::new();
    for (count, _, customer) in busiest {
        let Some(Reverse((load, at))) = room.pop() else { break };
        place.insert(customer, at);
        room.push(Reverse((load + count, at)));
    }
    let mut shares = vec![Vec::new(); connections];
    for command in commands {
        shares[place[&command.customer]].push(command);
    }
    shares
}

/// Makes the bodies of requests with so many commands each.
pub(super) fn bodies(commands: &[&Command], per_request: usize) -> anyhow::Result<VecDeque<Body>> {
    let body = |commands: &[&Command]| -> anyhow::Result<Body> {
        let json = match commands {
            [one] if per_request == 1 => serde_json::to_vec(one)?,
            several => serde_json::to_vec(several)?,
        };
        Ok(Body { json: json.into(), commands: u64::try_from(commands.len())? })
    };
    commands.chunks(per_request).map(body).collect()
}

impl Caller {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens.
    pub(super) async fn connect(
        address: SocketAddr,
        authorization: &str,
        bodies: VecDeque<Body>,
    ) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Ends with the sender; a fault of it is a fault of the request.
        tokio::spawn(connection);
        Ok(Self { sender, authorization: authorization.to_owned(), bodies })
    }

    /// Sends so many bodies, one after the other.
    async fn pass(mut self, share: usize, way: Way) -> anyhow::Result<(Self, Passed)> {
        let mut passed = Passed::nothing()?;
        let share = share.min(self.bodies.len());
        let bodies: Vec<Body> = match way {
            Way::Decide => self.bodies.drain(..share).collect(),
            Way::Echo => self.bodies.iter().take(share).cloned().collect(),
        };
        for body in &bodies {
            let asked = Instant::now();
            self.request(body, way).await?;
            passed.count(body, asked)?;
        }
        Ok((self, passed))
    }

    /// Sends all that is left, each body at its own moment, whether or not the one before was answered
    /// by then. How long an answer took counts from the moment at which the request should have gone
    /// out; that this process woke up late for it does not count.
    async fn pass_in_time(
        mut self,
        first: tokio::time::Instant,
        pause: Duration,
    ) -> anyhow::Result<Passed> {
        let mut passed = Passed::nothing()?;
        let mut due = first;
        while let Some(body) = self.bodies.pop_front() {
            let asked = if tokio::time::Instant::now() < due {
                tokio::time::sleep_until(due).await;
                Instant::now()
            } else {
                due.into_std()
            };
            self.request(&body, Way::Decide).await?;
            passed.count(&body, asked)?;
            due += pause;
        }
        Ok(passed)
    }

    async fn request(&mut self, body: &Body, way: Way) -> anyhow::Result<()> {
        let path = match way {
            Way::Decide => "/api/v1/commands",
            Way::Echo => ECHO,
        };
        let request = http::Request::post(path)
            .header("host", "localhost")
            .header("content-type", "application/json")
            .header("authorization", &self.authorization)
            .body(Full::new(body.json.clone()))?;
        self.send(request).await
    }

    /// Asks for a customer: that is not answered before the read models show all that was decided.
    async fn see(&mut self) -> anyhow::Result<()> {
        let request = http::Request::get("/api/v1/customers?limit=1")
            .header("host", "localhost")
            .header("authorization", &self.authorization)
            .body(Full::default())?;
        self.send(request).await
    }

    async fn send(&mut self, request: http::Request<Full<Bytes>>) -> anyhow::Result<()> {
        self.sender.ready().await?;
        let answer = self.sender.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        // Refusals are part of the load; what must not be is a server that fails or takes nothing.
        let decided =
            !status.is_server_error() && ![400, 401, 403, 413, 429].contains(&status.as_u16());
        ensure!(decided, "answered {status}: {}", String::from_utf8_lossy(&body));
        Ok(())
    }
}

/// Has all callers send so many bodies each, side by side. What was decided is shown when it ends: the
/// work that is put off until somebody asks belongs to it.
///
/// # Errors
/// When a request is not answered as it should be.
pub(super) async fn pass(
    callers: Vec<Caller>,
    share: usize,
    way: Way,
) -> anyhow::Result<(Vec<Caller>, Passed)> {
    let (cpu, threads, began) = (cpu_time(), thread_times(), Instant::now());
    let running: Vec<_> =
        callers.into_iter().map(|caller| tokio::spawn(caller.pass(share, way))).collect();
    let mut callers = Vec::with_capacity(running.len());
    let mut all = Passed::nothing()?;
    for running in running {
        let (caller, passed) = running.await??;
        callers.push(caller);
        all.add(&passed)?;
    }
    if let (Way::Decide, Some(first)) = (way, callers.first_mut()) {
        first.see().await?;
    }
    all.elapsed = began.elapsed();
    all.threads = thread_times();
    for (name, time) in &mut all.threads {
        *time -= threads.get(name).copied().unwrap_or_default().min(*time);
    }
    all.cpu = cpu_time().zip(cpu).map(|(after, before)| after.saturating_sub(before));
    Ok((callers, all))
}

/// Has all callers send what they have left, evenly spaced in time, `per_second` requests in all.
///
/// # Errors
/// When a request is not answered as it should be.
pub(super) async fn pass_in_time(callers: Vec<Caller>, per_second: u32) -> anyhow::Result<Passed> {
    let between = Duration::from_secs(1) / per_second.max(1);
    let pause = between * u32::try_from(callers.len())?;
    let first = tokio::time::Instant::now() + Duration::from_millis(10);
    let began = Instant::now();
    let running: Vec<_> = (0_u32..)
        .zip(callers)
        .map(|(at, caller)| tokio::spawn(caller.pass_in_time(first + between * at, pause)))
        .collect();
    let mut all = Passed::nothing()?;
    for running in running {
        all.add(&running.await??)?;
    }
    all.elapsed = began.elapsed();
    Ok(all)
}
