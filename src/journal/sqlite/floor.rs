//! The floor that this journal is measured against: the bare library, inserting the same bytes with
//! the same pragmas in transactions of the same size. No queue, no threads, no triggers, nobody told.

use std::path::Path;
use std::time::{Duration, Instant};

use tallybook_events::ids::Partition;

use super::{schema, writer};
use crate::journal::tail::index;

/// What the floor took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Floor {
    /// Records inserted.
    pub records: u64,
    /// Transactions that it took.
    pub commits: u64,
    /// From before the first to after the last.
    pub elapsed: Duration,
}

impl Floor {
    /// Gives records per second, rounded down.
    pub fn per_second(&self) -> u64 {
        let nanos = self.elapsed.as_nanos().max(1);
        u64::try_from(u128::from(self.records) * 1_000_000_000 / nanos).unwrap_or(u64::MAX)
    }
}

/// Inserts records into a new file at `path`, so many of them in one transaction, each into the table
/// of its partition.
///
/// # Errors
/// When the file cannot be made or written.
pub fn insert<R: AsRef<[u8]>>(
    path: &Path,
    partitions: u32,
    records: impl IntoIterator<Item = (Partition, R)>,
    records_per_commit: usize,
) -> rusqlite::Result<Floor> {
    let connection = schema::connect(path)?;
    connection.pragma_update(None, "wal_autocheckpoint", writer::CHECKPOINT_PAGES)?;
    let (mut inserts, mut next) = (Vec::new(), Vec::new());
    for partition in 0..partitions {
        connection.execute_batch(&format!(
            "CREATE TABLE floor_{partition} (offset INTEGER PRIMARY KEY, record BLOB NOT NULL) STRICT"
        ))?;
        inserts
            .push(connection.prepare(&format!("INSERT INTO floor_{partition} VALUES (?1, ?2)"))?);
        next.push(0_i64);
    }
    let mut begin = connection.prepare("BEGIN IMMEDIATE")?;
    let mut commit = connection.prepare("COMMIT")?;
    let mut floor = Floor { records: 0, commits: 0, elapsed: Duration::ZERO };
    let start = Instant::now();
    let mut in_transaction = 0;
    for (partition, record) in records {
        if in_transaction == 0 {
            begin.execute([])?;
        }
        let place = index(partition);
        inserts[place].execute((next[place], record.as_ref()))?;
        next[place] += 1;
        floor.records += 1;
        in_transaction += 1;
        if in_transaction >= records_per_commit {
            commit.execute([])?;
            floor.commits += 1;
            in_transaction = 0;
        }
    }
    if in_transaction > 0 {
        commit.execute([])?;
        floor.commits += 1;
    }
    floor.elapsed = start.elapsed();
    Ok(floor)
}
