//! What closing a journal and opening it again leave as it was.

use bytes::Bytes;

use super::kit::{FIRST, OrFail as _, SECOND, appender, read_all, records, write};
use super::{PARTITIONS, Subject};
use crate::journal::{Delivery, JournalError};

pub(super) fn what_was_delivered_outlives_a_restart(subject: &dyn Subject) {
    let journal = subject.open();
    write(&*journal, FIRST, 0..100, subject);
    write(&*journal, SECOND, 100..110, subject);
    let before = (read_all(&*journal, FIRST), read_all(&*journal, SECOND));
    drop(journal);
    let journal = subject.open();
    assert_eq!(journal.partitions(), PARTITIONS);
    assert_eq!((read_all(&*journal, FIRST), read_all(&*journal, SECOND)), before);
}

pub(super) fn a_closed_journal_takes_no_more(subject: &dyn Subject) {
    let journal = subject.open();
    write(&*journal, FIRST, 0..10, subject);
    let before = read_all(&*journal, FIRST);
    let (mut appender, heard) = appender(&*journal, FIRST);
    drop(journal);
    let refused = appender.append(records(10..20));
    assert!(matches!(refused, Err(JournalError::Closed)), "{refused:?}");
    assert_eq!(heard.so_far(), vec![]);
    assert_eq!(read_all(&*subject.open(), FIRST), before);
}

pub(super) fn a_closing_journal_keeps_and_tells_what_it_took(subject: &dyn Subject) {
    let journal = subject.open();
    let (mut appender, heard) = appender(&*journal, FIRST);
    let records = records(0..500);
    for batch in records.chunks(10) {
        appender.append(batch.to_vec()).unwrap_or_fail();
    }
    drop(journal);
    assert_eq!(heard.so_far(), (0..500).map(Delivery::At).collect::<Vec<_>>());
    let kept: Vec<Bytes> =
        read_all(&*subject.open(), FIRST).into_iter().map(|stored| stored.record).collect();
    assert_eq!(kept, records);
}

pub(super) fn appends_go_on_after_a_restart(subject: &dyn Subject) {
    let journal = subject.open();
    write(&*journal, FIRST, 0..10, subject);
    drop(journal);
    let journal = subject.open();
    let (mut appender, heard) = appender(&*journal, FIRST);
    appender.append(records(10..12)).unwrap_or_fail();
    let told = heard.wait_for(2, subject);
    assert_eq!(told, [Delivery::At(10), Delivery::At(11)]);
}
