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

#[test]
fn a_command_is_decided_recorded_and_answered() {
    let journal = MemoryJournal::new(4);
    let running = Running::on(&journal);
    let created = running.ask(&create("acme"));
    assert_eq!(versions(&created), (0, 1));
    assert_eq!(id(&created), CustomerId::slot(&scope(), &"acme".parse().unwrap()));
    let updated = running.ask(&name("acme", "Acme"));
    assert_eq!(versions(&updated), (1, 2));
    let position = updated.position.unwrap();
    assert_eq!(position.partition, Partition::of(id(&created), 4));
    assert_eq!(position.seq, created.position.unwrap().seq + 1);
    let states = running.stop();
    let decisions = decisions_of(&journal);
    assert_eq!(decisions.len(), 2);
    assert_eq!(serde_json::to_vec(&decisions[1].events).unwrap(), updated.events);
    assert_eq!(digest(&states), digest(&replayed(&journal)));
}

#[test]
fn a_refusal_is_recorded_and_changes_nothing() {
    let journal = MemoryJournal::new(4);
    let running = Running::on(&journal);
    assert_eq!(code(&running.ask(&name("nobody", "N"))), RejectionCode::UnknownCustomer);
    let states = running.stop();
    assert!(states.iter().all(|(_, state)| state.is_empty()));
    assert_eq!(decisions_of(&journal).len(), 1);
}

#[test]
fn the_same_command_id_gets_the_same_decision_also_after_a_restart() {
    let journal = MemoryJournal::new(4);
    let running = Running::on(&journal);
    let first = running.ask(&create("acme"));
    assert!(!first.repeated);
    let again = running.ask(&create("acme"));
    assert_eq!(again, Answer { repeated: true, ..first.clone() });
    running.stop();
    let running = Running::on(&journal);
    assert_eq!(running.ask(&create("acme")), Answer { repeated: true, ..first });
    running.stop();
    assert_eq!(decisions_of(&journal).len(), 1);
}

#[test]
fn a_command_id_is_not_to_be_used_for_something_else() {
    let journal = MemoryJournal::new(4);
    let running = Running::on(&journal);
    running.ask(&create("acme"));
    let first = command(&name("acme", "A"));
    let mut other = command(&name("acme", "B"));
    other.command_id = first.command_id;
    running.send(vec![first]);
    let answer = running.send(vec![other.clone()]).remove(0).unwrap();
    assert_eq!((code(&answer), answer.position), (RejectionCode::CommandIdReused, None));
    // In another tenant it is another id.
    other.scope.tenant = "u".parse().unwrap();
    let answer = running.send(vec![other]).remove(0).unwrap();
    assert_eq!(code(&answer), RejectionCode::UnknownCustomer);
    running.stop();
}

#[test]
fn repeats_in_one_batch_are_decided_once() {
    let journal = MemoryJournal::new(1);
    let running = Running::on(&journal);
    let commands: Vec<Command> = (0..10).map(|_| command(&create("acme"))).collect();
    let answers = running.send(commands);
    let first = answers[0].clone().unwrap();
    for answer in &answers[1..] {
        assert_eq!(*answer, Ok(Answer { repeated: true, ..first.clone() }));
    }
    running.stop();
    assert_eq!(decisions_of(&journal).len(), 1);
}

#[test]
fn an_idempotency_key_replays_the_answer_and_refuses_another_request() {
    let journal = MemoryJournal::new(4);
    let running = Running::on(&journal);
    running.ask(&create("acme"));
    let with_key = |n: u128, name_: &str, fingerprint: &str| {
        let mut command = command(&name("acme", name_));
        command.command_id = CommandId(Uuid::from_u128(n));
        command.context.idempotency_key = Some("k".parse().unwrap());
        command.context.fingerprint = Some(fingerprint.parse().unwrap());
        command
    };
    let first = running.send(vec![with_key(1, "A", "f")]).remove(0).unwrap();
    let again = running.send(vec![with_key(2, "A", "f")]).remove(0).unwrap();
    assert_eq!(again, Answer { repeated: true, ..first.clone() });
    let other = running.send(vec![with_key(3, "B", "g")]).remove(0).unwrap();
    assert_eq!(code(&other), RejectionCode::IdempotencyKeyReused);
    let both = running.send(vec![with_key(4, "A", "f"), with_key(5, "A", "f")]);
    assert!(both.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.repeated)));
    running.stop();
    let running = Running::on(&journal);
    assert_eq!(
        running.send(vec![with_key(6, "A", "f")]).remove(0).unwrap().command_id,
        first.command_id
    );
    running.stop();
}

#[test]
fn two_requests_with_one_idempotency_key_at_once_are_a_conflict() {
    let journal = MemoryJournal::new(1);
    let running = Running::on(&journal);
    running.ask(&create("acme"));
    let with_key = |n: u128| {
        let mut command = command(&name("acme", "A"));
        command.command_id = CommandId(Uuid::from_u128(n));
        command.context.idempotency_key = Some("k".parse().unwrap());
        command
    };
    let answers = running.send(vec![with_key(1), with_key(2)]);
    assert!(answers[0].is_ok());
    assert_eq!(answers[1], Err(InboxError::InFlight));
    running.stop();
}

#[test]
fn a_dry_run_shows_and_records_nothing() {
    let journal = MemoryJournal::new(4);
    let running = Running::on(&journal);
    running.ask(&create("acme"));
    let mut command = command(&name("acme", "A"));
    command.context.dry_run = true;
    let answer = running.send(vec![command.clone()]).remove(0).unwrap();
    assert_eq!((versions(&answer), answer.position), ((1, 2), None));
    let preview = answer.preview.unwrap();
    assert_eq!((preview.version, preview.profile.name.as_deref()), (2, Some("A")));
    assert_eq!(decisions_of(&journal).len(), 1);
    // It took no id either.
    command.context.dry_run = false;
    assert!(!running.send(vec![command]).remove(0).unwrap().repeated);
    running.stop();
}

#[test]
fn rules_that_fail_refuse_one_command_and_others_go_on() {
    fn brittle(record: &Record, ask: &Ask<'_>) -> Verdict {
        assert!(!format!("{:?}", ask.command.body).contains("poison"), "the rules fail");
        decisions::decide(record, ask)
    }
    let journal = MemoryJournal::new(1);
    let running = start(ProcessorConfig { decide: brittle, ..config(journal.reopen(), "one") });
    running.ask(&create("acme"));
    assert_eq!(code(&running.ask(&name("acme", "poison"))), RejectionCode::InternalFault);
    assert_eq!(versions(&running.ask(&name("acme", "fine"))), (1, 2));
    running.stop();
    // It is a decision like any other: a restart with the same rules does not run into it again.
    let running = start(ProcessorConfig { decide: brittle, ..config(journal.reopen(), "two") });
    assert!(running.ask(&name("acme", "poison")).repeated);
    running.stop();
}

#[test]
fn a_customer_is_renamed_across_partitions() {
    let journal = MemoryJournal::new(4);
    let running = Running::on(&journal);
    let created = running.ask(&create("a"));
    for (from, to) in [("a", "b"), ("b", "c"), ("c", "a"), ("a", "d")] {
        let renamed = running.ask(&rename(from, to));
        assert_eq!(id(&renamed), id(&created), "{from} {to}");
        assert_eq!(versions(&renamed).1, versions(&renamed).0 + 1);
    }
    assert_eq!(id(&running.ask(&name("d", "D"))), id(&created));
    assert_eq!(code(&running.ask(&name("b", "B"))), RejectionCode::UnknownCustomer);
    let other = running.ask(&create("e"));
    assert_eq!(code(&running.ask(&rename("e", "d"))), RejectionCode::KeyTaken);
    assert_ne!(id(&other), id(&created));
    let states = running.stop();
    assert_eq!(digest(&states), digest(&replayed(&journal)));
}

#[test]
fn a_freed_key_gives_a_further_customer() {
    let journal = MemoryJournal::new(4);
    let running = Running::on(&journal);
    let key = "acme".parse().unwrap();
    assert_eq!(id(&running.ask(&create("acme"))), CustomerId::slot(&scope(), &key));
    running.ask(&archive("acme"));
    // A repeat gets the first answer; another command makes the second customer.
    assert!(running.ask(&create("acme")).repeated);
    let again = running.ask(&create("acme").replace('}', " }"));
    assert_eq!(id(&again), CustomerId::nth(&scope(), &key, 1));
    assert_eq!(versions(&again), (0, 1));
    assert_eq!(id(&running.ask(&name("acme", "Second"))), id(&again));
    let states = running.stop();
    assert_eq!(digest(&states), digest(&replayed(&journal)));
}

#[test]
fn a_held_command_is_settled_after_a_restart() {
    let journal = MemoryJournal::new(4);
    let running = Running::on(&journal);
    running.ask(&create("a"));
    // Both keys on other partitions than their customer's: the claim has a way to go.
    let to = (0..100).map(|n| format!("to-{n}")).find(|key| {
        let home = |key: &str| Partition::of(CustomerId::slot(&scope(), &key.parse().unwrap()), 4);
        home(key) != home("a")
    });
    let to = to.unwrap();
    drop(running.inbox.send(vec![command(&rename("a", &to))]).unwrap());
    running.handle.stop(Duration::ZERO);
    let running = Running::on(&journal);
    let answer = running.ask(&rename("a", &to));
    assert_eq!(versions(&answer), (1, 2));
    assert_eq!(versions(&running.ask(&name(&to, "A"))), (2, 3));
    running.stop();
}

#[test]
fn a_stopping_inbox_takes_nothing_and_answers_what_it_took() {
    let journal = MemoryJournal::new(4);
    let running = Running::on(&journal);
    let mut open =
        running.inbox.send((0..500).map(|n| command(&create(&format!("k{n}")))).collect()).unwrap();
    running.inbox.stop();
    assert_eq!(
        running.inbox.send(vec![command(&create("late"))]).unwrap_err(),
        InboxError::Stopping
    );
    running.handle.stop(DEADLINE);
    let answers = open.try_recv().unwrap();
    assert!(
        answers.iter().all(|answer| answer.as_ref().is_ok_and(|answer| versions(answer) == (0, 1)))
    );
}

/// What came back for a command, of those that were answered.
fn answered(commands: &[Command], answers: Answers) -> Vec<(CommandId, Answer)> {
    let pairs = commands.iter().map(|command| command.command_id).zip(answers);
    pairs.filter_map(|(id, answer)| answer.ok().map(|answer| (id, answer))).collect()
}

fn await_answers(mut open: tokio::sync::oneshot::Receiver<Answers>) -> Answers {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match open.try_recv() {
            Ok(answers) => return answers,
            Err(_) if Instant::now() < deadline => std::thread::yield_now(),
            Err(error) => panic!("no answer: {error}"),
        }
    }
}

fn load(count: usize, seed: u64) -> Vec<Command> {
    Generator::new(Workload::Reference, seed, 50).take(count)
}

#[test]
fn any_batching_and_any_mischief_give_the_same_state() {
    let commands = load(3_000, 1);
    let run = |journal: Arc<dyn Journal>, batch: usize| {
        let running = start(ProcessorConfig {
            journal: Arc::clone(&journal),
            ..config(MemoryJournal::new(1), "one")
        });
        let mut open = Vec::new();
        for batch in commands.chunks(batch) {
            open.push(running.inbox.send(batch.to_vec()).unwrap());
        }
        for open in open {
            assert!(await_answers(open).iter().all(Result::is_ok));
        }
        let states = running.stop();
        assert_eq!(digest(&states), digest(&replayed(&*journal)));
        digest(&states)
    };
    let expected = run(Arc::new(MemoryJournal::new(4)), 1_000);
    for batch in [1, 7, 256] {
        assert_eq!(run(Arc::new(MemoryJournal::new(4)), batch), expected, "batches of {batch}");
    }
    assert_eq!(
        run(Arc::new(MemoryJournal::with_deliveries(4, Deliveries::ByThread)), 100),
        expected
    );
    for seed in 0..4 {
        let journal =
            AdversarialJournal::new(4, seed, Mischief::SOME).pumped(Duration::from_millis(1));
        assert_eq!(run(Arc::new(journal), 50), expected, "seed {seed}");
    }
}

#[test]
fn owners_that_fight_over_partitions_lose_and_double_nothing() {
    for seed in 0..3 {
        let journal =
            AdversarialJournal::new(2, seed, Mischief::SOME).pumped(Duration::from_millis(1));
        let commands = load(2_000, seed);
        let mut told: Vec<(CommandId, Answer)> = Vec::new();
        let one = start(config(journal.reopen(), "one"));
        told.extend(answered(&commands[..200], one.send(commands[..200].to_vec())));
        // The second takes the partitions away, the first claims them back, and so on: both are asked.
        let two = start(config(journal.reopen(), "two"));
        for chunk in commands[200..1_600].chunks(100) {
            let (left, right) = chunk.split_at(50);
            let at_one = one.inbox.send(left.to_vec()).unwrap();
            let at_two = two.inbox.send(right.to_vec()).unwrap();
            told.extend(answered(left, await_answers(at_one)));
            told.extend(answered(right, await_answers(at_two)));
        }
        one.handle.stop(Duration::ZERO);
        told.extend(answered(&commands[1_600..], two.send(commands[1_600..].to_vec())));
        let states = two.stop();
        journal.settle();
        let decisions = decisions_of(&journal);
        for (id, answer) in &told {
            let recorded: Vec<&Decision> =
                decisions.iter().filter(|d| d.command.command_id == *id).collect();
            assert_eq!(recorded.len(), 1, "{id} of seed {seed}");
            assert_eq!(answer.position.unwrap().seq, recorded[0].seq);
            assert_eq!(answer.outcome, recorded[0].outcome);
        }
        assert!(told.len() > 1_900, "{} answered", told.len());
        let ids: BTreeSet<CommandId> = decisions.iter().map(|d| d.command.command_id).collect();
        assert_eq!(ids.len(), decisions.len(), "no command is decided twice");
        assert_eq!(digest(&states), digest(&replayed(&journal)));
    }
}
