//! The projector on a journal in memory and read models on disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tallybook_events::chain::Checkpoint;
use tallybook_events::ids::{Partition, Position};
use tallybook_projections::progress::Progress;
use tallybook_projections::store::sqlite::SqliteRebuild;
use tallybook_projections::store::{Batch, Store as _};

use self::kit::{Absent, Bench, Moody, created, id, named, wait_for};
use super::rebuild::{RebuildProgress, rebuild};
use super::{Pace, Projector, ProjectorState};
use crate::journal::Journal as _;
use crate::journal::memory::MemoryJournal;

mod kit;
mod agreement;

fn halted(projector: &Projector) -> String {
    let state = wait_for(projector, |state| matches!(state, ProjectorState::Halted(_)));
    let ProjectorState::Halted(why) = state else { panic!("{state:?}") };
    why
}

#[tokio::test]
async fn it_folds_what_is_there_and_what_comes() {
    let bench = Bench::new();
    let [mut one, mut two] = bench.owners();
    one.decide("acme", 0, &[created("acme")]);
    let projector = bench.start();
    bench.reached(one.position()).await;
    assert_eq!(bench.read("acme").await, Some((1, None)));
    for version in 1..50 {
        let position = one.decide("acme", version, &[named(&version.to_string())]);
        bench.reached(position).await;
        assert_eq!(bench.read("acme").await, Some((version + 1, Some(version.to_string()))));
    }
    bench.reached(two.decide("other", 0, &[created("other")])).await;
    assert_eq!(bench.read("other").await, Some((1, None)));
    wait_for(&projector, |state| *state == ProjectorState::Following);
    assert_eq!(projector.status().ready(), Ok(()));
    assert_eq!(bench.progress.positions(), [one.position(), two.position()]);
    let status = projector.status();
    projector.stop();
    assert_eq!(status.state(), ProjectorState::Stopped);
    assert_eq!(status.ready(), Err("the projector has stopped".into()));
}

#[tokio::test]
async fn what_nobody_waits_for_is_gathered_until_somebody_does_or_it_stops() {
    let bench = Bench::new();
    let [mut one, mut two] = bench.owners();
    let (journal, store) = (Arc::new(bench.journal.clone()), Box::new(bench.store()));
    let projector = bench.start_at(journal, store, Pace::Gathering(Duration::from_hours(1)));
    // The first is folded at once, however long folds are apart; then somebody waits each time.
    for version in 0..20 {
        let event = if version == 0 { created("acme") } else { named(&version.to_string()) };
        let position = one.decide("acme", version, &[event]);
        bench.reached(position).await;
    }
    let other = two.decide("other", 0, &[created("other")]);
    projector.stop();
    assert_eq!(bench.progress.positions(), [one.position(), other]);
    assert_eq!(bench.read("acme").await, Some((20, Some("19".into()))));
    assert_eq!(bench.read("other").await, Some((1, None)));
}

#[tokio::test]
async fn after_a_restart_it_goes_on_from_where_the_rows_stand() {
    let bench = Bench::new();
    let [mut one, _two] = bench.owners();
    for round in 0..4 {
        let projector = bench.start();
        let events = if round == 0 { [created("acme")] } else { [named(&round.to_string())] };
        bench.reached(one.decide("acme", round, &events)).await;
        projector.stop();
    }
    assert_eq!(bench.read("acme").await, Some((4, Some("3".into()))));
    // A new process knows at once how far the rows are.
    let bench = Bench { progress: Arc::new(Progress::new(2)), ..bench };
    let projector = bench.start();
    bench.reached(one.position()).await;
    projector.stop();
}

#[tokio::test]
async fn records_that_do_not_count_are_not_folded() {
    let bench = Bench::new();
    let [mut one, _two] = bench.owners();
    one.decide("acme", 0, &[created("acme")]);
    let record = one.record(id("acme"), 1, &[named("A")]);
    one.append(record.clone());
    // A repeat, a gap, and after the next claim a zombie.
    one.append_void(record);
    one.seq += 5;
    one.append_void(one.record(id("acme"), 2, &[named("gap")]));
    one.seq -= 5;
    let zombie = one.record(id("acme"), 2, &[named("zombie")]);
    one.term = 2;
    one.claim();
    one.append_void(zombie);
    let projector = bench.start();
    bench.reached(one.decide("acme", 2, &[named("B")])).await;
    assert_eq!(bench.read("acme").await, Some((3, Some("B".into()))));
    projector.stop();
    let stand = bench.store().checkpoints().unwrap();
    let at = Checkpoint { offset: 8, term: 2, seq: 5, head: one.head };
    assert_eq!(stand[0], (Partition(0), at));
}

#[tokio::test]
async fn a_fork_halts_it_after_what_came_before() {
    let bench = Bench::new();
    let [mut one, mut two] = bench.owners();
    one.decide("acme", 0, &[created("acme")]);
    let fork = one.record(id("acme"), 1, &[named("fork")]);
    one.decide("acme", 1, &[named("A")]);
    one.append_void(fork);
    one.decide("acme", 2, &[named("B")]);
    let projector = bench.start();
    assert_eq!(
        halted(&projector),
        "partition 0 of the journal cannot be explained: two records for seq 3 of term 1: \
         the record at offset 3 forks the journal"
    );
    assert!(projector.status().ready().is_err());
    assert_eq!(bench.read("acme").await, Some((2, Some("A".into()))));
    two.decide("other", 0, &[created("other")]);
    projector.stop();
    // And again when it is started again.
    let again = bench.start();
    halted(&again);
    assert_eq!(bench.read("acme").await, Some((2, Some("A".into()))));
}

#[tokio::test]
async fn bytes_that_are_no_record_halt_it() {
    let bench = Bench::new();
    let [mut one, _two] = bench.owners();
    one.decide("acme", 0, &[created("acme")]);
    one.append_void(b"{}".to_vec());
    let projector = bench.start();
    let why = halted(&projector);
    assert!(why.contains("unreadable record at offset 2"), "{why}");
    assert_eq!(bench.read("acme").await, Some((1, None)));
}

#[tokio::test]
async fn an_event_of_a_later_build_halts_it() {
    let bench = Bench::new();
    let [mut one, _two] = bench.owners();
    let record = String::from_utf8(one.record(id("acme"), 0, &[created("acme")])).unwrap();
    one.append(record.replace("CustomerCreated.v1", "CustomerCreated.v9").into_bytes());
    let projector = bench.start();
    assert_eq!(
        halted(&projector),
        "the record at offset 1 of partition 0 cannot be read: \
         event CustomerCreated.v9 cannot be read"
    );
}

#[tokio::test]
async fn facts_that_do_not_follow_halt_it() {
    let bench = Bench::new();
    let [mut one, _two] = bench.owners();
    one.decide("acme", 4, &[named("A")]);
    let projector = bench.start();
    let why = halted(&projector);
    assert!(why.contains("is at version 0, not 4"), "{why}");
}

#[tokio::test]
async fn a_journal_that_ends_before_the_rows_halts_it() {
    let bench = Bench::new();
    let [mut one, _two] = bench.owners();
    let projector = bench.start();
    bench.reached(one.decide("acme", 0, &[created("acme")])).await;
    projector.stop();
    let other = MemoryJournal::new(2);
    let projector = bench.start_with(Arc::new(other), Box::new(bench.store()));
    let why = halted(&projector);
    assert!(why.contains("the log ends at offset 0, but records up to 2 were judged"), "{why}");
    let fewer = bench.start_with(Arc::new(MemoryJournal::new(1)), Box::new(bench.store()));
    halted(&fewer);
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_asked_again_and_nothing_is_lost_or_doubled() {
    let bench = Bench::new();
    let [mut one, _two] = bench.owners();
    let failures = Arc::new(AtomicUsize::new(0));
    let store = Moody { store: bench.store(), failures: Arc::clone(&failures) };
    let projector = bench.start_with(Arc::new(bench.journal.clone()), Box::new(store));
    bench.reached(one.decide("acme", 0, &[created("acme")])).await;
    failures.store(3, Ordering::SeqCst);
    for version in 1..20 {
        one.decide("acme", version, &[named(&version.to_string())]);
    }
    wait_for(&projector, |state| matches!(state, ProjectorState::Retrying(_)));
    bench.reached(one.position()).await;
    assert_eq!(bench.read("acme").await, Some((20, Some("19".into()))));
    wait_for(&projector, |state| *state == ProjectorState::Following);
}

#[tokio::test]
async fn a_journal_that_does_not_answer_is_asked_again() {
    let bench = Bench::new();
    let [mut one, _two] = bench.owners();
    one.decide("acme", 0, &[created("acme")]);
    let journal = Absent { journal: bench.journal.clone(), failures: AtomicUsize::new(4) };
    let projector = bench.start_with(Arc::new(journal), Box::new(bench.store()));
    bench.reached(one.position()).await;
    assert_eq!(bench.read("acme").await, Some((1, None)));
    wait_for(&projector, |state| *state == ProjectorState::Following);
}

#[tokio::test]
async fn two_projectors_fold_each_record_once() {
    let bench = Bench::new();
    let [mut one, mut two] = bench.owners();
    let first = bench.start();
    let second = bench.start();
    for version in 0..200 {
        let event = |name: &str| {
            if version == 0 { created(name) } else { named(&version.to_string()) }
        };
        one.decide("acme", version, &[event("acme")]);
        two.decide("other", version, &[event("other")]);
    }
    bench.reached(one.position()).await;
    bench.reached(two.position()).await;
    for customer in ["acme", "other"] {
        assert_eq!(bench.read(customer).await, Some((200, Some("199".into()))));
    }
    first.stop();
    second.stop();
}

#[tokio::test]
async fn a_rebuild_gives_the_rows_that_the_projector_gave() {
    let bench = Bench::new();
    let [mut one, mut two] = bench.owners();
    for version in 0..30 {
        let event = |name: &str| {
            if version == 0 { created(name) } else { named(&version.to_string()) }
        };
        one.decide("acme", version, &[event("acme"), named("again")][..1]);
        two.decide("other", version, &[event("other")]);
    }
    let projector = bench.start();
    bench.reached(one.position()).await;
    bench.reached(two.position()).await;
    projector.stop();
    let before = bench.digest();
    let mut told = Vec::new();
    let new = Box::new(SqliteRebuild::begin(bench.folder.path()).unwrap());
    let rebuilt = rebuild(&bench.journal, new, &mut |progress| told.push(progress)).unwrap();
    assert_eq!((rebuilt.records, rebuilt.decisions, rebuilt.events), (62, 60, 60));
    assert_eq!(rebuilt.positions, [one.position(), two.position()]);
    assert_eq!(told.last(), Some(&RebuildProgress { done: 62, total: 62 }));
    assert_eq!(bench.digest(), before);
    assert_eq!(bench.digest().to_string(), before.to_string());
    // A projector goes on from the new rows.
    let projector = bench.start();
    bench.reached(one.decide("acme", 30, &[named("on")])).await;
    assert_eq!(bench.read("acme").await, Some((31, Some("on".into()))));
    projector.stop();
}

#[tokio::test]
async fn a_rebuild_beside_a_running_projector_never_takes_an_answer_back() {
    let bench = Bench::new();
    let [mut one, mut two] = bench.owners();
    let projector = bench.start();
    one.decide("acme", 0, &[created("acme")]);
    two.decide("other", 0, &[created("other")]);
    let done = AtomicBool::new(false);
    let rebuilds = std::thread::scope(|threads| {
        let writer = threads.spawn(|| {
            let mut version = 0;
            while !done.load(Ordering::Acquire) {
                version += 1;
                one.decide("acme", version, &[named(&version.to_string())]);
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
                let read = async {
                    bench.reached(one.position()).await;
                    bench.read("acme").await
                };
                let read = runtime.unwrap().block_on(read);
                assert_eq!(read, Some((version + 1, Some(version.to_string()))));
            }
        });
        for _ in 0..5 {
            let new = Box::new(SqliteRebuild::begin(bench.folder.path()).unwrap());
            rebuild(&bench.journal, new, &mut |_| {}).unwrap();
        }
        done.store(true, Ordering::Release);
        writer.join()
    });
    rebuilds.unwrap();
    bench.reached(one.position()).await;
    projector.stop();
    let end = bench.journal.bounds(Partition(0)).unwrap().end;
    assert_eq!(bench.store().checkpoints().unwrap()[0].1.offset, end);
    assert_eq!(bench.progress.positions()[1], Position { partition: Partition(1), seq: 2 });
}

#[tokio::test]
async fn a_rebuild_of_a_journal_that_cannot_be_explained_leaves_the_live_rows() {
    let bench = Bench::new();
    let [mut one, _two] = bench.owners();
    let projector = bench.start();
    bench.reached(one.decide("acme", 0, &[created("acme")])).await;
    projector.stop();
    let before = bench.digest();
    one.append_void(b"{}".to_vec());
    let new = Box::new(SqliteRebuild::begin(bench.folder.path()).unwrap());
    let error = rebuild(&bench.journal, new, &mut |_| {}).unwrap_err();
    assert_eq!(error.to_string(), "the journal cannot be folded");
    assert_eq!(bench.digest(), before);
    bench.store().commit(&Batch::default()).unwrap();
}
