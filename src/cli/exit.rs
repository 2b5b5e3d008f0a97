//! What a run exits with: the one place where an error becomes a code.

use std::io::ErrorKind;
use std::process::ExitCode;

use tallybook_projections::store::StoreError;

use crate::config::ConfigError;
use crate::gateway::TlsError;
use crate::journal::JournalError;
use crate::journal::sqlite::OpenError;
use crate::kafka::KafkaFault;
use crate::kafka::topics::{TopicsError, WrongTopics};
use crate::keys::KeyStoreError;
use crate::telemetry::BadFilter;

use super::client::Refused;
use super::folder::FolderError;

/// The exit codes that scripts rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Exit {
    /// All is done.
    Ok = 0,
    /// It failed.
    Failure = 1,
    /// The command line or the settings make no sense.
    Usage = 2,
    /// What was asked for is not there.
    NotFound = 3,
    /// What was asked for contradicts what is there.
    Conflict = 4,
    /// What was looked at is not as it should be.
    Differences = 5,
    /// Something that it needs does not answer, or is held by another process.
    Unavailable = 6,
}

/// The command line makes no sense, in a way that its parser cannot see.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub(super) String);

/// What was asked for is not there.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotFound(pub(super) String);

/// What was asked for contradicts what is there.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Conflict(pub(super) String);

/// Something that is needed does not answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unavailable(pub(super) String);

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

/// Tells whether to come again may help: something did not answer, or had no room.
pub(super) fn is_unavailable(error: &anyhow::Error) -> bool {
    of(error) == Exit::Unavailable
}

/// Gives the code for an error: that of the first link of its chain that has one.
fn of(error: &anyhow::Error) -> Exit {
    error.chain().find_map(of_link).unwrap_or(Exit::Failure)
}

fn of_link(link: &(dyn std::error::Error + 'static)) -> Option<Exit> {
    if link.is::<Usage>()
        || link.is::<ConfigError>()
        || link.is::<BadFilter>()
        || link.is::<TlsError>()
    {
        return Some(Exit::Usage);
    }
    if link.is::<NotFound>() {
        return Some(Exit::NotFound);
    }
    if link.is::<Conflict>() {
        return Some(Exit::Conflict);
    }
    if link.is::<Unavailable>() {
        return Some(Exit::Unavailable);
    }
    if let Some(refused) = link.downcast_ref::<Refused>() {
        return Some(of_status(refused.status));
    }
    if let Some(request) = link.downcast_ref::<reqwest::Error>() {
        let ours = request.is_builder() || request.is_decode();
        return Some(if ours { Exit::Failure } else { Exit::Unavailable });
    }
    if let Some(folder) = link.downcast_ref::<FolderError>() {
        return match folder {
            FolderError::Missing { .. } => Some(Exit::NotFound),
            FolderError::Io { .. } => None,
        };
    }
    if let Some(journal) = link.downcast_ref::<OpenError>() {
        return match journal {
            OpenError::InUse { .. } => Some(Exit::Unavailable),
            OpenError::OtherPartitions { .. } => Some(Exit::Conflict),
            OpenError::PartitionsOutOfRange { .. } => Some(Exit::Usage),
            OpenError::OldSqlite { .. }
            | OpenError::Folder { .. }
            | OpenError::UnknownFormat { .. }
            | OpenError::Journal(_) => Some(Exit::Failure),
        };
    }
    if let Some(exit) = of_kafka(link) {
        return Some(exit);
    }
    if let Some(keys) = link.downcast_ref::<KeyStoreError>() {
        return match keys {
            KeyStoreError::Taken(_)
            | KeyStoreError::TextTaken(_)
            | KeyStoreError::RotatedMeanwhile(_)
            | KeyStoreError::Revoked(_) => Some(Exit::Conflict),
            KeyStoreError::Unknown(_) | KeyStoreError::NoPlace(_) => Some(Exit::NotFound),
            KeyStoreError::Damaged { .. } | KeyStoreError::UnknownFormat { .. } => {
                Some(Exit::Failure)
            }
            KeyStoreError::Unavailable(_) => Some(Exit::Unavailable),
        };
    }
    if let Some(store) = link.downcast_ref::<StoreError>() {
        return match store {
            StoreError::Unavailable(_) => Some(Exit::Unavailable),
            StoreError::Moved
            | StoreError::Led
            | StoreError::Unfoldable(_)
            | StoreError::Damaged { .. } => None,
        };
    }
    let io = link.downcast_ref::<std::io::Error>()?;
    (io.kind() == ErrorKind::NotFound).then_some(Exit::NotFound)
}

/// Gives the code for what Kafka, or the journal there, said.
fn of_kafka(link: &(dyn std::error::Error + 'static)) -> Option<Exit> {
    if let Some(JournalError::Unavailable(_)) = link.downcast_ref::<JournalError>() {
        return Some(Exit::Unavailable);
    }
    let of_fault = |fault: &KafkaFault| match fault {
        KafkaFault::Down { .. } => Exit::Unavailable,
        KafkaFault::Setting { .. } => Exit::Usage,
    };
    if let Some(fault) = link.downcast_ref::<KafkaFault>() {
        return Some(of_fault(fault));
    }
    Some(match link.downcast_ref::<TopicsError>()? {
        TopicsError::Wrong(WrongTopics { only_missing: true, .. }) => Exit::NotFound,
        TopicsError::Wrong(_) => Exit::Differences,
        TopicsError::Kafka(fault) => of_fault(fault),
        TopicsError::Unavailable(_) => Exit::Unavailable,
        TopicsError::Refused { .. } | TopicsError::Panicked => Exit::Failure,
    })
}

/// Gives the code for the status of a server's refusal.
const fn of_status(status: u16) -> Exit {
    match status {
        404 | 410 => Exit::NotFound,
        409 | 412 => Exit::Conflict,
        429 | 502..=504 => Exit::Unavailable,
        _ => Exit::Failure,
    }
}

/// Tells whether the reader of our output went away: `tallybook … | head` is no failure.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|link| link.downcast_ref::<std::io::Error>());
    io.is_some_and(|io| io.kind() == ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16) -> anyhow::Error {
        let refused = Refused { status, code: None, detail: "no".into(), retry_after: None };
        anyhow::Error::new(refused).context("asking")
    }

    #[test]
    fn each_kind_of_error_has_its_code() {
        for (error, exit) in [
            (anyhow::anyhow!("x"), Exit::Failure),
            (Usage("x".into()).into(), Exit::Usage),
            (NotFound("x".into()).into(), Exit::NotFound),
            (Conflict("x".into()).into(), Exit::Conflict),
            (std::io::Error::from(ErrorKind::NotFound).into(), Exit::NotFound),
            (std::io::Error::from(ErrorKind::PermissionDenied).into(), Exit::Failure),
            (OpenError::InUse { folder: "d".into(), by: None }.into(), Exit::Unavailable),
            (OpenError::OtherPartitions { has: 4, asked: 3 }.into(), Exit::Conflict),
            (FolderError::Missing { path: "d".into() }.into(), Exit::NotFound),
            (refused(400), Exit::Failure),
            (refused(401), Exit::Failure),
            (refused(404), Exit::NotFound),
            (refused(409), Exit::Conflict),
            (refused(412), Exit::Conflict),
            (refused(422), Exit::Failure),
            (refused(429), Exit::Unavailable),
            (refused(500), Exit::Failure),
            (refused(503), Exit::Unavailable),
        ] {
            assert_eq!(of(&error), exit, "{error:#}");
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let error = anyhow::Error::new(std::io::Error::from(ErrorKind::BrokenPipe));
        assert!(is_broken_pipe(&error.context("printing")));
        assert!(!is_broken_pipe(&refused(404)));
    }
}
