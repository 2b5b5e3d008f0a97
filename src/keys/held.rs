//! Keys in memory, as they are looked for.

use std::collections::HashMap;
use std::sync::Arc;

use tallybook_events::time::Timestamp;

use super::{ApiKey, Credential, Digest, KeyId};

/// All keys of a store.
#[derive(Debug, Default, Clone)]
pub(super) struct Held {
    by_id: HashMap<KeyId, Arc<ApiKey>>,
    /// Keys that are not revoked, by the digests of imported texts that open or opened them.
    by_text: HashMap<Digest, Arc<ApiKey>>,
    in_order: Vec<Arc<ApiKey>>,
}

impl Held {
    /// Takes keys in the order in which they were made.
    pub(super) fn of(in_order: Vec<Arc<ApiKey>>) -> Self {
        let by_id = in_order.iter().map(|key| (key.id.clone(), Arc::clone(key))).collect();
        let mut by_text = HashMap::new();
        let open = || in_order.iter().filter(|key| key.revoked_at.is_none());
        // A text whose time was over may have been imported anew: what opens a key now comes last.
        let former = open().filter_map(|key| Some((key.former.as_ref()?.credential, key)));
        let present = open().map(|key| (key.credential, key));
        for (credential, key) in former.chain(present) {
            match credential {
                Credential::Imported(digest) => drop(by_text.insert(digest, Arc::clone(key))),
                Credential::Issued(_) => {}
            }
        }
        Self { by_id, by_text, in_order }
    }

    /// Gives a key by its id.
    pub(super) fn find(&self, id: &KeyId) -> Option<Arc<ApiKey>> {
        self.by_id.get(id).map(Arc::clone)
    }

    /// Gives the key that an imported text opens, or opened.
    pub(super) fn by_text(&self, digest: &Digest) -> Option<Arc<ApiKey>> {
        self.by_text.get(digest).map(Arc::clone)
    }

    /// Gives all keys in the order in which they were made.
    pub(super) fn list(&self) -> &[Arc<ApiKey>] {
        &self.in_order
    }

    /// Gives the key that a text with this digest opens at a moment.
    pub(super) fn opened_by(&self, digest: &Digest, at: Timestamp) -> Option<KeyId> {
        let credential = Credential::Imported(*digest);
        let opens = |key: &&Arc<ApiKey>| key.admits(&credential, || at);
        self.in_order.iter().find(opens).map(|key| key.id.clone())
    }
}
