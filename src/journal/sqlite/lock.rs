//! One process per folder: an advisory lock on a file beside the journal, for as long as it is open.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use super::OpenError;

/// Name of the file that is locked. It is never deleted: a lock on a deleted file locks out nobody.
const FILE: &str = "journal.lock";
/// Longest note that is read from the file.
const MAX_NOTE_BYTES: u64 = 64;

/// The lock on a folder, until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub(super) struct FolderLock {
    folder: PathBuf,
    _file: File,
}

impl FolderLock {
    /// Makes the folder when it is not there, and locks it.
    pub(super) fn take(folder: &Path) -> Result<Self, OpenError> {
        let refused = |source| OpenError::Folder { folder: folder.to_path_buf(), source };
        std::fs::create_dir_all(folder).map_err(refused)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(folder.join(FILE))
            .map_err(refused)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let folder = folder.to_path_buf();
                return Err(OpenError::InUse { folder, by: note(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(refused(source)),
        }
        leave_note(&mut file).map_err(refused)?;
        Ok(Self { folder: folder.to_path_buf(), _file: file })
    }

    /// Makes sure that the folder and what is in it by name outlive a loss of power.
    pub(super) fn make_lasting(&self) -> Result<(), OpenError> {
        let refused = |source| OpenError::Folder { folder: self.folder.clone(), source };
        let folder = std::fs::canonicalize(&self.folder).map_err(refused)?;
        for folder in [Some(folder.as_path()), folder.parent()].into_iter().flatten() {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(refused)?;
        }
        Ok(())
    }
}

/// Leaves the number of this process, for the message that another one will give.
fn leave_note(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    write!(file, "{}", std::process::id())
}

fn note(file: &mut File) -> Option<String> {
    let mut number = String::new();
    file.rewind().ok()?;
    file.take(MAX_NOTE_BYTES).read_to_string(&mut number).ok()?;
    let number: u32 = number.trim().parse().ok()?;
    Some(format!(" (process {number})"))
}
