//! What the writer does, and what nobody else may.

use std::time::Instant;

use super::*;

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
