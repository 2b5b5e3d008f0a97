//! The gateway's side: puts commands into the topic, follows the journal, and gives each decision to
//! those who wait for it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use tallybook_events::chain::{Chain, Checkpoint, Offset};
use tallybook_events::codec::{self, Record};
use tallybook_events::command::{Command, CommandBody};
use tallybook_events::decision::{Decision, Outcome, Preview};
use tallybook_events::ids::{CommandId, Partition, Position};

use super::feed::sent;
use super::returning::Returning;
use super::sending::{KEPT_WITHIN, Sender, Sent};
use super::waiters::{Waiter, Waiters, answer_all};
use crate::inbox::reply::open_call;
use crate::inbox::{Answer, Delivered, Inbox, InboxError, MAX_IN_FLIGHT};
use crate::journal::{Journal, JournalError, Stored};
use crate::kafka::{Kafka, topics};

/// Most records that are looked at at a time.
const RECORDS: usize = 4_096;
/// How long to wait for records before looking whether to stop, or who has gone.
const LOOK_UP: Duration = Duration::from_millis(100);
/// Pause before a journal that did not answer is asked again.
const PAUSE: Duration = Duration::from_millis(200);

/// An inbox whose commands go through Kafka.
pub struct KafkaInbox {
    commands: Arc<Sender>,
    partitions: u32,
    waiters: Arc<Waiters>,
    in_flight: Arc<AtomicUsize>,
    stopping: AtomicBool,
    follows: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for KafkaInbox {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KafkaInbox").finish_non_exhaustive()
    }
}

impl KafkaInbox {
    /// Opens the way to the topic, and follows the journal from where somebody has judged it.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when a part cannot be opened.
    pub fn open(
        kafka: &Kafka,
        journal: Arc<dyn Journal>,
        from: Vec<(Partition, Checkpoint)>,
    ) -> Result<Self, JournalError> {
        let unavailable = |error| JournalError::Unavailable(Box::new(error));
        let commands = Sender::open(kafka, topics::COMMANDS).map_err(unavailable)?;
        let partitions = journal.partitions();
        let waiters = Arc::new(Waiters::default());
        let stop = Arc::new(AtomicBool::new(false));
        let mut chains: BTreeMap<Partition, Chain> =
            (0..partitions).map(|number| (Partition(number), Chain::default())).collect();
        for (partition, checkpoint) in from {
            chains.insert(partition, Chain::from(checkpoint));
        }
        let follows = Arc::new(AtomicBool::new(false));
        let answering = Answering {
            journal,
            waiters: Arc::clone(&waiters),
            chains,
            held: HashMap::new(),
            follows: Arc::clone(&follows),
            returning: Returning::default(),
        };
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("answers".into())
            .spawn(move || answering.run(&stopped))
            .map_err(|error| JournalError::Unavailable(Box::new(error)))?;
        Ok(Self {
            commands: Arc::new(commands),
            partitions,
            waiters,
            in_flight: Arc::default(),
            stopping: AtomicBool::new(false),
            follows,
            stop,
            thread: Some(thread),
        })
    }

    fn records(&self, commands: &[Command]) -> Vec<Sent> {
        let record =
            |command: &Command| sent(Partition::of(command.home(), self.partitions), command);
        commands.iter().map(record).collect()
    }

    /// Tells whether decisions are seen as they come.
    pub fn follows(&self) -> bool {
        self.follows.load(Ordering::Acquire)
    }

    /// Takes no more commands; those that were taken are still answered.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }
}

#[async_trait]
impl Inbox for KafkaInbox {
    async fn submit(
        &self,
        commands: Vec<Command>,
        timeout: Duration,
    ) -> Vec<Result<Answer, InboxError>> {
        let count = commands.len();
        if self.stopping.load(Ordering::Acquire) {
            return vec![Err(InboxError::Stopping); count];
        }
        if self.in_flight.load(Ordering::Relaxed) + count > MAX_IN_FLIGHT {
            return vec![Err(InboxError::Full); count];
        }
        if count == 0 {
            return Vec::new();
        }
        let until = Instant::now() + timeout;
        let (replies, answers) = open_call(count, &self.in_flight);
        let records = self.records(&commands);
        // Before they are sent: a decision may be there at once.
        self.waiters.add(commands, replies, until);
        let sender = Arc::clone(&self.commands);
        let deadline = Instant::now() + KEPT_WITHIN.min(timeout);
        let sending = tokio::task::spawn_blocking(move || {
            // What is not kept is not answered: the callers hear that the outcome is unknown.
            drop(sender.hand_over(&records, deadline));
        });
        if sending.await.is_err() {
            tracing::error!("handing commands over panicked");
        }
        match tokio::time::timeout_at(until.into(), answers).await {
            Ok(Ok(answers)) => answers,
            Ok(Err(_)) | Err(_) => vec![Err(InboxError::Unknown); count],
        }
    }

    async fn deliver(
        &self,
        commands: Vec<Command>,
        timeout: Duration,
    ) -> Vec<Result<Delivered, InboxError>> {
        if self.stopping.load(Ordering::Acquire) {
            return vec![Err(InboxError::Stopping); commands.len()];
        }
        // Of a dry run nothing is kept that could be asked for later.
        if commands.iter().any(|command| command.context.dry_run) {
            let answers = self.submit(commands, timeout).await;
            return answers.into_iter().map(|answer| answer.map(Delivered::of)).collect();
        }
        let (records, ids) = (self.records(&commands), ids(&commands));
        let sender = Arc::clone(&self.commands);
        let keeping = tokio::task::spawn_blocking(move || sender.keep(&records, timeout));
        let kept = keeping.await.unwrap_or_default();
        let delivered = |command_id| {
            if kept {
                Ok(Delivered::Kept { command_id, position: None })
            } else {
                Err(InboxError::Unknown)
            }
        };
        ids.into_iter().map(delivered).collect()
    }
}

fn ids(commands: &[Command]) -> Vec<CommandId> {
    commands.iter().map(|command| command.command_id).collect()
}

impl Drop for KafkaInbox {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was told when it happened.
            let _ = thread.join();
        }
    }
}

/// Follows the journal.
struct Answering {
    journal: Arc<dyn Journal>,
    waiters: Arc<Waiters>,
    chains: BTreeMap<Partition, Chain>,
    /// Who waits for a held command.
    held: HashMap<CommandId, Vec<Waiter>>,
    /// Whether it can be followed, for all to see.
    follows: Arc<AtomicBool>,
    /// Who waits for what a decision gives back.
    returning: Returning,
}

impl Answering {
    fn run(mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Acquire) {
            match self.follow(stop) {
                Ok(()) => return,
                Err(why) => {
                    self.follows.store(false, Ordering::Release);
                    tracing::warn!(why, "the journal is followed anew");
                    thread::sleep(PAUSE);
                }
            }
        }
    }

    fn follow(&mut self, stop: &AtomicBool) -> Result<(), String> {
        let from = self.chains.iter().map(|(of, chain)| (*of, chain.checkpoint().offset)).collect();
        let mut follower = self.journal.follow(from).map_err(|error| error.to_string())?;
        self.follows.store(true, Ordering::Release);
        let mut looked = Instant::now();
        while !stop.load(Ordering::Acquire) {
            let stored = follower.next(RECORDS, LOOK_UP).map_err(|error| error.to_string())?;
            for (partition, stored) in &stored {
                self.judge(*partition, stored)?;
            }
            if looked.elapsed() >= LOOK_UP {
                looked = Instant::now();
                self.waiters.forget_late(looked);
                for waiters in self.held.values_mut() {
                    waiters.retain(|waiter| waiter.until > looked);
                }
                self.held.retain(|_, waiters| !waiters.is_empty());
                self.returning.forget_late(looked);
            }
        }
        Ok(())
    }

    fn judge(&mut self, partition: Partition, stored: &Stored) -> Result<(), String> {
        let Some(chain) = self.chains.get_mut(&partition) else { return Ok(()) };
        let judged = chain.judge(stored.offset, &stored.record);
        if !judged.map_err(|halt| halt.to_string())?.counts() {
            return Ok(());
        }
        if self.held.is_empty() && self.waiters.is_empty() && self.returning.is_empty() {
            // Whoever waits for it is there before it.
            return Ok(());
        }
        match codec::read(&stored.record) {
            Ok(Record::Decision(decision)) => self.decided(partition, *decision),
            Ok(Record::Claim(_) | Record::DeadLetter(_)) => {}
            Err(error) => tracing::error!(%partition, offset = stored.offset, %error, "unreadable"),
        }
        Ok(())
    }

    fn decided(&mut self, partition: Partition, mut decision: Decision) {
        self.returning.saw(&decision, Instant::now());
        let gives_back = std::mem::take(&mut decision.gives_back);
        if let CommandBody::SettleClaim(_) = &decision.command.body {
            let settled = decision.outcome.settles(&decision.command.body);
            if let Some((held, waiters)) = settled.and_then(|held| self.held.remove_entry(&held)) {
                let answer = Self::answer(partition, held, &decision, false);
                self.returning.answer(gives_back, waiters, answer);
            }
            return;
        }
        let id = decision.command.command_id;
        if !self.waiters.has(id) {
            return;
        }
        match &decision.outcome {
            Outcome::Forwarded { .. } | Outcome::DeadLettered { .. } => {}
            Outcome::Deferred(_) => {
                let waiters = self.waiters.take(&decision.command);
                self.held.entry(id).or_default().extend(waiters);
            }
            Outcome::Repeated { offset } => self.repeated(partition, *offset, &decision),
            Outcome::Previewed(preview) => {
                let waiters = self.waiters.take(&decision.command);
                answer_all(waiters, &previewed(&decision, preview));
            }
            Outcome::Accepted(_) | Outcome::Rejected(_) => {
                let waiters = self.waiters.take(&decision.command);
                let answer = Self::answer(partition, id, &decision, false);
                self.returning.answer(gives_back, waiters, answer);
            }
        }
    }

    /// Answers a repeat with the decision of then; who finds it still held waits on.
    fn repeated(&mut self, partition: Partition, offset: Offset, repeat: &Decision) {
        let id = repeat.command.command_id;
        let waiters = self.waiters.take(&repeat.command);
        let read = self.journal.read(partition, offset, 1, 1);
        let stored = read.ok().and_then(|read| read.into_iter().next());
        let first = stored.and_then(|stored| match codec::read(&stored.record) {
            Ok(Record::Decision(decision)) => Some(*decision),
            Ok(Record::Claim(_) | Record::DeadLetter(_)) | Err(_) => None,
        });
        match first {
            Some(first) if matches!(first.outcome, Outcome::Deferred(_)) => {
                self.held.entry(id).or_default().extend(waiters);
            }
            Some(mut first) => {
                let gives_back = std::mem::take(&mut first.gives_back);
                let answer = Self::answer(partition, id, &first, true);
                self.returning.answer(gives_back, waiters, answer);
            }
            // Dropped: the callers hear that the outcome is unknown, and ask again.
            None => drop(waiters),
        }
    }

    fn answer(partition: Partition, id: CommandId, decision: &Decision, repeated: bool) -> Answer {
        let events = serde_json::to_vec(&decision.events).expect("events are JSON");
        Answer {
            command_id: id,
            position: Some(Position { partition, seq: decision.seq }),
            decided_at: decision.decided_at,
            outcome: decision.outcome.clone(),
            events: Bytes::from(events),
            repeated,
            preview: None,
        }
    }
}

/// Gives what would have become of a command. There is nothing to be found at the note's position.
fn previewed(decision: &Decision, preview: &Preview) -> Answer {
    let events = serde_json::to_vec(&preview.events).expect("events are JSON");
    // A document of another build that this one cannot read is left out.
    let customer = preview.customer.as_ref();
    let customer = customer.and_then(|json| serde_json::from_str(&json.to_string()).ok());
    Answer {
        command_id: decision.command.command_id,
        position: None,
        decided_at: decision.decided_at,
        outcome: preview.outcome.clone(),
        events: Bytes::from(events),
        repeated: false,
        preview: customer,
    }
}
