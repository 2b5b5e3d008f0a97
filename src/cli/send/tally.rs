//! What became of the lines of a run, counted.

use serde::{Deserialize, Serialize};

/// Counts of lines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    /// Done.
    pub(super) accepted: u64,
    /// The server said no, by a rule of the business.
    pub(super) rejected: u64,
    /// Held until another decision is made.
    pub(super) deferred: u64,
    /// Kept in the topic of commands, to be decided.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) delivered: u64,
    /// No commands, or none that the server takes.
    pub(super) malformed: u64,
}

/// What became of one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Result {
    /// Its number in the input, from 1.
    pub(super) line: u64,
    /// What became of it.
    pub(super) fate: Fate,
    /// The server's answer as JSON, when there was one.
    pub(super) answer: Option<String>,
}

/// What became of one line, in a word; for a refusal with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// There was no command in it.
    Blank,
    /// Done.
    Accepted,
    /// Held.
    Deferred,
    /// Kept, to be decided.
    Delivered,
    /// Refused by a rule of the business.
    Rejected(String),
    /// No command, or none that the server takes.
    Malformed(String),
}

impl Tally {
    /// Counts a line.
    pub(super) const fn count(&mut self, fate: &Fate) {
        match fate {
            Fate::Blank => {}
            Fate::Accepted => self.accepted += 1,
            Fate::Deferred => self.deferred += 1,
            Fate::Delivered => self.delivered += 1,
            Fate::Rejected(_) => self.rejected += 1,
            Fate::Malformed(_) => self.malformed += 1,
        }
    }

    /// Gives the number of lines that changed nothing because of what they are.
    pub(super) const fn refused(&self) -> u64 {
        self.rejected + self.malformed
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}
