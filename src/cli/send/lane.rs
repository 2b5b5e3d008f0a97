//! One lane: sends the lines of its customers in their order, one batch at a time, and comes again
//! when the server does not answer or has no room.

use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::line::Line;
use super::tally::{Fate, Result};
use crate::cli::client::{Api, Refused};
use crate::cli::exit::is_unavailable;

/// Most bytes of one request; the server takes twice that.
const BATCH_BYTES: usize = 512 * 1024;
/// How often a batch is sent before the run gives up.
const MAX_ATTEMPTS: u32 = 10;
/// First pause before coming again; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause before coming again, also when the server asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A lane.
#[derive(Debug, Clone)]
pub(super) struct Lane {
    /// The server.
    pub(super) api: Api,
    /// Where commands go.
    pub(super) to: Url,
    /// Most lines of one request.
    pub(super) batch: usize,
}

/// The members of an answer that matter here: a decision, or a problem.
#[derive(Debug, Deserialize)]
struct ItemAnswer {
    status: u16,
    outcome: Option<Box<str>>,
    rejection: Option<Reason>,
    problem: Option<Reason>,
}

#[derive(Debug, Deserialize)]
struct Reason {
    code: Option<String>,
    detail: Option<String>,
    pointer: Option<String>,
}

impl Lane {
    /// Sends what comes, until nothing more does.
    ///
    /// # Errors
    /// When the server takes no commands of this key, or does not answer for long.
    pub(super) async fn run(
        self,
        mut lines: mpsc::Receiver<Line>,
        results: mpsc::Sender<Vec<Result>>,
    ) -> anyhow::Result<()> {
        let mut waiting = Vec::new();
        while lines.recv_many(&mut waiting, self.batch).await > 0 {
            while !waiting.is_empty() {
                let rest = waiting.split_off(fits(&waiting));
                let answered = self.settle(std::mem::replace(&mut waiting, rest)).await?;
                // An error says that nobody counts any more: then the run is over.
                results.send(answered).await.context("the run is over")?;
            }
        }
        Ok(())
    }

    /// Sends lines until each has its answer.
    async fn settle(&self, lines: Vec<Line>) -> anyhow::Result<Vec<Result>> {
        let mut results = Vec::with_capacity(lines.len());
        let mut left = lines;
        let mut pause = FIRST_PAUSE;
        let mut why = None;
        for _ in 0..MAX_ATTEMPTS {
            let mut asked = pause;
            match self.post(&left).await {
                Ok(answers) => {
                    left = sort_out(left, answers, &mut results)?;
                    if left.is_empty() {
                        return Ok(results);
                    }
                }
                Err(error) if is_unavailable(&error) => {
                    let refused = error.downcast_ref::<Refused>();
                    let seconds = refused.and_then(|refused| refused.retry_after);
                    asked = seconds.map_or(pause, Duration::from_secs);
                    why = Some(error);
                }
                Err(error) => {
                    let refused = error.downcast::<Refused>()?;
                    results.extend(self.single_out(left, refused).await?);
                    return Ok(results);
                }
            }
            tokio::time::sleep(asked.min(LONGEST_PAUSE)).await;
            pause = pause.saturating_mul(2);
        }
        let why = why.unwrap_or_else(|| Refused::no_room().into());
        Err(why.context("gave up; the same command line goes on from here"))
    }

    /// One of the lines spoiled the request: finds out which, in their order.
    async fn single_out(&self, lines: Vec<Line>, why: Refused) -> anyhow::Result<Vec<Result>> {
        if !matches!(why.status, 400 | 413 | 422) {
            return Err(why.into());
        }
        if let [only] = lines.as_slice() {
            let fate = Fate::Malformed(why.to_string());
            return Ok(vec![Result { line: only.number, fate, answer: None }]);
        }
        let mut results = Vec::with_capacity(lines.len());
        for line in lines {
            results.extend(Box::pin(self.settle(vec![line])).await?);
        }
        Ok(results)
    }

    async fn post(&self, lines: &[Line]) -> anyhow::Result<Vec<Box<RawValue>>> {
        let bytes: usize = lines.iter().map(|line| line.command.len() + 1).sum();
        let mut body = String::with_capacity(bytes + 2);
        for line in lines {
            body.push(if body.is_empty() { '[' } else { ',' });
            body.push_str(&line.command);
        }
        body.push(']');
        let body = self.api.send(Method::POST, self.to.clone(), Some(body)).await?;
        let answers: Vec<Box<RawValue>> =
            serde_json::from_str(&body).context("the server's answer is not as it should be")?;
        if answers.len() != lines.len() {
            bail!("the server answered {} of {} commands", answers.len(), lines.len());
        }
        Ok(answers)
    }
}

/// Gives how many of the lines go into one request: at least one.
fn fits(lines: &[Line]) -> usize {
    let mut bytes = 0;
    let fitting = lines.iter().take_while(|line| {
        bytes += line.command.len() + 1;
        bytes <= BATCH_BYTES
    });
    fitting.count().max(1)
}

/// Adds what became of each line to `results`; gives the lines that must be sent again.
fn sort_out(
    lines: Vec<Line>,
    answers: Vec<Box<RawValue>>,
    results: &mut Vec<Result>,
) -> anyhow::Result<Vec<Line>> {
    let mut again = Vec::new();
    for (line, answer) in lines.into_iter().zip(answers) {
        let read: ItemAnswer = serde_json::from_str(answer.get())
            .context("the server's answer is not as it should be")?;
        let fate = match (read.status, read.outcome.as_deref()) {
            (429 | 502..=504, _) => {
                again.push(line);
                continue;
            }
            (401 | 403, _) => bail!("line {}: {}", line.number, read.reason()),
            (200..=299, Some("deferred")) => Fate::Deferred,
            (200..=299, _) => Fate::Accepted,
            (_, Some("rejected")) | (404 | 409 | 412 | 422, _) => Fate::Rejected(read.reason()),
            _ => Fate::Malformed(read.reason()),
        };
        results.push(Result { line: line.number, fate, answer: Some(answer.get().to_owned()) });
    }
    Ok(again)
}

impl ItemAnswer {
    fn reason(&self) -> String {
        let mut text = self.status.to_string();
        let reasons = self.rejection.iter().chain(&self.problem);
        let parts = reasons.flat_map(|reason| [&reason.code, &reason.pointer, &reason.detail]);
        for part in parts.flatten() {
            text.push(' ');
            text.push_str(part);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: u64, bytes: usize) -> Line {
        Line { number, command: "x".repeat(bytes), customer: 0 }
    }

    fn sorted(answers: &[&str]) -> anyhow::Result<(Vec<u64>, Vec<Fate>)> {
        let raw = |text: &&str| RawValue::from_string((*text).to_owned()).unwrap();
        let lines = (1..).take(answers.len()).map(|number| line(number, 1)).collect();
        let mut results = Vec::new();
        let again = sort_out(lines, answers.iter().map(raw).collect(), &mut results)?;
        let fates = results.into_iter().map(|result| result.fate).collect();
        Ok((again.into_iter().map(|line| line.number).collect(), fates))
    }

    #[test]
    fn each_answer_is_sorted_by_status_and_outcome() {
        let (again, fates) = sorted(&[
            r#"{"status":200,"outcome":"accepted"}"#,
            r#"{"status":503,"problem":{"code":"full"}}"#,
            r#"{"status":202,"outcome":"deferred"}"#,
            r#"{"status":422,"outcome":"rejected","rejection":{"code":"unknown_tier","detail":"x"}}"#,
            r#"{"status":400,"problem":{"code":"malformed","detail":"y","pointer":"/patch"}}"#,
        ])
        .unwrap();
        assert_eq!(again, [2]);
        assert_eq!(
            fates,
            [
                Fate::Accepted,
                Fate::Deferred,
                Fate::Rejected("422 unknown_tier x".into()),
                Fate::Malformed("400 malformed /patch y".into()),
            ]
        );
    }

    #[test]
    fn a_key_without_the_scope_ends_the_run() {
        let error = sorted(&[r#"{"status":403,"problem":{"code":"scope_missing"}}"#]).unwrap_err();
        assert_eq!(error.to_string(), "line 1: 403 scope_missing");
    }

    #[test]
    fn a_request_is_bounded_in_bytes_but_takes_at_least_one_line() {
        let third = BATCH_BYTES / 3;
        assert_eq!(fits(&[line(1, third), line(2, third), line(3, third), line(4, 1)]), 2);
        assert_eq!(fits(&[line(1, BATCH_BYTES * 2), line(2, 1)]), 1);
    }
}
