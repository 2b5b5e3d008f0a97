//! Customers in memory from one batch to the next, so that those who are busy are not read again.

use std::collections::HashMap;

use tallybook_events::ids::CustomerId;

use crate::fold::CustomerFold;

/// Room for customers in memory; up to twice as many are kept.
pub(super) const CACHE_ROOM: usize = 8_192;

/// Customers of the last batches. Whoever is not asked for while as many others come as there is room
/// for, is forgotten: at the latest when twice as many have come.
#[derive(Debug)]
pub(super) struct Cache {
    room: usize,
    recent: HashMap<CustomerId, CustomerFold>,
    before: HashMap<CustomerId, CustomerFold>,
}

impl Cache {
    /// Makes a cache with room for at most twice so many customers.
    pub(super) fn new(room: usize) -> Self {
        Self { room, recent: HashMap::new(), before: HashMap::new() }
    }

    /// Takes a customer out. Whoever takes one and does not put it back has it forgotten.
    pub(super) fn take(&mut self, id: CustomerId) -> Option<CustomerFold> {
        self.recent.remove(&id).or_else(|| self.before.remove(&id))
    }

    /// Puts a customer in as it is stored.
    pub(super) fn put(&mut self, id: CustomerId, fold: CustomerFold) {
        if self.recent.len() >= self.room {
            self.before = std::mem::take(&mut self.recent);
        }
        self.recent.insert(id, fold);
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.recent.clear();
        self.before.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn it_has_room_for_twice_as_many_at_most_and_keeps_the_last() {
        let id = |n: u128| CustomerId(Uuid::from_u128(n));
        let mut cache = Cache::new(4);
        for n in 0..100 {
            cache.put(id(n), CustomerFold::unborn());
            assert!(cache.recent.len() + cache.before.len() <= 8);
        }
        let kept = (0..100).filter(|n| cache.take(id(*n)).is_some()).collect::<Vec<_>>();
        assert_eq!(kept, [92, 93, 94, 95, 96, 97, 98, 99]);
        assert!(cache.take(id(99)).is_none());
    }
}
