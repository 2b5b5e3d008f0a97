//! How far the read models have come, for all who wait for a position.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tallybook_events::ids::{Partition, Position};
use tokio::sync::oneshot;

use crate::queries::ReadError;

/// Most waiters of one partition. Whoever comes then is told that the read model is behind.
pub const MAX_WAITERS: usize = 65_536;

/// How far each partition has come. Whoever moves the rows publishes it, after their transaction.
pub struct Progress {
    partitions: Vec<Reached>,
}

#[derive(Default)]
struct Reached {
    seq: AtomicU64,
    waiters: Mutex<Waiters>,
}

#[derive(Default)]
struct Waiters {
    came: u64,
    by_seq: BTreeMap<(u64, u64), oneshot::Sender<()>>,
}

/// Takes a waiter off the list when it is answered, or gives up.
struct Waiting<'a> {
    reached: &'a Reached,
    key: (u64, u64),
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.reached.lock().by_seq.remove(&self.key);
    }
}

impl Reached {
    fn lock(&self) -> MutexGuard<'_, Waiters> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seq(&self) -> u64 {
        self.seq.load(Ordering::Acquire)
    }
}

impl Progress {
    /// Begins before the first record of each partition.
    pub fn new(partitions: u32) -> Self {
        Self { partitions: (0..partitions).map(|_| Reached::default()).collect() }
    }

    /// Tells that the rows have come to a position, and wakes those who wait for it.
    pub fn publish(&self, position: Position) {
        let Some(reached) = self.partition(position.partition) else { return };
        reached.seq.fetch_max(position.seq, Ordering::AcqRel);
        let mut waiters = reached.lock();
        let later = waiters.by_seq.split_off(&(position.seq + 1, 0));
        let due = std::mem::replace(&mut waiters.by_seq, later);
        drop(waiters);
        for waiter in due.into_values() {
            // Whoever has given up in the meantime does not listen.
            let _ = waiter.send(());
        }
    }

    /// Gives the position of each partition.
    pub fn positions(&self) -> Vec<Position> {
        let numbered = (0..).map(Partition).zip(&self.partitions);
        numbered.map(|(partition, reached)| Position { partition, seq: reached.seq() }).collect()
    }

    /// Waits until the rows have come to a position.
    ///
    /// # Errors
    /// [`ReadError::Behind`] when they have not, after `timeout`, or when too many wait already.
    pub async fn reached(&self, position: Position, timeout: Duration) -> Result<(), ReadError> {
        let reached = self.partition(position.partition).ok_or(ReadError::Behind)?;
        if reached.seq() >= position.seq {
            return Ok(());
        }
        let (waiting, told) = {
            let mut waiters = reached.lock();
            // It is published before the lock is taken to wake: so nobody sleeps through it.
            if reached.seq() >= position.seq {
                return Ok(());
            }
            if waiters.by_seq.len() >= MAX_WAITERS {
                return Err(ReadError::Behind);
            }
            waiters.came += 1;
            let key = (position.seq, waiters.came);
            let (tell, told) = oneshot::channel();
            waiters.by_seq.insert(key, tell);
            (Waiting { reached, key }, told)
        };
        let answer = tokio::time::timeout(timeout, told).await;
        drop(waiting);
        match answer {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(ReadError::Behind),
        }
    }

    fn partition(&self, partition: Partition) -> Option<&Reached> {
        self.partitions.get(usize::try_from(partition.0).ok()?)
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.positions()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn at(partition: u32, seq: u64) -> Position {
        Position { partition: Partition(partition), seq }
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_by_the_position_or_a_later_one() {
        let progress = Progress::new(2);
        let (waited, ()) = tokio::join!(
            async {
                tokio::join!(
                    progress.reached(at(1, 3), SOON),
                    progress.reached(at(1, 5), SOON),
                    progress.reached(at(0, 1), Duration::from_millis(1)),
                )
            },
            async {
                progress.publish(at(1, 3));
                tokio::task::yield_now().await;
                progress.publish(at(1, 6));
            }
        );
        assert!(matches!(waited, (Ok(()), Ok(()), Err(ReadError::Behind))), "{waited:?}");
        assert_eq!(progress.positions(), [at(0, 0), at(1, 6)]);
        assert!(progress.partitions.iter().all(|reached| reached.lock().by_seq.is_empty()));
    }

    #[tokio::test]
    async fn what_is_reached_needs_no_waiting_and_never_goes_back() {
        let progress = Progress::new(1);
        progress.publish(at(0, 7));
        progress.publish(at(0, 4));
        assert!(progress.reached(at(0, 7), Duration::ZERO).await.is_ok());
        assert!(progress.reached(at(3, 1), Duration::ZERO).await.is_err());
    }
}
