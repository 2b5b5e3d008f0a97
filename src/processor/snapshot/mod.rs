//! Snapshots: the state of a partition in a file, so that whoever takes it need not read its journal
//! from the first record on.
//!
//! A snapshot is a cache and proves itself: it is of this build, whole (SHA-256 over all of it), and of
//! this journal: the record that it ends with lies where it says, and gives its head. The decision that
//! follows continues that head, or the reader rule halts. One that does not prove itself is left aside
//! with a warning, and so is one after which the journal cannot be explained: the older one is tried,
//! then all is read.
//!
//! They are written when a process stops, and beside its work by a thread that folds behind it
//! (`behind`): no owner waits for them. `file` has their form, `state` that of a partition's state.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tallybook_events::chain::{Chain, Checkpoint, Head, Offset};
use tallybook_events::ids::Partition;

use super::PartitionState;
use crate::decisions::RULES;
use crate::journal::{Journal, JournalError};

mod behind;
mod file;
mod state;

pub(super) use behind::Behind;
use file::{Header, Refused};

/// Snapshots of one partition that are kept: the last one, and one more in case it is damaged.
const KEPT: usize = 2;
/// Most records that are looked through for the last one that counts.
const LOOK_BACK: u64 = 4_096;
/// How the name of a snapshot ends.
const SNAPSHOT: &str = "snapshot";
/// How the name of one ends that is being written.
const UNFINISHED: &str = "unfinished";
/// After how many records of the journal a snapshot is written beside the work, usually.
pub const EVERY: u64 = 1_000_000;

/// Where snapshots are kept, and which ones may be used.
#[derive(Debug, Clone)]
pub struct Snapshots {
    folder: PathBuf,
    build: String,
    every: u64,
}

/// Why a snapshot was not written.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The file was not written.
    #[error("a snapshot was not written")]
    File(#[from] io::Error),
    /// The journal does not answer.
    #[error("the journal cannot be read for a snapshot")]
    Journal(#[from] JournalError),
}

impl Snapshots {
    /// Names their folder. `build` names this build: snapshots of others are not used. One is written
    /// after `every` so many records.
    pub fn new(folder: PathBuf, build: &str, every: u64) -> Self {
        Self { folder, build: format!("{build}, rules {RULES}"), every: every.max(1) }
    }

    /// Gives a reader and the state where it stands, from the newest snapshot that proves itself.
    pub(super) fn load(
        &self,
        journal: &dyn Journal,
        partition: Partition,
    ) -> Option<(Chain, PartitionState)> {
        for path in self.of(partition) {
            match self.read(journal, partition, &path) {
                Ok((at, state)) => {
                    tracing::info!(partition = partition.0, seq = at.seq, "begins from a snapshot");
                    return Some((Chain::from(at), state));
                }
                Err(refused) => tracing::warn!(
                    partition = partition.0,
                    path = %path.display(),
                    why = %refused,
                    "a snapshot is not used: what it has is read from the journal"
                ),
            }
        }
        None
    }

    fn read(
        &self,
        journal: &dyn Journal,
        partition: Partition,
        path: &Path,
    ) -> Result<(Checkpoint, PartitionState), Refused> {
        let bytes = fs::read(path).map_err(Refused::Unread)?;
        let (header, state) = file::read(&bytes)?;
        let ours = self.header(journal, partition, header.at, header.last);
        if header != ours {
            return Err(Refused::Foreign(format!("{header:?}")));
        }
        let bounds = journal.bounds(partition).map_err(Refused::Journal)?;
        let last = journal.read(partition, header.last.0, 1, 1).map_err(Refused::Journal)?;
        let is_there = last.first().is_some_and(|stored| {
            stored.offset == header.last.0 && header.last.1.rolled(&stored.record) == header.at.head
        });
        if header.at.offset > bounds.end || header.at.offset <= header.last.0 || !is_there {
            return Err(Refused::OtherJournal);
        }
        Ok((header.at, state::unpack(state)?))
    }

    /// Writes the state of a partition, where `chain` stands. Nothing when nothing was judged since
    /// the reader began.
    ///
    /// # Errors
    /// [`SnapshotError`]; what was there before is still there.
    pub(super) fn save(
        &self,
        journal: &dyn Journal,
        partition: Partition,
        chain: &Chain,
        state: &PartitionState,
    ) -> Result<(), SnapshotError> {
        let Some(before) = chain.head_before() else { return Ok(()) };
        let at = chain.checkpoint();
        let Some(last) = last_counting(journal, partition, at, before)? else { return Ok(()) };
        fs::create_dir_all(&self.folder)?;
        let header = self.header(journal, partition, at, (last, before));
        let name = format!("{}-{:020}", partition.0, at.seq);
        let unfinished = self.folder.join(format!("{name}.{UNFINISHED}"));
        let path = self.folder.join(format!("{name}.{SNAPSHOT}"));
        file::write(&unfinished, &header, |out| state::pack(state, out))?;
        fs::rename(&unfinished, &path)?;
        File::open(&self.folder)?.sync_all()?;
        tracing::info!(partition = partition.0, seq = at.seq, "a snapshot was written");
        self.forget_older(partition)?;
        Ok(())
    }

    /// Gives the offset up to which the newest snapshot of a partition reaches, without reading it.
    pub(super) fn reach(&self, partition: Partition) -> Offset {
        let newest = self.of(partition).into_iter().next();
        newest.and_then(|path| file::reach(&path)).unwrap_or(0)
    }

    fn header(
        &self,
        journal: &dyn Journal,
        partition: Partition,
        at: Checkpoint,
        last: (Offset, Head),
    ) -> Header {
        Header {
            build: self.build.clone(),
            hash: super::memory::probe(),
            partition,
            partitions: journal.partitions(),
            at,
            last,
        }
    }

    /// Gives the snapshots of a partition, the newest first.
    fn of(&self, partition: Partition) -> Vec<PathBuf> {
        let prefix = format!("{}-", partition.0);
        let ours = |path: &PathBuf| {
            let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
            name.starts_with(&prefix) && path.extension() == Some(OsStr::new(SNAPSHOT))
        };
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let mut paths: Vec<PathBuf> =
            entries.filter_map(|entry| Some(entry.ok()?.path())).filter(ours).collect();
        paths.sort_unstable_by(|one, other| other.cmp(one));
        paths
    }

    fn forget_older(&self, partition: Partition) -> io::Result<()> {
        self.of(partition).into_iter().skip(KEPT).try_for_each(fs::remove_file)
    }
}

/// Finds the last record that counts before a place: `before` is the head that it continues.
fn last_counting(
    journal: &dyn Journal,
    partition: Partition,
    at: Checkpoint,
    before: Head,
) -> Result<Option<Offset>, JournalError> {
    for offset in (at.offset.saturating_sub(LOOK_BACK)..at.offset).rev() {
        let stored = journal.read(partition, offset, 1, 1)?;
        if stored.first().is_some_and(|stored| {
            stored.offset == offset && before.rolled(&stored.record) == at.head
        }) {
            return Ok(Some(offset));
        }
    }
    Ok(None)
}
