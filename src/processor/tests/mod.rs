//! The processor as a whole, over journals in memory: what is answered, repeated, rebuilt and kept.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tallybook_events::chain::Chain;
use tallybook_events::codec::{self, Record as JournalRecord};
use tallybook_events::command::{Command, CommandDraft, Defaults};
use tallybook_events::decision::{Decision, Outcome, RejectionCode};
use tallybook_events::ids::{CommandId, CustomerId, Environment, Partition, Scope};
use tallybook_events::time::Timestamp;
use uuid::Uuid;

use super::{PartitionState, Processor, ProcessorConfig, ProcessorHandle, restore};
use crate::cli::bench::workload::{Generator, Workload};
use crate::clock::FixedClock;
use crate::decisions::{self, Ask, Record, TierCatalogue, Verdict, state_digest};
use crate::inbox::local::LocalInbox;
use crate::inbox::{Answer, Answers, InboxError};
use crate::journal::Journal;
use crate::journal::adversarial::{AdversarialJournal, Mischief};
use crate::journal::memory::{Deliveries, MemoryJournal};

mod answers;
mod idempotency;
mod ordered;
mod renames;
mod parents;
mod mischief;
mod snapshots;

const DEADLINE: Duration = Duration::from_secs(30);

fn now() -> Timestamp {
    "2026-01-15T12:00:00Z".parse().unwrap()
}

fn scope() -> Scope {
    Scope { tenant: "t".parse().unwrap(), environment: Environment::Live }
}

fn config(journal: impl Journal, name: &str) -> ProcessorConfig {
    ProcessorConfig {
        journal: Arc::new(journal),
        clock: Arc::new(FixedClock::new(now())),
        tiers: TierCatalogue::builtin(),
        name: name.into(),
        workers: 2,
        decide: decisions::decide,
        feed: None,
        snapshots: None,
    }
}

struct Running {
    handle: ProcessorHandle,
    inbox: LocalInbox,
}

fn start(config: ProcessorConfig) -> Running {
    let handle = Processor::start(config).unwrap();
    let inbox = LocalInbox::new(handle.lanes());
    Running { handle, inbox }
}

impl Running {
    fn on(journal: &MemoryJournal) -> Self {
        start(config(journal.reopen(), "one"))
    }

    fn send(&self, commands: Vec<Command>) -> Answers {
        let mut answers = self.inbox.send(commands).unwrap();
        let deadline = Instant::now() + DEADLINE;
        loop {
            match answers.try_recv() {
                Ok(answers) => return answers,
                Err(_) if Instant::now() < deadline => std::thread::yield_now(),
                Err(error) => panic!("no answer: {error}"),
            }
        }
    }

    fn ask(&self, json: &str) -> Answer {
        self.send(vec![command(json)]).remove(0).unwrap()
    }

    fn stop(self) -> Vec<(Partition, PartitionState)> {
        self.inbox.stop();
        self.handle.stop(DEADLINE)
    }
}

/// Reads a command as HTTP would; a `command_id` that is a small number stands for a UUID.
fn command(json: &str) -> Command {
    let draft: CommandDraft =
        serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"));
    let defaults = Defaults {
        command_id: Some(CommandId(Uuid::from_u128(u128::from(fnv(json))))),
        scope: Some(scope()),
        issued_at: Some(now()),
        actor: Some("a".parse().unwrap()),
        source: Some("test".parse().unwrap()),
    };
    draft.complete(defaults).unwrap()
}

fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn create(key: &str) -> String {
    format!(r#"{{"type":"CreateCustomer","customer":{{"key":"{key}"}}}}"#)
}

fn name(key: &str, name: &str) -> String {
    format!(
        r#"{{"type":"UpdateCustomer","customer":{{"key":"{key}"}},"patch":{{"profile":{{"name":"{name}"}}}}}}"#
    )
}

fn rename(key: &str, to: &str) -> String {
    format!(r#"{{"type":"UpdateCustomer","customer":{{"key":"{key}"}},"patch":{{"key":"{to}"}}}}"#)
}

fn archive(key: &str) -> String {
    format!(r#"{{"type":"ArchiveCustomer","customer":{{"key":"{key}"}}}}"#)
}

fn versions(answer: &Answer) -> (u64, u64) {
    let Outcome::Accepted(accepted) = &answer.outcome else { panic!("not accepted: {answer:?}") };
    (accepted.from_version, accepted.to_version)
}

fn id(answer: &Answer) -> CustomerId {
    answer.outcome.customer_id().unwrap()
}

fn code(answer: &Answer) -> RejectionCode {
    let Outcome::Rejected(rejection) = &answer.outcome else { panic!("not rejected: {answer:?}") };
    rejection.code
}

/// Reads what counts in a journal, independently of any processor.
fn decisions_of(journal: &dyn Journal) -> Vec<Decision> {
    let mut decisions = Vec::new();
    for partition in (0..journal.partitions()).map(Partition) {
        let mut chain = Chain::default();
        let end = journal.bounds(partition).unwrap().end;
        while chain.checkpoint().offset < end {
            for stored in
                journal.read(partition, chain.checkpoint().offset, 1_000, 1 << 20).unwrap()
            {
                if chain.judge(stored.offset, &stored.record).unwrap().counts()
                    && let JournalRecord::Decision(decision) = codec::read(&stored.record).unwrap()
                {
                    decisions.push(*decision);
                }
            }
        }
    }
    decisions
}

fn digest(states: &[(Partition, PartitionState)]) -> [u8; 32] {
    state_digest(states.iter().flat_map(|(_, state)| state.records()))
}

fn replayed(journal: &dyn Journal) -> Vec<(Partition, PartitionState)> {
    let replay = |partition| {
        let mut state = PartitionState::default();
        restore(journal, partition, &mut Chain::default(), &mut state).unwrap();
        (partition, state)
    };
    (0..journal.partitions()).map(Partition).map(replay).collect()
}
