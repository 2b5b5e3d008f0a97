//! Questions, answered from the tables. All of one answer is read in one transaction.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::Transaction;
use serde_json::value::RawValue;
use tallybook_events::codec;
use tallybook_events::customer::CustomerDocument;
use tallybook_events::customer::entitlements::Entitlements;
use tallybook_events::decision::{Accepted, Outcome};
use tallybook_events::ids::{CommandId, CustomerId, CustomerRef, Partition, Position, Scope};
use tallybook_events::time::Timestamp;

use super::asking::{query, query_opt, reckoned};
use super::database::{PostgresError, within};
use super::lists;
use super::memo::Memo;
use super::place::Side;
use super::pool::Pool;
use super::rows::{COMMAND, CUSTOMER, Columns, command, customer, signed};
use super::{PostgresPlace, PostgresStore};
use crate::commands::CommandRow;
use crate::customers::CustomerRow;
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
use crate::store::{Store as _, StoreError};

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Events of a history that are read at once.
const EVENTS_AT_ONCE: i64 = 2_000;

/// The read models of one place, as questions.
#[derive(Debug, Clone)]
pub struct PostgresQueries {
    pool: Pool,
    progress: Arc<Progress>,
}

/// Answers a question: takes a connection, begins a transaction and, when all went well, gives the
/// connection back.
macro_rules! answer {
    ($self:ident, |$rows:ident| $read:expr) => {
        within(ANSWER_WITHIN, async {
            let mut lease = $self.pool.lease().await?;
            let transaction = lease.begin().await?;
            let $rows = &transaction;
            let answer = $read.await?;
            drop(transaction);
            lease.back();
            Ok::<_, ReadError>(answer)
        })
        .await
    };
}

impl PostgresQueries {
    /// Opens the read models of a place, which must be there (see [`PostgresStore::open`]). `progress`
    /// is published by whoever folds, or by [`watch`](super::watch()); here it is brought to where the
    /// rows stand now.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] when the server does not answer.
    pub fn open(place: &PostgresPlace, progress: Arc<Progress>) -> Result<Self, ReadError> {
        let unavailable = |error: StoreError| ReadError::Unavailable(error.into());
        let mut store = PostgresStore::of(place.clone(), Side::Reads).map_err(unavailable)?;
        for (partition, at) in store.checkpoints().map_err(unavailable)? {
            progress.publish(Position { partition, seq: at.seq });
        }
        Ok(Self { pool: Pool::new(place, Arc::clone(&progress))?, progress })
    }
}

#[async_trait]
impl Queries for PostgresQueries {
    async fn customer(
        &self,
        scope: &Scope,
        customer: &CustomerRef,
        as_of: AsOf,
        now: Timestamp,
    ) -> Result<Option<CustomerDocument>, ReadError> {
        answer!(self, |rows| customer_at(rows, scope, customer, as_of, now))
    }

    async fn resolve(
        &self,
        scope: &Scope,
        customer: &CustomerRef,
    ) -> Result<Option<CustomerId>, ReadError> {
        let found = answer!(self, |rows| find(rows, scope, customer))?;
        Ok(found.map(|row| row.id))
    }

    async fn spending(
        &self,
        scope: &Scope,
        customer: &CustomerRef,
        at: Timestamp,
    ) -> Result<Option<Spending>, ReadError> {
        answer!(self, |rows| spending_at(rows, scope, customer, at))
    }

    async fn entitlements(
        &self,
        scope: &Scope,
        customer: &CustomerRef,
        as_of: AsOf,
        now: Timestamp,
    ) -> Result<Option<Entitlements>, ReadError> {
        answer!(self, |rows| entitlements_at(rows, scope, customer, as_of, now))
    }

    async fn customers(
        &self,
        scope: &Scope,
        filter: &CustomerFilter,
        page: &PageRequest,
        now: Timestamp,
    ) -> Result<Page<CustomerDocument>, ReadError> {
        let after = page.cursor.as_deref().map(Cursor::customer).transpose()?;
        answer!(self, |rows| lists::customers(rows, scope, filter, page, after, now))
    }

    async fn slice(
        &self,
        scope: &Scope,
        filter: &CustomerFilter,
        slice: &SliceRequest,
        now: Timestamp,
    ) -> Result<Slice<CustomerDocument>, ReadError> {
        answer!(self, |rows| lists::slice(rows, scope, filter, slice, now))
    }

    async fn authors(&self, of: &[(CustomerId, u64)]) -> Result<Vec<Option<Authors>>, ReadError> {
        answer!(self, |rows| lists::authors(rows, of))
    }

    async fn timeline(
        &self,
        customer: CustomerId,
        page: &PageRequest,
    ) -> Result<Page<TimelineItem>, ReadError> {
        let after = page.cursor.as_deref().map(Cursor::version).transpose()?;
        answer!(self, |rows| lists::timeline(rows, customer, page, after))
    }

    async fn usage(
        &self,
        customer: CustomerId,
        kind: Option<PeriodKind>,
        page: &PageRequest,
    ) -> Result<Page<UsagePeriod>, ReadError> {
        let after = page.cursor.as_deref().map(Cursor::period).transpose()?;
        answer!(self, |rows| lists::usage(rows, customer, kind, page, after))
    }

    async fn command(
        &self,
        scope: &Scope,
        command_id: CommandId,
    ) -> Result<Option<CommandOutcome>, ReadError> {
        answer!(self, |rows| outcome(rows, scope, command_id))
    }

    fn positions(&self) -> Vec<Position> {
        self.progress.positions()
    }

    async fn reached(&self, position: Position, timeout: Duration) -> Result<(), ReadError> {
        self.progress.reached(position, timeout).await
    }
}

/// Finds a customer of a scope: an archived one by id only.
async fn find(
    rows: &Transaction<'_>,
    scope: &Scope,
    sought: &CustomerRef,
) -> Result<Option<CustomerRow>, PostgresError> {
    let (tenant, environment) = (scope.tenant.as_str(), scope.environment.as_str());
    let found = match sought {
        CustomerRef::Id(id) => {
            let sql = format!(
                "SELECT {CUSTOMER} FROM customers \
                 WHERE id = $1 AND tenant = $2 AND environment = $3"
            );
            query_opt(rows, &sql, &[&id.0, &tenant, &environment]).await?
        }
        CustomerRef::Key(key) => {
            let sql = format!(
                "SELECT {CUSTOMER} FROM customers WHERE tenant = $1 AND environment = $2 \
                 AND key = $3 AND archived_at IS NULL \
                 ORDER BY key_since DESC, created_at DESC, id LIMIT 1"
            );
            query_opt(rows, &sql, &[&tenant, &environment, &key.as_str()]).await?
        }
    };
    found.map(|row| customer(Columns(&row))).transpose()
}

async fn customer_at(
    rows: &Transaction<'_>,
    scope: &Scope,
    sought: &CustomerRef,
    as_of: AsOf,
    now: Timestamp,
) -> Result<Option<CustomerDocument>, PostgresError> {
    let Some(row) = find(rows, scope, sought).await? else { return Ok(None) };
    let id = row.id;
    match then(row, as_of, now) {
        Then::Nobody => Ok(None),
        Then::Row(row, at) => Ok(lists::documents(rows, vec![*row], at).await?.pop()),
        Then::History(bounds) => Ok(folded(rows, id, bounds).await?.document(bounds.seen_at)),
    }
}

async fn spending_at(
    rows: &Transaction<'_>,
    scope: &Scope,
    sought: &CustomerRef,
    at: Timestamp,
) -> Result<Option<Spending>, PostgresError> {
    let Some(row) = find(rows, scope, sought).await? else { return Ok(None) };
    let mut memo = Memo::default();
    reckoned(rows, row.id, &mut memo, |memo| spending(row.clone(), at, memo)).await
}

async fn entitlements_at(
    rows: &Transaction<'_>,
    scope: &Scope,
    sought: &CustomerRef,
    as_of: AsOf,
    now: Timestamp,
) -> Result<Option<Entitlements>, PostgresError> {
    let Some(row) = find(rows, scope, sought).await? else { return Ok(None) };
    let id = row.id;
    match then(row, as_of, now) {
        Then::Nobody => Ok(None),
        Then::Row(row, at) => entitlements(rows, &row, at).await.map(Some),
        Then::History(bounds) => Ok(folded(rows, id, bounds).await?.entitlements(bounds.seen_at)),
    }
}

/// Reckons what a customer is entitled to: only what was used since the beginning of the windows of
/// then, and of those before that matter to them, is read.
async fn entitlements(
    rows: &Transaction<'_>,
    row: &CustomerRow,
    now: Timestamp,
) -> Result<Entitlements, PostgresError> {
    let counted = row.counted();
    let mut memo = Memo::default();
    let usage = reckoned(rows, row.id, &mut memo, |memo| {
        let mut usage = BTreeMap::new();
        for feature in counted.features() {
            let from = counted.horizon(feature, now);
            usage.insert(feature.clone(), memo.segments(feature, from)?);
        }
        Ok(usage)
    });
    Ok(counted.answer(&usage.await?, now))
}

/// Folds the history of a customer up to a version or a moment.
async fn folded(
    rows: &Transaction<'_>,
    id: CustomerId,
    bounds: Bounds,
) -> Result<History, PostgresError> {
    let last_version = bounds.last_version.map_or(Ok(i64::MAX), signed)?;
    let last_moment = bounds.last_moment.micros();
    let sql = "SELECT version, seq, recorded_at, command_id, actor, event FROM timeline \
               WHERE customer = $1 AND version > $2 AND version <= $3 AND recorded_at <= $4 \
               ORDER BY version LIMIT $5";
    let mut history = History::unborn();
    loop {
        let after = signed(history.version())?;
        let values: &super::asking::Values<'_> =
            &[&id.0, &after, &last_version, &last_moment, &EVENTS_AT_ONCE];
        let events = query(rows, sql, values).await?;
        if events.is_empty() {
            return Ok(history);
        }
        for row in &events {
            let facts = facts(id, Columns(row))?;
            let follows = facts.follow(history.version());
            follows.map_err(|error| PostgresError::Row(error.to_string()))?;
            history.apply(&facts);
        }
    }
}

/// Makes facts of one row of a timeline.
fn facts(id: CustomerId, row: Columns<'_>) -> Result<Facts<'_>, PostgresError> {
    let version = row.number(0)?;
    let refused = |error: &dyn std::fmt::Display| {
        PostgresError::Row(format!("event {version} of customer {id}: {error}"))
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

/// Finds what became of a command of a scope. An id that was used on several partitions stands for the
/// command that was decided first.
async fn outcome(
    rows: &Transaction<'_>,
    scope: &Scope,
    command_id: CommandId,
) -> Result<Option<CommandOutcome>, PostgresError> {
    let sql = format!(
        "SELECT {COMMAND} FROM commands WHERE id = $1 AND tenant = $2 AND environment = $3 \
         ORDER BY decided_at, partition LIMIT 1"
    );
    let (tenant, environment) = (scope.tenant.as_str(), scope.environment.as_str());
    let found = query_opt(rows, &sql, &[&command_id.0, &tenant, &environment]).await?;
    let Some(found) = found else { return Ok(None) };
    let CommandRow { command_id, place, decided_at, outcome, .. } = command(Columns(&found))?;
    let events = match &outcome {
        Outcome::Accepted(accepted) => events(rows, accepted).await?,
        Outcome::Rejected(_)
        | Outcome::Deferred(_)
        | Outcome::Forwarded { .. }
        | Outcome::DeadLettered { .. }
        | Outcome::Repeated { .. }
        | Outcome::Previewed(_) => Vec::new(),
    };
    let events = format!("[{}]", events.join(","));
    let events = RawValue::from_string(events)
        .map_err(|error| PostgresError::Row(format!("events of {command_id}: {error}")))?;
    Ok(Some(CommandOutcome { command_id, position: place, decided_at, outcome, events }))
}

async fn events(rows: &Transaction<'_>, accepted: &Accepted) -> Result<Vec<String>, PostgresError> {
    let Accepted { customer_id: CustomerId(id), from_version, to_version, .. } = accepted;
    let sql = "SELECT event FROM timeline WHERE customer = $1 AND version > $2 AND version <= $3 \
               ORDER BY version";
    let (from, to) = (signed(*from_version)?, signed(*to_version)?);
    let events = query(rows, sql, &[id, &from, &to]).await?;
    events.iter().map(|row| Ok(Columns(row).str(0)?.to_owned())).collect()
}
