//! The stored journal, read with plain SQL from the file.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

/// One record as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Its partition.
    pub(crate) partition: u64,
    /// Its offset.
    pub(crate) offset: u64,
    /// Its bytes.
    pub(crate) record: Vec<u8>,
}

/// Opens a database for reading only.
pub(crate) fn open(path: &Path) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags).expect("the database is there")
}

/// Reads the journal of a data folder whole, by partition and offset.
pub(crate) fn read(data: &Path) -> Vec<Stored> {
    let database = open(&data.join("journal.db"));
    let sound: String =
        database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a check");
    assert_eq!(sound, "ok", "journal.db");
    let partitions: String = database
        .query_row("SELECT value FROM meta WHERE name = 'partitions'", [], |row| row.get(0))
        .expect("the journal says how many partitions it has");
    let mut journal = Vec::new();
    for partition in 0..partitions.parse().expect("a number") {
        let select = format!("SELECT offset, record FROM journal_{partition} ORDER BY offset");
        let mut select = database.prepare(&select).expect("a table for each partition");
        let rows = select.query_map([], |row| {
            let offset: i64 = row.get(0)?;
            Ok(Stored { partition, offset: offset.unsigned_abs(), record: row.get(1)? })
        });
        journal.extend(rows.expect("a query").map(|row| row.expect("a row")));
    }
    journal
}
