//! A journal in memory: all promises but that it outlives the process. For tests, and for runs of
//! which nothing is to be left.
//!
//! A clone is another handle of the same open journal. [`MemoryJournal::reopen`] opens what it has
//! kept once more, as a restart of the process does: when the last handle of the first opening is
//! dropped, its appenders are closed, and the records stay.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use tallybook_events::chain::Offset;
use tallybook_events::ids::Partition;

use super::log::MemoryLog;
use super::tail::{Readable, Tail};
use super::teller::Teller;
use super::{Appender, Bounds, Delivery, DeliverySink, Follower, Journal, JournalError, Stored};

/// Most appends whose deliveries wait to be told by the thread.
const MAX_UNTOLD: usize = 1_024;

/// Who tells what became of appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Deliveries {
    /// The append itself, before it returns. The fastest.
    #[default]
    AtOnce,
    /// A thread of the journal, as a journal on disk does.
    ByThread,
}

/// A journal in memory.
#[derive(Debug, Clone)]
pub struct MemoryJournal {
    log: Arc<MemoryLog>,
    opening: Arc<Opening>,
}

impl MemoryJournal {
    /// Makes an empty journal with so many partitions.
    pub fn new(partitions: u32) -> Self {
        Self::with_deliveries(partitions, Deliveries::AtOnce)
    }

    /// Makes an empty journal that tells of deliveries in the given way.
    pub fn with_deliveries(partitions: u32, deliveries: Deliveries) -> Self {
        Self {
            log: Arc::new(MemoryLog::new(partitions)),
            opening: Arc::new(Opening::new(deliveries)),
        }
    }

    /// Opens what this journal has kept once more. Both openings write to the same partitions.
    #[must_use]
    pub fn reopen(&self) -> Self {
        let deliveries = match self.opening.thread {
            Some(_) => Deliveries::ByThread,
            None => Deliveries::AtOnce,
        };
        Self { log: Arc::clone(&self.log), opening: Arc::new(Opening::new(deliveries)) }
    }
}

impl Journal for MemoryJournal {
    fn partitions(&self) -> u32 {
        self.log.ends().partitions()
    }

    fn bounds(&self, partition: Partition) -> Result<Bounds, JournalError> {
        Ok(Bounds { low: 0, end: self.log.ends().end(partition) })
    }

    fn read(
        &self,
        partition: Partition,
        from: Offset,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Stored>, JournalError> {
        self.log.read(partition, from, max_records, max_bytes)
    }

    fn appender(
        &self,
        partition: Partition,
        sink: DeliverySink,
    ) -> Result<Box<dyn Appender>, JournalError> {
        Ok(Box::new(MemoryAppender {
            partition,
            log: Arc::clone(&self.log),
            opening: Arc::downgrade(&self.opening),
            teller: Arc::new(Teller::new(sink)),
        }))
    }

    fn follow(&self, from: Vec<(Partition, Offset)>) -> Result<Box<dyn Follower>, JournalError> {
        Ok(Box::new(Tail::new(Arc::clone(&self.log), from)))
    }
}

type Untold = (Arc<Teller>, Vec<Delivery>);

/// What appenders need to be alive. Dropped with the last handle.
#[derive(Debug)]
struct Opening {
    thread: Option<(SyncSender<Untold>, JoinHandle<()>)>,
}

impl Opening {
    fn new(deliveries: Deliveries) -> Self {
        let thread = match deliveries {
            Deliveries::AtOnce => None,
            Deliveries::ByThread => {
                let (sender, untold) = sync_channel::<Untold>(MAX_UNTOLD);
                let tell_all = move || untold.into_iter().for_each(|(to, what)| to.tell(what));
                Some((sender, thread::spawn(tell_all)))
            }
        };
        Self { thread }
    }

    fn tell(&self, teller: &Arc<Teller>, deliveries: Vec<Delivery>) {
        match &self.thread {
            None => teller.tell(deliveries),
            // The thread ends early only when a sink panics: then nobody is told.
            Some((thread, _)) => drop(thread.send((Arc::clone(teller), deliveries))),
        }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some((sender, thread)) = self.thread.take() {
            drop(sender);
            // A sink may hold the last handle: a thread cannot wait for itself.
            if thread.thread().id() != thread::current().id() {
                drop(thread.join());
            }
        }
    }
}

#[derive(Debug)]
struct MemoryAppender {
    partition: Partition,
    log: Arc<MemoryLog>,
    opening: Weak<Opening>,
    teller: Arc<Teller>,
}

impl Appender for MemoryAppender {
    fn append(&mut self, records: Vec<Bytes>) -> Result<(), JournalError> {
        let opening = self.opening.upgrade().ok_or(JournalError::Closed)?;
        let count = Offset::try_from(records.len()).expect("addresses fit in 64 bits");
        let first = self.log.append(self.partition, records);
        opening.tell(&self.teller, (first..first + count).map(Delivery::At).collect());
        Ok(())
    }
}

impl Drop for MemoryAppender {
    fn drop(&mut self) {
        self.teller.silence();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::conformance::{self, Subject};

    struct Restarted(MemoryJournal);

    impl Subject for Restarted {
        fn open(&self) -> Box<dyn Journal> {
            Box::new(self.0.reopen())
        }
    }

    #[test]
    fn it_keeps_every_promise_when_it_tells_at_once() {
        conformance::all(|partitions| Restarted(MemoryJournal::new(partitions)));
    }

    #[test]
    fn it_keeps_every_promise_when_a_thread_tells() {
        conformance::all(|partitions| {
            Restarted(MemoryJournal::with_deliveries(partitions, Deliveries::ByThread))
        });
    }

    #[test]
    fn a_clone_keeps_its_opening_alive() {
        let journal = MemoryJournal::new(1);
        let mut appender = journal.appender(Partition(0), Box::new(|_| {})).unwrap();
        let clone = journal.clone();
        drop(journal);
        appender.append(vec![Bytes::from_static(b"kept")]).unwrap();
        let kept = Stored { offset: 0, record: Bytes::from_static(b"kept") };
        assert_eq!(clone.read(Partition(0), 0, 10, 10).unwrap(), [kept]);
    }

    #[test]
    fn an_appender_of_an_older_opening_writes_to_the_same_partitions() {
        let first = MemoryJournal::new(1);
        let mut zombie = first.appender(Partition(0), Box::new(|_| {})).unwrap();
        let second = first.reopen();
        zombie.append(vec![Bytes::from_static(b"late")]).unwrap();
        assert_eq!(second.bounds(Partition(0)).unwrap(), Bounds { low: 0, end: 1 });
    }
}
