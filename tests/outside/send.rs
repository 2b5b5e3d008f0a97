//! `send` from outside, against a server that does as the test says: it counts what arrives, and can
//! refuse, break down and have no room.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use crate::common::{Ran, run, tallybook};
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use serde_json::{Value, json};

/// What the server answers to a request of so many commands, the n-th from 0.
type Rule = fn(request: usize, commands: &[Value]) -> Response;

/// A server of `POST /api/v1/commands`.
struct Fake {
    url: String,
    requests: Arc<Mutex<Vec<Vec<Value>>>>,
}

impl Fake {
    async fn start(rule: Rule) -> Self {
        let requests: Arc<Mutex<Vec<Vec<Value>>>> = Arc::default();
        let kept = Arc::clone(&requests);
        let answer = move |body: String| async move {
            let commands: Vec<Value> = serde_json::from_str(&body).expect("an array is sent");
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.push(commands.clone());
            rule(kept.len() - 1, &commands)
        };
        let router = Router::new().route("/api/v1/commands", post(answer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it has an address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, requests }
    }

    /// Gives all commands that arrived, in their order.
    fn commands(&self) -> Vec<Value> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).concat()
    }

    fn send(&self, arguments: &[&str], file: &Path) -> Command {
        let mut command = tallybook();
        command.args(["send", "--key", "k", "--output", "json", "--url", &self.url]);
        command.args(arguments).arg(file);
        command
    }
}

/// Runs a command beside the server of this test.
async fn run_beside(mut command: Command) -> Ran {
    tokio::task::spawn_blocking(move || run(&mut command)).await.expect("it runs")
}

fn accepted(commands: &[Value]) -> Response {
    let answer = |command: &Value| json!({"status": 200, "command_id": command["command_id"], "outcome": "accepted"});
    axum::Json(commands.iter().map(answer).collect::<Vec<_>>()).into_response()
}

fn line(customer: usize, number: usize) -> String {
    format!(r#"{{"type":"UpdateCustomer","customer":{{"key":"c{customer}"}},"n":{number}}}"#)
}

/// Makes a file of lines for `customers` customers in turn.
fn file_of(folder: &Path, customers: usize, lines: usize) -> std::path::PathBuf {
    let path = folder.join("commands.jsonl");
    let text: Vec<String> = (0..lines).map(|n| line(n % customers, n)).collect();
    std::fs::write(&path, text.join("\n")).expect("it is written");
    path
}

fn state_of(file: &Path) -> std::path::PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".tallybook-send");
    name.into()
}

fn counts(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("no counts: {ran:?}"))
}

/// Gives the numbers of each customer's lines in the order of their arrival.
fn by_customer(commands: &[Value]) -> BTreeMap<String, Vec<u64>> {
    let mut found: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for command in commands {
        let customer = command["customer"]["key"].as_str().expect("it has a key").to_owned();
        found.entry(customer).or_default().push(command["n"].as_u64().expect("it has a number"));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn all_lines_arrive_once_and_those_of_a_customer_in_their_order() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = file_of(folder.path(), 7, 1_000);
    let fake = Fake::start(|_, commands| accepted(commands)).await;
    let ran = run_beside(fake.send(&["--batch", "20", "--in-flight", "4"], &file)).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert_eq!(
        counts(&ran),
        json!({"lines": 1_000, "accepted": 1_000, "rejected": 0, "deferred": 0, "malformed": 0})
    );
    let arrived = by_customer(&fake.commands());
    let expected: BTreeMap<String, Vec<u64>> = (0..7)
        .map(|customer| {
            (format!("c{customer}"), (0..1_000).filter(|n| n % 7 == customer).collect())
        })
        .collect();
    assert_eq!(arrived, expected);
    let requests = fake.requests.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(requests.iter().all(|request| request.len() <= 20), "a batch is bounded");
    assert!(!state_of(&file).exists(), "the state file goes when all is done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_cut_goes_on_with_the_same_command_ids() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = file_of(folder.path(), 1, 100);
    let fake = Fake::start(|request, commands| match request {
        // The second request is decided, but its answer is lost.
        1 => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        _ => accepted(commands),
    })
    .await;
    let arguments = ["--batch", "10", "--in-flight", "1"];
    let cut = run_beside(fake.send(&arguments, &file)).await;
    assert_eq!((cut.code, cut.stdout.as_str()), (Some(1), ""));
    assert!(cut.stderr.contains("stopped after line 10"), "{}", cut.stderr);
    assert!(state_of(&file).exists());
    let first_run = fake.commands();
    let done = run_beside(fake.send(&arguments, &file)).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(counts(&done)["accepted"], 100);
    assert!(!state_of(&file).exists());
    let second_run = fake.commands().split_off(first_run.len());
    assert_eq!(first_run.len(), 20);
    assert_eq!(second_run.len(), 90, "the ten lines that were answered are not sent again");
    assert_eq!(second_run[..10], first_run[10..], "what may be decided is sent with its ids");
    // A file that was sent to its end is new when it is sent again.
    let again = run_beside(fake.send(&arguments, &file)).await;
    assert_eq!(counts(&again)["accepted"], 100);
    let third_run = fake.commands().split_off(110);
    assert_ne!(third_run[0]["command_id"], first_run[0]["command_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_file_under_the_same_name_is_a_conflict() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = file_of(folder.path(), 1, 10);
    let fake = Fake::start(|_, _| StatusCode::INTERNAL_SERVER_ERROR.into_response()).await;
    assert_eq!(run_beside(fake.send(&[], &file)).await.code, Some(1));
    std::fs::write(&file, "{}\n").expect("it is written");
    let ran = run_beside(fake.send(&[], &file)).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(4), ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_lines_are_told_counted_and_end_in_a_failure() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("commands.jsonl");
    let text = [line(1, 0), "not JSON".into(), String::new(), line(1, 1), line(1, 2), line(1, 3)];
    std::fs::write(&file, text.join("\n")).expect("it is written");
    let answers = folder.path().join("answers.jsonl");
    let fake = Fake::start(|_, commands| match commands {
        // The server takes the whole request or none of it when one is malformed.
        [one] if one["n"] == 3 => {
            let problem =
                json!({"status": 400, "code": "malformed", "detail": "no", "pointer": "/n"});
            (StatusCode::BAD_REQUEST, axum::Json(problem)).into_response()
        }
        many if many.iter().any(|one| one["n"] == 3) => StatusCode::BAD_REQUEST.into_response(),
        [one] if one["n"] == 1 => {
            let rejection = json!({"code": "unknown_tier", "detail": "no such tier"});
            axum::Json([json!({"status": 422, "outcome": "rejected", "rejection": rejection})])
                .into_response()
        }
        [one] if one["n"] == 2 => {
            axum::Json([json!({"status": 202, "outcome": "deferred"})]).into_response()
        }
        many => accepted(many),
    })
    .await;
    let answers_text = answers.to_str().expect("a plain path");
    let ran = run_beside(fake.send(&["--answers", answers_text], &file)).await;
    assert_eq!(ran.code, Some(1));
    assert_eq!(
        counts(&ran),
        json!({"lines": 6, "accepted": 1, "rejected": 1, "deferred": 1, "malformed": 2})
    );
    for told in [
        "line 2: is not a JSON object",
        "line 4: 422 unknown_tier no such tier",
        "line 6: the server answered 400 malformed: /n: no",
        "error: 3 lines were refused",
    ] {
        assert!(ran.stderr.contains(told), "{told} is missing in {}", ran.stderr);
    }
    let answers = std::fs::read_to_string(answers).expect("answers are written");
    let kept: Vec<Value> = answers.lines().flat_map(serde_json::from_str).collect();
    let lines: Vec<_> = kept.iter().map(|kept| kept["line"].as_u64()).collect();
    assert_eq!(lines, [Some(1), Some(4), Some(5)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_room_is_asked_again() {
    let fake = Fake::start(|request, commands| match request {
        0 => (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "0")]).into_response(),
        1 => {
            let answers = commands.iter().enumerate().map(|(at, _)| match at {
                0 => json!({"status": 200, "outcome": "accepted"}),
                _ => json!({"status": 503, "problem": {"code": "full"}}),
            });
            axum::Json(answers.collect::<Vec<_>>()).into_response()
        }
        _ => accepted(commands),
    })
    .await;
    let mut command = fake.send(&["--in-flight", "1"], Path::new("-"));
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    // In one write, so that the lines are likely to go in one batch; any other split is as good.
    let text = format!("{}\n{}\n{}\n", line(1, 0), line(1, 1), line(1, 2));
    let mut stdin = child.stdin.take().expect("stdin is piped");
    stdin.write_all(text.as_bytes()).expect("it reads");
    drop(stdin);
    let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await;
    let output = output.expect("it ends").expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let counts: Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
    assert_eq!(
        counts,
        json!({"lines": 3, "accepted": 3, "rejected": 0, "deferred": 0, "malformed": 0})
    );
    let mut ids: BTreeMap<String, u64> = BTreeMap::new();
    for command in fake.commands() {
        let id = command["command_id"].as_str().expect("each command has an id").to_owned();
        ids.insert(id, command["n"].as_u64().expect("it has a number"));
    }
    assert_eq!(ids.len(), 3, "what is sent again has the same id");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_refused_ends_the_run_at_once() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = file_of(folder.path(), 5, 50);
    let fake = Fake::start(|_, _| StatusCode::UNAUTHORIZED.into_response()).await;
    let ran = run_beside(fake.send(&["--batch", "1", "--in-flight", "2"], &file)).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    assert!(ran.stderr.contains("the server answered 401"), "{}", ran.stderr);
    assert!(fake.commands().len() <= 2, "each lane stops after its first refusal");
}
