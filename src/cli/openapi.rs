//! `tallybook openapi [NAME]`: prints the documents of the HTTP APIs. JSON whatever the format asked.

use std::io::Write as _;

use clap::Args;

use super::exit::NotFound;
use crate::gateway;

/// Arguments of `openapi`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only that of one API: native, respan, zerodrift, flexprice, proxy or autumn [default: all, as
    /// one JSON object with a member for each]
    name: Option<String>,
}

/// Prints the documents.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let all = gateway::documents();
    let text = match &arguments.name {
        None => serde_json::to_string_pretty(&all)?,
        Some(name) => {
            let document = all.get(name.as_str());
            let document = document.ok_or_else(|| NotFound(format!("no API is named {name}")))?;
            serde_json::to_string_pretty(document)?
        }
    };
    Ok(writeln!(std::io::stdout(), "{text}")?)
}
