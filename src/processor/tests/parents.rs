//! Do customers get parents across partitions as they should, and is what is told as done really done?

use tallybook_events::customer::ParentChanged;
use tallybook_events::event::Event;

use super::ordered::Ordered;
use super::*;

/// A change of the parent; `word` makes it another command than one of the same words before.
fn below(key: &str, parent: Option<&str>, word: usize) -> String {
    let parent = parent.map_or("null".to_owned(), |parent| format!(r#"{{"key":"{parent}"}}"#));
    format!(
        r#"{{"type":"UpdateCustomer","customer":{{"key":"{key}"}},"correlation_id":"w{word}","patch":{{"identity":{{"parent":{parent}}}}}}}"#
    )
}

fn customers(running: &Running, keys: &[&str]) {
    for key in keys {
        running.ask(&create(key));
    }
}

fn is_accepted(answer: &Answer) -> bool {
    matches!(answer.outcome, Outcome::Accepted(_))
}

#[test]
fn what_is_told_as_done_is_done_at_every_registrar() {
    let journal = MemoryJournal::new(4);
    let running = Running::on(&journal);
    customers(&running, &["a", "b", "c", "d"]);
    let mut word = 0;
    let mut ask = |key: &str, parent: Option<&str>| {
        word += 1;
        running.ask(&below(key, parent, word))
    };
    for _ in 0..20 {
        assert!(is_accepted(&ask("a", Some("b"))));
        assert_eq!(code(&ask("c", Some("a"))), RejectionCode::ParentIsChild);
        assert_eq!(code(&ask("b", Some("c"))), RejectionCode::CustomerHasChildren);
        // Another parent: the first one is free at once.
        assert!(is_accepted(&ask("a", Some("d"))));
        assert!(is_accepted(&ask("b", Some("c"))));
        assert!(is_accepted(&ask("b", None)));
        assert!(is_accepted(&ask("a", None)));
        assert!(is_accepted(&ask("c", Some("a"))));
        assert!(is_accepted(&ask("c", None)));
    }
    // So it is with keys, and with a parent that was let go.
    for round in 0..20 {
        let (old, new) = (format!("k{round}"), format!("k{}", round + 1));
        if round == 0 {
            running.ask(&create(&old));
        }
        assert!(is_accepted(&running.ask(&rename(&old, &new))), "{old}");
        let other = running.ask(&format!(
            r#"{{"type":"CreateCustomer","customer":{{"key":"{old}"}},"correlation_id":"again"}}"#
        ));
        assert!(is_accepted(&other), "{other:?}");
        assert!(is_accepted(&ask("a", Some(&old))));
        assert!(is_accepted(&running.ask(&archive(&old))), "nobody is promised anything any more");
    }
    let states = running.stop();
    assert_eq!(digest(&states), digest(&replayed(&journal)));
    for (_, state) in &states {
        for (id, record) in state.records() {
            assert_eq!(record.unanswered(), [], "{id}");
            assert!(record.ties.get().pledges.is_empty(), "{id}");
        }
    }
}

#[test]
fn a_change_of_the_parent_goes_on_after_a_restart_at_any_step() {
    let whole = Ordered::new(4);
    let running = start(config(whole.clone(), "one"));
    customers(&running, &["child", "parent", "other"]);
    running.ask(&below("child", Some("other"), 0));
    let (before, asked) = (whole.len(), below("child", Some("parent"), 1));
    running.ask(&asked);
    running.stop();
    let mut deferred = 0;
    for records in before..=whole.len() {
        let journal = whole.first(records);
        let held = replayed(&journal);
        deferred += held
            .iter()
            .flat_map(|(_, state)| state.records())
            .map(|(_, it)| it.held.len())
            .sum::<usize>();
        let running = Running::on(&journal);
        let answer = running.ask(&asked);
        let parent = |key: &str| Some(CustomerId::slot(&scope(), &key.parse().unwrap()));
        let expected =
            Event::ParentChanged(ParentChanged { from: parent("other"), to: parent("parent") });
        let told: Vec<Event> = decisions_of(&journal)
            .into_iter()
            .flat_map(|decision| decision.events)
            .filter(|event| *event == expected)
            .collect();
        assert_eq!(told.len(), 1, "after {records} records: {answer:?}");
        assert_eq!(versions(&answer), (2, 3));
        assert!(is_accepted(&running.ask(&archive("other"))));
        assert!(is_accepted(&running.ask(&archive("parent"))));
        let states = running.stop();
        assert_eq!(digest(&states), digest(&replayed(&journal)));
    }
    assert!(deferred > 0, "some of the restarts found a command held");
}

#[test]
fn two_that_become_each_others_child_at_once_have_one_winner() {
    for round in 0..20 {
        let journal = MemoryJournal::new(4);
        let running = Running::on(&journal);
        let (a, b) = (format!("a{round}"), format!("b{round}"));
        customers(&running, &[&a, &b]);
        let asked = [below(&a, Some(&b), 0), below(&b, Some(&a), 0)].map(|json| command(&json));
        let answers = running.send(asked.to_vec());
        let done = answers.iter().flatten().filter(|answer| is_accepted(answer)).count();
        assert_eq!(done, 1, "{answers:?}");
        running.stop();
    }
}

#[test]
fn a_parent_that_comes_to_its_end_meanwhile_has_that_child_or_not() {
    for round in 0..40 {
        let journal = MemoryJournal::new(4);
        let running = Running::on(&journal);
        let (child, parent) = (format!("c{round}"), format!("p{round}"));
        customers(&running, &[&child, &parent]);
        let asked = [below(&child, Some(&parent), 0), archive(&parent)].map(|json| command(&json));
        let answers = running.send(asked.to_vec());
        let [Ok(moved), Ok(ended)] = &answers[..] else { panic!("{answers:?}") };
        if !is_accepted(moved) {
            assert_eq!(code(moved), RejectionCode::ParentUnknown);
        }
        if !is_accepted(ended) {
            assert_eq!(code(ended), RejectionCode::ChangeInProgress);
        }
        // The end of a parent that got a child came after.
        if is_accepted(moved) && is_accepted(ended) {
            let changed = |decision: &Decision, name: &str| {
                decision.events.iter().any(|event| event.type_name() == name)
            };
            let decisions = decisions_of(&journal);
            let pledged = |name| {
                let id = CustomerId::slot(&scope(), &parent.parse().unwrap());
                let of = |it: &&Decision| it.outcome.customer_id() == Some(id) && changed(it, name);
                decisions.iter().find(of).map(|decision| decision.seq)
            };
            assert!(pledged("PledgeReleased.v1") < pledged("CustomerArchived.v1"));
        }
        running.stop();
    }
}
