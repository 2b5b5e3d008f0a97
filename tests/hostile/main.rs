//! Hostile connections, from outside, at the built binary: slow ones, half ones, ten thousand idle ones,
//! bodies that stop, garbage, heads without end, abuse of HTTP/2. During each of them a well-behaved caller
//! goes on, on old and on new connections, and is answered in time.
//!
//! `witness` is that caller; `raw` speaks on bare sockets; `frames` writes HTTP/2 by hand.

#[path = "../common/mod.rs"]
mod common;
mod frames;
mod raw;
mod witness;

use std::time::{Duration, Instant};

use common::{Server, until_async};
use futures_util::future::join_all;
use raw::{Raw, said};
use tokio::task::JoinSet;
use witness::during;

/// How long the server gives a connection to say what it wants, and a body to come.
const PATIENCE: Duration = Duration::from_secs(10);
/// Callers of one kind at once.
const MANY: usize = 200;
/// Pause of a slow caller between two bytes.
const DRIP: Duration = Duration::from_millis(100);

/// Gives a request up to the end of its head.
fn head(server: &Server, length: usize) -> String {
    format!(
        "POST /api/v1/usage HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n",
        server.key.key
    )
}

/// Sends a text byte by byte until the server closes, and gives what the server said.
async fn drip(server: &Server, at_once: &str, slowly: &str) -> String {
    let mut connection = Raw::connect(server).await;
    connection.send(at_once).await;
    for byte in slowly.bytes().cycle() {
        if !connection.send_byte(byte).await {
            break;
        }
        tokio::time::sleep(DRIP).await;
    }
    connection.rest().await
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_who_are_slow_hold_up_nobody_and_are_cut() {
    let server = Server::start().await;
    let slow = async {
        let began = Instant::now();
        // A head that never ends, from its first byte on and in its middle; nothing at all.
        let a_head = "GET /livez HTTP/1.1\r\nhost: x\r\nslow: ";
        let heads = join_all((0..MANY).map(|_| drip(&server, a_head, "a")));
        let lines = join_all((0..MANY).map(|_| drip(&server, "", "G")));
        // A body that comes byte by byte, and one that stops: these have a key.
        let (a_body, stopped) = (head(&server, 60_000), head(&server, 1_000) + "{\"customer\"");
        let bodies = join_all((0..MANY).map(|_| drip(&server, &a_body, " ")));
        let stopped = join_all((0..MANY).map(|_| said(&server, &stopped)));
        let (heads, lines, bodies, stopped) = tokio::join!(heads, lines, bodies, stopped);
        assert!(began.elapsed() < 3 * PATIENCE, "they were cut after {:?}", began.elapsed());
        for answer in heads.iter().chain(&lines) {
            let cut = answer.is_empty() || answer.starts_with("HTTP/1.1 408 ");
            assert!(cut || answer.starts_with("HTTP/1.1 4"), "{answer}");
        }
        for answer in bodies.iter().chain(&stopped) {
            assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
            assert!(answer.contains(r#""code":"body_timeout""#), "{answer}");
        }
    };
    during(&server, slow).await;
    let metrics = server.client().get("/metrics").await.text;
    let cut = metrics.lines().find(|line| line.starts_with("tallybook_http_connections_cut_total"));
    assert!(cut.is_some(), "{metrics}");
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn half_closed_connections_hold_up_nobody() {
    let server = Server::start().await;
    let whole = "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
    let halves = async {
        for begun in
            ["", "GET /livez HT", "GET /livez HTTP/1.1\r\nhost: x\r\n", &head(&server, 500)]
        {
            let answers = join_all((0..MANY).map(|_| raw::half_closed(&server, begun))).await;
            for answer in answers {
                assert!(!answer.contains("HTTP/1.1 200"), "{begun:?} is answered: {answer}");
            }
        }
        // Who has said all is answered.
        for answer in join_all((0..MANY).map(|_| raw::half_closed(&server, whole))).await {
            assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        }
        // Who asks and goes away at once, with a reset.
        let rude = "GET /api/v1/customers HTTP/1.1\r\nhost: x\r\n\r\n".repeat(50);
        join_all((0..MANY).map(|_| raw::reset(&server, &rude))).await;
    };
    during(&server, halves).await;
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_stops_in_the_middle_changes_nothing() {
    let server = Server::start().await;
    let client = server.client();
    let customer = serde_json::json!({"key": "acme"});
    let before = client.post("/api/v1/customers", &customer).await.expect(201);
    let body = r#"{"customer":{"key":"acme"},"reports":[{"report_id":"r","occurred_at":"2026-01-01T00:00:00Z","meter":"m","quantity":"1","cost":"1"}]}"#;
    let stops = async {
        for length in [1, body.len() / 2, body.len() - 1] {
            let cut = head(&server, body.len()) + &body[..length];
            let chunked = head(&server, 0)
                .replace("content-length: 0", "transfer-encoding: chunked")
                + &format!("{:x}\r\n{}", body.len(), &body[..length]);
            for text in [&cut, &chunked] {
                join_all((0..MANY).map(|_| raw::reset(&server, text))).await;
                for answer in join_all((0..MANY).map(|_| raw::half_closed(&server, text))).await {
                    assert!(!answer.contains("HTTP/1.1 200"), "{answer}");
                }
            }
        }
    };
    during(&server, stops).await;
    let after = client.get("/api/v1/customers/acme").await.expect(200);
    assert_eq!(after["usage"]["lifetime"], before["usage"]["lifetime"]);
    assert_eq!(after["version"], before["version"]);
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_ends_its_own_connection_only() {
    let server = Server::start().await;
    let whole = "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
    let garbage = async {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        for round in 0..MANY {
            let noise: Vec<u8> = std::iter::repeat_with(|| {
                // xorshift: the same noise in each run.
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                seed.to_le_bytes()[0]
            })
            .take(1 + 40 * round)
            .collect();
            let mut pipelined = Raw::connect(&server).await;
            pipelined.send(&whole.repeat(3)).await;
            pipelined.send_bytes(&noise).await;
            pipelined.send("\r\n\r\n").await;
            pipelined.end().await;
            let answer = pipelined.rest().await;
            assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 3, "{answer}");
            let mut bare = Raw::connect(&server).await;
            bare.send_bytes(&noise).await;
            bare.end().await;
            assert!(!bare.rest().await.contains("HTTP/1.1 200"), "noise is answered");
        }
        // What one server could take for one request and another for two.
        let two = "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
        for smuggled in [
            "POST /livez HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
            "POST /livez HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            "POST /livez HTTP/1.1\r\nhost: x\r\ncontent-length: +5\r\n\r\nhello",
            "GET /livez HTTP/1.1\r\nhost: x\r\n bad : folded\r\n\r\n",
            "GET /livez HTTP/9.9\r\nhost: x\r\n\r\n",
            "GET  /livez HTTP/1.1\r\nhost: x\r\n\r\n",
        ] {
            let answer = said(&server, &format!("{smuggled}{two}")).await;
            assert!(!answer.contains("HTTP/1.1 200"), "{smuggled}: {answer}");
        }
    };
    during(&server, garbage).await;
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_without_end_are_refused() {
    let server = Server::start().await;
    let line = |name: &str, size: usize| format!("{name}: {}\r\n", "x".repeat(size));
    let heads = async {
        let begun = "GET /livez HTTP/1.1\r\nhost: x\r\n";
        let long_line = format!("{begun}{}\r\n", line("a", 1 << 20));
        let many_lines = format!("{begun}{}\r\n", line("a", 1).repeat(20_000));
        let long_name = format!("{begun}{}\r\n", line(&"n".repeat(1 << 17), 1));
        let long_path = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "p".repeat(1 << 20));
        for head in [long_line, many_lines, long_name, long_path] {
            for answer in join_all((0..20).map(|_| said(&server, &head))).await {
                // Whoever still sends when the server closes may see no answer.
                let refused = ["HTTP/1.1 431 ", "HTTP/1.1 414 ", "HTTP/1.1 400 "];
                let told = answer.is_empty() || refused.iter().any(|no| answer.starts_with(no));
                assert!(told, "{}", answer.chars().take(200).collect::<String>());
            }
        }
    };
    during(&server, heads).await;
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn abuse_of_http_2_ends_its_own_connection_only() {
    let server = Server::start().await;
    let abuse = async {
        for (name, attack) in frames::ATTACKS {
            let mut attackers = JoinSet::new();
            for _ in 0..10 {
                let connection = Raw::connect(&server).await;
                attackers.spawn(frames::attack(connection, *attack));
            }
            let mut sent = Vec::new();
            while let Some(frames) = attackers.join_next().await {
                sent.push(frames.expect("an attacker does not panic"));
            }
            assert!(sent.iter().all(|frames| *frames < frames::ENOUGH), "{name}: {sent:?}");
        }
    };
    during(&server, abuse).await;
    server.stop();
}

/// Connections that asked once and say no more: the server keeps them for more than a minute.
const IDLE: usize = 10_000;
/// Connections that never said anything: these it keeps for ten seconds.
const SILENT: usize = 1_000;
/// Files that this test needs beside them.
const BESIDE: usize = 500;
/// Connections that are opened at a time.
const AT_ONCE: usize = 100;

/// Gives how many connections the server has.
async fn held(server: &Server) -> usize {
    let metrics = server.client().get("/metrics").await.text;
    let mut lines = metrics.lines();
    let held = lines.find_map(|line| line.strip_prefix("tallybook_http_connections "));
    held.and_then(|held| held.parse().ok()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_idle_connections_are_held_and_others_served() {
    raw::may_open((IDLE + SILENT + BESIDE) as u64);
    let server = Server::start().await;
    let memory = server.memory();
    let idle = async {
        let mut idle = Vec::with_capacity(IDLE);
        while idle.len() < IDLE {
            let some = (0..AT_ONCE).map(async |_| {
                let mut connection = Raw::connect(&server).await;
                connection.ask().await;
                connection
            });
            idle.extend(join_all(some).await);
        }
        assert!(held(&server).await >= IDLE);
        let each = server.memory().saturating_sub(memory) / IDLE as u64;
        assert!(each < 64 << 10, "{each} bytes for each");
        let silent = join_all((0..SILENT).map(|_| Raw::connect(&server))).await;
        until_async("all of them at once", async || {
            (held(&server).await >= IDLE + SILENT / 2).then_some(())
        })
        .await;
        drop(silent);
        // They are open still.
        for some in idle.chunks_mut(AT_ONCE) {
            join_all(some.iter_mut().map(Raw::ask)).await;
        }
    };
    during(&server, idle).await;
    server.stop();
}
