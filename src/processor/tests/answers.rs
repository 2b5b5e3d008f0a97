//! Are commands decided once, recorded, and answered the same again?

use tallybook_events::decision::Rejection;

use super::*;

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

/// Makes a command with an idempotency key that a refusal frees.
fn once(json: &str, n: u128) -> Command {
    let mut command = command(json);
    command.command_id = CommandId(Uuid::from_u128(n));
    command.context.idempotency_key = Some("k".parse().unwrap());
    command.context.refusal_frees_key = true;
    command
}

#[test]
fn a_refusal_frees_the_idempotency_key_where_the_command_says_so_but_a_conflict_does_not() {
    let journal = MemoryJournal::new(4);
    let running = Running::on(&journal);
    let ask =
        |running: &Running, json: &str, n| running.send(vec![once(json, n)]).remove(0).unwrap();
    // Refused: the same key again is decided anew, and goes through once the reason is gone.
    assert_eq!(code(&ask(&running, &name("a", "A"), 1)), RejectionCode::UnknownCustomer);
    let again = ask(&running, &name("a", "A"), 2);
    assert_eq!((code(&again), again.repeated), (RejectionCode::UnknownCustomer, false));
    running.ask(&create("a"));
    assert_eq!(versions(&ask(&running, &name("a", "A"), 3)), (1, 2));
    // Accepted: the key is used, after a restart, too.
    running.stop();
    let running = Running::on(&journal);
    assert!(ask(&running, &name("a", "A"), 4).repeated);
    assert_eq!(code(&ask(&running, &name("a", "B"), 5)), RejectionCode::IdempotencyKeyReused);
    // A conflict keeps the key of its customer, here after a claim on another partition.
    for key in ["b", "c"] {
        running.ask(&create(key));
    }
    assert_eq!(code(&ask(&running, &rename("b", "c"), 6)), RejectionCode::KeyTaken);
    assert!(ask(&running, &rename("b", "c"), 7).repeated);
    running.stop();
}

#[test]
fn an_idempotency_key_that_a_refusal_frees_goes_with_the_customer_to_its_new_key() {
    let journal = MemoryJournal::new(4);
    let running = Running::on(&journal);
    let ask = |json: &str, n| running.send(vec![once(json, n)]).remove(0).unwrap();
    running.ask(&create("a"));
    assert_eq!(versions(&ask(&rename("a", "b"), 1)), (1, 2));
    // By the new key the slot sends it on; who holds the key knows.
    assert_eq!(code(&ask(&name("b", "B"), 2)), RejectionCode::IdempotencyKeyReused);
    assert_eq!(code(&ask(&name("b", "B"), 3)), RejectionCode::IdempotencyKeyReused);
    running.stop();
}

#[test]
fn a_dry_run_tells_whether_an_idempotency_key_is_used() {
    let journal = MemoryJournal::new(4);
    let running = Running::on(&journal);
    running.ask(&create("a"));
    let probe = |n| {
        let mut command = once(r#"{"type":"UpdateCustomer","customer":{"key":"a"},"patch":{}}"#, n);
        command.context.dry_run = true;
        running.send(vec![command]).remove(0).unwrap()
    };
    assert_eq!((probe(1).repeated, probe(2).position), (false, None));
    running.send(vec![once(&name("a", "A"), 3)]).remove(0).unwrap();
    assert_eq!(code(&probe(4)), RejectionCode::IdempotencyKeyReused);
    running.stop();
    assert_eq!(decisions_of(&journal).len(), 2);
}

/// A clock that moves on whenever it is read.
#[derive(Debug, Default)]
struct TickingClock(std::sync::atomic::AtomicI64);

impl crate::clock::Clock for TickingClock {
    fn now(&self) -> Timestamp {
        now().plus_micros(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
    }
    fn command_id(&self) -> CommandId {
        CommandId(Uuid::nil())
    }
    fn customer_id(&self) -> CustomerId {
        CustomerId(Uuid::nil())
    }
}

#[test]
fn the_moment_that_the_rules_saw_is_the_one_that_is_recorded() {
    fn telling(_: &Record, ask: &Ask<'_>) -> Verdict {
        let code = RejectionCode::UnknownCustomer;
        Verdict::Rejected(Rejection::new(code, ask.decided_at.to_string()))
    }
    let journal = MemoryJournal::new(1);
    let clock = Arc::new(TickingClock::default());
    let config = config(journal.reopen(), "one");
    let running = start(ProcessorConfig { decide: telling, clock, ..config });
    let answer = running.ask(&create("acme"));
    let told = Rejection::new(RejectionCode::UnknownCustomer, answer.decided_at.to_string());
    assert_eq!(answer.outcome, Outcome::Rejected(told));
    running.stop();
    assert_eq!(decisions_of(&journal)[0].decided_at, answer.decided_at);
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
