//! The role of the gateway: the way of commands in, the keys that open it, and the questions.

use std::sync::Arc;

use anyhow::Context as _;
use tallybook_events::chain::Checkpoint;
use tallybook_events::ids::Partition;
use tallybook_projections::queries::Queries;

use super::part::Part;
use crate::cli::log::Log;
use crate::clock::SharedClock;
use crate::gateway::{Gateway, Ready, Timeouts, Waits};
use crate::inbox::kafka::KafkaInbox;
use crate::inbox::local::LocalInbox;
use crate::inbox::{Inbox, Lanes};
use crate::keys::KeyStore;

/// The way of commands to the owners of their partitions.
pub(super) enum Entrance {
    /// In this process.
    Local(LocalInbox),
    /// Through Kafka.
    Kafka(Arc<KafkaInbox>),
}

impl Entrance {
    /// Opens the way. In files it leads to the owners of this process. `judged` is how far somebody has
    /// judged the journal on Kafka: answers are looked for from there on.
    pub(super) fn open(
        log: &Log,
        lanes: Option<Arc<dyn Lanes>>,
        judged: Vec<(Partition, Checkpoint)>,
    ) -> anyhow::Result<Self> {
        if let Some(kafka) = &log.kafka {
            let inbox = KafkaInbox::open(kafka, Arc::clone(&log.journal), judged)?;
            return Ok(Self::Kafka(Arc::new(inbox)));
        }
        let lanes = lanes.context("a gateway without Kafka needs owners in its process")?;
        Ok(Self::Local(LocalInbox::new(lanes)))
    }

    fn inbox(&self) -> Arc<dyn Inbox> {
        match self {
            Self::Local(inbox) => Arc::new(inbox.clone()),
            Self::Kafka(inbox) => Arc::clone(inbox) as Arc<dyn Inbox>,
        }
    }

    /// Gives what handlers are built of.
    pub(super) fn gateway(
        &self,
        queries: Arc<dyn Queries>,
        keys: Arc<dyn KeyStore>,
        clock: SharedClock,
    ) -> Gateway {
        let inbox = self.inbox();
        let waits = match self {
            Self::Local(_) => Waits::AtTheQuestion,
            Self::Kafka(_) => Waits::AtTheAnswer,
        };
        Gateway { inbox, queries, keys, clock, timeouts: Timeouts::default(), waits }
    }
}

impl Part for Entrance {
    fn ready(&self) -> Ready {
        match self {
            Self::Local(_) => Arc::new(|| Ok(())),
            Self::Kafka(inbox) => {
                let inbox = Arc::downgrade(inbox);
                Arc::new(move || {
                    let follows = inbox.upgrade().is_some_and(|inbox| inbox.follows());
                    if follows { Ok(()) } else { Err("the journal cannot be followed".into()) }
                })
            }
        }
    }

    fn failure(&self) -> Option<anyhow::Error> {
        None
    }

    /// Takes no more commands; those that were taken are still answered.
    fn stop(self: Box<Self>) {
        match *self {
            Self::Local(inbox) => inbox.stop(),
            Self::Kafka(inbox) => inbox.stop(),
        }
    }
}
