//! The file: how it is opened, its tables and triggers, and what it says of itself.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use uuid::Uuid;

use super::OpenError;
use super::reader::failed;
use crate::journal::JournalError;

/// Format of the file that this build writes and reads.
pub(super) const FORMAT: &str = "1";
/// Number of partitions of a new journal when none is asked for.
pub const DEFAULT_PARTITIONS: u32 = 4;
/// Most partitions of a journal.
pub const MAX_PARTITIONS: u32 = 256;
/// First version of the library whose WAL is safe.
pub(super) const OLDEST: &str = "3.51.3";
const OLDEST_NUMBER: i32 = 3_051_003;

/// Larger pages than usual: records go to the end in batches, so fewer of them are split.
const PAGE_BYTES: u32 = 8_192;
/// Page cache of the writer, in KiB.
const CACHE_KIB: i64 = 16_384;
/// Page cache of a reader, in KiB. It reads each page once.
const READER_CACHE_KIB: i64 = 1_024;
/// What the WAL file is cut down to after a burst, in bytes.
const WAL_FILE_BYTES: i64 = 64 << 20;
/// How long a lock held by another program is waited for.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// What the file says of itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meta {
    pub(super) partitions: u32,
    pub(super) id: Uuid,
}

/// Refuses a library that is too old.
pub(super) fn check_library(number: i32, version: &str) -> Result<(), OpenError> {
    if number < OLDEST_NUMBER {
        return Err(OpenError::OldSqlite { found: version.to_owned() });
    }
    Ok(())
}

/// Opens the file for the writer; makes it when it is not there.
pub(super) fn open(path: &Path, asked: Option<u32>) -> Result<(Connection, Meta), OpenError> {
    if let Some(asked) = asked
        && !(1..=MAX_PARTITIONS).contains(&asked)
    {
        return Err(OpenError::PartitionsOutOfRange { asked });
    }
    let mut connection = connect(path).map_err(failed("the journal does not open"))?;
    make_when_empty(&mut connection, asked.unwrap_or(DEFAULT_PARTITIONS))
        .map_err(failed("the journal cannot be made"))?;
    let meta = meta(&connection)?;
    if let Some(asked) = asked
        && asked != meta.partitions
    {
        return Err(OpenError::OtherPartitions { has: meta.partitions, asked });
    }
    check_objects(&connection, meta.partitions)?;
    // What the last process left in the WAL goes to the file, and the WAL begins anew: pages of it that
    // a failed sync has left in doubt are not built upon.
    super::writer::empty_wal(&connection).map_err(failed("the WAL cannot be taken in"))?;
    Ok((connection, meta))
}

/// Opens a file for writing, with all that hangs on the connection, but without automatic checkpoints:
/// the writer makes them after it has told the sinks.
pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |mode| {
        let mode: String = mode.get(0)?;
        if mode == "wal" { Ok(()) } else { Err(rusqlite::Error::InvalidQuery) }
    })?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "fullfsync", "ON")?;
    connection.pragma_update(None, "checkpoint_fullfsync", "ON")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", WAL_FILE_BYTES)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    Ok(connection)
}

/// Opens a file for reading only.
pub(super) fn connect_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    Ok(connection)
}

/// Makes tables, triggers and what the file says of itself, all in one transaction.
fn make_when_empty(connection: &mut Connection, partitions: u32) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let objects: u32 =
        transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if objects == 0 {
        make(&transaction, partitions)?;
    }
    transaction.commit()
}

fn make(transaction: &Transaction<'_>, partitions: u32) -> rusqlite::Result<()> {
    for partition in 0..partitions {
        transaction.execute_batch(&format!(
            "CREATE TABLE journal_{partition} (
                 offset INTEGER PRIMARY KEY,
                 record BLOB NOT NULL
             ) STRICT;
             CREATE TRIGGER journal_{partition}_insert BEFORE INSERT ON journal_{partition}
             WHEN NEW.offset IS NOT (SELECT coalesce(max(offset) + 1, 0) FROM journal_{partition})
             BEGIN SELECT RAISE(ABORT, 'a record goes to the end of the journal'); END;
             CREATE TRIGGER journal_{partition}_update BEFORE UPDATE ON journal_{partition}
             BEGIN SELECT RAISE(ABORT, 'a record of the journal is never changed'); END;
             CREATE TRIGGER journal_{partition}_delete BEFORE DELETE ON journal_{partition}
             BEGIN SELECT RAISE(ABORT, 'a record of the journal is never deleted'); END;"
        ))?;
    }
    transaction
        .execute_batch("CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;")?;
    // The library's own randomness: an id for life, made once.
    let random: [u8; 16] = transaction.query_row("SELECT randomblob(16)", [], |row| row.get(0))?;
    let id = uuid::Builder::from_random_bytes(random).into_uuid();
    let mut insert = transaction.prepare("INSERT INTO meta (name, value) VALUES (?1, ?2)")?;
    insert.execute(["format", FORMAT])?;
    insert.execute(["partitions", &partitions.to_string()])?;
    insert.execute(["journal_id", &id.to_string()])?;
    for change in ["INSERT", "UPDATE", "DELETE"] {
        transaction.execute_batch(&format!(
            "CREATE TRIGGER meta_{} BEFORE {change} ON meta
             BEGIN SELECT RAISE(ABORT, 'what the journal says of itself never changes'); END;",
            change.to_ascii_lowercase()
        ))?;
    }
    Ok(())
}

/// Reads what the file says of itself.
pub(super) fn meta(connection: &Connection) -> Result<Meta, OpenError> {
    let value = |name: &str| -> Result<String, OpenError> {
        connection
            .query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0))
            .map_err(|source| {
                OpenError::Journal(JournalError::Damaged {
                    what: format!("the file does not say its {name}"),
                    source: Some(source.into()),
                })
            })
    };
    let found = value("format")?;
    if found != FORMAT {
        return Err(OpenError::UnknownFormat { found });
    }
    let partitions = value("partitions")?.parse().ok();
    let id = Uuid::try_parse(&value("journal_id")?).ok();
    match (partitions, id) {
        (Some(partitions), Some(id)) if (1..=MAX_PARTITIONS).contains(&partitions) => {
            Ok(Meta { partitions, id })
        }
        _ => Err(damaged("what the file says of itself is not to be read")),
    }
}

/// Refuses a file whose tables and triggers are not those that are made for so many partitions.
fn check_objects(connection: &Connection, partitions: u32) -> Result<(), OpenError> {
    let unread = failed("the schema cannot be read");
    let expected = || -> rusqlite::Result<Vec<Object>> {
        let mut empty = Connection::open_in_memory()?;
        make_when_empty(&mut empty, partitions)?;
        objects(&empty)
    };
    let (found, expected) = (objects(connection).map_err(&unread)?, expected().map_err(&unread)?);
    if found == expected {
        return Ok(());
    }
    let differs = |object: &&Object| !expected.contains(object);
    let missing = |object: &&Object| !found.contains(object);
    let object = found.iter().find(differs).or_else(|| expected.iter().find(missing));
    let name = object.map_or("", |object| object.name.as_str());
    Err(damaged(&format!("{name} of the schema is missing, or not what it was made")))
}

#[derive(Debug, PartialEq, Eq)]
struct Object {
    name: String,
    sql: Option<String>,
}

fn objects(connection: &Connection) -> rusqlite::Result<Vec<Object>> {
    let mut select = connection.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name")?;
    let object = |row: &rusqlite::Row<'_>| Ok(Object { name: row.get(0)?, sql: row.get(1)? });
    select.query_map([], object)?.collect()
}

fn damaged(what: &str) -> OpenError {
    OpenError::Journal(JournalError::Damaged { what: what.to_owned(), source: None })
}
