//! Does a journal that loses, delays, repeats and re-orders, or an owner beside, change what comes out?

use super::*;

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
            for answer in await_answers(open) {
                assert!(answer.is_ok(), "{answer:?}");
            }
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
