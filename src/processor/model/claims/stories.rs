//! Stories: who is there, what is asked at once, and how much may go wrong.

use tallybook_events::command::{Command, CommandDraft, Defaults};
use tallybook_events::ids::{CommandId, CustomerId};
use tallybook_events::time::Timestamp;
use uuid::Uuid;

use super::left_out::LeftOut;
use super::world::{World, scope};

/// A story.
#[derive(Debug, Clone)]
pub(super) struct Story {
    pub(super) left_out: LeftOut,
    /// What was asked and answered before.
    before: Vec<Command>,
    /// What is asked.
    pub(super) asked: Vec<Command>,
    /// Each is asked when the one before is answered; else all at any time.
    one_by_one: bool,
    /// Whether nothing that is asked can be refused.
    pub(super) never_refused: bool,
    crashes: u8,
    losses: u8,
    repeats: u8,
    forgets: u8,
}

/// What may go wrong in a story.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Faults {
    pub(super) crashes: u8,
    pub(super) losses: u8,
    pub(super) repeats: u8,
    pub(super) forgets: u8,
}

/// Moments are not told apart but by what was forgotten.
fn now() -> Timestamp {
    "2026-01-15T12:00:00Z".parse().expect("a time")
}

fn command(number: u128, json: &str) -> Command {
    let draft: CommandDraft = serde_json::from_str(json).expect("a command");
    let defaults = Defaults {
        command_id: Some(CommandId(Uuid::from_u128(number))),
        scope: Some(scope()),
        issued_at: Some(now()),
        actor: Some("a".parse().expect("an actor")),
        source: Some("model".parse().expect("a source")),
    };
    draft.complete(defaults).expect("a command")
}

/// The id of the customer that was born under a key.
fn id(key: &str) -> CustomerId {
    CustomerId::slot(&scope(), &key.parse().expect("a key"))
}

pub(super) fn create(key: &str) -> String {
    format!(r#"{{"type":"CreateCustomer","customer":{{"key":"{key}"}}}}"#)
}

/// A patch of the customer that was born under a key; it is named by its id.
pub(super) fn update(born: &str, patch: &str) -> String {
    let id = id(born);
    format!(r#"{{"type":"UpdateCustomer","customer":{{"id":"{id}"}},"patch":{patch}}}"#)
}

pub(super) fn rename(born: &str, to: &str) -> String {
    update(born, &format!(r#"{{"key":"{to}"}}"#))
}

pub(super) fn below(born: &str, parent: &str) -> String {
    update(born, &format!(r#"{{"identity":{{"parent":"{}"}}}}"#, id(parent)))
}

pub(super) fn below_key(born: &str, parent: &str) -> String {
    update(born, &format!(r#"{{"identity":{{"parent":{{"key":"{parent}"}}}}}}"#))
}

pub(super) fn alone(born: &str) -> String {
    update(born, r#"{"identity":{"parent":null}}"#)
}

pub(super) fn archive(born: &str) -> String {
    format!(r#"{{"type":"ArchiveCustomer","customer":{{"id":"{}"}}}}"#, id(born))
}

impl Story {
    /// Customers that are there, and what is asked of them at once.
    pub(super) fn of(before: &[String], asked: &[String]) -> Self {
        let numbered = |from: u128, commands: &[String]| {
            (from..).zip(commands).map(|(number, json)| command(number, json)).collect()
        };
        Self {
            left_out: LeftOut::Nothing,
            before: numbered(1, before),
            asked: numbered(100, asked),
            one_by_one: false,
            never_refused: false,
            crashes: 0,
            losses: 0,
            repeats: 0,
            forgets: 0,
        }
    }

    /// What is asked is asked one by one, and none of it can be refused.
    pub(super) fn one_by_one(self) -> Self {
        Self { one_by_one: true, never_refused: true, ..self }
    }

    /// So much may go wrong.
    pub(super) fn with(self, faults: Faults) -> Self {
        let Faults { crashes, losses, repeats, forgets } = faults;
        Self { crashes, losses, repeats, forgets, ..self }
    }

    /// The driver leaves something out.
    pub(super) fn without(self, left_out: LeftOut) -> Self {
        Self { left_out, ..self }
    }

    /// Gives the world in which the story begins.
    pub(super) fn world(&self) -> World {
        let mut world = World::new(now());
        let sound = Self { left_out: LeftOut::Nothing, ..self.clone() };
        for command in &self.before {
            world.told_before(command, &sound);
        }
        (world.crashes, world.losses) = (self.crashes, self.losses);
        (world.repeats, world.forgets) = (self.repeats, self.forgets);
        world
    }

    /// Gives the commands that may be asked next.
    pub(super) fn next_to_ask(&self, world: &World) -> impl Iterator<Item = usize> {
        // What was sent and is still about need not have arrived.
        let answered = !self.asked.iter().any(|asked| world.is_awaited(asked));
        let quiet = answered && !world.something_waits();
        let first = (0..self.asked.len()).find(|at| !world.is_asked(&self.asked[*at]));
        let one = first.filter(|_| self.one_by_one && quiet);
        let all: Vec<usize> = if self.one_by_one {
            one.into_iter().collect()
        } else {
            // Callers do not differ but by what they ask: each may be the first.
            let unasked = |at: &usize| !world.is_asked(&self.asked[*at]);
            (0..self.asked.len()).filter(unasked).collect()
        };
        all.into_iter()
    }
}
