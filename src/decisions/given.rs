//! Given (what was decided), when (a command), then (its events, or its rejection). The commands of
//! a test are JSON, as callers send them.

use serde_json::{Value, json};
use tallybook_events::decision::Outcome;
use tallybook_events::ids::CustomerId;

pub(crate) use super::world::{KEY, Reply, World, nth};

/// A world with what was decided in it.
#[derive(Debug, Default)]
pub(crate) struct Given(pub(crate) World);

/// A world in which something was asked just now.
#[derive(Debug)]
pub(crate) struct When(World, Reply);

/// Nothing was decided yet.
pub(crate) fn given() -> Given {
    Given::default()
}

pub(crate) fn create(patch: Value) -> Value {
    json!({"type": "CreateCustomer", "patch": patch})
}

pub(crate) fn update(patch: Value) -> Value {
    json!({"type": "UpdateCustomer", "patch": patch})
}

pub(crate) fn usage(reports: Value) -> Value {
    json!({"type": "RecordUsage", "reports": reports})
}

pub(crate) fn archive() -> Value {
    json!({"type": "ArchiveCustomer"})
}

/// A command to the customer that has a key.
pub(crate) fn by_key(key: &str, mut asked: Value) -> Value {
    asked["customer"] = json!({"key": key});
    asked
}

/// A command to the customer that has an id.
pub(crate) fn by_id(id: CustomerId, mut asked: Value) -> Value {
    asked["customer"] = json!({"id": id.to_string()});
    asked
}

/// A command with another member in its envelope.
pub(crate) fn with(member: &str, value: Value, mut asked: Value) -> Value {
    asked[member] = value;
    asked
}

/// A report of ten tokens.
pub(crate) fn report(id: &str, occurred_at: &str, cost: &str) -> Value {
    json!({"report_id": id, "occurred_at": occurred_at, "meter": "tokens", "quantity": "10",
        "cost": cost})
}

/// A correction of a report.
pub(crate) fn correction(id: &str, corrects: &str, occurred_at: &str, cost: &str) -> Value {
    with("corrects", json!(corrects), report(id, occurred_at, cost))
}

impl Given {
    /// What comes now is decided at this time.
    pub(crate) fn at(mut self, now: &str) -> Self {
        self.0.now = now.parse().unwrap();
        self
    }

    /// A customer `acme` with some facts.
    pub(crate) fn customer(self, patch: Value) -> Self {
        self.accepted(create(patch))
    }

    /// Some command was accepted.
    pub(crate) fn accepted(mut self, asked: Value) -> Self {
        let reply = self.0.ask(asked);
        assert!(matches!(reply.outcome, Outcome::Accepted(_)), "{reply:?}");
        self
    }

    pub(crate) fn updated(self, patch: Value) -> Self {
        self.accepted(update(patch))
    }

    /// Reports were recorded, each by a command of its own.
    pub(crate) fn used<const N: usize>(self, reports: [Value; N]) -> Self {
        reports.into_iter().fold(self, |given, report| given.accepted(usage(json!([report]))))
    }

    pub(crate) fn when(mut self, asked: Value) -> When {
        let reply = self.0.ask(asked);
        self.0.check();
        When(self.0, reply)
    }

    /// Shows the value at a pointer into the document of `acme`.
    pub(crate) fn shows(self, pointer: &str, expected: Value) -> Self {
        let document = self.0.document(nth(KEY, 0));
        assert_eq!(document.pointer(pointer), Some(&expected), "{pointer} of {document}");
        self
    }

    pub(crate) fn world(self) -> World {
        self.0
    }

    pub(crate) fn of(world: World) -> Self {
        Self(world)
    }
}

impl When {
    /// These are all its events.
    pub(crate) fn then(self, events: Value) -> Given {
        assert_eq!(self.1.events(), events);
        Given(self.0)
    }

    /// These are the types of its events.
    pub(crate) fn then_types<const N: usize>(self, types: [&str; N]) -> Given {
        assert_eq!(self.1.types(), types);
        Given(self.0)
    }

    /// Nothing happens.
    pub(crate) fn then_nothing(self) -> Given {
        self.then(json!([]))
    }

    /// These reports were recorded before, with the same content and with other content.
    pub(crate) fn repeats(self, duplicates: &[&str], conflicts: &[&str]) -> Self {
        let Outcome::Accepted(accepted) = &self.1.outcome else { panic!("{:?}", self.1) };
        let names = |ids: &[tallybook_events::ids::ReportId]| -> Vec<String> {
            ids.iter().map(ToString::to_string).collect()
        };
        assert_eq!(names(&accepted.duplicates), duplicates);
        assert_eq!(names(&accepted.conflicts), conflicts);
        self
    }

    /// It is refused, and nothing but that happens.
    pub(crate) fn rejects(self, code: &str, pointer: Option<&str>) -> Given {
        let Outcome::Rejected(rejection) = &self.1.outcome else { panic!("{:?}", self.1) };
        assert_eq!((rejection.code.as_str(), rejection.pointer.as_deref()), (code, pointer));
        assert!(!rejection.detail.is_empty() && !rejection.detail.ends_with('.'), "{rejection:?}");
        Given(self.0)
    }
}
