//! Is the file whole? Asked once, when it is opened.

use std::path::Path;

use rusqlite::Connection;
use tallybook_events::chain::{Chain, Checkpoint, Halt, Offset, Verdict};
use tallybook_events::codec::{self, Peeked};
use tallybook_events::ids::Partition;

use super::reader::{failed, read};
use crate::journal::{JournalError, Stored};

/// Up to this size the structure of the whole file is checked when it is opened: it takes about a
/// fifth of a second when the file is in the page cache.
pub const QUICK_CHECK_BYTES: u64 = 256 << 20;
/// So many of the last records of each partition are judged when it is opened.
pub const TAIL_RECORDS: u64 = 1_000;

/// Whether `PRAGMA quick_check` reads the whole file when it is opened. It takes time in proportion to
/// its size; every replay finds a damaged record all the same, by the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QuickCheck {
    /// Up to [`QUICK_CHECK_BYTES`].
    #[default]
    WhenSmall,
    /// However long it takes.
    Always,
    /// Only the tails are checked.
    Never,
}

/// Checks the structure of the file.
pub(super) fn structure(
    connection: &Connection,
    path: &Path,
    quick_check: QuickCheck,
) -> Result<(), JournalError> {
    let size =
        std::fs::metadata(path).map_err(|error| JournalError::Unavailable(error.into()))?.len();
    let wanted = match quick_check {
        QuickCheck::WhenSmall => size <= QUICK_CHECK_BYTES,
        QuickCheck::Always => true,
        QuickCheck::Never => false,
    };
    if !wanted {
        return Ok(());
    }
    let found: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(failed("the structure of the file cannot be checked"))?;
    if found == "ok" {
        return Ok(());
    }
    Err(damaged(format!("the structure of the file is broken: {}", found.replace('\n', " "))))
}

/// Judges the last records of every partition. Gives where each ends.
pub(super) fn tails(connection: &Connection, partitions: u32) -> Result<Vec<Offset>, JournalError> {
    (0..partitions).map(|partition| tail(connection, Partition(partition))).collect()
}

fn tail(connection: &Connection, partition: Partition) -> Result<Offset, JournalError> {
    // One question for each end: asked for both at once, the library reads the whole table.
    let select = format!(
        "SELECT (SELECT min(offset) FROM journal_{partition}),
                (SELECT max(offset) FROM journal_{partition})"
    );
    let (first, last): (Option<i64>, Option<i64>) = connection
        .query_row(&select, [], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(failed("the ends of the partitions cannot be read"))?;
    let last = match (first, last.map(Offset::try_from)) {
        (None, None) => return Ok(0),
        (Some(0), Some(Ok(last))) => last,
        _ => return Err(damaged(format!("partition {partition} does not begin at offset 0"))),
    };
    let end = last + 1;
    let from = end.saturating_sub(TAIL_RECORDS);
    let count = usize::try_from(TAIL_RECORDS).expect("a small number");
    let records = read(connection, partition, from, count, usize::MAX)?;
    let found = Offset::try_from(records.len()).expect("addresses fit in 64 bits");
    if from + found != end {
        return Err(damaged(format!("partition {partition} has gaps above offset {from}")));
    }
    judge(&records).map_err(|broken| JournalError::Damaged {
        what: format!("partition {partition} does not continue its chain"),
        source: Some(broken.into()),
    })?;
    Ok(end)
}

/// Judges records from the midst of a partition on, by what the first decision among them says of
/// itself. Records of a partition's beginning are judged as they are. A gap halts too: this journal
/// loses no append.
///
/// That first decision may be a late one of an owner that has been replaced. It shows when one of a
/// higher term follows though nobody has claimed that since: then that one is the first.
fn judge(records: &[Stored]) -> Result<(), Broken> {
    let from_start = records.first().is_some_and(|first| first.offset == 0);
    let mut chain = from_start.then(Chain::default);
    let mut may_be_late = !from_start;
    let mut claimed = 0;
    for Stored { offset, record } in records {
        let Some(known) = &mut chain else {
            chain = begin(*offset, record, &mut claimed)?;
            continue;
        };
        match known.judge(*offset, record) {
            Ok(Verdict::Gap) => return Err(Broken::Gap { offset: *offset }),
            Ok(Verdict::Claimed | Verdict::VoidClaim) => may_be_late = false,
            Ok(Verdict::Valid | Verdict::Zombie | Verdict::Repeat) => {}
            Err(Halt::TermAhead { .. }) if may_be_late => {
                chain = begin(*offset, record, &mut claimed)?;
            }
            Err(halt) => return Err(halt.into()),
        }
    }
    Ok(())
}

/// Gives a reader that has judged a decision, by what the decision says of itself. None for a claim,
/// and for a decision of an older term than one that was claimed before it.
fn begin(offset: Offset, record: &[u8], claimed: &mut u64) -> Result<Option<Chain>, Halt> {
    match codec::peek(record).map_err(|source| Halt::Unreadable { offset, source })? {
        Peeked::Claim { term } => {
            *claimed = term.max(*claimed);
            Ok(None)
        }
        Peeked::Decision { term, .. } if term < *claimed => Ok(None),
        Peeked::Decision { term, seq, prev } => {
            let before = Checkpoint { offset, term, seq: seq.saturating_sub(1), head: prev };
            let mut chain = Chain::from(before);
            chain.judge(offset, record)?;
            Ok(Some(chain))
        }
    }
}

/// What is wrong with a tail.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Halt(#[from] Halt),
    #[error("the record before the one at offset {offset} is gone")]
    Gap { offset: Offset },
}

fn damaged(what: String) -> JournalError {
    JournalError::Damaged { what, source: None }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bytes::Bytes;
    use rusqlite::config::DbConfig;
    use tallybook_events::chain::Head;
    use tallybook_events::codec::{Claimed, DecisionParts, write_claim, write_decision};
    use tallybook_events::decision::{Outcome, SourceRef};
    use tallybook_events::time::Timestamp;

    use super::*;
    use crate::journal::Journal as _;
    use crate::journal::sqlite::{FILE, OpenError, Options, SqliteJournal};

    /// An owner that writes on from where it stands, whoever else writes.
    #[derive(Clone)]
    struct Owner {
        term: u64,
        seq: u64,
        head: Head,
    }

    impl Owner {
        fn claims(&mut self, log: &mut Vec<Bytes>) {
            self.term += 1;
            let at = Timestamp::from_micros(0);
            let claim = write_claim(&Claimed { term: self.term, owner: "a test".into(), at });
            self.keep(log, claim);
        }

        fn decides(&mut self, log: &mut Vec<Bytes>, count: usize) {
            for _ in 0..count {
                let parts = DecisionParts {
                    decided_at: Timestamp::from_micros(0),
                    rules: "1",
                    source: SourceRef::Local,
                    command: b"{}",
                    outcome: &Outcome::DeadLettered { reason: "a test".into() },
                    gives_back: &[],
                    events: &[],
                };
                let mut record = Vec::new();
                write_decision(&mut record, self.term, self.seq + 1, &self.head, &parts);
                self.keep(log, record);
            }
        }

        fn keep(&mut self, log: &mut Vec<Bytes>, record: Vec<u8>) {
            self.seq += 1;
            self.head = self.head.rolled(&record);
            log.push(Bytes::from(record));
        }
    }

    /// 40 decisions, then another owner, of whom the first one learns late: five records of it come
    /// after the claim of the second, at offsets 42 to 46, and 40 decisions of the second after them.
    fn log() -> Vec<Bytes> {
        let mut log = Vec::new();
        let mut first = Owner { term: 0, seq: 0, head: Head::START };
        first.claims(&mut log);
        first.decides(&mut log, 40);
        let mut second = first.clone();
        second.claims(&mut log);
        first.decides(&mut log, 5);
        second.decides(&mut log, 40);
        log
    }

    fn judged_from(log: &[Bytes], from: usize) -> Result<(), Broken> {
        let stored: Vec<Stored> = (0..)
            .zip(log)
            .skip(from)
            .map(|(offset, record)| Stored { offset, record: record.clone() })
            .collect();
        judge(&stored)
    }

    #[test]
    fn a_whole_log_is_judged_well_from_wherever_the_tail_begins() {
        let log = log();
        for from in 0..log.len() {
            judged_from(&log, from).unwrap();
        }
    }

    #[test]
    fn a_changed_byte_is_found_in_every_record_that_another_one_follows() {
        let log = log();
        // What came late does not count, whatever is in it.
        let counting = (1..42).chain(47..log.len() - 1);
        for changed in counting {
            let mut log = log.clone();
            let mut record = log[changed].to_vec();
            let place = record.windows(4).position(|window| window == b"test").unwrap();
            record[place] = b'T';
            log[changed] = Bytes::from(record);
            for from in [0, 1, changed.saturating_sub(30), changed.saturating_sub(1)] {
                let found = judged_from(&log, from);
                assert!(found.is_err(), "{changed} from {from}");
            }
        }
    }

    #[test]
    fn a_term_that_nobody_claimed_is_found() {
        let mut log = log();
        let mut third = Owner { term: 3, seq: 82, head: Head::START };
        third.decides(&mut log, 1);
        let found = judged_from(&log, 20).unwrap_err();
        let halt = Halt::TermAhead { offset: 87, found: 3, term: 2 };
        assert_eq!(found.to_string(), halt.to_string());
    }

    #[test]
    fn a_record_left_out_is_found() {
        let mut log = log();
        log.remove(60);
        let found = judged_from(&log, 20).unwrap_err();
        assert_eq!(found.to_string(), "the record before the one at offset 60 is gone");
    }

    fn open(folder: &Path) -> Result<SqliteJournal, OpenError> {
        let options = Options { partitions: Some(1), ..Options::default() };
        SqliteJournal::open(folder, &options, Box::new(|error| panic!("{error:?}")))
    }

    fn kept(folder: &Path, records: Vec<Bytes>) {
        let journal = open(folder).unwrap();
        let mut appender = journal.appender(Partition(0), Box::new(|_| {})).unwrap();
        appender.append(records).unwrap();
    }

    #[test]
    fn a_byte_changed_by_sql_is_found_when_the_journal_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Vec::new();
        let mut owner = Owner { term: 0, seq: 0, head: Head::START };
        owner.claims(&mut log);
        owner.decides(&mut log, 3_000);
        kept(folder.path(), log);
        assert_eq!(open(folder.path()).unwrap().bounds(Partition(0)).unwrap().end, 3_001);
        let raw = Connection::open(folder.path().join(FILE)).unwrap();
        raw.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
        let change = "UPDATE journal_0
            SET record = CAST(replace(CAST(record AS TEXT), 'a test', 'a tesT') AS BLOB)
            WHERE offset = 2500";
        assert_eq!(raw.execute(change, []).unwrap(), 1);
        drop(raw);
        match open(folder.path()) {
            Err(OpenError::Journal(JournalError::Damaged { what, source })) => {
                assert_eq!(what, "partition 0 does not continue its chain");
                assert_eq!(
                    source.unwrap().to_string(),
                    "two records for seq 2502 of term 1: the record at offset 2501 forks the journal"
                );
            }
            other => panic!("not damaged: {other:?}"),
        }
    }

    #[test]
    fn a_byte_changed_on_disk_is_found_when_the_journal_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        kept(folder.path(), log());
        let path = folder.path().join(FILE);
        let mut file = std::fs::read(&path).unwrap();
        let place = file.windows(8).position(|window| window == br#""seq":60"#).unwrap();
        let place =
            place + file[place..].windows(6).position(|window| window == b"a test").unwrap();
        file[place] = b'A';
        std::fs::write(&path, file).unwrap();
        let opened = open(folder.path());
        assert!(
            matches!(&opened, Err(OpenError::Journal(JournalError::Damaged { what, .. }))
                if what == "partition 0 does not continue its chain"),
            "{opened:?}"
        );
    }
}
