//! The file's format: made when there is none, brought up to date when it is older.

use rusqlite::{Connection, TransactionBehavior};

use super::unavailable;
use crate::keys::KeyStoreError;

/// What brings the file from each format to the next; `PRAGMA user_version` is the number of those done.
///
/// Files of the first builds have the first table and say 0: so the first step leaves it as it is.
const STEPS: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS api_keys (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        tenant TEXT NOT NULL,
        environment TEXT NOT NULL,
        scopes TEXT NOT NULL,
        rate_per_second INTEGER NOT NULL,
        digest BLOB NOT NULL,
        created_at INTEGER NOT NULL,
        revoked_at INTEGER
    ) STRICT",
    "ALTER TABLE api_keys ADD COLUMN imported INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE api_keys ADD COLUMN rotated_at INTEGER;
    ALTER TABLE api_keys ADD COLUMN former_digest BLOB;
    ALTER TABLE api_keys ADD COLUMN former_imported INTEGER;
    ALTER TABLE api_keys ADD COLUMN former_until INTEGER",
];

/// Makes the table, or brings it up to date; all of it or nothing.
pub(super) fn prepare(connection: &mut Connection) -> Result<(), KeyStoreError> {
    let known = STEPS.len();
    let newest = i64::try_from(known).unwrap_or(i64::MAX);
    // Most often there is nothing to do, and then nothing is locked.
    if version(connection)? == newest {
        return Ok(());
    }
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(unavailable)?;
    let found = version(&transaction)?;
    let done = usize::try_from(found).ok().filter(|done| *done <= known);
    let done = done.ok_or(KeyStoreError::UnknownFormat { found, known: newest })?;
    for step in &STEPS[done..] {
        transaction.execute_batch(step).map_err(unavailable)?;
    }
    transaction.pragma_update(None, "user_version", newest).map_err(unavailable)?;
    transaction.commit().map_err(unavailable)
}

fn version(connection: &Connection) -> Result<i64, KeyStoreError> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(unavailable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::sqlite::SqliteKeys;
    use crate::keys::{KeyStore, Presented, opened};
    use tallybook_events::time::Timestamp;

    #[test]
    fn keys_of_a_first_build_are_kept_and_still_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.db");
        let text = "tb_live_abc_secret";
        let old = Connection::open(&path).unwrap();
        // As the first builds made it.
        old.execute_batch(STEPS[0]).unwrap();
        let digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
        old.execute_batch(&format!(
            "INSERT INTO api_keys VALUES
             (1, 'abc', 't', 'live', 'read', 7, x'{digest}', 5, NULL),
             (2, 'def', 't', 'live', 'read', 7, x'{digest}', 6, 7)"
        ))
        .unwrap();
        drop(old);
        for _ in 0..2 {
            let keys = SqliteKeys::open(&path).unwrap();
            let shown: Presented = text.parse().unwrap();
            let key = opened(&keys, text, || Timestamp::MIN).unwrap();
            assert_eq!((&key.id, key.rate_per_second, key.former), (&shown.id, 7, None));
            assert_eq!((key.created_at, key.rotated_at), (Timestamp::from_micros(5), None));
            let revoked = "tb_live_def_secret";
            assert_eq!(opened(&keys, revoked, || Timestamp::MIN), None);
            assert_eq!(keys.list().len(), 2);
        }
    }

    #[test]
    fn a_file_of_a_newer_build_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.db");
        drop(SqliteKeys::open(&path).unwrap());
        let newer = Connection::open(&path).unwrap();
        newer.pragma_update(None, "user_version", 99).unwrap();
        let refused = SqliteKeys::open(&path).unwrap_err();
        assert!(
            matches!(refused, KeyStoreError::UnknownFormat { found: 99, known: 2 }),
            "{refused}"
        );
    }
}
