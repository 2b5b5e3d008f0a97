//! `tallybook asyncapi`: prints the document of the topics. JSON whatever the format asked.

use std::io::Write as _;

use crate::gateway;

/// Prints the document.
pub(super) fn run() -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(&gateway::asyncapi())?;
    Ok(writeln!(std::io::stdout(), "{text}")?)
}
