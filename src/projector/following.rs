//! The loop: what waits is folded in one transaction, at once or gathered for a while ([`Pace`]).

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tallybook_events::chain::Offset;
use tallybook_events::ids::{Partition, Position};
use tallybook_projections::progress::Progress;
use tallybook_projections::store::{Batch, Store, StoreError};

use super::judged::{Halted, Readers};
use super::lag::Lag;
use super::{Pace, ProjectorState, ProjectorStatus};
use crate::journal::{Follower, Journal, JournalError, Stored};

/// Most records that are folded in one transaction.
const MAX_RECORDS: usize = 2_048;
/// Most transactions that fold what was gathered when it is told to stop.
const LAST_FOLDS: usize = 16;
/// How long to wait for records before looking whether to stop.
const LOOK_UP: Duration = Duration::from_millis(100);
/// How often the lag is measured.
const MEASURE_EVERY: Duration = Duration::from_secs(1);
/// Pause before asking again what did not answer; doubled each time,
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// up to this one.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often whoever stands by looks whether it is to fold.
const STAND_BY: Duration = Duration::from_millis(250);

/// All that the thread has.
pub(super) struct Following {
    pub(super) journal: Arc<dyn Journal>,
    pub(super) store: Box<dyn Store>,
    pub(super) progress: Arc<Progress>,
    pub(super) pace: Pace,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) status: ProjectorStatus,
    pub(super) lag: Lag,
}

/// Why a round ended. The next one begins where the rows stand then.
enum Ended {
    /// Told to stop.
    Stopped,
    /// Somebody else moved the rows.
    Moved,
    /// Somebody else folds here at present.
    Led,
    /// No answer; ask again.
    Unavailable(Box<dyn Error + Send + Sync>),
    /// For good.
    Halted(Halted),
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Moved => Self::Moved,
            StoreError::Led => Self::Led,
            StoreError::Unavailable(_) => Self::Unavailable(error.into()),
            StoreError::Unfoldable(_) | StoreError::Damaged { .. } => {
                Self::Halted(Halted::Store(error))
            }
        }
    }
}

impl From<JournalError> for Ended {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Unavailable(_) => Self::Unavailable(error.into()),
            // It is closed when the process is about to end.
            JournalError::Closed => Self::Stopped,
            JournalError::Damaged { .. } => Self::Halted(Halted::Journal(error)),
        }
    }
}

impl From<Halted> for Ended {
    fn from(halted: Halted) -> Self {
        Self::Halted(halted)
    }
}

/// Tells of a panic before the thread is gone.
struct LastWords(ProjectorStatus);

impl Drop for LastWords {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.set(ProjectorState::Halted("it panicked".into()));
        }
    }
}

impl Following {
    /// Folds until it is told to stop, or must halt.
    pub(super) fn run(mut self) {
        let last_words = LastWords(self.status.clone());
        let mut pause = FIRST_PAUSE;
        loop {
            let mut folded = false;
            match self.round(&mut folded) {
                Ended::Stopped => break,
                Ended::Halted(halted) => {
                    let why = chain_of(&halted);
                    tracing::error!(why, "the projector has halted");
                    self.status.set(ProjectorState::Halted(why));
                    return;
                }
                Ended::Moved => {
                    tracing::warn!("somebody else moved the read models: going on from there");
                    self.status.set(ProjectorState::CatchingUp);
                }
                Ended::Led => {
                    if self.status.state() != ProjectorState::StandingBy {
                        tracing::info!("another projector folds into the read models: standing by");
                    }
                    self.status.set(ProjectorState::StandingBy);
                }
                Ended::Unavailable(error) => {
                    let why = chain_of(&*error);
                    tracing::warn!(why, ?pause, "the projector gets no answer, it asks again");
                    self.status.set(ProjectorState::Retrying(why));
                }
            }
            self.lag.measure();
            let stands_by = self.status.state() == ProjectorState::StandingBy;
            pause = if stands_by {
                STAND_BY
            } else if folded {
                FIRST_PAUSE
            } else {
                (pause * 2).min(LONGEST_PAUSE)
            };
            if self.stopped_within(pause) {
                break;
            }
        }
        self.status.set(ProjectorState::Stopped);
        drop(last_words);
    }

    /// Folds from where the rows stand until something ends it. `folded` is set once it came further.
    fn round(&mut self, folded: &mut bool) -> Ended {
        match self.try_round(folded) {
            Ok(()) => Ended::Stopped,
            Err(ended) => ended,
        }
    }

    fn try_round(&mut self, folded: &mut bool) -> Result<(), Ended> {
        let stand = self.store.checkpoints()?;
        let mut readers = Readers::from(&stand, self.journal.partitions())?;
        let mut ends = Vec::new();
        for (partition, at) in readers.stand() {
            let bounds = self.journal.bounds(partition)?;
            readers.check_bounds(partition, bounds)?;
            ends.push((partition, bounds.end));
            self.progress.publish(Position { partition, seq: at.seq });
        }
        let from = readers.stand().map(|(partition, at)| (partition, at.offset)).collect();
        let mut follower = self.journal.follow(from)?;
        let mut measured: Option<Instant> = None;
        loop {
            let up_to_date = past(&readers, &ends);
            if up_to_date {
                self.up_to_date(*folded);
            }
            if measured.is_none_or(|at| at.elapsed() >= MEASURE_EVERY) {
                self.lag.stands(readers.stand());
                self.lag.measure();
                measured = Some(Instant::now());
            }
            if self.stop.load(Ordering::Acquire) {
                return if up_to_date {
                    self.fold_last(&mut readers, &mut *follower)
                } else {
                    Ok(())
                };
            }
            let stored = next(&mut *follower)?;
            let began = Instant::now();
            self.fold(&mut readers, &stored)?;
            *folded |= !stored.is_empty();
            if let Pace::Gathering(span) = self.pace
                && up_to_date
                && (1..MAX_RECORDS).contains(&stored.len())
            {
                self.progress.pause(began + span);
            }
        }
    }

    /// Folds what was gathered: nobody does while this process is not there.
    fn fold_last(
        &mut self,
        readers: &mut Readers,
        follower: &mut dyn Follower,
    ) -> Result<(), Ended> {
        if self.pace == Pace::AtOnce {
            return Ok(());
        }
        for _ in 0..LAST_FOLDS {
            let stored = follower.next(MAX_RECORDS, Duration::ZERO)?;
            if stored.is_empty() {
                break;
            }
            self.fold(readers, &stored)?;
        }
        Ok(())
    }

    /// Folds records and tells that it has.
    fn fold(&mut self, readers: &mut Readers, stored: &[(Partition, Stored)]) -> Result<(), Ended> {
        let (batch, judged) = readers.judge(stored);
        if !batch.parts.is_empty() {
            self.commit(&batch)?;
        }
        Ok(judged?)
    }

    fn commit(&mut self, batch: &Batch<'_>) -> Result<(), Ended> {
        self.store.commit(batch)?;
        for part in &batch.parts {
            self.progress.publish(Position { partition: part.partition, seq: part.to.seq });
        }
        Ok(())
    }

    /// Notes that it has come to where the journal ended when it began. Whoever stands by does so until
    /// it folds something itself.
    fn up_to_date(&self, folded: bool) {
        let state = self.status.state();
        let stands_by = state == ProjectorState::StandingBy && !folded;
        if state != ProjectorState::Following && !stands_by {
            tracing::info!("the read models are up to date");
            self.status.set(ProjectorState::Following);
        }
    }

    /// Pauses, but not when told to stop.
    fn stopped_within(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        while !self.stop.load(Ordering::Acquire) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            thread::park_timeout(left);
        }
        true
    }
}

fn next(follower: &mut dyn Follower) -> Result<Vec<(Partition, Stored)>, JournalError> {
    follower.next(MAX_RECORDS, LOOK_UP)
}

/// Tells whether all readers have come to where the partitions ended.
fn past(readers: &Readers, ends: &[(Partition, Offset)]) -> bool {
    ends.iter().all(|(partition, end)| readers.checkpoint(*partition).offset >= *end)
}

/// Gives an error with all its causes.
fn chain_of(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
