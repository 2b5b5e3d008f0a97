//! What a disk can hold after the power went: made of a record of writes, truncations, names and syncs
//! (see `tests/power/shim.c`).
//!
//! On disk is what was there before the record began, and all that a sync had covered whose end was
//! recorded before the cut. Of all else any part may be there, in sectors, as if in any order. Names
//! (files made, renamed, removed) are on disk when their folder was synced; after that any first part
//! of the changes may be.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use crate::load::Seeded;

/// Bytes that a disk writes whole or not at all.
const SECTOR: u64 = 512;

/// One recorded operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation {
    /// A file that was there was opened under its name.
    Found { file: u64, name: String },
    /// A file was made.
    Made { file: u64, name: String },
    /// Bytes were written.
    Written { file: u64, offset: u64, bytes: Vec<u8> },
    /// A file was cut or made longer.
    Truncated { file: u64, length: u64 },
    /// A sync of a file, or of the folder (file 1), began.
    SyncBegan { sync: u64, file: u64 },
    /// It ended well.
    SyncEnded { sync: u64 },
    /// A file got another name.
    Renamed { old: String, new: String },
    /// A name was removed.
    Removed { name: String },
    /// Something was done that the record does not hold.
    NotUnderstood { what: String },
}

/// The folder's own number.
const FOLDER: u64 = 1;

/// A whole record: operations, each with the length of the record up to its end.
#[derive(Debug)]
pub(crate) struct Record {
    /// Files before the record began.
    pub(crate) before: BTreeMap<String, Vec<u8>>,
    /// What was done, in order.
    pub(crate) operations: Vec<(u64, Operation)>,
}

/// How much the disk had taken of what no sync had covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Luck {
    /// Nothing.
    None,
    /// All.
    All,
    /// Of every sector so many per cent.
    Some(u64),
}

/// Whether syncs count. Without them the test must find losses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syncs {
    /// They do.
    Kept,
    /// The disk lies: it says that it is done and is not.
    Ignored,
}

/// Reads the files of a folder, but no folders in it: snapshots are but a cache.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).expect("the folder can be listed");
    entries
        .map(|entry| entry.expect("an entry"))
        .filter(|entry| entry.path().is_file())
        .map(|entry| {
            let name = entry.file_name().into_string().expect("a name in UTF-8");
            (name, std::fs::read(entry.path()).expect("a file can be read"))
        })
        .collect()
}

impl Record {
    /// Reads a record from its bytes. Its end may be torn: the process was killed.
    pub(crate) fn read(before: BTreeMap<String, Vec<u8>>, bytes: &[u8]) -> Self {
        let mut operations = Vec::new();
        let mut at = 0;
        while let Some(head) = bytes.get(at..at + 4) {
            let length = u32::from_le_bytes(head.try_into().expect("four bytes")) as usize;
            let Some(entry) = bytes.get(at + 4..at + 4 + length) else { break };
            at += 4 + length;
            operations.push((at as u64, operation(entry)));
        }
        Self { before, operations }
    }

    /// Gives what was seen of a kind: a record without it shows nothing.
    pub(crate) fn count(&self, is: impl Fn(&Operation) -> bool) -> usize {
        self.operations.iter().filter(|(_, operation)| is(operation)).count()
    }

    /// Makes what the disk could hold when the power went at a length of the record.
    pub(crate) fn image(
        &self,
        cut: u64,
        luck: Luck,
        syncs: Syncs,
        random: &mut Seeded,
    ) -> BTreeMap<String, Vec<u8>> {
        let end = self.operations.partition_point(|(at, _)| *at <= cut);
        let done = &self.operations[..end];
        let synced = synced(done, syncs);
        let names = self.names(done, synced.get(&FOLDER).copied().unwrap_or(0), luck, random);
        let mut contents: HashMap<u64, Vec<u8>> = HashMap::new();
        for (place, (_, operation)) in done.iter().enumerate() {
            let durable = |file: &u64| synced.get(file).is_some_and(|until| place < *until);
            match operation {
                Operation::Found { file, name } => {
                    let before = self.before.get(name).cloned().unwrap_or_default();
                    contents.insert(*file, before);
                }
                Operation::Written { file, offset, bytes } => {
                    let content = contents.entry(*file).or_default();
                    let luck = if durable(file) { Luck::All } else { luck };
                    write(content, *offset, bytes, luck, random);
                }
                Operation::Truncated { file, length } => {
                    if durable(file) || lucky(luck, random) {
                        let length = usize::try_from(*length).expect("a length fits");
                        contents.entry(*file).or_default().resize(length, 0);
                    }
                }
                Operation::Made { .. }
                | Operation::SyncBegan { .. }
                | Operation::SyncEnded { .. }
                | Operation::Renamed { .. }
                | Operation::Removed { .. }
                | Operation::NotUnderstood { .. } => {}
            }
        }
        names
            .into_iter()
            .map(|(name, file)| {
                let before = || self.before.get(&name).cloned().unwrap_or_default();
                let content =
                    file.map_or_else(before, |file| contents.remove(&file).unwrap_or_default());
                (name, content)
            })
            .collect()
    }

    /// Gives the names on disk, each with its file; none for one that was never opened.
    fn names(
        &self,
        done: &[(u64, Operation)],
        synced: usize,
        luck: Luck,
        random: &mut Seeded,
    ) -> BTreeMap<String, Option<u64>> {
        let mut names: BTreeMap<String, Option<u64>> =
            self.before.keys().map(|name| (name.clone(), None)).collect();
        let mut lucky_so_far = true;
        for (place, (_, operation)) in done.iter().enumerate() {
            if let Operation::Found { file, name } = operation {
                // No change of the folder: the name was there.
                if let Some(known) = names.get_mut(name) {
                    *known = Some(*file);
                }
                continue;
            }
            let changes = matches!(
                operation,
                Operation::Made { .. } | Operation::Renamed { .. } | Operation::Removed { .. }
            );
            if !changes {
                continue;
            }
            lucky_so_far = place < synced || lucky_so_far && lucky(luck, random);
            if !lucky_so_far {
                break;
            }
            match operation {
                Operation::Made { file, name } => drop(names.insert(name.clone(), Some(*file))),
                Operation::Renamed { old, new } => {
                    let file = names.remove(old).flatten();
                    names.insert(new.clone(), file);
                }
                Operation::Removed { name } => drop(names.remove(name)),
                Operation::Found { .. }
                | Operation::Written { .. }
                | Operation::Truncated { .. }
                | Operation::SyncBegan { .. }
                | Operation::SyncEnded { .. }
                | Operation::NotUnderstood { .. } => {}
            }
        }
        names
    }
}

/// Gives, for each file, the place in the record before which all that was done to it is on disk.
fn synced(done: &[(u64, Operation)], syncs: Syncs) -> HashMap<u64, usize> {
    let mut synced = HashMap::new();
    if syncs == Syncs::Ignored {
        return synced;
    }
    let ended: BTreeSet<u64> =
        done.iter()
            .filter_map(|(_, operation)| {
                if let Operation::SyncEnded { sync } = operation { Some(*sync) } else { None }
            })
            .collect();
    for (place, (_, operation)) in done.iter().enumerate() {
        if let Operation::SyncBegan { sync, file } = operation
            && ended.contains(sync)
        {
            synced.insert(*file, place);
        }
    }
    synced
}

fn lucky(luck: Luck, random: &mut Seeded) -> bool {
    match luck {
        Luck::None => false,
        Luck::All => true,
        Luck::Some(percent) => random.chance(percent),
    }
}

/// Writes the sectors that the disk had taken. A file may have grown without its bytes.
fn write(content: &mut Vec<u8>, offset: u64, bytes: &[u8], luck: Luck, random: &mut Seeded) {
    let place = |at: u64| usize::try_from(at).expect("a file fits into memory");
    let end = offset + bytes.len() as u64;
    let mut at = offset;
    while at < end {
        let next = ((at / SECTOR + 1) * SECTOR).min(end);
        let (taken, grown) = (lucky(luck, random), lucky(luck, random));
        if (taken || grown) && content.len() < place(next) {
            content.resize(place(next), 0);
        }
        if taken {
            let part = &bytes[place(at - offset)..place(next - offset)];
            content[place(at)..place(next)].copy_from_slice(part);
        }
        at = next;
    }
}

fn operation(entry: &[u8]) -> Operation {
    let number = |at: usize| u64::from_le_bytes(entry[at..at + 8].try_into().expect("eight bytes"));
    let (file, number, bytes) = (number(1), number(9), &entry[17..]);
    let name = String::from_utf8_lossy(bytes).into_owned();
    match entry[0] {
        b'N' => Operation::Made { file, name },
        b'O' => Operation::Found { file, name },
        b'W' => Operation::Written { file, offset: number, bytes: bytes.to_vec() },
        b'T' => Operation::Truncated { file, length: number },
        b'S' | b'D' => Operation::SyncBegan { sync: number, file },
        b's' | b'd' => Operation::SyncEnded { sync: number },
        b'U' => Operation::Removed { name },
        b'R' => {
            let (old, new) = name.split_once('\0').expect("two names");
            Operation::Renamed { old: old.to_owned(), new: new.to_owned() }
        }
        _ => Operation::NotUnderstood { what: name },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(file: u64, offset: u64, bytes: &[u8]) -> Operation {
        Operation::Written { file, offset, bytes: bytes.to_vec() }
    }

    fn record(operations: Vec<Operation>) -> Record {
        let before = BTreeMap::from([("old".to_owned(), b"before".to_vec())]);
        Record { before, operations: (1..).zip(operations).collect() }
    }

    fn image(record: &Record, cut: u64, luck: Luck) -> Vec<(String, Vec<u8>)> {
        let image = record.image(cut, luck, Syncs::Kept, &mut Seeded::new(1));
        image.into_iter().collect()
    }

    fn is(name: &str, content: &[u8]) -> (String, Vec<u8>) {
        (name.to_owned(), content.to_vec())
    }

    #[test]
    fn only_what_was_written_before_a_sync_began_is_sure_to_be_there_once_it_has_ended() {
        let record = record(vec![
            Operation::Found { file: 2, name: "old".to_owned() },
            written(2, 0, b"AB"),
            Operation::SyncBegan { sync: 1, file: 2 },
            written(2, 2, b"CD"),
            Operation::SyncEnded { sync: 1 },
            Operation::Truncated { file: 2, length: 5 },
        ]);
        for (cut, none, all) in [
            (1, "before", "before"),
            (2, "before", "ABfore"),
            (4, "before", "ABCDre"),
            (5, "ABfore", "ABCDre"),
            (6, "ABfore", "ABCDr"),
        ] {
            assert_eq!(image(&record, cut, Luck::None), [is("old", none.as_bytes())], "{cut}");
            assert_eq!(image(&record, cut, Luck::All), [is("old", all.as_bytes())], "{cut}");
        }
        let lied = record.image(6, Luck::None, Syncs::Ignored, &mut Seeded::new(1));
        assert_eq!(lied["old"], b"before");
    }

    #[test]
    fn names_are_there_once_their_folder_was_synced() {
        let record = record(vec![
            Operation::Made { file: 2, name: "new".to_owned() },
            written(2, 0, b"x"),
            Operation::SyncBegan { sync: 1, file: 2 },
            Operation::SyncEnded { sync: 1 },
            Operation::SyncBegan { sync: 2, file: FOLDER },
            Operation::SyncEnded { sync: 2 },
            Operation::Renamed { old: "new".to_owned(), new: "newer".to_owned() },
            Operation::Removed { name: "old".to_owned() },
        ]);
        assert_eq!(image(&record, 5, Luck::None), [is("old", b"before")]);
        assert_eq!(image(&record, 6, Luck::None), [is("new", b"x"), is("old", b"before")]);
        assert_eq!(image(&record, 8, Luck::None), [is("new", b"x"), is("old", b"before")]);
        assert_eq!(image(&record, 8, Luck::All), [is("newer", b"x")]);
    }

    #[test]
    fn a_write_can_be_torn_between_sectors_and_nowhere_else() {
        let record = record(vec![
            Operation::Found { file: 2, name: "old".to_owned() },
            written(2, 256, &[7; 1_536]),
        ]);
        let mut seen = BTreeSet::new();
        let mut random = Seeded::new(1);
        for _ in 0..1_000 {
            let image = record.image(2, Luck::Some(50), Syncs::Kept, &mut random);
            let content = &image["old"];
            assert_eq!(&content[..6], b"before");
            // By sector: whether it is there, as a whole or not at all.
            let there: Vec<bool> = [256..512, 512..1_024, 1_024..1_536, 1_536..1_792]
                .map(|sector| {
                    let sector = content.get(sector).unwrap_or_default();
                    assert!(sector.iter().all(|byte| Some(byte) == sector.first()));
                    sector.first() == Some(&7)
                })
                .to_vec();
            seen.insert(there);
        }
        assert_eq!(seen.len(), 16, "every part of four sectors");
    }
}
