//! The owner and the reader rule, checked exhaustively: two owners of one partition, crashes, and
//! appends that are lost, late, repeated and out of order. The code under test is [`Ownership`] and
//! [`Chain`] themselves; the model drives them as `owner` does, one step at a time.
//!
//! Three drivers that leave something out are checked too: each must be found out.

use std::collections::BTreeMap;

use stateright::{Checker, HasDiscoveries, Model, Property};
use tallybook_events::chain::{Chain, Offset, Verdict};
use tallybook_events::time::Timestamp;

use crate::journal::Delivery;
use world::{Decider, KEPT, Rules, World, command_of, decision};

mod claims;
mod world;

/// How much may go wrong, and how much is to be done.
#[derive(Debug, Clone, Copy)]
struct Journey {
    rules: Rules,
    commands: u8,
    claims: u8,
    crashes: u8,
    repeats: u8,
    losses: u8,
    timeouts: u8,
}
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Action {
    /// Read to the end and append a claim.
    Claim(usize),
    /// Decide the next command that the state does not have, and append it.
    Decide(usize),
    /// A record in flight reaches the log.
    Land(usize),
    /// A record in flight reaches the log and stays in flight: it will come again.
    LandAndRepeat(usize),
    /// A record in flight is gone.
    Lose(usize),
    /// The owner hears what became of its oldest append.
    Tell(usize),
    /// The owner gives its oldest append up; it stays in flight.
    TimeOut(usize),
    /// The owner forgets everything; what it sent stays in flight.
    Crash(usize),
}
impl Model for Journey {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            log: Vec::new(),
            in_flight: Vec::new(),
            owners: vec![Decider::new(0), Decider::new(0)],
            answered: BTreeMap::new(),
            claims: self.claims,
            crashes: self.crashes,
            repeats: self.repeats,
            losses: self.losses,
            timeouts: self.timeouts,
            halted: false,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if world.halted {
            return;
        }
        for (index, owner) in world.owners.iter().enumerate() {
            if world.claims > 0 && !owner.claiming && !owner.ownership.is_owning() {
                actions.push(Action::Claim(index));
            }
            if owner.ownership.is_owning()
                && owner.ahead.len() < 2
                && owner.decided.len() < usize::from(self.commands)
            {
                actions.push(Action::Decide(index));
            }
            match owner.appends.first() {
                Some(Some(_)) => actions.push(Action::Tell(index)),
                Some(None) if world.timeouts > 0 => actions.push(Action::TimeOut(index)),
                Some(None) | None => {}
            }
            if world.crashes > 0 && (owner.claiming || owner.ownership.is_owning()) {
                actions.push(Action::Crash(index));
            }
        }
        for index in 0..world.in_flight.len() {
            actions.push(Action::Land(index));
            if world.repeats > 0 {
                actions.push(Action::LandAndRepeat(index));
            }
            if world.losses > 0 {
                actions.push(Action::Lose(index));
            }
        }
    }

    fn next_state(&self, before: &World, action: Action) -> Option<World> {
        let mut world = before.clone();
        match action {
            Action::Claim(owner) => {
                world.claims -= 1;
                let end = world.log.len();
                let decider = &mut world.owners[owner];
                if decider.read(&world.log, end).is_err() {
                    world.halted = true;
                } else {
                    let name = format!("{owner}.{}", decider.life);
                    let claim = decider.ownership.claim(&name, Timestamp::MIN);
                    decider.claiming = true;
                    world.append(owner, claim);
                }
            }
            Action::Decide(owner) => {
                let decider = &mut world.owners[owner];
                let command =
                    (0..self.commands).find(|command| !decider.decided.contains(command))?;
                let (term, seq, head) = decider.ownership.next_place()?;
                let record = decision(term, seq, head, command);
                decider.ownership.decided_ahead(&record);
                decider.decided.push(command);
                decider.ahead.push((command, seq));
                world.append(owner, record);
            }
            Action::Land(index) => world.land(index, false),
            Action::LandAndRepeat(index) => {
                world.repeats -= 1;
                world.land(index, true);
            }
            Action::Lose(index) => {
                world.losses -= 1;
                let lost = world.in_flight.remove(index);
                let decider = &mut world.owners[lost.owner];
                if decider.life == lost.life
                    && let Some(place) = lost.index.checked_sub(decider.told)
                    && let Some(delivery @ None) = decider.appends.get_mut(place)
                {
                    *delivery = Some(Delivery::Unknown);
                }
            }
            Action::Tell(owner) => {
                let delivery = (*world.owners[owner].appends.first()?)?;
                world.tell(owner, delivery, self.rules);
            }
            Action::TimeOut(owner) => {
                world.timeouts -= 1;
                world.tell(owner, Delivery::Unknown, self.rules);
            }
            Action::Crash(owner) => {
                world.crashes -= 1;
                world.reclaim(owner);
            }
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no reader halts", |_, world: &World| !world.halted),
            Property::always(
                "what was answered counts, once, where it was told",
                |model: &Self, world: &World| {
                    let Ok(read) = world.reading(model.rules) else { return false };
                    world.answered.iter().all(|(command, seqs)| {
                        let places: Vec<u64> = read
                            .iter()
                            .filter(|(of, _)| of == command)
                            .map(|(_, seq)| *seq)
                            .collect();
                        places.len() == 1 && seqs.iter().all(|seq| *seq == places[0])
                    })
                },
            ),
            Property::always("no command counts twice", |model: &Self, world: &World| {
                let Ok(read) = world.reading(model.rules) else { return false };
                (0..model.commands)
                    .all(|command| read.iter().filter(|(of, _)| *of == command).count() <= 1)
            }),
            Property::sometimes("all is answered", |model: &Self, world: &World| {
                world.answered.len() == usize::from(model.commands)
            }),
            Property::sometimes("a second owner answers", |_, world: &World| {
                world.answered.len() > 1
                    && world.log.iter().filter(|record| command_of(record).is_none()).count() > 1
            }),
            Property::sometimes("an append lands after its owner's end", |_, world: &World| {
                let mut chain = Chain::default();
                world.log.iter().enumerate().any(|(offset, record)| {
                    matches!(chain.judge(offset as Offset, record), Ok(Verdict::Zombie))
                })
            }),
        ]
    }
}

#[cfg(test)]
mod checks {
    use super::*;

    /// Most states of one check. None comes near; a model that grew past it would not be exhaustive.
    const MAX_STATES: usize = 4_000_000;

    fn failures(rules: Rules) -> usize {
        let journey = Journey {
            rules,
            commands: 2,
            claims: 2,
            crashes: 1,
            repeats: 1,
            losses: 0,
            timeouts: 0,
        };
        let checker = journey
            .checker()
            .finish_when(HasDiscoveries::AnyFailures)
            .target_state_count(MAX_STATES)
            .spawn_bfs()
            .join();
        checker
            .discoveries()
            .keys()
            .filter(|name| name.starts_with("no ") || name.starts_with("what "))
            .count()
    }

    fn nothing_fails(journey: Journey) {
        let checker = journey
            .checker()
            .finish_when(HasDiscoveries::AnyFailures)
            .target_state_count(MAX_STATES)
            .spawn_dfs()
            .join();
        assert!(checker.state_count() < MAX_STATES, "not exhaustive");
        checker.assert_properties();
    }

    #[test]
    fn with_all_rules_kept_nothing_is_lost_doubled_or_torn() {
        nothing_fails(Journey {
            rules: KEPT,
            commands: 2,
            claims: 2,
            crashes: 1,
            repeats: 1,
            losses: 0,
            timeouts: 0,
        });
        nothing_fails(Journey {
            rules: KEPT,
            commands: 2,
            claims: 3,
            crashes: 1,
            repeats: 0,
            losses: 0,
            timeouts: 0,
        });
        nothing_fails(Journey {
            rules: KEPT,
            commands: 3,
            claims: 2,
            crashes: 1,
            repeats: 1,
            losses: 0,
            timeouts: 0,
        });
        nothing_fails(Journey {
            rules: KEPT,
            commands: 2,
            claims: 3,
            crashes: 0,
            repeats: 0,
            losses: 1,
            timeouts: 1,
        });
    }

    #[test]
    fn with_all_rules_kept_lost_appends_lose_no_answered_command() {
        nothing_fails(Journey {
            rules: KEPT,
            commands: 2,
            claims: 2,
            crashes: 0,
            repeats: 0,
            losses: 1,
            timeouts: 1,
        });
    }

    #[test]
    fn leaving_out_the_chain_is_found() {
        assert!(failures(Rules { chain: false, ..KEPT }) > 0);
    }

    #[test]
    fn leaving_out_what_lies_between_is_found() {
        assert!(failures(Rules { judge_between: false, ..KEPT }) > 0);
    }

    #[test]
    fn leaving_out_the_reading_up_to_the_claim_is_found() {
        assert!(failures(Rules { read_to_claim: false, ..KEPT }) > 0);
    }
}
