//! The embedded journal beside the process that has it: it can be read, and nothing else.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tallybook_events::chain::Offset;
use tallybook_events::ids::Partition;
use uuid::Uuid;

use super::reader::{Readers, failed};
use super::{FILE, OpenError, schema};
use crate::journal::tail::{Ends, Tail};
use crate::journal::{Appender, Bounds, DeliverySink, Follower, Journal, JournalError, Stored};

/// How often a follower looks whether another process has written.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A journal that this process only reads. Another may write it meanwhile, or none.
pub struct SqliteReader {
    id: Uuid,
    log: Log,
}

#[derive(Clone)]
struct Log {
    readers: Arc<Readers>,
    ends: Arc<Ends>,
}

impl SqliteReader {
    /// Opens the journal in a folder. It must be there.
    ///
    /// # Errors
    /// [`OpenError::Journal`] when it is not there or cannot be read, [`OpenError::UnknownFormat`] when
    /// it is of a later build.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        schema::check_library(rusqlite::version_number(), rusqlite::version())?;
        let path = folder.join(FILE);
        let connection =
            schema::connect_reader(&path).map_err(failed("the journal does not open"))?;
        let meta = schema::meta(&connection)?;
        let ends = Arc::new(Ends::new((0..meta.partitions).map(|_| 0)));
        let readers = Arc::new(Readers::new(path, Arc::clone(&ends)));
        let log = Log { readers, ends };
        log.look()?;
        Ok(Self { id: meta.id, log })
    }

    /// Gives the id that the journal got when it was made: a copy has it too, another journal has not.
    pub const fn id(&self) -> Uuid {
        self.id
    }
}

impl Log {
    /// Looks where the partitions end now.
    fn look(&self) -> Result<(), JournalError> {
        for partition in (0..self.ends.partitions()).map(Partition) {
            self.look_at(partition)?;
        }
        Ok(())
    }

    fn look_at(&self, partition: Partition) -> Result<Offset, JournalError> {
        let end = self.readers.stored_end(partition)?;
        // Whoever looked later may have seen more.
        let end = end.max(self.ends.end(partition));
        self.ends.advance(partition, end);
        Ok(end)
    }
}

impl fmt::Debug for SqliteReader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SqliteReader").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Journal for SqliteReader {
    fn partitions(&self) -> u32 {
        self.log.ends.partitions()
    }

    fn bounds(&self, partition: Partition) -> Result<Bounds, JournalError> {
        Ok(Bounds { low: 0, end: self.log.look_at(partition)? })
    }

    fn read(
        &self,
        partition: Partition,
        from: Offset,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Stored>, JournalError> {
        self.log.look_at(partition)?;
        self.log.readers.read(partition, from, max_records, max_bytes)
    }

    /// Never gives one: this process does not have the journal.
    fn appender(&self, _: Partition, _: DeliverySink) -> Result<Box<dyn Appender>, JournalError> {
        Err(JournalError::Closed)
    }

    fn follow(&self, from: Vec<(Partition, Offset)>) -> Result<Box<dyn Follower>, JournalError> {
        let tail = Tail::new(Arc::clone(&self.log.readers), from);
        Ok(Box::new(Beside { log: self.log.clone(), tail }))
    }
}

/// A follower that looks again and again, for nobody here tells it of what is written elsewhere.
struct Beside {
    log: Log,
    tail: Tail<Arc<Readers>>,
}

impl Follower for Beside {
    fn next(
        &mut self,
        max_records: usize,
        timeout: Duration,
    ) -> Result<Vec<(Partition, Stored)>, JournalError> {
        let deadline = Instant::now() + timeout;
        loop {
            self.log.look()?;
            let left = deadline.saturating_duration_since(Instant::now());
            let taken = self.tail.next(max_records, left.min(LOOK_EVERY))?;
            if !taken.is_empty() || left.is_zero() || max_records == 0 {
                return Ok(taken);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::{Options, SqliteJournal};
    use super::*;

    const WAIT: Duration = Duration::from_secs(10);

    fn write(journal: &SqliteJournal, record: &'static [u8]) {
        let (tell, told) = std::sync::mpsc::channel();
        let sink = Box::new(move |deliveries| tell.send(deliveries).unwrap());
        let mut appender = journal.appender(Partition(1), sink).unwrap();
        appender.append(vec![Bytes::from_static(record)]).unwrap();
        told.recv_timeout(WAIT).unwrap();
    }

    #[test]
    fn what_another_writes_can_be_read_and_followed_but_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { partitions: Some(2), ..Options::default() };
        let fatal = Box::new(|error| panic!("{error}"));
        let journal = SqliteJournal::open(folder.path(), &options, fatal).unwrap();
        let beside = SqliteReader::open(folder.path()).unwrap();
        assert_eq!((beside.id(), beside.partitions()), (journal.id(), 2));
        assert_eq!(beside.bounds(Partition(1)).unwrap(), Bounds { low: 0, end: 0 });
        let mut follower = beside.follow(vec![(Partition(0), 0), (Partition(1), 0)]).unwrap();
        assert_eq!(follower.next(10, Duration::ZERO).unwrap(), []);
        write(&journal, b"one");
        let one = Stored { offset: 0, record: Bytes::from_static(b"one") };
        let read = beside.read(Partition(1), 0, 10, 1_000).unwrap();
        assert_eq!(read.as_slice(), std::slice::from_ref(&one));
        assert_eq!(beside.bounds(Partition(1)).unwrap(), Bounds { low: 0, end: 1 });
        assert_eq!(follower.next(10, WAIT).unwrap(), [(Partition(1), one)]);
        let sink = Box::new(|_| {});
        assert!(matches!(beside.appender(Partition(1), sink), Err(JournalError::Closed)));
        drop(journal);
        assert_eq!(beside.read(Partition(1), 0, 10, 1_000).unwrap().len(), 1);
    }

    #[test]
    fn a_folder_without_a_journal_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(SqliteReader::open(folder.path()), Err(OpenError::Journal(_))));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
