//! The command line: one subcommand, one file. The only place that builds adapters and wires them.
//!
//! stdout is data, stderr is everything else. What a run exits with is decided in [`exit`].

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod completions;
mod exit;

/// Event-sourced command processor for the customers of usage-billed products.
#[derive(Debug, Parser)]
#[command(name = "tallybook", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print shell completions
    Completions(completions::Arguments),
}

/// Runs the command line of this process and gives its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Completions(arguments) => completions::run(&arguments),
    };
    exit::report(done)
}
