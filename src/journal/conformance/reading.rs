//! What readers and followers see.

use std::time::{Duration, Instant};

use tallybook_events::ids::Partition;

use super::Subject;
use super::kit::{
    ALL, DEADLINE, FIRST, OrFail as _, SECOND, appender, offset, read_all, record, records, write,
};
use crate::journal::{Bounds, Follower, Stored};

pub(super) fn what_was_read_never_changes(subject: &dyn Subject) {
    let journal = subject.open();
    let mut before = vec![];
    for round in 0..5 {
        write(&*journal, FIRST, round * 40..round * 40 + 40, subject);
        let read = read_all(&*journal, FIRST);
        assert_eq!(read[..before.len()], before);
        before = read;
    }
}

pub(super) fn every_reader_sees_the_same(subject: &dyn Subject) {
    let journal = subject.open();
    write(&*journal, FIRST, 0..150, subject);
    let whole = read_all(&*journal, FIRST);
    let mut in_parts = vec![];
    while let Some(from) = Some(offset(in_parts.len())).filter(|from| *from < offset(whole.len())) {
        let part = journal.read(FIRST, from, 7, ALL).unwrap_or_fail();
        assert!(!part.is_empty(), "nothing at offset {from} though there is more");
        in_parts.extend(part);
    }
    assert_eq!(in_parts, whole);
    let mut follower = journal.follow(vec![(FIRST, 0)]).unwrap_or_fail();
    let given: Vec<Stored> = follow_until(&mut *follower, whole.len(), ALL)
        .into_iter()
        .map(|(_, stored)| stored)
        .collect();
    assert_eq!(given, whole);
}

pub(super) fn reading_stops_at_its_bounds(subject: &dyn Subject) {
    let journal = subject.open();
    write(&*journal, FIRST, 0..60, subject);
    let whole = read_all(&*journal, FIRST);
    let (end, size) = (offset(whole.len()), whole[3].record.len());
    let read = |from, max_records, max_bytes| {
        journal.read(FIRST, from, max_records, max_bytes).unwrap_or_fail()
    };
    assert_eq!(read(3, 1, ALL), whole[3..4], "as many records as asked");
    assert_eq!(read(3, 5, ALL), whole[3..8], "as many records as asked");
    assert_eq!(read(3, 5, 0), whole[3..4], "at least one record, whatever its size");
    assert_eq!(read(3, 5, size), whole[3..4], "no more once the bytes are reached");
    assert_eq!(read(3, 5, size + 1), whole[3..5], "the record that reaches the bytes is given");
    assert_eq!(read(3, 0, ALL), []);
    assert_eq!(read(end, 5, ALL), []);
    assert_eq!(read(end + 10, 5, ALL), []);
    assert_eq!(read(end - 1, 5, ALL), whole[whole.len() - 1..]);
}

pub(super) fn what_is_delivered_can_be_read_at_once(subject: &dyn Subject) {
    let journal = subject.open();
    let (mut appender, heard) = appender(&*journal, FIRST);
    for number in 0..20 {
        let record = record(number);
        appender.append(vec![record.clone()]).unwrap_or_fail();
        heard.wait_for(usize::try_from(number).expect("small") + 1, subject);
        let bounds = journal.bounds(FIRST).unwrap_or_fail();
        assert_eq!(bounds, Bounds { low: 0, end: number + 1 });
        let read = journal.read(FIRST, number, 1, 1).unwrap_or_fail();
        assert_eq!(read, [Stored { offset: number, record }]);
    }
}

pub(super) fn a_follower_gives_all_of_its_partitions_in_order(subject: &dyn Subject) {
    let journal = subject.open();
    write(&*journal, FIRST, 0..30, subject);
    write(&*journal, SECOND, 100..140, subject);
    let (first, second) = (read_all(&*journal, FIRST), read_all(&*journal, SECOND));
    let mut follower = journal.follow(vec![(FIRST, 0), (SECOND, 0)]).unwrap_or_fail();
    let given = follow_until(&mut *follower, first.len() + second.len(), 11);
    let of = |wanted| {
        let mine = given.iter().filter(|(partition, _)| *partition == wanted);
        mine.map(|(_, stored)| stored.clone()).collect::<Vec<_>>()
    };
    assert_eq!(of(FIRST), first);
    assert_eq!(of(SECOND), second);
}

pub(super) fn a_follower_begins_where_it_is_told(subject: &dyn Subject) {
    let journal = subject.open();
    write(&*journal, FIRST, 0..30, subject);
    let whole = read_all(&*journal, FIRST);
    let mut follower = journal.follow(vec![(FIRST, 10)]).unwrap_or_fail();
    let given = follow_until(&mut *follower, whole.len() - 10, ALL);
    let given: Vec<Stored> = given.into_iter().map(|(_, stored)| stored).collect();
    assert_eq!(given, whole[10..]);
}

pub(super) fn a_follower_gives_no_more_than_asked(subject: &dyn Subject) {
    let journal = subject.open();
    write(&*journal, FIRST, 0..30, subject);
    write(&*journal, SECOND, 100..130, subject);
    let mut follower = journal.follow(vec![(FIRST, 0), (SECOND, 0)]).unwrap_or_fail();
    assert_eq!(follower.next(0, Duration::ZERO).unwrap_or_fail(), vec![]);
    for _ in 0..10 {
        let next = follower.next(3, DEADLINE).unwrap_or_fail();
        assert!((1..=3).contains(&next.len()), "{} records for 3", next.len());
    }
}

pub(super) fn a_follower_waits_for_what_is_to_come(subject: &dyn Subject) {
    let journal = subject.open();
    let mut follower = journal.follow(vec![(FIRST, 0), (SECOND, 0)]).unwrap_or_fail();
    let (mut appender, _heard) = appender(&*journal, SECOND);
    let sent = records(0..50);
    let began = Instant::now();
    let next = std::thread::scope(|scope| {
        let waits = scope.spawn(|| follower.next(1, DEADLINE).unwrap_or_fail());
        appender.append(sent.clone()).unwrap_or_fail();
        waits.join().expect("the follower does not panic")
    });
    assert!(began.elapsed() < DEADLINE, "the follower slept on");
    assert_eq!(next.len(), 1);
    assert_eq!((next[0].0, next[0].1.offset), (SECOND, 0));
    assert!(sent.contains(&next[0].1.record));
}

pub(super) fn a_follower_without_news_gives_nothing(subject: &dyn Subject) {
    let journal = subject.open();
    let end = {
        write(&*journal, FIRST, 0..10, subject);
        journal.bounds(FIRST).unwrap_or_fail().end
    };
    let mut follower = journal.follow(vec![(FIRST, end), (SECOND, 0)]).unwrap_or_fail();
    let began = Instant::now();
    let wait = Duration::from_millis(20);
    assert_eq!(follower.next(10, wait).unwrap_or_fail(), vec![]);
    assert!(began.elapsed() >= wait, "it did not wait");
    assert_eq!(follower.next(10, Duration::ZERO).unwrap_or_fail(), vec![]);
}

fn follow_until(
    follower: &mut dyn Follower,
    count: usize,
    max_records: usize,
) -> Vec<(Partition, Stored)> {
    let mut given = vec![];
    while given.len() < count {
        let next = follower.next(max_records, DEADLINE).unwrap_or_fail();
        assert!(!next.is_empty(), "the follower gave {} of {count} records", given.len());
        given.extend(next);
    }
    given
}
