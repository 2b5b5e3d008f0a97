//! A journal in memory that makes use of every liberty that the port leaves: it loses, delays, repeats
//! and re-orders appends, answers [`Delivery::Unknown`], and lets what a dropped appender had in
//! flight land late. It never changes or removes what was written, and all readers see the same.
//!
//! What it does to a record is drawn from a seed: the same seed and the same calls in the same order
//! give the same log. Time is counted in calls: each append and each read is one, so what is delayed
//! lands between later records. An owner that waits for an answer makes no calls; for such a one there
//! is [`AdversarialJournal::pumped`], or [`Mischief::late_answers`] at 0.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use tallybook_events::chain::Offset;
use tallybook_events::ids::Partition;

use super::log::MemoryLog;
use super::tail::{Readable, Tail};
use super::teller::Teller;
use super::{Appender, Bounds, Delivery, DeliverySink, Follower, Journal, JournalError, Stored};

mod mischief;

pub use mischief::Mischief;

/// Among so many records of a later call a delayed record may land.
const INTERLEAVED: u64 = 16;

/// A journal in memory that does what it may. A clone is another handle of the same opening.
#[derive(Debug, Clone)]
pub struct AdversarialJournal {
    shared: Arc<Shared>,
    /// Dropped with the last handle: then the appenders of this opening are closed.
    opening: Arc<()>,
}

impl AdversarialJournal {
    /// Makes an empty journal with so many partitions that does its mischief by the seed.
    pub fn new(partitions: u32, seed: u64, mischief: Mischief) -> Self {
        let state =
            State { random: SplitMix(seed), now: 0, under_way: BTreeMap::new(), entered: 0 };
        let log = Arc::new(MemoryLog::new(partitions));
        let shared = Arc::new(Shared { log, mischief, state: Mutex::new(state) });
        Self { shared, opening: Arc::new(()) }
    }

    /// Lets time pass also without calls: one call's worth each `every`, until the journal is dropped.
    /// What lands where then hangs on the machine too, not on the seed alone.
    #[must_use]
    pub fn pumped(self, every: Duration) -> Self {
        let shared = Arc::downgrade(&self.shared);
        thread::spawn(move || {
            while let Some(shared) = shared.upgrade() {
                shared.pass();
                drop(shared);
                thread::park_timeout(every);
            }
        });
        self
    }

    /// Opens what this journal has kept once more, as another process does or a restarted one. What
    /// appenders of this opening have in flight goes on its way.
    #[must_use]
    pub fn reopen(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), opening: Arc::new(()) }
    }

    /// Lets so much time pass that everything under way has landed and is answered.
    pub fn settle(&self) {
        self.shared.settle();
    }
}

impl Journal for AdversarialJournal {
    fn partitions(&self) -> u32 {
        self.shared.log.ends().partitions()
    }

    fn bounds(&self, partition: Partition) -> Result<Bounds, JournalError> {
        self.shared.pass();
        Ok(Bounds { low: 0, end: self.shared.log.ends().end(partition) })
    }

    fn read(
        &self,
        partition: Partition,
        from: Offset,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Stored>, JournalError> {
        self.shared.pass();
        self.shared.log.read(partition, from, max_records, max_bytes)
    }

    fn appender(
        &self,
        partition: Partition,
        sink: DeliverySink,
    ) -> Result<Box<dyn Appender>, JournalError> {
        let answers = Arc::new(Answers { teller: Teller::new(sink), slots: Mutex::default() });
        Ok(Box::new(AdversarialAppender {
            partition,
            shared: Arc::clone(&self.shared),
            opening: Arc::downgrade(&self.opening),
            answers,
        }))
    }

    fn follow(&self, from: Vec<(Partition, Offset)>) -> Result<Box<dyn Follower>, JournalError> {
        let tail = Tail::new(Arc::clone(&self.shared.log), from);
        Ok(Box::new(AdversarialFollower { tail, shared: Arc::clone(&self.shared) }))
    }
}

#[derive(Debug)]
struct AdversarialAppender {
    partition: Partition,
    shared: Arc<Shared>,
    opening: Weak<()>,
    answers: Arc<Answers>,
}

impl Appender for AdversarialAppender {
    fn append(&mut self, records: Vec<Bytes>) -> Result<(), JournalError> {
        let _open = self.opening.upgrade().ok_or(JournalError::Closed)?;
        self.shared.append(self.partition, &self.answers, records);
        Ok(())
    }
}

impl Drop for AdversarialAppender {
    fn drop(&mut self) {
        self.answers.teller.silence();
    }
}

#[derive(Debug)]
struct AdversarialFollower {
    tail: Tail<Arc<MemoryLog>>,
    shared: Arc<Shared>,
}

impl Follower for AdversarialFollower {
    fn next(
        &mut self,
        max_records: usize,
        timeout: Duration,
    ) -> Result<Vec<(Partition, Stored)>, JournalError> {
        // While it waits time passes: what is under way lands.
        for _ in 0..=self.shared.mischief.max_delay {
            self.shared.pass();
            let next = self.tail.next(max_records, Duration::ZERO)?;
            if !next.is_empty() || timeout.is_zero() {
                return Ok(next);
            }
        }
        self.tail.next(max_records, timeout)
    }
}

/// What all handles share.
#[derive(Debug)]
struct Shared {
    log: Arc<MemoryLog>,
    mischief: Mischief,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    random: SplitMix,
    /// Calls made so far.
    now: u64,
    /// What is to happen, by call, place within the call, and order of entry.
    under_way: BTreeMap<(u64, u64, u64), UnderWay>,
    entered: u64,
}

/// Something that is to happen.
#[derive(Debug)]
enum UnderWay {
    /// A record is written, and that is answered when somebody waits for it.
    Landing { partition: Partition, record: Bytes, answer: Option<Slot> },
    /// Somebody is answered that nobody can tell.
    Unknown(Slot),
}

/// A place among the answers of an appender.
#[derive(Debug)]
struct Slot {
    answers: Arc<Answers>,
    index: u64,
}

impl Shared {
    fn append(&self, partition: Partition, answers: &Arc<Answers>, records: Vec<Bytes>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.now += 1;
        for (place, record) in (0..).zip(records) {
            let answer = Slot { answers: Arc::clone(answers), index: answers.wait_for_one() };
            state.draw(&self.mischief, place << 1, partition, record, answer);
        }
        let answered = state.happen(&self.log);
        drop(state);
        flush(answered);
    }

    /// One call passes.
    fn pass(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.now += 1;
        let answered = state.happen(&self.log);
        drop(state);
        flush(answered);
    }

    fn settle(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = state.under_way.last_key_value() {
            state.now = state.now.max(last.0.0);
        }
        let answered = state.happen(&self.log);
        drop(state);
        flush(answered);
    }
}

impl State {
    /// Draws what becomes of a record.
    fn draw(
        &mut self,
        mischief: &Mischief,
        place: u64,
        partition: Partition,
        record: Bytes,
        answer: Slot,
    ) {
        let lost = self.random.hits(mischief.lost);
        let delayed = self.random.hits(mischief.delayed);
        let swapped = self.random.hits(mischief.swapped);
        let unknown = self.random.hits(mischief.unknown)
            || lost
            || (delayed && !self.random.hits(mischief.late_answers));
        let repeated = self.random.hits(mischief.repeated);
        let place = if swapped { place + 3 } else { place };
        if repeated {
            let (partition, record) = (partition, record.clone());
            let at = self.later(mischief);
            self.enter(at, UnderWay::Landing { partition, record, answer: None });
        }
        let at = if delayed { self.later(mischief) } else { (self.now, place) };
        match (lost, unknown) {
            (false, false) => {
                let answer = Some(answer);
                self.enter(at, UnderWay::Landing { partition, record, answer });
            }
            (false, true) => {
                self.enter(at, UnderWay::Landing { partition, record, answer: None });
                self.enter((self.now, place), UnderWay::Unknown(answer));
            }
            (true, _) => self.enter((self.now, place), UnderWay::Unknown(answer)),
        }
    }

    /// Draws a moment that is still to come, among the first records of a call.
    fn later(&mut self, mischief: &Mischief) -> (u64, u64) {
        let calls = 1 + self.random.below(u64::from(mischief.max_delay).max(1));
        (self.now + calls, 1 + self.random.below(INTERLEAVED * 2))
    }

    fn enter(&mut self, (call, place): (u64, u64), what: UnderWay) {
        self.entered += 1;
        self.under_way.insert((call, place, self.entered), what);
    }

    /// Lets everything happen whose time has come. Gives whom to answer.
    fn happen(&mut self, log: &MemoryLog) -> Vec<Arc<Answers>> {
        let mut answered = Vec::new();
        while let Some(first) = self.under_way.first_entry()
            && first.key().0 <= self.now
        {
            let (slot, delivery) = match first.remove() {
                UnderWay::Landing { partition, record, answer } => {
                    let offset = log.append(partition, vec![record]);
                    (answer, Delivery::At(offset))
                }
                UnderWay::Unknown(slot) => (Some(slot), Delivery::Unknown),
            };
            if let Some(Slot { answers, index }) = slot {
                answers.set(index, delivery);
                if answered.last().is_none_or(|last| !Arc::ptr_eq(last, &answers)) {
                    answered.push(answers);
                }
            }
        }
        answered
    }
}

/// The answers of one appender: told in the order of its records.
#[derive(Debug)]
struct Answers {
    teller: Teller,
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    /// Index of the first answer that is not told.
    first: u64,
    answers: VecDeque<Option<Delivery>>,
}

impl Answers {
    /// Begins to wait for one answer more, and gives its index.
    fn wait_for_one(&self) -> u64 {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.answers.push_back(None);
        slots.first + u64::try_from(slots.answers.len()).expect("addresses fit in 64 bits") - 1
    }

    fn set(&self, index: u64, delivery: Delivery) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let place = index.checked_sub(slots.first).and_then(|place| usize::try_from(place).ok());
        if let Some(slot) = place.and_then(|place| slots.answers.get_mut(place)) {
            *slot = Some(delivery);
        }
    }
}

/// Tells what is known, up to the first answer that is not.
fn flush(answered: Vec<Arc<Answers>>) {
    for answers in answered {
        // The lock is held while the sink is told: two threads must not tell in the wrong order.
        let mut slots = answers.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let mut told = Vec::new();
        while let Some(&Some(delivery)) = slots.answers.front() {
            slots.answers.pop_front();
            slots.first += 1;
            told.push(delivery);
        }
        answers.teller.tell(told);
    }
}

/// `SplitMix64`: a short generator whose numbers are the same on every machine and in every build.
#[derive(Debug)]
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Draws a number below a bound that is not 0.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Draws whether something happens that happens so often in a million.
    fn hits(&mut self, per_million: u32) -> bool {
        self.below(1_000_000) < u64::from(per_million)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap as Counted;
    use std::sync::mpsc;

    use super::*;
    use crate::journal::conformance::{self, Subject};

    struct Restless(AdversarialJournal);

    impl Subject for Restless {
        fn open(&self) -> Box<dyn Journal> {
            Box::new(self.0.reopen())
        }

        fn settle(&self) {
            self.0.settle();
        }
    }

    #[test]
    fn whatever_it_does_it_keeps_what_is_promised_always() {
        for seed in 0..40 {
            conformance::always(|partitions| {
                Restless(AdversarialJournal::new(partitions, seed, Mischief::MUCH))
            });
        }
    }

    #[test]
    fn without_mischief_it_keeps_every_promise() {
        conformance::all(|partitions| {
            Restless(AdversarialJournal::new(partitions, 1, Mischief::NONE))
        });
    }

    fn numbered(count: u32) -> Vec<Bytes> {
        (0..count).map(|number| Bytes::from(number.to_string())).collect()
    }

    fn kept(journal: &AdversarialJournal) -> Vec<Bytes> {
        let read = journal.read(Partition(0), 0, usize::MAX, usize::MAX).unwrap();
        read.into_iter().map(|stored| stored.record).collect()
    }

    /// Two appenders write in turn; gives the log and what each was told.
    fn play(seed: u64, mischief: Mischief) -> (Vec<Bytes>, Vec<Delivery>, Vec<Delivery>) {
        let journal = AdversarialJournal::new(1, seed, mischief);
        let mut sides = [0, 1].map(|_| {
            let (sender, told) = mpsc::channel();
            let sink = Box::new(move |deliveries| drop(sender.send(deliveries)));
            (journal.appender(Partition(0), sink).unwrap(), told)
        });
        for (turn, batch) in numbered(2_000).chunks(20).enumerate() {
            sides[turn % 2].0.append(batch.to_vec()).unwrap();
        }
        journal.settle();
        let [first, second] = sides.map(|(appender, told)| {
            drop(appender);
            told.iter().flatten().collect()
        });
        (kept(&journal), first, second)
    }

    #[test]
    fn the_same_seed_and_the_same_calls_give_the_same_log() {
        let first = play(7, Mischief::MUCH);
        assert_eq!(first, play(7, Mischief::MUCH));
        assert_ne!(first.0, play(8, Mischief::MUCH).0);
    }

    #[test]
    fn it_does_all_that_it_may() {
        let (kept, first, second) = play(3, Mischief::MUCH);
        let mut copies: Counted<&Bytes, usize> = Counted::new();
        for record in &kept {
            *copies.entry(record).or_default() += 1;
        }
        let sent = numbered(2_000);
        let lost = sent.iter().filter(|record| !copies.contains_key(record)).count();
        let repeated = copies.values().filter(|copies| **copies > 1).count();
        let numbers: Vec<u32> = kept
            .iter()
            .map(|record| std::str::from_utf8(record).unwrap().parse().unwrap())
            .collect();
        let moved_back = numbers.windows(2).filter(|pair| pair[1] < pair[0]).count();
        let told = first.len() + second.len();
        let unknown = [first, second].concat();
        let unknown = unknown.iter().filter(|told| **told == Delivery::Unknown).count();
        assert_eq!(told, 2_000);
        assert!((100..400).contains(&lost), "{lost} lost");
        assert!((200..700).contains(&repeated), "{repeated} repeated");
        assert!(moved_back > 300, "{moved_back} out of order");
        assert!((300..1_000).contains(&unknown), "{unknown} unknown");
    }

    #[test]
    fn what_a_dropped_appender_had_in_flight_lands_late() {
        let delays = Mischief { delayed: 1_000_000, max_delay: 5, ..Mischief::NONE };
        let journal = AdversarialJournal::new(1, 1, delays);
        let mut dropped = journal.appender(Partition(0), Box::new(|_| {})).unwrap();
        dropped.append(vec![Bytes::from_static(b"late")]).unwrap();
        drop(dropped);
        let before = journal.shared.log.ends().end(Partition(0));
        journal.settle();
        assert_eq!((before, kept(&journal)), (0, vec![Bytes::from_static(b"late")]));
    }

    #[test]
    fn no_delay_is_longer_than_its_bound() {
        let delays = Mischief {
            delayed: 1_000_000,
            late_answers: 1_000_000,
            max_delay: 5,
            ..Mischief::NONE
        };
        for seed in 0..50 {
            let journal = AdversarialJournal::new(1, seed, delays);
            let (sender, told) = mpsc::channel();
            let sink = Box::new(move |deliveries| drop(sender.send(deliveries)));
            let mut appender = journal.appender(Partition(0), sink).unwrap();
            appender.append(numbered(1)).unwrap();
            for _ in 0..5 {
                journal.bounds(Partition(0)).unwrap();
            }
            assert_eq!(told.try_recv().unwrap(), [Delivery::At(0)]);
        }
    }

    #[test]
    fn without_late_answers_every_append_is_answered_before_it_returns() {
        let mischief = Mischief { late_answers: 0, ..Mischief::MUCH };
        let journal = AdversarialJournal::new(1, 5, mischief);
        let (sender, told) = mpsc::channel();
        let sink = Box::new(move |deliveries| drop(sender.send(deliveries)));
        let mut appender = journal.appender(Partition(0), sink).unwrap();
        for _ in 0..200 {
            appender.append(numbered(10)).unwrap();
            assert_eq!(told.try_iter().flatten().count(), 10);
        }
    }

    #[test]
    fn a_pump_answers_an_owner_that_only_waits() {
        let delays = Mischief {
            delayed: 1_000_000,
            late_answers: 1_000_000,
            max_delay: 5,
            ..Mischief::NONE
        };
        let journal = AdversarialJournal::new(1, 1, delays).pumped(Duration::from_millis(1));
        let (sender, told) = mpsc::channel();
        let sink = Box::new(move |deliveries| drop(sender.send(deliveries)));
        let mut appender = journal.appender(Partition(0), sink).unwrap();
        appender.append(numbered(1)).unwrap();
        let answer = told.recv_timeout(Duration::from_secs(30)).unwrap();
        assert_eq!(answer, [Delivery::At(0)]);
    }
}
