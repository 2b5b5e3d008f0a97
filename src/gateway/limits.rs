//! How many requests a key may send: a generic cell rate algorithm (GCRA) for each key, and a bound on
//! how many of one key are served at once, so that one caller cannot take all the room there is.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::MAX_REQUESTS;
use crate::keys::KeyId;

/// Keys that are remembered before those that are at rest are forgotten.
const MAX_REMEMBERED: usize = 10_000;
/// Most requests of one key that are served at once: half of the room.
pub(crate) const MAX_OF_ONE_KEY: usize = MAX_REQUESTS / 2;
/// One second.
const SECOND: Duration = Duration::from_secs(1);

/// What a key has left after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// Requests per second that the key has.
    pub(crate) per_second: u32,
    /// Requests that could follow at once.
    pub(crate) remaining: u32,
}

/// The key has sent too many requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RateExceeded {
    /// Requests per second that the key has.
    pub(crate) per_second: u32,
    /// When one more is let in.
    pub(crate) retry_after: Duration,
}

/// The limits of all keys. One second's requests may come at once, then they are spaced out evenly.
#[derive(Debug, Default)]
pub(crate) struct KeyLimits(Mutex<HashMap<KeyId, OfKey>>);

/// What is known of one key.
#[derive(Debug, Clone, Copy)]
struct OfKey {
    /// The moment at which all that it sent would have been sent, evenly spaced.
    due: Instant,
    /// How many of its requests are being served.
    open: usize,
}

/// A request of a key, until its answer is there.
#[derive(Debug)]
pub(crate) struct OfOneKey<'a> {
    limits: &'a KeyLimits,
    key: &'a KeyId,
}

impl Drop for OfOneKey<'_> {
    fn drop(&mut self) {
        if let Some(of_key) = self.limits.lock().get_mut(self.key) {
            of_key.open = of_key.open.saturating_sub(1);
        }
    }
}

impl KeyLimits {
    /// Counts one request of a key at `now` by its rate; nothing for a key without one.
    pub(crate) fn count(
        &self,
        key: &KeyId,
        per_second: u32,
        now: Instant,
    ) -> Result<Option<Allowance>, RateExceeded> {
        if per_second == 0 {
            return Ok(None);
        }
        let space = SECOND / per_second;
        let mut keys = self.lock();
        let of_key = remembered(&mut keys, key, now);
        let after = of_key.due.max(now) + space;
        let ahead = after.duration_since(now);
        if ahead > SECOND {
            return Err(RateExceeded { per_second, retry_after: ahead.saturating_sub(SECOND) });
        }
        of_key.due = after;
        let left = SECOND.saturating_sub(ahead).as_nanos() / space.as_nanos().max(1);
        Ok(Some(Allowance { per_second, remaining: u32::try_from(left).unwrap_or(u32::MAX) }))
    }

    /// Begins to serve a request of a key; nothing when so many of it are being served already that
    /// others must come first.
    pub(crate) fn begin<'a>(&'a self, key: &'a KeyId, now: Instant) -> Option<OfOneKey<'a>> {
        let mut keys = self.lock();
        let of_key = remembered(&mut keys, key, now);
        if of_key.open >= MAX_OF_ONE_KEY {
            return None;
        }
        of_key.open += 1;
        Some(OfOneKey { limits: self, key })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<KeyId, OfKey>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Finds what is known of a key. Those at rest are forgotten when they are too many.
fn remembered<'a>(keys: &'a mut HashMap<KeyId, OfKey>, key: &KeyId, now: Instant) -> &'a mut OfKey {
    if !keys.contains_key(key) {
        if keys.len() >= MAX_REMEMBERED {
            keys.retain(|_, of_key| of_key.due > now || of_key.open > 0);
        }
        keys.insert(key.clone(), OfKey { due: now, open: 0 });
    }
    keys.get_mut(key).expect("it was put in if it was not there")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> KeyId {
        text.parse().unwrap()
    }

    #[test]
    fn a_seconds_worth_may_come_at_once_and_then_evenly() {
        let (limits, start) = (KeyLimits::default(), Instant::now());
        for remaining in (0..4).rev() {
            let allowed = limits.count(&key("a"), 4, start);
            assert_eq!(allowed, Ok(Some(Allowance { per_second: 4, remaining })));
        }
        let quarter = Duration::from_millis(250);
        let refused = Err(RateExceeded { per_second: 4, retry_after: quarter });
        assert_eq!(limits.count(&key("a"), 4, start), refused);
        assert_eq!(limits.count(&key("a"), 4, start), refused, "a refusal costs nothing");
        assert!(limits.count(&key("b"), 4, start).is_ok(), "keys do not share");
        let later = start + quarter;
        let allowed = Ok(Some(Allowance { per_second: 4, remaining: 0 }));
        assert_eq!(limits.count(&key("a"), 4, later), allowed);
        assert_eq!(limits.count(&key("a"), 4, later), refused);
    }

    #[test]
    fn a_rate_of_zero_is_no_limit_and_any_other_is_kept() {
        let (limits, now) = (KeyLimits::default(), Instant::now());
        for _ in 0..10_000 {
            assert_eq!(limits.count(&key("a"), 0, now), Ok(None));
        }
        for rate in [1, 3, 1_000, 7_919] {
            let limits = KeyLimits::default();
            let allowed = (0..2 * rate).filter(|_| limits.count(&key("a"), rate, now).is_ok());
            assert_eq!(allowed.count(), usize::try_from(rate).unwrap(), "{rate}");
        }
    }

    #[test]
    fn keys_at_rest_are_forgotten() {
        let (limits, start) = (KeyLimits::default(), Instant::now());
        for number in 0..MAX_REMEMBERED {
            limits.count(&key(&format!("k{number}")), 1, start).unwrap();
        }
        limits.count(&key("new"), 1, start + SECOND + SECOND).unwrap();
        assert_eq!(limits.lock().len(), 1);
    }

    #[test]
    fn one_key_has_half_of_the_room_at_most() {
        let (limits, now) = (KeyLimits::default(), Instant::now());
        let (one, other) = (key("a"), key("b"));
        let mut open: Vec<_> =
            (0..MAX_OF_ONE_KEY).map(|_| limits.begin(&one, now).unwrap()).collect();
        assert!(limits.begin(&one, now).is_none());
        assert!(limits.begin(&other, now).is_some());
        open.pop();
        assert!(limits.begin(&one, now).is_some());
        drop(open);
        assert!(limits.lock().values().all(|of_key| of_key.open == 0));
    }
}
