//! Where the read models are kept: in files of a folder, or in PostgreSQL.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use tallybook_projections::progress::Progress;
use tallybook_projections::queries::Queries;
use tallybook_projections::store::postgres::{
    PostgresPlace, PostgresQueries, PostgresRebuild, PostgresStore, Watch, watch,
};
use tallybook_projections::store::sqlite::{SqliteQueries, SqliteRebuild, SqliteStore};
use tallybook_projections::store::{Rebuild, Store, StoreError};

/// What is said when the files do not open.
const FILES: &str =
    "cannot open the read models; without the files views.db* a start makes them anew";
/// What is said when the database does not.
const DATABASE: &str = "cannot open the read models in PostgreSQL";
/// How long a start waits for a database that does not answer.
const OPEN_WITHIN: Duration = Duration::from_secs(30);
/// How long to wait before asking it again.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// Which PostgreSQL, if one is to be used.
#[derive(Debug, Clone, Args)]
pub(super) struct PostgresOption {
    /// PostgreSQL to keep the read models in: postgres://USER:PASSWORD@HOST:PORT/DATABASE, with
    /// `?sslmode=require` by TLS (`&sslrootcert=FILE`: trusted certificates)
    #[arg(long, value_name = "URL", hide_env_values = true, conflicts_with = "postgres_file")]
    postgres: Option<String>,
    /// File that holds this URL, so that no one sees the password
    #[arg(long, value_name = "FILE")]
    postgres_file: Option<PathBuf>,
}

impl PostgresOption {
    /// Gives the place that is named.
    pub(super) fn place(&self) -> anyhow::Result<Option<PostgresPlace>> {
        let url = match (&self.postgres, &self.postgres_file) {
            (Some(url), _) => url.clone(),
            (None, Some(path)) => std::fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?,
            (None, None) => return Ok(None),
        };
        let place =
            PostgresPlace::parse(url.trim()).context("cannot use the address in --postgres")?;
        Ok(Some(place))
    }
}

/// The read models.
#[derive(Debug, Clone)]
pub(super) enum Models {
    /// In files of this folder.
    Files(PathBuf),
    /// In a database.
    Postgres(Box<PostgresPlace>),
}

impl Models {
    /// Names those of a database, else the files of a folder.
    pub(super) fn at(place: Option<&PostgresPlace>, folder: &Path) -> Self {
        match place {
            Some(place) => Self::Postgres(Box::new(place.clone())),
            None => Self::Files(folder.to_owned()),
        }
    }

    /// Opens the side that folds; makes the read models, empty, when there are none. Where several fold,
    /// one leads. Blocks.
    pub(super) fn store(&self) -> anyhow::Result<Box<dyn Store>> {
        match self {
            Self::Files(folder) => Ok(Box::new(SqliteStore::open(folder).context(FILES)?)),
            Self::Postgres(place) => {
                let store = patiently(|| PostgresStore::open((**place).clone()));
                Ok(Box::new(store.context(DATABASE)?.leading()))
            }
        }
    }

    /// Opens the side that answers. Blocks.
    pub(super) fn queries(&self, progress: Arc<Progress>) -> anyhow::Result<Arc<dyn Queries>> {
        match self {
            Self::Files(folder) => {
                Ok(Arc::new(SqliteQueries::open(folder, progress).context(FILES)?))
            }
            Self::Postgres(place) => {
                Ok(Arc::new(PostgresQueries::open(place, progress).context(DATABASE)?))
            }
        }
    }

    /// Begins new rows beside the live ones. Blocks.
    pub(super) fn rebuild(&self) -> anyhow::Result<Box<dyn Rebuild>> {
        // The live rows must be there to be replaced; what is damaged is put aside by hand first.
        drop(self.store()?);
        let cannot = "cannot begin";
        match self {
            Self::Files(folder) => Ok(Box::new(SqliteRebuild::begin(folder).context(cannot)?)),
            Self::Postgres(place) => {
                Ok(Box::new(PostgresRebuild::begin((**place).clone()).context(cannot)?))
            }
        }
    }

    /// Listens to whoever folds, where that may be another process that tells.
    pub(super) fn watch(&self, progress: &Arc<Progress>) -> Option<Watch> {
        match self {
            Self::Files(_) => None,
            Self::Postgres(place) => Some(watch((**place).clone(), Arc::clone(progress))),
        }
    }

    /// Gives how often somebody who does not fold looks how far the rows have come.
    pub(super) const fn look_every(&self) -> Duration {
        match self {
            Self::Files(_) => Duration::from_millis(10),
            Self::Postgres(_) => Duration::from_secs(1),
        }
    }
}

/// Tries again as long as there is no answer, within a bound.
fn patiently<T>(mut open: impl FnMut() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let began = Instant::now();
    loop {
        match open() {
            Err(StoreError::Unavailable(error)) if began.elapsed() < OPEN_WITHIN => {
                tracing::warn!(error = &*error, "the database does not answer, it is asked again");
                std::thread::park_timeout(ASK_AGAIN);
            }
            opened => return opened,
        }
    }
}
