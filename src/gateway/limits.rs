//! How many requests a key may send: a generic cell rate algorithm (GCRA) for each key, and how many
//! requests are served at once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::keys::KeyId;

/// Keys that are remembered before those that are at rest are forgotten.
const MAX_REMEMBERED: usize = 10_000;
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
pub(crate) struct RateLimits {
    /// For each key the moment at which all that it sent would have been sent, evenly spaced.
    due: Mutex<HashMap<KeyId, Instant>>,
}

impl RateLimits {
    /// Counts one request of a key at `now`; nothing for a key without a limit.
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
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        if due.len() >= MAX_REMEMBERED && !due.contains_key(key) {
            due.retain(|_, due| *due > now);
        }
        let before = due.get(key).copied().filter(|due| *due > now).unwrap_or(now);
        let after = before + space;
        let ahead = after.duration_since(now);
        if ahead > SECOND {
            return Err(RateExceeded { per_second, retry_after: ahead.saturating_sub(SECOND) });
        }
        match due.get_mut(key) {
            Some(due) => *due = after,
            None => drop(due.insert(key.clone(), after)),
        }
        let left = SECOND.saturating_sub(ahead).as_nanos() / space.as_nanos().max(1);
        Ok(Some(Allowance { per_second, remaining: u32::try_from(left).unwrap_or(u32::MAX) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> KeyId {
        text.parse().unwrap()
    }

    #[test]
    fn a_seconds_worth_may_come_at_once_and_then_evenly() {
        let (limits, start) = (RateLimits::default(), Instant::now());
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
        let (limits, now) = (RateLimits::default(), Instant::now());
        for _ in 0..10_000 {
            assert_eq!(limits.count(&key("a"), 0, now), Ok(None));
        }
        for rate in [1, 3, 1_000, 7_919] {
            let limits = RateLimits::default();
            let allowed = (0..2 * rate).filter(|_| limits.count(&key("a"), rate, now).is_ok());
            assert_eq!(allowed.count(), usize::try_from(rate).unwrap(), "{rate}");
        }
    }

    #[test]
    fn keys_at_rest_are_forgotten() {
        let (limits, start) = (RateLimits::default(), Instant::now());
        for number in 0..MAX_REMEMBERED {
            limits.count(&key(&format!("k{number}")), 1, start).unwrap();
        }
        limits.count(&key("new"), 1, start + SECOND + SECOND).unwrap();
        assert_eq!(limits.due.lock().unwrap().len(), 1);
    }
}
