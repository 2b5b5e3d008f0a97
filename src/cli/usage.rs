//! `tallybook usage show CUSTOMER`: reads the usage ledger of a customer from a server.

use clap::{Args, Subcommand};

use super::client::Connection;
use super::customers::print_list;
use super::output::{Column, Format, column};

/// Columns of the ledger.
const LEDGER: &[Column] = &[
    column("kind", "kind"),
    column("start", "start"),
    column("end", "end"),
    column("raw", "raw"),
    column("charged", "charged"),
    column("quantity", "quantity"),
    column("count", "count"),
    column("budget", "budget"),
    column("first_at", "first_at"),
    column("last_at", "last_at"),
];

/// Arguments of `usage`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    question: Question,
}

#[derive(Debug, Subcommand)]
enum Question {
    /// Show what a customer used, by periods, from old to new
    Show {
        #[command(flatten)]
        server: Connection,
        /// Id or key
        customer: String,
        /// Only periods of that kind
        #[arg(long, value_parser = ["budget", "day", "month", "year", "lifetime"])]
        kind: Option<String>,
        /// At most so many [default: all]
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
}

/// Answers the question.
pub(super) async fn run(arguments: &Arguments, format: Format) -> anyhow::Result<()> {
    let Question::Show { server, customer, kind, limit } = &arguments.question;
    let api = server.open()?;
    let mut from = api.address(&["api", "v1", "customers", customer, "usage"])?;
    if let Some(kind) = kind {
        from.query_pairs_mut().append_pair("kind", kind);
    }
    print_list(&api, &from, *limit, format, LEDGER).await
}
