//! A part of a running server: it tells how it does, and can be stopped.

use crate::gateway::Ready;

/// What does the work of one role.
pub(crate) trait Part: Send + Sync {
    /// Gives what tells whether it can do its work. It must not keep the part alive.
    fn ready(&self) -> Ready;

    /// Gives why it has failed for good, if it has.
    fn failure(&self) -> Option<anyhow::Error>;

    /// Stops it and waits until it has, within a bound. Blocks.
    fn stop(self: Box<Self>);
}
