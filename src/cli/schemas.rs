//! `tallybook schemas [NAME]`: prints the contracts as JSON Schemas. JSON whatever the format asked.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use tallybook_events::schemas;

use super::exit::NotFound;

/// Arguments of `schemas`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only that one, like `BudgetSet.v1`, `UpdateCustomer` or `Customer` [default: all, by name]
    name: Option<String>,
    /// Write each to DIR/NAME.json, and print nothing
    #[arg(long, value_name = "DIR", conflicts_with = "name")]
    dir: Option<PathBuf>,
}

/// Prints the schemas, or writes them to files.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let all: BTreeMap<_, _> = schemas::all().into_iter().collect();
    if let Some(dir) = &arguments.dir {
        for (name, schema) in &all {
            let path = dir.join(format!("{name}.json"));
            let text = serde_json::to_string_pretty(schema)? + "\n";
            std::fs::write(&path, text)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        return Ok(());
    }
    let text = match &arguments.name {
        None => serde_json::to_string_pretty(&all)?,
        Some(name) => {
            let schema = all.get(name.as_str());
            let schema = schema.ok_or_else(|| NotFound(format!("no schema is named {name}")))?;
            serde_json::to_string_pretty(schema)?
        }
    };
    Ok(writeln!(std::io::stdout(), "{text}")?)
}
