//! Which commands were decided, and where: the memory that answers a repeat like the first time.
//!
//! It keeps 64 bits of each id and an offset; the journal itself tells a true repeat from a chance
//! one. It forgets by journal time, whole generations at a time, never within the window unless its
//! bound on entries is reached.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hash, Hasher};

use tallybook_events::chain::Offset;
use tallybook_events::ids::{CommandId, CustomerId, Scope, Token};
use tallybook_events::time::{MICROS_PER_HOUR, Timestamp};

/// How long a command id is remembered at least, in journal time.
const WINDOW_HOURS: i64 = 24;
/// How long one generation takes in entries, in journal time.
const GENERATION_HOURS: i64 = 6;
/// Most entries of one partition. Beyond it the oldest generation is forgotten before its time.
const MAX_ENTRIES: usize = 32_000_000;

/// What is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct MemoryKey(u64);

impl MemoryKey {
    /// A command id, within its scope.
    pub(super) fn command(scope: &Scope, id: CommandId) -> Self {
        Self::of(&(0_u8, scope, id))
    }

    /// The decision that a held command got in the end.
    pub(super) fn settled(scope: &Scope, id: CommandId) -> Self {
        Self::of(&(1_u8, scope, id))
    }

    /// An idempotency key, within its scope and customer.
    pub(super) fn idempotency(scope: &Scope, home: CustomerId, key: &Token) -> Self {
        Self::of(&(2_u8, scope, home, key))
    }

    /// An idempotency key, within its scope and the name that was used: an id, or the slot of a key.
    pub(super) fn idempotency_by_name(scope: &Scope, name: CustomerId, key: &Token) -> Self {
        Self::of(&(3_u8, scope, name, key))
    }

    fn of(parts: &impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        parts.hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// Gives what this build makes of a fixed id. Hashes that are kept are of use only where this is the same.
pub(super) fn probe() -> u64 {
    MemoryKey::of(&(u64::MAX, "an id that is no id", [0_u8; 16])).0
}

/// The key is a hash already.
#[derive(Debug, Default)]
pub(super) struct Ready(u64);

impl Hasher for Ready {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

#[derive(Debug)]
struct Generation {
    since: Timestamp,
    places: HashMap<MemoryKey, Offset, BuildHasherDefault<Ready>>,
}

/// The memory of one partition.
#[derive(Debug)]
pub(super) struct Memory {
    generations: VecDeque<Generation>,
    entries: usize,
    max_entries: usize,
}

impl Default for Memory {
    fn default() -> Self {
        Self::bounded(MAX_ENTRIES)
    }
}

impl Memory {
    pub(super) fn bounded(max_entries: usize) -> Self {
        Self { generations: VecDeque::new(), entries: 0, max_entries }
    }

    /// Gives the generations, oldest first: since when, and hashes of ids with their offsets.
    pub(super) fn generations(
        &self,
    ) -> impl ExactSizeIterator<Item = (Timestamp, impl ExactSizeIterator<Item = (u64, Offset)>)>
    {
        self.generations.iter().map(|generation| {
            let places = generation.places.iter().map(|(key, offset)| (key.0, *offset));
            (generation.since, places)
        })
    }

    /// Begins a generation as it was kept.
    pub(super) fn begin(&mut self, since: Timestamp, room: usize) {
        let places = HashMap::with_capacity_and_hasher(room, BuildHasherDefault::default());
        self.generations.push_back(Generation { since, places });
    }

    /// Puts an id into the last generation as it was kept.
    pub(super) fn put(&mut self, hash: u64, place: Offset) {
        if let Some(generation) = self.generations.back_mut()
            && generation.places.insert(MemoryKey(hash), place).is_none()
        {
            self.entries += 1;
        }
    }

    /// Gives where a command was decided, if it is remembered.
    pub(super) fn place(&self, key: MemoryKey) -> Option<Offset> {
        self.generations.iter().rev().find_map(|generation| generation.places.get(&key).copied())
    }

    /// Remembers where a command was decided. `decided_at` is the journal's time.
    pub(super) fn remember(&mut self, key: MemoryKey, place: Offset, decided_at: Timestamp) {
        let span = GENERATION_HOURS * MICROS_PER_HOUR;
        let full = |generation: &Generation| {
            generation.since.plus_micros(span) <= decided_at
                || generation.places.len() >= self.max_entries / 4
        };
        if self.generations.back().is_none_or(full) {
            self.generations
                .push_back(Generation { since: decided_at, places: HashMap::default() });
            self.forget(decided_at);
        }
        let Some(generation) = self.generations.back_mut() else { return };
        if generation.places.insert(key, place).is_none() {
            self.entries += 1;
        }
    }

    /// Drops the generations whose last entry is older than the window, and the oldest when there are
    /// too many entries.
    fn forget(&mut self, now: Timestamp) {
        let begin = now.plus_micros(-WINDOW_HOURS * MICROS_PER_HOUR);
        while let Some(next) = self.generations.get(1) {
            // A generation ends where the next one begins.
            let over = self.entries >= self.max_entries;
            if next.since > begin && !over {
                break;
            }
            if next.since > begin {
                tracing::warn!(
                    entries = self.entries,
                    "command ids are forgotten before the window of {WINDOW_HOURS} h has passed: too many commands"
                );
                metrics::counter!("tallybook_dedupe_forgotten_early_total").increment(1);
            }
            if let Some(oldest) = self.generations.pop_front() {
                self.entries -= oldest.places.len();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000 + hours * MICROS_PER_HOUR)
    }

    #[test]
    fn what_was_decided_within_the_window_is_remembered() {
        let mut memory = Memory::default();
        for hour in 0..200 {
            memory.remember(MemoryKey(hour), hour, at(i64::try_from(hour).unwrap()));
            for back in 0..=24.min(hour) {
                assert_eq!(
                    memory.place(MemoryKey(hour - back)),
                    Some(hour - back),
                    "{hour} {back}"
                );
            }
        }
    }

    #[test]
    fn what_is_older_is_forgotten_by_journal_time() {
        let mut memory = Memory::default();
        memory.remember(MemoryKey(1), 1, at(0));
        memory.remember(MemoryKey(2), 2, at(1_000));
        memory.remember(MemoryKey(3), 3, at(2_000));
        assert_eq!(memory.place(MemoryKey(1)), None);
        assert_eq!(memory.place(MemoryKey(3)), Some(3));
        assert_eq!(memory.entries, 2);
    }

    #[test]
    fn the_number_of_entries_is_bounded() {
        let mut memory = Memory::bounded(1_000);
        for key in 0..10_000 {
            memory.remember(MemoryKey(key), key, at(0));
            assert!(memory.entries <= 1_250, "{}", memory.entries);
        }
        assert_eq!(memory.place(MemoryKey(9_999)), Some(9_999));
        assert_eq!(memory.place(MemoryKey(9_300)), Some(9_300));
    }
}
