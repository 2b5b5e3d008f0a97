//! `tallybook customers list | show | history`: reads customers from a server.

use clap::{Args, Subcommand};
use reqwest::Url;
use serde_json::value::RawValue;
use tallybook_events::time::Timestamp;

use super::client::{Api, Connection, ListPage};
use super::output::{self, Column, Format, List, column};

/// Most items that one request asks for.
const PAGE: usize = 200;

/// Columns of customers.
const CUSTOMER: &[Column] = &[
    column("key", "key"),
    column("id", "id"),
    column("tier", "contract/tier"),
    column("status", "contract/status"),
    column("archived_at", "archived_at"),
    column("version", "version"),
    column("period_raw", "usage/period/raw"),
    column("period_budget", "usage/period/budget"),
    column("remaining", "usage/period/remaining"),
    column("updated_at", "updated_at"),
];

/// Columns of a history.
const HISTORY: &[Column] = &[
    column("version", "version"),
    column("seq", "seq"),
    column("recorded_at", "recorded_at"),
    column("actor", "actor"),
    column("command_id", "command_id"),
    column("type", "event/type"),
    column("event", "event"),
];

/// Arguments of `customers`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    question: Question,
}

#[derive(Debug, Subcommand)]
enum Question {
    /// List customers, in the order of their birth
    List {
        #[command(flatten)]
        server: Connection,
        /// Only those: active, suspended or archived
        #[arg(long, value_parser = ["active", "suspended", "archived"])]
        status: Option<String>,
        /// Only those of a tier
        #[arg(long)]
        tier: Option<String>,
        /// Only those whose key begins so
        #[arg(long, value_name = "TEXT")]
        key_prefix: Option<String>,
        /// At most so many [default: all]
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Show one customer, by id or key
    Show {
        #[command(flatten)]
        server: Connection,
        /// Id or key
        customer: String,
        /// As it stood at that time, like 2026-01-31T12:00:00Z
        #[arg(long, value_name = "TIME", conflicts_with = "at_version")]
        as_of: Option<Timestamp>,
        /// As it stood after so many events
        // A variable of its own: TALLYBOOK_VERSION is what people call the version of an image.
        #[arg(long = "version", value_name = "N", env = "TALLYBOOK_CUSTOMER_VERSION")]
        at_version: Option<u64>,
    },
    /// List the events of one customer, by id or key, from old to new
    History {
        #[command(flatten)]
        server: Connection,
        /// Id or key
        customer: String,
        /// At most so many [default: all]
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
}

/// Answers the question.
pub(super) async fn run(arguments: &Arguments, format: Format) -> anyhow::Result<()> {
    match &arguments.question {
        Question::List { server, status, tier, key_prefix, limit } => {
            let api = server.open()?;
            let mut from = api.address(&["api", "v1", "customers"])?;
            let filters = [("status", status), ("tier", tier), ("key_prefix", key_prefix)];
            for (name, value) in filters {
                if let Some(value) = value {
                    from.query_pairs_mut().append_pair(name, value);
                }
            }
            print_list(&api, &from, *limit, format, CUSTOMER).await
        }
        Question::Show { server, customer, as_of, at_version } => {
            let api = server.open()?;
            let mut from = api.address(&["api", "v1", "customers", customer])?;
            if let Some(time) = as_of {
                from.query_pairs_mut().append_pair("as_of", &time.to_string());
            }
            if let Some(version) = at_version {
                from.query_pairs_mut().append_pair("version", &version.to_string());
            }
            output::print_one(format, &api.get::<Box<RawValue>>(from).await?)
        }
        Question::History { server, customer, limit } => {
            let api = server.open()?;
            let from = api.address(&["api", "v1", "customers", customer, "timeline"])?;
            print_list(&api, &from, *limit, format, HISTORY).await
        }
    }
}

/// Prints a list, page by page.
pub(super) async fn print_list(
    api: &Api,
    from: &Url,
    limit: Option<usize>,
    format: Format,
    columns: &'static [Column],
) -> anyhow::Result<()> {
    let mut left = limit.unwrap_or(usize::MAX);
    let mut cursor: Option<String> = None;
    // The first page is asked for before anything is printed: a refusal leaves stdout empty.
    let mut list: Option<List<_>> = None;
    while left > 0 || list.is_none() {
        let mut page = from.clone();
        page.query_pairs_mut().append_pair("limit", &left.clamp(1, PAGE).to_string());
        if let Some(cursor) = &cursor {
            page.query_pairs_mut().append_pair("cursor", cursor);
        }
        let ListPage { items, next } = api.get(page).await?;
        let begun = match &mut list {
            Some(begun) => begun,
            None => list.insert(List::begin(format, columns)?),
        };
        for item in items.iter().take(left) {
            begun.push(item)?;
        }
        left = left.saturating_sub(items.len());
        // A server that gave the same cursor again would keep us here for ever.
        if next.is_none() || next == cursor || items.is_empty() {
            break;
        }
        cursor = next;
    }
    list.map_or(Ok(()), |list| Ok(list.end()?))
}
