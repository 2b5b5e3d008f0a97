//! Questions about the rows of one customer, answered by PostgreSQL.

use deadpool_postgres::Transaction;
use serde_json::value::RawValue;
use tallybook_events::codec;
use tallybook_events::customer::entitlements::Segments;
use tallybook_events::event::Event;
use tallybook_events::ids::{CustomerId, Meter};
use tallybook_events::money::Amount;
use tallybook_events::period::Window;
use tallybook_events::time::{MICROS_PER_HOUR, Timestamp};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::database::PostgresError;
use super::memo::{Memo, Question, Spans};
use super::rows::{Columns, LEDGER_ROW, ledger_row, segment, signed, spanned};
use crate::history::each_moment;
use crate::ledger::{LedgerRow, Versions};
use crate::period_usage::RowKey;

/// Most questions of one reckoning.
const MAX_QUESTIONS: usize = 20_000;

/// Values of a question.
pub(super) type Values<'a> = [&'a (dyn ToSql + Sync)];

/// Asks, with a statement that the connection keeps.
pub(super) async fn query(
    transaction: &Transaction<'_>,
    sql: &str,
    values: &Values<'_>,
) -> Result<Vec<Row>, PostgresError> {
    let statement = transaction.prepare_cached(sql).await?;
    Ok(transaction.query(&statement, values).await?)
}

/// Asks for a row that may not be there.
pub(super) async fn query_opt(
    transaction: &Transaction<'_>,
    sql: &str,
    values: &Values<'_>,
) -> Result<Option<Row>, PostgresError> {
    Ok(query(transaction, sql, values).await?.into_iter().next())
}

/// Does something, with a statement that the connection keeps; gives how many rows.
pub(super) async fn execute(
    transaction: &Transaction<'_>,
    sql: &str,
    values: &Values<'_>,
) -> Result<u64, PostgresError> {
    let statement = transaction.prepare_cached(sql).await?;
    Ok(transaction.execute(&statement, values).await?)
}

/// Reckons until nothing is left to ask.
pub(super) async fn reckoned<T>(
    transaction: &Transaction<'_>,
    customer: CustomerId,
    memo: &mut Memo,
    reckon: impl Fn(&mut Memo) -> Result<T, Question> + Send,
) -> Result<T, PostgresError> {
    for _ in 0..MAX_QUESTIONS {
        match reckon(memo) {
            Ok(answer) => return Ok(answer),
            Err(question) => learn(transaction, customer, question, memo).await?,
        }
    }
    Err(PostgresError::Row("an answer leads to ever new questions".into()))
}

/// Has one question about a customer answered.
pub(super) async fn learn(
    transaction: &Transaction<'_>,
    customer: CustomerId,
    question: Question,
    memo: &mut Memo,
) -> Result<(), PostgresError> {
    match question {
        Question::Row(key) => {
            let found = row(transaction, customer, &key).await?;
            memo.put_row(key, found);
        }
        Question::WindowsAfter(at) => {
            let windows = windows_after(transaction, customer, at).await?;
            memo.put_windows_after(at, windows);
        }
        Question::Hours(window) => {
            let found = hours(transaction, customer, window).await?;
            memo.put_hours(window, found);
        }
        Question::BudgetBefore(at) => {
            let budget = budget_before(transaction, customer, at).await?;
            memo.put_budget_before(at, budget);
        }
        Question::Segments(feature, from) => {
            let found = segments(transaction, customer, &feature, from).await?;
            memo.put_segments(feature, from, found);
        }
        Question::Moments(feature) => {
            let found = moments(transaction, customer, &feature).await?;
            memo.put_moments(feature, found);
        }
        Question::LatestHour(ends_by) => {
            let found = latest_hour(transaction, customer, ends_by).await?;
            memo.put_latest_hour(ends_by, found);
        }
        Question::Events(versions) => {
            let found = events(transaction, customer, versions).await?;
            memo.put_events(versions, found);
        }
    }
    Ok(())
}

async fn row(
    transaction: &Transaction<'_>,
    customer: CustomerId,
    key: &RowKey,
) -> Result<Option<LedgerRow>, PostgresError> {
    let sql = format!(
        "SELECT {LEDGER_ROW} FROM period_usage \
         WHERE customer = $1 AND kind = $2 AND ends_at = $3 AND starts_at = $4"
    );
    let Window { start, end } = key.window;
    let values: &Values<'_> = &[&customer.0, &key.kind.as_str(), &end.micros(), &start.micros()];
    let found = query_opt(transaction, &sql, values).await?;
    found.map(|row| ledger_row(Columns(&row), 0)).transpose()
}

fn spans(rows: &[Row]) -> Result<Spans, PostgresError> {
    rows.iter().map(|row| spanned(Columns(row))).collect()
}

async fn windows_after(
    transaction: &Transaction<'_>,
    customer: CustomerId,
    at: Timestamp,
) -> Result<Spans, PostgresError> {
    let sql = format!(
        "SELECT starts_at, ends_at, {LEDGER_ROW} FROM period_usage \
         WHERE customer = $1 AND kind = 'budget' AND ends_at > $2"
    );
    spans(&query(transaction, &sql, &[&customer.0, &at.micros()]).await?)
}

async fn hours(
    transaction: &Transaction<'_>,
    customer: CustomerId,
    window: Window,
) -> Result<Spans, PostgresError> {
    // An hour that begins in the window ends after the window's start, and less than an hour after
    // its end: that is what the primary key can find.
    let sql = format!(
        "SELECT starts_at, ends_at, {LEDGER_ROW} FROM period_usage \
         WHERE customer = $1 AND kind = 'hour' \
         AND ends_at > $2 AND ends_at < $4 AND starts_at >= $2 AND starts_at < $3"
    );
    let (start, end) = (window.start.micros(), window.end.micros());
    let ends = end.saturating_add(MICROS_PER_HOUR);
    spans(&query(transaction, &sql, &[&customer.0, &start, &end, &ends]).await?)
}

async fn budget_before(
    transaction: &Transaction<'_>,
    customer: CustomerId,
    at: Timestamp,
) -> Result<Option<Amount>, PostgresError> {
    let sql = "SELECT budget FROM budgets WHERE customer = $1 AND since < $2 \
               ORDER BY since DESC, version DESC LIMIT 1";
    let found = query_opt(transaction, sql, &[&customer.0, &at.micros()]).await?;
    Ok(found.map(|row| Columns(&row).text_or_null(0)).transpose()?.flatten())
}

async fn segments(
    transaction: &Transaction<'_>,
    customer: CustomerId,
    feature: &Meter,
    from: Timestamp,
) -> Result<Segments, PostgresError> {
    let sql = "SELECT starts_at, last_at, used FROM feature_usage \
               WHERE customer = $1 AND feature = $2 AND starts_at >= $3 ORDER BY starts_at";
    let values: &Values<'_> = &[&customer.0, &feature.as_str(), &from.micros()];
    let rows = query(transaction, sql, values).await?;
    rows.iter().map(|row| segment(Columns(row), 0)).collect()
}

async fn moments(
    transaction: &Transaction<'_>,
    customer: CustomerId,
    feature: &Meter,
) -> Result<Vec<(Timestamp, i128)>, PostgresError> {
    // Grants that reach into the past are rare: the whole history is looked through.
    let sql = "SELECT version, event FROM timeline WHERE customer = $1 ORDER BY version";
    let mut moments = Vec::new();
    for row in query(transaction, sql, &[&customer.0]).await? {
        moments_of(&event(Columns(&row))?, feature, &mut moments);
    }
    Ok(moments)
}

/// Adds when and how much was used of a feature, as an event tells it.
pub(super) fn moments_of(event: &Event, feature: &Meter, moments: &mut Vec<(Timestamp, i128)>) {
    each_moment(event, |meter, moment, used| {
        if meter == feature {
            moments.push((moment, used));
        }
    });
}

async fn latest_hour(
    transaction: &Transaction<'_>,
    customer: CustomerId,
    ends_by: Timestamp,
) -> Result<Spans, PostgresError> {
    let sql = format!(
        "SELECT starts_at, ends_at, {LEDGER_ROW} FROM period_usage \
         WHERE customer = $1 AND kind = 'hour' AND raw <> '0' AND ends_at = (\
         SELECT ends_at FROM period_usage WHERE customer = $1 AND kind = 'hour' \
         AND ends_at <= $2 AND raw <> '0' ORDER BY ends_at DESC LIMIT 1)"
    );
    spans(&query(transaction, &sql, &[&customer.0, &ends_by.micros()]).await?)
}

async fn events(
    transaction: &Transaction<'_>,
    customer: CustomerId,
    versions: Versions,
) -> Result<Vec<Event>, PostgresError> {
    let sql = "SELECT version, event FROM timeline \
               WHERE customer = $1 AND version BETWEEN $2 AND $3 ORDER BY version DESC";
    let (first, last) = (signed(versions.first)?, signed(versions.last)?);
    let rows = query(transaction, sql, &[&customer.0, &first, &last]).await?;
    rows.iter().map(|row| event(Columns(row))).collect()
}

/// Reads the event of a row with its version and its text.
fn event(columns: Columns<'_>) -> Result<Event, PostgresError> {
    let unreadable = |what: &dyn std::fmt::Display| {
        PostgresError::Row(format!("event {}: {what}", columns.number(0).unwrap_or(0)))
    };
    let recorded: &RawValue =
        serde_json::from_str(columns.str(1)?).map_err(|error| unreadable(&error))?;
    codec::read_event(recorded).map_err(|error| unreadable(&error))
}
