//! One lane straight to the topic of commands: a line becomes a command here, and is kept there.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tallybook_events::command::{Command, CommandDraft, Defaults};
use tallybook_events::ids::{Actor, Origin, Scope};
use tallybook_events::outside;
use tokio::sync::mpsc;

use super::line::Line;
use super::tally::{Fate, Result};
use crate::cli::exit::Unavailable;
use crate::clock::{Clock as _, SystemClock};
use crate::inbox::kafka::Entry;

/// Longest wait until a batch is kept.
const KEPT_WITHIN: Duration = Duration::from_secs(10);
/// How often a batch is sent before the run gives up.
const MAX_ATTEMPTS: u32 = 10;

/// A lane to the topic.
#[derive(Debug, Clone)]
pub(super) struct TopicLane {
    /// The topic.
    pub(super) entry: Arc<Entry>,
    /// Tenant and environment of lines that name none.
    pub(super) scope: Option<Scope>,
    /// Most lines that are handed over at a time.
    pub(super) batch: usize,
}

impl TopicLane {
    /// Sends what comes, until nothing more does.
    ///
    /// # Errors
    /// When nothing is kept for long.
    pub(super) async fn run(
        self,
        mut lines: mpsc::Receiver<Line>,
        results: mpsc::Sender<Vec<Result>>,
    ) -> anyhow::Result<()> {
        let mut waiting = Vec::new();
        while lines.recv_many(&mut waiting, self.batch).await > 0 {
            let delivered = self.deliver(std::mem::take(&mut waiting)).await?;
            // An error says that nobody counts any more: then the run is over.
            results.send(delivered).await.context("the run is over")?;
        }
        Ok(())
    }

    /// Sends lines until all are kept; those that are no commands are told and not sent.
    async fn deliver(&self, lines: Vec<Line>) -> anyhow::Result<Vec<Result>> {
        let (mut results, mut commands) = (Vec::with_capacity(lines.len()), Vec::new());
        for line in lines {
            results.push(match self.read(&line.command) {
                Ok(command) => {
                    let id = command.command_id;
                    commands.push(command);
                    let answer = format!(r#"{{"command_id":"{id}","outcome":"delivered"}}"#);
                    Result { line: line.number, fate: Fate::Delivered, answer: Some(answer) }
                }
                Err(why) => Result { line: line.number, fate: Fate::Malformed(why), answer: None },
            });
        }
        let commands = Arc::new(commands);
        for _ in 0..MAX_ATTEMPTS {
            let (entry, sent) = (Arc::clone(&self.entry), Arc::clone(&commands));
            // The ids are the same each time: what was kept twice is decided once.
            let keeping = tokio::task::spawn_blocking(move || entry.keep(&sent, KEPT_WITHIN));
            if keeping.await.context("sending ended in a fault")? {
                return Ok(results);
            }
        }
        Err(anyhow!(Unavailable("the topic of commands does not answer".into()))
            .context("gave up; the same command line goes on from here"))
    }

    /// Reads a line as a command. Its id is there: a line without one was given one.
    fn read(&self, text: &str) -> std::result::Result<Command, String> {
        let said = |fault: &outside::Fault| format!("{} {}", fault.pointer, fault.detail);
        let text = outside::text(text.as_bytes()).map_err(|fault| said(&fault))?;
        let draft: CommandDraft = outside::read(text).map_err(|fault| said(&fault))?;
        let actor: Actor = "kafka".parse().expect("a word is an actor");
        let source: Origin = "send".parse().expect("a word is an origin");
        let defaults = Defaults {
            command_id: None,
            scope: self.scope.clone(),
            issued_at: Some(SystemClock.now()),
            actor: Some(actor),
            source: Some(source),
        };
        let command = draft.complete(defaults).map_err(|fault| fault.to_string())?;
        if command.body.command_type().is_follow_up() || command.routed.is_some() {
            return Err("/type is one that only Tallybook itself asks".into());
        }
        Ok(command)
    }
}
