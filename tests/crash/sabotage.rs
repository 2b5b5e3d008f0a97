//! Builds that are broken on purpose: each skips, doubles or re-orders one command in ten thousand, at
//! another port, and the checker must find out. Each runs as a process of its own: this test binary,
//! started again as a server.

use std::path::Path;
use std::process::Command;
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
use tallybook::projector::Projector;
use tallybook_events::command;
use tallybook_events::ids::{CommandId, Partition};
use tallybook_projections::progress::Progress;
use tallybook_projections::store::sqlite::{SqliteQueries, SqliteStore};
use tokio::signal::unix::{SignalKind, signal};

use crate::checker::{Asked, Checked, Fault, check, stored};
use crate::common::{
    ALL_SCOPES, DEADLINE, Process, TENANT, make_key, until_async, until_async_within,
};
use crate::kill::{ask_all, ready};
use crate::load::{Clients, Plan, Wishes};

/// One command in so many is not treated as it should be.
const ONE_IN: u64 = 10_000;
/// So many commands are acknowledged in a run in which nothing is broken.
const ACKNOWLEDGED: u64 = 25_000;
/// So often something is broken in a run at least; each of it must be found out.
const BREAKS: usize = 3;
/// How long clients may write until that is so.
const PATIENCE: Duration = Duration::from_mins(5);
/// What the server says on stderr when it breaks something, before the id of the command.
const BROKE: &str = "broke ";
/// The variable that tells the test binary to be a server: what is broken, and the data folder.
const BROKEN: &str = "CRASH_TEST_BROKEN";
const DATA: &str = "CRASH_TEST_DATA";

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    /// Nothing: the same wiring must be found sound.
    Nothing,
    /// The inbox answers a command that it never handed over.
    InboxSkips,
    /// The inbox hands a command over twice, as if it were two.
    InboxDoubles,
    /// A lane swaps two commands of one request to one customer.
    LaneSwaps,
    /// A lane hands a command over twice, as the same: the processor decides it once.
    LaneDoubles,
    /// The rules accept a command and do nothing.
    RulesSkip,
    /// The rules let an event happen twice.
    RulesDouble,
}

const ALL: [Broken; 7] = [
    Broken::Nothing,
    Broken::InboxSkips,
    Broken::InboxDoubles,
    Broken::LaneSwaps,
    Broken::LaneDoubles,
    Broken::RulesSkip,
    Broken::RulesDouble,
];

/// Counts commands of clients, and says which of them is hit.
static COUNTED: AtomicU64 = AtomicU64::new(0);

fn hit() -> bool {
    COUNTED.fetch_add(1, Ordering::Relaxed) % ONE_IN == ONE_IN - 1
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
            | Broken::RulesDouble => {}
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

/// Wires a server as `serve` does, with what is broken in its place.
async fn serve(broken: Broken, data: &Path) {
    let journal =
        SqliteJournal::open(data, &Options::default(), Box::new(|_| std::process::abort()));
    let journal: Arc<dyn Journal> = Arc::new(journal.expect("the journal opens"));
    let progress = Arc::new(Progress::new(journal.partitions()));
    let store = SqliteStore::open(data).expect("the read models open");
    let queries = SqliteQueries::open(data, Arc::clone(&progress)).expect("the read models open");
    let clock: SharedClock = Arc::new(SystemClock);
    let projector =
        Projector::start(Arc::clone(&journal), Box::new(store), progress, Arc::clone(&clock))
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

/// Is the server of the other tests, when it is started as such.
#[test]
fn a_server_that_is_broken_on_purpose() {
    let Some(broken) = std::env::var_os(BROKEN) else { return };
    let broken = ALL.into_iter().find(|known| *broken == *format!("{known:?}"));
    let data = std::env::var_os(DATA).expect("a data folder");
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(serve(broken.expect("a known way to be broken"), Path::new(&data)));
}

/// A run against a server that is broken in a way.
struct Run {
    /// What clients sent and were told.
    asked: Vec<Asked>,
    /// Commands that were not treated as they should be.
    broken: Vec<String>,
    /// What the checker says.
    checked: Checked,
}

/// Lets clients write until enough is broken, or acknowledged, and checks.
async fn run(broken: Broken) -> Run {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let data = folder.path();
    let key = make_key(data, TENANT, "live", ALL_SCOPES).key;
    let mut command = Command::new(std::env::current_exe().expect("this test has a binary"));
    command
        .args(["sabotage::a_server_that_is_broken_on_purpose", "--exact", "--nocapture"])
        .env(BROKEN, format!("{broken:?}"))
        .env(DATA, data);
    let mut process = Process::spawn(command);
    let seed = 31 + broken as u64;
    let plan = Plan {
        seed,
        clients: 16,
        customers: 40,
        most_at_once: 60,
        first_client: 0,
        wishes: Wishes::Mixed,
    };
    let clients = Clients::start(plan);
    let client = ready(&mut process, &key).await;
    clients.write_to(Some(client.clone()));
    until_async_within(PATIENCE, "commands that are not treated as they should be", || {
        assert_eq!(process.ended(), None, "the server ended: {}", process.stderr());
        let enough = if broken == Broken::Nothing {
            clients.told() >= ACKNOWLEDGED
        } else {
            said(&process).len() >= BREAKS
        };
        std::future::ready(enough.then_some(()))
    })
    .await;
    let asked = clients.finish().await;
    let answers = ask_all(&client).await;
    process.signal("TERM");
    assert!(process.wait().success(), "{}", process.stderr());
    let mut checked = check(&stored::read(data), &asked);
    checked.compare_answers(&answers);
    checked.compare_database(data);
    Run { asked, broken: said(&process), checked }
}

/// Gives the commands that the server says it did not treat as it should.
fn said(process: &Process) -> Vec<String> {
    process
        .stderr()
        .lines()
        .filter_map(|line| line.strip_prefix(BROKE))
        .map(str::to_owned)
        .collect()
}

/// A fault, and whether it comes of what was done to a command; that one is there unless it is made up.
type Names = fn(&Fault, &str, Option<&Asked>) -> bool;

/// Runs until enough is broken: the checker must find each of it.
async fn is_found_out(broken: Broken, names: Names) {
    let run = run(broken).await;
    let faults = &run.checked.faults;
    for id in &run.broken {
        let asked = run.asked.iter().find(|asked| asked.id() == id);
        assert!(
            faults.iter().any(|fault| names(fault, id, asked)),
            "{broken:?} of {id} was not found: {asked:#?}\n{faults:#?}"
        );
    }
}

#[tokio::test]
async fn the_same_wiring_without_anything_broken_is_sound() {
    run(Broken::Nothing).await.checked.assert_sound();
}

#[tokio::test]
async fn an_inbox_that_skips_a_command_is_found_out() {
    is_found_out(
        Broken::InboxSkips,
        |fault, id, _| matches!(fault, Fault::Lost { command_id } if command_id == id),
    )
    .await;
}

#[tokio::test]
async fn an_inbox_that_doubles_a_command_is_found_out() {
    is_found_out(
        Broken::InboxDoubles,
        |fault, id, _| matches!(fault, Fault::Unasked { command_id } if command_id == id),
    )
    .await;
}

#[tokio::test]
async fn a_lane_that_swaps_two_commands_is_found_out() {
    is_found_out(Broken::LaneSwaps, |fault, _, asked| {
        let sent = asked.map(|asked| (asked.client, asked.number));
        matches!(fault, Fault::Reordered { client, later, .. } if sent == Some((*client, *later)))
    })
    .await;
}

#[tokio::test]
async fn a_lane_that_doubles_a_command_does_no_harm() {
    run(Broken::LaneDoubles).await.checked.assert_sound();
}

#[tokio::test]
async fn rules_that_skip_a_command_are_found_out() {
    is_found_out(
        Broken::RulesSkip,
        |fault, id, _| matches!(fault, Fault::NoEffect { command_id, .. } if command_id == id),
    )
    .await;
}

#[tokio::test]
async fn rules_that_double_an_event_are_found_out() {
    is_found_out(Broken::RulesDouble, |fault, _, asked| {
        let Some(Asked { command, told: Some(told), .. }) = asked else { return false };
        let reports = command["reports"].as_array().map_or(&[][..], Vec::as_slice);
        let is_of = |id: &str| told.customer_id.as_deref() == Some(id);
        let reports_it = |id: &str| reports.iter().any(|report| report["report_id"] == *id);
        let is_at = |seq: u64| told.position.is_some_and(|(_, at)| at == seq);
        matches!(fault, Fault::ReportDoubled { customer_id, report_id }
            if is_of(customer_id) && reports_it(report_id))
            || matches!(fault, Fault::OtherPast { customer_id, seq, .. }
                if is_of(customer_id) && is_at(*seq))
    })
    .await;
}
