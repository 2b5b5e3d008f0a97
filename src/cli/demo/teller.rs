//! Asks over HTTP, prints the request, the answer and the events that it became, and compares them
//! with what was told.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;

use reqwest::Method;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::clock::StoryClock;
use crate::cli::client::{Api, ListPage, Shown};
use crate::cli::output::{Column, Format, List, column, members};

/// Columns of the ledger, as far as the story needs them.
const LEDGER: &[Column] = &[
    column("kind", "kind"),
    column("start", "start"),
    column("end", "end"),
    column("raw", "raw"),
    column("charged", "charged"),
    column("count", "count"),
    column("budget", "budget"),
];
/// Widest line of an event's facts.
const WIDTH: usize = 96;

/// One request of the story.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// What happens, in a sentence.
    pub(super) title: &'static str,
    /// Where the clock stands.
    pub(super) at: &'static str,
    /// Method.
    pub(super) method: &'static str,
    /// Path.
    pub(super) path: &'static str,
    /// Where the key is shown.
    pub(super) shown: Shown,
    /// Body.
    pub(super) body: &'static str,
    /// Key of the customer whose events are shown.
    pub(super) customer: &'static str,
    /// The status that is expected.
    pub(super) status: u16,
    /// The types of the events that are expected.
    pub(super) events: &'static [&'static str],
    /// Members of the answer that are expected, by their dotted paths.
    pub(super) answer: &'static [(&'static str, &'static str)],
}

/// Tells a story to the end and counts what was not as told.
pub(super) struct Teller {
    api: Api,
    clock: Arc<StoryClock>,
    steps: usize,
    faults: usize,
    /// Versions of customers that were shown, by key.
    versions: BTreeMap<&'static str, u64>,
}

/// An item of a timeline.
#[derive(Deserialize)]
struct Happened {
    version: u64,
    event: Box<RawValue>,
}

impl Teller {
    /// Begins.
    pub(super) const fn new(api: Api, clock: Arc<StoryClock>) -> Self {
        Self { api, clock, steps: 0, faults: 0, versions: BTreeMap::new() }
    }

    /// Gives how many answers were not as told.
    pub(super) const fn faults(&self) -> usize {
        self.faults
    }

    /// Makes a request, prints it and what became of it.
    pub(super) async fn step(&mut self, step: Step) -> anyhow::Result<()> {
        self.steps += 1;
        self.clock.move_to(step.at.parse()?);
        let method: Method = step.method.parse()?;
        let path: Vec<&str> = step.path.split('/').skip(1).collect();
        let address = self.api.address(&path)?;
        let asked = Some(step.body.to_owned());
        let (status, body) = self.api.exchange(method, address, asked, step.shown).await?;
        line(&format!("{:>2}. {}", self.steps, step.title))?;
        line(&format!("    [{}]  {} {}", step.at, step.method, step.path))?;
        for part in wrapped(step.body.split_inclusive(','), WIDTH) {
            line(&format!("    {part}"))?;
        }
        line(&format!("    -> {status}"))?;
        self.compare("status", &step.status.to_string(), &status.to_string())?;
        let answer = members(serde_json::from_str(&body)?)?;
        for (path, expected) in step.answer {
            let found = answer.iter().find(|(name, _)| name == path);
            let found = found.map_or("nothing", |(_, value)| value);
            line(&format!("       {path} = {found}"))?;
            self.compare(path, expected, found)?;
        }
        let types = self.events(step.customer).await?;
        self.compare("events", &step.events.join(" "), &types.join(" "))?;
        line("")
    }

    /// Prints the events of a customer that were not shown yet, and gives their types.
    async fn events(&mut self, customer: &'static str) -> anyhow::Result<Vec<String>> {
        let mut from = self.api.address(&["api", "v1", "customers", customer, "timeline"])?;
        from.query_pairs_mut().append_pair("limit", "200");
        let page: ListPage = self.api.get(from).await?;
        let shown = self.versions.entry(customer).or_default();
        let mut types = Vec::new();
        for item in &page.items {
            let happened: Happened = serde_json::from_str(item.get())?;
            if happened.version <= *shown {
                continue;
            }
            *shown = happened.version;
            let facts = members(&happened.event)?;
            let (kinds, facts): (Vec<_>, Vec<_>) =
                facts.into_iter().partition(|(name, _)| name == "type");
            let kind = kinds.into_iter().next().map(|(_, kind)| kind).unwrap_or_default();
            line(&format!("    v{:<3} {kind}", happened.version))?;
            let facts = facts.iter().filter(|(_, value)| !value.is_empty());
            let facts: Vec<_> = facts.map(|(name, value)| format!("{name}={value}  ")).collect();
            for part in wrapped(facts.iter().map(String::as_str), WIDTH - 6) {
                line(&format!("         {part}"))?;
            }
            types.push(kind);
        }
        if types.is_empty() {
            line("    no event")?;
        }
        Ok(types)
    }

    /// Prints a customer and its usage by periods.
    pub(super) async fn show(
        &mut self,
        customer: &str,
        expected: &[(&str, &str)],
    ) -> anyhow::Result<()> {
        line(&format!("GET /api/v1/customers/{customer}"))?;
        let document = self.api.address(&["api", "v1", "customers", customer])?;
        let document: Box<RawValue> = self.api.get(document).await?;
        let document = members(&document)?;
        let width = document.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in document.iter().filter(|(_, value)| !value.is_empty()) {
            line(&format!("    {name:<width$}  {value}"))?;
        }
        for (path, expected) in expected {
            let found = document.iter().find(|(name, _)| name == path);
            self.compare(path, expected, found.map_or("nothing", |(_, value)| value))?;
        }
        line(&format!("GET /api/v1/customers/{customer}/usage"))?;
        let usage = self.api.address(&["api", "v1", "customers", customer, "usage"])?;
        let usage: ListPage = self.api.get(usage).await?;
        let mut list = List::begin(Format::Table, LEDGER)?;
        for row in &usage.items {
            list.push(row)?;
        }
        list.end()?;
        line("")
    }

    fn compare(&mut self, what: &str, expected: &str, found: &str) -> anyhow::Result<()> {
        if expected == found {
            return Ok(());
        }
        self.faults += 1;
        line(&format!("    NOT AS TOLD: {what} is {found}, not {expected}"))
    }
}

/// Prints a line.
pub(super) fn line(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

/// Puts parts into lines of at most `width` characters; a part is never broken.
fn wrapped<'a>(parts: impl Iterator<Item = &'a str>, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        match lines.last_mut() {
            Some(line) if line.chars().count() + part.chars().count() <= width => {
                line.push_str(part);
            }
            Some(_) | None => lines.push(part.to_owned()),
        }
    }
    lines.into_iter().map(|line| line.trim_end().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_broken_between_parts() {
        let parts = ["aa  ", "bb  ", "cccccccccc  ", "d"];
        assert_eq!(wrapped(parts.into_iter(), 8), ["aa  bb", "cccccccccc", "d"]);
    }
}
