//! The role of the publisher: it tells plain consumers of Kafka what happened.

use super::part::Part;
use super::roles::Role;
use crate::cli::exit::Usage;
use crate::cli::log::Log;

/// Whether a process that is not told its roles has this one.
pub(super) const USUAL: Option<Role> = None;

/// Starts to publish what the journal tells.
pub(super) fn start(_log: &Log, _name: &str) -> anyhow::Result<Box<dyn Part>> {
    Err(Usage("this build has no publisher".into()).into())
}
