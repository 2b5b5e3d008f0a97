//! `serve` from outside: how it begins, who may have a folder, how it ends.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::common::{Client, Process, Server, make_key, run, tallybook, until, until_async};
use serde_json::json;

fn lines_that_begin_with<'a>(text: &'a str, beginning: &str) -> Vec<&'a str> {
    text.lines().filter(|line| line.starts_with(beginning)).collect()
}

/// Gives `serve` on a folder, on a free port.
fn serve(data: &std::path::Path) -> Command {
    let mut command = tallybook();
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_start_makes_a_key_and_prints_it_once() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let data = folder.path().join("data");
    let printed = |process: &mut Process| {
        let url = until("the line `listening on`", || process.listening_on());
        let stderr = process.stderr();
        let keys: Vec<String> = stderr
            .split_whitespace()
            .filter(|word| word.starts_with("tb_live_"))
            .map(str::to_owned)
            .collect();
        (url, keys)
    };
    let mut first = Process::spawn(serve(&data));
    let (url, keys) = printed(&mut first);
    let folder_bits = std::fs::metadata(&data).expect("the folder is made").permissions();
    assert_eq!(
        folder_bits.mode() & 0o777,
        0o700,
        "only its owner may look into a folder that is made"
    );
    let [key] = keys.as_slice() else { panic!("one key is printed, not {keys:?}") };
    let made = Client::new(&url, Some(key)).post("/api/v1/customers", &json!({"key": "a"})).await;
    let made = made.expect(201);
    assert_eq!((&made["tenant"], &made["environment"]), (&json!("default"), &json!("live")));
    first.signal("INT");
    assert!(first.wait().success());
    let stderr = first.stderr();
    assert_eq!(lines_that_begin_with(&stderr, "listening on http://127.0.0.1:").len(), 1);
    // The second start finds the key and prints none; the key still opens the door.
    let mut second = Process::spawn(serve(&data));
    let (url, keys) = printed(&mut second);
    assert_eq!(keys, Vec::<String>::new());
    let found = Client::new(&url, Some(key)).get("/api/v1/customers/a").await;
    assert_eq!(found.expect(200), made);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_decided_is_there_after_a_stop_and_after_a_kill() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let server = Server::start_in(folder.path(), &[]).await;
    let client = server.client();
    client.post("/api/v1/customers", &json!({"key": "a"})).await.expect(201);
    server.stop();
    let server = Server::start_in(folder.path(), &[]).await;
    let client = server.client();
    let body = json!({"contract": {"tier": "growth"}});
    let changed = client.patch("/api/v1/customers/a", &body).await.expect(200);
    server.kill();
    let server = Server::start_in(folder.path(), &[]).await;
    let found = server.client().get("/api/v1/customers/a").await.expect(200);
    assert_eq!(found, changed);
    assert_eq!(found["contract"]["tier"], "growth");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_has_one_server() {
    let server = Server::start().await;
    let ran = run(&mut serve(server.data()));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(6), ""));
    let told = format!("another process has the journal in {}", server.data().display());
    assert!(ran.stderr.contains(&told), "{}", ran.stderr);
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_is_told() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let address = server.url.strip_prefix("http://").expect("a plain address");
    let ran = run(tallybook().args(["serve", "--listen", address, "--data"]).arg(folder.path()));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    assert!(ran.stderr.contains(address), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_made_and_revoked_beside_a_server_count_within_a_second() {
    let server = Server::start().await;
    let key = make_key(server.data(), "t", "live", "read");
    let began = std::time::Instant::now();
    let client = server.client_with(&key.key);
    until_async("the new key", async || {
        (client.get("/api/v1/customers").await.status == 200).then_some(())
    })
    .await;
    let revoked = run(tallybook().args(["keys", "revoke", &key.id, "--data"]).arg(server.data()));
    assert_eq!(revoked.code, Some(0), "{}", revoked.stderr);
    until_async("the end of the revoked key", async || {
        (client.get("/api/v1/customers").await.status == 401).then_some(())
    })
    .await;
    // Twice a second at most, and what a busy machine needs to start two processes.
    assert!(began.elapsed() < std::time::Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_stopped_answers_what_it_has_accepted() {
    let server = Server::start().await;
    let client = server.client();
    let asked: Vec<_> = (0..32)
        .map(|n| {
            let client = client.clone();
            tokio::spawn(async move {
                let body = json!({"key": format!("c{n}")});
                client
                    .try_send(client.request(http::Method::POST, "/api/v1/customers").json(&body))
                    .await
            })
        })
        .collect();
    server.signal("TERM");
    let mut answered = 0;
    for asked in asked {
        // Whoever comes too late finds nobody; whoever was let in gets a decision.
        if let Ok(reply) = asked.await.expect("it does not panic") {
            assert!([201, 503].contains(&reply.status), "{reply}");
            answered += usize::from(reply.status == 201);
        }
    }
    let data = server.data().to_owned();
    let copy = tempfile::tempdir().expect("a temporary folder can be made");
    let mut server = server;
    assert!(server.wait().success(), "{}", server.stderr());
    for entry in std::fs::read_dir(&data).expect("the folder is there") {
        let entry = entry.expect("it can be listed");
        // Snapshots are but a cache: without them all is read.
        if entry.path().is_dir() {
            continue;
        }
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).expect("it is copied");
    }
    let again = Server::start_in(copy.path(), &[]).await;
    let listed = again.client().get("/api/v1/customers?limit=100").await.expect(200);
    let listed = listed["items"].as_array().map_or(0, Vec::len);
    assert!(listed >= answered, "{answered} were answered, {listed} are there");
}

#[tokio::test(flavor = "multi_thread")]
async fn tiers_come_from_the_settings_file() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("own.toml");
    let text = "[tiers.gold]\nannual_commitment = '12.50'\nrate_per_second = 9\n";
    std::fs::write(&file, text).expect("it is written");
    let file = file.to_str().expect("a plain path");
    let server = Server::start_with(&["--config", file]).await;
    let client = server.client();
    let gold = json!({"key": "a", "contract": {"tier": "gold"}});
    let made = client.post("/api/v1/customers", &gold).await.expect(201);
    assert_eq!(made["contract"]["annual_commitment"], "12.5");
    assert_eq!(made["contract"]["rate_per_second"], 9);
    let builtin = json!({"contract": {"tier": "growth"}});
    let refused = client.patch("/api/v1/customers/a", &builtin).await.expect(422);
    assert_eq!(refused["code"], "unknown_tier");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_partitions_is_that_of_the_first_start() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let server = Server::start_in(folder.path(), &["--partitions", "2"]).await;
    server.stop();
    let ran = run(serve(folder.path()).args(["--partitions", "3"]));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(4), ""), "{}", ran.stderr);
    let server = Server::start_in(folder.path(), &[]).await;
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_answered_on_the_command_line() {
    let server = Server::start().await;
    let client = server.client();
    let body = json!({"key": "acme", "profile": {"name": "=Acme"}, "contract": {"tier": "growth"}});
    client.post("/api/v1/customers", &body).await.expect(201);
    client.patch("/api/v1/customers/acme", &json!({"profile": {"name": "Acme"}})).await.expect(200);
    let usage = json!({"customer": {"key": "acme"}, "reports": [{"report_id": "r",
        "occurred_at": "2026-01-31T12:00:00Z", "meter": "tokens", "quantity": "10", "cost": "0.25"}]});
    client.post("/api/v1/usage", &usage).await.expect(200);
    let ask = |arguments: &[&str]| {
        let mut command = tallybook();
        command.env("TALLYBOOK_URL", &server.url).env("TALLYBOOK_KEY", &server.key.key);
        run(command.args(arguments))
    };
    let data = |arguments: &[&str]| {
        let ran = ask(arguments);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{arguments:?}");
        ran.stdout
    };
    let json_of = |arguments: &[&str]| -> serde_json::Value {
        serde_json::from_str(&data(arguments)).expect("it prints JSON")
    };
    let document = client.get("/api/v1/customers/acme").await.expect(200);
    assert_eq!(json_of(&["customers", "show", "acme", "--output", "json"]), document);
    assert_eq!(json_of(&["customers", "list", "--output", "json"]), json!([document]));
    let tiers = data(&["customers", "list", "--tier", "growth", "--output", "jsonl"]);
    assert_eq!(tiers.lines().count(), 1);
    assert_eq!(data(&["customers", "list", "--tier", "scale", "--output", "jsonl"]), "");
    let old = json_of(&["customers", "show", "acme", "--version", "2", "--output", "json"]);
    assert_eq!((&old["version"], &old["profile"]["name"]), (&json!(2), &json!("=Acme")));
    let csv = data(&["customers", "show", "acme", "--version", "2", "--output", "csv"]);
    assert!(csv.contains(r#""'=Acme""#), "{csv}");
    let early = ask(&["customers", "show", "acme", "--as-of", "2020-01-01T00:00:00Z"]);
    assert_eq!((early.code, early.stdout.as_str()), (Some(3), ""));
    let history = json_of(&["customers", "history", "acme", "--output", "json"]);
    let types: Vec<_> = history
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|item| item["event"]["type"].as_str())
        .collect();
    assert_eq!(
        types,
        [
            "CustomerCreated.v1",
            "CustomerUpdated.v1",
            "TierChanged.v1",
            "CustomerUpdated.v1",
            "UsageRecorded.v1"
        ]
    );
    let month = data(&["usage", "show", "acme", "--kind", "month", "--output", "csv"]);
    assert_eq!(
        month,
        "kind,start,end,raw,charged,quantity,count,budget,first_at,last_at\r\n\
         month,2026-01-01T00:00:00Z,2026-02-01T00:00:00Z,0.25,0.25,10,1,,\
         2026-01-31T12:00:00Z,2026-01-31T12:00:00Z\r\n"
    );
    let nobody = ask(&["customers", "show", "nobody"]);
    assert_eq!((nobody.code, nobody.stdout.as_str()), (Some(3), ""));
    let wrong = run(tallybook()
        .args(["customers", "list", "--key", "tb_live_x_y", "--url"])
        .arg(&server.url));
    assert_eq!((wrong.code, wrong.stdout.as_str()), (Some(1), ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_go_over_many_pages() {
    let server = Server::start().await;
    let create = |n| json!({"type": "CreateCustomer", "customer": {"key": format!("c{n:03}")}});
    let lines: Vec<String> = (0..450).map(|n| create(n).to_string()).collect();
    let file = server.data().join("commands.jsonl");
    std::fs::write(&file, lines.join("\n")).expect("it is written");
    let mut send = tallybook();
    send.args(["send", "--output", "json", "--url", &server.url, "--key", &server.key.key]);
    let ran = run(send.arg(&file));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let counts: serde_json::Value = serde_json::from_str(&ran.stdout).expect("it prints JSON");
    assert_eq!(counts["accepted"], 450);
    let list = |arguments: &[&str]| {
        let mut command = tallybook();
        command.args(["customers", "list", "--output", "jsonl", "--url", &server.url]);
        let ran = run(command.args(["--key", &server.key.key]).args(arguments));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let key = |line: &str| {
            let item: serde_json::Value = serde_json::from_str(line).expect("it prints JSON");
            item["key"].as_str().expect("it has a key").to_owned()
        };
        ran.stdout.lines().map(key).collect::<Vec<_>>()
    };
    let mut all = list(&[]);
    all.sort();
    assert_eq!(all, (0..450).map(|n| format!("c{n:03}")).collect::<Vec<_>>());
    assert_eq!(list(&["--limit", "3"]).len(), 3);
    assert_eq!(list(&["--limit", "201"]).len(), 201);
    assert_eq!(list(&["--limit", "0"]), Vec::<String>::new());
}
