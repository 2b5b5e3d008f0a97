//! The one thread that writes: all that waits, one transaction, one sync, all sinks told in one pass.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, Statement};
use tallybook_events::chain::Offset;
use tallybook_events::ids::Partition;

use super::queue::{Append, Queue};
use super::reader::failed;
use super::{Commits, Fatal};
use crate::journal::tail::{Ends, index};
use crate::journal::teller::Teller;
use crate::journal::{Appender, Delivery, JournalError};

/// Pages of the WAL that start a checkpoint: 4 MiB. Small, so that the WAL file is written over and
/// over in place (a file that grows is slower to sync) and no checkpoint takes long.
pub(super) const CHECKPOINT_PAGES: i32 = 500;
/// Pages of the WAL at which readers are waited for, so that it can begin anew: 64 MiB.
const WAL_PAGES: i32 = 8_000;
/// How long readers are waited for then.
const READER_PATIENCE: Duration = Duration::from_millis(100);

/// What has been written.
#[derive(Debug, Default)]
pub(super) struct Counters {
    commits: AtomicU64,
    records: AtomicU64,
}

impl Counters {
    pub(super) fn get(&self) -> Commits {
        Commits {
            commits: self.commits.load(Ordering::Relaxed),
            records: self.records.load(Ordering::Relaxed),
        }
    }
}

/// Hands records to the writer.
#[derive(Debug)]
pub(super) struct SqliteAppender {
    partition: Partition,
    queue: Arc<Queue>,
    teller: Arc<Teller>,
}

impl SqliteAppender {
    pub(super) fn new(partition: Partition, queue: Arc<Queue>, teller: Teller) -> Self {
        Self { partition, queue, teller: Arc::new(teller) }
    }
}

impl Appender for SqliteAppender {
    fn append(&mut self, records: Vec<Bytes>) -> Result<(), JournalError> {
        let (partition, teller) = (self.partition, Arc::clone(&self.teller));
        self.queue.push(Append { partition, records, teller })
    }
}

impl Drop for SqliteAppender {
    fn drop(&mut self) {
        self.teller.silence();
    }
}

/// The writer, before it runs.
#[derive(Debug)]
pub(super) struct Writer {
    connection: Connection,
    ends: Arc<Ends>,
    queue: Arc<Queue>,
    counters: Arc<Counters>,
}

impl Writer {
    pub(super) fn new(
        connection: Connection,
        ends: &Arc<Ends>,
        queue: &Arc<Queue>,
        counters: &Arc<Counters>,
    ) -> Self {
        let (ends, queue) = (Arc::clone(ends), Arc::clone(queue));
        Self { connection, ends, queue, counters: Arc::clone(counters) }
    }

    /// Starts the thread. It ends when the queue is closed and empty, or at the first error.
    pub(super) fn spawn(self, fatal: Fatal) -> std::io::Result<JoinHandle<()>> {
        thread::Builder::new().name("journal".into()).spawn(move || {
            let error = match catch_unwind(AssertUnwindSafe(|| self.run())) {
                Ok(Ok(())) => return self.close(),
                Ok(Err(error)) => error,
                Err(_) => JournalError::Unavailable("the thread of the journal panicked".into()),
            };
            self.queue.abandon();
            fatal(error);
        })
    }

    fn run(&self) -> Result<(), JournalError> {
        let prepared = Prepared::new(&self.connection, &self.ends);
        let mut prepared = prepared.map_err(failed("the journal cannot be written"))?;
        let mut wal = Wal::default();
        let mut batch = Vec::new();
        while self.queue.take(&mut batch) {
            let began = Instant::now();
            let firsts = prepared.write(&self.connection, &batch)?;
            self.publish(&prepared, &batch);
            tell(&batch, &firsts);
            let records = batch.iter().map(|append| append.records.len()).sum::<usize>();
            self.count(records, began.elapsed());
            self.queue.finish(&mut batch);
            wal.tend(&self.connection).map_err(failed("a checkpoint failed"))?;
        }
        Ok(())
    }

    /// Shows readers where the partitions end now, and wakes those who follow.
    fn publish(&self, prepared: &Prepared<'_>, batch: &[Append]) {
        for append in batch {
            let end = prepared.next[index(append.partition)];
            let end = Offset::try_from(end).expect("offsets are counted from 0");
            self.ends.advance(append.partition, end);
        }
        self.ends.announce();
    }

    fn count(&self, records: usize, took: Duration) {
        let records = u64::try_from(records).expect("addresses fit in 64 bits");
        self.counters.commits.fetch_add(1, Ordering::Relaxed);
        self.counters.records.fetch_add(records, Ordering::Relaxed);
        metrics::counter!("tallybook_journal_records_total").increment(records);
        metrics::histogram!("tallybook_journal_commit_seconds").record(took.as_secs_f64());
    }

    /// Leaves one file without a WAL. It is no loss when that fails: the WAL has it all.
    fn close(self) {
        if let Err(error) = empty_wal(&self.connection) {
            tracing::warn!(%error, "the WAL was not taken in on closing");
            return;
        }
        let tidied =
            self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false);
        if let Err(error) = tidied {
            tracing::warn!(%error, "the WAL file was not removed on closing");
        }
    }
}

/// Tells each sink once of all its records.
fn tell(batch: &[Append], firsts: &[Offset]) {
    let mut told: Vec<(&Arc<Teller>, Vec<Delivery>)> = Vec::new();
    for (append, first) in batch.iter().zip(firsts) {
        let count = Offset::try_from(append.records.len()).expect("addresses fit in 64 bits");
        let deliveries = (*first..first + count).map(Delivery::At);
        match told.iter_mut().find(|(teller, _)| Arc::ptr_eq(teller, &append.teller)) {
            Some((_, all)) => all.extend(deliveries),
            None => told.push((&append.teller, deliveries.collect())),
        }
    }
    for (teller, deliveries) in told {
        teller.tell(deliveries);
    }
}

/// The statements of the writer, and where each partition goes on.
struct Prepared<'c> {
    begin: Statement<'c>,
    commit: Statement<'c>,
    inserts: Vec<Statement<'c>>,
    next: Vec<i64>,
}

impl<'c> Prepared<'c> {
    fn new(connection: &'c Connection, ends: &Ends) -> rusqlite::Result<Self> {
        let (mut inserts, mut next) = (Vec::new(), Vec::new());
        for partition in (0..ends.partitions()).map(Partition) {
            let insert =
                format!("INSERT INTO journal_{partition} (offset, record) VALUES (?1, ?2)");
            inserts.push(connection.prepare(&insert)?);
            next.push(i64::try_from(ends.end(partition)).expect("offsets in SQLite are 63 bits"));
        }
        let begin = connection.prepare("BEGIN IMMEDIATE")?;
        Ok(Self { begin, commit: connection.prepare("COMMIT")?, inserts, next })
    }

    /// Writes a batch and makes it durable. Gives the first offset of each append.
    fn write(
        &mut self,
        connection: &Connection,
        batch: &[Append],
    ) -> Result<Vec<Offset>, JournalError> {
        let unwritten = failed("records cannot be written");
        self.begin.execute([]).map_err(&unwritten)?;
        let mut firsts = Vec::with_capacity(batch.len());
        for append in batch {
            let place = index(append.partition);
            let (insert, next) = (&mut self.inserts[place], &mut self.next[place]);
            let first = *next;
            for record in &append.records {
                insert.execute((*next, &record[..])).map_err(&unwritten)?;
                *next += 1;
            }
            if !append.records.is_empty() && connection.last_insert_rowid() != *next - 1 {
                return Err(JournalError::Damaged {
                    what: format!("partition {} does not go on at {first}", append.partition),
                    source: None,
                });
            }
            firsts.push(Offset::try_from(first).expect("offsets are counted from 0"));
        }
        self.commit.execute([]).map_err(failed("records cannot be made durable"))?;
        Ok(firsts)
    }
}

/// Keeps the WAL short.
#[derive(Debug)]
struct Wal {
    /// Pages at the last look.
    pages: i32,
    /// Pages at which the next checkpoint is due.
    due: i32,
    /// Pages at which readers are waited for.
    wait_at: i32,
}

impl Default for Wal {
    fn default() -> Self {
        Self { pages: 0, due: CHECKPOINT_PAGES, wait_at: WAL_PAGES }
    }
}

impl Wal {
    /// Makes a checkpoint when one is due. While somebody reads an older state the WAL grows; from a
    /// certain length on readers are waited for, ever more rarely when that does not help: another
    /// program that reads for hours shall not stop the journal.
    fn tend(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let pages = checkpoint(connection, "NOOP")?.pages;
        if pages < self.pages {
            *self = Self { pages, ..Self::default() };
        }
        self.pages = pages;
        if pages < self.due {
            return Ok(());
        }
        self.due = pages.saturating_add(CHECKPOINT_PAGES);
        let done = checkpoint(connection, "PASSIVE")?;
        if done.is_whole() || pages < self.wait_at {
            return Ok(());
        }
        connection.busy_timeout(READER_PATIENCE)?;
        let restarted = checkpoint(connection, "RESTART");
        connection.busy_timeout(super::schema::BUSY_TIMEOUT)?;
        if !restarted?.is_whole() {
            self.wait_at = self.wait_at.saturating_mul(2);
            tracing::warn!(pages, "a reader keeps the WAL of the journal from beginning anew");
        }
        Ok(())
    }
}

/// What a checkpoint has come to.
#[derive(Debug, Clone, Copy)]
struct Checkpointed {
    /// Whether somebody was in the way.
    busy: bool,
    /// Pages in the WAL.
    pages: i32,
    /// Those of them that are in the file.
    done: i32,
}

impl Checkpointed {
    const fn is_whole(self) -> bool {
        !self.busy && self.pages == self.done
    }
}

fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<Checkpointed> {
    let mut checkpoint = connection.prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?;
    checkpoint.query_row([], |row| {
        Ok(Checkpointed { busy: row.get(0)?, pages: row.get(1)?, done: row.get(2)? })
    })
}

/// Takes all that is in the WAL into the file, and empties it unless somebody reads.
pub(super) fn empty_wal(connection: &Connection) -> rusqlite::Result<()> {
    checkpoint(connection, "TRUNCATE").map(|_| ())
}
