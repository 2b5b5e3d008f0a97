//! Connections that only read, a few of them kept open.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{
    Client, Manager, ManagerConfig, Object, RecyclingMethod, Runtime, Transaction,
};
use tokio_postgres::IsolationLevel;

use super::database::{CONNECT_WITHIN, PostgresError};
use super::fold::checkpoints;
use super::place::{PostgresPlace, Side};
use crate::progress::Progress;
use crate::queries::ReadError;

/// Most connections that read.
const CONNECTIONS: usize = 16;
/// How long to wait for one that is free.
const WAIT: Duration = Duration::from_secs(5);

/// Connections to one place.
#[derive(Clone)]
pub(super) struct Pool {
    pool: deadpool_postgres::Pool,
    progress: Arc<Progress>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pool").field("status", &self.pool.status()).finish_non_exhaustive()
    }
}

/// A connection in use. Unless it is given [back](Lease::back), it is closed: whoever gave up in the
/// middle leaves answers behind that nobody waits for.
pub(super) struct Lease(Option<Client>);

impl Pool {
    /// Makes a pool; connects when it is asked.
    pub(super) fn new(place: &PostgresPlace, progress: Arc<Progress>) -> Result<Self, ReadError> {
        let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(place.config(Side::Reads), place.tls(), config);
        let pool = deadpool_postgres::Pool::builder(manager)
            .max_size(CONNECTIONS)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(WAIT))
            .create_timeout(Some(CONNECT_WITHIN))
            .recycle_timeout(Some(WAIT))
            .build()
            .map_err(|error| ReadError::Unavailable(error.into()))?;
        Ok(Self { pool, progress })
    }

    /// Gives a connection.
    ///
    /// # Errors
    /// [`ReadError::Behind`] when the server has lost what it was seen to have: it crashed, and what
    /// was folded last is folded again.
    pub(super) async fn lease(&self) -> Result<Lease, ReadError> {
        let client = self.pool.get().await.map_err(|error| ReadError::Unavailable(error.into()))?;
        let mut lease = Lease(Some(client));
        if lease.is_new() {
            let transaction = lease.begin().await?;
            let stand = checkpoints(&transaction).await?;
            drop(transaction);
            let lost = self.progress.positions().into_iter().any(|told| {
                let at = stand.iter().find(|(partition, _)| *partition == told.partition);
                at.map_or(0, |(_, at)| at.seq) < told.seq
            });
            if lost {
                return Err(ReadError::Behind);
            }
        }
        Ok(lease)
    }
}

impl Lease {
    fn is_new(&self) -> bool {
        self.0.as_ref().is_some_and(|client| Object::metrics(client).recycle_count == 0)
    }

    /// Begins to read: all that is read is of one moment.
    pub(super) async fn begin(&mut self) -> Result<Transaction<'_>, PostgresError> {
        let client = self.0.as_mut().expect("it is given back by value only");
        let transaction = client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await?;
        // Before the first question, which fixes the moment: so the tables are those of the moment.
        transaction.batch_execute("LOCK TABLE generation IN ACCESS SHARE MODE").await?;
        Ok(transaction)
    }

    /// Gives the connection back.
    pub(super) fn back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            drop(Object::take(client));
        }
    }
}
