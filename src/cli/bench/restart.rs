//! How long does a restart take that begins from snapshots? Beside the floor: reading their files and
//! making their checksums.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::kept::Kept;
use super::{PATIENCE, digest_of, start};
use crate::processor::Snapshots;
use crate::processor::snapshot::EVERY;

/// What was measured.
#[derive(Debug, Serialize)]
pub(super) struct Restart {
    /// Bytes of the snapshots.
    bytes: u64,
    /// Stopping a processor, which writes them.
    write_seconds: f64,
    /// From opening the journal to owning all partitions.
    seconds: f64,
    /// Reading the files and making their checksums, side by side.
    floor_seconds: f64,
    /// `seconds` by `floor_seconds`.
    ratio: f64,
}

/// Lets a processor write snapshots, and another one begin from them.
///
/// # Errors
/// When the state is then another one.
#[expect(clippy::float_arithmetic, reason = "rates for people, no money")]
pub(super) fn measure(kept: Kept, folder: &Path, digest: &str) -> anyhow::Result<(Kept, Restart)> {
    let folder = folder.join("snapshots");
    let snapshots = Snapshots::new(folder.clone(), "bench", EVERY);
    let writing = start(&kept.journal, "bench, writing", Some(snapshots.clone()))?;
    let began = Instant::now();
    writing.stop(PATIENCE);
    let write_seconds = began.elapsed().as_secs_f64();
    let kept = kept.reopen()?;
    let began = Instant::now();
    let bytes = read_all(&folder)?;
    let floor_seconds = began.elapsed().as_secs_f64();
    let began = Instant::now();
    let kept = kept.reopen()?;
    let restarted = start(&kept.journal, "bench, from snapshots", Some(snapshots))?;
    let seconds = began.elapsed().as_secs_f64();
    let restarted = digest_of(&restarted.stop(PATIENCE));
    ensure!(restarted == digest, "a start from snapshots gives another state: it is void");
    let ratio = seconds / floor_seconds;
    Ok((kept, Restart { bytes, write_seconds, seconds, floor_seconds, ratio }))
}

/// Reads all files of a folder, a thread for each.
fn read_all(folder: &Path) -> anyhow::Result<u64> {
    let entries = std::fs::read_dir(folder).context("there are no snapshots")?;
    let paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    std::thread::scope(|scope| {
        let read = |path| {
            scope.spawn(move || -> anyhow::Result<u64> {
                let bytes = std::fs::read(path)?;
                std::hint::black_box(Sha256::digest(&bytes));
                Ok(u64::try_from(bytes.len())?)
            })
        };
        let threads: Vec<_> = paths.iter().map(read).collect();
        let done = threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow::anyhow!("a file was not read"))?);
        done.sum()
    })
}
