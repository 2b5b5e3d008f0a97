//! The gateway: requests become commands and questions, decisions and rows become answers.
//!
//! What all dialects share is here: who calls (`auth`), how much (`limits`), reading a body and
//! its JSON, handing a command over and waiting until its decision can be seen (`submit`), the table of
//! operations that routes and documents are made of (`contract`), what stands before each handler
//! (`guard`). How a request and an answer look, errors too, is each dialect's own: `native` is ours,
//! the others are `dialects`. The gateway knows the inbox, the queries and the store of keys by their ports only.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tallybook_projections::queries::Queries;
use tokio::sync::Semaphore;

use crate::clock::SharedClock;
use crate::inbox::Inbox;
use crate::keys::KeyStore;

pub use asyncapi::asyncapi;
pub use documents::documents;
pub use operations::{Operations, Ready};
pub use router::{ECHO, measured_router, operations_router, router};
pub use server::{ServerLimits, serve};
pub use tls::{Tls, TlsError};

pub mod server;
pub mod tls;
mod connections;
mod router;
mod observe;
pub mod operations;
mod auth;
mod limits;
mod body;
mod idempotency;
mod trace;
mod customer;
mod encoded_id;
mod number;
mod moment;
mod metadata;
mod query;
mod ask;
mod answer;
mod reason;
mod submit;
mod kept;
mod up_to_date;
mod contract;
mod headers;
mod openapi;
mod asyncapi;
mod documents;
mod guard;
mod native;
mod dialects;
#[cfg(test)]
mod testing;

/// Most requests served at once; one more is told to come again.
pub const MAX_REQUESTS: usize = 2_048;

/// What the gateway is built of.
#[derive(Clone)]
pub struct Gateway {
    /// Where commands go.
    pub inbox: Arc<dyn Inbox>,
    /// Where questions go.
    pub queries: Arc<dyn Queries>,
    /// The API keys there are.
    pub keys: Arc<dyn KeyStore>,
    /// Time and ids.
    pub clock: SharedClock,
    /// How long it waits.
    pub timeouts: Timeouts,
    /// Where it waits so that callers read what they wrote.
    pub waits: Waits,
}

/// Where a gateway waits until the read models show what was decided, so that callers read what they
/// wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// Before a decision is answered: the caller may read through another process next.
    AtTheAnswer,
    /// Before a question is answered: all questions come through this process, which knows what it has
    /// answered.
    AtTheQuestion,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Gateway").field("timeouts", &self.timeouts).finish_non_exhaustive()
    }
}

/// How long one request may wait, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For its body.
    pub body: Duration,
    /// For its decision.
    pub decision: Duration,
    /// For the read models to show the decision.
    pub read_model: Duration,
    /// In all.
    pub request: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            body: Duration::from_secs(10),
            decision: Duration::from_secs(10),
            read_model: Duration::from_secs(5),
            request: Duration::from_secs(30),
        }
    }
}

/// The gateway at work: what handlers share.
pub(crate) struct Core {
    gateway: Gateway,
    keys: limits::KeyLimits,
    /// One permit for each request that may be served at once.
    room: Semaphore,
    kept: Arc<kept::Kept>,
}

impl Core {
    fn new(gateway: Gateway) -> Arc<Self> {
        let (keys, room) = (limits::KeyLimits::default(), Semaphore::new(MAX_REQUESTS));
        let kept = Arc::new(kept::Kept::default());
        let gateway = match gateway.waits {
            Waits::AtTheAnswer => gateway,
            Waits::AtTheQuestion => up_to_date::asking(gateway, &kept),
        };
        Arc::new(Self { gateway, keys, room, kept })
    }
}
