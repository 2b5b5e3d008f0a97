//! Keys in an `SQLite` file, `DIR/keys.db`, that several processes may write to.
//!
//! All keys are held in memory. A thread looks a few times a second whether another process has
//! written to the file, and then reads them anew.

use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tallybook_events::time::Timestamp;

use super::held::Held;
use super::{ApiKey, Credential, Digest, KeyId, KeyStore, KeyStoreError};

mod schema;
mod rows;

/// How often the file is looked at. Well below the second that is promised.
const POLL: Duration = Duration::from_millis(200);
/// How long a write waits for another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The keys in one file. Dropping it stops the thread that looks for changes.
#[derive(Debug)]
pub struct SqliteKeys {
    shared: Arc<Shared>,
    _stop: mpsc::Sender<()>,
}

#[derive(Debug)]
struct Shared {
    connection: Mutex<Connection>,
    keys: RwLock<Held>,
}

impl SqliteKeys {
    /// Opens the file, makes it when it is not there, reads it, and begins to look for changes.
    /// Only its owner may read or write a file that is made.
    ///
    /// # Errors
    /// [`KeyStoreError::Unavailable`] when the file cannot be opened or read,
    /// [`KeyStoreError::UnknownFormat`] when a newer build has written it,
    /// [`KeyStoreError::Damaged`] when it holds what is no key.
    pub fn open(path: &Path) -> Result<Self, KeyStoreError> {
        make_private(path)?;
        let mut connection = Connection::open(path).map_err(unavailable)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(unavailable)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(unavailable)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(unavailable)?;
        schema::prepare(&mut connection)?;
        let seen = data_version(&connection)?;
        let keys = RwLock::new(Held::of(rows::read_all(&connection)?));
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
        keys.find(id)
    }

    fn list(&self) -> Vec<Arc<ApiKey>> {
        self.shared.keys.read().unwrap_or_else(PoisonError::into_inner).list().to_vec()
    }

    fn find_imported(&self, digest: &Digest) -> Option<Arc<ApiKey>> {
        let keys = self.shared.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.by_text(digest)
    }

    fn insert(&self, key: &ApiKey) -> Result<(), KeyStoreError> {
        self.shared.write(|write| {
            if let Credential::Imported(digest) = &key.credential
                && let Some(other) = rows::opened_by(write, digest, key.created_at)?
            {
                return Err(KeyStoreError::TextTaken(other));
            }
            rows::insert(write, key)
        })
    }

    fn rotate(
        &self,
        id: &KeyId,
        credential: &Credential,
        at: Timestamp,
        former_until: Timestamp,
    ) -> Result<(), KeyStoreError> {
        self.shared.write(|write| match rows::is_revoked(write, id)? {
            None => Err(KeyStoreError::Unknown(id.clone())),
            Some(true) => Err(KeyStoreError::Revoked(id.clone())),
            Some(false) => rows::rotate(write, id, credential, at, former_until),
        })
    }

    fn revoke(&self, id: &KeyId, at: Timestamp) -> Result<(), KeyStoreError> {
        self.shared.write(|write| match rows::is_revoked(write, id)? {
            None => Err(KeyStoreError::Unknown(id.clone())),
            Some(_) => rows::revoke(write, id, at),
        })
    }
}

impl Shared {
    /// Writes in one transaction that no other writer comes into, then reads all keys anew:
    /// `data_version` does not tell about our own writes.
    fn write(
        &self,
        write: impl FnOnce(&Transaction<'_>) -> Result<(), KeyStoreError>,
    ) -> Result<(), KeyStoreError> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(unavailable)?;
        write(&transaction)?;
        transaction.commit().map_err(unavailable)?;
        self.take_over(&connection)
    }

    fn take_over(&self, connection: &Connection) -> Result<(), KeyStoreError> {
        let keys = Held::of(rows::read_all(connection)?);
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
    use std::path::PathBuf;

    use super::*;
    use crate::keys::conformance::{self, Subject};

    struct File(tempfile::TempDir);

    impl File {
        fn path(&self) -> PathBuf {
            self.0.path().join("keys.db")
        }
    }

    impl Subject for File {
        fn open(&self) -> Box<dyn KeyStore> {
            Box::new(SqliteKeys::open(&self.path()).unwrap())
        }
    }

    #[test]
    fn keys_in_a_file_keep_every_promise() {
        conformance::all(|| File(tempfile::tempdir().unwrap()));
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read_the_file() {
        use std::os::unix::fs::PermissionsExt as _;
        let file = File(tempfile::tempdir().unwrap());
        let _keys = file.open();
        let mode = std::fs::metadata(file.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
