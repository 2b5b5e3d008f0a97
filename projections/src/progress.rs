//! How far the read models have come, for all who wait for a position.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tallybook_events::ids::{Partition, Position};
use tokio::sync::oneshot;

use crate::queries::ReadError;

/// Most waiters of one partition. Whoever comes then is told that the read model is behind.
pub const MAX_WAITERS: usize = 65_536;

/// How far each partition has come. Whoever moves the rows publishes it, after their transaction.
pub struct Progress {
    partitions: Vec<Reached>,
    demand: Demand,
}

/// Whether anybody waits, for whoever moves the rows.
#[derive(Default)]
struct Demand {
    state: Mutex<Demanded>,
    changed: Condvar,
}

#[derive(Default)]
struct Demanded {
    waiting: usize,
    /// Nobody pauses any more.
    hurried: bool,
}

impl Demand {
    fn lock(&self) -> MutexGuard<'_, Demanded> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
    demand: &'a Demand,
    reached: &'a Reached,
    key: (u64, u64),
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.reached.lock().by_seq.remove(&self.key);
        self.demand.lock().waiting -= 1;
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
        let partitions = (0..partitions).map(|_| Reached::default()).collect();
        Self { partitions, demand: Demand::default() }
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
            self.demand.lock().waiting += 1;
            (Waiting { demand: &self.demand, reached, key }, told)
        };
        self.demand.changed.notify_all();
        let answer = tokio::time::timeout(timeout, told).await;
        drop(waiting);
        match answer {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(ReadError::Behind),
        }
    }

    /// Pauses until somebody waits for a position, or until the moment: for whoever moves the rows and
    /// would rather move many at a time. Blocks.
    pub fn pause(&self, until: Instant) {
        let mut demanded = self.demand.lock();
        while demanded.waiting == 0 && !demanded.hurried {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let woken = self.demand.changed.wait_timeout(demanded, left);
            demanded = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ends a pause, and lets nobody pause any more.
    pub fn hurry(&self) {
        self.demand.lock().hurried = true;
        self.demand.changed.notify_all();
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
    async fn a_pause_ends_when_somebody_waits() {
        let progress = std::sync::Arc::new(Progress::new(1));
        let paused = {
            let progress = std::sync::Arc::clone(&progress);
            std::thread::spawn(move || {
                progress.pause(Instant::now() + Duration::from_hours(1));
                progress.publish(at(0, 1));
            })
        };
        assert!(progress.reached(at(0, 1), SOON).await.is_ok());
        paused.join().unwrap();
        assert_eq!(progress.demand.lock().waiting, 0);
    }

    #[test]
    fn a_pause_ends_in_time_or_when_it_is_told_to() {
        let progress = Progress::new(1);
        progress.pause(Instant::now() + Duration::from_millis(1));
        progress.hurry();
        progress.pause(Instant::now() + Duration::from_hours(1));
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
