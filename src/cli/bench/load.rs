//! Commands at a running processor, within this process: many in flight, answers awaited in order.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use hdrhistogram::Histogram;
use tallybook_events::command::Command;
use tallybook_events::decision::Outcome;

use crate::inbox::local::LocalInbox;

/// How long an answer may take before a run is given up.
const PATIENCE: Duration = Duration::from_mins(1);

/// How commands are handed over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Commands in one call.
    pub(super) batch: usize,
    /// Calls that are not answered yet.
    pub(super) in_flight: usize,
}

/// What a load came to.
pub(super) struct Load {
    /// Commands handed over.
    pub(super) commands: u64,
    /// Answers by outcome.
    pub(super) accepted: u64,
    /// Refused.
    pub(super) rejected: u64,
    /// Answered like before.
    pub(super) repeated: u64,
    /// Wall-clock time.
    pub(super) elapsed: Duration,
    /// Time of the processor cores, when the system tells it.
    pub(super) cpu: Option<Duration>,
    /// From hand-over to answer, in microseconds; one value a command.
    pub(super) latency: Histogram<u64>,
}

impl Load {
    pub(super) fn none() -> anyhow::Result<Self> {
        let latency =
            Histogram::new_with_bounds(1, 600_000_000, 3).context("bounds of a histogram")?;
        Ok(Self {
            commands: 0,
            accepted: 0,
            rejected: 0,
            repeated: 0,
            elapsed: Duration::ZERO,
            cpu: Some(Duration::ZERO),
            latency,
        })
    }

    /// Hands commands over, in order, and awaits all answers.
    ///
    /// # Errors
    /// When a command goes unanswered.
    pub(super) fn drive(
        &mut self,
        inbox: &LocalInbox,
        commands: Vec<Command>,
        pace: Pace,
    ) -> anyhow::Result<()> {
        let cpu = cpu_time();
        let began = Instant::now();
        let mut open = VecDeque::new();
        let mut rest = commands.into_iter();
        loop {
            let batch: Vec<Command> = rest.by_ref().take(pace.batch).collect();
            if batch.is_empty() {
                break;
            }
            if open.len() >= pace.in_flight {
                self.await_one(&mut open)?;
            }
            let count = u64::try_from(batch.len())?;
            let handed = Instant::now();
            let answers = inbox.send(batch).context("the inbox takes nothing")?;
            self.commands += count;
            open.push_back((handed, answers));
        }
        while !open.is_empty() {
            self.await_one(&mut open)?;
        }
        self.elapsed += began.elapsed();
        self.cpu = self
            .cpu
            .zip(cpu_time().zip(cpu))
            .map(|(sum, (after, before))| sum + after.saturating_sub(before));
        Ok(())
    }

    fn await_one(
        &mut self,
        open: &mut VecDeque<(Instant, tokio::sync::oneshot::Receiver<crate::inbox::Answers>)>,
    ) -> anyhow::Result<()> {
        let Some((handed, answers)) = open.pop_front() else { return Ok(()) };
        let answers = answers.blocking_recv().context("the processor is gone")?;
        let micros = u64::try_from(handed.elapsed().as_micros())?;
        if handed.elapsed() > PATIENCE {
            bail!("an answer took {} s", handed.elapsed().as_secs());
        }
        self.latency.saturating_record_n(micros.max(1), u64::try_from(answers.len())?);
        for answer in answers {
            let answer = answer.context("a command went unanswered")?;
            match answer.outcome {
                Outcome::Accepted(_) => self.accepted += 1,
                Outcome::Rejected(_) => self.rejected += 1,
                Outcome::Deferred(_)
                | Outcome::Forwarded { .. }
                | Outcome::DeadLettered { .. }
                | Outcome::Repeated { .. }
                | Outcome::Previewed(_) => {
                    bail!("a command was left undecided")
                }
            }
            self.repeated += u64::from(answer.repeated);
        }
        Ok(())
    }
}

/// Gives the time that each kind of thread of this process has had of the cores, on Linux. Threads of one
/// kind have the same name but for a number.
pub(super) fn thread_times() -> BTreeMap<String, Duration> {
    let mut times: BTreeMap<String, Duration> = BTreeMap::new();
    for task in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let read = |name| std::fs::read_to_string(task.path().join(name));
        // A thread may end while it is looked at.
        let (Ok(name), Ok(times_of)) = (read("comm"), read("schedstat")) else { continue };
        let name = name.trim().trim_end_matches(|end: char| end.is_ascii_digit() || end == '-');
        let nanos = times_of.split(' ').next().and_then(|nanos| nanos.parse().ok());
        *times.entry(name.to_owned()).or_default() += Duration::from_nanos(nanos.unwrap_or(0));
    }
    times
}

/// Gives the time that this process has had of the cores, to a hundredth of a second, on Linux.
pub(super) fn cpu_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold spaces; user and system time are fields 14 and 15 of the line.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}
