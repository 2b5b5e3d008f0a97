//! What becomes of records that are handed over.

use bytes::Bytes;
use tallybook_events::chain::Offset;
use tallybook_events::ids::Partition;

use super::kit::{
    FIRST, OrFail as _, SECOND, appender, check_told, offset, read_all, records, write,
};
use super::{PARTITIONS, Subject};
use crate::journal::{Bounds, Delivery, Journal};

pub(super) fn a_new_journal_is_empty(subject: &dyn Subject) {
    let journal = subject.open();
    assert_eq!(journal.partitions(), PARTITIONS);
    for partition in (0..PARTITIONS).map(Partition) {
        assert_eq!(journal.bounds(partition).unwrap_or_fail(), Bounds { low: 0, end: 0 });
        assert_eq!(read_all(&*journal, partition), vec![]);
    }
}

pub(super) fn each_record_is_told_once_and_what_is_told_is_true(subject: &dyn Subject) {
    let journal = subject.open();
    let (mut appender, heard) = appender(&*journal, FIRST);
    let records = records(0..200);
    for batch in records.chunks(7) {
        appender.append(batch.to_vec()).unwrap_or_fail();
    }
    let told = heard.wait_for(records.len(), subject);
    check_told(&*journal, FIRST, &records, &told);
    drop(journal);
    assert_eq!(heard.so_far(), told, "a record was told twice");
}

pub(super) fn only_what_was_handed_over_is_there(subject: &dyn Subject) {
    let journal = subject.open();
    let (mut appender, heard) = appender(&*journal, FIRST);
    let records = records(0..100);
    appender.append(records.clone()).unwrap_or_fail();
    heard.wait_for(records.len(), subject);
    for stored in read_all(&*journal, FIRST) {
        assert!(records.contains(&stored.record), "nobody wrote the record at {}", stored.offset);
    }
}

pub(super) fn offsets_have_no_gaps(subject: &dyn Subject) {
    let journal = subject.open();
    write(&*journal, FIRST, 0..100, subject);
    let read = read_all(&*journal, FIRST);
    let offsets: Vec<Offset> = read.iter().map(|stored| stored.offset).collect();
    let bounds = journal.bounds(FIRST).unwrap_or_fail();
    assert_eq!(offsets, (bounds.low..bounds.end).collect::<Vec<_>>());
    assert_eq!(bounds.low, 0);
}

pub(super) fn partitions_are_apart(subject: &dyn Subject) {
    let journal = subject.open();
    write(&*journal, FIRST, 0..20, subject);
    let before = read_all(&*journal, FIRST);
    write(&*journal, SECOND, 100..120, subject);
    assert_eq!(read_all(&*journal, FIRST), before);
    let foreign = records(0..20);
    for stored in read_all(&*journal, SECOND) {
        assert!(!foreign.contains(&stored.record), "a record of another partition");
    }
    assert_eq!(journal.bounds(Partition(2)).unwrap_or_fail(), Bounds { low: 0, end: 0 });
}

pub(super) fn any_bytes_are_kept_as_they_are(subject: &dyn Subject) {
    let journal = subject.open();
    let every_byte: Vec<u8> = (0..=255).collect();
    let records = vec![
        Bytes::new(),
        Bytes::from_static(b"\0"),
        Bytes::from(every_byte),
        Bytes::from(vec![0xff; 200_000]),
        Bytes::from_static("{\"ü\":\"\u{1f980}\"}".as_bytes()),
    ];
    let (mut appender, heard) = appender(&*journal, FIRST);
    appender.append(records.clone()).unwrap_or_fail();
    let told = heard.wait_for(records.len(), subject);
    check_told(&*journal, FIRST, &records, &told);
}

pub(super) fn an_append_of_nothing_is_no_append(subject: &dyn Subject) {
    let journal = subject.open();
    let (mut appender, heard) = appender(&*journal, FIRST);
    appender.append(vec![]).unwrap_or_fail();
    let records = records(0..1);
    appender.append(records.clone()).unwrap_or_fail();
    let told = heard.wait_for(1, subject);
    check_told(&*journal, FIRST, &records, &told);
}

pub(super) fn several_appenders_write_side_by_side(subject: &dyn Subject) {
    let journal = subject.open();
    let tasks = side_by_side(&*journal, subject);
    for (records, told) in tasks {
        check_told(&*journal, FIRST, &records, &told);
    }
}

pub(super) fn a_dropped_appender_hears_nothing_more(subject: &dyn Subject) {
    let journal = subject.open();
    let (mut appender, heard) = appender(&*journal, FIRST);
    let dropped = records(0..50);
    appender.append(dropped.clone()).unwrap_or_fail();
    drop(appender);
    let told = heard.so_far();
    let later = write(&*journal, FIRST, 50..100, subject);
    subject.settle();
    assert_eq!(heard.so_far(), told);
    for stored in read_all(&*journal, FIRST) {
        let known = dropped.contains(&stored.record) || later.contains(&stored.record);
        assert!(known, "nobody wrote the record at {}", stored.offset);
    }
}

pub(super) fn records_of_one_appender_are_kept_in_their_order(subject: &dyn Subject) {
    let journal = subject.open();
    let (mut appender, heard) = appender(&*journal, FIRST);
    let records = records(0..1_000);
    for batch in records.chunks(13) {
        appender.append(batch.to_vec()).unwrap_or_fail();
    }
    let told = heard.wait_for(records.len(), subject);
    assert_eq!(told, (0..1_000).map(Delivery::At).collect::<Vec<_>>());
    let kept: Vec<Bytes> =
        read_all(&*journal, FIRST).into_iter().map(|stored| stored.record).collect();
    assert_eq!(kept, records);
}

pub(super) fn appenders_side_by_side_keep_their_own_order(subject: &dyn Subject) {
    let journal = subject.open();
    let tasks = side_by_side(&*journal, subject);
    let mut offsets: Vec<Offset> = vec![];
    for (_, told) in &tasks {
        let at: Vec<Offset> = told.iter().map(|delivery| delivered(*delivery)).collect();
        assert!(at.is_sorted(), "an appender's records changed places");
        offsets.extend(at);
    }
    offsets.sort_unstable();
    assert_eq!(offsets, (0..offset(offsets.len())).collect::<Vec<_>>());
    assert_eq!(journal.bounds(FIRST).unwrap_or_fail().end, offset(offsets.len()));
}

/// Four appenders write to one partition at once. Gives what each handed over and what it was told.
fn side_by_side(journal: &dyn Journal, subject: &dyn Subject) -> Vec<(Vec<Bytes>, Vec<Delivery>)> {
    const EACH: u64 = 150;
    let all_heard: Vec<_> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                scope.spawn(move || {
                    let (mut appender, heard) = appender(journal, FIRST);
                    let records = records(writer * EACH..(writer + 1) * EACH);
                    for batch in records.chunks(3) {
                        appender.append(batch.to_vec()).unwrap_or_fail();
                    }
                    (records, heard, appender)
                })
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().expect("a writer panicked")).collect()
    });
    all_heard
        .into_iter()
        .map(|(records, heard, _appender)| {
            let told = heard.wait_for(records.len(), subject);
            (records, told)
        })
        .collect()
}

fn delivered(delivery: Delivery) -> Offset {
    match delivery {
        Delivery::At(offset) => offset,
        Delivery::Unknown => panic!("a journal in good health knows what became of a record"),
    }
}
