//! What a run exits with: the one place where an error becomes a code.

use std::io::ErrorKind;
use std::process::ExitCode;

/// The exit codes that scripts rely on. 0 is success and 2, from the argument parser too, is a
/// command line that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Exit {
    /// All is done.
    Ok = 0,
    /// It failed.
    Failure = 1,
    /// What was asked for is not there.
    NotFound = 3,
}

/// Says on stderr what went wrong, if anything did, and gives the exit code.
pub(super) fn report(done: anyhow::Result<()>) -> ExitCode {
    let exit = match &done {
        Ok(()) => Exit::Ok,
        Err(error) if is_broken_pipe(error) => Exit::Ok,
        Err(error) => {
            eprintln!("error: {error:#}");
            of(error)
        }
    };
    ExitCode::from(exit as u8)
}

/// Gives the code for an error: that of the first link of its chain that has one.
fn of(error: &anyhow::Error) -> Exit {
    let coded = error.chain().find_map(|link| {
        let io = link.downcast_ref::<std::io::Error>()?;
        (io.kind() == ErrorKind::NotFound).then_some(Exit::NotFound)
    });
    coded.unwrap_or(Exit::Failure)
}

/// Tells whether the reader of our output went away: `tallybook … | head` is no failure.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|link| link.downcast_ref::<std::io::Error>());
    io.is_some_and(|io| io.kind() == ErrorKind::BrokenPipe)
}
