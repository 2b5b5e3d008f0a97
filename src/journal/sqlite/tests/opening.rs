//! What is refused when a journal is opened, and what is found.

use super::*;

#[test]
fn only_one_at_a_time_has_the_folder() {
    let folder = folder();
    let journal = open(folder.path(), None).unwrap();
    match open(folder.path(), None) {
        Err(OpenError::InUse { folder: named, by }) => {
            assert_eq!(named, folder.path());
            assert_eq!(by, Some(format!(" (process {})", std::process::id())));
        }
        other => panic!("opened twice: {other:?}"),
    }
    let id = journal.id();
    drop(journal);
    assert_eq!(open(folder.path(), None).unwrap().id(), id);
}

#[test]
fn the_number_of_partitions_is_fixed_when_it_is_made() {
    let folder = folder();
    assert_eq!(open(folder.path(), Some(5)).unwrap().partitions(), 5);
    assert_eq!(open(folder.path(), None).unwrap().partitions(), 5);
    assert_eq!(open(folder.path(), Some(5)).unwrap().partitions(), 5);
    let other = open(folder.path(), Some(6));
    assert!(matches!(other, Err(OpenError::OtherPartitions { has: 5, asked: 6 })), "{other:?}");
}

#[test]
fn a_new_journal_has_the_usual_number_of_partitions_and_an_id_of_its_own() {
    let folders = [folder(), folder()];
    let [first, second] = folders.each_ref().map(|folder| open(folder.path(), None).unwrap());
    assert_eq!(first.partitions(), DEFAULT_PARTITIONS);
    assert_ne!(first.id(), second.id());
}

#[test]
fn no_journal_has_no_partitions_or_too_many() {
    for asked in [0, MAX_PARTITIONS + 1] {
        let opened = open(folder().path(), Some(asked));
        let refused = matches!(opened, Err(OpenError::PartitionsOutOfRange { asked: found }) if found == asked);
        assert!(refused, "{opened:?}");
    }
}

#[test]
fn an_old_library_is_refused() {
    assert!(schema::check_library(3_051_003, "3.51.3").is_ok());
    assert!(schema::check_library(3_052_000, "3.52.0").is_ok());
    let refused = schema::check_library(3_051_002, "3.51.2").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the SQLite library is 3.51.2, but only 3.51.3 and later keep a WAL safe"
    );
    assert!(schema::check_library(rusqlite::version_number(), rusqlite::version()).is_ok());
}

#[test]
fn a_file_of_a_later_build_is_refused() {
    let folder = folder();
    drop(open(folder.path(), None).unwrap());
    raw_without_triggers(folder.path())
        .execute("UPDATE meta SET value = '2' WHERE name = 'format'", [])
        .unwrap();
    let opened = open(folder.path(), None);
    assert!(
        matches!(&opened, Err(OpenError::UnknownFormat { found }) if found == "2"),
        "{opened:?}"
    );
}

#[test]
fn a_file_that_is_no_database_is_damaged() {
    let folder = folder();
    std::fs::write(folder.path().join(FILE), vec![b'x'; 10_000]).unwrap();
    assert_eq!(damage(open(folder.path(), None)), "the journal does not open");
}

#[test]
fn a_trigger_that_was_taken_away_is_missed() {
    let folder = folder();
    drop(open(folder.path(), None).unwrap());
    raw(folder.path()).execute("DROP TRIGGER journal_1_delete", []).unwrap();
    assert_eq!(
        damage(open(folder.path(), None)),
        "journal_1_delete of the schema is missing, or not what it was made"
    );
}

#[test]
fn a_gap_in_the_tail_is_found() {
    let folder = folder();
    let journal = open(folder.path(), None).unwrap();
    write(&journal, FIRST, (1..=10).map(claim).collect());
    drop(journal);
    raw_without_triggers(folder.path())
        .execute("DELETE FROM journal_0 WHERE offset = 5", [])
        .unwrap();
    assert_eq!(damage(open(folder.path(), None)), "partition 0 has no record at offset 5");
}

#[test]
fn a_lost_beginning_is_found() {
    let folder = folder();
    let journal = open(folder.path(), None).unwrap();
    write(&journal, FIRST, (1..=10).map(claim).collect());
    drop(journal);
    raw_without_triggers(folder.path())
        .execute("DELETE FROM journal_0 WHERE offset < 3", [])
        .unwrap();
    assert_eq!(damage(open(folder.path(), None)), "partition 0 does not begin at offset 0");
}

#[test]
fn a_broken_page_is_found_when_it_is_opened() {
    let folder = folder();
    let journal = open(folder.path(), Some(1)).unwrap();
    write(&journal, FIRST, (1..=3_000).map(claim).collect());
    drop(journal);
    let path = folder.path().join(FILE);
    let mut file = std::fs::read(&path).unwrap();
    let (pages, page_bytes) = (file.len() / 8_192, 8_192);
    let broken = (pages / 2) * page_bytes;
    file[broken..broken + 100].fill(0xff);
    std::fs::write(&path, file).unwrap();
    let what = damage(open(folder.path(), None));
    assert!(what.starts_with("the structure of the file is broken"), "{what}");
}

#[test]
fn closing_leaves_one_whole_file() {
    let folder = folder();
    let journal = open(folder.path(), None).unwrap();
    write(&journal, FIRST, vec![claim(1)]);
    let read = journal.read(FIRST, 0, 1, 1).unwrap();
    assert_eq!(read.len(), 1);
    drop(journal);
    let mut names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["journal.db", "journal.lock"]);
}
