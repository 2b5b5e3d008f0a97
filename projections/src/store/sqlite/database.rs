//! The file: how it is opened, and brought to the tables that this build writes.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::queries::ReadError;
use crate::store::StoreError;

/// How long to wait for a transaction of another connection before it counts as no answer.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Pages in the write-ahead log at which SQLite moves them into the file (32 MiB): the only moments at
/// which a commit waits for the disk.
const CHECKPOINT_PAGES: i64 = 8_192;
/// Bytes of the write-ahead log that stay on disk for the next time.
const LOG_BYTES_KEPT: i64 = 64 << 20;
/// Page cache of the connection that writes, in KiB.
const WRITER_CACHE_KIB: i64 = 64 << 10;
/// Page cache of a connection that reads, in KiB.
const READER_CACHE_KIB: i64 = 8 << 10;
/// Most prepared statements that a connection keeps.
const KEPT_STATEMENTS: usize = 64;

/// The tables, step by step: step `n` brings a file from version `n` to `n + 1`.
const MIGRATIONS: [&str; 5] = [
    include_str!("../../../migrations/sqlite/0001_views.sql"),
    include_str!("../../../migrations/sqlite/0002_commands.sql"),
    include_str!("../../../migrations/sqlite/0003_entitlements.sql"),
    include_str!("../../../migrations/sqlite/0004_hours.sql"),
    include_str!("../../../migrations/sqlite/0005_limits.sql"),
];

/// What goes wrong in this adapter.
#[derive(Debug, thiserror::Error)]
pub(super) enum SqliteError {
    /// SQLite did not do it.
    #[error("SQLite did not do it")]
    Sql(#[from] rusqlite::Error),
    /// A value is not what this build writes.
    #[error("a row is not what this build writes: {0}")]
    Row(String),
}

impl From<SqliteError> for StoreError {
    fn from(error: SqliteError) -> Self {
        match error {
            SqliteError::Row(what) => Self::Damaged { what, source: None },
            SqliteError::Sql(source) => match source.sqlite_error_code() {
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged {
                    what: "the file is damaged; without it all is built again from the journal"
                        .into(),
                    source: Some(source.into()),
                },
                Some(ErrorCode::ConstraintViolation) => Self::Damaged {
                    what: "a row is there twice".into(),
                    source: Some(source.into()),
                },
                _ => Self::Unavailable(source.into()),
            },
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        SqliteError::from(error).into()
    }
}

impl From<SqliteError> for ReadError {
    fn from(error: SqliteError) -> Self {
        Self::Unavailable(error.into())
    }
}

/// How a connection that writes keeps what it commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeping {
    /// Whole after a crash of the machine; the last moments may be gone.
    Whole,
    /// For a file that is thrown away should the machine crash.
    Scratch,
}

/// Opens the file to write, makes it when it is not there, and brings its tables up to date.
pub(super) fn open_writer(path: &Path, keeping: Keeping) -> Result<Connection, StoreError> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(KEPT_STATEMENTS);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = match keeping {
        Keeping::Whole => "NORMAL",
        Keeping::Scratch => "OFF",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// Opens the file, which must be there, to read.
pub(super) fn open_reader(path: &Path) -> Result<Connection, SqliteError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(KEPT_STATEMENTS);
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    Ok(connection)
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = i64::try_from(MIGRATIONS.len()).expect("a few steps");
    let Some(due) = usize::try_from(version).ok().and_then(|done| MIGRATIONS.get(done..)) else {
        let what = format!("its tables are of version {version}, this build knows up to {known}");
        return Err(StoreError::Damaged { what, source: None });
    };
    for step in due {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_a_later_build_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("views.db");
        let connection = open_writer(&path, Keeping::Whole).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        drop(connection);
        let error = open_writer(&path, Keeping::Whole).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the read model cannot be read: its tables are of version 99, this build knows up to 5"
        );
    }

    #[test]
    fn rows_of_an_earlier_build_are_folded_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("views.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(MIGRATIONS[0]).unwrap();
        old.execute_batch("INSERT INTO positions VALUES (0, 5, 1, 5, zeroblob(32))").unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        drop(old);
        let connection = open_writer(&path, Keeping::Whole).unwrap();
        let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(number("SELECT count(*) FROM positions"), 0);
        assert_eq!(number("SELECT number FROM generation"), 4);
    }

    #[test]
    fn a_file_that_is_no_database_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("views.db");
        std::fs::write(&path, "no database at all, ".repeat(100)).unwrap();
        let error = open_writer(&path, Keeping::Whole).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    }
}
