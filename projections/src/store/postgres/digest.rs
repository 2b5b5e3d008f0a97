//! One number for all rows.

use deadpool_postgres::{ClientWrapper, Transaction};
use tokio_postgres::IsolationLevel;

use super::database::PostgresError;
use super::rows::{COMMAND, CUSTOMER, Columns, LEDGER_ROW, command, customer, ledger_row, segment};
use crate::digest::{DigestedEvent, Digester, ModelsDigest, TableDigest};
use crate::ledger::BudgetSince;
use crate::period_usage::RowKey;

/// Rows that are read at once.
const AT_ONCE: i32 = 4_096;

/// Gives the digest of all rows as they are at one moment.
pub(super) async fn digest(client: &mut ClientWrapper) -> Result<ModelsDigest, PostgresError> {
    let reading = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead);
    let transaction = reading.read_only(true).start().await?;
    transaction.batch_execute("LOCK TABLE generation IN ACCESS SHARE MODE").await?;
    let digest = ModelsDigest {
        customers: customers(&transaction).await?,
        period_usage: period_usage(&transaction).await?,
        timeline: timeline(&transaction).await?,
        commands: commands(&transaction).await?,
        feature_usage: feature_usage(&transaction).await?,
    };
    transaction.commit().await?;
    Ok(digest)
}

/// Reads all rows of a question, part by part.
async fn each(
    transaction: &Transaction<'_>,
    sql: &str,
    mut take: impl FnMut(Columns<'_>) -> Result<(), PostgresError>,
) -> Result<(), PostgresError> {
    let portal = transaction.bind(sql, &[]).await?;
    loop {
        let rows = transaction.query_portal(&portal, AT_ONCE).await?;
        if rows.is_empty() {
            return Ok(());
        }
        rows.iter().try_for_each(|row| take(Columns(row)))?;
    }
}

async fn customers(transaction: &Transaction<'_>) -> Result<TableDigest, PostgresError> {
    let mut digester = Digester::default();
    let sql = format!("SELECT {CUSTOMER} FROM customers ORDER BY id");
    each(transaction, &sql, |row| {
        digester.customer(&customer(row)?);
        Ok(())
    })
    .await?;
    Ok(digester.finish())
}

async fn period_usage(transaction: &Transaction<'_>) -> Result<TableDigest, PostgresError> {
    let mut digester = Digester::default();
    let sql = format!(
        "SELECT customer, kind, starts_at, ends_at, {LEDGER_ROW} FROM period_usage \
         ORDER BY customer, kind, ends_at, starts_at"
    );
    each(transaction, &sql, |row| {
        let key = RowKey { kind: row.kind(1)?, window: row.window(2)? };
        digester.period(row.customer_id(0)?, &key, &ledger_row(row, 4)?);
        Ok(())
    })
    .await?;
    let sql =
        "SELECT customer, since, version, budget FROM budgets ORDER BY customer, since, version";
    each(transaction, sql, |row| {
        let set = BudgetSince {
            since: row.time(1)?,
            version: row.number(2)?,
            budget: row.text_or_null(3)?,
        };
        digester.budget(row.customer_id(0)?, &set);
        Ok(())
    })
    .await?;
    Ok(digester.finish())
}

async fn feature_usage(transaction: &Transaction<'_>) -> Result<TableDigest, PostgresError> {
    let mut digester = Digester::default();
    let sql = "SELECT customer, feature, starts_at, last_at, used FROM feature_usage \
               ORDER BY customer, feature, starts_at";
    each(transaction, sql, |row| {
        digester.segment(row.customer_id(0)?, &row.text(1)?, &segment(row, 2)?);
        Ok(())
    })
    .await?;
    Ok(digester.finish())
}

async fn timeline(transaction: &Transaction<'_>) -> Result<TableDigest, PostgresError> {
    let mut digester = Digester::default();
    let sql = "SELECT customer, version, recorded_at, command_id, actor, event FROM timeline \
               ORDER BY customer, version";
    each(transaction, sql, |row| {
        digester.event(&DigestedEvent {
            customer_id: row.customer_id(0)?,
            version: row.number(1)?,
            recorded_at: row.time(2)?,
            command_id: row.command_id(3)?,
            actor: &row.text(4)?,
            event: row.str(5)?,
        });
        Ok(())
    })
    .await?;
    Ok(digester.finish())
}

async fn commands(transaction: &Transaction<'_>) -> Result<TableDigest, PostgresError> {
    let mut digester = Digester::default();
    let sql = format!("SELECT {COMMAND} FROM commands ORDER BY id, tenant, environment, partition");
    each(transaction, &sql, |row| {
        digester.command(&command(row)?);
        Ok(())
    })
    .await?;
    Ok(digester.finish())
}
