//! A topic of commands in memory, that several processors of one test are fed from: so that the test
//! decides who owns what, and the journal alone is on Kafka. Every tenth offset is left out, as the
//! transactions of upstream producers leave theirs out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use tallybook::inbox::feed::{Dead, Fed, Feed, FeedError, Letter, Owners};
use tallybook_events::command::Command;
use tallybook_events::ids::Partition;

/// One offset of so many is a gap.
const GAP: u64 = 10;

/// The commands of all partitions.
#[derive(Debug)]
pub(crate) struct Topic {
    partitions: Vec<Mutex<Vec<(u64, Command)>>>,
    readers: Mutex<Vec<Arc<Reader>>>,
}

/// The topic as one processor sees it.
#[derive(Debug)]
pub(crate) struct Reader {
    topic: Arc<Topic>,
    owners: OnceLock<Arc<dyn Owners>>,
    /// By partition, the session and the next offset.
    sessions: Mutex<HashMap<Partition, (u64, u64)>>,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Topic {
    pub(crate) fn new(partitions: u32) -> Arc<Self> {
        let partitions = (0..partitions).map(|_| Mutex::default()).collect();
        Arc::new(Self { partitions, readers: Mutex::default() })
    }

    /// Makes the way of one processor to the topic.
    pub(crate) fn reader(self: &Arc<Self>) -> Arc<Reader> {
        let reader = Arc::new(Reader {
            topic: Arc::clone(self),
            owners: OnceLock::new(),
            sessions: Mutex::default(),
        });
        lock(&self.readers).push(Arc::clone(&reader));
        reader
    }

    fn of(&self, partition: Partition) -> MutexGuard<'_, Vec<(u64, Command)>> {
        lock(&self.partitions[usize::try_from(partition.0).expect("few partitions")])
    }

    /// Puts a command into a partition.
    pub(crate) fn append(&self, partition: Partition, command: Command) {
        {
            let mut kept = self.of(partition);
            let next = kept.last().map_or(0, |(offset, _)| offset + 1);
            let next = if next % GAP == GAP - 1 { next + 1 } else { next };
            kept.push((next, command));
        }
        let readers = lock(&self.readers).clone();
        for reader in &readers {
            reader.push(partition);
        }
    }

    /// Gives the offsets of a partition that hold a command.
    pub(crate) fn offsets(&self, partition: Partition) -> Vec<u64> {
        self.of(partition).iter().map(|(offset, _)| *offset).collect()
    }
}

impl Reader {
    /// Says whom it feeds.
    pub(crate) fn feeds(&self, owners: Arc<dyn Owners>) {
        self.owners.set(owners).expect("a reader feeds one processor");
    }

    pub(crate) fn want(&self, partition: Partition, wanted: bool) {
        self.owners.get().expect("it feeds somebody").want(partition, wanted);
    }

    fn push(&self, partition: Partition) {
        let Some(owners) = self.owners.get() else { return };
        let mut sessions = lock(&self.sessions);
        let Some((session, next)) = sessions.get_mut(&partition) else { return };
        let kept = self.topic.of(partition);
        let first = kept.partition_point(|(offset, _)| offset < next);
        let fed: Vec<Fed> = kept[first..]
            .iter()
            .map(|(offset, command)| {
                let json = serde_json::to_vec(command).expect("a command is JSON");
                let (command, json) = (Box::new(command.clone()), Bytes::from(json));
                Fed { offset: *offset, letter: Letter::Command { command, json } }
            })
            .collect();
        if let Some(last) = fed.last() {
            *next = last.offset + 1;
            owners.feed(partition, *session, fed);
        }
    }
}

impl Feed for Reader {
    fn begin(&self, partition: Partition, session: u64, from: Option<u64>) {
        lock(&self.sessions).insert(partition, (session, from.unwrap_or(0)));
        self.push(partition);
    }

    fn end(&self, partition: Partition) {
        lock(&self.sessions).remove(&partition);
    }

    fn send(&self, commands: Vec<(Partition, Command)>) -> Result<(), FeedError> {
        self.post(commands);
        Ok(())
    }

    fn post(&self, commands: Vec<(Partition, Command)>) {
        for (partition, command) in commands {
            self.topic.append(partition, command);
        }
    }

    fn bury(&self, _: Partition, _: Vec<(u64, Dead)>) -> Result<(), FeedError> {
        Ok(())
    }
}
