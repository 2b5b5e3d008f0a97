//! Does a partition begin from a snapshot as if it had read all of its journal, and from none that is
//! not whole, not of this build, or not of this journal?

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::processor::snapshot::{EVERY, Snapshots};

const PARTITIONS: u32 = 2;

fn snapshots(folder: &Path) -> Snapshots {
    Snapshots::new(folder.to_owned(), "this build", EVERY)
}

fn with_snapshots(journal: impl Journal, folder: &Path) -> Running {
    start(ProcessorConfig { snapshots: Some(snapshots(folder)), ..config(journal, "one") })
}

/// Does some of everything, and leaves a snapshot of each partition.
fn worked(journal: &MemoryJournal, folder: &Path, seed: u64, commands: usize) -> [u8; 32] {
    let running = with_snapshots(journal.reopen(), folder);
    let mut generator = Generator::new(Workload::Reference, seed, 50);
    for _ in 0..4 {
        running.send(generator.take(commands / 4));
    }
    running.ask(&create(&format!("k{seed}")));
    running.ask(&rename(&format!("k{seed}"), &format!("l{seed}")));
    digest(&running.stop())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn loaded(journal: &dyn Journal, folder: &Path) -> Vec<Option<(Partition, PartitionState)>> {
    let load = |partition| {
        let (chain, state) = snapshots(folder).load(journal, partition)?;
        let end = journal.bounds(partition).unwrap().end;
        assert_eq!(chain.checkpoint().offset, end, "nothing was written since");
        Some((partition, state))
    };
    (0..PARTITIONS).map(Partition).map(load).collect()
}

#[test]
fn a_snapshot_is_what_a_replay_comes_to() {
    for seed in 1..5 {
        let (journal, folder) = (MemoryJournal::new(PARTITIONS), tempfile::tempdir().unwrap());
        let expected = worked(&journal, folder.path(), seed, 2_000);
        let replay = replayed(&journal);
        assert_eq!(digest(&replay), expected);
        let loaded: Option<Vec<_>> = loaded(&journal, folder.path()).into_iter().collect();
        let loaded = loaded.expect("a snapshot of each partition");
        for ((_, one), (_, other)) in loaded.iter().zip(&replay) {
            for (id, record) in other.records() {
                assert_eq!(one.record(id), record);
            }
            assert_eq!(one.len(), other.len());
            assert_eq!((one.decided_at, one.last_source), (other.decided_at, other.last_source));
            let memory = |state: &PartitionState| {
                let generations = state.memory.generations();
                let sorted = |(since, places): (Timestamp, _)| {
                    let mut places: Vec<_> = Iterator::collect(places);
                    places.sort_unstable();
                    (since, places)
                };
                generations.map(sorted).collect::<Vec<(Timestamp, Vec<(u64, u64)>)>>()
            };
            assert_eq!(memory(one), memory(other));
        }
    }
}

#[test]
fn what_was_asked_before_a_restart_is_answered_alike_after_it() {
    let (journal, folder) = (MemoryJournal::new(PARTITIONS), tempfile::tempdir().unwrap());
    for round in 0..4 {
        worked(&journal, folder.path(), round, 400);
        assert!(files(folder.path()).len() <= 4, "two of each partition: {folder:?}");
    }
    let running = with_snapshots(journal.reopen(), folder.path());
    let again = running.ask(&create("k2"));
    assert!(again.repeated, "{again:?}");
    assert_eq!(versions(&again), (0, 1));
    running.ask(&name("l2", "L"));
    assert_eq!(digest(&running.stop()), digest(&replayed(&journal)));
}

#[test]
fn a_snapshot_that_is_torn_or_changed_is_left_aside() {
    let (journal, folder) = (MemoryJournal::new(PARTITIONS), tempfile::tempdir().unwrap());
    let expected = worked(&journal, folder.path(), 7, 400);
    for path in files(folder.path()) {
        let whole = fs::read(&path).unwrap();
        let line = whole.iter().position(|byte| *byte == b'\n').unwrap();
        let places = [0, 1, line / 2, line, line + 1, line + 40, whole.len() / 2, whole.len() - 33];
        let torn = places.into_iter().chain([whole.len() - 1]).map(|end| whole[..end].to_vec());
        let flipped = (0..64).map(|turn| {
            let mut bytes = whole.clone();
            let at = turn * (whole.len() - 1) / 63;
            bytes[at] ^= 1 << (turn % 8);
            bytes
        });
        for bytes in torn.chain(flipped) {
            fs::write(&path, &bytes).unwrap();
            let left = loaded(&journal, folder.path());
            assert_eq!(left.iter().filter(|one| one.is_none()).count(), 1, "{}", bytes.len());
        }
        fs::write(&path, whole).unwrap();
    }
    for path in files(folder.path()) {
        let half = fs::metadata(&path).unwrap().len() / 2;
        fs::File::options().write(true).open(&path).unwrap().set_len(half).unwrap();
    }
    let running = with_snapshots(journal.reopen(), folder.path());
    assert_eq!(digest(&running.stop()), expected);
}

#[test]
fn a_snapshot_of_another_build_or_journal_is_left_aside() {
    let (journal, folder) = (MemoryJournal::new(PARTITIONS), tempfile::tempdir().unwrap());
    worked(&journal, folder.path(), 1, 400);
    let older = Snapshots::new(folder.path().to_owned(), "an older build", EVERY);
    assert!(older.load(&journal, Partition(0)).is_none());
    assert!(snapshots(folder.path()).load(&journal, Partition(0)).is_some());
    // Another journal, longer than the snapshot reaches; one that ends before; one without a record.
    let (other, elsewhere) = (MemoryJournal::new(PARTITIONS), tempfile::tempdir().unwrap());
    let expected = worked(&other, elsewhere.path(), 2, 800);
    assert!(snapshots(folder.path()).load(&other, Partition(0)).is_none());
    let shorter = MemoryJournal::new(PARTITIONS);
    for partition in (0..PARTITIONS).map(Partition) {
        let records = journal.read(partition, 0, 10, usize::MAX).unwrap();
        let mut appender = shorter.appender(partition, Box::new(|_| {})).unwrap();
        appender.append(records.into_iter().map(|stored| stored.record).collect()).unwrap();
    }
    assert!(snapshots(folder.path()).load(&shorter, Partition(0)).is_none());
    assert!(snapshots(folder.path()).load(&MemoryJournal::new(2), Partition(1)).is_none());
    assert!(snapshots(folder.path()).load(&MemoryJournal::new(3), Partition(1)).is_none());
    let running = with_snapshots(other.reopen(), folder.path());
    assert_eq!(digest(&running.stop()), expected, "all was read");
    assert_eq!(digest(&replayed(&other)), expected);
}

#[test]
fn the_older_snapshot_is_used_when_the_newer_is_damaged() {
    let (journal, folder) = (MemoryJournal::new(1), tempfile::tempdir().unwrap());
    worked(&journal, folder.path(), 1, 400);
    let expected = worked(&journal, folder.path(), 2, 400);
    let newest = files(folder.path()).pop().unwrap();
    fs::write(newest, "nothing of use").unwrap();
    let (chain, _) = snapshots(folder.path()).load(&journal, Partition(0)).unwrap();
    assert!(chain.checkpoint().offset < journal.bounds(Partition(0)).unwrap().end);
    let running = with_snapshots(journal.reopen(), folder.path());
    assert_eq!(digest(&running.stop()), expected);
}

#[test]
fn snapshots_are_written_beside_the_work() {
    let (journal, folder) = (MemoryJournal::new(1), tempfile::tempdir().unwrap());
    let often = Snapshots::new(folder.path().to_owned(), "this build", 100);
    let running =
        start(ProcessorConfig { snapshots: Some(often), ..config(journal.reopen(), "one") });
    let mut generator = Generator::new(Workload::Reference, 3, 20);
    running.send(generator.take(400));
    let deadline = Instant::now() + DEADLINE;
    while !folder.path().is_dir() || files(folder.path()).is_empty() {
        assert!(Instant::now() < deadline, "a snapshot");
        std::thread::yield_now();
    }
    running.send(generator.take(400));
    let expected = digest(&running.stop());
    let running = with_snapshots(journal.reopen(), folder.path());
    assert_eq!(digest(&running.stop()), expected);
}
