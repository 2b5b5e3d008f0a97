//! The data folder: where its files are. Who may serve it is the journal's business: it has a lock.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::journal::sqlite;

/// Option `--data`.
#[derive(Debug, Clone, Args)]
pub(super) struct DataOption {
    /// The folder of journal, read models and API keys
    #[arg(long, value_name = "DIR", default_value = "./data")]
    pub(super) data: PathBuf,
}

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum FolderError {
    /// It is not there.
    #[error("{} is no data folder: it holds no journal", path.display())]
    Missing {
        /// The folder.
        path: PathBuf,
    },
    /// It cannot be made or opened.
    #[error("cannot use {} as the data folder", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

/// A data folder.
#[derive(Debug, Clone)]
pub(super) struct DataFolder(PathBuf);

impl DataFolder {
    /// Names a folder; it need not be there.
    pub(super) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Gives the folder itself, where journal and read models find their files.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Gives the file of API keys.
    pub(super) fn keys(&self) -> PathBuf {
        self.0.join("keys.db")
    }

    /// Makes the folder if it is not there, for its owner's eyes only.
    ///
    /// # Errors
    /// [`FolderError::Io`].
    pub(super) fn make(&self) -> Result<(), FolderError> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0)
            .map_err(|source| FolderError::Io { path: self.0.clone(), source })
    }

    /// Checks that there is a journal.
    ///
    /// # Errors
    /// [`FolderError::Missing`] when there is none.
    pub(super) fn must_have_journal(&self) -> Result<(), FolderError> {
        if self.0.join(sqlite::FILE).is_file() {
            Ok(())
        } else {
            Err(FolderError::Missing { path: self.0.clone() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_a_journal_is_none() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = DataFolder::new(&temporary.path().join("a/b"));
        folder.make().unwrap();
        folder.make().unwrap();
        assert!(matches!(folder.must_have_journal(), Err(FolderError::Missing { .. })));
        std::fs::write(folder.path().join("journal.db"), "").unwrap();
        assert!(folder.must_have_journal().is_ok());
    }
}
