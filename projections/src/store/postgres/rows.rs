//! Values and columns.

use std::str::FromStr;

use tallybook_events::chain::{Checkpoint, Head};
use tallybook_events::customer::entitlements::Segment;
use tallybook_events::decision::{Accepted, Outcome};
use tallybook_events::ids::{CommandId, CustomerId, Partition, Position, Scope};
use tallybook_events::money::{Amount, Total};
use tallybook_events::period::Window;
use tallybook_events::time::Timestamp;
use tokio_postgres::Row;
use uuid::Uuid;

use super::database::PostgresError;
use crate::commands::CommandRow;
use crate::customers::CustomerRow;
use crate::ledger::{LedgerRow, Versions};
use crate::period_usage::{RowKind, Tally};
use crate::queries::PeriodKind;

/// A row of an answer, by column.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a>(pub(super) &'a Row);

impl<'a> Columns<'a> {
    pub(super) fn refused(self, column: usize, what: &str) -> PostgresError {
        let name = self.0.columns().get(column).map_or("?", |column| column.name());
        PostgresError::Row(format!("column {name} {what}"))
    }

    pub(super) fn str(self, column: usize) -> Result<&'a str, PostgresError> {
        Ok(self.0.try_get(column)?)
    }

    pub(super) fn str_or_null(self, column: usize) -> Result<Option<&'a str>, PostgresError> {
        Ok(self.0.try_get(column)?)
    }

    fn parsed<T>(self, column: usize, text: &str) -> Result<T, PostgresError>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        text.parse().map_err(|error: T::Err| self.refused(column, &error.to_string()))
    }

    /// Reads text that is the printed form of a type.
    pub(super) fn text<T>(self, column: usize) -> Result<T, PostgresError>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        self.parsed(column, self.str(column)?)
    }

    pub(super) fn text_or_null<T>(self, column: usize) -> Result<Option<T>, PostgresError>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        self.str_or_null(column)?.map(|text| self.parsed(column, text)).transpose()
    }

    fn unsigned(self, column: usize, number: i64) -> Result<u64, PostgresError> {
        u64::try_from(number).map_err(|_| self.refused(column, "is negative"))
    }

    pub(super) fn number(self, column: usize) -> Result<u64, PostgresError> {
        self.unsigned(column, self.0.try_get(column)?)
    }

    pub(super) fn time(self, column: usize) -> Result<Timestamp, PostgresError> {
        Ok(Timestamp::from_micros(self.0.try_get(column)?))
    }

    pub(super) fn time_or_null(self, column: usize) -> Result<Option<Timestamp>, PostgresError> {
        Ok(self.0.try_get::<_, Option<i64>>(column)?.map(Timestamp::from_micros))
    }

    pub(super) fn customer_id(self, column: usize) -> Result<CustomerId, PostgresError> {
        Ok(CustomerId(self.0.try_get::<_, Uuid>(column)?))
    }

    pub(super) fn command_id(self, column: usize) -> Result<CommandId, PostgresError> {
        Ok(CommandId(self.0.try_get::<_, Uuid>(column)?))
    }

    pub(super) fn partition(self, column: usize) -> Result<Partition, PostgresError> {
        let number = u32::try_from(self.number(column)?);
        Ok(Partition(number.map_err(|_| self.refused(column, "is no partition"))?))
    }

    pub(super) fn window(self, starts_at: usize) -> Result<Window, PostgresError> {
        Ok(Window { start: self.time(starts_at)?, end: self.time(starts_at + 1)? })
    }

    fn versions(self, first: usize) -> Result<Option<Versions>, PostgresError> {
        let number = |column| self.0.try_get::<_, Option<i64>>(column);
        let (Some(from), Some(to)) = (number(first)?, number(first + 1)?) else { return Ok(None) };
        Ok(Some(Versions {
            first: self.unsigned(first, from)?,
            last: self.unsigned(first + 1, to)?,
        }))
    }

    pub(super) fn kind(self, column: usize) -> Result<RowKind, PostgresError> {
        let name = self.str(column)?;
        let kinds = PeriodKind::ALL.into_iter().map(RowKind::Period).chain([RowKind::Hour]);
        let kind = kinds.into_iter().find(|kind| kind.as_str() == name);
        kind.ok_or_else(|| self.refused(column, "is no kind of period"))
    }
}

/// The columns that [`customer`] reads.
pub(super) const CUSTOMER: &str = "id, tenant, environment, key, key_since, version, created_at, \
                                   updated_at, archived_at, groups, entitlements";

pub(super) fn customer(columns: Columns<'_>) -> Result<CustomerRow, PostgresError> {
    Ok(CustomerRow {
        id: columns.customer_id(0)?,
        scope: Scope { tenant: columns.text(1)?, environment: columns.text(2)? },
        key: columns.text_or_null(3)?,
        key_since: columns.time(4)?,
        version: columns.number(5)?,
        created_at: columns.time(6)?,
        updated_at: columns.time(7)?,
        archived_at: columns.time_or_null(8)?,
        groups: serde_json::from_str(columns.str(9)?)
            .map_err(|error| columns.refused(9, &error.to_string()))?,
        entitlements: columns
            .str_or_null(10)?
            .map(serde_json::from_str)
            .transpose()
            .map_err(|error| columns.refused(10, &error.to_string()))?,
    })
}

/// Reads what was used of a feature, from a row whose first column is `first`.
pub(super) fn segment(columns: Columns<'_>, first: usize) -> Result<Segment, PostgresError> {
    let used: Total = columns.text(first + 2)?;
    Ok(Segment {
        start: columns.time(first)?,
        last: columns.time(first + 1)?,
        used: used.trillionths(),
    })
}

/// The columns that [`ledger_row`] reads.
pub(super) const LEDGER_ROW: &str =
    "raw, charged, quantity, count, budget, first_at, last_at, first_version, last_version";

/// Reads a row of the ledger whose first column is `first`.
pub(super) fn ledger_row(columns: Columns<'_>, first: usize) -> Result<LedgerRow, PostgresError> {
    Ok(LedgerRow {
        tally: Tally {
            raw: columns.text(first)?,
            charged: columns.text(first + 1)?,
            quantity: columns.text(first + 2)?,
            count: columns.number(first + 3)?,
            first_at: columns.time_or_null(first + 5)?,
            last_at: columns.time_or_null(first + 6)?,
        },
        budget: columns.text_or_null::<Amount>(first + 4)?,
        versions: columns.versions(first + 7)?,
    })
}

/// Reads a span and its row of the ledger.
pub(super) fn spanned(columns: Columns<'_>) -> Result<(Window, LedgerRow), PostgresError> {
    Ok((columns.window(0)?, ledger_row(columns, 2)?))
}

/// The columns that [`command`] reads.
pub(super) const COMMAND: &str = "id, tenant, environment, partition, seq, decided_at, customer, \
                                  from_version, to_version, told";

pub(super) fn command(columns: Columns<'_>) -> Result<CommandRow, PostgresError> {
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
        place: Position { partition: columns.partition(3)?, seq: columns.number(4)? },
        decided_at: columns.time(5)?,
        outcome,
    })
}

/// Reads a row of `positions`.
pub(super) fn checkpoint(columns: Columns<'_>) -> Result<(Partition, Checkpoint), PostgresError> {
    let head: &[u8] = columns.0.try_get(4)?;
    Ok((
        columns.partition(0)?,
        Checkpoint {
            offset: columns.number(1)?,
            term: columns.number(2)?,
            seq: columns.number(3)?,
            head: Head(head.try_into().map_err(|_| columns.refused(4, "is no head"))?),
        },
    ))
}

/// Gives a number as PostgreSQL keeps it.
pub(super) fn signed(number: u64) -> Result<i64, PostgresError> {
    i64::try_from(number).map_err(|_| PostgresError::Row(format!("{number} is too large to keep")))
}
