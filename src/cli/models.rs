//! Where the read models are kept: in files of a folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use tallybook_projections::progress::Progress;
use tallybook_projections::queries::Queries;
use tallybook_projections::store::Store;
use tallybook_projections::store::sqlite::{SqliteQueries, SqliteStore};

/// What is said when the files do not open.
const FILES: &str =
    "cannot open the read models; without the files views.db* a start makes them anew";

/// The read models.
#[derive(Debug, Clone)]
pub(super) enum Models {
    /// In files of this folder.
    Files(PathBuf),
}

impl Models {
    /// Names the files of a folder.
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self::Files(folder.to_owned())
    }

    /// Opens the side that folds; makes the read models, empty, when there are none.
    pub(super) fn store(&self) -> anyhow::Result<Box<dyn Store>> {
        match self {
            Self::Files(folder) => Ok(Box::new(SqliteStore::open(folder).context(FILES)?)),
        }
    }

    /// Opens the side that answers.
    pub(super) fn queries(&self, progress: Arc<Progress>) -> anyhow::Result<Arc<dyn Queries>> {
        match self {
            Self::Files(folder) => {
                Ok(Arc::new(SqliteQueries::open(folder, progress).context(FILES)?))
            }
        }
    }
}
