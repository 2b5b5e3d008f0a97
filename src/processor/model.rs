//! The owner and the reader rule, checked exhaustively: two owners of one partition, crashes, and
//! appends that are lost, late, repeated and out of order. The code under test is [`Ownership`] and
//! [`Chain`] themselves; the model drives them as `owner` does, one step at a time.
//!
//! Three drivers that leave something out are checked too: each must be found out.

use std::collections::BTreeMap;
use std::sync::Arc;

use stateright::{Checker, HasDiscoveries, Model, Property};
use tallybook_events::chain::{Chain, Offset, Verdict};
use tallybook_events::codec::{self, DecisionParts, Peeked};
use tallybook_events::decision::{Outcome, Rejection, RejectionCode, SourceRef};
use tallybook_events::time::Timestamp;

use super::ownership::{Fetched, Ownership, Step, UpTo};
use crate::journal::Delivery;

/// What a driver does, or leaves out.
#[derive(Debug, Clone, Copy)]
struct Rules {
    /// Readers check that a record continues the chain, not only that its term is the present one.
    chain: bool,
    /// What lies between two records of ours is judged, not taken for granted.
    judge_between: bool,
    /// A new owner reads up to its claim before it decides.
    read_to_claim: bool,
}

const KEPT: Rules = Rules { chain: true, judge_between: true, read_to_claim: true };

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

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct InFlight {
    owner: usize,
    /// Which life of the owner sent it, and its place among that life's appends.
    life: u8,
    index: usize,
    record: Arc<[u8]>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Decider {
    life: u8,
    ownership: Ownership,
    /// Commands that the state has, ahead or not, in their order.
    decided: Vec<u8>,
    /// Commands decided ahead, oldest first, with their seqs.
    ahead: Vec<(u8, u64)>,
    /// What is known of each append of this life, oldest first; told ones are gone.
    appends: Vec<Option<Delivery>>,
    told: usize,
    claiming: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    log: Vec<Arc<[u8]>>,
    in_flight: Vec<InFlight>,
    owners: Vec<Decider>,
    /// Commands that were answered, with the seq told.
    answered: BTreeMap<u8, Vec<u64>>,
    claims: u8,
    crashes: u8,
    repeats: u8,
    losses: u8,
    timeouts: u8,
    halted: bool,
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

fn command_of(record: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(record).ok()?;
    let (_, rest) = text.split_once(r#""command":"#)?;
    rest.split(',').next()?.parse().ok()
}

fn decision(term: u64, seq: u64, head: tallybook_events::chain::Head, command: u8) -> Vec<u8> {
    let mut record = Vec::new();
    let command = command.to_string();
    let outcome = Outcome::Rejected(Rejection::new(RejectionCode::UnknownCustomer, ""));
    let parts = DecisionParts {
        decided_at: Timestamp::MIN,
        rules: "",
        source: SourceRef::Local,
        command: command.as_bytes(),
        outcome: &outcome,
        events: &[],
    };
    codec::write_decision(&mut record, term, seq, &head, &parts);
    record
}

impl Decider {
    fn new(life: u8) -> Self {
        Self {
            life,
            ownership: Ownership::restoring(Chain::default()),
            decided: Vec::new(),
            ahead: Vec::new(),
            appends: Vec::new(),
            told: 0,
            claiming: false,
        }
    }

    /// What `Owner::read` does.
    fn read(&mut self, log: &[Arc<[u8]>], end: usize) -> Result<Vec<(u8, u64)>, ()> {
        let mut counted = Vec::new();
        let from = usize::try_from(self.ownership.checkpoint().offset).unwrap();
        for (offset, record) in log.iter().enumerate().take(end).skip(from) {
            match self.ownership.fetched(offset as Offset, record).map_err(drop)? {
                Fetched::Ours => counted.push(self.ahead.remove(0)),
                Fetched::Foreign if self.ahead.is_empty() => {
                    self.decided.extend(command_of(record));
                }
                Fetched::Foreign | Fetched::Skipped | Fetched::OurClaim | Fetched::TheirClaim => {}
            }
        }
        Ok(counted)
    }
}

impl World {
    fn append(&mut self, owner: usize, record: Vec<u8>) {
        let decider = &mut self.owners[owner];
        decider.appends.push(None);
        let index = decider.told + decider.appends.len() - 1;
        let sent = InFlight { owner, life: decider.life, index, record: record.into() };
        let place = self.in_flight.partition_point(|other| *other < sent);
        self.in_flight.insert(place, sent);
    }

    /// What `Owner::reclaim` does: a new life that restores from the log alone.
    fn reclaim(&mut self, owner: usize) {
        let life = self.owners[owner].life + 1;
        self.owners[owner] = Decider::new(life);
    }

    fn land(&mut self, index: usize, keep: bool) {
        let sent = if keep { self.in_flight[index].clone() } else { self.in_flight.remove(index) };
        let offset = self.log.len() as Offset;
        self.log.push(sent.record);
        let decider = &mut self.owners[sent.owner];
        if decider.life == sent.life
            && let Some(place) = sent.index.checked_sub(decider.told)
            && let Some(delivery @ None) = decider.appends.get_mut(place)
        {
            *delivery = Some(Delivery::At(offset));
        }
    }

    fn tell(&mut self, owner: usize, delivery: Delivery, rules: Rules) {
        let decider = &mut self.owners[owner];
        decider.appends.remove(0);
        decider.told += 1;
        let mut told = |counted: Vec<(u8, u64)>| {
            for (command, seq) in counted {
                self.answered.entry(command).or_default().push(seq);
            }
        };
        if decider.claiming {
            decider.claiming = false;
            let read = match (Ownership::claim_delivered(delivery), rules.read_to_claim) {
                (UpTo::Offset(offset), true) => {
                    decider.read(&self.log, usize::try_from(offset).unwrap() + 1)
                }
                (UpTo::Offset(offset), false) => {
                    let claim = &self.log[usize::try_from(offset).unwrap()];
                    decider.ownership.fetched(offset, claim).map(|_| Vec::new()).map_err(drop)
                }
                (UpTo::End, _) => decider.read(&self.log, self.log.len()),
            };
            match read {
                Err(()) => self.halted = true,
                Ok(_) if decider.ownership.is_owning() => {}
                Ok(_) => self.reclaim(owner),
            }
            return;
        }
        let delivery = if !rules.judge_between && delivery != Delivery::Unknown {
            Delivery::At(decider.ownership.checkpoint().offset)
        } else {
            delivery
        };
        match decider.ownership.delivered(delivery) {
            Step::Counted(_) => told(vec![decider.ahead.remove(0)]),
            Step::Settled => {}
            Step::Read(up_to) => {
                let end = match up_to {
                    UpTo::Offset(offset) => usize::try_from(offset).unwrap() + 1,
                    UpTo::End => self.log.len(),
                };
                match decider.read(&self.log, end) {
                    Err(()) => self.halted = true,
                    Ok(counted) => {
                        told(counted);
                        if !decider.ownership.delivery_read() {
                            self.reclaim(owner);
                        }
                    }
                }
            }
            Step::Compare(offset) => {
                let ours = self
                    .log
                    .get(usize::try_from(offset).unwrap())
                    .and_then(|record| command_of(record));
                self.halted |= ours != decider.ahead.first().map(|(command, _)| *command);
                self.reclaim(owner);
            }
            Step::Reclaim => self.reclaim(owner),
        }
    }

    /// Reads the log from the start, as a projector does: what counts, in its order, with its seq.
    fn reading(&self, rules: Rules) -> Result<Vec<(u8, u64)>, ()> {
        let mut read = Vec::new();
        if rules.chain {
            let mut chain = Chain::default();
            for (offset, record) in self.log.iter().enumerate() {
                if chain.judge(offset as Offset, record).map_err(drop)? == Verdict::Valid {
                    read.extend(
                        command_of(record).map(|command| (command, chain.checkpoint().seq)),
                    );
                }
            }
            return Ok(read);
        }
        let mut term = 0;
        for record in &self.log {
            match codec::peek(record).map_err(drop)? {
                Peeked::Claim { term: claimed } => term = term.max(claimed),
                Peeked::Decision { term: of, seq, .. } if of == term => {
                    read.extend(command_of(record).map(|command| (command, seq)));
                }
                Peeked::Decision { .. } => {}
            }
        }
        Ok(read)
    }
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
