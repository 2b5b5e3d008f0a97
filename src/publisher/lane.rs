//! One partition, from the journal to its output.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rand::Rng as _;
use tallybook_events::chain::{Chain, Checkpoint};
use tallybook_events::ids::Partition;
use tallybook_projections::store::{Batch, Part, StoreError, TellingStore};

use super::judged::{Halted, Judged};
use super::sink::{Output, Sink, SinkError};
use super::{Folds, LaneState, PublisherStatus, records};
use crate::journal::{Journal, JournalError, Stored};

/// Most records that are folded in one transaction without publishing,
const MAX_FOLDED: usize = 8_192;
/// and most bytes of them.
const MAX_BYTES: usize = 16 << 20;
/// How long to wait for records before looking whether to stop.
const LOOK_UP: Duration = Duration::from_millis(100);
/// How often the lag is measured.
const MEASURE_EVERY: Duration = Duration::from_secs(1);
/// Pause before beginning anew; doubled each time,
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// up to this one.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Least pause of one who was fenced: it may not have heard yet that the partition is another's.
const FENCED_PAUSE: Duration = Duration::from_secs(1);

/// All that the thread of a partition has.
pub(super) struct Lane {
    pub(super) partition: Partition,
    pub(super) journal: Arc<dyn Journal>,
    pub(super) folds: Arc<dyn Folds>,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) status: PublisherStatus,
    /// Most records that are published in one transaction.
    pub(super) batch: usize,
}

/// Why a round ended. The next one begins at the tail of the output.
enum Ended {
    /// Told to stop.
    Stopped,
    /// Somebody else has claimed the partition.
    Fenced,
    /// No answer; begin anew.
    Unavailable(Box<dyn Error + Send + Sync>),
    /// The rows are of no use: begin anew without them.
    Useless(String),
    /// For good.
    Halted(Halted),
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Moved | StoreError::Led | StoreError::Unavailable(_) => {
                Self::Unavailable(error.into())
            }
            StoreError::Damaged { .. } => Self::Useless(chain_of(&error)),
            StoreError::Unfoldable(_) => Self::Halted(Halted::Store(error)),
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

impl From<SinkError> for Ended {
    fn from(error: SinkError) -> Self {
        match error {
            SinkError::Fenced => Self::Fenced,
            SinkError::Unavailable(_) => Self::Unavailable(error.into()),
            SinkError::Damaged { .. } => Self::Halted(Halted::Sink(error)),
        }
    }
}

impl From<Halted> for Ended {
    fn from(halted: Halted) -> Self {
        Self::Halted(halted)
    }
}

/// Tells of a panic before the thread is gone.
struct LastWords(PublisherStatus, Partition);

impl Drop for LastWords {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.set(self.1, LaneState::Halted("it panicked".into()));
        }
    }
}

/// The rows of the partition, and the reader that stands where they do or later.
struct Rows {
    store: Box<dyn TellingStore>,
    /// Where the rows stood when they were opened.
    began: Checkpoint,
    at: Checkpoint,
    chain: Chain,
}

impl Lane {
    /// Publishes until it is told to stop, or must halt.
    pub(super) fn run(mut self) {
        let last_words = LastWords(self.status.clone(), self.partition);
        let mut pause = FIRST_PAUSE;
        let mut anew = false;
        loop {
            let mut published = false;
            let ended = self.round(anew, &mut published);
            let mut least = Duration::ZERO;
            anew = false;
            let why = match ended {
                Ok(()) | Err(Ended::Stopped) => break,
                Err(Ended::Halted(halted)) => {
                    let why = chain_of(&halted);
                    tracing::error!(partition = self.partition.0, why, "publishing has halted");
                    self.status.set(self.partition, LaneState::Halted(why));
                    return;
                }
                Err(Ended::Fenced) => {
                    least = FENCED_PAUSE;
                    "somebody else has taken the partition".to_owned()
                }
                Err(Ended::Unavailable(error)) => chain_of(&*error),
                Err(Ended::Useless(why)) => {
                    anew = true;
                    why
                }
            };
            pause = if published { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
            let pause = rand::rng().random_range(pause / 2..=pause).max(least);
            tracing::warn!(partition = self.partition.0, why, ?pause, "publishing begins anew");
            metrics::counter!("tallybook_publisher_reclaims_total", &self.labels()).increment(1);
            self.status.set(self.partition, LaneState::Retrying(why));
            if self.stopped_within(pause) {
                break;
            }
        }
        drop(last_words);
        self.status.gone(self.partition);
    }

    /// Takes the partition and publishes from the tail of its output on, until something ends it.
    /// `published` is set once it came further.
    fn round(&mut self, anew: bool, published: &mut bool) -> Result<(), Ended> {
        self.status.set(self.partition, LaneState::CatchingUp);
        let mut output = self.sink.claim(self.partition)?;
        let from = output.published();
        let mut rows = self.rows(anew, from)?;
        self.fold_to(&mut rows, from)?;
        let bounds = self.journal.bounds(self.partition)?;
        rows.chain.check_bounds(bounds.low, bounds.end).map_err(Halted::Chain)?;
        let mut follower = self.journal.follow(vec![(self.partition, from.offset)])?;
        let mut measured: Option<Instant> = None;
        let mut behind = true;
        while !self.stop.load(Ordering::Acquire) {
            if behind && rows.chain.checkpoint().offset >= bounds.end {
                behind = false;
                self.status.set(self.partition, LaneState::Publishing);
            }
            if measured.is_none_or(|at| at.elapsed() >= MEASURE_EVERY) {
                self.measure(&rows)?;
                measured = Some(Instant::now());
            }
            let stored = follower.next(self.batch, LOOK_UP)?;
            let stored: Vec<Stored> = stored.into_iter().map(|(_, stored)| stored).collect();
            let (judged, done) = Judged::of(&mut rows.chain, self.partition, &stored);
            if !judged.facts.is_empty() {
                self.publish(&mut rows, judged, &mut *output)?;
                *published = true;
            }
            done?;
        }
        Err(Ended::Stopped)
    }

    /// Opens the rows; those that are ahead of the output are of no use.
    fn rows(&self, anew: bool, published: Checkpoint) -> Result<Rows, Ended> {
        if !anew {
            let store = self.folds.open(self.partition)?;
            let rows = self.stand(store)?;
            if rows.at.offset <= published.offset {
                return Ok(rows);
            }
            tracing::warn!(
                partition = self.partition.0,
                rows = rows.at.offset,
                output = published.offset,
                "less is published than was: the publisher's rows are folded anew"
            );
        }
        self.stand(self.folds.open_anew(self.partition)?)
    }

    fn stand(&self, mut store: Box<dyn TellingStore>) -> Result<Rows, Ended> {
        let stand = store.checkpoints()?;
        let found = stand.into_iter().find(|(partition, _)| *partition == self.partition);
        let at = found.map_or(Checkpoint::START, |(_, at)| at);
        Ok(Rows { store, began: at, at, chain: Chain::from(at) })
    }

    /// Folds what was published already, without publishing it.
    fn fold_to(&self, rows: &mut Rows, published: Checkpoint) -> Result<(), Ended> {
        while rows.chain.checkpoint().offset < published.offset {
            if self.stop.load(Ordering::Acquire) {
                return Err(Ended::Stopped);
            }
            let from = rows.chain.checkpoint().offset;
            let mut stored = self.journal.read(self.partition, from, MAX_FOLDED, MAX_BYTES)?;
            stored.retain(|stored| stored.offset < published.offset);
            if stored.is_empty() {
                break;
            }
            let (judged, done) = Judged::of(&mut rows.chain, self.partition, &stored);
            // All of it is published: the rows may stand anywhere up to there.
            let to = rows.chain.checkpoint();
            rows.commit(self.partition, to, judged, |store, batch| store.commit(batch))?;
            done.map_err(|halted| rows.doubted(halted))?;
        }
        if rows.chain.checkpoint() == published {
            return Ok(());
        }
        Err(rows.doubted(Halted::ForeignOutput { offset: published.offset }))
    }

    fn publish(
        &self,
        rows: &mut Rows,
        judged: Judged<'_>,
        output: &mut dyn Output,
    ) -> Result<(), Ended> {
        let Some(to) = judged.beside.last().map(|beside| beside.after) else { return Ok(()) };
        let beside = judged.beside.clone();
        let events: usize = judged.facts.iter().map(|facts| facts.facts.len()).sum();
        let mut failed = None;
        let kept = rows.commit(self.partition, to, judged, |store, batch| {
            let facts = batch.parts.first().map_or(&[][..], |part| &part.facts);
            store.commit_told(batch, &mut |told| {
                let records = records::of(self.partition, facts, &beside, &told);
                output.publish(records).map_err(|error| {
                    failed = Some(error);
                    StoreError::Unavailable("it was not published".into())
                })
            })
        });
        if let Some(error) = failed {
            return Err(error.into());
        }
        kept?;
        let events = u64::try_from(events).expect("a number of events in memory");
        metrics::counter!("tallybook_published_events_total", &self.labels()).increment(events);
        Ok(())
    }

    fn measure(&self, rows: &Rows) -> Result<(), Ended> {
        let at = rows.chain.checkpoint();
        let end = self.journal.bounds(self.partition)?.end;
        let labels = self.labels();
        metrics::gauge!("tallybook_publisher_lag_records", &labels)
            .set(gauge(end.saturating_sub(at.offset)));
        metrics::gauge!("tallybook_publisher_position", &labels).set(gauge(at.seq));
        Ok(())
    }

    fn labels(&self) -> [(&'static str, String); 1] {
        [("partition", self.partition.to_string())]
    }

    /// Pauses, but not when told to stop.
    fn stopped_within(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        while !self.stop.load(Ordering::Acquire) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            thread::park_timeout(left.min(LOOK_UP));
        }
        true
    }
}

impl Rows {
    /// Says what it means that the journal does not follow on the rows: their own place may be what is
    /// wrong. Without them the journal alone is asked.
    fn doubted(&self, halted: Halted) -> Ended {
        if self.began == Checkpoint::START {
            return Ended::Halted(halted);
        }
        Ended::Useless(format!(
            "the publisher's rows are not of this journal: {}",
            chain_of(&halted)
        ))
    }

    /// Keeps what was judged, by a commit of the store, and moves the place of the rows on.
    fn commit<'a>(
        &mut self,
        partition: Partition,
        to: Checkpoint,
        judged: Judged<'a>,
        commit: impl FnOnce(&mut dyn TellingStore, &Batch<'a>) -> Result<(), StoreError>,
    ) -> Result<(), Ended> {
        let part = Part { partition, from: self.at, to, facts: judged.facts, commands: Vec::new() };
        commit(&mut *self.store, &Batch { parts: vec![part] })?;
        self.at = to;
        Ok(())
    }
}

/// Gives a number as metrics have it.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; exact up to 2^53")]
fn gauge(number: u64) -> f64 {
    number as f64
}

/// Gives an error with all its causes.
pub(super) fn chain_of(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
