//! The topic of commands as the owners of its partitions see it: they ask for what lies in it, and put
//! into it what is to be decided elsewhere.
//!
//! The group says which partitions are to be ours; what was decided is in the journal and nowhere else,
//! so that every partition is read from where its owner says, never from an offset of the group.

use std::fmt;
use std::sync::mpsc::{self, Receiver, Sender as Channel};
use std::sync::{Mutex, PoisonError};

use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use tallybook_events::command::Command;
use tallybook_events::ids::Partition;

use super::sending::{KEPT_WITHIN, Sender, Sent};
use crate::inbox::feed::{Dead, Feed, FeedError};
use crate::kafka::{Kafka, topics};

/// What owners ask of the member.
#[derive(Debug)]
pub(super) enum Wish {
    Begin { partition: Partition, session: u64, from: Option<u64> },
    End { partition: Partition },
}

/// The topic as the owners see it.
pub struct KafkaFeed {
    wishes: Mutex<Channel<Wish>>,
    heard: Mutex<Option<Receiver<Wish>>>,
    commands: Sender,
    dead_letters: Sender,
}

impl fmt::Debug for KafkaFeed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KafkaFeed").finish_non_exhaustive()
    }
}

impl KafkaFeed {
    /// Opens the ways to the topics.
    ///
    /// # Errors
    /// When librdkafka refuses the settings.
    pub fn open(kafka: &Kafka) -> KafkaResult<Self> {
        let (wishes, heard) = mpsc::channel();
        Ok(Self {
            wishes: Mutex::new(wishes),
            heard: Mutex::new(Some(heard)),
            commands: Sender::open(kafka, topics::COMMANDS)?,
            dead_letters: Sender::open(kafka, topics::DEAD_LETTERS)?,
        })
    }

    /// Gives the place where wishes are heard, once.
    pub(super) fn take_heard(&self) -> Option<Receiver<Wish>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn wish(&self, wish: Wish) {
        // A member that is gone feeds nobody.
        drop(self.wishes.lock().unwrap_or_else(PoisonError::into_inner).send(wish));
    }
}

/// Makes the record of a command.
pub(super) fn sent(partition: Partition, command: &Command) -> Sent {
    Sent {
        partition,
        key: command.home().to_string().into_bytes(),
        payload: serde_json::to_vec(command).expect("a command is JSON"),
        headers: command
            .context
            .traceparent
            .iter()
            .map(|traceparent| ("traceparent", traceparent.to_string()))
            .collect(),
    }
}

fn all_sent(commands: &[(Partition, Command)]) -> Vec<Sent> {
    commands.iter().map(|(partition, command)| sent(*partition, command)).collect()
}

impl Feed for KafkaFeed {
    fn begin(&self, partition: Partition, session: u64, from: Option<u64>) {
        self.wish(Wish::Begin { partition, session, from });
    }

    fn end(&self, partition: Partition) {
        self.wish(Wish::End { partition });
    }

    fn send(&self, commands: Vec<(Partition, Command)>) -> Result<(), FeedError> {
        if self.commands.keep(&all_sent(&commands), KEPT_WITHIN) { Ok(()) } else { Err(not_kept()) }
    }

    fn post(&self, commands: Vec<(Partition, Command)>) {
        let deadline = std::time::Instant::now() + KEPT_WITHIN;
        // Asked again until it is answered: nobody waits for this to be kept.
        drop(self.commands.hand_over(&all_sent(&commands), deadline));
    }

    fn bury(&self, partition: Partition, dead: Vec<(u64, Dead)>) -> Result<(), FeedError> {
        let letter = |(offset, dead): (u64, Dead)| Sent {
            partition,
            key: dead.key.map(Vec::from).unwrap_or_default(),
            payload: Vec::from(dead.payload),
            headers: vec![
                ("reason", dead.reason.into()),
                ("source_partition", partition.to_string()),
                ("source_offset", offset.to_string()),
            ],
        };
        let letters: Vec<Sent> = dead.into_iter().map(letter).collect();
        if self.dead_letters.keep(&letters, KEPT_WITHIN) { Ok(()) } else { Err(not_kept()) }
    }
}

fn not_kept() -> FeedError {
    let timed_out = KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut);
    FeedError(Box::new(timed_out))
}
