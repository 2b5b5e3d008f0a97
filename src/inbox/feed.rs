//! The port to a topic of commands: where an owner gets its commands from when they do not come from
//! this process, and the way of its own commands there.
//!
//! # What is promised
//!
//! - After [`Feed::begin`] the commands of a partition come, in the order of their offsets, from the
//!   given one on, each tagged with the session. They end with [`Feed::end`], or the next beginning.
//! - [`Feed::send`] and [`Feed::bury`] return when all is kept, or an error when that is not known: then
//!   what was sent may be there, and may come later; a repeat is harmless.
//! - [`Feed::post`] does not wait, and may lose: whoever posts asks again.

use std::fmt;

use bytes::Bytes;
use tallybook_events::command::Command;
use tallybook_events::ids::Partition;

/// Something that lies in the topic.
#[derive(Debug)]
pub struct Fed {
    /// Its offset.
    pub offset: u64,
    /// What it is.
    pub letter: Letter,
}

/// A command, or what is none.
#[derive(Debug)]
pub enum Letter {
    /// A command.
    Command {
        /// It.
        command: Box<Command>,
        /// As JSON, as it is recorded.
        json: Bytes,
    },
    /// No command.
    Dead(Dead),
}

/// Bytes that are no command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dead {
    /// Why they are none.
    pub reason: Box<str>,
    /// Key of the record.
    pub key: Option<Bytes>,
    /// The bytes.
    pub payload: Bytes,
}

/// Something that was not kept, or may not have been.
#[derive(Debug, thiserror::Error)]
#[error("the topic does not answer")]
pub struct FeedError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// The owners of partitions, as a topic feeds them.
pub trait Owners: fmt::Debug + Send + Sync + 'static {
    /// Says whether a partition is to be ours: it is claimed, or given up.
    fn want(&self, partition: Partition, wanted: bool);

    /// Hands over what lies in the topic, in the order of its offsets, as of a session that the owner
    /// began.
    fn feed(&self, partition: Partition, session: u64, batch: Vec<Fed>);

    /// Gives how many commands a partition was fed that are not decided yet, about.
    fn backlog(&self, partition: Partition) -> usize;
}

/// A topic of commands. See the module's text for what is promised.
pub trait Feed: fmt::Debug + Send + Sync + 'static {
    /// Asks for the commands of a partition from an offset on; none: from the first there is.
    fn begin(&self, partition: Partition, session: u64, from: Option<u64>);

    /// Asks for no more commands of a partition.
    fn end(&self, partition: Partition);

    /// Keeps commands, each in its partition. Blocks until they are kept, within a bound.
    ///
    /// # Errors
    /// [`FeedError`] when it is not known whether they are.
    fn send(&self, commands: Vec<(Partition, Command)>) -> Result<(), FeedError>;

    /// Hands commands over to be kept.
    fn post(&self, commands: Vec<(Partition, Command)>);

    /// Keeps what is no command, of a partition. Blocks until it is kept, within a bound.
    ///
    /// # Errors
    /// [`FeedError`] when it is not known whether it is.
    fn bury(&self, partition: Partition, dead: Vec<(u64, Dead)>) -> Result<(), FeedError>;
}
