//! The journal of a run: where it is kept, and the floor that it is measured against.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tallybook_events::chain::Offset;
use tallybook_events::ids::Partition;

use crate::journal::adversarial::{AdversarialJournal, Mischief};
use crate::journal::memory::MemoryJournal;
use crate::journal::sqlite::{self, Options, SqliteJournal};
use crate::journal::{Journal, Stored};

/// Where decisions are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum JournalKind {
    /// In a file, as `serve` keeps them.
    Sqlite,
    /// In memory.
    Memory,
    /// In memory, where appends are lost, late, repeated and re-ordered, and rivals claim the partitions.
    Adversarial,
}

impl JournalKind {
    /// Gives the name, and what an answer promises.
    pub(super) const fn labels(self) -> (&'static str, &'static str) {
        match self {
            Self::Sqlite => ("sqlite", "fsync-per-ack"),
            Self::Memory => ("memory", "none"),
            Self::Adversarial => ("adversarial", "none"),
        }
    }
}

/// Mischief for a long run: repeats and lost answers an owner gets over by reading; for the rest, so
/// few in a million, it begins its partition anew.
const MISCHIEF: Mischief = Mischief {
    repeated: 2_000,
    unknown: 50,
    lost: 2,
    delayed: 4,
    swapped: 2,
    late_answers: 500_000,
    max_delay: 8,
};
/// Most records that are read at once.
const READ_RECORDS: usize = 16_384;
/// Most bytes that are read at once.
const READ_BYTES: usize = 32 << 20;

/// Records that the journal alone is handed at a time.
const HANDED_OVER: usize = 1_024;
/// How long a delivery may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// What the same records took otherwise.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Floors {
    /// The bare library.
    pub(super) bare: Duration,
    /// The journal, with nothing around it.
    pub(super) alone: Duration,
}

/// The journal of a run.
pub(super) struct Kept {
    pub(super) journal: Arc<dyn Journal>,
    sqlite: Option<Arc<SqliteJournal>>,
    folder: PathBuf,
    partitions: u32,
}

impl Kept {
    /// Opens an empty journal.
    ///
    /// # Errors
    /// When the folder has a journal already, or cannot be used.
    pub(super) fn open(
        kind: JournalKind,
        folder: &Path,
        partitions: u32,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let (journal, sqlite): (Arc<dyn Journal>, _) = match kind {
            JournalKind::Memory => (Arc::new(MemoryJournal::new(partitions)), None),
            JournalKind::Adversarial => {
                let journal = AdversarialJournal::new(partitions, seed, MISCHIEF);
                (Arc::new(journal.pumped(Duration::from_millis(1))), None)
            }
            JournalKind::Sqlite => {
                let fresh = !folder.join(sqlite::FILE).exists();
                ensure!(
                    fresh,
                    "there is a journal in {} already: a run wants an empty folder",
                    folder.display()
                );
                let journal = Arc::new(open_file(folder, Some(partitions))?);
                (Arc::clone(&journal) as Arc<dyn Journal>, Some(journal))
            }
        };
        Ok(Self { journal, sqlite, folder: folder.to_owned(), partitions })
    }

    /// Closes the journal and opens it again, as a restart does. One in memory stays as it is.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(super) fn reopen(self) -> anyhow::Result<Self> {
        let Self { journal, sqlite, folder, partitions } = self;
        let Some(sqlite) = sqlite else {
            return Ok(Self { journal, sqlite: None, folder, partitions });
        };
        drop(journal);
        ensure!(Arc::into_inner(sqlite).is_some(), "the journal is still in use");
        let journal = Arc::new(open_file(&folder, None)?);
        Ok(Self {
            journal: Arc::clone(&journal) as Arc<dyn Journal>,
            sqlite: Some(journal),
            folder,
            partitions,
        })
    }

    /// Gives where each partition ends.
    ///
    /// # Errors
    /// When the journal does not answer.
    pub(super) fn ends(&self) -> anyhow::Result<Vec<(Partition, Offset)>> {
        (0..self.partitions).map(Partition).map(|p| Ok((p, self.journal.bounds(p)?.end))).collect()
    }

    /// Gives how many transactions were made so far.
    pub(super) fn commits(&self) -> u64 {
        self.sqlite.as_ref().map_or(0, |journal| journal.commits().commits)
    }

    /// Measures the floor, the bare library inserting the records written since `from` into a file of its
    /// own with as many transactions, and the journal alone, taking the same records with many in flight.
    /// Nothing for a journal in memory.
    ///
    /// # Errors
    /// When the journal cannot be read or a file not be written.
    pub(super) fn floor(
        &self,
        from: &[(Partition, Offset)],
        commits: u64,
    ) -> anyhow::Result<Option<Floors>> {
        if self.sqlite.is_none() {
            return Ok(None);
        }
        let records = self.since(from)?;
        let alone = self.alone(&records)?;
        let per_commit = u64::try_from(records.len())?.div_ceil(commits.max(1)).max(1);
        let folder = tempfile::tempdir_in(&self.folder)?;
        let path = folder.path().join("floor.db");
        let per_commit = usize::try_from(per_commit)?;
        let bare = sqlite::floor::insert(&path, self.partitions, records, per_commit)
            .context("measuring the floor")?;
        Ok(Some(Floors { bare: bare.elapsed, alone }))
    }

    /// Appends records to an empty journal of the same kind and waits until all are delivered.
    fn alone(&self, records: &[(Partition, bytes::Bytes)]) -> anyhow::Result<Duration> {
        let folder = tempfile::tempdir_in(&self.folder)?;
        let journal = open_file(folder.path(), Some(self.partitions))?;
        let (told, delivered) = std::sync::mpsc::channel();
        let mut appenders = Vec::new();
        for partition in (0..self.partitions).map(Partition) {
            let told = told.clone();
            // Nobody listens any more once all are counted.
            let sink = Box::new(move |deliveries: Vec<_>| {
                let _ = told.send(deliveries.len());
            });
            appenders.push((partition, journal.appender(partition, sink)?));
        }
        let began = Instant::now();
        for batch in records.chunks(HANDED_OVER) {
            for (partition, appender) in &mut appenders {
                let of_it = batch.iter().filter(|(of, _)| of == partition);
                appender.append(of_it.map(|(_, record)| record.clone()).collect())?;
            }
        }
        let mut missing = records.len();
        while missing > 0 {
            let count = delivered.recv_timeout(PATIENCE).context("the journal does not deliver")?;
            missing = missing.saturating_sub(count);
        }
        Ok(began.elapsed())
    }

    /// Reads the records written since `from`, the partitions taking turns as they did.
    fn since(
        &self,
        from: &[(Partition, Offset)],
    ) -> anyhow::Result<Vec<(Partition, bytes::Bytes)>> {
        let mut by_partition = Vec::new();
        for (partition, from) in from {
            let end = self.journal.bounds(*partition)?.end;
            let mut stored: Vec<Stored> = Vec::new();
            let mut next = *from;
            while next < end {
                let more = self.journal.read(*partition, next, READ_RECORDS, READ_BYTES)?;
                next = more.last().map_or(end, |last| last.offset + 1);
                stored.extend(more);
            }
            by_partition.push((*partition, stored.into_iter()));
        }
        let mut records = Vec::new();
        loop {
            let before = records.len();
            for (partition, stored) in &mut by_partition {
                records.extend(stored.next().map(|stored| (*partition, stored.record)));
            }
            if records.len() == before {
                return Ok(records);
            }
        }
    }
}

/// Opens the journal in a folder.
///
/// # Errors
/// When it cannot be opened.
pub(super) fn open_file(folder: &Path, partitions: Option<u32>) -> anyhow::Result<SqliteJournal> {
    let options = Options { partitions, ..Options::default() };
    let fatal = Box::new(|error| tracing::error!("the journal cannot be written: {error}"));
    SqliteJournal::open(folder, &options, fatal).context("opening the journal")
}
