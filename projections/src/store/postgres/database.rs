//! The server: how it is reached, what goes wrong, and the tables that this build writes.

use std::time::Duration;

use deadpool_postgres::{ClientWrapper, ConfigConnectImpl, Connect as _, Transaction};
use tokio_postgres::error::SqlState;

use super::place::{PostgresPlace, Side};
use crate::queries::ReadError;
use crate::store::StoreError;

/// How long to wait for a connection before it counts as no answer.
pub(super) const CONNECT_WITHIN: Duration = Duration::from_secs(8);

/// The tables, step by step: step `n` brings rows from version `n` to `n + 1`.
const ROWS: [&str; 2] = [
    include_str!("../../../migrations/postgres/0001_rows.sql"),
    include_str!("../../../migrations/postgres/0002_limits.sql"),
];
/// What stays when rows are rebuilt.
const HOME: &str = include_str!("../../../migrations/postgres/home.sql");
/// The views for analysts.
const VIEWS: &str = include_str!("../../../migrations/postgres/views.sql");
/// Second number of the lock that migrations hold.
const MIGRATION_LOCK: i32 = -1;

/// What goes wrong in this adapter.
#[derive(Debug, thiserror::Error)]
pub(super) enum PostgresError {
    /// PostgreSQL did not do it.
    #[error("PostgreSQL did not do it")]
    Sql(#[from] tokio_postgres::Error),
    /// A value is not what this build writes.
    #[error("a row is not what this build writes: {0}")]
    Row(String),
    /// There was no answer in time.
    #[error("PostgreSQL did not answer within {0:?}")]
    Late(Duration),
}

impl From<PostgresError> for StoreError {
    fn from(error: PostgresError) -> Self {
        match error {
            PostgresError::Row(what) => Self::Damaged { what, source: None },
            PostgresError::Sql(source) => match source.code() {
                Some(&SqlState::UNIQUE_VIOLATION) => Self::Damaged {
                    what: "a row is there twice".into(),
                    source: Some(source.into()),
                },
                Some(&(SqlState::DATA_CORRUPTED | SqlState::INDEX_CORRUPTED)) => Self::Damaged {
                    what:
                        "the tables are damaged; without them all is built again from the journal"
                            .into(),
                    source: Some(source.into()),
                },
                _ => Self::Unavailable(source.into()),
            },
            late @ PostgresError::Late(_) => Self::Unavailable(late.into()),
        }
    }
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        PostgresError::from(error).into()
    }
}

impl From<PostgresError> for ReadError {
    fn from(error: PostgresError) -> Self {
        Self::Unavailable(error.into())
    }
}

/// Waits for something, but not for ever.
pub(super) async fn within<T, E: From<PostgresError>>(
    time: Duration,
    what: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    match tokio::time::timeout(time, what).await {
        Ok(done) => done,
        Err(_) => Err(PostgresError::Late(time).into()),
    }
}

/// Connects; the connection is driven by a task of the present runtime.
pub(super) async fn connect(
    place: &PostgresPlace,
    side: Side,
) -> Result<ClientWrapper, PostgresError> {
    let (config, connector) = (place.config(side), ConfigConnectImpl { tls: place.tls() });
    within(CONNECT_WITHIN, async {
        let (client, task) = connector.connect(&config).await?;
        Ok(ClientWrapper::new(client, task))
    })
    .await
}

/// Makes what is not there, and brings the tables up to date.
pub(super) async fn migrate(
    client: &mut ClientWrapper,
    place: &PostgresPlace,
) -> Result<(), StoreError> {
    let transaction = client.transaction().await?;
    let lock = "SELECT pg_advisory_xact_lock($1, $2)";
    transaction.execute(lock, &[&place.lock(), &MIGRATION_LOCK]).await?;
    let (home, rows) = (place.home(), place.rows());
    let known = i64::try_from(ROWS.len()).expect("a few steps");
    let version = version(&transaction, home).await?;
    let Some(due) = usize::try_from(version).ok().and_then(|done| ROWS.get(done..)) else {
        let what = format!("its tables are of version {version}, this build knows up to {known}");
        return Err(StoreError::Damaged { what, source: None });
    };
    if due.is_empty() {
        return Ok(());
    }
    transaction.batch_execute(&HOME.replace("HOME", home)).await?;
    transaction.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {rows}")).await?;
    for step in due {
        transaction.batch_execute(step).await?;
    }
    transaction.batch_execute(&views(place)).await?;
    let record = if version == 0 {
        format!("INSERT INTO {home}.generation VALUES (1, $1)")
    } else {
        format!("UPDATE {home}.generation SET version = $1, number = number + 1")
    };
    transaction.execute(&record, &[&known]).await?;
    Ok(transaction.commit().await?)
}

/// Gives the version of the tables; 0 when there are none.
async fn version(transaction: &Transaction<'_>, home: &str) -> Result<i64, PostgresError> {
    let there = "SELECT to_regclass($1) IS NOT NULL";
    let there = transaction.query_one(there, &[&format!("{home}.generation")]).await?;
    if !there.try_get::<_, bool>(0)? {
        return Ok(0);
    }
    let question = format!("SELECT version FROM {home}.generation");
    let row = transaction.query_opt(&question, &[]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?.unwrap_or_default())
}

/// Gives the statements that make the views over the live tables.
pub(super) fn views(place: &PostgresPlace) -> String {
    VIEWS.replace("HOME", place.home())
}

/// Makes an empty schema for new rows, with a generation of its own; what was there is thrown away.
pub(super) async fn make_new_rows(
    client: &ClientWrapper,
    place: &PostgresPlace,
) -> Result<(), PostgresError> {
    let rows = place.new_rows();
    let fresh = format!("DROP SCHEMA IF EXISTS {rows} CASCADE; CREATE SCHEMA {rows};");
    client.batch_execute(&fresh).await?;
    for step in ROWS {
        client.batch_execute(step).await?;
    }
    let generation = format!(
        "CREATE TABLE {rows}.generation (number bigint NOT NULL, version bigint NOT NULL); \
         INSERT INTO {rows}.generation VALUES (1, {});",
        ROWS.len()
    );
    Ok(client.batch_execute(&generation).await?)
}
