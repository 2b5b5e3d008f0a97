//! Whose is an idempotency key? The customer's, however it is named, on one partition and on many.

use super::*;

/// The numbers of partitions that are tried: names and customers together, and apart.
const PARTITIONS: [u32; 2] = [1, 4];

/// A command with an idempotency key; `n` makes it another command than those before.
fn keyed(json: &str, n: u128) -> Command {
    let mut command = command(json);
    command.command_id = CommandId(Uuid::from_u128(n));
    command.context.idempotency_key = Some("k".parse().unwrap());
    command.context.fingerprint = Some("f".parse().unwrap());
    command
}

fn ask(running: &Running, json: &str, n: u128) -> Answer {
    running.send(vec![keyed(json, n)]).remove(0).unwrap()
}

fn again(running: Running, journal: &MemoryJournal) -> Running {
    running.stop();
    Running::on(journal)
}

#[test]
fn a_repeat_is_known_by_whatever_name() {
    for partitions in PARTITIONS {
        let journal = MemoryJournal::new(partitions);
        let running = Running::on(&journal);
        for round in 0..8_u128 {
            let (old, new) = (format!("a{round}"), format!("b{round}"));
            let created = running.ask(&create(&old));
            let n = 100 * round;
            let first = ask(&running, &name(&old, "A"), n + 1);
            running.ask(&rename(&old, &new));
            let by_id = name(&old, "A").replace(
                &format!(r#"{{"key":"{old}"}}"#),
                &format!(r#"{{"id":"{}"}}"#, id(&created)),
            );
            for (json, n) in [(name(&new, "A"), n + 2), (by_id, n + 3)] {
                let told = ask(&running, &json, n);
                assert!(told.repeated, "{partitions} {round} {told:?}");
                assert_eq!(told, Answer { repeated: true, ..first.clone() });
            }
        }
        let running = again(running, &journal);
        for round in 0..8_u128 {
            assert!(ask(&running, &name(&format!("b{round}"), "A"), 100 * round + 4).repeated);
        }
        running.stop();
    }
}

#[test]
fn who_has_the_name_now_has_its_own_keys() {
    for partitions in PARTITIONS {
        let journal = MemoryJournal::new(partitions);
        let running = Running::on(&journal);
        running.ask(&create("a"));
        let first = ask(&running, &name("a", "A"), 1);
        running.ask(&rename("a", "b"));
        let second = running.ask(&create("a").replace('}', " }"));
        assert_ne!(id(&first), id(&second));
        let other = ask(&running, &name("a", "A"), 2);
        assert_eq!((id(&other), other.repeated), (id(&second), false));
        let running = again(running, &journal);
        for (name_, n, whose) in [("a", 3, &other), ("b", 4, &first)] {
            let told = ask(&running, &name(name_, "A"), n);
            assert_eq!(told, Answer { repeated: true, ..whose.clone() }, "{name_}");
        }
        running.stop();
    }
}

#[test]
fn a_rename_that_comes_again_under_the_old_name_is_a_repeat() {
    for partitions in PARTITIONS {
        let journal = MemoryJournal::new(partitions);
        let running = Running::on(&journal);
        for round in 0..4_u128 {
            // The first of its name, and the second one, which lives elsewhere than its slot.
            let (old, new) = (format!("a{round}"), format!("b{round}"));
            running.ask(&create(&old));
            if round % 2 == 1 {
                running.ask(&archive(&old));
                running.ask(&create(&old).replace('}', " }"));
            }
            let first = ask(&running, &rename(&old, &new), 10 * round + 1);
            let told = ask(&running, &rename(&old, &new), 10 * round + 2);
            assert_eq!(told, Answer { repeated: true, ..first }, "{partitions} {round}");
        }
        let running = again(running, &journal);
        for round in 0..4_u128 {
            let (old, new) = (format!("a{round}"), format!("b{round}"));
            assert!(ask(&running, &rename(&old, &new), 10 * round + 3).repeated);
        }
        running.stop();
    }
}

#[test]
fn a_birth_that_comes_again_makes_no_second_customer() {
    for partitions in PARTITIONS {
        let journal = MemoryJournal::new(partitions);
        let running = Running::on(&journal);
        let first = ask(&running, &create("a"), 1);
        running.ask(&rename("a", "b"));
        assert_eq!(ask(&running, &create("a"), 2), Answer { repeated: true, ..first.clone() });
        let running = again(running, &journal);
        assert_eq!(ask(&running, &create("a"), 3), Answer { repeated: true, ..first });
        running.stop();
    }
}

#[test]
fn a_refusal_is_remembered_with_the_customer_too() {
    for partitions in PARTITIONS {
        let journal = MemoryJournal::new(partitions);
        let running = Running::on(&journal);
        for key in ["a", "taken"] {
            running.ask(&create(key));
        }
        running.ask(&rename("a", "b"));
        let refused = ask(&running, &rename("b", "taken"), 1);
        assert_eq!(code(&refused), RejectionCode::KeyTaken);
        let stale =
            r#"{"type":"UpdateCustomer","customer":{"key":"b"},"expected_version":9,"patch":{}}"#;
        let mut stale = keyed(stale, 2);
        stale.context.idempotency_key = Some("l".parse().unwrap());
        let refused = running.send(vec![stale.clone()]).remove(0).unwrap();
        assert_eq!(code(&refused), RejectionCode::VersionMismatch);
        let running = again(running, &journal);
        stale.command_id = CommandId(Uuid::from_u128(3));
        let told = running.send(vec![stale]).remove(0).unwrap();
        assert_eq!((told.repeated, told.position), (true, refused.position));
        assert!(ask(&running, &rename("b", "taken"), 4).repeated);
        running.stop();
    }
}
