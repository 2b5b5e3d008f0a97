//! Questions, answered from the file. What takes microseconds is done at once, on the caller's thread;
//! what folds a history or reads a list of customers goes to a thread that may block.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, params};
use tallybook_events::codec;
use tallybook_events::customer::CustomerDocument;
use tallybook_events::customer::entitlements::Entitlements;
use tallybook_events::ids::{CommandId, CustomerId, CustomerRef, Partition, Position, Scope};
use tallybook_events::time::Timestamp;

use super::database::SqliteError;
use super::ledger::StoredLedger;
use super::pool::Pool;
use super::rows::{Columns, signed};
use super::{FILE, checkpoints, commands, lists, write};
use crate::customers::CustomerRow;
use crate::fold::CustomerFold;
use crate::history::{Bounds, History, Then, then};
use crate::ledger::LedgerSource as _;
use crate::progress::Progress;
use crate::projection::{Fact, Facts};
use crate::queries::{
    AsOf, Authors, CommandOutcome, CustomerFilter, Page, PageRequest, PeriodKind, Queries,
    ReadError, Slice, SliceRequest, TimelineItem, UsagePeriod,
};
use crate::spend::{Spending, spending};
use crate::store::cursor::Cursor;

/// Most customers whose authors are looked up on the caller's thread.
const AT_ONCE: usize = 8;

/// The read models of one file, as questions.
#[derive(Debug, Clone)]
pub struct SqliteQueries {
    pool: Arc<Pool>,
    progress: Arc<Progress>,
}

/// What is known of a customer at a moment without folding its history.
enum Known<T> {
    /// The answer.
    Answer(Option<Box<T>>),
    /// Its history must be folded.
    Fold(CustomerId, Bounds),
}

impl SqliteQueries {
    /// Opens the read models of a data folder, which must be there (see [`super::SqliteStore::open`]).
    /// `progress` is published by whoever folds; here it is brought to where the rows stand now.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] when they cannot be read.
    pub fn open(folder: &Path, progress: Arc<Progress>) -> Result<Self, ReadError> {
        let pool = Arc::new(Pool::open(folder.join(FILE))?);
        for (partition, at) in pool.read(|rows| checkpoints(rows))? {
            progress.publish(Position { partition, seq: at.seq });
        }
        Ok(Self { pool, progress })
    }

    async fn blocking<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Pool) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let pool = Arc::clone(&self.pool);
        let answer = tokio::task::spawn_blocking(move || read(&pool)).await;
        answer.unwrap_or_else(|error| Err(ReadError::Unavailable(error.into())))
    }

    /// Answers by the row of now, where it can.
    fn known<T>(
        &self,
        scope: &Scope,
        customer: &CustomerRef,
        (as_of, now): (AsOf, Timestamp),
        stands: impl FnOnce(&Connection, CustomerRow, Timestamp) -> Result<Option<T>, SqliteError>,
    ) -> Result<Known<T>, ReadError> {
        self.pool.read(|rows| {
            let Some(row) = find(rows, scope, customer)? else { return Ok(Known::Answer(None)) };
            let id = row.id;
            Ok(match then(row, as_of, now) {
                Then::Nobody => Known::Answer(None),
                Then::Row(row, at) => Known::Answer(stands(rows, *row, at)?.map(Box::new)),
                Then::History(bounds) => Known::Fold(id, bounds),
            })
        })
    }

    /// Answers by the history of a customer.
    async fn folded<T: Send + 'static>(
        &self,
        id: CustomerId,
        bounds: Bounds,
        answer: impl FnOnce(History, Timestamp) -> Option<T> + Send + 'static,
    ) -> Result<Option<T>, ReadError> {
        self.blocking(move |pool| {
            pool.read(|rows| Ok(answer(fold(rows, id, bounds)?, bounds.seen_at)))
        })
        .await
    }
}

#[async_trait]
impl Queries for SqliteQueries {
    async fn customer(
        &self,
        scope: &Scope,
        customer: &CustomerRef,
        as_of: AsOf,
        now: Timestamp,
    ) -> Result<Option<CustomerDocument>, ReadError> {
        let stands = |rows: &Connection, row: CustomerRow, at| {
            let mut ledger = StoredLedger { connection: rows, customer: row.id };
            CustomerFold::stored(row).document(at, &mut ledger)
        };
        match self.known(scope, customer, (as_of, now), stands)? {
            Known::Answer(document) => Ok(document.map(|document| *document)),
            Known::Fold(id, bounds) => self.folded(id, bounds, History::document).await,
        }
    }

    async fn resolve(
        &self,
        scope: &Scope,
        customer: &CustomerRef,
    ) -> Result<Option<CustomerId>, ReadError> {
        self.pool.read(|rows| resolve(rows, scope, customer))
    }

    async fn spending(
        &self,
        scope: &Scope,
        customer: &CustomerRef,
        at: Timestamp,
    ) -> Result<Option<Spending>, ReadError> {
        let (scope, customer) = (scope.clone(), customer.clone());
        self.blocking(move |pool| {
            pool.read(|rows| {
                let Some(row) = find(rows, &scope, &customer)? else { return Ok(None) };
                let mut ledger = StoredLedger { connection: rows, customer: row.id };
                spending(row, at, &mut ledger)
            })
        })
        .await
    }

    async fn entitlements(
        &self,
        scope: &Scope,
        customer: &CustomerRef,
        as_of: AsOf,
        now: Timestamp,
    ) -> Result<Option<Entitlements>, ReadError> {
        let stands = |rows: &Connection, row: CustomerRow, at| {
            let answer = entitlements(rows, &row, at)?;
            Ok(Some(answer))
        };
        match self.known(scope, customer, (as_of, now), stands)? {
            Known::Answer(answer) => Ok(answer.map(|answer| *answer)),
            Known::Fold(id, bounds) => self.folded(id, bounds, History::entitlements).await,
        }
    }

    async fn customers(
        &self,
        scope: &Scope,
        filter: &CustomerFilter,
        page: &PageRequest,
        now: Timestamp,
    ) -> Result<Page<CustomerDocument>, ReadError> {
        let after = page.cursor.as_deref().map(Cursor::customer).transpose()?;
        let (scope, filter, page) = (scope.clone(), filter.clone(), page.clone());
        self.blocking(move |pool| {
            pool.read(|rows| lists::customers(rows, &scope, &filter, &page, after, now))
        })
        .await
    }

    async fn slice(
        &self,
        scope: &Scope,
        filter: &CustomerFilter,
        slice: &SliceRequest,
        now: Timestamp,
    ) -> Result<Slice<CustomerDocument>, ReadError> {
        let (scope, filter, slice) = (scope.clone(), filter.clone(), slice.clone());
        self.blocking(move |pool| {
            pool.read(|rows| lists::slice(rows, &scope, &filter, &slice, now))
        })
        .await
    }

    async fn authors(&self, of: &[(CustomerId, u64)]) -> Result<Vec<Option<Authors>>, ReadError> {
        let find = |pool: &Pool, of: &[(CustomerId, u64)]| {
            pool.read(|rows| of.iter().map(|of| lists::authors(rows, *of)).collect())
        };
        if of.len() <= AT_ONCE {
            return find(&self.pool, of);
        }
        let of = of.to_vec();
        self.blocking(move |pool| find(pool, &of)).await
    }

    async fn timeline(
        &self,
        customer: CustomerId,
        page: &PageRequest,
    ) -> Result<Page<TimelineItem>, ReadError> {
        let after = page.cursor.as_deref().map(Cursor::version).transpose()?;
        self.pool.read(|rows| lists::timeline(rows, customer, page, after))
    }

    async fn usage(
        &self,
        customer: CustomerId,
        kind: Option<PeriodKind>,
        page: &PageRequest,
    ) -> Result<Page<UsagePeriod>, ReadError> {
        let after = page.cursor.as_deref().map(Cursor::period).transpose()?;
        self.pool.read(|rows| lists::usage(rows, customer, kind, page, after))
    }

    async fn command(
        &self,
        scope: &Scope,
        command_id: CommandId,
    ) -> Result<Option<CommandOutcome>, ReadError> {
        self.pool.read(|rows| commands::find(rows, scope, command_id))
    }

    fn positions(&self) -> Vec<Position> {
        self.progress.positions()
    }

    async fn reached(&self, position: Position, timeout: Duration) -> Result<(), ReadError> {
        self.progress.reached(position, timeout).await
    }
}

/// Finds the id of a customer of a scope: an archived one by id only.
fn resolve(
    rows: &Connection,
    scope: &Scope,
    customer: &CustomerRef,
) -> Result<Option<CustomerId>, SqliteError> {
    let (tenant, environment) = (scope.tenant.as_str(), scope.environment.as_str());
    let found = match customer {
        CustomerRef::Id(id) => rows
            .prepare_cached(
                "SELECT id FROM customers WHERE id = ?1 AND tenant = ?2 AND environment = ?3",
            )?
            .query_row(params![id.0.as_bytes(), tenant, environment], |row| {
                Ok(Columns(row).customer_id(0))
            })
            .optional()?,
        CustomerRef::Key(key) => rows
            .prepare_cached(
                "SELECT id FROM customers WHERE tenant = ?1 AND environment = ?2 AND key = ?3 \
                 AND archived_at IS NULL ORDER BY key_since DESC, created_at DESC, id LIMIT 1",
            )?
            .query_row(params![tenant, environment, key.as_str()], |row| {
                Ok(Columns(row).customer_id(0))
            })
            .optional()?,
    };
    found.transpose()
}

/// Reckons what a customer is entitled to: only what was used since the beginning of the windows of
/// then, and of those before that matter to them, is read.
fn entitlements(
    rows: &Connection,
    row: &CustomerRow,
    now: Timestamp,
) -> Result<Entitlements, SqliteError> {
    let counted = row.counted();
    let mut ledger = StoredLedger { connection: rows, customer: row.id };
    let mut usage = BTreeMap::new();
    for feature in counted.features() {
        let from = counted.horizon(feature, now);
        usage.insert(feature.clone(), ledger.segments(feature, from)?);
    }
    Ok(counted.answer(&usage, now))
}

fn find(
    rows: &Connection,
    scope: &Scope,
    customer: &CustomerRef,
) -> Result<Option<CustomerRow>, SqliteError> {
    let id = match customer {
        CustomerRef::Id(id) => Some(*id),
        CustomerRef::Key(_) => resolve(rows, scope, customer)?,
    };
    let row = id.map(|id| write::load_row(rows, id)).transpose()?.flatten();
    Ok(row.filter(|row| row.scope == *scope))
}

/// Folds the history of a customer up to a version or a moment.
fn fold(rows: &Connection, id: CustomerId, bounds: Bounds) -> Result<History, SqliteError> {
    let last_version = bounds.last_version.map_or(Ok(i64::MAX), signed)?;
    let mut statement = rows.prepare_cached(
        "SELECT version, seq, recorded_at, command_id, actor, event FROM timeline \
         WHERE customer = ?1 AND version <= ?2 ORDER BY version",
    )?;
    let mut events = statement.query(params![id.0.as_bytes(), last_version])?;
    let mut history = History::unborn();
    while let Some(row) = events.next()? {
        let row = Columns(row);
        let facts = facts(id, row)?;
        if facts.decided_at > bounds.last_moment {
            break;
        }
        history.apply(&facts);
    }
    Ok(history)
}

/// Makes facts of one row of a timeline.
fn facts(id: CustomerId, row: Columns<'_>) -> Result<Facts<'_>, SqliteError> {
    let version = row.number(0)?;
    let refused = |error: &dyn std::fmt::Display| {
        SqliteError::Row(format!("event {version} of customer {id}: {error}"))
    };
    let recorded = serde_json::from_str(row.str(5)?).map_err(|error| refused(&error))?;
    let event = codec::read_event(recorded).map_err(|error| refused(&error))?;
    Ok(Facts {
        customer_id: id,
        // A timeline does not say of which partition it is, and no fold asks.
        place: Position { partition: Partition(0), seq: row.number(1)? },
        decided_at: row.time(2)?,
        command_id: row.command_id(3)?,
        actor: row.text(4)?,
        from_version: version.saturating_sub(1),
        facts: vec![Fact { version, event, recorded }],
    })
}
