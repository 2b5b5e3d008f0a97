//! Connections that only read, a few of them kept open.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, Transaction};

use super::database::{SqliteError, open_reader};
use crate::queries::ReadError;

/// Most connections that are kept while nobody uses them.
const KEPT_CONNECTIONS: usize = 8;

/// Connections to one file. One more is opened when all are in use: as many as there are threads that
/// read at once.
#[derive(Debug)]
pub(super) struct Pool {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Pool {
    /// Makes a pool; opens one connection, to see that it can.
    pub(super) fn open(path: PathBuf) -> Result<Self, SqliteError> {
        let first = open_reader(&path)?;
        Ok(Self { path, idle: Mutex::new(vec![first]) })
    }

    /// Reads: all that `read` sees is of one moment.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&Transaction<'_>) -> Result<T, SqliteError>,
    ) -> Result<T, ReadError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => open_reader(&self.path)?,
        };
        let transaction = connection.transaction().map_err(SqliteError::from)?;
        let answer = read(&transaction)?;
        transaction.commit().map_err(SqliteError::from)?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT_CONNECTIONS {
            idle.push(connection);
        }
        Ok(answer)
    }
}
