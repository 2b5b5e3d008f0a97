//! A proxy between clients and one broker that knows the frames of Kafka: it holds, drops and repeats
//! single produce requests, and writes error codes into answers.
//!
//! The broker has a listener of its own for it, whose advertised address is the proxy's: no address in
//! an answer has to be rewritten. The answer about versions is: so that clients use those whose fields
//! have fixed places.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::frames::{self, Api, Request};

/// What is done with one produce request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Treat {
    /// It goes on.
    Pass,
    /// It waits until what is held is let go, and all behind it on its connection.
    Hold,
    /// It is swallowed, and the connection ends.
    Drop,
    /// It goes on twice.
    Repeat,
    /// It goes on; its answer does not come, and the connection ends.
    LoseAnswer,
}

/// An error code to write into answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Injected {
    /// Into answers of this kind,
    pub(crate) api: Api,
    /// this code,
    pub(crate) code: i16,
    /// so often.
    pub(crate) times: u32,
}

/// Says what is done with a produce request of a client to a partition of the journal.
type Rule = Box<dyn FnMut(&str, i32) -> Treat + Send>;

/// Whose requests: the topic, the client, the partition.
type Whose = (String, String, i32);

#[derive(Default)]
struct Asked {
    /// By topic.
    rules: HashMap<String, Rule>,
    /// What is held: how many requests wait.
    held: HashMap<Whose, usize>,
    /// What was let go: held requests with a lower number go on.
    let_go: HashMap<Whose, u64>,
    /// How many requests were treated otherwise than passed, by topic.
    treated: HashMap<String, u64>,
    /// By client, what is written into its answers, and how often that was done.
    injected: HashMap<String, (Injected, u64)>,
}

/// What all connections share.
struct Shared {
    asked: Mutex<Asked>,
    changed: Condvar,
    tickets: AtomicU64,
}

/// A proxy in front of one broker.
pub(crate) struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Listens on a port for clients of a broker that listens on another one.
    pub(crate) fn start(listener: TcpListener, broker: u16) -> Self {
        let port = listener.local_addr().expect("a listener has an address").port();
        let shared = Arc::new(Shared {
            asked: Mutex::default(),
            changed: Condvar::new(),
            tickets: AtomicU64::new(1),
        });
        let serving = Arc::clone(&shared);
        // It ends with the process, like the broker behind it.
        thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { break };
                // A broker that is not there refuses its clients.
                if let Ok(upstream) = TcpStream::connect(("127.0.0.1", broker)) {
                    connect(client, upstream, &serving);
                }
            }
        });
        Self { port, shared }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Looks from now on at produce requests to this topic, and does as the rule says.
    pub(crate) fn treat(&self, topic: &str, rule: impl FnMut(&str, i32) -> Treat + Send + 'static) {
        self.shared.asked().rules.insert(topic.to_owned(), Box::new(rule));
    }

    /// Gives how many requests of a client to a partition are held.
    pub(crate) fn held(&self, topic: &str, client: &str, partition: i32) -> usize {
        let key = (topic.to_owned(), client.to_owned(), partition);
        self.shared.asked().held.get(&key).copied().unwrap_or_default()
    }

    /// Lets go what is held of a client to a partition now.
    pub(crate) fn let_go(&self, topic: &str, client: &str, partition: i32) {
        let ticket = self.shared.tickets.fetch_add(1, Ordering::AcqRel);
        let key = (topic.to_owned(), client.to_owned(), partition);
        self.shared.asked().let_go.insert(key, ticket);
        self.shared.changed.notify_all();
    }

    /// Gives how many requests to a topic were treated otherwise than passed.
    pub(crate) fn treated(&self, topic: &str) -> u64 {
        self.shared.asked().treated.get(topic).copied().unwrap_or_default()
    }

    /// Writes an error code into the next answers of a kind to a client.
    pub(crate) fn inject(&self, client: &str, injected: Injected) {
        self.shared.asked().injected.insert(client.to_owned(), (injected, 0));
    }

    /// Writes no more error codes; gives how often one was written.
    pub(crate) fn end_injection(&self, client: &str) -> u64 {
        self.shared.asked().injected.remove(client).map_or(0, |(_, written)| written)
    }

    /// Gives how often an error code was written since it was asked for.
    pub(crate) fn written(&self, client: &str) -> u64 {
        self.shared.asked().injected.get(client).map_or(0, |(_, written)| *written)
    }
}

impl Shared {
    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what to do with a request; waits as long as it is held.
    fn admit(&self, request: &Request<'_>) -> Treat {
        let Some((topic, partition)) = request.produces_to() else { return Treat::Pass };
        let mut asked = self.asked();
        let rule = asked.rules.get_mut(&topic);
        let treat = rule.map_or(Treat::Pass, |rule| rule(&request.client, partition));
        if treat == Treat::Pass {
            return treat;
        }
        *asked.treated.entry(topic.clone()).or_default() += 1;
        if treat == Treat::Hold {
            let ticket = self.tickets.fetch_add(1, Ordering::AcqRel);
            let key = (topic, request.client.clone(), partition);
            *asked.held.entry(key.clone()).or_default() += 1;
            while asked.let_go.get(&key).is_none_or(|let_go| *let_go < ticket) {
                asked = self.changed.wait(asked).unwrap_or_else(PoisonError::into_inner);
            }
            *asked.held.entry(key).or_default() -= 1;
        }
        treat
    }

    /// Writes an error code into an answer when that is asked for.
    fn write_error(&self, client: &str, (api, version): (Api, i16), answer: &mut [u8]) {
        let mut asked = self.asked();
        let Some((injected, written)) = asked.injected.get_mut(client) else { return };
        if injected.api != api || injected.times == 0 {
            return;
        }
        if frames::write_error(api, version, answer, injected.code) {
            injected.times -= 1;
            *written += 1;
        }
    }
}

/// One connection: what was asked on it and is not answered yet.
#[derive(Default)]
struct Line {
    open: Mutex<HashMap<i32, Open>>,
}

/// A request that is not answered yet.
struct Open {
    client: String,
    api: i16,
    version: i16,
    /// Answers that come beyond the first and are swallowed.
    extra: u32,
    /// Whether its answer is lost, and the connection with it.
    lost: bool,
}

fn connect(client: TcpStream, upstream: TcpStream, shared: &Arc<Shared>) {
    let line = Arc::new(Line::default());
    for stream in [&client, &upstream] {
        stream.set_nodelay(true).expect("a fresh connection takes options");
    }
    let clone = |stream: &TcpStream| stream.try_clone().expect("a socket can be shared");
    let (from, to) = (clone(&client), clone(&upstream));
    let (serving, asking) = (Arc::clone(shared), Arc::clone(&line));
    thread::spawn(move || {
        // A request that was held goes on also when its client is gone.
        let _ = pass_requests(from, &to, &serving, &asking);
        let _ = to.shutdown(Shutdown::Write);
    });
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        let _ = pass_answers(upstream, &client, &shared, &line);
        let _ = client.shutdown(Shutdown::Both);
    });
}

fn read_frame(from: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut size = [0; 4];
    from.read_exact(&mut size)?;
    let size = usize::try_from(i32::from_be_bytes(size)).map_err(std::io::Error::other)?;
    let mut frame = vec![0; size];
    from.read_exact(&mut frame)?;
    Ok(frame)
}

fn write_frame(mut to: &TcpStream, frame: &[u8]) -> std::io::Result<()> {
    let size = i32::try_from(frame.len()).expect("a frame is small");
    let mut bytes = Vec::with_capacity(4 + frame.len());
    bytes.extend(size.to_be_bytes());
    bytes.extend(frame);
    to.write_all(&bytes)
}

fn pass_requests(
    mut from: TcpStream,
    to: &TcpStream,
    shared: &Shared,
    line: &Line,
) -> std::io::Result<()> {
    loop {
        let frame = read_frame(&mut from)?;
        let Some(request) = Request::read(&frame) else {
            write_frame(to, &frame)?;
            continue;
        };
        let treat = shared.admit(&request);
        let open = Open {
            client: request.client.clone(),
            api: request.api,
            version: request.version,
            extra: u32::from(treat == Treat::Repeat),
            lost: treat == Treat::LoseAnswer,
        };
        let of = |line: &Line| {
            line.open
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(request.correlation, open)
        };
        match treat {
            Treat::Drop => {
                let _ = from.shutdown(Shutdown::Both);
                return Ok(());
            }
            Treat::Repeat => {
                of(line);
                write_frame(to, &frame)?;
                write_frame(to, &frame)?;
            }
            Treat::Pass | Treat::Hold | Treat::LoseAnswer => {
                of(line);
                write_frame(to, &frame)?;
            }
        }
    }
}

fn pass_answers(
    mut from: TcpStream,
    to: &TcpStream,
    shared: &Shared,
    line: &Line,
) -> std::io::Result<()> {
    // Numbers of answers that are still to be swallowed.
    let mut extra: HashMap<i32, u32> = HashMap::new();
    loop {
        let mut frame = read_frame(&mut from)?;
        let Some(correlation) = frames::correlation(&frame) else { continue };
        let open = line.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&correlation);
        let Some(open) = open else {
            if let Some(left) = extra.get_mut(&correlation).filter(|left| **left > 0) {
                *left -= 1;
                continue;
            }
            // The answer to a request that has none of our numbers: pass it.
            write_frame(to, &frame)?;
            continue;
        };
        if open.lost {
            return Ok(());
        }
        if open.extra > 0 {
            extra.insert(correlation, open.extra);
        }
        if let Some(api) = Api::of(open.api) {
            frames::keep_versions_plain(api, &mut frame);
            shared.write_error(&open.client, (api, open.version), &mut frame);
        }
        // A client that is gone hears nothing more; what it sent goes on all the same.
        let _ = write_frame(to, &frame);
    }
}
