//! The README's examples work as pasted: its `sh` blocks are run, one after the other, in one shell.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::common::{Process, run, tallybook, until};

const README: &str = include_str!("../../README.md");
/// The address that the README's server listens on.
const ADDRESS: &str = "http://127.0.0.1:8080";

/// Gives the code blocks of a language.
fn blocks(language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = README.lines();
    while let Some(line) = lines.next() {
        if line == format!("```{language}") {
            let block: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push(block.join("\n"));
        }
    }
    blocks
}

#[test]
fn the_examples_work_as_pasted() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let release = folder.path().join("target/release");
    std::fs::create_dir_all(&release).expect("a folder can be made");
    symlink(env!("CARGO_BIN_EXE_tallybook"), release.join("tallybook")).expect("a link");
    let mut serve = tallybook();
    serve.current_dir(folder.path()).args(["serve", "--listen", "127.0.0.1:0"]);
    let server = Process::spawn(serve);
    let url = until("the line `listening on`", || server.listening_on());
    let examples = blocks("sh");
    assert!(examples.len() >= 6, "the README has examples");
    let script = format!("set -eu\n{}\n", examples.join("\necho\n")).replace(ADDRESS, &url);
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).current_dir(folder.path());
    // The README leaves the server's address to its default, which the tests do not.
    shell.env("TALLYBOOK_URL", &url).env("NO_PROXY", "127.0.0.1");
    let ran = run(&mut shell);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    for expected in [
        r#""tier":"growth","status":"suspended""#,
        "month,2026-01-01T00:00:00Z,2026-02-01T00:00:00Z,30,36,1200,1,",
        "StatusChanged.v1",
    ] {
        assert!(ran.stdout.contains(expected), "{expected} is missing in:\n{}", ran.stdout);
    }
}

#[test]
fn the_settings_are_taken() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("own.toml");
    let settings = blocks("toml").pop().expect("the README shows settings");
    std::fs::write(&file, settings).expect("it is written");
    let mut create = tallybook();
    create.args(["keys", "create", "--config"]).arg(&file).arg("--data").arg(folder.path());
    let ran = run(&mut create);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
}

#[test]
fn the_map_names_what_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let map = blocks("text").pop().expect("the README has a map");
    let mut named = 0;
    for path in map.lines().filter_map(|line| line.split_whitespace().next()) {
        assert!(root.join(path).exists(), "{path} is not there");
        named += 1;
    }
    assert!(named >= 10, "the map has lines");
}
