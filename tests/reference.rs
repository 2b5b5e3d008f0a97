//! The reference run: a million mixed commands from one seed. The state at the end is the same after a
//! replay, a restart and a rebuild (each run checks these itself, and fails where they differ), for any
//! batch size, and over a journal that loses, delays, repeats and re-orders appends, while rivals take
//! the partitions away.

mod common;
#[path = "common/kafka.rs"]
mod broker;
#[path = "common/postgres.rs"]
mod database;

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;

/// Commands of the run.
const COMMANDS: &str = "1000000";

fn bench(options: &[&str]) -> Value {
    bench_of(COMMANDS, options)
}

fn bench_of(commands: &str, options: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_tallybook"))
        .args([
            "--log",
            "error",
            "bench",
            "--workload",
            "reference",
            "--commands",
            commands,
            "--seed",
            "1",
        ])
        .args(["--http", "0"])
        .args(options)
        .output()
        .expect("the binary runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{options:?}: {errors}");
    let line = String::from_utf8(output.stdout).expect("stdout is text");
    eprintln!("{options:?}: {line}");
    serde_json::from_str(&line).expect("stdout is one JSON line")
}

fn digest(options: &[&str]) -> String {
    bench(options)["digest"].as_str().expect("a digest").to_owned()
}

#[test]
fn a_million_commands_give_the_same_state_whichever_way_they_go() {
    let kept = bench(&["--journal", "sqlite", "--views"]);
    let expected = kept["digest"].as_str().expect("a digest");
    assert_eq!(kept["commands"], 1_000_000);
    assert!(kept["accepted"].as_u64() > Some(900_000) && kept["rejected"].as_u64() > Some(10_000));
    assert!(kept["repeated"].as_u64() > Some(1_000));
    assert_eq!(kept["views"]["digest"].as_str().map(str::len), Some(64));
    // What a person reads when it is cold: how long until it answers again.
    assert!(kept["cold_start_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0));
    let ways: [&[&str]; 5] = [
        &["--journal", "memory", "--batch", "1"],
        &["--journal", "adversarial"],
        &["--journal", "memory", "--batch", "7"],
        &["--journal", "memory", "--partitions", "1"],
        &["--journal", "memory", "--batch", "4096"],
    ];
    // Two at a time: their speed is not looked at.
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(way) = ways.get(next.fetch_add(1, Ordering::Relaxed)) {
                    assert_eq!(digest(way), expected, "{way:?}");
                }
            });
        }
    });
}

/// The same rows, in files and in a database, folded and rebuilt (the run fails where they differ). A part
/// of the run: a row takes longer in a database.
#[test]
fn both_stores_have_the_same_rows() {
    let url = database::shared().database("reference");
    let run = bench_of("30000", &["--journal", "memory", "--views", "--postgres", &url]);
    assert_eq!(run["views"]["digest"].as_str().map(str::len), Some(64));
    assert_eq!(run["views"]["digest"], run["views_on_postgres"]["digest"]);
    assert_eq!(run["views"]["events"], run["views_on_postgres"]["events"]);
}

/// The same commands on both journals, folded into both stores: equal states, equal rows. A part of the
/// run, on one partition: on Kafka a turn of each kind is a fifth of what is asked, and one more comes
/// before it, as do sixty commands one at a time.
#[test]
fn both_journals_and_both_stores_come_to_the_same() {
    let run = |at: &[&str], database: &str| {
        let url = database::shared().database(database);
        let options = ["--customers", "300", "--partitions", "1", "--views", "--postgres", &url];
        [&options, at].concat().iter().map(|option| (*option).to_owned()).collect::<Vec<_>>()
    };
    let bench = |commands: &str, options: Vec<String>| {
        bench_of(commands, &options.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let kafka = ["--kafka", broker::shared()];
    let on_kafka = bench("24700", run(&kafka, "reference_kafka"));
    let embedded = bench("30000", run(&["--journal", "sqlite"], "reference_embedded"));
    assert_eq!(embedded["digest"].as_str().map(str::len), Some(64));
    assert_eq!(on_kafka["digest"], embedded["digest"]);
    assert_eq!(embedded["views"]["digest"].as_str().map(str::len), Some(64));
    for views in
        [&on_kafka["views"], &on_kafka["views_on_postgres"], &embedded["views_on_postgres"]]
    {
        assert_eq!(views["digest"], embedded["views"]["digest"]);
        assert_eq!(views["events"], embedded["views"]["events"]);
    }
}
