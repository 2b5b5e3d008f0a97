//! The rows of one customer's ledger, read for the fold and for answers.

use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::value::RawValue;
use tallybook_events::codec;
use tallybook_events::customer::entitlements::Segments;
use tallybook_events::event::Event;
use tallybook_events::ids::{CustomerId, Meter};
use tallybook_events::money::Amount;
use tallybook_events::period::Window;
use tallybook_events::time::{MICROS_PER_HOUR, Timestamp};

use super::database::SqliteError;
use super::rows::{Columns, LEDGER_ROW, ledger_row, segment, signed};
use crate::history::each_moment;
use crate::ledger::{LedgerRow, LedgerSource, Versions};
use crate::period_usage::RowKey;
use crate::spend::SpendSource;

/// Reads the ledger of one customer.
pub(super) struct StoredLedger<'a> {
    pub(super) connection: &'a Connection,
    pub(super) customer: CustomerId,
}

impl LedgerSource for StoredLedger<'_> {
    type Error = SqliteError;

    fn row(&mut self, key: &RowKey) -> Result<Option<LedgerRow>, SqliteError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT raw, charged, quantity, count, budget, first_at, last_at, first_version, \
             last_version FROM period_usage \
             WHERE customer = ?1 AND kind = ?2 AND ends_at = ?3 AND starts_at = ?4",
        )?;
        let Window { start, end } = key.window;
        let place =
            params![self.customer.0.as_bytes(), key.kind.as_str(), end.micros(), start.micros()];
        statement.query_row(place, |row| Ok(ledger_row(Columns(row), 0))).optional()?.transpose()
    }

    fn windows_after(&mut self, at: Timestamp) -> Result<Vec<(Window, LedgerRow)>, SqliteError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT starts_at, ends_at, raw, charged, quantity, count, budget, first_at, last_at, \
             first_version, last_version FROM period_usage WHERE customer = ?1 AND kind = 'budget' AND ends_at > ?2",
        )?;
        let rows = statement
            .query_and_then(params![self.customer.0.as_bytes(), at.micros()], |row| {
                Ok((Columns(row).window(0)?, ledger_row(Columns(row), 2)?))
            })?;
        rows.collect()
    }

    fn hours(&mut self, window: Window) -> Result<Vec<(Window, LedgerRow)>, SqliteError> {
        // An hour that begins in the window ends after the window's start, and less than an hour after
        // its end: that is what the primary key can find.
        let mut statement = self.connection.prepare_cached(
            "SELECT starts_at, ends_at, raw, charged, quantity, count, budget, first_at, last_at, \
             first_version, last_version FROM period_usage WHERE customer = ?1 AND kind = 'hour' \
             AND ends_at > ?2 AND ends_at < ?3 + ?4 AND starts_at >= ?2 AND starts_at < ?3",
        )?;
        let Window { start, end } = window;
        let span =
            params![self.customer.0.as_bytes(), start.micros(), end.micros(), MICROS_PER_HOUR];
        let rows = statement.query_and_then(span, |row| {
            Ok((Columns(row).window(0)?, ledger_row(Columns(row), 2)?))
        })?;
        rows.collect()
    }

    fn budget_before(&mut self, at: Timestamp) -> Result<Option<Amount>, SqliteError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT budget FROM budgets WHERE customer = ?1 AND since < ?2 \
             ORDER BY since DESC, version DESC LIMIT 1",
        )?;
        let read = statement
            .query_row(params![self.customer.0.as_bytes(), at.micros()], |row| {
                Ok(Columns(row).text_or_null(0))
            })
            .optional()?;
        Ok(read.transpose()?.flatten())
    }

    fn segments(&mut self, feature: &Meter, from: Timestamp) -> Result<Segments, SqliteError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT starts_at, last_at, used FROM feature_usage \
             WHERE customer = ?1 AND feature = ?2 AND starts_at >= ?3 ORDER BY starts_at",
        )?;
        let place = params![self.customer.0.as_bytes(), feature.as_str(), from.micros()];
        statement.query_and_then(place, |row| segment(Columns(row), 0))?.collect()
    }

    fn moments(&mut self, feature: &Meter) -> Result<Vec<(Timestamp, i128)>, SqliteError> {
        // Grants that reach into the past are rare: the whole history is looked through.
        let mut statement = self
            .connection
            .prepare_cached("SELECT event FROM timeline WHERE customer = ?1 ORDER BY version")?;
        let mut events = statement.query([self.customer.0.as_bytes()])?;
        let mut moments = Vec::new();
        while let Some(row) = events.next()? {
            let text = Columns(row).str(0)?;
            let refused = |error: &dyn std::fmt::Display| {
                SqliteError::Row(format!("an event of customer {}: {error}", self.customer))
            };
            let recorded = serde_json::from_str(text).map_err(|error| refused(&error))?;
            let event = codec::read_event(recorded).map_err(|error| refused(&error))?;
            each_moment(&event, |meter, moment, used| {
                if meter == feature {
                    moments.push((moment, used));
                }
            });
        }
        Ok(moments)
    }
}

impl SpendSource for StoredLedger<'_> {
    fn latest_hour(&mut self, ends_by: Timestamp) -> Result<Vec<(Window, LedgerRow)>, SqliteError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT starts_at, ends_at, {LEDGER_ROW} FROM period_usage \
             WHERE customer = ?1 AND kind = 'hour' AND raw <> '0' AND ends_at = (\
             SELECT ends_at FROM period_usage WHERE customer = ?1 AND kind = 'hour' \
             AND ends_at <= ?2 AND raw <> '0' ORDER BY ends_at DESC LIMIT 1)"
        ))?;
        let rows = statement
            .query_and_then(params![self.customer.0.as_bytes(), ends_by.micros()], |row| {
                Ok((Columns(row).window(0)?, ledger_row(Columns(row), 2)?))
            })?;
        rows.collect()
    }

    fn events(
        &mut self,
        versions: Versions,
        enough: &mut dyn FnMut(&Event) -> bool,
    ) -> Result<(), SqliteError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT version, event FROM timeline \
             WHERE customer = ?1 AND version BETWEEN ?2 AND ?3 ORDER BY version DESC",
        )?;
        let Versions { first, last } = versions;
        let mut rows =
            statement.query(params![self.customer.0.as_bytes(), signed(first)?, signed(last)?])?;
        while let Some(row) = rows.next()? {
            let columns = Columns(row);
            let unreadable = |what: String| {
                SqliteError::Row(format!("event {}: {what}", columns.number(0).unwrap_or(0)))
            };
            let recorded: &RawValue = serde_json::from_str(columns.str(1)?)
                .map_err(|error| unreadable(error.to_string()))?;
            let event =
                codec::read_event(recorded).map_err(|error| unreadable(error.to_string()))?;
            if enough(&event) {
                break;
            }
        }
        Ok(())
    }
}
