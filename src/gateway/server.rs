//! The listener: connections in, requests to the router, and an end that answers what was accepted.
//!
//! Every connection is bounded: in number, in the size and time of a request's head, in idleness. When
//! there are as many as there may be, idle ones go to let new ones in. HTTP/1.1 and HTTP/2 (with prior knowledge) are told apart by their first bytes. With TLS the same
//! bounds hold, and one more on the time of the handshake.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use metrics::counter;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::connections::{Activity, Connections, Idleness, Look, OpenConnection, OpenRequest};
use super::observe::Peer;
use super::tls::Tls;

/// Most connections at once, unless told otherwise.
pub const MAX_CONNECTIONS: usize = 16_384;
/// Most bytes of a request's head, and of the buffer that it is read into.
const MAX_HEAD: usize = 32 * 1024;
/// Most headers of a request.
const MAX_HEADERS: usize = 100;
/// Most requests at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 256;
/// How often an HTTP/2 connection is asked whether it lives, and how long it has to answer.
const PING_EVERY: Duration = Duration::from_secs(20);
/// How long to wait after the system refused to accept a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long to wait before idle connections are looked for again, when none had gone.
const SHED_PAUSE: Duration = Duration::from_millis(50);

/// Connections that were cut because they were too slow.
const CUT: &str = "tallybook_http_connections_cut_total";
/// Handshakes of TLS that failed.
const HANDSHAKES_FAILED: &str = "tallybook_tls_handshakes_failed_total";

/// Bounds of the listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// Most connections; for further ones idle ones must go, or they wait in the system's queue.
    pub connections: usize,
    /// How long the handshake of TLS may take.
    pub handshake_timeout: Duration,
    /// How long a connection may take until its first request has its whole head.
    pub head_timeout: Duration,
    /// How long a connection may be without a request, later; the head of the next one included.
    pub idle_timeout: Duration,
    /// How long open requests may take once the server is to stop.
    pub drain_timeout: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: MAX_CONNECTIONS,
            handshake_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            drain_timeout: Duration::from_secs(30),
        }
    }
}

/// What all connections share.
#[derive(Clone)]
struct Serving {
    router: Router,
    limits: ServerLimits,
    tls: Option<Arc<Tls>>,
    stopping: watch::Receiver<bool>,
}

/// Serves connections, with TLS or without, until `shutdown` is done, then answers what was accepted,
/// and gives how many connections had to be cut after [`ServerLimits::drain_timeout`].
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    router: Router,
    limits: ServerLimits,
    shutdown: impl Future<Output = ()> + Send,
) -> usize {
    let (stop, stopping) = watch::channel(false);
    let room = Arc::new(Semaphore::new(limits.connections));
    let serving = Serving { router, limits, tls, stopping };
    let mut connections = JoinSet::new();
    let mut known = Connections::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let place = tokio::select! {
            () = &mut shutdown => break,
            place = place(&room, &mut known, &mut connections) => place,
        };
        let served = serve_stream(stream, known.begin(), serving.clone());
        connections.spawn(async move {
            served.await;
            drop(place);
        });
    }
    drop(listener);
    // Without a receiver there is no connection to tell.
    let _ = stop.send(true);
    let drained = async { while connections.join_next().await.is_some() {} };
    let in_time = tokio::time::timeout(limits.drain_timeout, drained).await.is_ok();
    let cut = if in_time { 0 } else { connections.len() };
    if cut > 0 {
        tracing::warn!(connections = cut, "cut connections that took too long to close");
    }
    connections.shutdown().await;
    cut
}

/// Waits for a place for a connection. When there is none, idle ones must go.
async fn place(
    room: &Arc<Semaphore>,
    known: &mut Connections,
    connections: &mut JoinSet<()>,
) -> OwnedSemaphorePermit {
    loop {
        if let Ok(place) = Arc::clone(room).try_acquire_owned() {
            return place;
        }
        known.shed();
        tokio::select! {
            Some(_) = connections.join_next() => {}
            () = tokio::time::sleep(SHED_PAUSE) => {}
        }
    }
}

async fn serve_stream(stream: TcpStream, activity: Arc<Activity>, mut serving: Serving) {
    // Only costs time when it fails.
    let _ = stream.set_nodelay(true);
    let _counted = OpenConnection::begin();
    // Without one it has gone already.
    let peer = stream.peer_addr().ok().map(Peer);
    let Some(tls) = serving.tls.take() else {
        return serve_connection(TokioIo::new(stream), peer, activity, serving).await;
    };
    let handshake = TlsAcceptor::from(tls.config()).accept(stream);
    let handshake = tokio::time::timeout(serving.limits.handshake_timeout, handshake);
    let stream = tokio::select! {
        done = handshake => done,
        // Nothing was asked on it yet.
        _ = serving.stopping.changed() => return,
        () = activity.told_to_go() => return,
    };
    match stream {
        Ok(Ok(stream)) => serve_connection(TokioIo::new(stream), peer, activity, serving).await,
        // The caller's: it speaks no TLS, or none that is taken here, or does not trust us.
        Ok(Err(error)) => {
            counter!(HANDSHAKES_FAILED).increment(1);
            tracing::debug!(error = &error as &dyn std::error::Error, "a handshake failed");
        }
        Err(_) => counter!(CUT).increment(1),
    }
}

async fn serve_connection<S>(
    stream: S,
    peer: Option<Peer>,
    activity: Arc<Activity>,
    serving: Serving,
) where
    S: Read + Write + Unpin + Send + 'static,
{
    let Serving { router, limits, mut stopping, .. } = serving;
    let service = service_fn(|mut request: Request<Incoming>| {
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        let open = OpenRequest::begin(&activity);
        let answer = router.clone().oneshot(request);
        async move {
            let answer: Result<Response, Infallible> = answer.await;
            drop(open);
            answer
        }
    });
    let builder = builder(limits);
    let mut connection = pin!(builder.serve_connection(stream, service));
    let mut idleness = Idleness::new(limits);
    let mut asked_to_stop = false;
    loop {
        tokio::select! {
            // An error here is the caller's: it broke the protocol, was too slow or went away.
            _ = connection.as_mut() => return,
            // When the sender is gone, the server is too: the same.
            _ = stopping.changed(), if !asked_to_stop => {
                asked_to_stop = true;
                idleness.close();
                connection.as_mut().graceful_shutdown();
            }
            () = activity.told_to_go() => match idleness.go(&activity) {
                Look::Busy => {}
                Look::AskToClose => connection.as_mut().graceful_shutdown(),
                Look::Cut => return,
            },
            () = tokio::time::sleep_until(idleness.next_look) => match idleness.look(&activity) {
                Look::Busy => {}
                Look::AskToClose => connection.as_mut().graceful_shutdown(),
                Look::Cut => {
                    counter!(CUT).increment(1);
                    return;
                }
            },
        }
    }
}

fn builder(limits: ServerLimits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // Who has said all may wait for the answer.
        .half_close(true)
        .header_read_timeout(limits.idle_timeout)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
        .max_concurrent_streams(MAX_STREAMS)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_EVERY);
    builder
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpStream as Stream};

    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;
    use tokio::time::Instant;

    use super::*;
    use crate::gateway::testing::Fixture;

    /// How long a test waits before it gives up.
    const DEADLINE: Duration = Duration::from_secs(20);
    const SHORT: Duration = Duration::from_millis(100);

    struct Running {
        address: SocketAddr,
        stop: oneshot::Sender<()>,
        done: JoinHandle<usize>,
    }

    impl Running {
        async fn start(fixture: &Fixture, limits: ServerLimits) -> Self {
            Self::start_with(fixture, None, limits).await
        }

        async fn start_with(
            fixture: &Fixture,
            tls: Option<Arc<Tls>>,
            limits: ServerLimits,
        ) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let (stop, stopped) = oneshot::channel();
            let shutdown = async { stopped.await.unwrap() };
            let router = fixture.router.clone();
            let done = tokio::spawn(serve(listener, tls, router, limits, shutdown));
            Self { address, stop, done }
        }

        fn connect(&self) -> Stream {
            let stream = Stream::connect(self.address).unwrap();
            stream.set_read_timeout(Some(DEADLINE)).unwrap();
            stream
        }

        async fn stop(self) -> usize {
            self.stop.send(()).unwrap();
            tokio::time::timeout(DEADLINE, self.done).await.expect("the server ends").unwrap()
        }
    }

    /// Writes, then reads until the server closes.
    fn exchange(mut stream: Stream, text: &str) -> String {
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the server closes in time");
        answer
    }

    fn patch(fixture: &Fixture) -> String {
        format!(
            "PATCH /api/v1/customers/acme HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\n\
             content-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}",
            fixture.key
        )
    }

    async fn until(condition: impl Fn() -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !condition() {
            assert!(Instant::now() < deadline, "waited too long");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_was_accepted_is_answered_after_the_end_was_asked_for() {
        let fixture = Fixture::new();
        let running = Running::start(&fixture, ServerLimits::default()).await;
        let held = fixture.inbox.gate.lock().await;
        let (stream, idle) = (running.connect(), running.connect());
        let request = patch(&fixture);
        let client = tokio::task::spawn_blocking(move || exchange(stream, &request));
        until(|| !fixture.inbox.asked().is_empty()).await;
        let address = running.address;
        let stopping = tokio::spawn(running.stop());
        until(|| Stream::connect(address).is_err()).await;
        assert!(!client.is_finished() && !stopping.is_finished());
        drop(held);
        let answer = client.await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with('}'), "the whole answer came: {answer}");
        assert_eq!(stopping.await.unwrap(), 0);
        assert_eq!(exchange_nothing(idle), "");
    }

    fn exchange_nothing(mut stream: Stream) -> String {
        let mut answer = String::new();
        // A reset is an end too.
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_end_comes_even_when_an_answer_does_not() {
        let fixture = Fixture::new();
        let limits = ServerLimits { drain_timeout: SHORT, ..ServerLimits::default() };
        let running = Running::start(&fixture, limits).await;
        let _held = fixture.inbox.gate.lock().await;
        let mut stream = running.connect();
        stream.write_all(patch(&fixture).as_bytes()).unwrap();
        until(|| !fixture.inbox.asked().is_empty()).await;
        assert_eq!(running.stop().await, 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_caller_whose_head_does_not_come_is_cut() {
        let fixture = Fixture::new();
        let limits =
            ServerLimits { head_timeout: SHORT, idle_timeout: SHORT, ..ServerLimits::default() };
        let running = Running::start(&fixture, limits).await;
        for begun in ["", "G", "PRI * HTTP/2.0\r\n", "GET /livez HTTP/1.1\r\nhost: x\r\nslow: "] {
            let stream = running.connect();
            let answer = tokio::task::spawn_blocking(move || exchange(stream, begun));
            let answer = tokio::time::timeout(DEADLINE, answer).await.expect("cut").unwrap();
            assert_eq!(answer, "", "after {begun:?}");
        }
        let stream = running.connect();
        let kept = "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
        let answer = tokio::task::spawn_blocking(move || exchange(stream, kept)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "an idle connection is cut later: {answer}");
        assert_eq!(running.stop().await, 0);
    }

    fn tls() -> Arc<Tls> {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        Arc::new(Tls::new(certificate.as_bytes(), key.as_bytes()).unwrap())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_caller_whose_handshake_does_not_come_is_cut_and_holds_no_place_for_ever() {
        let fixture = Fixture::new();
        let limits =
            ServerLimits { connections: 1, handshake_timeout: SHORT, ..ServerLimits::default() };
        let running = Running::start_with(&fixture, Some(tls()), limits).await;
        // A handshake of 512 bytes is announced, and does not come.
        for begun in ["", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}"] {
            let stream = running.connect();
            let answer = tokio::task::spawn_blocking(move || exchange(stream, begun));
            let answer = tokio::time::timeout(DEADLINE, answer).await.expect("cut").unwrap();
            assert_eq!(answer, "", "after {begun:?}");
        }
        assert_eq!(running.stop().await, 0);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_end_does_not_wait_for_a_handshake() {
        let fixture = Fixture::new();
        let running = Running::start_with(&fixture, Some(tls()), ServerLimits::default()).await;
        let stream = running.connect();
        let began = Instant::now();
        assert_eq!(running.stop().await, 0);
        assert!(began.elapsed() < ServerLimits::default().handshake_timeout);
        assert_eq!(exchange_nothing(stream), "");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn heads_are_bounded() {
        let fixture = Fixture::new();
        let running = Running::start(&fixture, ServerLimits::default()).await;
        let long = format!("GET /livez HTTP/1.1\r\nlong: {}\r\n\r\n", "x".repeat(MAX_HEAD));
        let many = "a: b\r\n".repeat(MAX_HEADERS + 1);
        let many = format!("GET /livez HTTP/1.1\r\n{many}\r\n");
        for head in [long, many] {
            let stream = running.connect();
            let answer =
                tokio::task::spawn_blocking(move || exchange(stream, &head)).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
        }
        assert_eq!(running.stop().await, 0);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_caller_that_sends_too_much_still_reads_why() {
        let fixture = Fixture::new();
        let running = Running::start(&fixture, ServerLimits::default()).await;
        for told in [true, false] {
            let (stream, size) = (running.connect(), 3 * 1024 * 1024);
            let body = " ".repeat(size);
            let (length, body) = if told {
                (format!("content-length: {size}"), body)
            } else {
                (
                    "transfer-encoding: chunked".to_owned(),
                    format!("{size:x}\r\n{body}\r\n0\r\n\r\n"),
                )
            };
            let request = format!(
                "POST /api/v1/usage HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\nconnection: close\r\n\
                 content-type: application/json\r\n{length}\r\n\r\n{body}",
                fixture.key
            );
            let answer = tokio::task::spawn_blocking(move || exchange(stream, &request));
            let answer = answer.await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        }
        assert_eq!(running.stop().await, 0);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn more_connections_than_allowed_wait_for_their_turn() {
        let fixture = Fixture::new();
        let limits = ServerLimits { connections: 1, ..ServerLimits::default() };
        let running = Running::start(&fixture, limits).await;
        let held = fixture.inbox.gate.lock().await;
        let request = patch(&fixture).replace("host: x", "host: x\r\nconnection: close");
        let clients: Vec<_> = (0..3)
            .map(|_| {
                let (stream, request) = (running.connect(), request.clone());
                tokio::task::spawn_blocking(move || exchange(stream, &request))
            })
            .collect();
        until(|| !fixture.inbox.asked().is_empty()).await;
        assert_eq!(fixture.inbox.asked().len(), 1);
        drop(held);
        for client in clients {
            let answer = client.await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer:?}");
        }
        assert_eq!(running.stop().await, 0);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn idle_connections_make_room_for_new_ones() {
        let fixture = Fixture::new();
        let limits = ServerLimits { connections: 4, ..ServerLimits::default() };
        let running = Running::start(&fixture, limits).await;
        let began = Instant::now();
        let mut idle: Vec<Stream> = Vec::new();
        for _ in 0..12 {
            idle.push(running.connect());
            let asks = running.connect();
            let request = "GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
            let answer = tokio::task::spawn_blocking(move || exchange(asks, request)).await;
            assert!(answer.unwrap().starts_with("HTTP/1.1 200 OK"));
        }
        assert!(began.elapsed() < limits.head_timeout, "{:?}", began.elapsed());
        let first = idle.remove(0);
        let told = tokio::task::spawn_blocking(move || exchange_nothing(first)).await;
        assert_eq!(told.unwrap(), "", "the one that was idle for longest had to go");
        drop(idle);
        assert_eq!(running.stop().await, 0);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_has_said_all_still_gets_the_answer() {
        let fixture = Fixture::new();
        let running = Running::start(&fixture, ServerLimits::default()).await;
        let held = fixture.inbox.gate.lock().await;
        let (mut stream, request) = (running.connect(), patch(&fixture));
        let client = tokio::task::spawn_blocking(move || {
            stream.write_all(request.as_bytes()).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            exchange_nothing(stream)
        });
        until(|| !fixture.inbox.asked().is_empty()).await;
        drop(held);
        let answer = client.await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with('}'), "{answer}");
        assert_eq!(running.stop().await, 0);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn http_2_is_told_by_its_first_bytes() {
        let fixture = Fixture::new();
        let running = Running::start(&fixture, ServerLimits::default()).await;
        let mut stream = running.connect();
        let first = tokio::task::spawn_blocking(move || {
            let empty_settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
            stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
            stream.write_all(&empty_settings).unwrap();
            let mut frame = [0; 9];
            stream.read_exact(&mut frame).unwrap();
            frame
        });
        assert_eq!(first.await.unwrap()[3], 4, "the server's first frame is SETTINGS");
        assert_eq!(running.stop().await, 0);
    }
}
