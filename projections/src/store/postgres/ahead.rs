//! Reading ahead: what the fold of a batch will ask about its customers, in a few questions for all of
//! them. What is forgotten here is asked later, one by one: nothing but time depends on it.

use std::collections::{BTreeMap, HashMap, HashSet};

use deadpool_postgres::Transaction;
use tallybook_events::customer::Budget;
use tallybook_events::ids::CustomerId;
use tallybook_events::period::Window;
use tallybook_events::time::Timestamp;
use uuid::Uuid;

use super::asking::{Values, query};
use super::database::PostgresError;
use super::memo::{Memo, Spans};
use super::rows::{CUSTOMER, Columns, LEDGER_ROW, customer, ledger_row};
use crate::fold::CustomerFold;
use crate::ledger::LedgerRow;
use crate::period_usage::{LedgerChange, PeriodUsage, RowKey};
use crate::projection::Projection as _;
use crate::store::Batch;
use crate::store::cache::Cache;

/// A customer that a batch is about, and what was read of it.
#[derive(Debug)]
pub(super) struct Touched {
    pub(super) fold: CustomerFold,
    pub(super) memo: Memo,
}

/// Gives the customers that a batch is about, as they stand, with what their folds will ask.
pub(super) async fn touched(
    transaction: &Transaction<'_>,
    batch: &Batch<'_>,
    cache: &mut Cache,
) -> Result<BTreeMap<CustomerId, Touched>, PostgresError> {
    let mut folds: BTreeMap<CustomerId, CustomerFold> = BTreeMap::new();
    let mut unread: HashSet<CustomerId> = HashSet::new();
    for facts in batch.parts.iter().flat_map(|part| &part.facts) {
        let id = facts.customer_id;
        if folds.contains_key(&id) || unread.contains(&id) {
            continue;
        }
        match cache.take(id) {
            Some(fold) => drop(folds.insert(id, fold)),
            None => drop(unread.insert(id)),
        }
    }
    let ids: Vec<Uuid> = unread.iter().map(|id| id.0).collect();
    if !ids.is_empty() {
        let sql = format!("SELECT {CUSTOMER} FROM customers WHERE id = ANY($1)");
        for row in query(transaction, &sql, &[&ids]).await? {
            let row = customer(Columns(&row))?;
            folds.insert(row.id, CustomerFold::stored(row));
        }
    }
    for id in unread {
        folds.entry(id).or_insert_with(CustomerFold::unborn);
    }
    let wanted = Wanted::of(batch, &folds);
    let mut memos = wanted.read(transaction).await?;
    let touched = folds.into_iter().map(|(id, fold)| {
        let memo = memos.remove(&id).unwrap_or_default();
        (id, Touched { fold, memo })
    });
    Ok(touched.collect())
}

/// What folds will ask.
#[derive(Debug, Default)]
struct Wanted {
    rows: HashSet<(CustomerId, RowKey)>,
    /// Since when budget windows are wanted.
    windows: HashMap<CustomerId, Timestamp>,
}

impl Wanted {
    fn of(batch: &Batch<'_>, folds: &BTreeMap<CustomerId, CustomerFold>) -> Self {
        let mut wanted = Self::default();
        let mut budgets: HashMap<CustomerId, Budget> = HashMap::new();
        for facts in batch.parts.iter().flat_map(|part| &part.facts) {
            let id = facts.customer_id;
            let Some(fold) = folds.get(&id) else { continue };
            // Of a customer that is not born yet all is known.
            let Some((row, _)) = fold.row() else { continue };
            let budget = budgets.entry(id).or_insert(row.groups.budget);
            for change in PeriodUsage::apply(budget, facts) {
                wanted.change(id, fold, &change);
            }
        }
        wanted
    }

    fn change(&mut self, id: CustomerId, fold: &CustomerFold, change: &LedgerChange) {
        let windows_after = match *change {
            LedgerChange::Counted { ref measure, period, hour, .. } => {
                self.rows_around(id, fold, measure.at, hour);
                period.start.min(hour)
            }
            LedgerChange::Withdrawn { ref measure, hour, .. } => {
                self.rows_around(id, fold, measure.at, hour);
                hour
            }
            LedgerChange::BudgetChanged { at, .. } | LedgerChange::WindowsChanged { at, .. } => at,
        };
        if !fold.ledger().knows_windows_after(windows_after) {
            let earliest = self.windows.entry(id).or_insert(windows_after);
            *earliest = windows_after.min(*earliest);
        }
    }

    fn rows_around(&mut self, id: CustomerId, fold: &CustomerFold, at: Timestamp, hour: Timestamp) {
        for key in RowKey::around(at).into_iter().chain([RowKey::hour(hour)]) {
            if !fold.ledger().knows(&key) {
                self.rows.insert((id, key));
            }
        }
    }

    async fn read(
        self,
        transaction: &Transaction<'_>,
    ) -> Result<HashMap<CustomerId, Memo>, PostgresError> {
        let mut memos: HashMap<CustomerId, Memo> = HashMap::new();
        let keys: Vec<(CustomerId, RowKey)> = self.rows.into_iter().collect();
        let rows = ledger_rows(transaction, &keys).await?;
        for ((id, key), row) in keys.into_iter().zip(rows) {
            memos.entry(id).or_default().put_row(key, row);
        }
        let after: Vec<(CustomerId, Timestamp)> = self.windows.into_iter().collect();
        for ((id, after), windows) in after.iter().zip(windows_after(transaction, &after).await?) {
            memos.entry(*id).or_default().put_windows_after(*after, windows);
        }
        Ok(memos)
    }
}

/// Reads many rows of the ledger; gives them, or that there are none, in the order of the keys.
pub(super) async fn ledger_rows(
    transaction: &Transaction<'_>,
    keys: &[(CustomerId, RowKey)],
) -> Result<Vec<Option<LedgerRow>>, PostgresError> {
    let mut found = vec![None; keys.len()];
    if keys.is_empty() {
        return Ok(found);
    }
    let sql = format!(
        "SELECT asked.place, {LEDGER_ROW} \
         FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[]) \
         WITH ORDINALITY AS asked (customer, kind, ends_at, starts_at, place) \
         JOIN period_usage USING (customer, kind, ends_at, starts_at)"
    );
    let customers: Vec<Uuid> = keys.iter().map(|(id, _)| id.0).collect();
    let kinds: Vec<&str> = keys.iter().map(|(_, key)| key.kind.as_str()).collect();
    let ends: Vec<i64> = keys.iter().map(|(_, key)| key.window.end.micros()).collect();
    let starts: Vec<i64> = keys.iter().map(|(_, key)| key.window.start.micros()).collect();
    let values: &Values<'_> = &[&customers, &kinds, &ends, &starts];
    for row in query(transaction, &sql, values).await? {
        let columns = Columns(&row);
        let place = usize::try_from(columns.number(0)?).ok().and_then(|place| place.checked_sub(1));
        let slot = place.and_then(|place| found.get_mut(place));
        let slot = slot.ok_or_else(|| columns.refused(0, "is no place"))?;
        *slot = Some(ledger_row(columns, 1)?);
    }
    Ok(found)
}

/// Reads the budget windows of many customers that end after a moment each, in the order asked.
async fn windows_after(
    transaction: &Transaction<'_>,
    asked: &[(CustomerId, Timestamp)],
) -> Result<Vec<Spans>, PostgresError> {
    let sql = format!(
        "SELECT asked.place, usage.starts_at, usage.ends_at, {LEDGER_ROW} \
         FROM unnest($1::uuid[], $2::bigint[]) WITH ORDINALITY AS asked (customer, since, place) \
         JOIN period_usage AS usage ON usage.customer = asked.customer \
         AND usage.kind = 'budget' AND usage.ends_at > asked.since"
    );
    let since: Vec<i64> = asked.iter().map(|(_, after)| after.micros()).collect();
    many_spans(transaction, &sql, asked.iter().map(|(id, _)| *id), &[&since]).await
}

/// Reads the hours of many customers that begin in a window each, in the order asked.
pub(super) async fn hours(
    transaction: &Transaction<'_>,
    asked: &[(CustomerId, Window)],
) -> Result<Vec<Spans>, PostgresError> {
    let sql = format!(
        "SELECT asked.place, usage.starts_at, usage.ends_at, {LEDGER_ROW} \
         FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) \
         WITH ORDINALITY AS asked (customer, first, last, place) \
         JOIN period_usage AS usage ON usage.customer = asked.customer AND usage.kind = 'hour' \
         AND usage.ends_at > asked.first AND usage.starts_at >= asked.first \
         AND usage.starts_at < asked.last"
    );
    let first: Vec<i64> = asked.iter().map(|(_, window)| window.start.micros()).collect();
    let last: Vec<i64> = asked.iter().map(|(_, window)| window.end.micros()).collect();
    many_spans(transaction, &sql, asked.iter().map(|(id, _)| *id), &[&first, &last]).await
}

async fn many_spans(
    transaction: &Transaction<'_>,
    sql: &str,
    customers: impl Iterator<Item = CustomerId>,
    bounds: &[&Vec<i64>],
) -> Result<Vec<Spans>, PostgresError> {
    let customers: Vec<Uuid> = customers.map(|id| id.0).collect();
    let mut found: Vec<Spans> = customers.iter().map(|_| Spans::new()).collect();
    if customers.is_empty() {
        return Ok(found);
    }
    let mut values: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> = vec![&customers];
    values.extend(bounds.iter().map(|bound| *bound as &(dyn tokio_postgres::types::ToSql + Sync)));
    for row in query(transaction, sql, &values).await? {
        let columns = Columns(&row);
        let place = usize::try_from(columns.number(0)?).ok().and_then(|place| place.checked_sub(1));
        let slot = place.and_then(|place| found.get_mut(place));
        let slot = slot.ok_or_else(|| columns.refused(0, "is no place"))?;
        slot.push((columns.window(1)?, ledger_row(columns, 3)?));
    }
    Ok(found)
}
