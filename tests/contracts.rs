//! The contracts hold: what is served and printed is `OpenAPI` 3.1, and the server does what it says.

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use common::python::Python;
use common::{ALL_SCOPES, Client, Server, TENANT, make_key, run, tallybook};
use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The APIs, each with a document.
const APIS: [&str; 6] = ["autumn", "flexprice", "native", "proxy", "respan", "zerodrift"];
/// Fewest requests that schemathesis sends over all documents.
const FEWEST_REQUESTS: u64 = 20_000;
/// Customers that are there when it begins: as many as the dictionaries of its settings name.
const CUSTOMERS: usize = 12;
/// Customers that nothing deletes on purpose: the hooks name them.
const KEPT: usize = 4;
/// Commands that are there: their ids end with these.
const COMMANDS: [&str; 2] = ["10", "11"];
/// Runs of schemathesis at once: one for each of two processors.
const LANES: usize = 2;
/// How long one run may take, on a busy machine too.
const RUN_DEADLINE: Duration = Duration::from_mins(15);
/// How long to wait between two looks at a run.
const POLL: Duration = Duration::from_millis(50);

/// What schemathesis does, and what no document can say.
const SETTINGS: &str = include_str!("python/schemathesis.toml");
const HOOKS: &str = include_str!("python/hooks.py");

/// Checks each document of an object by the meta-schema, and prints what is wrong.
const META: &str = "
import json, sys
from openapi_spec_validator import OpenAPIV31SpecValidator
for name, document in json.load(sys.stdin).items():
    for error in OpenAPIV31SpecValidator(document).iter_errors():
        print(name, list(error.path), error.message[:500])
";

/// Gives the environment with the tools that check documents and what is served by them.
fn tools() -> Python {
    Python::with("tests/python/requirements.txt")
}

/// Gives the documents as they are printed.
fn printed() -> BTreeMap<String, Value> {
    let ran = run(tallybook().arg("openapi"));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    serde_json::from_str(&ran.stdout).expect("an object with a document for each API")
}

#[test]
fn every_document_keeps_to_the_meta_schema() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let documents = folder.path().join("documents.json");
    let text = serde_json::to_string(&printed()).expect("JSON");
    std::fs::write(&documents, text).expect("it is written");
    let checked = |documents: &Path| {
        let input = std::fs::File::open(documents).expect("it was written");
        run(tools().command().args(["-c", META]).stdin(input))
    };
    let ran = checked(&documents);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(0), "", ""));
    // The check can fail.
    std::fs::write(&documents, r#"{"x": {"openapi": "3.1.0", "paths": {"y": 1}}}"#)
        .expect("written");
    assert_ne!(checked(&documents).stdout, "");
}

#[tokio::test]
async fn what_is_served_is_what_is_printed_and_needs_no_key() {
    let server = Server::start().await;
    let nobody = Client::new(&server.url, None);
    let printed = printed();
    assert_eq!(printed.keys().collect::<Vec<_>>(), APIS);
    for (name, document) in &printed {
        let one = run(tallybook().args(["openapi", name]));
        assert_eq!(serde_json::from_str::<Value>(&one.stdout).expect("JSON"), *document, "{name}");
        let path = place(document);
        let reply = nobody.get(&path).await;
        assert_eq!((reply.status, reply.json()), (200, document.clone()), "{path}");
        let tag = reply.header("etag").expect("a tag").to_owned();
        let again = nobody.request(Method::GET, &path).header("if-none-match", &tag);
        let again = nobody.send(again).await;
        assert_eq!(
            (again.status, again.header("etag"), again.text.as_str()),
            (304, Some(&*tag), "")
        );
    }
    let none = run(tallybook().args(["openapi", "nobody"]));
    assert_eq!((none.code, none.stdout.as_str()), (Some(3), ""));
    server.stop();
}

/// Gives where a document is served.
fn place(document: &Value) -> String {
    let base = document["servers"][0]["url"].as_str().expect("a base");
    format!("{}/openapi.json", base.trim_end_matches('/'))
}

/// One run of schemathesis over a document.
#[derive(Debug)]
struct Checked {
    name: String,
    passed: bool,
    /// Requests by status, as the server counted them.
    answers: BTreeMap<u16, u64>,
    /// Operations of which no request was accepted.
    never_accepted: Vec<String>,
    seconds: u64,
    printed: String,
}

#[test]
fn the_server_does_what_each_document_says() {
    let began = Instant::now();
    let waiting = Mutex::new(by_size(printed()));
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                while let Some((name, document)) = next(&waiting) {
                    let checked = check(&name, &document);
                    done.lock().expect("no lane panics while it holds this").push(checked);
                }
            });
        }
    });
    let done = done.into_inner().expect("no lane panics while it holds this");
    for Checked { name, passed, answers, seconds, .. } in &done {
        eprintln!("{name}: {answers:?} in {seconds} s, passed: {passed}");
    }
    for checked in &done {
        assert!(checked.passed, "{}\n{}", checked.name, checked.printed);
        assert_eq!(checked.never_accepted, Vec::<String>::new(), "{}", checked.name);
        let failed = checked.answers.keys().filter(|status| **status >= 500);
        assert_eq!(failed.count(), 0, "{}: {:?}", checked.name, checked.answers);
    }
    assert_eq!(done.len(), APIS.len());
    let requests: u64 = done.iter().flat_map(|checked| checked.answers.values()).sum();
    eprintln!("{requests} requests in {} s", began.elapsed().as_secs());
    assert!(requests >= FEWEST_REQUESTS, "only {requests} requests were sent");
}

/// Gives the documents with the smallest first: the largest is taken first, from the end.
fn by_size(documents: BTreeMap<String, Value>) -> Vec<(String, Value)> {
    let mut documents: Vec<_> = documents.into_iter().collect();
    documents.sort_by_key(|(_, document)| document.to_string().len());
    documents
}

fn next(waiting: &Mutex<Vec<(String, Value)>>) -> Option<(String, Value)> {
    waiting.lock().expect("no lane panics while it holds this").pop()
}

/// Runs what is awaited.
fn block<T>(awaited: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made").block_on(awaited)
}

/// Runs schemathesis over a document, against a server of its own with customers in it.
fn check(name: &str, document: &Value) -> Checked {
    let server = block(async {
        let server = Server::start().await;
        fill(&server.client()).await;
        server
    });
    let before: u64 = answers(&server).values().sum();
    let began = Instant::now();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let others = make_key(server.data(), "other", "live", ALL_SCOPES).key;
    let location = format!("{}{}", server.url, place(document));
    let passed = schemathesis(&server, document, &others, &location, &[], &folder);
    let seconds = began.elapsed().as_secs();
    let mut answers = answers(&server);
    // What filled it, and each look at the counts, is no request of schemathesis.
    *answers.entry(200).or_default() -= before + 1;
    let read = |file: &str| std::fs::read_to_string(folder.path().join(file)).unwrap_or_default();
    let report: Value = serde_json::from_str(&read("report.json")).unwrap_or_default();
    let printed = read("printed.txt") + &server.stderr();
    server.stop();
    let never_accepted = never_accepted(document, &report);
    Checked { name: name.to_owned(), passed, answers, never_accepted, seconds, printed }
}

/// Gives how many requests the server has answered, by status.
fn answers(server: &Server) -> BTreeMap<u16, u64> {
    let told = block(async { server.client().get("/metrics").await });
    let mut answers = BTreeMap::new();
    for line in told.text.lines().filter(|line| line.starts_with("tallybook_http_requests_total{"))
    {
        let (labels, count) = line.rsplit_once(' ').expect("a count behind the labels");
        let (_, status) = labels.split_once("status=\"").expect("a status");
        let status = status.trim_end_matches("\"}").parse().expect("a status is a number");
        *answers.entry(status).or_default() += count.parse::<u64>().expect("a number");
    }
    answers
}

/// Makes what requests can be about.
async fn fill(client: &Client) {
    let keys = (0..CUSTOMERS).map(|number| format!("acme-{number}"));
    for key in keys.chain((0..KEPT).map(|number| format!("kept-{number}"))) {
        let customer = json!({"key": key, "profile": {"name": "Acme", "email": "a@acme.example"}});
        client.post("/api/v1/customers", &customer).await.expect(201);
        let report = json!({"report_id": "r", "occurred_at": "2026-01-31T23:59:58Z", "meter": "tokens",
                            "quantity": "1200", "cost": "30"});
        let usage = json!({"customer": {"key": key}, "reports": [report]});
        client.post("/api/v1/usage", &usage).await.expect(200);
    }
    for end in COMMANDS {
        let command = json!({"command_id": format!("7b0c2a52-5f0e-4d0c-9f0e-0a4f5a4f3a{end}"),
                             "type": "UpdateCustomer", "customer": {"key": "acme-0"}, "patch": {}});
        client.post("/api/v1/commands", &command).await.expect(200);
    }
}

/// Gives two users of an API, in the form that schemathesis reads: ours, and one who must see nothing of it.
fn users(document: &Value, ours: &str, others: &str) -> Value {
    let operations = document["paths"].as_object().expect("paths").values().map(Value::as_object);
    let mut operations = operations.flatten().flat_map(|path| path.values());
    // The first way is the usual one.
    let bearer = operations.any(|operation| operation["security"][0].get("bearer").is_some());
    let user = |name: &str, key: &str| {
        let header = if bearer {
            json!({"name": "Authorization", "value": format!("Bearer {key}")})
        } else {
            json!({"name": "x-api-key", "value": key})
        };
        json!({"name": name, "fixedHeaders": [header]})
    };
    json!({"auth": [user("ours", ours), user("others", others)]})
}

/// Runs it with our settings, in the folder. What it prints and its report are files there.
fn schemathesis(
    server: &Server,
    document: &Value,
    others: &str,
    location: &str,
    arguments: &[&str],
    folder: &TempDir,
) -> bool {
    let printed = std::fs::File::create(folder.path().join("printed.txt")).expect("a file");
    // It leaves what it learnt where it runs; there, the next run would begin with it.
    let users = users(document, &server.key.key, others).to_string();
    for (name, text) in
        [("schemathesis.toml", SETTINGS), ("hooks.py", HOOKS), ("users.json", &users)]
    {
        std::fs::write(folder.path().join(name), text).expect("it is written");
    }
    let mut st: Command = tools().tool("st");
    st.args(["--config-file", "schemathesis.toml", "run", location])
        .args(["--report", "json", "--report-json-path"])
        .arg(folder.path().join("report.json"))
        .args(arguments)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(printed.try_clone().expect("a file has a second handle"))
        .stderr(printed);
    let mut child = st.spawn().expect("schemathesis is installed");
    let deadline = Instant::now() + RUN_DEADLINE;
    loop {
        if let Some(status) = child.try_wait().expect("our own child can be waited for") {
            return status.success();
        }
        if Instant::now() > deadline {
            child.kill().expect("our own child can be ended");
            child.wait().expect("our own child can be waited for");
            return false;
        }
        std::thread::sleep(POLL);
    }
}

/// Gives the operations of a document of which no request was accepted: nothing was checked there. The
/// one that gives the document is used by schemathesis itself, and left out by it.
fn never_accepted(document: &Value, report: &Value) -> Vec<String> {
    let paths = document["paths"].as_object().expect("paths");
    let operations = paths.iter().flat_map(|(path, operations)| {
        let methods = operations.as_object().expect("operations").keys();
        methods.map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    let accepted = |operation: &String| {
        let phases = report["valid_rates"][operation].as_object().into_iter().flatten();
        phases.filter_map(|(_, rates)| rates["accepted"].as_u64()).sum::<u64>()
    };
    let tried = operations.filter(|operation| !operation.ends_with(" /openapi.json"));
    tried.filter(|operation| accepted(operation) == 0).collect()
}

/// Has schemathesis look at a server by a document that was made wrong, and gives what it says.
fn told(server: &Server, document: &Value, others: &str, more: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    std::fs::write(folder.path().join("wrong.json"), document.to_string()).expect("it is written");
    let base = format!("{}/zerodrift", server.url);
    let arguments = [&["--url", &base, "--max-examples", "5"], more].concat();
    let passed = schemathesis(server, document, others, "wrong.json", &arguments, &folder);
    let printed =
        std::fs::read_to_string(folder.path().join("printed.txt")).expect("it was written");
    assert_eq!(passed, !printed.contains("FAILURES"), "{printed}");
    printed
}

#[test]
fn what_no_document_says_is_found() {
    let server = block(async {
        let server = Server::start().await;
        fill(&server.client()).await;
        server
    });
    let others = make_key(server.data(), "other", "live", ALL_SCOPES).key;
    let document = &printed()["zerodrift"];
    let all = ["--phases", "fuzzing,stateful"];
    let one = ["--phases", "fuzzing", "--include-operation-id", "listCustomers"];
    let right = told(&server, document, &others, &all);
    assert!(!right.contains("FAILURES"), "{right}");
    // A member that no answer has.
    let mut wrong = document.clone();
    let list = "/paths/~1admin~1customers/get/responses";
    let shape = format!("{list}/200/content/application~1json/schema");
    *wrong.pointer_mut(&shape).expect("the answer has a shape") = json!({"required": ["nothing"]});
    let found = told(&server, &wrong, &others, &one);
    assert!(found.contains("Response violates schema"), "{found}");
    // A status that the document leaves out.
    let mut wrong = document.clone();
    let replies = wrong.pointer_mut(list).and_then(Value::as_object_mut).expect("answers");
    replies.remove("200").expect("it was there");
    let found = told(&server, &wrong, &others, &one);
    assert!(found.contains("Undocumented status code"), "{found}");
    // Two users who see each other's customers: their keys are of one tenant. What both may list would
    // be taken for shared.
    let mut wrong = document.clone();
    let listed = wrong.pointer_mut("/paths/~1admin~1customers").and_then(Value::as_object_mut);
    listed.expect("a path").remove("get").expect("it was there");
    let same = make_key(server.data(), TENANT, "live", ALL_SCOPES).key;
    let found = told(&server, &wrong, &same, &all);
    assert!(found.contains("`others` received the"), "{found}");
    server.stop();
}
