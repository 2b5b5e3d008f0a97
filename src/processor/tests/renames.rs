//! Do keys change hands across partitions as they should?

use super::ordered::Ordered;
use super::*;

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
fn a_held_command_is_settled_after_a_restart_at_any_step() {
    let whole = Ordered::new(4);
    let running = start(config(whole.clone(), "one"));
    running.ask(&create("a"));
    // Both keys on other partitions than their customer's: the claim has a way to go.
    let to = (0..100).map(|n| format!("to-{n}")).find(|key| {
        let home = |key: &str| Partition::of(CustomerId::slot(&scope(), &key.parse().unwrap()), 4);
        home(key) != home("a")
    });
    let to = to.unwrap();
    let before = whole.len();
    running.ask(&rename("a", &to));
    running.stop();
    let mut held = 0;
    for records in before..=whole.len() {
        let journal = whole.first(records);
        let found = replayed(&journal);
        let records = found.iter().flat_map(|(_, state)| state.records());
        held += records.map(|(_, it)| it.held.len()).sum::<usize>();
        let running = Running::on(&journal);
        let answer = running.ask(&rename("a", &to));
        assert_eq!(versions(&answer), (1, 2));
        assert_eq!(versions(&running.ask(&name(&to, "A"))), (2, 3));
        running.stop();
    }
    assert!(held > 0, "some of the restarts found a command held");
}
