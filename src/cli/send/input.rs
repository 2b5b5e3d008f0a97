//! The input, line by line, on a thread of its own.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use anyhow::Context as _;
use tokio::sync::mpsc;

use super::line::MAX_LINE_BYTES;

/// Most lines that are read ahead.
const READ_AHEAD: usize = 1_024;

/// A line as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawLine {
    /// Its number, from 1.
    pub(super) number: u64,
    /// Its bytes; of one that is too long, its beginning.
    pub(super) text: Vec<u8>,
    /// How many bytes of the input it took.
    pub(super) bytes: u64,
}

/// Opens the input (`-` is standard input) and reads it ahead.
///
/// # Errors
/// When the file cannot be opened.
pub(super) fn open(path: &Path) -> anyhow::Result<mpsc::Receiver<io::Result<RawLine>>> {
    let input: Box<dyn BufRead + Send> = if path == Path::new("-") {
        Box::new(BufReader::new(io::stdin()))
    } else {
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        Box::new(BufReader::new(file))
    };
    let (sender, receiver) = mpsc::channel(READ_AHEAD);
    // Not joined: it may wait for a terminal's input when all else has ended.
    std::thread::Builder::new()
        .name("input".into())
        .spawn(move || read(input, &sender))
        .context("cannot start a thread")?;
    Ok(receiver)
}

fn read(mut input: impl BufRead, lines: &mpsc::Sender<io::Result<RawLine>>) {
    let mut number = 0;
    loop {
        let line = match next_line(&mut input) {
            Ok((_, 0)) => return,
            Ok((text, bytes)) => {
                number += 1;
                Ok(RawLine { number, text, bytes })
            }
            Err(error) => Err(error),
        };
        let failed = line.is_err();
        if lines.blocking_send(line).is_err() || failed {
            return;
        }
    }
}

/// Reads a line, with its end: its first bytes, and how many it took from the input.
fn next_line(input: &mut impl BufRead) -> io::Result<(Vec<u8>, u64)> {
    let limit = MAX_LINE_BYTES + 2;
    let mut text = Vec::new();
    let mut bytes = input.by_ref().take(limit as u64).read_until(b'\n', &mut text)? as u64;
    if text.len() == limit && text.last() != Some(&b'\n') {
        bytes += skip_to_end_of_line(input)?;
    }
    Ok((text, bytes))
}

fn skip_to_end_of_line(input: &mut impl BufRead) -> io::Result<u64> {
    let mut skipped = 0;
    loop {
        let buffer = input.fill_buf()?;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(buffer.len(), |at| at + 1);
        input.consume(used);
        skipped += used as u64;
        if end.is_some() || used == 0 {
            return Ok(skipped);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_and_too_long_ones_are_cut() {
        let long = "x".repeat(MAX_LINE_BYTES * 3);
        let text = format!("one\n\n{long}\nlast");
        let (sender, mut receiver) = mpsc::channel(10);
        read(text.as_bytes(), &sender);
        let mut seen = Vec::new();
        while let Ok(line) = receiver.try_recv() {
            let line = line.unwrap();
            seen.push((line.number, line.text.len(), line.bytes));
        }
        let cut = MAX_LINE_BYTES + 2;
        assert_eq!(seen, [(1, 4, 4), (2, 1, 1), (3, cut, long.len() as u64 + 1), (4, 4, 4)]);
    }
}
