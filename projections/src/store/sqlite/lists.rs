//! Lists, page by page.

use std::fmt::Write as _;

use rusqlite::{Connection, ToSql, params_from_iter};
use serde_json::value::RawValue;
use tallybook_events::customer::CustomerDocument;
use tallybook_events::ids::{CustomerId, Scope};
use tallybook_events::period::Window;
use tallybook_events::time::Timestamp;

use super::database::SqliteError;
use super::ledger::StoredLedger;
use super::rows::{CUSTOMER, Columns, LEDGER_ROW, customer, ledger_row, signed};
use crate::fold::CustomerFold;
use crate::period_usage::{RowKind, Tally};
use crate::queries::{
    CustomerFilter, ListedStatus, Order, Page, PageRequest, PeriodKind, TimelineItem, UsagePeriod,
};
use crate::store::cursor::Cursor;

/// Most items of one page, whatever is asked for.
const MAX_LIMIT: usize = 1_000;

/// A question that is put together from parts, and its values.
struct Question {
    sql: String,
    values: Vec<Box<dyn ToSql>>,
}

impl Question {
    fn new(sql: String) -> Self {
        Self { sql, values: Vec::new() }
    }

    /// Adds a condition; each `?` in it is one of the values.
    fn only(&mut self, condition: &str, values: Vec<Box<dyn ToSql>>) {
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
    let text = |text: &str| -> Vec<Box<dyn ToSql>> { vec![Box::new(text.to_owned())] };
    question.only("tenant = ?", text(scope.tenant.as_str()));
    question.only("environment = ?", text(scope.environment.as_str()));
    if let Some(status) = filter.status {
        let status = match status {
            ListedStatus::Active => "active",
            ListedStatus::Suspended => "suspended",
            ListedStatus::Archived => "archived",
        };
        question.only("status = ?", text(status));
    }
    if let Some(tier) = &filter.tier {
        question.only("tier = ?", text(tier.as_str()));
    }
    // With a prefix the index by key finds few customers, which are then sorted: the `+` keeps SQLite
    // from going through all by birth instead.
    let mut columns = ["created_at", "id"];
    if let Some(prefix) = &filter.key_prefix {
        columns = ["+created_at", "+id"];
        question.only("key >= ?", text(prefix));
        question.only("key < ?", text(&format!("{prefix}\u{10FFFF}")));
    }
    let last = after.map(|(born, id)| -> Vec<Box<dyn ToSql>> {
        vec![Box::new(born.micros()), Box::new(id.0.as_bytes().to_vec())]
    });
    question.page(&columns, last, page)?;
    let rows = question.rows(connection, customer)?;
    let page = cut(rows, page, |row| Cursor::Customer(row.created_at, row.id));
    let mut items = Vec::with_capacity(page.items.len());
    for row in page.items {
        let mut ledger = StoredLedger { connection, customer: row.id };
        items.extend(CustomerFold::stored(row).document(now, &mut ledger)?);
    }
    Ok(Page { items, next: page.next })
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
