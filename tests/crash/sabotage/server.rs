//! The server that is broken on purpose: wired as `serve` does, with what is broken in its place.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tallybook::clock::{SharedClock, SystemClock};
use tallybook::decisions::{self, Ask, Record, TierCatalogue, Verdict};
use tallybook::gateway::{self, Gateway, ServerLimits};
use tallybook::inbox::local::LocalInbox;
use tallybook::inbox::{Answer, Inbox, InboxError, Incoming, Lanes};
use tallybook::journal::Journal;
use tallybook::journal::sqlite::{Options, SqliteJournal};
use tallybook::keys::sqlite::SqliteKeys;
use tallybook::processor::{Processor, ProcessorConfig};
use tallybook::projector::{Pace, Projector};
use tallybook_events::command::{self, Claim, CommandBody, EdgeClaim};
use tallybook_events::customer::EdgeClaimed;
use tallybook_events::decision::RejectionCode;
use tallybook_events::event::Event;
use tallybook_events::ids::{CommandId, Partition};
use tallybook_projections::progress::Progress;
use tallybook_projections::store::sqlite::{SqliteQueries, SqliteStore};
use tokio::signal::unix::{SignalKind, signal};

use super::{BROKE, Broken};
use crate::common::{DEADLINE, until_async};

/// One command in so many is not treated as it should be.
const ONE_IN: u64 = 10_000;
/// One refused place below a parent in so many is given.
const ONE_REFUSAL_IN: u64 = 100;

/// Counts commands of clients, and says which of them is hit.
static COUNTED: AtomicU64 = AtomicU64::new(0);

fn hit() -> bool {
    hit_one_in(ONE_IN)
}

fn hit_one_in(so_many: u64) -> bool {
    COUNTED.fetch_add(1, Ordering::Relaxed) % so_many == so_many - 1
}

/// Says that a command was not treated as it should be, in a way that shows in the journal.
fn broke(command_id: CommandId) {
    eprintln!("{BROKE}{command_id}");
}

/// Counts so many commands, and gives the place of one that is hit.
fn hit_among(commands: usize) -> Option<usize> {
    (0..commands).fold(None, |found, place| if hit() { Some(place) } else { found })
}

/// An inbox before the real one.
struct BrokenInbox {
    inner: Arc<dyn Inbox>,
    broken: Broken,
    /// An answer that was given: what is skipped gets the same.
    given: Mutex<Option<Answer>>,
}

#[async_trait]
impl Inbox for BrokenInbox {
    async fn submit(
        &self,
        mut commands: Vec<command::Command>,
        timeout: Duration,
    ) -> Vec<Result<Answer, InboxError>> {
        // Only what is broken counts: else the hits of the rules fall on the inbox's count.
        let mine = matches!(self.broken, Broken::InboxSkips | Broken::InboxDoubles);
        let place = if mine { hit_among(commands.len()) } else { None };
        match (self.broken, place) {
            (Broken::InboxSkips, Some(place)) => {
                let skipped = commands.remove(place);
                let mut answers = self.inner.submit(commands, timeout).await;
                let given = self.given.lock().expect("no thread panics").clone();
                let made_up = given.map(|given| Answer { command_id: skipped.command_id, ..given });
                // A request with an answer missing is sent again as a whole.
                let told = answers.iter().all(Result::is_ok);
                let made_up = made_up.filter(|_| told).ok_or(InboxError::Unknown);
                if made_up.is_ok() {
                    broke(skipped.command_id);
                }
                answers.insert(place, made_up);
                answers
            }
            (Broken::InboxDoubles, Some(place)) => {
                let mut again = commands[place].clone();
                let CommandId(id) = again.command_id;
                let doubled = CommandId(uuid::Uuid::from_u128(id.as_u128() ^ 1));
                again.command_id = doubled;
                commands.insert(place, again);
                let mut answers = self.inner.submit(commands, timeout).await;
                if answers.remove(place).is_ok() {
                    broke(doubled);
                }
                answers
            }
            _ => {
                let answers = self.inner.submit(commands, timeout).await;
                if let Some(Ok(answer)) = answers.first() {
                    *self.given.lock().expect("no thread panics") = Some(answer.clone());
                }
                answers
            }
        }
    }
}

/// Lanes before the real ones.
#[derive(Debug)]
struct BrokenLanes {
    inner: Arc<dyn Lanes>,
    broken: Broken,
    /// Whether a swap is due: the next request in which it can be done has it.
    due: AtomicU64,
}

impl Lanes for BrokenLanes {
    fn partitions(&self) -> u32 {
        self.inner.partitions()
    }

    fn push(&self, partition: Partition, mut batch: Vec<Incoming>) {
        match self.broken {
            Broken::LaneSwaps => {
                let hits = batch.iter().filter(|_| hit()).count();
                self.due.fetch_add(hits as u64, Ordering::Relaxed);
                let same =
                    |at: &usize| batch[*at].command.customer == batch[at + 1].command.customer;
                let place = (0..batch.len().saturating_sub(1)).find(same);
                if let Some(place) = place
                    && self.due.load(Ordering::Relaxed) > 0
                {
                    self.due.fetch_sub(1, Ordering::Relaxed);
                    batch.swap(place, place + 1);
                    broke(batch[place].command.command_id);
                }
            }
            Broken::LaneDoubles => {
                if let Some(place) = hit_among(batch.len()) {
                    let Incoming { command, json, source, .. } = &batch[place];
                    broke(command.command_id);
                    let (command, json) = (command.clone(), json.clone());
                    let again = Incoming { command, json, source: *source, reply: None };
                    batch.insert(place, again);
                }
            }
            Broken::Nothing
            | Broken::InboxSkips
            | Broken::InboxDoubles
            | Broken::RulesSkip
            | Broken::RulesDouble
            | Broken::RulesNest => {}
        }
        self.inner.push(partition, batch);
    }
}

/// Rules that do nothing for one command in ten thousand.
fn rules_skip(record: &Record, ask: &Ask<'_>) -> Verdict {
    match decisions::decide(record, ask) {
        Verdict::Accepted { events, duplicates, conflicts } if !events.is_empty() && hit() => {
            broke(ask.command.command_id);
            Verdict::Accepted { events: Vec::new(), duplicates, conflicts }
        }
        verdict @ (Verdict::Accepted { .. }
        | Verdict::Rejected(_)
        | Verdict::Forward(_)
        | Verdict::Deferred(_)) => verdict,
    }
}

/// Rules by which an event happens twice for one command in ten thousand.
fn rules_double(record: &Record, ask: &Ask<'_>) -> Verdict {
    match decisions::decide(record, ask) {
        Verdict::Accepted { mut events, duplicates, conflicts } if !events.is_empty() && hit() => {
            broke(ask.command.command_id);
            events.extend(events.last().cloned());
            Verdict::Accepted { events, duplicates, conflicts }
        }
        verdict @ (Verdict::Accepted { .. }
        | Verdict::Rejected(_)
        | Verdict::Forward(_)
        | Verdict::Deferred(_)) => verdict,
    }
}

/// Rules by which a child gets children, or a parent a parent, for one refusal in a hundred.
fn rules_nest(record: &Record, ask: &Ask<'_>) -> Verdict {
    match (decisions::decide(record, ask), &ask.command.body) {
        (Verdict::Rejected(refused), CommandBody::Claim(Claim::Edge(claim)))
            if refused.code != RejectionCode::ParentIsSelf && hit_one_in(ONE_REFUSAL_IN) =>
        {
            broke(ask.command.command_id);
            let EdgeClaim { parent, child, held } = *claim;
            let claimed = Event::EdgeClaimed(EdgeClaimed { parent, child, held });
            let (duplicates, conflicts) = (Vec::new(), Vec::new());
            Verdict::Accepted { events: vec![claimed], duplicates, conflicts }
        }
        (verdict, _) => verdict,
    }
}

/// Wires a server as `serve` does, with what is broken in its place.
pub(super) async fn serve(broken: Broken, data: &Path) {
    let journal =
        SqliteJournal::open(data, &Options::default(), Box::new(|_| std::process::abort()));
    let journal: Arc<dyn Journal> = Arc::new(journal.expect("the journal opens"));
    let progress = Arc::new(Progress::new(journal.partitions()));
    let store = SqliteStore::open(data).expect("the read models open");
    let queries = SqliteQueries::open(data, Arc::clone(&progress)).expect("the read models open");
    let clock: SharedClock = Arc::new(SystemClock);
    let pace = Pace::Gathering(Duration::from_millis(100));
    let projector =
        Projector::start(Arc::clone(&journal), Box::new(store), progress, Arc::clone(&clock), pace)
            .expect("there are threads");
    let processor = Processor::start(ProcessorConfig {
        journal,
        clock: Arc::clone(&clock),
        tiers: TierCatalogue::default(),
        name: "broken".to_owned(),
        workers: 2,
        decide: match broken {
            Broken::RulesSkip => rules_skip,
            Broken::RulesDouble => rules_double,
            Broken::RulesNest => rules_nest,
            Broken::Nothing
            | Broken::InboxSkips
            | Broken::InboxDoubles
            | Broken::LaneSwaps
            | Broken::LaneDoubles => decisions::decide,
        },
        feed: None,
        snapshots: None,
    })
    .expect("there are threads");
    let lanes = BrokenLanes { inner: processor.lanes(), broken, due: AtomicU64::new(0) };
    let inner = Arc::new(LocalInbox::new(Arc::new(lanes)));
    let gateway = Gateway {
        inbox: Arc::new(BrokenInbox { inner, broken, given: Mutex::default() }),
        queries: Arc::new(queries),
        keys: Arc::new(SqliteKeys::open(&data.join("keys.db")).expect("the keys open")),
        clock,
        timeouts: gateway::Timeouts::default(),
        waits: gateway::Waits::AtTheQuestion,
    };
    let recorder = gateway::Operations::recorder().build_recorder();
    until_async("owners and rows", || {
        let ready = processor.is_ready() && projector.status().ready().is_ok();
        std::future::ready(ready.then_some(()))
    })
    .await;
    let ready: gateway::Ready = Arc::new(|| Ok(()));
    let operations = gateway::Operations { ready, metrics: recorder.handle() };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    eprintln!("listening on http://{}", listener.local_addr().expect("an address"));
    let mut terminate = signal(SignalKind::terminate()).expect("signals can be heard");
    let stop = async move {
        terminate.recv().await;
    };
    let router = gateway::router(gateway, operations);
    gateway::serve(listener, None, router, ServerLimits::default(), stop).await;
    processor.stop(DEADLINE);
    projector.stop();
}
