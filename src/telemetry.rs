//! Logs: what the process says about itself, to stderr. Never bodies, keys or tokens.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
#[error("the log filter is not one")]
pub struct BadFilter(#[from] tracing_subscriber::filter::ParseError);

/// Begins to log. A second call in one process changes nothing.
///
/// # Errors
/// [`BadFilter`] when `filter` is not in the syntax of `tracing`, like `info,tallybook=debug`.
pub fn start(filter: &str, format: LogFormat) -> Result<(), BadFilter> {
    let filter: EnvFilter = EnvFilter::builder().parse(filter)?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match format {
        LogFormat::Text => lines.finish().try_init(),
        LogFormat::Json => lines.json().flatten_event(true).finish().try_init(),
    };
    // An error says that somebody logs already: then they go on.
    drop(started);
    Ok(())
}
