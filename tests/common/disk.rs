//! A small disk of its own for a broker: a file system in memory, mounted over a folder, which root can.
//!
//! It is on a leash: when this process ends, however it ends, it is unmounted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// How large it is.
const SIZE: &str = "size=96m";
/// What is written at a time to fill it up.
const PIECE: usize = 1 << 16;
/// More pieces than fit.
const MOST_PIECES: usize = 1 << 12;

/// A mounted disk.
#[derive(Debug)]
pub(crate) struct SmallDisk {
    at: PathBuf,
    leash: Child,
}

impl SmallDisk {
    /// Mounts one over a folder, which is made. Says why when there is none to be had.
    pub(super) fn mount(at: &Path) -> Option<Self> {
        fs::create_dir_all(at).expect("a temporary folder can be made");
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", SIZE, "tallybook-test"]).arg(at).output();
        let why = match mounted {
            Ok(output) if output.status.success() => None,
            Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = why {
            eprintln!("no disk is filled up, for none can be mounted: {why}");
            return None;
        }
        let leash = Command::new("sh")
            .args(["-c", "cat > /dev/null; umount -l \"$1\"", "disk"])
            .arg(at)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell runs");
        Some(Self { at: at.to_owned(), leash })
    }

    /// Fills it up to the last byte.
    pub(crate) fn fill(&self) {
        use std::io::Write as _;
        let mut file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.filler())
            .expect("a file can be made");
        let mut piece = PIECE;
        for _ in 0..MOST_PIECES {
            match file.write(&vec![0; piece]) {
                Ok(0) | Err(_) if piece == 1 => return,
                Ok(0) | Err(_) => piece /= 2,
                Ok(_) => {}
            }
        }
        panic!("{} does not fill up", self.at.display());
    }

    /// Makes room again.
    pub(crate) fn make_room(&self) {
        fs::remove_file(self.filler()).expect("it was filled");
    }

    fn filler(&self) -> PathBuf {
        self.at.join("filler.tmp")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.leash.stdin.take());
        // A leash that has ended already has done its work.
        let _ = self.leash.wait();
    }
}
