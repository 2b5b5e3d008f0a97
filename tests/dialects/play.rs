//! Plays the recordings of a dialect against a server of its own, and counts.

use std::path::Path;
use std::thread;

use http::Method;

use super::common::{Client, Reply, Server};
use super::keys::Keys;
use super::ordered::Ordered;
use super::pattern::{Kept, compare, fill, matches};
use super::recorded::{Scenario, Send, Shown, Step, scenarios};

/// Scenarios whose keys are made at a time.
const AT_A_TIME: usize = 8;

/// A scenario, its file, its tenant and its keys.
type Prepared = (String, Scenario, String, Keys);

/// Plays all scenarios of a dialect. At least so many of their pairs must be about the dialect, and one
/// of these must be the vendor's own example.
pub(crate) async fn play(dialect: &str, at_least: usize) {
    play_with(dialect, at_least, &[]).await;
}

/// The same, with further arguments of `serve`.
pub(crate) async fn play_with(dialect: &str, at_least: usize, arguments: &[&str]) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let prepared = tokio::task::block_in_place(|| prepare(dialect, folder.path(), arguments));
    let server = Server::start_in(folder.path(), arguments).await;
    let mut wrong = Vec::new();
    for (file, scenario, tenant, keys) in &prepared {
        if let Err(what) = play_one(&server, scenario, keys, keys.kept(tenant)).await {
            wrong.push(format!("{file}: {}: {what}", scenario.about));
        }
    }
    server.stop();
    assert!(wrong.is_empty(), "{} scenarios differ:\n{}", wrong.len(), wrong.join("\n"));
    let steps = || prepared.iter().flat_map(|(_, scenario, _, _)| &scenario.steps);
    let counted = steps().filter(|step| step.counts).count();
    assert!(counted >= at_least, "{counted} pairs are recorded of {dialect}, not {at_least}");
    assert!(steps().any(|step| step.counts && step.seed), "{dialect}'s own example is missing");
}

/// Reads the scenarios and makes their keys, several at a time: on Kafka each waits for a while.
fn prepare(dialect: &str, data: &Path, arguments: &[&str]) -> Vec<Prepared> {
    let scenarios: Vec<_> = scenarios(dialect).into_iter().enumerate().collect();
    let make = |(number, (file, scenario)): (usize, (String, Scenario))| {
        let tenant = format!("{dialect}-{number}");
        let keys = Keys::make(data, arguments, &tenant, &scenario);
        (file, scenario, tenant, keys)
    };
    let mut prepared = Vec::with_capacity(scenarios.len());
    let mut rest = scenarios.into_iter().peekable();
    while rest.peek().is_some() {
        let few: Vec<_> = rest.by_ref().take(AT_A_TIME).collect();
        prepared.extend(thread::scope(|scope| {
            let threads: Vec<_> = few.into_iter().map(|one| scope.spawn(|| make(one))).collect();
            let done = threads.into_iter().map(|thread| thread.join().expect("keys are made"));
            done.collect::<Vec<_>>()
        }));
    }
    prepared
}

async fn play_one(
    server: &Server,
    scenario: &Scenario,
    keys: &Keys,
    mut kept: Kept,
) -> Result<(), String> {
    for (number, step) in scenario.steps.iter().enumerate() {
        let reply = send(server, &step.send, keys, &kept).await;
        check(step, &reply, &mut kept)
            .map_err(|what| format!("step {}: {what}\n    {reply}", number + 1))?;
    }
    Ok(())
}

async fn send(server: &Server, send: &Send, keys: &Keys, kept: &Kept) -> Reply {
    let method: Method = send.method.parse().expect("a method");
    let client = Client::new(&server.url, None);
    let mut request = client.request(method, &fill(&send.path, kept));
    if let Some(key) = keys.text(&send.key) {
        request = match send.shown {
            Shown::Bearer => request.bearer_auth(key),
            Shown::XApiKey => request.header("x-api-key", key),
        };
    }
    let typed = send.headers.keys().any(|name| name.eq_ignore_ascii_case("content-type"));
    if send.body.is_some() && !typed {
        request = request.header("content-type", "application/json");
    }
    for (name, value) in &send.headers {
        request = request.header(name, fill(value, kept));
    }
    if let Some(body) = &send.body {
        request = request.body(fill(&raw_or_json(body.get(), "$raw"), kept));
    }
    client.send(request).await
}

/// Gives JSON as it is written, or the text that an object with this one member holds.
fn raw_or_json(json: &str, member: &str) -> String {
    let read = Ordered::read(json).expect("recordings are JSON");
    match read.member(member).and_then(Ordered::text) {
        Some(text) => text.to_owned(),
        None => json.to_owned(),
    }
}

fn check(step: &Step, reply: &Reply, kept: &mut Kept) -> Result<(), String> {
    if reply.status != step.status {
        return Err(format!("status {} was recorded", step.status));
    }
    for (name, recorded) in &step.headers {
        let answered = reply.header(name);
        let same = match (recorded, answered) {
            (Some(recorded), Some(answered)) => matches(&fill(recorded, kept), answered),
            (recorded, answered) => recorded.is_none() && answered.is_none(),
        };
        if !same {
            return Err(format!("header {name}: recorded {recorded:?}, answered {answered:?}"));
        }
    }
    if let Some(body) = &step.body {
        let recorded = Ordered::read(body.get()).expect("recordings are JSON");
        if let Some(text) = recorded.member("$text").and_then(Ordered::text) {
            if !matches(&fill(text, kept), &reply.text) {
                return Err(format!("body: recorded the text {text:?}"));
            }
        } else {
            let answered = Ordered::read(&reply.text).map_err(|error| format!("body: {error}"))?;
            compare(&recorded, &answered, kept).map_err(|what| format!("body {what}"))?;
        }
    }
    for (name, pointer) in &step.keep {
        let answered = Ordered::read(&reply.text).map_err(|error| format!("body: {error}"))?;
        let value = answered.at(pointer).and_then(Ordered::text);
        let value = value.ok_or_else(|| format!("nothing to keep at {pointer}"))?;
        kept.insert(name.clone(), value.to_owned());
    }
    Ok(())
}
