//! The form of a snapshot's file: what it is (a line of JSON), the state, and SHA-256 over all of that.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tallybook_events::chain::{Checkpoint, Head, Offset};
use tallybook_events::ids::Partition;

use crate::decisions::Unpackable;
use crate::journal::JournalError;

/// Bytes of the checksum.
const CHECKSUM: usize = 32;
/// Bytes that are written at a time.
const BUFFER: usize = 1 << 20;
/// Longest header.
const MAX_HEADER: u64 = 4_096;

/// What a snapshot is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    /// The build that wrote it.
    pub(super) build: String,
    /// What that build made of a fixed id: hashes of ids are part of the state.
    pub(super) hash: u64,
    /// The partition.
    pub(super) partition: Partition,
    /// How many the journal has.
    pub(super) partitions: u32,
    /// Where it stands.
    pub(super) at: Checkpoint,
    /// Where the last record lies that counts, and the head that it continues.
    pub(super) last: (Offset, Head),
}

/// Why a snapshot is not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("it cannot be read: {0}")]
    Unread(#[source] io::Error),
    #[error("it is torn or damaged")]
    Damaged,
    #[error("it is of another build, or of another partition: {0}")]
    Foreign(String),
    #[error("it is of another journal, or ahead of this one")]
    OtherJournal,
    #[error("the journal cannot be asked: {0}")]
    Journal(#[source] JournalError),
}

impl From<Unpackable> for Refused {
    fn from(_: Unpackable) -> Self {
        Self::Damaged
    }
}

/// Gives what a snapshot is, and its state; only when it is whole.
pub(super) fn read(bytes: &[u8]) -> Result<(Header, &[u8]), Refused> {
    let end = bytes.len().checked_sub(CHECKSUM).ok_or(Refused::Damaged)?;
    let (said, checksum) = bytes.split_at(end);
    if Sha256::digest(said).as_slice() != checksum {
        return Err(Refused::Damaged);
    }
    let line = said.iter().position(|byte| *byte == b'\n').ok_or(Refused::Damaged)?;
    let header = serde_json::from_slice(&said[..line]).map_err(|_| Refused::Damaged)?;
    Ok((header, &said[line + 1..]))
}

/// Gives the offset up to which a snapshot says that it reaches. It is not proven.
pub(super) fn reach(path: &Path) -> Option<Offset> {
    let mut line = String::new();
    BufReader::new(File::open(path).ok()?.take(MAX_HEADER)).read_line(&mut line).ok()?;
    let header: Header = serde_json::from_str(&line).ok()?;
    Some(header.at.offset)
}

/// Writes a snapshot, and waits until it is on the disk.
pub(super) fn write(
    path: &Path,
    header: &Header,
    state: impl FnOnce(&mut Out) -> io::Result<()>,
) -> io::Result<()> {
    let file = BufWriter::with_capacity(BUFFER, File::create(path)?);
    let mut out = Out { file, hash: Sha256::new() };
    out.write_all(&serde_json::to_vec(header)?)?;
    out.write_all(b"\n")?;
    state(&mut out)?;
    let Out { mut file, hash } = out;
    file.write_all(&hash.finalize())?;
    file.flush()?;
    file.get_ref().sync_all()
}

/// A file that is hashed while it is written.
pub(super) struct Out {
    file: BufWriter<File>,
    hash: Sha256,
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
