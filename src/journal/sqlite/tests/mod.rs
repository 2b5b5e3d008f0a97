//! What this adapter promises beyond the port: one process, one file, nothing changed, nothing hidden.

use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use bytes::Bytes;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use tallybook_events::codec::{Claimed, write_claim};
use tallybook_events::time::Timestamp;
use tempfile::TempDir;

mod opening;
mod writing;

use super::*;
use crate::journal::Delivery;
use crate::journal::conformance::{self, Subject};

const DEADLINE: Duration = Duration::from_secs(30);
const FIRST: Partition = Partition(0);

struct InFolder {
    folder: TempDir,
    partitions: u32,
}

impl Subject for InFolder {
    fn open(&self) -> Box<dyn Journal> {
        Box::new(open(self.folder.path(), Some(self.partitions)).unwrap())
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open(folder: &Path, partitions: Option<u32>) -> Result<SqliteJournal, OpenError> {
    let options = Options { partitions, ..Options::default() };
    SqliteJournal::open(folder, &options, Box::new(|error| panic!("a write failed: {error:?}")))
}

/// Opens a journal whose fatal error comes through a channel.
fn open_told(folder: &Path, sql: &str) -> (SqliteJournal, Receiver<JournalError>) {
    let (sender, told) = mpsc::channel();
    let fatal = Box::new(move |error| sender.send(error).unwrap());
    (SqliteJournal::open_with(folder, &Options::default(), fatal, sql).unwrap(), told)
}

fn appender(
    journal: &SqliteJournal,
    partition: Partition,
) -> (Box<dyn Appender>, Receiver<Vec<Delivery>>) {
    let (sender, told) = mpsc::channel();
    let sink = Box::new(move |deliveries| drop(sender.send(deliveries)));
    (journal.appender(partition, sink).unwrap(), told)
}

fn claim(term: u64) -> Bytes {
    let at = Timestamp::from_micros(0);
    Bytes::from(write_claim(&Claimed { term, owner: "a test".into(), at }))
}

/// Writes records and waits until they are there.
fn write(journal: &SqliteJournal, partition: Partition, records: Vec<Bytes>) {
    let (mut appender, told) = appender(journal, partition);
    let count = records.len();
    appender.append(records).unwrap();
    let mut delivered = 0;
    while delivered < count {
        delivered += told.recv_timeout(DEADLINE).unwrap().len();
    }
}

/// Opens the file as any other program does.
fn raw(folder: &Path) -> Connection {
    Connection::open(folder.join(FILE)).unwrap()
}

/// Opens the file as somebody does who wants to do harm.
fn raw_without_triggers(folder: &Path) -> Connection {
    let connection = raw(folder);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    connection
}

fn damage(opened: Result<SqliteJournal, OpenError>) -> String {
    match opened {
        Err(OpenError::Journal(JournalError::Damaged { what, .. })) => what,
        other => panic!("not damaged: {other:?}"),
    }
}

/// Gives what the library says of a write that failed.
fn cause(error: JournalError) -> String {
    std::error::Error::source(&error).unwrap().to_string()
}

#[test]
fn it_keeps_every_promise() {
    conformance::all(|partitions| InFolder { folder: folder(), partitions });
}
