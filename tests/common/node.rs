//! Node packages for tests: one folder for each lock file, made once.
//!
//! `Node::with("tests/vendors/autumn")` installs what `package-lock.json` of that folder names, each
//! package by its version and hash. It needs `node` (20 or later) with `npm`, and a package registry.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::once;

/// What to do when they are not there.
const MISSING: &str = "these tests need node (20 or later) and npm \
                       (on Debian: the packages nodejs and npm)";

/// A folder with packages in its `node_modules`.
#[derive(Debug, Clone)]
pub struct Node {
    folder: PathBuf,
}

impl Node {
    /// Gives the packages of a folder with a `package.json` and its lock, named from the root of the
    /// repository.
    pub fn with(lock: &str) -> Self {
        let files = ["package.json", "package-lock.json"]
            .map(|name| (name, once::text_of(&format!("{lock}/{name}"))));
        let version = once::needed(Command::new("node").arg("--version"), MISSING);
        let [(_, package), (_, locked)] = &files;
        let content = format!("{version}{package}{locked}");
        let folder = once::folder(&lock.replace('/', "-"), &content, |folder| {
            fs::create_dir_all(folder).expect("a folder can be made");
            for (name, text) in &files {
                fs::write(folder.join(name), text).expect("a file can be written");
            }
            let mut npm = Command::new("npm");
            npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"])
                .current_dir(folder);
            once::needed(&mut npm, MISSING);
        });
        Self { folder }
    }

    /// Gives `node`, to run a script of the repository that imports these packages. The script is copied
    /// beside them, for that is where an import is looked for.
    pub fn script(&self, script: &str) -> Command {
        let name = Path::new(script).file_name().expect("a script has a name");
        let copy = self.folder.join(name);
        fs::write(&copy, once::text_of(script)).expect("a file can be written");
        let mut command = Command::new("node");
        command.arg(copy).current_dir(&self.folder).env("NO_PROXY", "127.0.0.1");
        command
    }
}
