//! One number for all rows.

use rusqlite::Connection;

use super::commands::{self as command_rows, COMMAND};
use super::database::SqliteError;
use super::rows::{CUSTOMER, Columns, LEDGER_ROW, customer, ledger_row, segment};
use crate::digest::{DigestedEvent, Digester, ModelsDigest, TableDigest};
use crate::ledger::BudgetSince;
use crate::period_usage::RowKey;

/// Gives the digest of all rows that a connection sees.
pub(super) fn digest(connection: &Connection) -> Result<ModelsDigest, SqliteError> {
    Ok(ModelsDigest {
        customers: customers(connection)?,
        period_usage: period_usage(connection)?,
        timeline: timeline(connection)?,
        commands: commands(connection)?,
        feature_usage: feature_usage(connection)?,
    })
}

fn customers(connection: &Connection) -> Result<TableDigest, SqliteError> {
    let mut digester = Digester::default();
    let mut statement =
        connection.prepare(&format!("SELECT {CUSTOMER} FROM customers ORDER BY id"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        digester.customer(&customer(Columns(row))?);
    }
    Ok(digester.finish())
}

fn period_usage(connection: &Connection) -> Result<TableDigest, SqliteError> {
    let mut digester = Digester::default();
    let mut statement = connection.prepare(&format!(
        "SELECT customer, kind, starts_at, ends_at, {LEDGER_ROW} FROM period_usage \
         ORDER BY customer, kind, ends_at, starts_at"
    ))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let row = Columns(row);
        let key = RowKey { kind: row.kind(1)?, window: row.window(2)? };
        digester.period(row.customer_id(0)?, &key, &ledger_row(row, 4)?);
    }
    let mut statement = connection.prepare(
        "SELECT customer, since, version, budget FROM budgets ORDER BY customer, since, version",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let row = Columns(row);
        let set = BudgetSince {
            since: row.time(1)?,
            version: row.number(2)?,
            budget: row.text_or_null(3)?,
        };
        digester.budget(row.customer_id(0)?, &set);
    }
    Ok(digester.finish())
}

fn feature_usage(connection: &Connection) -> Result<TableDigest, SqliteError> {
    let mut digester = Digester::default();
    let mut statement = connection.prepare(
        "SELECT customer, feature, starts_at, last_at, used FROM feature_usage \
         ORDER BY customer, feature, starts_at",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let row = Columns(row);
        digester.segment(row.customer_id(0)?, &row.text(1)?, &segment(row, 2)?);
    }
    Ok(digester.finish())
}

fn timeline(connection: &Connection) -> Result<TableDigest, SqliteError> {
    let mut digester = Digester::default();
    let mut statement = connection.prepare(
        "SELECT customer, version, recorded_at, command_id, actor, event FROM timeline \
         ORDER BY customer, version",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let row = Columns(row);
        digester.event(&DigestedEvent {
            customer_id: row.customer_id(0)?,
            version: row.number(1)?,
            recorded_at: row.time(2)?,
            command_id: row.command_id(3)?,
            actor: &row.text(4)?,
            event: row.str(5)?,
        });
    }
    Ok(digester.finish())
}

fn commands(connection: &Connection) -> Result<TableDigest, SqliteError> {
    let mut digester = Digester::default();
    let mut statement = connection.prepare(&format!(
        "SELECT {COMMAND} FROM commands ORDER BY id, tenant, environment, partition"
    ))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        digester.command(&command_rows::row(Columns(row))?);
    }
    Ok(digester.finish())
}
