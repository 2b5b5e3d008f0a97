//! Losing power: a shim records what the server writes and syncs; from the record images are made of
//! what the disk could hold at many moments; on each a server starts, and nothing that was
//! acknowledged until then may be missing.
//!
//! The shared index of the write-ahead log (`-shm`) is mapped memory that SQLite never syncs: it makes
//! it anew when the first process opens the database. So an image holds garbage in its place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use crate::checker::{Asked, Fault, check, stored};
use crate::common::{ALL_SCOPES, Process, TENANT, make_key, tallybook, until_async};
use crate::image::{Luck, Operation, Record, Syncs, files};
use crate::kill::{ask_all, ready, spawn};
use crate::load::{Clients, Plan, Seeded, Wishes};

/// How many moments are cut out of one run.
const CUTS: u64 = 60;
/// So many commands are acknowledged in a run.
const ACKNOWLEDGED: u64 = 3_000;

/// One run under the shim.
struct Run {
    record: Record,
    asked: Vec<Asked>,
    key: String,
}

/// What a data folder was before the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// Nothing but a key: the journal is made in the run.
    Empty,
    /// A journal of a server that was killed.
    Used,
}

/// Compiles the shim.
fn shim(into: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/power/shim.c");
    let library = into.join("shim.so");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"])
        .args([&library, &source])
        .args(["-ldl", "-lpthread"])
        .status();
    assert!(compiled.expect("a C compiler (cc) is there").success(), "the shim does not compile");
    library
}

fn plan(seed: u64, first_client: usize) -> Plan {
    Plan { seed, clients: 16, customers: 30, most_at_once: 8, first_client, wishes: Wishes::Mixed }
}

/// Lets clients write until so many commands are acknowledged, then kills the server.
async fn write_and_kill(
    mut process: Process,
    key: &str,
    clients: Clients,
    told: u64,
) -> Vec<Asked> {
    clients.write_to(Some(ready(&mut process, key).await));
    until_async("acknowledged commands", || {
        assert_eq!(process.ended(), None, "serve ended: {}", process.stderr());
        std::future::ready((clients.told() >= told).then_some(()))
    })
    .await;
    process.kill();
    clients.abandon().await
}

async fn run(seed: u64, before: Before) -> Run {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let root = folder.path().canonicalize().expect("the folder is there");
    let data = root.join("data");
    std::fs::create_dir(&data).expect("a folder can be made");
    let key = make_key(&data, TENANT, "live", ALL_SCOPES).key;
    let mut asked = Vec::new();
    if before == Before::Used {
        let clients = Clients::start(plan(seed, 100));
        asked = write_and_kill(spawn(&data), &key, clients, ACKNOWLEDGED / 2).await;
    }
    let before = files(&data);
    let log = root.join("record");
    let mut command = tallybook();
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&data);
    command.env("LD_PRELOAD", shim(&root)).env("POWER_FOLDER", &data).env("POWER_LOG", &log);
    let marks = {
        let log = log.clone();
        Arc::new(move || std::fs::metadata(&log).expect("the record is there").len())
    };
    let clients = Clients::start_marking(plan(seed, 0), marks);
    asked.extend(write_and_kill(Process::spawn(command), &key, clients, ACKNOWLEDGED).await);
    let record = Record::read(before, &std::fs::read(log).expect("the record is there"));
    saw_everything(&record);
    Run { record, asked, key }
}

/// Fails unless the record holds what SQLite is known to do, and nothing that it cannot hold.
fn saw_everything(record: &Record) {
    let strange: Vec<&Operation> = record
        .operations
        .iter()
        .map(|(_, operation)| operation)
        .filter(|operation| matches!(operation, Operation::NotUnderstood { .. }))
        .collect();
    assert!(strange.is_empty(), "{strange:?}");
    let written = record.count(|operation| matches!(operation, Operation::Written { .. }));
    let synced = record.count(|operation| matches!(operation, Operation::SyncEnded { .. }));
    assert!(written > 1_000 && synced > 50, "{written} writes, {synced} syncs");
}

impl Run {
    /// Chooses a moment: often just when an answer came, when there is least time left to write.
    fn moment(&self, random: &mut Seeded) -> u64 {
        let pick = |random: &mut Seeded, many: usize| {
            usize::try_from(random.below(u64::try_from(many).expect("fits"))).expect("fits")
        };
        let operations = &self.record.operations;
        match random.below(10) {
            0 => operations[pick(random, operations.len().min(60))].0,
            1..4 => operations[pick(random, operations.len())].0,
            _ => self.asked[pick(random, self.asked.len())].mark,
        }
    }

    /// Gives what clients had been told until a moment.
    fn asked_until(&self, cut: u64) -> Vec<Asked> {
        let mut asked = self.asked.clone();
        for asked in &mut asked {
            if asked.mark > cut {
                asked.told = None;
            }
        }
        asked
    }

    /// Starts a server on what the disk could hold, and gives what is wrong then.
    async fn faults(&self, cut: u64, luck: Luck, syncs: Syncs, random: &mut Seeded) -> Vec<Fault> {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        put(folder.path(), self.record.image(cut, luck, syncs, random), random);
        let mut process = spawn(folder.path());
        let client = ready(&mut process, &self.key).await;
        let answers = ask_all(&client).await;
        process.signal("TERM");
        assert!(process.wait().success(), "{}", process.stderr());
        let mut checked = check(&stored::read(folder.path()), &self.asked_until(cut));
        checked.compare_answers(&answers);
        checked.compare_database(folder.path());
        checked.faults
    }
}

fn put(folder: &Path, image: BTreeMap<String, Vec<u8>>, random: &mut Seeded) {
    for (name, mut content) in image {
        if name.ends_with("-shm") {
            content.fill_with(|| random.next().to_le_bytes()[0]);
        }
        std::fs::write(folder.join(name), content).expect("a file can be written");
    }
}

async fn no_cut_loses_anything(seed: u64, before: Before) {
    let run = run(seed, before).await;
    let mut random = Seeded::new(seed);
    for number in 0..CUTS {
        let luck = match number % 5 {
            0 => Luck::None,
            1 => Luck::All,
            2 => Luck::Some(10),
            3 => Luck::Some(50),
            _ => Luck::Some(90),
        };
        let cut = run.moment(&mut random);
        let faults = run.faults(cut, luck, Syncs::Kept, &mut random).await;
        assert_eq!(faults, [], "seed {seed}, {before:?}, cut at {cut}, {luck:?}");
    }
}

#[tokio::test]
async fn no_loss_of_power_loses_what_was_acknowledged_while_a_journal_is_made() {
    no_cut_loses_anything(1, Before::Empty).await;
}

#[tokio::test]
async fn no_loss_of_power_loses_what_was_acknowledged_in_a_journal_that_was_there() {
    no_cut_loses_anything(2, Before::Used).await;
    no_cut_loses_anything(3, Before::Used).await;
}

/// The test can fail: on a disk that says that it has synced and has not, commands are lost.
#[tokio::test]
async fn a_disk_that_lies_about_syncs_is_found_out() {
    const TRIES: usize = 10;
    let run = run(4, Before::Used).await;
    let mut random = Seeded::new(4);
    let mut found = 0;
    for _ in 0..TRIES {
        let cut = run
            .moment(&mut random)
            .max(run.asked.iter().map(|asked| asked.mark).max().unwrap_or(0));
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        put(
            folder.path(),
            run.record.image(cut, Luck::Some(50), Syncs::Ignored, &mut random),
            &mut random,
        );
        let mut process = spawn(folder.path());
        let listens = until_async("a server that listens or ends", || {
            let listens = process.listening_on().map(|_| true);
            std::future::ready(listens.or(process.ended().map(|_| false)))
        })
        .await;
        process.kill();
        let lost = |fault: &Fault| matches!(fault, Fault::Lost { .. });
        let refused = !listens;
        found += usize::from(
            refused
                || check(&stored::read(folder.path()), &run.asked_until(cut))
                    .faults
                    .iter()
                    .any(lost),
        );
    }
    assert_eq!(found, TRIES);
}
