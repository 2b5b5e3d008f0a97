//! The command line: one subcommand, one file. The only place that builds adapters and wires them.
//!
//! stdout is data, stderr is everything else. What a run exits with is decided in `exit`; where an
//! option's value comes from (flag, environment, file), in [`crate::config`].

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::config::{self, Settings};
use crate::telemetry::{self, LogFormat};

mod serve;
mod tls;
mod files;
mod demo;
mod send;
mod customers;
mod usage;
mod rebuild;
mod keys;
mod topics;
mod health;
mod schemas;
mod openapi;
mod asyncapi;
mod completions;
pub(crate) mod bench;
mod client;
mod output;
mod progress;
mod folder;
mod models;
mod duration;
mod log;
mod exit;

/// Event-sourced command processor for the customers of usage-billed products.
#[derive(Debug, Parser)]
#[command(name = "tallybook", version, about, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Options of all commands.
#[derive(Debug, Args)]
struct Common {
    /// Settings file [default: tallybook.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How data is printed
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value = "table")]
    output: output::Format,
    /// What is logged, like `info,tallybook=debug` [default: warn; for serve info]
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<String>,
    /// How log lines look
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a server: all roles in one process, or on Kafka some of them
    Serve(serve::Arguments),
    /// Show the main job, end to end, on real requests in a temporary folder
    Demo,
    /// Publish commands from a file, one JSON object a line
    Send(send::Arguments),
    /// Read customers from a server
    Customers(customers::Arguments),
    /// Read usage from a server
    Usage(usage::Arguments),
    /// Fold the whole journal into new read models, then switch to them; also beside a server
    Rebuild(rebuild::Arguments),
    /// Make, import, list, rotate and revoke API keys
    Keys(keys::Arguments),
    /// Make and check the topics on Kafka
    Topics(topics::Arguments),
    /// Ask a process whether it can do its work
    Health(health::Arguments),
    /// Print the JSON Schemas of events, commands and records
    Schemas(schemas::Arguments),
    /// Print the documents of the HTTP APIs (`OpenAPI` 3.1)
    Openapi(openapi::Arguments),
    /// Print the document of the topics on Kafka (`AsyncAPI` 3.0)
    Asyncapi,
    /// Measure this machine, and check that what comes out is right
    Bench(bench::Arguments),
    /// Print shell completions
    Completions(completions::Arguments),
}

/// Runs the command line of this process and gives its exit code.
#[must_use]
pub fn main() -> ExitCode {
    exit::report(run(std::env::args_os().collect()))
}

fn run(arguments: Vec<OsString>) -> anyhow::Result<()> {
    let command = config::bind_environment(Cli::command());
    let settings = Settings::load(settings_file(&command, &arguments).as_deref())?;
    let matches = settings.apply(command)?.get_matches_from(arguments);
    let Cli { common, command } = Cli::from_arg_matches(&matches)?;
    let usual = if matches!(command, Command::Serve(_)) { "info" } else { "warn" };
    let mut filter = common.log.unwrap_or_else(|| usual.to_owned());
    if let Command::Serve(arguments) = &command {
        filter.push_str(arguments.log_filter());
    }
    telemetry::start(&filter, common.log_format)?;
    let format = common.output;
    match command {
        Command::Serve(arguments) => block_on(serve::run(&arguments, &settings)),
        Command::Demo => block_on(demo::run()),
        Command::Send(arguments) => block_on(send::run(&arguments, format)),
        Command::Customers(arguments) => block_on(customers::run(&arguments, format)),
        Command::Usage(arguments) => block_on(usage::run(&arguments, format)),
        Command::Rebuild(arguments) => rebuild::run(&arguments, format),
        Command::Keys(arguments) => keys::run(&arguments, format),
        Command::Topics(arguments) => block_on(topics::run(&arguments)),
        Command::Health(arguments) => block_on(health::run(&arguments)),
        Command::Schemas(arguments) => schemas::run(&arguments),
        Command::Openapi(arguments) => openapi::run(&arguments),
        Command::Asyncapi => asyncapi::run(),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
    }
}

/// Finds the settings file's name before the settings are known. Faults are told later, by the
/// parser that knows them; help and version are printed at once.
fn settings_file(command: &clap::Command, arguments: &[OsString]) -> Option<PathBuf> {
    let found = command.clone().ignore_errors(true).try_get_matches_from(arguments);
    let matches = found.unwrap_or_else(|help| help.exit());
    let mut at: &ArgMatches = &matches;
    loop {
        let named = at.try_get_one::<PathBuf>("config").ok().flatten();
        match (named, at.subcommand()) {
            (Some(path), _) => return Some(path.clone()),
            (None, Some((_, below))) => at = below,
            (None, None) => return None,
        }
    }
}

/// Runs a command that waits.
fn block_on<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start threads")?
        .block_on(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives every command with its options, as `COMMAND --OPTION VARIABLE`.
    fn options(command: &clap::Command, path: &str, found: &mut Vec<String>) {
        for arg in command.get_arguments().filter(|arg| arg.get_long().is_some()) {
            let long = arg.get_long().unwrap_or_default();
            let variable = arg.get_env().map(|name| name.to_string_lossy().into_owned());
            found.push(format!("{path}--{long} {}", variable.unwrap_or_default()));
        }
        for below in command.get_subcommands() {
            options(below, &format!("{path}{} ", below.get_name()), found);
        }
    }

    #[test]
    fn every_option_of_every_command_has_a_variable_of_its_name() {
        let command = config::bind_environment(Cli::command());
        command.clone().debug_assert();
        let mut found = Vec::new();
        options(&command, "", &mut found);
        assert!(found.len() > 30, "{found:#?}");
        for option in found {
            let (name, variable) = option.split_once(" TALLYBOOK_").expect("it has a variable");
            let (_, long) = name.rsplit_once("--").expect("it has a name");
            let own = name == "customers show --version" && variable == "CUSTOMER_VERSION";
            assert!(own || variable == long.replace('-', "_").to_uppercase(), "{option}");
        }
    }

    #[test]
    fn no_option_is_called_like_a_command() {
        // In the settings file both are keys of one table.
        fn check(command: &clap::Command) {
            for below in command.get_subcommands() {
                let name = below.get_name();
                let mut options = command.get_arguments().filter_map(clap::Arg::get_long);
                assert!(options.all(|long| long.replace('-', "_") != name), "{name}");
                check(below);
            }
        }
        check(&Cli::command());
    }
}
