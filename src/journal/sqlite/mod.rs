//! The embedded journal: `DIR/journal.db`, an `SQLite` file with one table per partition.
//!
//! - One process at a time has it, by a lock on `DIR/journal.lock` that dies with the process.
//! - One thread writes. It takes all that waits, writes it in one transaction over all partitions,
//!   commits (WAL, `synchronous=FULL`: the commit returns after the log is on disk) and tells all sinks
//!   in one pass. Nothing is delayed to make batches larger: they grow while a commit is under way.
//! - A write that fails is not tried again, for nobody knows then what is on disk. The [`Fatal`] hook
//!   is called, nothing is delivered any more, appends are refused; a new process begins from the file.
//! - Triggers refuse to change or delete a record, or to insert one anywhere but at the end, to whoever
//!   opens the file. The writer's own connection runs without them: it has one statement, a plain
//!   insert at a given offset, which fails on an offset that is taken.
//! - When it is opened, the file's structure is checked (see [`QuickCheck`]) and the last
//!   [`TAIL_RECORDS`] records of each partition are judged by the reader rule. The very last record
//!   is proven only by the one that will follow it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use tallybook_events::chain::Offset;
use tallybook_events::ids::Partition;
use uuid::Uuid;

use self::lock::FolderLock;
use self::queue::Queue;
use self::reader::Readers;
use self::writer::{Counters, Writer};
use super::tail::{Ends, Readable, Tail};
use super::teller::Teller;
use super::{Appender, Bounds, DeliverySink, Follower, Journal, JournalError, Stored};

pub use self::beside::SqliteReader;
pub use self::check::{QUICK_CHECK_BYTES, QuickCheck, TAIL_RECORDS};
pub use self::schema::{DEFAULT_PARTITIONS, MAX_PARTITIONS};

mod lock;
mod schema;
mod check;
mod queue;
mod writer;
mod reader;
mod beside;
pub mod floor;

#[cfg(test)]
mod tests;

/// Name of the file in its folder.
pub const FILE: &str = "journal.db";

/// Is called once, on the writer's thread, when a write has failed. It is meant to end the process; if
/// it returns, the journal delivers nothing and takes nothing any more.
pub type Fatal = Box<dyn FnOnce(JournalError) + Send>;

/// How a journal is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Number of partitions, 1 to [`MAX_PARTITIONS`]. It is fixed when the file is made; another number
    /// later is an error, none takes what is there. A new file without one gets [`DEFAULT_PARTITIONS`].
    pub partitions: Option<u32>,
    /// Appends block while so many records are in flight.
    pub max_records_in_flight: usize,
    /// Appends block while so many bytes are in flight.
    pub max_bytes_in_flight: usize,
    /// Whether the structure of the file is checked.
    pub quick_check: QuickCheck,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            partitions: None,
            max_records_in_flight: 16_384,
            max_bytes_in_flight: 32 << 20,
            quick_check: QuickCheck::WhenSmall,
        }
    }
}

/// Why a journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The library is too old: its WAL can corrupt a file.
    #[error("the SQLite library is {found}, but only {} and later keep a WAL safe", schema::OLDEST)]
    OldSqlite {
        /// Its version.
        found: String,
    },
    /// Another process has the journal.
    #[error("another process has the journal in {}{}", folder.display(), by.as_deref().unwrap_or(""))]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// Which process, in words, when it has left its number.
        by: Option<String>,
    },
    /// The folder cannot be made or locked.
    #[error("the folder {} cannot be used", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The number of partitions is fixed, and is another.
    #[error("the journal has {has} partitions, and that never changes: {asked} cannot be had")]
    OtherPartitions {
        /// How many it has.
        has: u32,
        /// How many were asked for.
        asked: u32,
    },
    /// No journal can have so many partitions.
    #[error("a journal has 1 to {MAX_PARTITIONS} partitions, not {asked}")]
    PartitionsOutOfRange {
        /// How many were asked for.
        asked: u32,
    },
    /// The file is of a later build.
    #[error("the journal has format {found}, but this build knows format {} only", schema::FORMAT)]
    UnknownFormat {
        /// Its format.
        found: String,
    },
    /// The file does not answer, or is damaged.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// What has been written since the journal was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commits {
    /// Transactions.
    pub commits: u64,
    /// Records in them.
    pub records: u64,
}

/// A journal in an `SQLite` file.
pub struct SqliteJournal {
    id: Uuid,
    ends: Arc<Ends>,
    readers: Arc<Readers>,
    queue: Arc<Queue>,
    counters: Arc<Counters>,
    writer: Option<JoinHandle<()>>,
    /// Given back last, when the writer has ended.
    _lock: FolderLock,
}

impl SqliteJournal {
    /// Opens the journal in a folder; makes both when they are not there.
    ///
    /// # Errors
    /// [`OpenError`], one variant per reason.
    pub fn open(folder: &Path, options: &Options, fatal: Fatal) -> Result<Self, OpenError> {
        Self::open_with(folder, options, fatal, "")
    }

    /// Opens the journal and runs some SQL on the writer's connection before it begins.
    fn open_with(
        folder: &Path,
        options: &Options,
        fatal: Fatal,
        sql: &str,
    ) -> Result<Self, OpenError> {
        schema::check_library(rusqlite::version_number(), rusqlite::version())?;
        let lock = FolderLock::take(folder)?;
        let path = folder.join(FILE);
        let (connection, meta) = schema::open(&path, options.partitions)?;
        lock.make_lasting()?;
        check::structure(&connection, &path, options.quick_check)?;
        let ends = check::tails(&connection, meta.partitions)?;
        connection.execute_batch(sql).map_err(reader::failed("the connection is not set up"))?;
        let ends = Arc::new(Ends::new(ends));
        let queue =
            Arc::new(Queue::new(options.max_records_in_flight, options.max_bytes_in_flight));
        let counters = Arc::new(Counters::default());
        let writer = Writer::new(connection, &ends, &queue, &counters);
        Ok(Self {
            id: meta.id,
            readers: Arc::new(Readers::new(path, Arc::clone(&ends))),
            ends,
            queue,
            counters,
            writer: Some(
                writer
                    .spawn(fatal)
                    .map_err(|error| OpenError::Journal(JournalError::Unavailable(error.into())))?,
            ),
            _lock: lock,
        })
    }

    /// Gives the id that the journal got when it was made: a copy has it too, another journal has not.
    pub const fn id(&self) -> Uuid {
        self.id
    }

    /// Tells how much has been written, and in how many transactions.
    pub fn commits(&self) -> Commits {
        self.counters.get()
    }
}

impl Drop for SqliteJournal {
    fn drop(&mut self) {
        self.queue.close();
        self.readers.close_idle();
        if let Some(writer) = self.writer.take()
            // A sink may hold the last handle: a thread cannot wait for itself.
            && writer.thread().id() != std::thread::current().id()
        {
            // It has told the hook whatever went wrong.
            drop(writer.join());
        }
    }
}

impl fmt::Debug for SqliteJournal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SqliteJournal").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Journal for SqliteJournal {
    fn partitions(&self) -> u32 {
        self.ends.partitions()
    }

    fn bounds(&self, partition: Partition) -> Result<Bounds, JournalError> {
        Ok(Bounds { low: 0, end: self.ends.end(partition) })
    }

    fn read(
        &self,
        partition: Partition,
        from: Offset,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Stored>, JournalError> {
        self.readers.read(partition, from, max_records, max_bytes)
    }

    fn appender(
        &self,
        partition: Partition,
        sink: DeliverySink,
    ) -> Result<Box<dyn Appender>, JournalError> {
        if self.queue.is_closed() {
            return Err(JournalError::Closed);
        }
        let queue = Arc::clone(&self.queue);
        Ok(Box::new(writer::SqliteAppender::new(partition, queue, Teller::new(sink))))
    }

    fn follow(&self, from: Vec<(Partition, Offset)>) -> Result<Box<dyn Follower>, JournalError> {
        Ok(Box::new(Tail::new(Arc::clone(&self.readers), from)))
    }
}
