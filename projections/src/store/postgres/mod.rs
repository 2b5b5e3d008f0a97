//! Read models in PostgreSQL: the tables in one schema (`tallybook_rows`), views for analysts in another
//! (`tallybook`).
//!
//! One connection folds (`synchronous_commit=off`): a crash of the server may lose the last commits, rows
//! together with their positions. Others read beside it; [`watch()`] tells those who wait, in whatever
//! process they are.
//!
//! Where several fold into one database, one leads and the others stand by ([`StoreError::Led`]); should
//! they fold at once all the same, the compare-and-set of positions decides.
//!
//! - `place`: the server and its schemas. `database`: connections, tables, what goes wrong.
//! - `fold`: a batch in one transaction; `ahead` reads, `write` with its columns writes.
//! - `memo` and `asking`: reckoning without waiting, and the questions that it leaves.
//! - `queries`, `lists`, `conditions`: answers. `rebuild`: new rows. `digest`: one number. `watch`: news.

use std::fmt;
use std::time::{Duration, Instant};

use deadpool_postgres::ClientWrapper;
use tallybook_events::chain::Checkpoint;
use tallybook_events::ids::Partition;
use tokio::runtime::Runtime;

use self::database::within;
use self::place::Side;
use super::cache::{CACHE_ROOM, Cache};
use super::{Batch, Store, StoreError};
use crate::digest::ModelsDigest;

pub use place::{PlaceError, PostgresPlace};
pub use queries::PostgresQueries;
pub use rebuild::PostgresRebuild;
pub use watch::{Watch, watch};

mod place;
mod database;
mod rows;
mod memo;
mod asking;
mod ahead;
mod columns;
mod ledger_columns;
mod write;
mod fold;
mod lead;
mod digest;
mod pool;
mod queries;
mod lists;
mod question;
mod conditions;
mod rebuild;
mod watch;
#[cfg(test)]
pub(super) mod tests;

/// How long a transaction may take in all.
const FOLD_WITHIN: Duration = Duration::from_mins(1);
/// How long a short question may take.
const ASK_WITHIN: Duration = Duration::from_secs(10);
/// How long the whole digest may take.
const DIGEST_WITHIN: Duration = Duration::from_hours(1);

/// The connection that folds. It is made when it is needed, and anew after a failure.
pub struct PostgresStore {
    place: PostgresPlace,
    side: Side,
    /// Always there, until it is dropped.
    runtime: Option<Runtime>,
    client: Option<ClientWrapper>,
    cache: Cache,
    generation: i64,
    /// Whether others stand by while this one folds.
    lead: Option<lead::Lead>,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PostgresStore").field("place", &self.place).finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Opens the read models of a place; makes them, empty, when there are none.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the tables are not those that this build writes,
    /// [`StoreError::Unavailable`] when the server does not answer.
    pub fn open(place: PostgresPlace) -> Result<Self, StoreError> {
        let mut store = Self::of(place, Side::Folds)?;
        apart(|| {
            let (runtime, place) = (running(store.runtime.as_ref())?, &store.place);
            let (client, generation) = runtime.block_on(async {
                let mut client = database::connect(place, Side::Folds).await?;
                within(FOLD_WITHIN, database::migrate(&mut client, place)).await?;
                let (generation, _) = within(ASK_WITHIN, fold::stand(&mut client)).await?;
                Ok::<_, StoreError>((client, generation))
            })?;
            store.client = Some(client);
            store.generation = generation;
            Ok::<_, StoreError>(())
        })?;
        Ok(store)
    }

    /// Prepares a store; nothing is asked of the server yet.
    fn of(place: PostgresPlace, side: Side) -> Result<Self, StoreError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| StoreError::Unavailable(error.into()))?;
        let (runtime, cache) = (Some(runtime), Cache::new(CACHE_ROOM));
        Ok(Self { place, side, runtime, client: None, cache, generation: 0, lead: None })
    }

    /// Folds only while nobody else leads here: [`StoreError::Led`] otherwise. All who fold into one
    /// place should; who does not is kept from nothing.
    #[must_use]
    pub fn leading(mut self) -> Self {
        self.lead = Some(lead::Lead::new(Instant::now()));
        self
    }

    /// Does something with the connection. After a failure it is not used again: nobody knows what is
    /// still on its way.
    fn with<T: Send>(
        &mut self,
        work: impl FnOnce(&Runtime, &mut ClientWrapper, Own<'_>) -> Result<T, StoreError> + Send,
    ) -> Result<T, StoreError> {
        apart(|| {
            let runtime = running(self.runtime.as_ref())?;
            let kept = self.client.take().filter(|client| !client.is_closed());
            let mut client = if let Some(client) = kept {
                client
            } else {
                self.lead.iter_mut().for_each(lead::Lead::lost);
                runtime.block_on(database::connect(&self.place, self.side))?
            };
            let own = Own {
                place: &self.place,
                side: self.side,
                cache: &mut self.cache,
                generation: &mut self.generation,
                lead: self.lead.as_mut(),
            };
            let done = work(runtime, &mut client, own);
            match &done {
                Err(StoreError::Unavailable(_) | StoreError::Damaged { .. }) => {
                    self.lead.iter_mut().for_each(lead::Lead::lost);
                    drop(client);
                    // So that its task ends now: the server should see it gone.
                    runtime.block_on(tokio::task::yield_now());
                }
                Ok(_) | Err(StoreError::Moved | StoreError::Led | StoreError::Unfoldable(_)) => {
                    self.client = Some(client);
                }
            }
            done
        })
    }
}

/// What a store has beside its connection.
struct Own<'a> {
    place: &'a PostgresPlace,
    side: Side,
    cache: &'a mut Cache,
    generation: &'a mut i64,
    lead: Option<&'a mut lead::Lead>,
}

impl Store for PostgresStore {
    fn checkpoints(&mut self) -> Result<Vec<(Partition, Checkpoint)>, StoreError> {
        // Whoever asks goes on from the answer: what is in memory may be of another line.
        self.cache.clear();
        self.with(|runtime, client, own| {
            let stand = within(ASK_WITHIN, fold::stand(client));
            let (generation, stand) = runtime.block_on(stand)?;
            *own.generation = generation;
            Ok(stand)
        })
    }

    fn commit(&mut self, batch: &Batch<'_>) -> Result<(), StoreError> {
        let done = self.with(|runtime, client, own| fold::commit(runtime, client, own, batch));
        if done.is_err() {
            self.cache.clear();
        }
        done
    }

    fn digest(&mut self) -> Result<ModelsDigest, StoreError> {
        self.with(|runtime, client, _| {
            Ok(runtime.block_on(within(DIGEST_WITHIN, digest::digest(client)))?)
        })
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        drop(self.client.take());
        if let Some(runtime) = self.runtime.take() {
            // Not to wait, for this may be the thread of another runtime.
            runtime.shutdown_background();
        }
    }
}

fn running(runtime: Option<&Runtime>) -> Result<&Runtime, StoreError> {
    runtime.ok_or_else(|| StoreError::Unavailable("the store is taken down".into()))
}

/// Works where waiting is allowed: on a thread of its own, where this one belongs to a runtime.
fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if tokio::runtime::Handle::try_current().is_err() {
        return work();
    }
    std::thread::scope(|threads| match threads.spawn(work).join() {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
