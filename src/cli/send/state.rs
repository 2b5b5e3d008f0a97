//! How far a run has come, in a file: the same command line goes on from there.
//!
//! All lines before the mark were answered. Lines after it are sent again; their command ids are the
//! same, so what was decided already is answered from memory.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::tally::Tally;
use crate::cli::exit::Conflict;

/// How many bytes of the input tell one file from another.
const HEAD_BYTES: u64 = 64 * 1024;

/// What the file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// Format.
    v: u32,
    /// The run: ids of commands are made of it.
    pub(super) run: Uuid,
    /// What tells the input apart; none for standard input.
    input: Option<InputHead>,
    /// All lines up to this one were answered.
    pub(super) lines: u64,
    /// How.
    pub(super) tally: Tally,
}

/// The first bytes of an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct InputHead {
    bytes: u64,
    sha256: String,
}

/// The file. It exists from before the first command is sent until all were answered.
#[derive(Debug)]
pub(super) struct StateFile {
    path: PathBuf,
    state: State,
}

impl StateFile {
    /// Goes on with the run whose file is at `path`, or begins `new_run` and makes the file.
    ///
    /// # Errors
    /// [`Conflict`] when the file belongs to another input; errors of reading and writing.
    pub(super) fn open(path: &Path, input: Option<&Path>, new_run: Uuid) -> anyhow::Result<Self> {
        let cannot = || format!("cannot use {} to resume", path.display());
        match std::fs::read(path) {
            Ok(text) => {
                let state: State = serde_json::from_slice(&text).with_context(cannot)?;
                let same = match (&state.input, input) {
                    (Some(head), Some(input)) => head_of(input, head.bytes)? == *head,
                    (None, None) => true,
                    (Some(_), None) | (None, Some(_)) => false,
                };
                if state.v != 1 || !same {
                    return Err(Conflict(format!(
                        "{} belongs to a run with another input: remove it to begin anew",
                        path.display()
                    ))
                    .into());
                }
                Ok(Self { path: path.to_owned(), state })
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let input = input.map(|input| head_of(input, HEAD_BYTES)).transpose()?;
                let state = State { v: 1, run: new_run, input, lines: 0, tally: Tally::default() };
                let file = Self { path: path.to_owned(), state };
                file.write().with_context(cannot)?;
                Ok(file)
            }
            Err(error) => Err(error).with_context(cannot),
        }
    }

    /// Gives what the file holds.
    pub(super) const fn state(&self) -> &State {
        &self.state
    }

    /// Moves the mark.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn save(&mut self, lines: u64, tally: &Tally) -> anyhow::Result<()> {
        self.state.lines = lines;
        self.state.tally = tally.clone();
        self.write().with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Removes the file: all is done.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub(super) fn remove(self) -> anyhow::Result<()> {
        std::fs::remove_file(&self.path)
            .with_context(|| format!("cannot remove {}", self.path.display()))
    }

    /// Writes the file so that a crash leaves the old one or the new one.
    fn write(&self) -> std::io::Result<()> {
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        let mut file = File::create(&name)?;
        file.write_all(&serde_json::to_vec(&self.state)?)?;
        file.sync_all()?;
        std::fs::rename(&name, &self.path)
    }
}

fn head_of(input: &Path, bytes: u64) -> anyhow::Result<InputHead> {
    let cannot = || format!("cannot read {}", input.display());
    let mut head = Vec::new();
    File::open(input)
        .and_then(|file| file.take(bytes).read_to_end(&mut head))
        .with_context(cannot)?;
    let sha256 = Sha256::digest(&head)
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    Ok(InputHead { bytes: head.len() as u64, sha256 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_goes_on_where_it_was_with_the_same_ids() {
        let folder = tempfile::tempdir().unwrap();
        let (input, path) = (folder.path().join("in"), folder.path().join("state"));
        std::fs::write(&input, "one\ntwo\n").unwrap();
        let run = Uuid::from_u128(1);
        let mut first = StateFile::open(&path, Some(&input), run).unwrap();
        let tally = Tally { accepted: 1, ..Tally::default() };
        first.save(1, &tally).unwrap();
        // An input that grew is the same input.
        std::fs::write(&input, "one\ntwo\nthree\n").unwrap();
        let again = StateFile::open(&path, Some(&input), Uuid::from_u128(2)).unwrap();
        assert_eq!((again.state().run, again.state().lines), (run, 1));
        assert_eq!(again.state().tally, tally);
        again.remove().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn another_input_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (input, path) = (folder.path().join("in"), folder.path().join("state"));
        std::fs::write(&input, "one\n").unwrap();
        StateFile::open(&path, Some(&input), Uuid::from_u128(1)).unwrap();
        std::fs::write(&input, "other\n").unwrap();
        for other in [Some(&*input), None] {
            let error = StateFile::open(&path, other, Uuid::from_u128(1)).unwrap_err();
            assert!(error.is::<Conflict>(), "{error:#}");
        }
    }
}
