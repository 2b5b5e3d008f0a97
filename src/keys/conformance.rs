//! What is promised of a store of keys, as tests. Every adapter runs all of them.
#![expect(missing_docs, clippy::missing_panics_doc, reason = "a test suite")]

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tallybook_events::ids::{Environment, Scope};
use tallybook_events::time::Timestamp;

use super::{ApiKey, Former, IssuedKey, KeyStore, KeyStoreError, import, issue, opened, reissue};

/// How long a change may take to be seen elsewhere.
const SEEN_WITHIN: Duration = Duration::from_secs(1);

/// A place of keys that can be opened more than once, also at the same time.
pub trait Subject {
    fn open(&self) -> Box<dyn KeyStore>;
}

/// Runs all tests, each on a place of its own.
pub fn all<S: Subject>(fresh: impl Fn() -> S) {
    keys_are_kept_in_their_order(&fresh());
    an_id_is_taken_once_and_an_unknown_one_cannot_be_revoked(&fresh());
    what_another_opener_writes_is_seen_within_a_second(&fresh());
    an_imported_text_opens_its_key_and_one_key_only(&fresh());
    an_issued_secret_alone_opens_nothing(&fresh());
    a_rotated_key_is_opened_by_both_texts_until_the_former_ones_time_is_over(&fresh());
    of_two_that_import_one_text_at_once_one_has_it(&fresh());
}

fn issued() -> IssuedKey {
    let scope = Scope { tenant: "t".parse().expect("a tenant"), environment: Environment::Test };
    let scopes = "read,usage".parse().expect("scopes");
    issue(scope, scopes, 7, Timestamp::from_micros(5)).expect("randomness")
}

fn imported(text: &str) -> ApiKey {
    let scope = Scope { tenant: "t".parse().expect("a tenant"), environment: Environment::Live };
    let (text, scopes) = (text.parse().expect("a text"), "read".parse().expect("scopes"));
    import(&text, scope, scopes, 0, Timestamp::from_micros(5)).expect("randomness")
}

fn at(micros: i64) -> impl Fn() -> Timestamp + Copy {
    move || Timestamp::from_micros(micros)
}

fn within_a_second(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + SEEN_WITHIN;
    while !condition() {
        assert!(Instant::now() < deadline, "not within a second");
        thread::yield_now();
    }
}

pub fn keys_are_kept_in_their_order(subject: &impl Subject) {
    let made = [issued().key, issued().key];
    let keys = subject.open();
    for key in &made {
        keys.insert(key).expect("it is kept");
        assert_eq!(keys.find(&key.id).as_deref(), Some(key));
    }
    drop(keys);
    assert_eq!(subject.open().list(), made.map(Arc::new).to_vec());
}

pub fn an_id_is_taken_once_and_an_unknown_one_cannot_be_revoked(subject: &impl Subject) {
    let keys = subject.open();
    let key = issued().key;
    let unknown = keys.revoke(&key.id, Timestamp::MAX);
    assert!(matches!(unknown, Err(KeyStoreError::Unknown(id)) if id == key.id));
    keys.insert(&key).expect("it is kept");
    assert!(matches!(keys.insert(&key), Err(KeyStoreError::Taken(id)) if id == key.id));
}

pub fn what_another_opener_writes_is_seen_within_a_second(subject: &impl Subject) {
    let (server, beside) = (subject.open(), subject.open());
    let key = issued().key;
    beside.insert(&key).expect("it is kept");
    within_a_second(|| server.find(&key.id).is_some());
    let at = Timestamp::from_micros(9);
    beside.revoke(&key.id, at).expect("it is revoked");
    beside.revoke(&key.id, Timestamp::MAX).expect("it is revoked already");
    within_a_second(|| server.find(&key.id).is_some_and(|key| key.revoked_at.is_some()));
    let expected = ApiKey { revoked_at: Some(at), ..key };
    assert_eq!(server.find(&expected.id).as_deref(), Some(&expected));
}

pub fn an_imported_text_opens_its_key_and_one_key_only(subject: &impl Subject) {
    let keys = subject.open();
    let key = imported("am_sk_live_1");
    keys.insert(&key).expect("it is kept");
    let again = keys.insert(&imported("am_sk_live_1"));
    assert!(matches!(again, Err(KeyStoreError::TextTaken(id)) if id == key.id));
    keys.insert(&imported("am_sk_live_2")).expect("it is kept");
    drop(keys);
    let keys = subject.open();
    let opens = |text: &str| opened(&*keys, text, at(5)).map(|key| key.id.clone());
    assert_eq!(opens("am_sk_live_1"), Some(key.id.clone()));
    for other in ["am_sk_live_3", "am_sk_live_1 ", "am_sk_live_", key.id.as_str()] {
        assert_eq!(opens(other), None, "{other}");
    }
    keys.revoke(&key.id, Timestamp::from_micros(6)).expect("it is revoked");
    assert_eq!(opened(&*keys, "am_sk_live_1", at(5)), None);
    let anew = imported("am_sk_live_1");
    keys.insert(&anew).expect("it is kept");
    assert_eq!(opened(&*keys, "am_sk_live_1", at(5)).as_deref(), Some(&anew));
}

pub fn an_issued_secret_alone_opens_nothing(subject: &impl Subject) {
    let keys = subject.open();
    let issued = issued();
    keys.insert(&issued.key).expect("it is kept");
    let text = issued.reveal();
    let (_, secret) = text.rsplit_once('_').expect("it has parts");
    assert_eq!(opened(&*keys, secret, at(5)), None);
    assert_eq!(opened(&*keys, &text, at(5)).as_deref(), Some(&issued.key));
    let elsewhere = text.replace("_test_", "_live_");
    assert_eq!(opened(&*keys, &elsewhere, at(5)), None);
}

pub fn a_rotated_key_is_opened_by_both_texts_until_the_former_ones_time_is_over(
    subject: &impl Subject,
) {
    let keys = subject.open();
    let (first, text) = (imported("am_sk_live_1"), "am_sk_live_1");
    keys.insert(&first).expect("it is kept");
    let rotate = |key: &ApiKey, when: i64, until: i64| {
        let new = reissue(key).expect("randomness");
        let (when, until) = (Timestamp::from_micros(when), Timestamp::from_micros(until));
        keys.rotate(&key.id, &new.key.credential, when, until).expect("it is rotated");
        new.reveal()
    };
    let second = rotate(&first, 10, 20);
    let kept = keys.find(&first.id).expect("it is there");
    let former = Former { credential: first.credential, until: Timestamp::from_micros(20) };
    assert_eq!((kept.former, kept.rotated_at), (Some(former), Some(Timestamp::from_micros(10))));
    let opens = |text: &str, when| opened(&*keys, text, at(when)).is_some();
    assert_eq!((opens(text, 19), opens(&second, 19)), (true, true));
    assert_eq!((opens(text, 20), opens(&second, 20)), (false, true));
    let taken = keys.insert(&imported(text));
    assert!(matches!(taken, Err(KeyStoreError::TextTaken(id)) if id == first.id));
    let third = rotate(&kept, 11, 11);
    for (text, expected) in [(text, false), (&*second, false), (&third, true)] {
        assert_eq!(opens(text, 11), expected);
    }
    // What opens nothing any more may be imported anew.
    let anew = imported(text);
    keys.insert(&anew).expect("it is kept");
    assert_eq!(opened(&*keys, text, at(11)).as_deref(), Some(&anew));
    keys.revoke(&first.id, Timestamp::from_micros(12)).expect("it is revoked");
    assert!(!opens(&third, 12));
    let credential = kept.credential;
    let late = keys.rotate(&first.id, &credential, Timestamp::MAX, Timestamp::MAX);
    assert!(matches!(late, Err(KeyStoreError::Revoked(id)) if id == first.id));
    drop(keys);
    let again = subject.open();
    assert_eq!(opened(&*again, text, at(11)).as_deref(), Some(&anew));
    assert!(opened(&*again, &third, at(12)).is_none());
}

pub fn of_two_that_import_one_text_at_once_one_has_it(subject: &impl Subject) {
    let stores = [subject.open(), subject.open()];
    for round in 0..8 {
        let text = format!("am_sk_live_{round}");
        let results: Vec<_> = thread::scope(|scope| {
            let insert = |store: &'_ dyn KeyStore, key: ApiKey| store.insert(&key).map(|()| key.id);
            let running: Vec<_> = stores
                .iter()
                .map(|store| {
                    let key = imported(&text);
                    scope.spawn(move || insert(&**store, key))
                })
                .collect();
            running.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        let winners: Vec<_> = results.iter().filter_map(|result| result.as_ref().ok()).collect();
        assert_eq!(winners.len(), 1, "{results:?}");
        for store in &stores {
            within_a_second(|| {
                opened(&**store, &text, at(5)).is_some_and(|key| key.id == *winners[0])
            });
        }
    }
}
