//! Read models in one SQLite file, `DIR/views.db`.
//!
//! One connection writes (WAL, `synchronous=NORMAL`): a crash of the process loses nothing, a crash of
//! the machine may lose the last commits, rows together with their positions. Others read beside it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior};
use tallybook_events::chain::Checkpoint;
use tallybook_events::ids::{CustomerId, Partition};

use self::database::{Keeping, SqliteError, open_writer};
use self::ledger::StoredLedger;
use self::rows::Columns;
use super::cache::{CACHE_ROOM, Cache};
use super::{Batch, Store, StoreError, Tell, TellingStore};
use crate::commands::CommandRow;
use crate::digest::ModelsDigest;
use crate::fold::CustomerFold;
use crate::projection::Projection as _;
use crate::timeline::Timeline;
use crate::told::Told;

pub use queries::SqliteQueries;
pub use rebuild::SqliteRebuild;

mod database;
mod rows;
mod ledger;
mod write;
mod commands;
mod digest;
mod queries;
mod pool;
mod lists;
mod conditions;
mod rebuild;

/// Name of the file in the data folder.
pub const FILE: &str = "views.db";

/// The connection that writes.
pub struct SqliteStore {
    connection: Connection,
    path: PathBuf,
    cache: Cache,
    generation: i64,
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the read models of a data folder; makes them, empty, when there are none.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the file is not what this build writes, [`StoreError::Unavailable`]
    /// when it cannot be opened.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        Self::open_file(&folder.join(FILE), Keeping::Whole)
    }

    fn open_file(path: &Path, keeping: Keeping) -> Result<Self, StoreError> {
        let connection = open_writer(path, keeping)?;
        let generation = generation(&connection)?;
        Ok(Self { connection, path: path.into(), cache: Cache::new(CACHE_ROOM), generation })
    }

    /// Folds; when somebody else moved the rows, forgets what it has of them in memory.
    fn fold_or_forget(
        &mut self,
        batch: &Batch<'_>,
        tell: Option<Tell<'_>>,
    ) -> Result<(), StoreError> {
        let done = self.fold(batch, tell);
        if let Err(StoreError::Moved) = done {
            self.cache.clear();
        }
        done
    }

    fn fold(&mut self, batch: &Batch<'_>, tell: Option<Tell<'_>>) -> Result<(), StoreError> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if generation(&transaction)? != self.generation {
            return Err(StoreError::Moved);
        }
        // Ordered by id, as the rows are: neighbours are written one after the other.
        let mut touched: BTreeMap<CustomerId, CustomerFold> = BTreeMap::new();
        for part in &batch.parts {
            if !write::move_position(&transaction, part)? {
                return Err(StoreError::Moved);
            }
            for facts in &part.facts {
                let id = facts.customer_id;
                let fold = match touched.entry(id) {
                    std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                    std::collections::btree_map::Entry::Vacant(entry) => {
                        let cached = self.cache.take(id);
                        entry.insert(cached.map_or_else(|| write::load(&transaction, id), Ok)?)
                    }
                };
                facts.follow(fold.version()).map_err(StoreError::Unfoldable)?;
                fold.apply(facts, &mut StoredLedger { connection: &transaction, customer: id })?;
                for row in Timeline::apply(&mut (), facts) {
                    write::save_event(&transaction, &row)?;
                }
            }
        }
        // In the order of their ids, too; the rows of one command stay in theirs.
        let parts = batch.parts.iter();
        let mut asked: Vec<&CommandRow> = parts.flat_map(|part| &part.commands).collect();
        asked.sort_by_key(|row| row.command_id);
        for row in asked {
            commands::save(&transaction, row)?;
        }
        for (id, fold) in &touched {
            write::save(&transaction, *id, fold)?;
        }
        if let Some(tell) = tell {
            tell(told(&transaction, &touched)?)?;
        }
        transaction.commit()?;
        for (id, mut fold) in touched {
            fold.written();
            self.cache.put(id, fold);
        }
        Ok(())
    }
}

/// Says what was folded of each customer.
fn told(
    connection: &Connection,
    touched: &BTreeMap<CustomerId, CustomerFold>,
) -> Result<Vec<Told>, SqliteError> {
    let told = touched.iter().filter_map(|(id, fold)| {
        Told::of(fold, &mut StoredLedger { connection, customer: *id }).transpose()
    });
    told.collect()
}

impl TellingStore for SqliteStore {
    fn commit_told(&mut self, batch: &Batch<'_>, tell: Tell<'_>) -> Result<(), StoreError> {
        self.fold_or_forget(batch, Some(tell))
    }
}

impl Store for SqliteStore {
    fn checkpoints(&mut self) -> Result<Vec<(Partition, Checkpoint)>, StoreError> {
        // Whoever asks goes on from the answer: what is in memory may be of another line.
        self.cache.clear();
        self.generation = generation(&self.connection)?;
        Ok(checkpoints(&self.connection)?)
    }

    fn commit(&mut self, batch: &Batch<'_>) -> Result<(), StoreError> {
        self.fold_or_forget(batch, None)
    }

    fn digest(&mut self) -> Result<ModelsDigest, StoreError> {
        let transaction = self.connection.transaction()?;
        Ok(digest::digest(&transaction)?)
    }
}

fn generation(connection: &Connection) -> Result<i64, SqliteError> {
    let mut statement = connection.prepare_cached("SELECT number FROM generation")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

fn checkpoints(connection: &Connection) -> Result<Vec<(Partition, Checkpoint)>, SqliteError> {
    let mut statement = connection.prepare_cached(
        "SELECT partition, next_offset, term, seq, head FROM positions ORDER BY partition",
    )?;
    statement.query_and_then([], |row| rows::checkpoint(Columns(row)))?.collect()
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::progress::Progress;
    use crate::queries::Queries;
    use crate::store::Rebuild;
    use crate::store::conformance::{Fixture, FreshFixture, conformance};

    /// A folder of its own.
    pub(crate) struct Folder(tempfile::TempDir);

    impl Fixture for Folder {
        fn store(&self) -> Box<dyn Store> {
            Box::new(SqliteStore::open(self.0.path()).unwrap())
        }

        fn queries(&self, progress: Arc<Progress>) -> Box<dyn Queries> {
            Box::new(SqliteQueries::open(self.0.path(), progress).unwrap())
        }

        fn rebuild(&self) -> Box<dyn Rebuild> {
            Box::new(SqliteRebuild::begin(self.0.path()).unwrap())
        }
    }

    impl FreshFixture for Folder {
        fn fresh() -> Self {
            let folder = Self(tempfile::tempdir().unwrap());
            folder.store();
            folder
        }
    }

    conformance!(Folder::fresh());

    #[test]
    fn one_rebuild_at_a_time() {
        let folder = Folder::fresh();
        let first = SqliteRebuild::begin(folder.0.path()).unwrap();
        let refused = SqliteRebuild::begin(folder.0.path()).unwrap_err();
        assert!(matches!(refused, StoreError::Unavailable(_)), "{refused:?}");
        drop(first);
        SqliteRebuild::begin(folder.0.path()).unwrap();
    }

    #[tokio::test]
    async fn rows_that_this_build_did_not_write_are_said_to_be_damaged() {
        let folder = Folder::fresh();
        let store = SqliteStore::open(folder.0.path()).unwrap();
        let bad = "INSERT INTO customers VALUES (x'00', 't', 'live', NULL, 0, 'active', NULL, 1, 0, 0, NULL, '{}', NULL)";
        store.connection.execute(bad, []).unwrap();
        let error = folder.store().digest().unwrap_err();
        assert_eq!(error.to_string(), "the read model cannot be read: column id is no UUID");
    }
}
