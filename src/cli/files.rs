//! How many files this process may have open: a connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::gateway::server::MAX_CONNECTIONS;

/// Files that a server needs beside its connections, and some to spare.
const BESIDE: u64 = 512;
/// Fewest connections, however few files there may be.
const FEWEST: usize = 64;

/// Raises what the system allows this process as far as it may, and gives how many connections fit in.
pub(super) fn connections() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    let allowed = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files cannot be raised");
            limit.current
        }
    };
    let connections = fit(allowed);
    if connections < MAX_CONNECTIONS {
        tracing::info!(connections, files = allowed, "the system allows few open files");
    }
    connections
}

/// Gives how many connections fit into so many files; nothing is no limit.
fn fit(files: Option<u64>) -> usize {
    let left = files.map(|files| files.saturating_sub(BESIDE));
    let left = left.and_then(|left| usize::try_from(left).ok()).unwrap_or(MAX_CONNECTIONS);
    left.clamp(FEWEST, MAX_CONNECTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_the_rest() {
        for (files, connections) in [
            (None, MAX_CONNECTIONS),
            (Some(u64::MAX), MAX_CONNECTIONS),
            (Some(1_024), 512),
            (Some(20), FEWEST),
        ] {
            assert_eq!(fit(files), connections, "{files:?}");
        }
    }
}
