//! Reading: connections that cannot write, shared by all who read. They see what is committed only.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rusqlite::{Connection, ErrorCode};
use tallybook_events::chain::Offset;
use tallybook_events::ids::Partition;

use super::schema;
use crate::journal::tail::{Ends, Readable};
use crate::journal::{JournalError, Stored};

/// Records that are read together share memory in blocks of this size, so that one that is kept for
/// long keeps no more than that. A larger record has a block of its own.
const BLOCK_BYTES: usize = 64 << 10;
/// Most records for which room is made before they are read.
const MAX_RESERVED: usize = 4_096;
/// Most connections for reading. Who finds none free waits for one.
const MAX_CONNECTIONS: usize = 16;

/// Connections for reading.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    ends: Arc<Ends>,
    pool: Mutex<Pool>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct Pool {
    idle: Vec<Connection>,
    /// Idle ones and those in use.
    open: usize,
}

impl Readers {
    pub(super) fn new(path: PathBuf, ends: Arc<Ends>) -> Self {
        Self { path, ends, pool: Mutex::default(), freed: Condvar::new() }
    }

    /// As [`crate::journal::Journal::read`].
    pub(super) fn read(
        &self,
        partition: Partition,
        from: Offset,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Stored>, JournalError> {
        if self.ends.end(partition) <= from {
            return Ok(Vec::new());
        }
        let connection = self.take()?;
        let records = read(&connection, partition, from, max_records, max_bytes);
        match &records {
            Ok(_) => self.give_back(Some(connection)),
            // Who knows what state it is in.
            Err(_) => self.give_back(None),
        }
        records
    }

    /// Gives where a partition ends in the file, whoever wrote it.
    pub(super) fn stored_end(&self, partition: Partition) -> Result<Offset, JournalError> {
        let connection = self.take()?;
        let select = format!("SELECT max(offset) FROM journal_{partition}");
        let last = connection
            .prepare_cached(&select)
            .and_then(|mut select| select.query_row([], |row| row.get::<_, Option<i64>>(0)));
        self.give_back(last.is_ok().then_some(connection));
        let last = last.map_err(failed("the ends of the partitions cannot be read"))?;
        Ok(last.and_then(|last| Offset::try_from(last).ok()).map_or(0, |last| last + 1))
    }

    /// Closes the connections that nobody uses.
    pub(super) fn close_idle(&self) {
        let mut pool = self.pool();
        pool.open -= pool.idle.len();
        pool.idle.clear();
    }

    fn take(&self) -> Result<Connection, JournalError> {
        let mut pool = self.pool();
        loop {
            if let Some(connection) = pool.idle.pop() {
                return Ok(connection);
            }
            if pool.open < MAX_CONNECTIONS {
                pool.open += 1;
                break;
            }
            pool = self.freed.wait(pool).unwrap_or_else(PoisonError::into_inner);
        }
        drop(pool);
        schema::connect_reader(&self.path).map_err(|error| {
            self.give_back(None);
            failed("the journal cannot be read")(error)
        })
    }

    fn give_back(&self, connection: Option<Connection>) {
        let mut pool = self.pool();
        match connection {
            Some(connection) => pool.idle.push(connection),
            None => pool.open -= 1,
        }
        drop(pool);
        self.freed.notify_one();
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Readable for Arc<Readers> {
    fn read(
        &self,
        partition: Partition,
        from: Offset,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Stored>, JournalError> {
        Readers::read(self, partition, from, max_records, max_bytes)
    }

    fn ends(&self) -> &Ends {
        &self.ends
    }
}

/// Reads records in offset order. Their offsets must have no gap.
pub(super) fn read(
    connection: &Connection,
    partition: Partition,
    from: Offset,
    max_records: usize,
    max_bytes: usize,
) -> Result<Vec<Stored>, JournalError> {
    let unread = failed("records cannot be read");
    let select = format!(
        "SELECT offset, record FROM journal_{partition} WHERE offset >= ?1 ORDER BY offset LIMIT ?2"
    );
    let mut select = connection.prepare_cached(&select).map_err(&unread)?;
    let limit = i64::try_from(max_records).unwrap_or(i64::MAX);
    let Ok(start) = i64::try_from(from) else { return Ok(Vec::new()) };
    let mut rows = select.query((start, limit)).map_err(&unread)?;
    let mut records = Records::new(max_records.min(MAX_RESERVED));
    let mut bytes = 0;
    let mut due = from;
    while bytes < max_bytes.max(1)
        && let Some(row) = rows.next().map_err(&unread)?
    {
        let found: i64 = row.get(0).map_err(&unread)?;
        if Offset::try_from(found) != Ok(due) {
            return Err(JournalError::Damaged {
                what: format!("partition {partition} has no record at offset {due}"),
                source: None,
            });
        }
        let value = row.get_ref(1).map_err(&unread)?;
        let record = value.as_blob().map_err(|error| unread(error.into()))?;
        bytes += record.len();
        records.push(due, record);
        due += 1;
    }
    Ok(records.finish())
}

/// Records that are being read, in shared blocks of memory.
struct Records {
    sealed: Vec<Stored>,
    /// Room that a new block is made with.
    room: usize,
    block: Vec<u8>,
    /// Offsets of the records in the block, and where they end there.
    in_block: Vec<(Offset, usize)>,
}

impl Records {
    fn new(expected: usize) -> Self {
        let room = if expected > 1 { BLOCK_BYTES } else { 0 };
        let sealed = Vec::with_capacity(expected);
        Self { sealed, room, block: Vec::new(), in_block: Vec::new() }
    }

    fn push(&mut self, offset: Offset, record: &[u8]) {
        if self.block.len() + record.len() > BLOCK_BYTES {
            self.seal();
        }
        if self.block.is_empty() {
            self.block.reserve_exact(self.room.max(record.len()));
        }
        self.block.extend_from_slice(record);
        self.in_block.push((offset, self.block.len()));
    }

    fn seal(&mut self) {
        let block = Bytes::from(std::mem::take(&mut self.block));
        let mut start = 0;
        for (offset, end) in self.in_block.drain(..) {
            self.sealed.push(Stored { offset, record: block.slice(start..end) });
            start = end;
        }
    }

    fn finish(mut self) -> Vec<Stored> {
        self.block.shrink_to_fit();
        self.seal();
        self.sealed
    }
}

/// Makes the error of the port from one of the library.
pub(super) fn failed(what: &str) -> impl Fn(rusqlite::Error) -> JournalError {
    move |error| match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            JournalError::Damaged { what: what.to_owned(), source: Some(error.into()) }
        }
        _ => JournalError::Unavailable(error.into()),
    }
}
