//! Values and columns.

use std::str::FromStr;

use rusqlite::Row;
use rusqlite::types::ValueRef;
use tallybook_events::chain::{Checkpoint, Head};
use tallybook_events::customer::entitlements::Segment;
use tallybook_events::ids::{CommandId, CustomerId, Partition, Scope};
use tallybook_events::money::{Amount, Total};
use tallybook_events::period::Window;
use tallybook_events::time::Timestamp;
use uuid::Uuid;

use super::database::SqliteError;
use crate::customers::CustomerRow;
use crate::ledger::{LedgerRow, Versions};
use crate::period_usage::{RowKind, Tally};
use crate::queries::PeriodKind;

/// A row of a result, by column.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a>(pub(super) &'a Row<'a>);

impl<'a> Columns<'a> {
    pub(super) fn refused(self, column: usize, what: &str) -> SqliteError {
        let name = self.0.as_ref().column_name(column).unwrap_or("?");
        SqliteError::Row(format!("column {name} {what}"))
    }

    pub(super) fn str(self, column: usize) -> Result<&'a str, SqliteError> {
        let text = self.0.get_ref(column)?.as_str();
        text.map_err(|error| self.refused(column, &error.to_string()))
    }

    /// Reads text that is the printed form of a type.
    pub(super) fn text<T>(self, column: usize) -> Result<T, SqliteError>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        let text = self.str(column)?;
        text.parse().map_err(|error: T::Err| self.refused(column, &error.to_string()))
    }

    pub(super) fn text_or_null<T>(self, column: usize) -> Result<Option<T>, SqliteError>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        if self.is_null(column)? { Ok(None) } else { self.text(column).map(Some) }
    }

    pub(super) fn str_or_null(self, column: usize) -> Result<Option<&'a str>, SqliteError> {
        if self.is_null(column)? { Ok(None) } else { self.str(column).map(Some) }
    }

    pub(super) fn number(self, column: usize) -> Result<u64, SqliteError> {
        let number: i64 = self.0.get(column)?;
        u64::try_from(number).map_err(|_| self.refused(column, "is negative"))
    }

    pub(super) fn time(self, column: usize) -> Result<Timestamp, SqliteError> {
        Ok(Timestamp::from_micros(self.0.get(column)?))
    }

    pub(super) fn time_or_null(self, column: usize) -> Result<Option<Timestamp>, SqliteError> {
        Ok(self.0.get::<_, Option<i64>>(column)?.map(Timestamp::from_micros))
    }

    pub(super) fn customer_id(self, column: usize) -> Result<CustomerId, SqliteError> {
        self.uuid(column).map(CustomerId)
    }

    pub(super) fn command_id(self, column: usize) -> Result<CommandId, SqliteError> {
        self.uuid(column).map(CommandId)
    }

    pub(super) fn window(self, starts_at: usize) -> Result<Window, SqliteError> {
        Ok(Window { start: self.time(starts_at)?, end: self.time(starts_at + 1)? })
    }

    pub(super) fn versions(self, first: usize) -> Result<Option<Versions>, SqliteError> {
        if self.is_null(first)? {
            return Ok(None);
        }
        Ok(Some(Versions { first: self.number(first)?, last: self.number(first + 1)? }))
    }

    pub(super) fn kind(self, column: usize) -> Result<RowKind, SqliteError> {
        let name = self.str(column)?;
        let kinds = PeriodKind::ALL.into_iter().map(RowKind::Period).chain([RowKind::Hour]);
        let kind = kinds.into_iter().find(|kind| kind.as_str() == name);
        kind.ok_or_else(|| self.refused(column, "is no kind of period"))
    }

    fn uuid(self, column: usize) -> Result<Uuid, SqliteError> {
        let bytes = self.0.get_ref(column)?.as_blob().ok();
        let uuid = bytes.and_then(|bytes| Uuid::from_slice(bytes).ok());
        uuid.ok_or_else(|| self.refused(column, "is no UUID"))
    }

    fn is_null(self, column: usize) -> Result<bool, SqliteError> {
        Ok(self.0.get_ref(column)? == ValueRef::Null)
    }
}

/// The columns that [`customer`] reads.
pub(super) const CUSTOMER: &str = "id, tenant, environment, key, key_since, version, created_at, \
                                   updated_at, archived_at, groups, entitlements";

pub(super) fn customer(columns: Columns<'_>) -> Result<CustomerRow, SqliteError> {
    let groups = columns.str(9)?;
    let entitlements = if columns.is_null(10)? { None } else { Some(columns.str(10)?) };
    Ok(CustomerRow {
        id: columns.customer_id(0)?,
        scope: Scope { tenant: columns.text(1)?, environment: columns.text(2)? },
        key: columns.text_or_null(3)?,
        key_since: columns.time(4)?,
        version: columns.number(5)?,
        created_at: columns.time(6)?,
        updated_at: columns.time(7)?,
        archived_at: columns.time_or_null(8)?,
        groups: serde_json::from_str(groups)
            .map_err(|error| columns.refused(9, &error.to_string()))?,
        entitlements: entitlements
            .map(serde_json::from_str)
            .transpose()
            .map_err(|error| columns.refused(10, &error.to_string()))?,
    })
}

/// Reads what was used of a feature, from a row whose first column is `first`.
pub(super) fn segment(columns: Columns<'_>, first: usize) -> Result<Segment, SqliteError> {
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
pub(super) fn ledger_row(columns: Columns<'_>, first: usize) -> Result<LedgerRow, SqliteError> {
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

/// Reads a row of `positions`.
pub(super) fn checkpoint(columns: Columns<'_>) -> Result<(Partition, Checkpoint), SqliteError> {
    let partition = u32::try_from(columns.number(0)?);
    let head = columns.0.get_ref(4)?.as_blob().ok().and_then(|head| head.try_into().ok());
    Ok((
        Partition(partition.map_err(|_| columns.refused(0, "is no partition"))?),
        Checkpoint {
            offset: columns.number(1)?,
            term: columns.number(2)?,
            seq: columns.number(3)?,
            head: Head(head.ok_or_else(|| columns.refused(4, "is no head"))?),
        },
    ))
}

/// Gives a number as SQLite keeps it.
pub(super) fn signed(number: u64) -> Result<i64, SqliteError> {
    i64::try_from(number).map_err(|_| SqliteError::Row(format!("{number} is too large to keep")))
}
