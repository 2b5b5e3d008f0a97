//! Writing: timelines, customers and their ledgers, positions.

use rusqlite::{Connection, OptionalExtension as _, params};
use tallybook_events::chain::Checkpoint;
use tallybook_events::customer::entitlements::Segment;
use tallybook_events::ids::{CustomerId, CustomerKey};
use tallybook_events::money::{Amount, Total};
use tallybook_events::text::TierName;
use tallybook_events::time::Timestamp;

use super::database::SqliteError;
use super::rows::{Columns, customer, signed};
use crate::customers::{CustomerRow, RowChange};
use crate::feature_usage::FeatureWrites;
use crate::fold::CustomerFold;
use crate::ledger::working::Ledger;
use crate::ledger::{BudgetSince, LedgerRow};
use crate::period_usage::RowKey;
use crate::store::Part;
use crate::timeline::TimelineRow;

/// Moves a partition's position from where the part begins to where it ends. Tells whether it stood
/// there.
pub(super) fn move_position(connection: &Connection, part: &Part<'_>) -> Result<bool, SqliteError> {
    let Part { partition, from, to, .. } = part;
    if *from == Checkpoint::START {
        let mut statement = connection.prepare_cached(
            "INSERT INTO positions VALUES (?1, 0, 0, 0, zeroblob(32)) ON CONFLICT DO NOTHING",
        )?;
        statement.execute([partition.0])?;
    }
    let mut statement = connection.prepare_cached(
        "UPDATE positions SET next_offset = ?1, term = ?2, seq = ?3, head = ?4 \
         WHERE partition = ?5 AND next_offset = ?6 AND term = ?7 AND seq = ?8 AND head = ?9",
    )?;
    let moved = statement.execute(params![
        signed(to.offset)?,
        signed(to.term)?,
        signed(to.seq)?,
        to.head.0,
        partition.0,
        signed(from.offset)?,
        signed(from.term)?,
        signed(from.seq)?,
        from.head.0,
    ])?;
    Ok(moved == 1)
}

/// Reads a customer to fold on.
pub(super) fn load(connection: &Connection, id: CustomerId) -> Result<CustomerFold, SqliteError> {
    Ok(load_row(connection, id)?.map_or_else(CustomerFold::unborn, CustomerFold::stored))
}

/// Reads the row of a customer.
pub(super) fn load_row(
    connection: &Connection,
    id: CustomerId,
) -> Result<Option<CustomerRow>, SqliteError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, tenant, environment, key, key_since, version, created_at, updated_at, \
         archived_at, groups, entitlements FROM customers WHERE id = ?1",
    )?;
    let row = statement.query_row([id.0.as_bytes()], |row| Ok(customer(Columns(row))));
    row.optional()?.transpose()
}

/// Writes one event of a timeline.
pub(super) fn save_event(
    connection: &Connection,
    row: &TimelineRow<'_>,
) -> Result<(), SqliteError> {
    let mut statement =
        connection.prepare_cached("INSERT INTO timeline VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    statement.execute(params![
        row.customer_id.0.as_bytes(),
        signed(row.version)?,
        signed(row.seq)?,
        row.recorded_at.micros(),
        row.command_id.0.as_bytes(),
        row.actor.as_str(),
        row.event,
    ])?;
    Ok(())
}

/// Writes what changed of a customer and its ledger.
pub(super) fn save(
    connection: &Connection,
    id: CustomerId,
    fold: &CustomerFold,
) -> Result<(), SqliteError> {
    if let Some((row, change)) = fold.row() {
        save_row(connection, row, change)?;
    }
    for writes in fold.features().writes() {
        save_feature(connection, id, &writes)?;
    }
    save_ledger(connection, id, fold.ledger())
}

fn save_feature(
    connection: &Connection,
    id: CustomerId,
    writes: &FeatureWrites<'_>,
) -> Result<(), SqliteError> {
    let FeatureWrites { feature, anew, dropped, changed } = writes;
    let (id, feature) = (id.0.as_bytes(), feature.as_str());
    if *anew {
        connection
            .prepare_cached("DELETE FROM feature_usage WHERE customer = ?1 AND feature = ?2")?
            .execute(params![id, feature])?;
    }
    for start in dropped {
        connection
            .prepare_cached(
                "DELETE FROM feature_usage \
                 WHERE customer = ?1 AND feature = ?2 AND starts_at = ?3",
            )?
            .execute(params![id, feature, start.micros()])?;
    }
    for Segment { start, last, used } in changed {
        let used = Total::from_trillionths(*used)
            .ok_or_else(|| SqliteError::Row(format!("{used} is too large to keep")))?;
        connection
            .prepare_cached("INSERT OR REPLACE INTO feature_usage VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![id, feature, start.micros(), last.micros(), used.to_string()])?;
    }
    Ok(())
}

fn save_row(
    connection: &Connection,
    row: &CustomerRow,
    change: RowChange,
) -> Result<(), SqliteError> {
    let id = row.id.0.as_bytes();
    let (version, updated_at) = (signed(row.version)?, row.updated_at.micros());
    let groups = || serde_json::to_string(&row.groups).expect("groups are values JSON can hold");
    let entitlements = || {
        let json = |facts| serde_json::to_string(facts).expect("facts are values JSON can hold");
        row.entitlements.as_ref().map(json)
    };
    let tier = row.groups.contract.tier.as_ref().map(TierName::as_str);
    let archived_at = row.archived_at.map(Timestamp::micros);
    let key = row.key.as_ref().map(CustomerKey::as_str);
    match change {
        RowChange::Nothing => {}
        RowChange::Counted => {
            connection
                .prepare_cached("UPDATE customers SET version = ?2, updated_at = ?3 WHERE id = ?1")?
                .execute(params![id, version, updated_at])?;
        }
        RowChange::Groups => {
            connection
                .prepare_cached(
                    "UPDATE customers SET version = ?2, updated_at = ?3, groups = ?4, \
                     entitlements = ?5 WHERE id = ?1",
                )?
                .execute(params![id, version, updated_at, groups(), entitlements()])?;
        }
        RowChange::Listed => {
            connection
                .prepare_cached(
                    "UPDATE customers SET version = ?2, updated_at = ?3, groups = ?4, key = ?5, \
                     key_since = ?6, status = ?7, tier = ?8, archived_at = ?9, \
                     entitlements = ?10 WHERE id = ?1",
                )?
                .execute(params![
                    id,
                    version,
                    updated_at,
                    groups(),
                    key,
                    row.key_since.micros(),
                    row.listed_under(),
                    tier,
                    archived_at,
                    entitlements(),
                ])?;
        }
        RowChange::Born => {
            connection
                .prepare_cached(
                    "INSERT INTO customers VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, \
                     ?13)",
                )?
                .execute(params![
                    id,
                    row.scope.tenant.as_str(),
                    row.scope.environment.as_str(),
                    key,
                    row.key_since.micros(),
                    row.listed_under(),
                    tier,
                    version,
                    row.created_at.micros(),
                    updated_at,
                    archived_at,
                    groups(),
                    entitlements(),
                ])?;
        }
    }
    Ok(())
}

fn save_ledger(
    connection: &Connection,
    id: CustomerId,
    ledger: &Ledger,
) -> Result<(), SqliteError> {
    let writes = ledger.writes();
    for key in &writes.dropped {
        let mut statement = connection.prepare_cached(
            "DELETE FROM period_usage \
             WHERE customer = ?1 AND kind = ?2 AND ends_at = ?3 AND starts_at = ?4",
        )?;
        let window = key.window;
        statement.execute(params![
            id.0.as_bytes(),
            key.kind.as_str(),
            window.end.micros(),
            window.start.micros(),
        ])?;
    }
    for (key, row) in writes.changed {
        save_period(connection, id, &key, row)?;
    }
    for BudgetSince { version, since, budget } in writes.budgets {
        let mut statement =
            connection.prepare_cached("INSERT INTO budgets VALUES (?1, ?2, ?3, ?4)")?;
        statement.execute(params![
            id.0.as_bytes(),
            since.micros(),
            signed(*version)?,
            budget.as_ref().map(Amount::to_string),
        ])?;
    }
    Ok(())
}

fn save_period(
    connection: &Connection,
    id: CustomerId,
    key: &RowKey,
    row: &LedgerRow,
) -> Result<(), SqliteError> {
    let mut statement = connection.prepare_cached(
        "INSERT OR REPLACE INTO period_usage \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?;
    let LedgerRow { tally, budget, versions } = row;
    statement.execute(params![
        id.0.as_bytes(),
        key.kind.as_str(),
        key.window.start.micros(),
        key.window.end.micros(),
        tally.raw.to_string(),
        tally.charged.to_string(),
        tally.quantity.to_string(),
        signed(tally.count)?,
        budget.as_ref().map(Amount::to_string),
        tally.first_at.map(Timestamp::micros),
        tally.last_at.map(Timestamp::micros),
        versions.map(|versions| signed(versions.first)).transpose()?,
        versions.map(|versions| signed(versions.last)).transpose()?,
    ])?;
    Ok(())
}
