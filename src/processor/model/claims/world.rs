//! The world of the model: records, commands on their way between them, and what callers were told.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use tallybook_events::command::Command;
use tallybook_events::decision::Outcome;
use tallybook_events::event::Event;
use tallybook_events::ids::{CommandId, CustomerId, Scope};
use tallybook_events::time::Timestamp;

use super::left_out::{LeftOut, seen, without};
use super::stories::Story;
use crate::decisions::{self, Ask, Decided, Record, TierCatalogue, Verdict, state_digest};
use crate::processor::deciding::outcome_of;

/// Most hops of one command, and most rounds in which all that waits is asked again.
const MAX_STEPS: usize = 64;

/// A record, and a digest of it by which it is compared.
#[derive(Debug, Clone)]
struct Node {
    record: Arc<Record>,
    mark: [u8; 32],
}

/// A decision that is known by its command's id.
#[derive(Debug)]
struct Known {
    command: Command,
    id: CustomerId,
    decided_at: Timestamp,
    outcome: Outcome,
    events: Vec<Event>,
}

/// All there is.
#[derive(Debug, Clone)]
pub(super) struct World {
    nodes: BTreeMap<CustomerId, Node>,
    known: BTreeMap<CommandId, Arc<Known>>,
    on_its_way: BTreeMap<CommandId, Arc<Command>>,
    /// Of each command that a caller sent: whether it was accepted, once it is decided.
    told: BTreeMap<CommandId, Option<bool>>,
    now: Timestamp,
    /// A child got a parent that was archived by then.
    pub(super) crossed: bool,
    pub(super) crashes: u8,
    pub(super) losses: u8,
    pub(super) repeats: u8,
    pub(super) forgets: u8,
}

impl World {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            nodes: BTreeMap::new(),
            known: BTreeMap::new(),
            on_its_way: BTreeMap::new(),
            told: BTreeMap::new(),
            now,
            crossed: false,
            crashes: 0,
            losses: 0,
            repeats: 0,
            forgets: 0,
        }
    }

    pub(super) fn on_its_way(&self) -> usize {
        self.on_its_way.len()
    }

    pub(super) fn owners(&self) -> usize {
        self.nodes.len()
    }

    /// Tells whether a caller has sent its command.
    pub(super) fn is_asked(&self, command: &Command) -> bool {
        self.told.contains_key(&command.command_id)
    }

    /// Tells whether a caller waits for an answer.
    pub(super) fn is_awaited(&self, command: &Command) -> bool {
        self.told.get(&command.command_id) == Some(&None)
    }

    pub(super) fn answered(&self) -> usize {
        self.told.values().flatten().count()
    }

    pub(super) fn accepted(&self) -> usize {
        self.told.values().flatten().filter(|accepted| **accepted).count()
    }

    pub(super) fn ask(&mut self, _index: usize, command: &Command) {
        self.told.insert(command.command_id, None);
        self.send([command.clone()]);
    }

    fn send(&mut self, commands: impl IntoIterator<Item = Command>) {
        for command in commands {
            self.on_its_way.insert(command.command_id, Arc::new(command));
        }
    }

    /// A command arrives: a repeat is known by its id, and what follows from it is sent again.
    pub(super) fn arrive(&mut self, index: usize, story: &Story, again: bool) {
        let Some(command) = self.on_its_way.values().nth(index).cloned() else { return };
        if !again {
            self.on_its_way.remove(&command.command_id);
        }
        if let Some(known) = self.known.get(&command.command_id).cloned() {
            if known.command.body.command_type().is_follow_up() {
                let Known { command, id, decided_at, outcome, events } = &*known;
                let (id, decided_at) = (*id, *decided_at);
                let decided = Decided { command, id, decided_at, outcome, events };
                let follow_ups = self.record(id).follow_ups(&decided);
                self.send(follow_ups);
            }
            return;
        }
        self.decide((*command).clone(), story);
    }

    fn decide(&mut self, mut command: Command, story: &Story) {
        if !command.body.command_type().is_follow_up() {
            // What is decided anew after it was forgotten, is decided later.
            self.now = self.now.plus_micros(1);
        }
        let decided_at = self.now;
        for _ in 0..MAX_STEPS {
            let id = command.home();
            let record = self.record(id);
            let seen = seen(&record, &command, story.left_out);
            let tiers = TierCatalogue::builtin();
            let ask = Ask { command: &command, id, decided_at, tiers: &tiers };
            let verdict = match decisions::decide(&seen, &ask) {
                Verdict::Forward(routed) => {
                    command.routed = Some(routed);
                    continue;
                }
                verdict @ (Verdict::Accepted { .. }
                | Verdict::Rejected(_)
                | Verdict::Deferred(_)) => without(verdict, &command, story.left_out),
            };
            let (outcome, events) = outcome_of(verdict, id, record.version());
            self.keep(Known { command, id, decided_at, outcome, events }, story);
            return;
        }
        panic!("sent on in a circle: {command:?}");
    }

    fn keep(&mut self, known: Known, story: &Story) {
        let Known { command, id, decided_at, outcome, events } = &known;
        let (id, decided_at) = (*id, *decided_at);
        let decided = Decided { command, id, decided_at, outcome, events };
        let mut record = self.record(id);
        record.apply(&decided);
        if story.left_out == LeftOut::GivingBack && matches!(outcome, Outcome::Rejected(_)) {
            record.releasing.clear();
        }
        if story.left_out == LeftOut::NamesOfReleases {
            let mut sent = Vec::new();
            record.releasing.retain(|release| {
                let is_new = !sent.contains(&release.body);
                sent.push(release.body.clone());
                is_new
            });
        }
        if story.left_out == LeftOut::OldGrants {
            record.held.values_mut().for_each(|held| held.granted.clear());
        }
        self.send(record.follow_ups(&decided));
        for event in events {
            if let Event::ParentChanged(changed) = event
                && let Some(parent) = changed.to
            {
                let parent = self.record(parent).customer;
                self.crossed |= parent.is_none_or(|parent| parent.archived_at.is_some());
            }
        }
        let settled = outcome.settles(&command.body).unwrap_or(command.command_id);
        if let Some(told) = self.told.get_mut(&settled) {
            match outcome {
                Outcome::Accepted(_) => *told = Some(true),
                Outcome::Rejected(_) => *told = Some(false),
                Outcome::Deferred(_)
                | Outcome::Forwarded { .. }
                | Outcome::DeadLettered { .. }
                | Outcome::Repeated { .. }
                | Outcome::Previewed(_) => {}
            }
        }
        self.put(id, record);
        self.known.insert(known.command.command_id, Arc::new(known));
    }

    fn record(&self, id: CustomerId) -> Record {
        self.nodes.get(&id).map(|node| (*node.record).clone()).unwrap_or_default()
    }

    fn put(&mut self, id: CustomerId, record: Record) {
        let mark = state_digest(std::iter::once((id, &record)));
        self.nodes.insert(id, Node { record: Arc::new(record), mark });
    }

    /// An owner crashes. Each record has an owner of its own here: that is the worst.
    pub(super) fn crash(&mut self, owner: usize, story: &Story) {
        let Some((id, node)) = self.nodes.iter().nth(owner) else { return };
        let (id, record) = (*id, Arc::clone(&node.record));
        self.on_its_way.retain(|_, command| command.home() != id);
        if story.left_out != LeftOut::AskingAgain {
            self.send(record.unanswered());
        }
        self.callers_ask_again(story);
    }

    pub(super) fn lose_all(&mut self, story: &Story) {
        self.on_its_way.clear();
        self.callers_ask_again(story);
    }

    /// What a caller has no answer to, and what nobody holds, it sends again.
    fn callers_ask_again(&mut self, story: &Story) {
        let held: BTreeSet<CommandId> =
            self.nodes.values().flat_map(|node| node.record.held.keys().copied()).collect();
        for command in &story.asked {
            let id = command.command_id;
            if self.told.get(&id) == Some(&None) && !held.contains(&id) {
                self.send([command.clone()]);
            }
        }
    }

    pub(super) fn something_waits(&self) -> bool {
        self.nodes.values().any(|node| !node.record.unanswered().is_empty())
    }

    pub(super) fn ask_again(&mut self) {
        let waiting: Vec<Command> =
            self.nodes.values().flat_map(|node| node.record.unanswered()).collect();
        self.send(waiting);
    }

    pub(super) fn forget(&mut self) {
        self.known.clear();
        self.now = self.now.plus_micros(1);
    }

    /// Lets a story happen without a fault: what is on its way arrives, and who waits asks again.
    pub(super) fn run_on(&mut self, story: &Story) {
        for _ in 0..MAX_STEPS {
            while self.on_its_way() > 0 {
                self.arrive(0, story, false);
            }
            if story.left_out == LeftOut::AskingAgain || !self.something_waits() {
                return;
            }
            self.ask_again();
        }
    }

    pub(super) fn is_quiet(&self, story: &Story) -> bool {
        let may_ask = story.left_out != LeftOut::AskingAgain && self.something_waits();
        self.on_its_way.is_empty() && !may_ask
    }

    /// Where nothing is on its way: does all that waits get its answer?
    pub(super) fn comes_to_an_end(&self, story: &Story) -> bool {
        if !self.on_its_way.is_empty() {
            return true;
        }
        let mut world = self.clone();
        world.run_on(story);
        !world.something_waits() && world.told.values().all(Option::is_some)
    }

    pub(super) fn is_flat(&self) -> bool {
        self.nodes.values().all(|node| {
            let hierarchy = &node.record.ties.get().hierarchy;
            hierarchy.parents().keys().all(|child| !hierarchy.is_parent(*child))
        })
    }

    /// The parents of each living customer, by what it says itself.
    fn children(&self) -> impl Iterator<Item = (CustomerId, CustomerId, &Record)> {
        self.nodes.iter().filter_map(|(id, node)| {
            let customer = node.record.customer.as_ref()?;
            let parent = customer.identity().parent.filter(|_| customer.archived_at.is_none())?;
            Some((*id, parent, &*node.record))
        })
    }

    pub(super) fn parents_are_known(&self) -> bool {
        self.children().all(|(child, parent, record)| {
            let scope = &record.customer.as_ref().expect("it has a parent").scope;
            let hierarchy = self.record(CustomerId::hierarchy(scope)).ties;
            let parents = hierarchy.get().hierarchy.parents();
            parents.get(&child).is_some_and(|parents| parents.values().any(|it| *it == parent))
        })
    }

    /// The keys of living customers, and who has them.
    fn keys(&self) -> impl Iterator<Item = (CustomerId, CustomerId)> {
        self.nodes.iter().filter_map(|(id, node)| {
            let customer = node.record.customer.as_ref()?;
            let key = customer.key.as_ref().filter(|key| customer.holds(key))?;
            Some((CustomerId::slot(&customer.scope, key), *id))
        })
    }

    pub(super) fn keys_are_unique(&self) -> bool {
        let mut holders = BTreeMap::new();
        self.keys().all(|(slot, id)| {
            let alone = holders.insert(slot, id).is_none();
            alone && self.record(slot).slot.holder == Some(id)
        })
    }

    /// When all is quiet: registrars have given out what is used, and nothing else.
    pub(super) fn is_tidy(&self) -> bool {
        let children: BTreeSet<_> =
            self.children().map(|(child, parent, _)| (child, parent)).collect();
        let keys: BTreeSet<_> = self.keys().collect();
        let flat =
            children.iter().all(|(_, parent)| children.iter().all(|(other, _)| other != parent));
        let mut given = BTreeSet::new();
        let pledged = self.nodes.iter().any(|(id, node)| {
            let ties = node.record.ties.get();
            for (child, parents) in ties.hierarchy.parents() {
                given.extend(parents.values().map(|parent| (*child, *parent)));
            }
            let holder = node.record.slot.holder;
            !ties.pledges.is_empty() || holder.is_some_and(|holder| !keys.contains(&(*id, holder)))
        });
        flat && !pledged && given == children
    }

    /// Makes a customer, before the story begins.
    pub(super) fn told_before(&mut self, command: &Command, story: &Story) {
        self.send([command.clone()]);
        self.run_on(story);
        self.known.clear();
        self.told.clear();
    }
}

impl World {
    /// All by which two worlds differ.
    fn parts(&self) -> impl Eq + Hash + '_ {
        let nodes: Vec<_> = self.nodes.iter().map(|(id, node)| (id.0, node.mark)).collect();
        let known: Vec<_> =
            self.known.values().map(|it| (it.command.command_id, it.decided_at)).collect();
        let on_its_way: Vec<_> = self.on_its_way.keys().collect();
        let told: Vec<_> = self.told.iter().collect();
        let budgets = (self.crashes, self.losses, self.repeats, self.forgets, self.crossed);
        (nodes, known, on_its_way, told, self.now, budgets)
    }
}

impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for World {}

impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

/// The scope of all stories.
pub(super) fn scope() -> Scope {
    Scope {
        tenant: "t".parse().expect("a tenant"),
        environment: tallybook_events::ids::Environment::Live,
    }
}
