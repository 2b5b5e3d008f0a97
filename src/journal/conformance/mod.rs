//! The promises of the journal as tests: every adapter runs them.
//!
//! [`all`] is for an adapter in good health. [`always`] is what also holds of one that loses, delays,
//! repeats and re-orders. A fact that fails is named; the others run all the same.

use std::panic::{AssertUnwindSafe, catch_unwind};

use self::appending::{
    a_dropped_appender_hears_nothing_more, a_new_journal_is_empty,
    an_append_of_nothing_is_no_append, any_bytes_are_kept_as_they_are,
    appenders_side_by_side_keep_their_own_order, each_record_is_told_once_and_what_is_told_is_true,
    offsets_have_no_gaps, only_what_was_handed_over_is_there, partitions_are_apart,
    records_of_one_appender_are_kept_in_their_order, several_appenders_write_side_by_side,
};
use self::closing::{
    a_closed_journal_takes_no_more, a_closing_journal_keeps_and_tells_what_it_took,
    appends_go_on_after_a_restart, what_was_delivered_outlives_a_restart,
};
use self::reading::{
    a_follower_begins_where_it_is_told, a_follower_gives_all_of_its_partitions_in_order,
    a_follower_gives_no_more_than_asked, a_follower_waits_for_what_is_to_come,
    a_follower_without_news_gives_nothing, every_reader_sees_the_same, reading_stops_at_its_bounds,
    what_is_delivered_can_be_read_at_once, what_was_read_never_changes,
};
use super::Journal;

mod appending;
mod reading;
mod closing;
mod kit;

/// Partitions of each journal under test.
pub const PARTITIONS: u32 = 3;

/// One journal under test.
pub trait Subject {
    /// Opens the journal: empty the first time, and later with all that it has kept. The one opened
    /// before has been dropped by then.
    fn open(&self) -> Box<dyn Journal>;

    /// Lets everything that is under way come to its end.
    fn settle(&self) {}
}

type Fact = (&'static str, fn(&dyn Subject));

macro_rules! facts {
    ($($fact:ident),* $(,)?) => { &[$((stringify!($fact), $fact as fn(&dyn Subject))),*] };
}

const ALWAYS: &[Fact] = facts![
    a_new_journal_is_empty,
    each_record_is_told_once_and_what_is_told_is_true,
    only_what_was_handed_over_is_there,
    offsets_have_no_gaps,
    partitions_are_apart,
    any_bytes_are_kept_as_they_are,
    an_append_of_nothing_is_no_append,
    what_was_read_never_changes,
    every_reader_sees_the_same,
    reading_stops_at_its_bounds,
    several_appenders_write_side_by_side,
    a_dropped_appender_hears_nothing_more,
    a_follower_gives_all_of_its_partitions_in_order,
    a_follower_begins_where_it_is_told,
    a_follower_gives_no_more_than_asked,
    a_follower_waits_for_what_is_to_come,
    a_follower_without_news_gives_nothing,
    what_was_delivered_outlives_a_restart,
    a_closed_journal_takes_no_more,
];

const IN_GOOD_HEALTH: &[Fact] = facts![
    records_of_one_appender_are_kept_in_their_order,
    appenders_side_by_side_keep_their_own_order,
    a_closing_journal_keeps_and_tells_what_it_took,
    what_is_delivered_can_be_read_at_once,
    appends_go_on_after_a_restart,
];

/// Runs every fact. `make` makes an empty journal with so many partitions.
///
/// # Panics
/// When a promise does not hold; the message names all that do not.
pub fn all<S: Subject>(make: impl Fn(u32) -> S) {
    let broken = broken(&make, ALWAYS.iter().chain(IN_GOOD_HEALTH));
    assert!(broken.is_empty(), "promises that do not hold: {broken:?}");
}

/// Runs the facts that hold whatever becomes of appends. `make` makes an empty journal with so many
/// partitions.
///
/// # Panics
/// When a promise does not hold; the message names all that do not.
pub fn always<S: Subject>(make: impl Fn(u32) -> S) {
    let broken = broken(&make, ALWAYS.iter());
    assert!(broken.is_empty(), "promises that do not hold: {broken:?}");
}

/// Gives the names of the facts that fail, each on a journal of its own.
fn broken<'a, S: Subject>(
    make: &impl Fn(u32) -> S,
    facts: impl Iterator<Item = &'a Fact>,
) -> Vec<&'static str> {
    let fails = |fact: &Fact| {
        let subject = make(PARTITIONS);
        catch_unwind(AssertUnwindSafe(|| fact.1(&subject))).is_err()
    };
    facts.filter(|fact| fails(fact)).map(|(name, _)| *name).collect()
}

#[cfg(test)]
#[expect(clippy::wildcard_enum_match_arm, reason = "a fault is one deviation, all else goes on")]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use bytes::Bytes;
    use tallybook_events::chain::Offset;
    use tallybook_events::ids::Partition;

    use super::*;
    use crate::journal::memory::MemoryJournal;
    use crate::journal::{
        Appender, Bounds, Delivery, DeliverySink, Follower, JournalError, Stored,
    };

    /// One thing that a journal does wrong.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Fault {
        BeginsFull,
        TellsTwice,
        TellsBackwards,
        TellsTheNextOffset,
        TellsAfterTheDrop,
        LeavesGaps,
        MixesPartitions,
        ChangesBytes,
        WritesNothing,
        ShowsReadersDifferentThings,
        ReadsTooMany,
        ReadsNothingLarge,
        FollowsBackwards,
        FollowsFromTheStart,
        FollowsTooMany,
        FollowsNothing,
        NeverWaits,
        ForgetsAtRestart,
        TakesMoreWhenClosed,
        SwapsRecords,
        DropsTensOfRecords,
        ShowsLate,
    }

    /// Which fact finds which fault.
    const FOUND: &[(Fault, &str)] = &[
        (Fault::BeginsFull, "a_new_journal_is_empty"),
        (Fault::TellsTwice, "each_record_is_told_once_and_what_is_told_is_true"),
        (Fault::TellsBackwards, "each_record_is_told_once_and_what_is_told_is_true"),
        (Fault::TellsTheNextOffset, "each_record_is_told_once_and_what_is_told_is_true"),
        (Fault::ChangesBytes, "only_what_was_handed_over_is_there"),
        (Fault::LeavesGaps, "offsets_have_no_gaps"),
        (Fault::MixesPartitions, "partitions_are_apart"),
        (Fault::ChangesBytes, "any_bytes_are_kept_as_they_are"),
        (Fault::WritesNothing, "an_append_of_nothing_is_no_append"),
        (Fault::ShowsReadersDifferentThings, "what_was_read_never_changes"),
        (Fault::ShowsReadersDifferentThings, "every_reader_sees_the_same"),
        (Fault::ReadsTooMany, "reading_stops_at_its_bounds"),
        (Fault::ReadsNothingLarge, "reading_stops_at_its_bounds"),
        (Fault::TellsTheNextOffset, "several_appenders_write_side_by_side"),
        (Fault::TellsAfterTheDrop, "a_dropped_appender_hears_nothing_more"),
        (Fault::FollowsBackwards, "a_follower_gives_all_of_its_partitions_in_order"),
        (Fault::FollowsFromTheStart, "a_follower_begins_where_it_is_told"),
        (Fault::FollowsTooMany, "a_follower_gives_no_more_than_asked"),
        (Fault::FollowsNothing, "a_follower_waits_for_what_is_to_come"),
        (Fault::NeverWaits, "a_follower_without_news_gives_nothing"),
        (Fault::ForgetsAtRestart, "what_was_delivered_outlives_a_restart"),
        (Fault::TakesMoreWhenClosed, "a_closed_journal_takes_no_more"),
        (Fault::SwapsRecords, "records_of_one_appender_are_kept_in_their_order"),
        (Fault::TellsBackwards, "appenders_side_by_side_keep_their_own_order"),
        (Fault::DropsTensOfRecords, "a_closing_journal_keeps_and_tells_what_it_took"),
        (Fault::ShowsLate, "what_is_delivered_can_be_read_at_once"),
        (Fault::ForgetsAtRestart, "appends_go_on_after_a_restart"),
    ];

    #[test]
    fn each_fact_finds_a_journal_that_breaks_its_promise() {
        for (fault, name) in FOUND {
            let fact = ALWAYS.iter().chain(IN_GOOD_HEALTH).find(|fact| fact.0 == *name).unwrap();
            let found =
                broken(&|partitions| Subjected::new(partitions, *fault), [fact].into_iter());
            assert_eq!(found, [*name], "{fault:?}");
        }
    }

    #[test]
    fn each_fact_is_known_to_find_something() {
        let facts: BTreeSet<&str> =
            ALWAYS.iter().chain(IN_GOOD_HEALTH).map(|(name, _)| *name).collect();
        let known: BTreeSet<&str> = FOUND.iter().map(|(_, name)| *name).collect();
        assert_eq!(known, facts);
    }

    type Undead = Arc<Mutex<Vec<Box<dyn Appender>>>>;

    struct Subjected {
        kept: MemoryJournal,
        fault: Fault,
        undead: Undead,
    }

    impl Subjected {
        fn new(partitions: u32, fault: Fault) -> Self {
            Self { kept: MemoryJournal::new(partitions), fault, undead: Arc::default() }
        }
    }

    impl Subject for Subjected {
        fn open(&self) -> Box<dyn Journal> {
            let forgets = self.fault == Fault::ForgetsAtRestart
                && self.kept.bounds(Partition(0)).unwrap().end > 0;
            let inner = if forgets { MemoryJournal::new(PARTITIONS) } else { self.kept.reopen() };
            if self.fault == Fault::BeginsFull {
                let mut appender = inner.appender(Partition(1), Box::new(|_| {})).unwrap();
                appender.append(vec![Bytes::new()]).unwrap();
            }
            Box::new(Faulty {
                inner,
                fault: self.fault,
                reads: Mutex::new(0),
                never_closed: self.kept.clone(),
                undead: Arc::clone(&self.undead),
            })
        }

        fn settle(&self) {
            for appender in self.undead.lock().unwrap().iter_mut() {
                appender.append(vec![Bytes::from_static(b"late")]).unwrap();
            }
        }
    }

    struct Faulty {
        inner: MemoryJournal,
        fault: Fault,
        reads: Mutex<u32>,
        never_closed: MemoryJournal,
        undead: Undead,
    }

    impl Journal for Faulty {
        fn partitions(&self) -> u32 {
            self.inner.partitions()
        }

        fn bounds(&self, partition: Partition) -> Result<Bounds, JournalError> {
            let Bounds { low, end } = self.inner.bounds(partition)?;
            let end = if self.fault == Fault::ShowsLate { end.saturating_sub(1) } else { end };
            Ok(Bounds { low, end })
        }

        fn read(
            &self,
            partition: Partition,
            from: Offset,
            max_records: usize,
            max_bytes: usize,
        ) -> Result<Vec<Stored>, JournalError> {
            let more = usize::from(self.fault == Fault::ReadsTooMany);
            let max_records = max_records.saturating_add(more);
            let mut read = self.inner.read(partition, from, max_records, max_bytes)?;
            let mut reads = self.reads.lock().unwrap();
            *reads += 1;
            if self.fault == Fault::ReadsNothingLarge {
                read.retain(|stored| stored.record.len() <= max_bytes);
            }
            for stored in &mut read {
                if self.fault == Fault::LeavesGaps {
                    stored.offset += stored.offset / 10;
                }
                if self.fault == Fault::ShowsReadersDifferentThings && reads.is_multiple_of(2) {
                    stored.record = Bytes::new();
                }
            }
            Ok(read)
        }

        fn appender(
            &self,
            partition: Partition,
            sink: DeliverySink,
        ) -> Result<Box<dyn Appender>, JournalError> {
            let fault = self.fault;
            let partition = if fault == Fault::MixesPartitions { Partition(0) } else { partition };
            let closes = !matches!(fault, Fault::TakesMoreWhenClosed | Fault::TellsAfterTheDrop);
            let journal = if closes { &self.inner } else { &self.never_closed };
            let inner = Some(journal.appender(partition, faulty_sink(fault, sink))?);
            Ok(Box::new(FaultyAppender { inner, fault, undead: Arc::clone(&self.undead) }))
        }

        fn follow(
            &self,
            mut from: Vec<(Partition, Offset)>,
        ) -> Result<Box<dyn Follower>, JournalError> {
            if self.fault == Fault::FollowsFromTheStart {
                for (_, offset) in &mut from {
                    *offset = 0;
                }
            }
            Ok(Box::new(FaultyFollower { inner: self.inner.follow(from)?, fault: self.fault }))
        }
    }

    fn faulty_sink(fault: Fault, mut sink: DeliverySink) -> DeliverySink {
        Box::new(move |mut deliveries| {
            match fault {
                Fault::TellsTwice => sink(deliveries.clone()),
                Fault::TellsBackwards => deliveries.reverse(),
                Fault::TellsTheNextOffset => {
                    for delivery in &mut deliveries {
                        if let Delivery::At(offset) = delivery {
                            *offset += 1;
                        }
                    }
                }
                _ => {}
            }
            sink(deliveries);
        })
    }

    struct FaultyAppender {
        inner: Option<Box<dyn Appender>>,
        fault: Fault,
        undead: Undead,
    }

    impl Appender for FaultyAppender {
        fn append(&mut self, mut records: Vec<Bytes>) -> Result<(), JournalError> {
            match self.fault {
                Fault::ChangesBytes => records.iter_mut().for_each(|record| {
                    *record = Bytes::from(record.to_ascii_uppercase());
                }),
                Fault::WritesNothing if records.is_empty() => records.push(Bytes::new()),
                Fault::SwapsRecords if records.len() > 2 => records.swap(0, 1),
                Fault::DropsTensOfRecords if records.len() == 10 => return Ok(()),
                _ => {}
            }
            self.inner.as_mut().expect("taken only when it is dropped").append(records)
        }
    }

    impl Drop for FaultyAppender {
        fn drop(&mut self) {
            if self.fault == Fault::TellsAfterTheDrop {
                self.undead.lock().unwrap().extend(self.inner.take());
            }
        }
    }

    struct FaultyFollower {
        inner: Box<dyn Follower>,
        fault: Fault,
    }

    impl Follower for FaultyFollower {
        fn next(
            &mut self,
            max_records: usize,
            timeout: Duration,
        ) -> Result<Vec<(Partition, Stored)>, JournalError> {
            let more = usize::from(self.fault == Fault::FollowsTooMany);
            let timeout = if self.fault == Fault::NeverWaits { Duration::ZERO } else { timeout };
            let mut next = self.inner.next(max_records.saturating_add(more), timeout)?;
            match self.fault {
                Fault::FollowsBackwards => next.reverse(),
                Fault::FollowsNothing => next.clear(),
                _ => {}
            }
            Ok(next)
        }
    }
}
