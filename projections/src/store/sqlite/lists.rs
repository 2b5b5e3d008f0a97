//! Lists, page by page.

use std::fmt::Write as _;

use rusqlite::{Connection, OptionalExtension as _, ToSql, params, params_from_iter};
use serde_json::value::RawValue;
use tallybook_events::customer::CustomerDocument;
use tallybook_events::ids::{Actor, CustomerId, Scope};
use tallybook_events::period::Window;
use tallybook_events::time::Timestamp;

use super::conditions::{filtered, sorted_by};
use super::database::SqliteError;
use super::ledger::StoredLedger;
use super::rows::{CUSTOMER, Columns, LEDGER_ROW, customer, ledger_row, signed};
use crate::customers::CustomerRow;
use crate::fold::CustomerFold;
use crate::period_usage::{RowKind, Tally};
use crate::queries::{
    Authors, CustomerFilter, Order, Page, PageRequest, PeriodKind, Slice, SliceRequest, SortField,
    TimeField, TimelineItem, UsagePeriod,
};
use crate::store::cursor::Cursor;

/// Most items of one page, whatever is asked for.
const MAX_LIMIT: usize = 1_000;

/// A question that is put together from parts, and its values.
pub(super) struct Question {
    sql: String,
    values: Vec<Box<dyn ToSql>>,
}

impl Question {
    fn new(sql: String) -> Self {
        Self { sql, values: Vec::new() }
    }

    /// Adds a condition; each `?` in it is one of the values.
    pub(super) fn only(&mut self, condition: &str, values: Vec<Box<dyn ToSql>>) {
        self.sql.push_str(if self.values.is_empty() { " WHERE " } else { " AND " });
        self.sql.push_str(condition);
        self.values.extend(values);
    }

    /// Adds the part that makes a page of it: those after `last`, in order, one more than asked for.
    fn page(
        &mut self,
        columns: &[&str],
        last: Option<Vec<Box<dyn ToSql>>>,
        page: &PageRequest,
    ) -> Result<(), SqliteError> {
        let (beyond, direction) = match page.order {
            Order::Ascending => (">", "ASC"),
            Order::Descending => ("<", "DESC"),
        };
        if let Some(last) = last {
            let places = vec!["?"; last.len()].join(", ");
            self.only(&format!("({}) {beyond} ({places})", columns.join(", ")), last);
        }
        let order = columns.join(&format!(" {direction}, "));
        write!(self.sql, " ORDER BY {order} {direction} LIMIT ?").expect("writing to a string");
        let limit = i64::try_from(limit(page) + 1)
            .map_err(|_| SqliteError::Row("a page cannot be that long".into()))?;
        self.values.push(Box::new(limit));
        Ok(())
    }

    /// Adds the part that makes a slice of it.
    fn slice(&mut self, slice: &SliceRequest) -> Result<(), SqliteError> {
        let born = [(SortField::Time(TimeField::Created), Order::Ascending)];
        let sort = if slice.sort.is_empty() { &born[..] } else { &slice.sort };
        self.sql.push_str(" ORDER BY ");
        let mut direction = "ASC";
        for (field, order) in sort {
            direction = match order {
                Order::Ascending => "ASC",
                Order::Descending => "DESC",
            };
            write!(self.sql, "{} {direction}, ", sorted_by(*field)).expect("writing to a string");
        }
        write!(self.sql, "id {direction} LIMIT ? OFFSET ?").expect("writing to a string");
        let limit = i64::try_from(slice.limit.clamp(1, MAX_LIMIT))
            .map_err(|_| SqliteError::Row("a slice cannot be that long".into()))?;
        self.values.push(Box::new(limit));
        // Beyond the last item there is none, however far.
        self.values.push(Box::new(i64::try_from(slice.offset).unwrap_or(i64::MAX)));
        Ok(())
    }

    fn rows<T>(
        &self,
        connection: &Connection,
        mut read: impl FnMut(Columns<'_>) -> Result<T, SqliteError>,
    ) -> Result<Vec<T>, SqliteError> {
        let mut statement = connection.prepare_cached(&self.sql)?;
        let values = params_from_iter(self.values.iter());
        statement.query_and_then(values, |row| read(Columns(row)))?.collect()
    }
}

fn limit(page: &PageRequest) -> usize {
    page.limit.clamp(1, MAX_LIMIT)
}

/// Makes a page of items of which there may be one too many.
fn cut<T>(mut items: Vec<T>, page: &PageRequest, cursor: impl Fn(&T) -> Cursor) -> Page<T> {
    let limit = limit(page);
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|last| cursor(last).to_string());
    Page { items, next }
}

pub(super) fn customers(
    connection: &Connection,
    scope: &Scope,
    filter: &CustomerFilter,
    page: &PageRequest,
    after: Option<(Timestamp, CustomerId)>,
    now: Timestamp,
) -> Result<Page<CustomerDocument>, SqliteError> {
    let mut question = Question::new(format!("SELECT {CUSTOMER} FROM customers"));
    filtered(&mut question, scope, filter)?;
    // With a prefix the index by key finds few customers, which are then sorted: the `+` keeps SQLite
    // from going through all by birth instead.
    let columns =
        if filter.key_prefix.is_some() { ["+created_at", "+id"] } else { ["created_at", "id"] };
    let last = after.map(|(born, id)| -> Vec<Box<dyn ToSql>> {
        vec![Box::new(born.micros()), Box::new(id.0.as_bytes().to_vec())]
    });
    question.page(&columns, last, page)?;
    let rows = question.rows(connection, customer)?;
    let page = cut(rows, page, |row| Cursor::Customer(row.created_at, row.id));
    Ok(Page { items: documents(connection, page.items, now)?, next: page.next })
}

fn documents(
    connection: &Connection,
    rows: Vec<CustomerRow>,
    now: Timestamp,
) -> Result<Vec<CustomerDocument>, SqliteError> {
    let mut documents = Vec::with_capacity(rows.len());
    for row in rows {
        let mut ledger = StoredLedger { connection, customer: row.id };
        documents.extend(CustomerFold::stored(row).document(now, &mut ledger)?);
    }
    Ok(documents)
}

pub(super) fn slice(
    connection: &Connection,
    scope: &Scope,
    filter: &CustomerFilter,
    slice: &SliceRequest,
    now: Timestamp,
) -> Result<Slice<CustomerDocument>, SqliteError> {
    let mut count = Question::new("SELECT count(*) FROM customers".to_owned());
    filtered(&mut count, scope, filter)?;
    let total = count.rows(connection, |row| row.number(0))?.pop().unwrap_or_default();
    let mut question = Question::new(format!("SELECT {CUSTOMER} FROM customers"));
    filtered(&mut question, scope, filter)?;
    question.slice(slice)?;
    let rows = question.rows(connection, customer)?;
    Ok(Slice { items: documents(connection, rows, now)?, total })
}

pub(super) fn authors(
    connection: &Connection,
    (customer, version): (CustomerId, u64),
) -> Result<Option<Authors>, SqliteError> {
    let mut statement = connection
        .prepare_cached("SELECT actor FROM timeline WHERE customer = ?1 AND version = ?2")?;
    let mut actor = |version: u64| -> Result<Option<Actor>, SqliteError> {
        let asked = params![customer.0.as_bytes(), signed(version)?];
        let found = statement.query_row(asked, |row| Ok(Columns(row).text(0)));
        found.optional()?.transpose()
    };
    let (created, updated) = (actor(1)?, actor(version)?);
    Ok(created.zip(updated).map(|(created, updated)| Authors { created, updated }))
}

pub(super) fn timeline(
    connection: &Connection,
    customer: CustomerId,
    page: &PageRequest,
    after: Option<u64>,
) -> Result<Page<TimelineItem>, SqliteError> {
    let mut question = Question::new(
        "SELECT seq, version, recorded_at, event, command_id, actor FROM timeline".to_owned(),
    );
    question.only("customer = ?", vec![Box::new(customer.0.as_bytes().to_vec())]);
    let last = after.map(signed).transpose()?;
    let last = last.map(|version| -> Vec<Box<dyn ToSql>> { vec![Box::new(version)] });
    question.page(&["version"], last, page)?;
    let items = question.rows(connection, |row| {
        let event = RawValue::from_string(row.str(3)?.to_owned());
        Ok(TimelineItem {
            seq: row.number(0)?,
            version: row.number(1)?,
            recorded_at: row.time(2)?,
            event: event.map_err(|error| SqliteError::Row(format!("an event: {error}")))?,
            command_id: row.command_id(4)?,
            actor: row.text(5)?,
        })
    })?;
    Ok(cut(items, page, |item| Cursor::Version(item.version)))
}

pub(super) fn usage(
    connection: &Connection,
    customer: CustomerId,
    kind: Option<PeriodKind>,
    page: &PageRequest,
    after: Option<(Window, PeriodKind)>,
) -> Result<Page<UsagePeriod>, SqliteError> {
    let mut question =
        Question::new(format!("SELECT kind, starts_at, ends_at, {LEDGER_ROW} FROM period_usage"));
    question.only("customer = ?", vec![Box::new(customer.0.as_bytes().to_vec())]);
    // Hours are the ledger's own business.
    let (condition, kind) = match kind {
        Some(kind) => ("kind = ?", RowKind::Period(kind)),
        None => ("kind <> ?", RowKind::Hour),
    };
    question.only(condition, vec![Box::new(kind.as_str())]);
    let last = after.map(|(window, kind)| -> Vec<Box<dyn ToSql>> {
        let (start, end) = (window.start.micros(), window.end.micros());
        vec![Box::new(start), Box::new(end), Box::new(kind.as_str())]
    });
    question.page(&["starts_at", "ends_at", "kind"], last, page)?;
    let items = question.rows(connection, |row| {
        let RowKind::Period(kind) = row.kind(0)? else {
            return Err(SqliteError::Row("an hour where only periods are".into()));
        };
        let Window { start, end } = row.window(1)?;
        let ledger_row = ledger_row(row, 3)?;
        let Tally { raw, charged, quantity, count, first_at, last_at } = ledger_row.tally;
        let budget = ledger_row.budget;
        Ok(UsagePeriod {
            kind,
            start,
            end,
            raw,
            charged,
            quantity,
            count,
            budget,
            first_at,
            last_at,
        })
    })?;
    Ok(cut(items, page, |item| {
        Cursor::Period(Window { start: item.start, end: item.end }, item.kind)
    }))
}
