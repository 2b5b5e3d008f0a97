//! Keys in an `SQLite` file, `DIR/keys.db`, that several processes may write to.
//!
//! All keys are held in memory. A thread looks a few times a second whether another process has
//! written to the file, and then reads them anew.

use std::collections::HashMap;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};
use tallybook_events::ids::Scope;
use tallybook_events::time::Timestamp;

use super::{ApiKey, Digest, KeyId, KeyStore, KeyStoreError};

/// How often the file is looked at. Well below the second that is promised.
const POLL: Duration = Duration::from_millis(200);
/// How long a write waits for another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS api_keys (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        tenant TEXT NOT NULL,
        environment TEXT NOT NULL,
        scopes TEXT NOT NULL,
        rate_per_second INTEGER NOT NULL,
        digest BLOB NOT NULL,
        created_at INTEGER NOT NULL,
        revoked_at INTEGER
    ) STRICT";

const ALL: &str = "
    SELECT id, tenant, environment, scopes, rate_per_second, digest, created_at, revoked_at
    FROM api_keys ORDER BY number";

const INSERT: &str = "
    INSERT INTO api_keys
        (id, tenant, environment, scopes, rate_per_second, digest, created_at, revoked_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

const REVOKE: &str = "UPDATE api_keys SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL";

/// The keys in one file. Dropping it stops the thread that looks for changes.
#[derive(Debug)]
pub struct SqliteKeys {
    shared: Arc<Shared>,
    _stop: mpsc::Sender<()>,
}

#[derive(Debug)]
struct Shared {
    connection: Mutex<Connection>,
    keys: RwLock<Keys>,
}

#[derive(Debug, Default, Clone)]
struct Keys {
    by_id: HashMap<KeyId, Arc<ApiKey>>,
    in_order: Vec<Arc<ApiKey>>,
}

impl SqliteKeys {
    /// Opens the file, makes it when it is not there, reads it, and begins to look for changes.
    /// Only its owner may read or write a file that is made.
    ///
    /// # Errors
    /// [`KeyStoreError::Unavailable`] when the file cannot be opened or read,
    /// [`KeyStoreError::Damaged`] when it holds what is no key.
    pub fn open(path: &Path) -> Result<Self, KeyStoreError> {
        make_private(path)?;
        let connection = Connection::open(path).map_err(unavailable)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(unavailable)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(unavailable)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(unavailable)?;
        connection.execute_batch(SCHEMA).map_err(unavailable)?;
        let seen = data_version(&connection)?;
        let keys = RwLock::new(read_all(&connection)?);
        let shared = Arc::new(Shared { connection: Mutex::new(connection), keys });
        let (stop, stopped) = mpsc::channel();
        let watched = Arc::downgrade(&shared);
        thread::Builder::new()
            .name("keys".into())
            .spawn(move || watch(&watched, seen, &stopped))
            .map_err(|error| KeyStoreError::Unavailable(error.into()))?;
        Ok(Self { shared, _stop: stop })
    }
}

impl KeyStore for SqliteKeys {
    fn find(&self, id: &KeyId) -> Option<Arc<ApiKey>> {
        let keys = self.shared.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.by_id.get(id).map(Arc::clone)
    }

    fn list(&self) -> Vec<Arc<ApiKey>> {
        self.shared.keys.read().unwrap_or_else(PoisonError::into_inner).in_order.clone()
    }

    fn insert(&self, key: &ApiKey) -> Result<(), KeyStoreError> {
        self.shared.write(|connection| {
            let written = connection.execute(
                INSERT,
                params![
                    key.id.as_str(),
                    key.scope.tenant.as_str(),
                    key.scope.environment.as_str(),
                    key.scopes.to_string(),
                    key.rate_per_second,
                    key.digest.bytes(),
                    key.created_at.micros(),
                    key.revoked_at.map(Timestamp::micros),
                ],
            );
            match written {
                Ok(_) => Ok(()),
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                    Err(KeyStoreError::Taken(key.id.clone()))
                }
                Err(error) => Err(unavailable(error)),
            }
        })
    }

    fn revoke(&self, id: &KeyId, at: Timestamp) -> Result<(), KeyStoreError> {
        self.shared.write(|connection| {
            let known = connection
                .query_row("SELECT 1 FROM api_keys WHERE id = ?1", [id.as_str()], |_| Ok(()))
                .optional()
                .map_err(unavailable)?;
            if known.is_none() {
                return Err(KeyStoreError::Unknown(id.clone()));
            }
            connection.execute(REVOKE, params![id.as_str(), at.micros()]).map_err(unavailable)?;
            Ok(())
        })
    }
}

impl Shared {
    /// Writes, then reads all keys anew: `data_version` does not tell about our own writes.
    fn write(
        &self,
        write: impl FnOnce(&Connection) -> Result<(), KeyStoreError>,
    ) -> Result<(), KeyStoreError> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        write(&connection)?;
        self.take_over(&connection)
    }

    fn take_over(&self, connection: &Connection) -> Result<(), KeyStoreError> {
        let keys = read_all(connection)?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    /// Reads all keys anew when another process has written since `seen`; gives what was seen now.
    fn refresh(&self, seen: i64) -> Result<i64, KeyStoreError> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let version = data_version(&connection)?;
        if version != seen {
            self.take_over(&connection)?;
        }
        Ok(version)
    }
}

/// Looks for changes until the store is dropped. After an error the keys stay as they were read last.
fn watch(shared: &Weak<Shared>, mut seen: i64, stopped: &mpsc::Receiver<()>) {
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(POLL) {
        let Some(shared) = shared.upgrade() else { return };
        match shared.refresh(seen) {
            Ok(version) => seen = version,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "keys cannot be read");
            }
        }
    }
}

fn data_version(connection: &Connection) -> Result<i64, KeyStoreError> {
    connection.pragma_query_value(None, "data_version", |row| row.get(0)).map_err(unavailable)
}

fn read_all(connection: &Connection) -> Result<Keys, KeyStoreError> {
    let mut statement = connection.prepare_cached(ALL).map_err(unavailable)?;
    let mut rows = statement.query([]).map_err(unavailable)?;
    let mut keys = Keys::default();
    while let Some(row) = rows.next().map_err(unavailable)? {
        let key = Arc::new(read_key(row)?);
        keys.by_id.insert(key.id.clone(), Arc::clone(&key));
        keys.in_order.push(key);
    }
    Ok(keys)
}

fn read_key(row: &Row<'_>) -> Result<ApiKey, KeyStoreError> {
    let id: String = row.get(0).map_err(unavailable)?;
    let text = |column: usize| row.get::<_, String>(column).map_err(unavailable);
    let damaged = |what: &'static str| KeyStoreError::Damaged { id: id.clone(), what };
    Ok(ApiKey {
        id: id.parse().map_err(|_| damaged("its id"))?,
        scope: Scope {
            tenant: text(1)?.parse().map_err(|_| damaged("its tenant"))?,
            environment: text(2)?.parse().map_err(|_| damaged("its environment"))?,
        },
        scopes: text(3)?.parse().map_err(|_| damaged("its scopes"))?,
        rate_per_second: row.get(4).map_err(|_| damaged("its rate"))?,
        digest: row.get(5).map(Digest::from_bytes).map_err(|_| damaged("its digest"))?,
        created_at: Timestamp::from_micros(row.get(6).map_err(unavailable)?),
        revoked_at: row.get::<_, Option<i64>>(7).map_err(unavailable)?.map(Timestamp::from_micros),
    })
}

fn unavailable(error: rusqlite::Error) -> KeyStoreError {
    KeyStoreError::Unavailable(error.into())
}

#[cfg(unix)]
fn make_private(path: &Path) -> Result<(), KeyStoreError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map(drop)
        .map_err(|error| KeyStoreError::Unavailable(error.into()))
}

#[cfg(not(unix))]
fn make_private(_: &Path) -> Result<(), KeyStoreError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tallybook_events::ids::Environment;

    use super::super::{IssuedKey, issue};
    use super::*;

    fn issued() -> IssuedKey {
        let scope = Scope { tenant: "t".parse().unwrap(), environment: Environment::Test };
        issue(scope, "read,usage".parse().unwrap(), 7, Timestamp::from_micros(5)).unwrap()
    }

    fn within_a_second(condition: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(1);
        while !condition() {
            assert!(Instant::now() < deadline, "not within a second");
            thread::yield_now();
        }
    }

    #[test]
    fn keys_are_kept_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.db");
        let made = [issued().key, issued().key];
        let keys = SqliteKeys::open(&path).unwrap();
        for key in &made {
            keys.insert(key).unwrap();
            assert_eq!(keys.find(&key.id).as_deref(), Some(key));
        }
        drop(keys);
        let listed = SqliteKeys::open(&path).unwrap().list();
        assert_eq!(listed, made.map(Arc::new).to_vec());
    }

    #[test]
    fn an_id_is_taken_once_and_an_unknown_one_cannot_be_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let keys = SqliteKeys::open(&folder.path().join("keys.db")).unwrap();
        let key = issued().key;
        let unknown = keys.revoke(&key.id, Timestamp::MAX);
        assert!(matches!(unknown, Err(KeyStoreError::Unknown(id)) if id == key.id));
        keys.insert(&key).unwrap();
        assert!(matches!(keys.insert(&key), Err(KeyStoreError::Taken(id)) if id == key.id));
    }

    #[test]
    fn what_another_opener_writes_is_seen_within_a_second() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.db");
        let server = SqliteKeys::open(&path).unwrap();
        let beside = SqliteKeys::open(&path).unwrap();
        let key = issued().key;
        beside.insert(&key).unwrap();
        within_a_second(|| server.find(&key.id).is_some());
        let at = Timestamp::from_micros(9);
        beside.revoke(&key.id, at).unwrap();
        beside.revoke(&key.id, Timestamp::MAX).unwrap();
        within_a_second(|| server.find(&key.id).is_some_and(|key| key.revoked_at.is_some()));
        assert_eq!(*server.find(&key.id).unwrap(), ApiKey { revoked_at: Some(at), ..key });
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read_the_file() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.db");
        let _keys = SqliteKeys::open(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
