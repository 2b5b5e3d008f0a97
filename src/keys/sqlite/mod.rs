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

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tallybook_events::time::Timestamp;

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
    keys: RwLock<Keys>,
}

#[derive(Debug, Default, Clone)]
struct Keys {
    by_id: HashMap<KeyId, Arc<ApiKey>>,
    /// Keys that are not revoked, by the digests of imported texts that open or opened them.
    by_text: HashMap<Digest, Arc<ApiKey>>,
    in_order: Vec<Arc<ApiKey>>,
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
        let keys = RwLock::new(Keys::of(rows::read_all(&connection)?));
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

    fn find_imported(&self, digest: &Digest) -> Option<Arc<ApiKey>> {
        let keys = self.shared.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.by_text.get(digest).map(Arc::clone)
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

impl Keys {
    fn of(in_order: Vec<Arc<ApiKey>>) -> Self {
        let by_id = in_order.iter().map(|key| (key.id.clone(), Arc::clone(key))).collect();
        let mut by_text = HashMap::new();
        let open = || in_order.iter().filter(|key| key.revoked_at.is_none());
        // A text whose time was over may have been imported anew: what opens a key now comes last.
        let former = open().filter_map(|key| Some((key.former.as_ref()?.credential, key)));
        let present = open().map(|key| (key.credential, key));
        for (credential, key) in former.chain(present) {
            match credential {
                Credential::Imported(digest) => drop(by_text.insert(digest, Arc::clone(key))),
                Credential::Issued(_) => {}
            }
        }
        Self { by_id, by_text, in_order }
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
        let keys = Keys::of(rows::read_all(connection)?);
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
    use std::time::Instant;

    use tallybook_events::ids::Environment;

    use tallybook_events::ids::Scope;

    use super::super::{Former, IssuedKey, import, issue, opened, reissue};
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

    fn imported(text: &str) -> ApiKey {
        let scope = Scope { tenant: "t".parse().unwrap(), environment: Environment::Live };
        let made = Timestamp::from_micros(5);
        import(&text.parse().unwrap(), scope, "read".parse().unwrap(), 0, made).unwrap()
    }

    fn at(micros: i64) -> impl Fn() -> Timestamp + Copy {
        move || Timestamp::from_micros(micros)
    }

    #[test]
    fn an_imported_text_opens_its_key_and_one_key_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.db");
        let keys = SqliteKeys::open(&path).unwrap();
        let key = imported("am_sk_live_1");
        keys.insert(&key).unwrap();
        let again = keys.insert(&imported("am_sk_live_1"));
        assert!(matches!(again, Err(KeyStoreError::TextTaken(id)) if id == key.id));
        keys.insert(&imported("am_sk_live_2")).unwrap();
        drop(keys);
        let keys = SqliteKeys::open(&path).unwrap();
        let opens = |text: &str| opened(&keys, text, at(5)).map(|key| key.id.clone());
        assert_eq!(opens("am_sk_live_1"), Some(key.id.clone()));
        for other in ["am_sk_live_3", "am_sk_live_1 ", "am_sk_live_", key.id.as_str()] {
            assert_eq!(opens(other), None, "{other}");
        }
        keys.revoke(&key.id, Timestamp::from_micros(6)).unwrap();
        assert_eq!(opened(&keys, "am_sk_live_1", at(5)), None);
        let anew = imported("am_sk_live_1");
        keys.insert(&anew).unwrap();
        assert_eq!(opened(&keys, "am_sk_live_1", at(5)).as_deref(), Some(&anew));
    }

    #[test]
    fn an_issued_secret_alone_opens_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let keys = SqliteKeys::open(&folder.path().join("keys.db")).unwrap();
        let issued = issued();
        keys.insert(&issued.key).unwrap();
        let text = issued.reveal();
        let (_, secret) = text.rsplit_once('_').unwrap();
        assert_eq!(opened(&keys, secret, at(5)), None);
        assert_eq!(opened(&keys, &text, at(5)).as_deref(), Some(&issued.key));
        let elsewhere = text.replace("_test_", "_live_");
        assert_eq!(opened(&keys, &elsewhere, at(5)), None);
    }

    #[test]
    fn a_rotated_key_is_opened_by_both_texts_until_the_former_ones_time_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let keys = SqliteKeys::open(&folder.path().join("keys.db")).unwrap();
        let (first, text) = (imported("am_sk_live_1"), "am_sk_live_1");
        keys.insert(&first).unwrap();
        let rotate = |key: &ApiKey, when: i64, until: i64| {
            let new = reissue(key).unwrap();
            let (when, until) = (Timestamp::from_micros(when), Timestamp::from_micros(until));
            keys.rotate(&key.id, &new.key.credential, when, until).unwrap();
            new.reveal()
        };
        let second = rotate(&first, 10, 20);
        let kept = keys.find(&first.id).unwrap();
        let former = Former { credential: first.credential, until: Timestamp::from_micros(20) };
        assert_eq!(
            (kept.former, kept.rotated_at),
            (Some(former), Some(Timestamp::from_micros(10)))
        );
        let opens = |text: &str, when| opened(&keys, text, at(when)).is_some();
        assert_eq!((opens(text, 19), opens(&second, 19)), (true, true));
        assert_eq!((opens(text, 20), opens(&second, 20)), (false, true));
        let taken = keys.insert(&imported(text));
        assert!(matches!(taken, Err(KeyStoreError::TextTaken(id)) if id == first.id));
        let third = rotate(&kept, 11, 11);
        for (text, expected) in [(text, false), (&*second, false), (&third, true)] {
            assert_eq!(opens(text, 11), expected);
        }
        // What opens nothing any more may be imported anew.
        let anew = imported(text);
        keys.insert(&anew).unwrap();
        assert_eq!(opened(&keys, text, at(11)).as_deref(), Some(&anew));
        keys.revoke(&first.id, Timestamp::from_micros(12)).unwrap();
        assert!(!opens(&third, 12));
        let credential = kept.credential;
        let late = keys.rotate(&first.id, &credential, Timestamp::MAX, Timestamp::MAX);
        assert!(matches!(late, Err(KeyStoreError::Revoked(id)) if id == first.id));
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
