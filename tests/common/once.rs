//! Folders under `target` that are made once, for all test binaries of all runs: packages of other
//! languages, installed by the tests' own lock files.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Written into a folder when all of it is there. A folder without it was left half made.
const WHOLE: &str = ".whole";

/// Gives a folder that holds what `make` puts in, made when it is not there or made for other content.
///
/// Test binaries run at the same time: one makes it, the others wait for the lock.
pub fn folder(name: &str, content: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let all = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(all).expect("the folder of the tests can be made");
    let lock = File::create(all.join(format!("{name}.lock"))).expect("a lock file can be made");
    lock.lock().expect("a file can be locked");
    let folder = all.join(name);
    let whole = folder.join(WHOLE);
    if fs::read_to_string(&whole).is_ok_and(|made_for| made_for == content) {
        return folder;
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).expect("what was left can be removed");
    }
    make(&folder);
    fs::write(whole, content).expect("a file can be written");
    folder
}

/// Gives the text of a file of the repository.
pub fn text_of(path: &str) -> String {
    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&whole).unwrap_or_else(|error| panic!("{path} cannot be read: {error}"))
}

/// Runs a program that these tests need, and gives what it printed. Panics with what to do when it is
/// missing, or fails.
pub fn needed(command: &mut Command, missing: &str) -> String {
    let program = command.get_program().display().to_string();
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; {missing}"));
    let [printed, told] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{command:?} failed; {missing}\n{printed}{told}");
    printed
}
