//! Python packages for tests: a virtual environment for each file of requirements, made once.
//!
//! `Python::with("tests/python/requirements.txt")` installs what the file names, each package by its
//! version and hash. It needs `python3` (3.11 or later) with its module `venv`, and a package index.

use std::path::PathBuf;
use std::process::Command;

use super::once;

/// The interpreter that makes virtual environments.
const PYTHON: &str = "python3";
/// What to do when it is not there.
const MISSING: &str = "these tests need python3 (3.11 or later) with its module venv \
                       (on Debian: the packages python3 and python3-venv)";

/// A virtual environment with packages.
#[derive(Debug, Clone)]
pub struct Python {
    folder: PathBuf,
}

impl Python {
    /// Gives the environment of a file of requirements, named from the root of the repository.
    pub fn with(requirements: &str) -> Self {
        let text = once::text_of(requirements);
        let name = requirements.trim_end_matches(".txt").replace('/', "-");
        let mut version = Command::new(PYTHON);
        version.arg("--version");
        let version = once::needed(&mut version, MISSING);
        let folder = once::folder(&name, &format!("{version}{text}"), |folder| {
            once::needed(Command::new(PYTHON).args(["-m", "venv"]).arg(folder), MISSING);
            let mut pip = Command::new(folder.join("bin/python"));
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
                .args(["--require-hashes", "--only-binary", ":all:", "--requirement"])
                .arg(requirements)
                .current_dir(env!("CARGO_MANIFEST_DIR"));
            once::needed(&mut pip, "its packages must come from the package index");
        });
        Self { folder }
    }

    /// Gives its interpreter.
    pub fn command(&self) -> Command {
        self.tool("python")
    }

    /// Gives a program that a package brought.
    pub fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(self.folder.join("bin").join(name));
        // Nothing of this process's Python, and no proxy: all that tests talk to is on loopback.
        command.env_remove("PYTHONPATH").env_remove("PYTHONHOME").env("NO_PROXY", "127.0.0.1");
        command
    }
}
