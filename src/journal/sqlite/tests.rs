//! What this adapter promises beyond the port: one process, one file, nothing changed, nothing hidden.

use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use tallybook_events::codec::{Claimed, write_claim};
use tallybook_events::time::Timestamp;
use tempfile::TempDir;

use super::*;
use crate::journal::Delivery;
use crate::journal::conformance::{self, Subject};

const DEADLINE: Duration = Duration::from_secs(30);
const FIRST: Partition = Partition(0);

struct InFolder {
    folder: TempDir,
    partitions: u32,
}

impl Subject for InFolder {
    fn open(&self) -> Box<dyn Journal> {
        Box::new(open(self.folder.path(), Some(self.partitions)).unwrap())
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open(folder: &Path, partitions: Option<u32>) -> Result<SqliteJournal, OpenError> {
    let options = Options { partitions, ..Options::default() };
    SqliteJournal::open(folder, &options, Box::new(|error| panic!("a write failed: {error:?}")))
}

/// Opens a journal whose fatal error comes through a channel.
fn open_told(folder: &Path, sql: &str) -> (SqliteJournal, Receiver<JournalError>) {
    let (sender, told) = mpsc::channel();
    let fatal = Box::new(move |error| sender.send(error).unwrap());
    (SqliteJournal::open_with(folder, &Options::default(), fatal, sql).unwrap(), told)
}

fn appender(
    journal: &SqliteJournal,
    partition: Partition,
) -> (Box<dyn Appender>, Receiver<Vec<Delivery>>) {
    let (sender, told) = mpsc::channel();
    let sink = Box::new(move |deliveries| drop(sender.send(deliveries)));
    (journal.appender(partition, sink).unwrap(), told)
}

fn claim(term: u64) -> Bytes {
    let at = Timestamp::from_micros(0);
    Bytes::from(write_claim(&Claimed { term, owner: "a test".into(), at }))
}

/// Writes records and waits until they are there.
fn write(journal: &SqliteJournal, partition: Partition, records: Vec<Bytes>) {
    let (mut appender, told) = appender(journal, partition);
    let count = records.len();
    appender.append(records).unwrap();
    let mut delivered = 0;
    while delivered < count {
        delivered += told.recv_timeout(DEADLINE).unwrap().len();
    }
}

/// Opens the file as any other program does.
fn raw(folder: &Path) -> Connection {
    Connection::open(folder.join(FILE)).unwrap()
}

/// Opens the file as somebody does who wants to do harm.
fn raw_without_triggers(folder: &Path) -> Connection {
    let connection = raw(folder);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    connection
}

fn damage(opened: Result<SqliteJournal, OpenError>) -> String {
    match opened {
        Err(OpenError::Journal(JournalError::Damaged { what, .. })) => what,
        other => panic!("not damaged: {other:?}"),
    }
}

/// Gives what the library says of a write that failed.
fn cause(error: JournalError) -> String {
    std::error::Error::source(&error).unwrap().to_string()
}

#[test]
fn it_keeps_every_promise() {
    conformance::all(|partitions| InFolder { folder: folder(), partitions });
}

#[test]
fn nobody_changes_what_was_written() {
    let folder = folder();
    let journal = open(folder.path(), Some(2)).unwrap();
    write(&journal, FIRST, vec![claim(1), claim(2)]);
    let raw = raw(folder.path());
    for (sql, refusal) in [
        ("UPDATE journal_0 SET record = x'00'", "a record of the journal is never changed"),
        ("UPDATE journal_0 SET offset = 7", "a record of the journal is never changed"),
        ("DELETE FROM journal_0", "a record of the journal is never deleted"),
        ("DELETE FROM journal_0 WHERE offset = 1", "a record of the journal is never deleted"),
        (
            "INSERT OR REPLACE INTO journal_0 VALUES (1, x'00')",
            "a record goes to the end of the journal",
        ),
        ("INSERT INTO journal_0 VALUES (3, x'00')", "a record goes to the end of the journal"),
        (
            "INSERT INTO journal_0 (record) VALUES (x'00')",
            "a record goes to the end of the journal",
        ),
        ("INSERT INTO journal_1 VALUES (1, x'00')", "a record goes to the end of the journal"),
        ("UPDATE meta SET value = '9'", "what the journal says of itself never changes"),
        ("DELETE FROM meta", "what the journal says of itself never changes"),
        (
            "REPLACE INTO meta VALUES ('partitions', '9')",
            "what the journal says of itself never changes",
        ),
    ] {
        let error = raw.execute(sql, []).unwrap_err();
        assert_eq!(error.to_string(), refusal, "{sql}");
    }
    let kept = journal.read(FIRST, 0, 10, usize::MAX).unwrap();
    assert_eq!(kept.len(), 2);
}

#[test]
fn only_one_at_a_time_has_the_folder() {
    let folder = folder();
    let journal = open(folder.path(), None).unwrap();
    match open(folder.path(), None) {
        Err(OpenError::InUse { folder: named, by }) => {
            assert_eq!(named, folder.path());
            assert_eq!(by, Some(format!(" (process {})", std::process::id())));
        }
        other => panic!("opened twice: {other:?}"),
    }
    let id = journal.id();
    drop(journal);
    assert_eq!(open(folder.path(), None).unwrap().id(), id);
}

#[test]
fn the_number_of_partitions_is_fixed_when_it_is_made() {
    let folder = folder();
    assert_eq!(open(folder.path(), Some(5)).unwrap().partitions(), 5);
    assert_eq!(open(folder.path(), None).unwrap().partitions(), 5);
    assert_eq!(open(folder.path(), Some(5)).unwrap().partitions(), 5);
    let other = open(folder.path(), Some(6));
    assert!(matches!(other, Err(OpenError::OtherPartitions { has: 5, asked: 6 })), "{other:?}");
}

#[test]
fn a_new_journal_has_the_usual_number_of_partitions_and_an_id_of_its_own() {
    let folders = [folder(), folder()];
    let [first, second] = folders.each_ref().map(|folder| open(folder.path(), None).unwrap());
    assert_eq!(first.partitions(), DEFAULT_PARTITIONS);
    assert_ne!(first.id(), second.id());
}

#[test]
fn no_journal_has_no_partitions_or_too_many() {
    for asked in [0, MAX_PARTITIONS + 1] {
        let opened = open(folder().path(), Some(asked));
        let refused = matches!(opened, Err(OpenError::PartitionsOutOfRange { asked: found }) if found == asked);
        assert!(refused, "{opened:?}");
    }
}

#[test]
fn an_old_library_is_refused() {
    assert!(schema::check_library(3_051_003, "3.51.3").is_ok());
    assert!(schema::check_library(3_052_000, "3.52.0").is_ok());
    let refused = schema::check_library(3_051_002, "3.51.2").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the SQLite library is 3.51.2, but only 3.51.3 and later keep a WAL safe"
    );
    assert!(schema::check_library(rusqlite::version_number(), rusqlite::version()).is_ok());
}

#[test]
fn a_file_of_a_later_build_is_refused() {
    let folder = folder();
    drop(open(folder.path(), None).unwrap());
    raw_without_triggers(folder.path())
        .execute("UPDATE meta SET value = '2' WHERE name = 'format'", [])
        .unwrap();
    let opened = open(folder.path(), None);
    assert!(
        matches!(&opened, Err(OpenError::UnknownFormat { found }) if found == "2"),
        "{opened:?}"
    );
}

#[test]
fn a_file_that_is_no_database_is_damaged() {
    let folder = folder();
    std::fs::write(folder.path().join(FILE), vec![b'x'; 10_000]).unwrap();
    assert_eq!(damage(open(folder.path(), None)), "the journal does not open");
}

#[test]
fn a_trigger_that_was_taken_away_is_missed() {
    let folder = folder();
    drop(open(folder.path(), None).unwrap());
    raw(folder.path()).execute("DROP TRIGGER journal_1_delete", []).unwrap();
    assert_eq!(
        damage(open(folder.path(), None)),
        "journal_1_delete of the schema is missing, or not what it was made"
    );
}

#[test]
fn a_gap_in_the_tail_is_found() {
    let folder = folder();
    let journal = open(folder.path(), None).unwrap();
    write(&journal, FIRST, (1..=10).map(claim).collect());
    drop(journal);
    raw_without_triggers(folder.path())
        .execute("DELETE FROM journal_0 WHERE offset = 5", [])
        .unwrap();
    assert_eq!(damage(open(folder.path(), None)), "partition 0 has no record at offset 5");
}

#[test]
fn a_lost_beginning_is_found() {
    let folder = folder();
    let journal = open(folder.path(), None).unwrap();
    write(&journal, FIRST, (1..=10).map(claim).collect());
    drop(journal);
    raw_without_triggers(folder.path())
        .execute("DELETE FROM journal_0 WHERE offset < 3", [])
        .unwrap();
    assert_eq!(damage(open(folder.path(), None)), "partition 0 does not begin at offset 0");
}

#[test]
fn a_broken_page_is_found_when_it_is_opened() {
    let folder = folder();
    let journal = open(folder.path(), Some(1)).unwrap();
    write(&journal, FIRST, (1..=3_000).map(claim).collect());
    drop(journal);
    let path = folder.path().join(FILE);
    let mut file = std::fs::read(&path).unwrap();
    let (pages, page_bytes) = (file.len() / 8_192, 8_192);
    let broken = (pages / 2) * page_bytes;
    file[broken..broken + 100].fill(0xff);
    std::fs::write(&path, file).unwrap();
    let what = damage(open(folder.path(), None));
    assert!(what.starts_with("the structure of the file is broken"), "{what}");
}

#[test]
fn a_write_error_is_told_once_and_nothing_is_delivered_after_it() {
    let folder = folder();
    let (journal, fatal) = open_told(folder.path(), "PRAGMA max_page_count = 40");
    let (mut appender, told) = appender(&journal, FIRST);
    let mut sent = 0;
    let refused = loop {
        match appender.append(vec![Bytes::from(vec![b' '; 1_000])]) {
            Ok(()) => sent += 1,
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, JournalError::Closed), "{refused:?}");
    assert_eq!(cause(fatal.recv_timeout(DEADLINE).unwrap()), "database or disk is full");
    assert!(matches!(journal.appender(FIRST, Box::new(|_| {})), Err(JournalError::Closed)));
    let delivered: Vec<Delivery> = told.try_iter().flatten().collect();
    let end = journal.bounds(FIRST).unwrap().end;
    assert_eq!(delivered, (0..end).map(Delivery::At).collect::<Vec<_>>());
    assert!(end < sent, "all {sent} were written");
    assert!(journal.read(FIRST, end, 10, usize::MAX).unwrap().is_empty());
    drop(journal);
    assert!(told.try_iter().next().is_none(), "told after the error");
    assert!(fatal.try_iter().next().is_none(), "the hook was called twice");
    let count: i64 = raw(folder.path())
        .query_row("SELECT count(*) FROM journal_0", [], |row| row.get(0))
        .unwrap();
    assert_eq!(u64::try_from(count).unwrap(), end);
}

#[test]
fn a_record_of_somebody_else_at_our_place_is_fatal() {
    let folder = folder();
    let (journal, fatal) = open_told(folder.path(), "");
    write(&journal, FIRST, vec![claim(1)]);
    raw(folder.path()).execute("INSERT INTO journal_0 VALUES (1, x'00')", []).unwrap();
    let (mut appender, told) = appender(&journal, FIRST);
    appender.append(vec![claim(2)]).unwrap();
    assert_eq!(
        cause(fatal.recv_timeout(DEADLINE).unwrap()),
        "UNIQUE constraint failed: journal_0.offset"
    );
    drop(journal);
    assert!(told.try_iter().next().is_none());
}

#[test]
fn a_sink_that_panics_is_fatal() {
    let folder = folder();
    let (journal, fatal) = open_told(folder.path(), "");
    let mut appender = journal.appender(FIRST, Box::new(|_| panic!("as the test wants"))).unwrap();
    appender.append(vec![claim(1)]).unwrap();
    let error = fatal.recv_timeout(DEADLINE).unwrap();
    assert!(matches!(error, JournalError::Unavailable(_)), "{error:?}");
}

#[test]
fn what_waits_while_a_commit_is_under_way_goes_into_one_transaction() {
    let folder = folder();
    let journal = open(folder.path(), None).unwrap();
    let (release, held) = mpsc::channel::<()>();
    let (entered, is_in) = mpsc::channel();
    let sink = Box::new(move |_| {
        entered.send(()).unwrap();
        held.recv().unwrap();
    });
    let mut holding = journal.appender(FIRST, sink).unwrap();
    holding.append(vec![claim(1)]).unwrap();
    is_in.recv_timeout(DEADLINE).unwrap();
    // The writer is busy telling: all of these wait for it.
    let mut waiting: Vec<_> =
        (0..4).map(|partition| appender(&journal, Partition(partition))).collect();
    for round in 0..10 {
        for (appender, _) in &mut waiting {
            appender.append(vec![claim(round), claim(round)]).unwrap();
        }
    }
    release.send(()).unwrap();
    for (partition, (_, told)) in (0..).zip(&waiting) {
        let first = u64::from(partition == 0);
        let told_in_one = told.recv_timeout(DEADLINE).unwrap();
        assert_eq!(told_in_one, (first..first + 20).map(Delivery::At).collect::<Vec<_>>());
    }
    drop(waiting);
    drop(journal.appender(FIRST, Box::new(|_| {})));
    let deadline = Instant::now() + DEADLINE;
    while journal.commits() != (Commits { commits: 2, records: 81 }) {
        assert!(Instant::now() < deadline, "{:?}", journal.commits());
        std::thread::yield_now();
    }
}

#[test]
fn appends_block_while_too_much_is_in_flight() {
    let folder = folder();
    let options = Options { max_records_in_flight: 10, ..Options::default() };
    let journal =
        SqliteJournal::open(folder.path(), &options, Box::new(|error| panic!("{error:?}")))
            .unwrap();
    let (release, held) = mpsc::channel::<()>();
    let sink = Box::new(move |_| held.recv().unwrap());
    let mut holding = journal.appender(FIRST, sink).unwrap();
    holding.append((0..9).map(claim).collect()).unwrap();
    let (mut blocked, told) = appender(&journal, Partition(1));
    // 9 are in flight, so this goes in, whole; then there are 14.
    blocked.append((0..5).map(claim).collect()).unwrap();
    let (done, is_done) = mpsc::channel();
    let _blocked = std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            blocked.append(vec![claim(5)]).unwrap();
            done.send(()).unwrap();
            blocked
        });
        let early = is_done.recv_timeout(Duration::from_millis(50));
        assert!(early.is_err(), "it did not block");
        release.send(()).unwrap();
        is_done.recv_timeout(DEADLINE).unwrap();
        thread.join().unwrap()
    });
    let mut delivered = 0;
    while delivered < 6 {
        delivered += told.recv_timeout(DEADLINE).unwrap().len();
    }
}

#[test]
fn closing_leaves_one_whole_file() {
    let folder = folder();
    let journal = open(folder.path(), None).unwrap();
    write(&journal, FIRST, vec![claim(1)]);
    let read = journal.read(FIRST, 0, 1, 1).unwrap();
    assert_eq!(read.len(), 1);
    drop(journal);
    let mut names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["journal.db", "journal.lock"]);
}

#[test]
fn the_wal_stays_short_and_a_slow_reader_only_lengthens_it() {
    let folder = folder();
    let journal = open(folder.path(), Some(1)).unwrap();
    let wal = folder.path().join("journal.db-wal");
    let length = || std::fs::metadata(&wal).unwrap().len();
    let megabyte = || vec![Bytes::from(vec![b' '; 1 << 20])];
    for _ in 0..20 {
        write(&journal, FIRST, megabyte());
    }
    assert!(length() < 8 << 20, "{} bytes", length());
    let reader = raw(folder.path());
    reader.execute_batch("BEGIN; SELECT max(offset) FROM journal_0").unwrap();
    for _ in 0..80 {
        write(&journal, FIRST, megabyte());
    }
    assert!(length() > 64 << 20, "{} bytes", length());
    reader.execute_batch("COMMIT").unwrap();
    for _ in 0..20 {
        write(&journal, FIRST, megabyte());
    }
    assert!(length() <= 64 << 20, "{} bytes", length());
}

#[test]
fn the_floor_inserts_all_in_transactions_of_the_size_asked() {
    let folder = folder();
    let records = (0..1_050_u32).map(|number| (Partition(number % 3), number.to_string()));
    let path = folder.path().join("floor.db");
    let floor = floor::insert(&path, 3, records, 100).unwrap();
    assert_eq!((floor.records, floor.commits), (1_050, 11));
    assert!(floor.per_second() > 0);
    let count: u32 = Connection::open(path)
        .unwrap()
        .query_row("SELECT count(*) FROM floor_1", [], |row| row.get(0))
        .unwrap();
    assert_eq!(count, 350);
}
