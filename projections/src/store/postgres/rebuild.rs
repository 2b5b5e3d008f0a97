//! New rows in a schema of their own beside the live one, then put in its place in one transaction.
//!
//! A server may run meanwhile: it reads and folds on until the switch. That keeps everybody from folding
//! while the new rows catch up, then everybody from reading while the schemas change their names. Whoever
//! folds finds that the rows were moved, and goes on from where the new ones stand, which is never
//! behind where the old ones stood.

use std::time::Duration;

use tallybook_events::chain::Checkpoint;
use tallybook_events::ids::Partition;
use tokio_postgres::error::SqlState;

use super::database::{PostgresError, make_new_rows, views, within};
use super::place::{PostgresPlace, Side};
use super::rows::{Columns, checkpoint};
use super::{FOLD_WITHIN, PostgresStore};
use crate::store::{CatchUp, Rebuild, Store, StoreError, not_behind};

/// Second number of the lock of whoever rebuilds.
const REBUILD_LOCK: i32 = -3;
/// How often it is tried to get the rows from those who read.
const TRIES: u32 = 30;
/// How long to let them go on between two tries.
const PAUSE: Duration = Duration::from_millis(500);

/// New rows of the read models of one place.
#[derive(Debug)]
pub struct PostgresRebuild {
    new: PostgresStore,
    /// The connection that holds the lock, and changes the schemas.
    live: PostgresStore,
}

impl PostgresRebuild {
    /// Begins a rebuild; what an earlier one left is thrown away.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when another rebuild is under way there, or the server does not
    /// answer.
    pub fn begin(place: PostgresPlace) -> Result<Self, StoreError> {
        let mut live = PostgresStore::open(place.clone())?;
        lock(&mut live)?;
        drop_old(&mut live)?;
        let mut new = PostgresStore::of(place, Side::Rebuilds)?;
        new.with(|runtime, client, own| {
            let made = within(FOLD_WITHIN, make_new_rows(client, own.place));
            Ok(runtime.block_on(made)?)
        })?;
        new.checkpoints()?;
        Ok(Self { new, live })
    }
}

impl Rebuild for PostgresRebuild {
    fn store(&mut self) -> &mut dyn Store {
        &mut self.new
    }

    fn switch(mut self: Box<Self>, catch_up: CatchUp<'_>) -> Result<(), StoreError> {
        // Another one may have begun, should the connection have been lost.
        lock(&mut self.live)?;
        let Self { new, live } = &mut *self;
        let stand = stop_folding(live)?;
        let caught_up = catch_up(new, &stand)
            .and_then(|()| not_behind(&new.checkpoints()?, &stand))
            .and_then(|()| put_in_place(live));
        if caught_up.is_err() {
            // A connection that is lost has rolled back by itself.
            drop(run(live, "ROLLBACK".into()));
            return caught_up;
        }
        // They are in nobody's way; what cannot be dropped now is dropped by the next rebuild.
        drop(drop_old(live));
        Ok(())
    }
}

/// Does something without an answer.
fn run(live: &mut PostgresStore, sql: String) -> Result<(), StoreError> {
    live.with(|runtime, client, _| {
        let ran = async { Ok::<_, PostgresError>(client.batch_execute(&sql).await?) };
        Ok(runtime.block_on(within(FOLD_WITHIN, ran))?)
    })
}

fn lock(live: &mut PostgresStore) -> Result<(), StoreError> {
    live.with(|runtime, client, own| {
        let key = own.place.lock();
        let asked = async {
            let sql = "SELECT pg_try_advisory_lock($1, $2)";
            let row = client.query_one(sql, &[&key, &REBUILD_LOCK]).await?;
            Ok::<bool, PostgresError>(row.try_get(0)?)
        };
        if runtime.block_on(within(FOLD_WITHIN, asked))? {
            return Ok(());
        }
        Err(StoreError::Unavailable("another rebuild is under way in this database".into()))
    })
}

fn drop_old(live: &mut PostgresStore) -> Result<(), StoreError> {
    let old = live.place.old_rows();
    run(live, format!("DROP SCHEMA IF EXISTS {old} CASCADE"))
}

/// Keeps everybody from folding into the live rows, and gives where they stand.
fn stop_folding(live: &mut PostgresStore) -> Result<Vec<(Partition, Checkpoint)>, StoreError> {
    live.with(|runtime, client, _| {
        let stopped = async {
            let sql = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0; \
                       LOCK TABLE generation IN EXCLUSIVE MODE;";
            client.batch_execute(sql).await?;
            let sql =
                "SELECT partition, next_offset, term, seq, head FROM positions ORDER BY partition";
            let rows = client.query(sql, &[]).await?;
            rows.iter().map(|row| checkpoint(Columns(row))).collect::<Result<_, PostgresError>>()
        };
        Ok(runtime.block_on(within(FOLD_WITHIN, stopped))?)
    })
}

/// Puts the new rows in the place of the live ones and commits.
fn put_in_place(live: &mut PostgresStore) -> Result<(), StoreError> {
    live.with(|runtime, client, own| {
        let switched = switch(client, own.place);
        Ok(runtime.block_on(within(FOLD_WITHIN, switched))?)
    })
}

async fn switch(
    client: &tokio_postgres::Client,
    place: &PostgresPlace,
) -> Result<(), PostgresError> {
    let (home, rows, new, old) = (place.home(), place.rows(), place.new_rows(), place.old_rows());
    let switch = format!(
        "SAVEPOINT before_switch; SET LOCAL lock_timeout = '1s'; \
         LOCK TABLE {home}.generation IN ACCESS EXCLUSIVE MODE; \
         DROP TABLE {new}.generation; \
         ALTER SCHEMA {rows} RENAME TO {old}; ALTER SCHEMA {new} RENAME TO {rows}; \
         UPDATE {home}.generation SET number = number + 1;"
    );
    let switch = format!("{switch} {}", views(place));
    for again in (0..TRIES).rev() {
        match client.batch_execute(&switch).await {
            Ok(()) => return Ok(client.batch_execute("COMMIT").await?),
            // Somebody reads for longer than others should wait.
            Err(error) if again > 0 && error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                client.batch_execute("ROLLBACK TO before_switch").await?;
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(PostgresError::Row("the rows were never free to be put in place".into()))
}
