//! New rows in a file of their own beside the live one, then put in its place in one transaction.
//!
//! A server may run meanwhile: it reads and folds on until the switch. That copies the new rows into
//! the live file while nobody else can write to it; who reads sees the old rows until it is done. The
//! server's projector then finds that its rows were moved, and goes on from where the new ones stand,
//! which is never behind where the old ones stood.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use super::database::{Keeping, open_writer};
use super::{FILE, SqliteStore, checkpoints};
use crate::store::{CatchUp, Rebuild, Store, StoreError, not_behind};

/// Name of the file of the new rows.
const NEW_FILE: &str = "views.rebuild.db";
/// Name of the file that a rebuild holds a lock on.
const LOCK_FILE: &str = "views.rebuild.lock";

/// New rows of the read models of one data folder.
#[derive(Debug)]
pub struct SqliteRebuild {
    store: SqliteStore,
    live: PathBuf,
    new: PathBuf,
    /// Held as long as the rebuild lives; the system gives it back when the process ends.
    _lock: File,
}

impl SqliteRebuild {
    /// Begins a rebuild in a data folder; what an earlier one left is thrown away.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when another rebuild is under way there, or the file cannot be made.
    pub fn begin(folder: &Path) -> Result<Self, StoreError> {
        let lock = lock(&folder.join(LOCK_FILE))?;
        let new = folder.join(NEW_FILE);
        remove(&new)?;
        let store = SqliteStore::open_file(&new, Keeping::Scratch)?;
        Ok(Self { store, live: folder.join(FILE), new, _lock: lock })
    }
}

impl Rebuild for SqliteRebuild {
    fn store(&mut self) -> &mut dyn Store {
        &mut self.store
    }

    fn switch(mut self: Box<Self>, catch_up: CatchUp<'_>) -> Result<(), StoreError> {
        let mut live = open_writer(&self.live, Keeping::Whole)?;
        let name = self.new.to_str().ok_or_else(|| StoreError::Damaged {
            what: format!("the path {} is not UTF-8", self.new.display()),
            source: None,
        })?;
        live.execute("ATTACH DATABASE ?1 AS new", [name])?;
        let transaction = live.transaction()?;
        // The first statement that writes: from here on nobody else writes to the live file.
        transaction.execute("UPDATE main.generation SET number = number + 1", [])?;
        let stand = checkpoints(&transaction)?;
        catch_up(&mut self.store, &stand)?;
        not_behind(&self.store.checkpoints()?, &stand)?;
        for table in [
            "positions",
            "customers",
            "period_usage",
            "budgets",
            "timeline",
            "commands",
            "feature_usage",
        ] {
            // Same tables, the live one empty: SQLite copies the rows as they are stored.
            transaction.execute_batch(&format!(
                "DELETE FROM main.{table}; INSERT INTO main.{table} SELECT * FROM new.{table};"
            ))?;
        }
        transaction.commit()?;
        live.execute("DETACH DATABASE new", [])?;
        drop(live);
        let Self { store, new, .. } = *self;
        drop(store);
        remove(&new)
    }
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let unavailable = |error: std::io::Error| StoreError::Unavailable(error.into());
    let file = File::create(path).map_err(unavailable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(StoreError::Unavailable("another rebuild is under way in this folder".into()))
        }
        Err(TryLockError::Error(error)) => Err(unavailable(error)),
    }
}

/// Takes away a file of SQLite's and what belongs to it.
fn remove(path: &Path) -> Result<(), StoreError> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(&name) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::Unavailable(error.into())),
        }
    }
    Ok(())
}
