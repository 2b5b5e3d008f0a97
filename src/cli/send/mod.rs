//! `tallybook send FILE`: publishes commands from a file of JSON lines, by HTTP or straight to the topic
//! of commands on Kafka.
//!
//! - `input`: reads lines ahead. `line`: a line becomes a command with a stable id.
//! - `lane`: lines of one customer go through one lane, in their order, a batch at a time; `topic`: a
//!   lane to Kafka. There a line is done once it is kept; what became of it is asked by its id.
//! - `tally`: what became of the lines. `state`: how far the run has come, to go on from there.
//!
//! Lanes run side by side, so the order of lines of different customers is not kept; a customer is
//! told by how the line names it, by id or by key.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use clap::Args;
use clap::value_parser;
use indicatif::ProgressBar;
use serde::Serialize;
use tallybook_events::ids::{Environment, Scope, Tenant};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use self::lane::Lane;
use self::line::{Line, Read};
use self::state::StateFile;
use self::tally::{Fate, Result, Tally};
use self::topic::TopicLane;
use super::client::Connection;
use super::exit::Usage;
use super::log::KafkaOption;
use super::output::{self, Format};
use super::progress;
use crate::clock::{Clock as _, SystemClock};
use crate::inbox::kafka::Entry;
use crate::kafka::topics::{self, Noting};

mod input;
mod line;
mod lane;
mod topic;
mod tally;
mod state;

/// Most lines that are read and not known to be answered up to there.
const MAX_AHEAD: usize = 100_000;
/// Most answers that wait to be counted, in batches.
const RESULTS_AHEAD: usize = 64;
/// How often the mark is saved.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// Most refused lines that are told on stderr.
const TOLD_LINES: u64 = 20;
/// What the state file's name has more than the input's.
const STATE_SUFFIX: &str = ".tallybook-send";

/// Arguments of `send`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Commands, one JSON object a line; - for standard input
    file: PathBuf,
    #[command(flatten)]
    server: Connection,
    #[command(flatten)]
    kafka: KafkaOption,
    /// Tenant of lines that name none, with --kafka; by HTTP the key says it
    #[arg(long)]
    tenant: Option<Tenant>,
    /// Environment of lines that name none, with --kafka
    #[arg(long, default_value = "live")]
    environment: Environment,
    /// Where to note how far it has come [default: FILE.tallybook-send; none for standard input]
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// Where to write the server's answers, one JSON object a line
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// Most commands of one request
    #[arg(long, value_name = "N", default_value = "100", value_parser = value_parser!(u16).range(1..=1_000))]
    batch: u16,
    /// Most requests under way
    #[arg(long, value_name = "N", default_value = "8", value_parser = value_parser!(u16).range(1..=64))]
    in_flight: u16,
}

/// Sends all lines, prints the counts, and fails when lines were refused.
pub(super) async fn run(arguments: &Arguments, format: Format) -> anyhow::Result<()> {
    let way = Way::open(arguments).await?;
    let from_stdin = arguments.file == Path::new("-");
    if arguments.file.is_dir() {
        return Err(Usage(format!("{} is a folder", arguments.file.display())).into());
    }
    let lines = input::open(&arguments.file)?;
    let state = open_state(arguments, from_stdin)?;
    let run = state.as_ref().map_or_else(|| SystemClock.command_id().0, |file| file.state().run);
    let total = std::fs::metadata(&arguments.file).ok().filter(|_| !from_stdin);
    let mut count = Counting {
        mark: state.as_ref().map_or(0, |file| file.state().lines),
        tally: state.as_ref().map_or_else(Tally::default, |file| file.state().tally.clone()),
        pending: BTreeMap::new(),
        state,
        answers: arguments.answers.as_deref().map(open_answers).transpose()?,
        bar: progress::bar(total.map(|file| file.len()), "bytes"),
        told: 0,
        saved: Instant::now(),
    };
    let ahead = Arc::new(Semaphore::new(MAX_AHEAD));
    let (results, mut counted) = mpsc::channel(RESULTS_AHEAD);
    let mut tasks: JoinSet<anyhow::Result<()>> = JoinSet::new();
    let mut queues = Vec::new();
    for _ in 0..arguments.in_flight {
        let (lane, queue) = mpsc::channel(usize::from(arguments.batch) * 2);
        queues.push(lane);
        let sending = way.clone().run(queue, results.clone());
        let ahead = Arc::clone(&ahead);
        tasks.spawn(async move {
            // A lane that fails leaves lines unanswered for ever: nobody may wait for them.
            sending.await.inspect_err(|_| ahead.close())
        });
    }
    let dealing =
        Dealing { run, skip: count.mark, lanes: queues, results, ahead: Arc::clone(&ahead) };
    tasks.spawn(dealing.deal(lines, count.bar.clone()));
    let mut failed = None;
    while let Some(results) = counted.recv().await {
        if let Err(error) = count.take(results, &ahead) {
            failed = Some(error);
            break;
        }
    }
    drop(counted);
    // The lanes' errors say more than that of whoever dealt to them.
    while let Some(ended) = tasks.join_next().await {
        let ended = ended.context("a task ended in a fault")?;
        failed = failed.or(ended.err());
    }
    count.finish(failed, format)
}

/// The way of one lane.
#[derive(Clone)]
enum Way {
    Http(Box<Lane>),
    Kafka(TopicLane),
}

impl Way {
    async fn open(arguments: &Arguments) -> anyhow::Result<Self> {
        let batch = arguments.batch.into();
        let Some(kafka) = arguments.kafka.kafka()? else {
            let api = arguments.server.open()?;
            let to = api.address(&["api", "v1", "commands"])?;
            return Ok(Self::Http(Box::new(Lane { api, to, batch })));
        };
        topics::check(&kafka, Noting::No).await?;
        let asked = kafka.clone();
        let partitions = tokio::task::spawn_blocking(move || topics::partitions(&asked)).await??;
        let entry = Arc::new(Entry::open(&kafka, partitions)?);
        let environment = arguments.environment;
        let scope = arguments.tenant.clone().map(|tenant| Scope { tenant, environment });
        Ok(Self::Kafka(TopicLane { entry, scope, batch }))
    }

    async fn run(
        self,
        queue: mpsc::Receiver<Line>,
        results: mpsc::Sender<Vec<Result>>,
    ) -> anyhow::Result<()> {
        match self {
            Self::Http(lane) => lane.run(queue, results).await,
            Self::Kafka(lane) => lane.run(queue, results).await,
        }
    }
}

fn open_state(arguments: &Arguments, from_stdin: bool) -> anyhow::Result<Option<StateFile>> {
    let beside = || {
        let mut name = arguments.file.clone().into_os_string();
        name.push(STATE_SUFFIX);
        PathBuf::from(name)
    };
    let path = match &arguments.resume {
        Some(path) => path.clone(),
        None if from_stdin => return Ok(None),
        None => beside(),
    };
    let input = (!from_stdin).then_some(&*arguments.file);
    StateFile::open(&path, input, SystemClock.command_id().0).map(Some)
}

fn open_answers(path: &Path) -> anyhow::Result<BufWriter<File>> {
    let file = File::options().create(true).append(true).open(path);
    Ok(BufWriter::new(file.with_context(|| format!("cannot write {}", path.display()))?))
}

/// Hands lines to the lanes of their customers.
struct Dealing {
    run: uuid::Uuid,
    skip: u64,
    lanes: Vec<mpsc::Sender<Line>>,
    results: mpsc::Sender<Vec<Result>>,
    ahead: Arc<Semaphore>,
}

impl Dealing {
    async fn deal(
        self,
        mut lines: mpsc::Receiver<std::io::Result<input::RawLine>>,
        bar: ProgressBar,
    ) -> anyhow::Result<()> {
        let interrupted = tokio::signal::ctrl_c();
        tokio::pin!(interrupted);
        loop {
            let line = tokio::select! {
                line = lines.recv() => line,
                _ = &mut interrupted => {
                    return Err(anyhow!("interrupted; the same command line goes on from here"));
                }
            };
            let Some(line) = line else { return Ok(()) };
            let line = line.context("cannot read on")?;
            bar.inc(line.bytes);
            if line.number <= self.skip {
                continue;
            }
            // Closed when a lane has failed: its error is the one to tell.
            let Ok(permit) = self.ahead.acquire().await else { return Ok(()) };
            permit.forget();
            let dealt = match line::read(self.run, line.number, &line.text) {
                Read::Command(command) => self.lane_of(&command).send(command).await.is_ok(),
                Read::Blank => self.settle(line.number, Fate::Blank).await,
                Read::Malformed(why) => {
                    self.settle(line.number, Fate::Malformed(why.to_owned())).await
                }
            };
            if !dealt {
                return Ok(());
            }
        }
    }

    fn lane_of(&self, line: &Line) -> &mpsc::Sender<Line> {
        let lanes = self.lanes.len() as u64;
        let index = usize::try_from(line.customer % lanes).expect("there are few lanes");
        self.lanes.get(index).expect("the index is below the number of lanes")
    }

    async fn settle(&self, line: u64, fate: Fate) -> bool {
        self.results.send(vec![Result { line, fate, answer: None }]).await.is_ok()
    }
}

/// What is printed at the end.
#[derive(Serialize)]
struct Counts<'a> {
    lines: u64,
    #[serde(flatten)]
    tally: &'a Tally,
}

/// Counts what became of lines, up to the mark: the first line that has no answer yet.
struct Counting {
    mark: u64,
    tally: Tally,
    pending: BTreeMap<u64, Fate>,
    state: Option<StateFile>,
    answers: Option<BufWriter<File>>,
    bar: ProgressBar,
    told: u64,
    saved: Instant,
}

impl Counting {
    fn take(&mut self, results: Vec<Result>, ahead: &Semaphore) -> anyhow::Result<()> {
        for result in results {
            self.tell(&result);
            if let (Some(answers), Some(answer)) = (&mut self.answers, &result.answer) {
                let line = result.line;
                writeln!(answers, r#"{{"line":{line},"answer":{answer}}}"#)
                    .context("cannot write answers")?;
            }
            self.pending.insert(result.line, result.fate);
        }
        while let Some(fate) = self.pending.remove(&(self.mark + 1)) {
            self.mark += 1;
            self.tally.count(&fate);
            ahead.add_permits(1);
        }
        if self.saved.elapsed() >= SAVE_EVERY {
            self.save()?;
        }
        Ok(())
    }

    fn tell(&mut self, result: &Result) {
        let (Fate::Rejected(why) | Fate::Malformed(why)) = &result.fate else { return };
        self.told += 1;
        if self.told <= TOLD_LINES {
            self.bar.suspend(|| eprintln!("line {}: {why}", result.line));
        } else if self.told == TOLD_LINES + 1 {
            self.bar
                .suspend(|| eprintln!("more lines were refused; --answers FILE keeps them all"));
        }
    }

    fn save(&mut self) -> anyhow::Result<()> {
        if let Some(answers) = &mut self.answers {
            answers.flush().context("cannot write answers")?;
        }
        if let Some(state) = &mut self.state {
            state.save(self.mark, &self.tally)?;
        }
        self.saved = Instant::now();
        Ok(())
    }

    /// Prints the counts and tells how the run ended.
    fn finish(mut self, failed: Option<anyhow::Error>, format: Format) -> anyhow::Result<()> {
        self.bar.finish_and_clear();
        self.save()?;
        if let Some(error) = failed {
            return Err(error.context(format!("stopped after line {}", self.mark)));
        }
        if let Some(state) = self.state {
            state.remove()?;
        }
        output::print_value(format, &Counts { lines: self.mark, tally: &self.tally })?;
        match self.tally.refused() {
            0 => Ok(()),
            refused => Err(anyhow!("{refused} lines were refused")),
        }
    }
}
