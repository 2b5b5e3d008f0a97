//! The world of the model: a log, what is in flight to it, two owners, and who was answered. Driven one
//! step at a time as `owner` drives the same code.

use std::collections::BTreeMap;
use std::sync::Arc;

use tallybook_events::chain::{Chain, Offset, Verdict};
use tallybook_events::codec::{self, DecisionParts, Peeked};
use tallybook_events::decision::{Outcome, Rejection, RejectionCode, SourceRef};
use tallybook_events::time::Timestamp;

use crate::journal::Delivery;
use crate::processor::ownership::{Fetched, Ownership, Step, UpTo};

/// What a driver does, or leaves out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// Readers check that a record continues the chain, not only that its term is the present one.
    pub(super) chain: bool,
    /// What lies between two records of ours is judged, not taken for granted.
    pub(super) judge_between: bool,
    /// A new owner reads up to its claim before it decides.
    pub(super) read_to_claim: bool,
}

pub(super) const KEPT: Rules = Rules { chain: true, judge_between: true, read_to_claim: true };
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct InFlight {
    pub(super) owner: usize,
    /// Which life of the owner sent it, and its place among that life's appends.
    pub(super) life: u8,
    pub(super) index: usize,
    pub(super) record: Arc<[u8]>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Decider {
    pub(super) life: u8,
    pub(super) ownership: Ownership,
    /// Commands that the state has, ahead or not, in their order.
    pub(super) decided: Vec<u8>,
    /// Commands decided ahead, oldest first, with their seqs.
    pub(super) ahead: Vec<(u8, u64)>,
    /// What is known of each append of this life, oldest first; told ones are gone.
    pub(super) appends: Vec<Option<Delivery>>,
    pub(super) told: usize,
    pub(super) claiming: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) log: Vec<Arc<[u8]>>,
    pub(super) in_flight: Vec<InFlight>,
    pub(super) owners: Vec<Decider>,
    /// Commands that were answered, with the seq told.
    pub(super) answered: BTreeMap<u8, Vec<u64>>,
    pub(super) claims: u8,
    pub(super) crashes: u8,
    pub(super) repeats: u8,
    pub(super) losses: u8,
    pub(super) timeouts: u8,
    pub(super) halted: bool,
}
pub(super) fn command_of(record: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(record).ok()?;
    let (_, rest) = text.split_once(r#""command":"#)?;
    rest.split(',').next()?.parse().ok()
}

pub(super) fn decision(
    term: u64,
    seq: u64,
    head: tallybook_events::chain::Head,
    command: u8,
) -> Vec<u8> {
    let mut record = Vec::new();
    let command = command.to_string();
    let outcome = Outcome::Rejected(Rejection::new(RejectionCode::UnknownCustomer, ""));
    let parts = DecisionParts {
        decided_at: Timestamp::MIN,
        rules: "",
        source: SourceRef::Local,
        command: command.as_bytes(),
        outcome: &outcome,
        gives_back: &[],
        events: &[],
    };
    codec::write_decision(&mut record, term, seq, &head, &parts);
    record
}

impl Decider {
    pub(super) fn new(life: u8) -> Self {
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
    pub(super) fn read(&mut self, log: &[Arc<[u8]>], end: usize) -> Result<Vec<(u8, u64)>, ()> {
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
    pub(super) fn append(&mut self, owner: usize, record: Vec<u8>) {
        let decider = &mut self.owners[owner];
        decider.appends.push(None);
        let index = decider.told + decider.appends.len() - 1;
        let sent = InFlight { owner, life: decider.life, index, record: record.into() };
        let place = self.in_flight.partition_point(|other| *other < sent);
        self.in_flight.insert(place, sent);
    }

    /// What `Owner::reclaim` does: a new life that restores from the log alone.
    pub(super) fn reclaim(&mut self, owner: usize) {
        let life = self.owners[owner].life + 1;
        self.owners[owner] = Decider::new(life);
    }

    pub(super) fn land(&mut self, index: usize, keep: bool) {
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

    pub(super) fn tell(&mut self, owner: usize, delivery: Delivery, rules: Rules) {
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
    pub(super) fn reading(&self, rules: Rules) -> Result<Vec<(u8, u64)>, ()> {
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
