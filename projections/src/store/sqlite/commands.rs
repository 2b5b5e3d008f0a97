//! What became of commands: written, read, and put together with the events.

use rusqlite::{Connection, params};
use serde_json::value::RawValue;
use tallybook_events::decision::{Accepted, Outcome};
use tallybook_events::ids::{CommandId, CustomerId, Partition, Position, Scope};

use super::database::SqliteError;
use super::rows::{Columns, signed};
use crate::commands::CommandRow;
use crate::queries::CommandOutcome;

/// The columns that [`row`] reads.
pub(super) const COMMAND: &str = "id, tenant, environment, partition, seq, decided_at, customer, \
                                  from_version, to_version, told";

/// Writes what became of a command. The first row about it counts, unless it gives way.
pub(super) fn save(connection: &Connection, row: &CommandRow) -> Result<(), SqliteError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO commands VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
         ON CONFLICT DO UPDATE SET seq = ?5, decided_at = ?6, outcome = ?7, customer = ?8, \
         from_version = ?9, to_version = ?10, told = ?11 WHERE outcome = 'deferred'",
    )?;
    let customer = row.outcome.customer_id();
    let versions = row.versions();
    let versions = versions
        .map(|(from, to)| Ok::<_, SqliteError>((signed(from)?, signed(to)?)))
        .transpose()?;
    statement.execute(params![
        row.command_id.0.as_bytes(),
        row.scope.tenant.as_str(),
        row.scope.environment.as_str(),
        row.place.partition.0,
        signed(row.place.seq)?,
        row.decided_at.micros(),
        row.word(),
        customer.as_ref().map(|id| id.0.as_bytes()),
        versions.map(|(from, _)| from),
        versions.map(|(_, to)| to),
        row.told(),
    ])?;
    Ok(())
}

/// Reads a row whose columns are [`COMMAND`].
pub(super) fn row(columns: Columns<'_>) -> Result<CommandRow, SqliteError> {
    let partition = u32::try_from(columns.number(3)?);
    let partition = partition.map_err(|_| columns.refused(3, "is no partition"))?;
    let outcome = match columns.str_or_null(9)? {
        Some(told) => {
            serde_json::from_str(told).map_err(|error| columns.refused(9, &error.to_string()))?
        }
        None => Outcome::Accepted(Accepted {
            customer_id: columns.customer_id(6)?,
            from_version: columns.number(7)?,
            to_version: columns.number(8)?,
            duplicates: Vec::new(),
            conflicts: Vec::new(),
        }),
    };
    Ok(CommandRow {
        scope: Scope { tenant: columns.text(1)?, environment: columns.text(2)? },
        command_id: columns.command_id(0)?,
        place: Position { partition: Partition(partition), seq: columns.number(4)? },
        decided_at: columns.time(5)?,
        outcome,
    })
}

/// Finds what became of a command of a scope. An id that was used on several partitions stands for the
/// command that was decided first.
pub(super) fn find(
    connection: &Connection,
    scope: &Scope,
    command_id: CommandId,
) -> Result<Option<CommandOutcome>, SqliteError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COMMAND} FROM commands WHERE id = ?1 AND tenant = ?2 AND environment = ?3 \
         ORDER BY decided_at, partition LIMIT 1"
    ))?;
    let key = params![command_id.0.as_bytes(), scope.tenant.as_str(), scope.environment.as_str()];
    let mut rows = statement.query(key)?;
    let Some(found) = rows.next()? else { return Ok(None) };
    let CommandRow { command_id, place, decided_at, outcome, .. } = row(Columns(found))?;
    let events = match &outcome {
        Outcome::Accepted(accepted) => events(connection, accepted)?,
        Outcome::Rejected(_)
        | Outcome::Deferred(_)
        | Outcome::Forwarded { .. }
        | Outcome::DeadLettered { .. }
        | Outcome::Repeated { .. }
        | Outcome::Previewed(_) => Vec::new(),
    };
    let events = format!("[{}]", events.join(","));
    let events = RawValue::from_string(events)
        .map_err(|error| SqliteError::Row(format!("events of {command_id}: {error}")))?;
    Ok(Some(CommandOutcome { command_id, position: place, decided_at, outcome, events }))
}

fn events(connection: &Connection, accepted: &Accepted) -> Result<Vec<String>, SqliteError> {
    let Accepted { customer_id: CustomerId(id), from_version, to_version, .. } = accepted;
    let mut statement = connection.prepare_cached(
        "SELECT event FROM timeline WHERE customer = ?1 AND version > ?2 AND version <= ?3 \
         ORDER BY version",
    )?;
    let versions = params![id.as_bytes(), signed(*from_version)?, signed(*to_version)?];
    let events = statement.query_map(versions, |row| row.get(0))?;
    Ok(events.collect::<rusqlite::Result<_>>()?)
}
