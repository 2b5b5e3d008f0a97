//! The inbox: the way of a command to the owner of its partition, and of the answer back.
//!
//! # What is promised
//!
//! - A command that is answered was decided, its decision is as durable as the journal promises and
//!   counts by the reader rule; the same command id gets the same decision ever after.
//! - A command that is [`Delivered::Kept`] is not lost, whatever happens to this process: it was decided,
//!   or will be, once.
//! - An error is no decision. After [`InboxError::Full`] and [`InboxError::Stopping`] the command was
//!   not taken; after [`InboxError::Unknown`] it may have been: the same command id settles it.
//! - Commands handed over in one call to one customer are decided in that order.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tallybook_events::command::Command;
use tallybook_events::customer::CustomerDocument;
use tallybook_events::decision::{Outcome, SourceRef};
use tallybook_events::ids::{CommandId, Partition, Position};
use tallybook_events::time::Timestamp;

pub use reply::{Answers, ReplyTo};

pub mod feed;
pub mod local;
pub mod kafka;
pub mod reply;

/// Most commands of one process that are accepted and not answered yet, over all partitions.
pub const MAX_IN_FLIGHT: usize = 65_536;

/// The answer to a command: its decision, once it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The command.
    pub command_id: CommandId,
    /// Where the decision is. None for a dry run, and where nothing was recorded.
    pub position: Option<Position>,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// Accepted, rejected or (while it is held) deferred.
    pub outcome: Outcome,
    /// The events, as the JSON array that was recorded.
    pub events: Bytes,
    /// Whether it was decided before, and this is the answer of then.
    pub repeated: bool,
    /// For a dry run: the customer as it would stand.
    pub preview: Option<Box<CustomerDocument>>,
}

/// Why a command got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InboxError {
    /// Too many commands wait. Not taken; come again later.
    #[error("too many commands wait")]
    Full,
    /// The process is about to stop. Not taken; another process may.
    #[error("this process is stopping")]
    Stopping,
    /// No answer in time. The command may have been decided: ask again with the same id.
    #[error("the outcome is unknown")]
    Unknown,
    /// Another request with the same idempotency key is not answered yet.
    #[error("another request with this idempotency key is under way")]
    InFlight,
}

/// What became of a command whose answer nobody waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivered {
    /// It is kept.
    Kept {
        /// The id under which its outcome is found. For a repeat: that of the first.
        command_id: CommandId,
        /// Where its decision is, if that is known already.
        position: Option<Position>,
    },
    /// Nothing of it is kept, so this answer is all there is: a dry run, or an id that was used before
    /// for something else.
    Answered(Box<Answer>),
}

/// A way in for commands.
#[async_trait]
pub trait Inbox: Send + Sync + 'static {
    /// Hands commands over and waits for their answers, in the same order, at most `timeout`.
    async fn submit(
        &self,
        commands: Vec<Command>,
        timeout: Duration,
    ) -> Vec<Result<Answer, InboxError>>;

    /// Hands commands over and waits until they are kept, at most `timeout`. Where nothing is kept but
    /// decisions, that means: until they are decided.
    async fn deliver(
        &self,
        commands: Vec<Command>,
        timeout: Duration,
    ) -> Vec<Result<Delivered, InboxError>> {
        let answers = self.submit(commands, timeout).await;
        answers.into_iter().map(|answer| answer.map(Delivered::of)).collect()
    }
}

impl Delivered {
    /// Tells of an answer whether its decision is kept.
    fn of(answer: Answer) -> Self {
        match answer.position {
            Some(_) => Self::Kept { command_id: answer.command_id, position: answer.position },
            None => Self::Answered(Box::new(answer)),
        }
    }
}

/// A command on its way to the owner of its partition.
#[derive(Debug)]
pub struct Incoming {
    /// The command.
    pub command: Box<Command>,
    /// The command as JSON, as it is recorded.
    pub json: Bytes,
    /// Where it came from.
    pub source: SourceRef,
    /// Where the answer goes, when anybody waits for one.
    pub reply: Option<ReplyTo>,
}

/// The queues in front of the owners of partitions.
pub trait Lanes: Send + Sync + std::fmt::Debug + 'static {
    /// Gives the number of partitions.
    fn partitions(&self) -> u32;

    /// Hands commands to the owner of a partition. The sender bounds how many are under way.
    fn push(&self, partition: Partition, batch: Vec<Incoming>);
}
