//! Lists, page by page.

use deadpool_postgres::Transaction;
use serde_json::value::RawValue;
use tallybook_events::customer::CustomerDocument;
use tallybook_events::ids::{CustomerId, Scope};
use tallybook_events::period::Window;
use tallybook_events::time::Timestamp;
use uuid::Uuid;

use super::ahead;
use super::asking::{query, reckoned};
use super::conditions::filtered;
use super::database::PostgresError;
use super::memo::Memo;
use super::question::{Question, Value, limit};
use super::rows::{CUSTOMER, Columns, LEDGER_ROW, customer, ledger_row, signed};
use crate::customers::CustomerRow;
use crate::fold::CustomerFold;
use crate::period_usage::{RowKey, RowKind, Tally};
use crate::queries::{
    Authors, CustomerFilter, Page, PageRequest, PeriodKind, Slice, SliceRequest, TimelineItem,
    UsagePeriod,
};
use crate::store::cursor::Cursor;

/// Makes a page of items of which there may be one too many.
fn cut<T>(mut items: Vec<T>, page: &PageRequest, cursor: impl Fn(&T) -> Cursor) -> Page<T> {
    let limit = limit(page);
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|last| cursor(last).to_string());
    Page { items, next }
}

pub(super) async fn customers(
    transaction: &Transaction<'_>,
    scope: &Scope,
    filter: &CustomerFilter,
    page: &PageRequest,
    after: Option<(Timestamp, CustomerId)>,
    now: Timestamp,
) -> Result<Page<CustomerDocument>, PostgresError> {
    let mut question = Question::new(format!("SELECT {CUSTOMER} FROM customers"));
    filtered(&mut question, scope, filter)?;
    let last =
        after.map(|(born, id)| -> Vec<Value> { vec![Box::new(born.micros()), Box::new(id.0)] });
    question.page(&["created_at", "id"], last, page)?;
    let rows = question.rows(transaction, customer).await?;
    let page = cut(rows, page, |row| Cursor::Customer(row.created_at, row.id));
    Ok(Page { items: documents(transaction, page.items, now).await?, next: page.next })
}

pub(super) async fn slice(
    transaction: &Transaction<'_>,
    scope: &Scope,
    filter: &CustomerFilter,
    slice: &SliceRequest,
    now: Timestamp,
) -> Result<Slice<CustomerDocument>, PostgresError> {
    let mut count = Question::new("SELECT count(*) FROM customers".to_owned());
    filtered(&mut count, scope, filter)?;
    let total = count.rows(transaction, |row| row.number(0)).await?.pop().unwrap_or_default();
    let mut question = Question::new(format!("SELECT {CUSTOMER} FROM customers"));
    filtered(&mut question, scope, filter)?;
    question.slice(slice)?;
    let rows = question.rows(transaction, customer).await?;
    Ok(Slice { items: documents(transaction, rows, now).await?, total })
}

/// Makes documents of rows. What they used is read for all of them at once.
pub(super) async fn documents(
    transaction: &Transaction<'_>,
    rows: Vec<CustomerRow>,
    now: Timestamp,
) -> Result<Vec<CustomerDocument>, PostgresError> {
    let windows: Vec<(CustomerId, Window)> =
        rows.iter().map(|row| (row.id, row.groups.budget.schedule().window_at(now))).collect();
    let keys: Vec<(CustomerId, RowKey)> = windows
        .iter()
        .flat_map(|(id, window)| [(*id, RowKey::budget(*window)), (*id, RowKey::LIFETIME)])
        .collect();
    let found = ahead::ledger_rows(transaction, &keys).await?;
    let mut memos: Vec<Memo> = Vec::with_capacity(rows.len());
    let mut unsummed: Vec<(usize, (CustomerId, Window))> = Vec::new();
    for (place, (keys, found)) in keys.chunks(2).zip(found.chunks(2)).enumerate() {
        let mut memo = Memo::default();
        for ((_, key), row) in keys.iter().zip(found) {
            memo.put_row(*key, *row);
        }
        if let Some(asked) = windows.get(place).filter(|_| found.first() == Some(&None)) {
            unsummed.push((place, *asked));
        }
        memos.push(memo);
    }
    let asked: Vec<(CustomerId, Window)> = unsummed.iter().map(|(_, asked)| *asked).collect();
    let hours = ahead::hours(transaction, &asked).await?;
    for ((place, (_, window)), hours) in unsummed.into_iter().zip(hours) {
        if let Some(memo) = memos.get_mut(place) {
            memo.put_hours(window, hours);
        }
    }
    let mut documents = Vec::with_capacity(rows.len());
    for (row, mut memo) in rows.into_iter().zip(memos) {
        let document = reckoned(transaction, row.id, &mut memo, |memo| {
            CustomerFold::stored(row.clone()).document(now, memo)
        });
        documents.extend(document.await?);
    }
    Ok(documents)
}

pub(super) async fn authors(
    transaction: &Transaction<'_>,
    of: &[(CustomerId, u64)],
) -> Result<Vec<Option<Authors>>, PostgresError> {
    let sql = "SELECT asked.place, born.actor, latest.actor \
               FROM unnest($1::uuid[], $2::bigint[]) WITH ORDINALITY \
               AS asked (customer, version, place) \
               JOIN timeline AS born ON born.customer = asked.customer AND born.version = 1 \
               JOIN timeline AS latest ON latest.customer = asked.customer \
               AND latest.version = asked.version";
    let customers: Vec<Uuid> = of.iter().map(|(id, _)| id.0).collect();
    let versions = of.iter().map(|(_, version)| signed(*version));
    let versions = versions.collect::<Result<Vec<i64>, _>>()?;
    let mut found: Vec<Option<Authors>> = of.iter().map(|_| None).collect();
    for row in query(transaction, sql, &[&customers, &versions]).await? {
        let columns = Columns(&row);
        let place = usize::try_from(columns.number(0)?).ok().and_then(|place| place.checked_sub(1));
        let slot = place.and_then(|place| found.get_mut(place));
        let slot = slot.ok_or_else(|| columns.refused(0, "is no place"))?;
        *slot = Some(Authors { created: columns.text(1)?, updated: columns.text(2)? });
    }
    Ok(found)
}

pub(super) async fn timeline(
    transaction: &Transaction<'_>,
    customer: CustomerId,
    page: &PageRequest,
    after: Option<u64>,
) -> Result<Page<TimelineItem>, PostgresError> {
    let mut question = Question::new(
        "SELECT seq, version, recorded_at, event, command_id, actor FROM timeline".to_owned(),
    );
    question.only("customer = ?", vec![Box::new(customer.0)]);
    let last = after.map(signed).transpose()?;
    let last = last.map(|version| -> Vec<Value> { vec![Box::new(version)] });
    question.page(&["version"], last, page)?;
    let items = question.rows(transaction, |row| {
        let event = RawValue::from_string(row.str(3)?.to_owned());
        Ok(TimelineItem {
            seq: row.number(0)?,
            version: row.number(1)?,
            recorded_at: row.time(2)?,
            event: event.map_err(|error| PostgresError::Row(format!("an event: {error}")))?,
            command_id: row.command_id(4)?,
            actor: row.text(5)?,
        })
    });
    Ok(cut(items.await?, page, |item| Cursor::Version(item.version)))
}

pub(super) async fn usage(
    transaction: &Transaction<'_>,
    customer: CustomerId,
    kind: Option<PeriodKind>,
    page: &PageRequest,
    after: Option<(Window, PeriodKind)>,
) -> Result<Page<UsagePeriod>, PostgresError> {
    let mut question =
        Question::new(format!("SELECT kind, starts_at, ends_at, {LEDGER_ROW} FROM period_usage"));
    question.only("customer = ?", vec![Box::new(customer.0)]);
    // Hours are the ledger's own business.
    let (condition, kind) = match kind {
        Some(kind) => ("kind = ?", RowKind::Period(kind)),
        None => ("kind <> ?", RowKind::Hour),
    };
    question.only(condition, vec![Box::new(kind.as_str())]);
    let last = after.map(|(window, kind)| -> Vec<Value> {
        let (start, end) = (window.start.micros(), window.end.micros());
        vec![Box::new(start), Box::new(end), Box::new(kind.as_str())]
    });
    question.page(&["starts_at", "ends_at", "kind"], last, page)?;
    let items = question.rows(transaction, period).await?;
    Ok(cut(items, page, |item| {
        Cursor::Period(Window { start: item.start, end: item.end }, item.kind)
    }))
}

fn period(row: Columns<'_>) -> Result<UsagePeriod, PostgresError> {
    let RowKind::Period(kind) = row.kind(0)? else {
        return Err(PostgresError::Row("an hour where only periods are".into()));
    };
    let Window { start, end } = row.window(1)?;
    let ledger_row = ledger_row(row, 3)?;
    let Tally { raw, charged, quantity, count, first_at, last_at } = ledger_row.tally;
    let budget = ledger_row.budget;
    Ok(UsagePeriod { kind, start, end, raw, charged, quantity, count, budget, first_at, last_at })
}
