//! API keys: who may ask what of which tenant. The port to the place where they are kept.
//!
//! A key is shown as `tb_{live|test}_{id}_{secret}`, once, when it is made. Of the secret only a
//! digest is kept. The id is no secret: it is the actor of the commands that come in with the key.
//!
//! # What is promised
//!
//! - [`KeyStore::find`] answers from memory, and what it answers is at most one second old, whichever
//!   process made or revoked the key.
//! - After [`KeyStore::insert`] and [`KeyStore::revoke`] have returned, the change is durable, and seen
//!   by this store at once.

use std::fmt;
use std::str::FromStr;

use tallybook_events::ids::{Actor, Scope};
use tallybook_events::time::Timestamp;

pub use scopes::{KeyScope, KeyScopes};
pub use secret::{Digest, IssuedKey, Presented, Secret, issue};

mod scopes;
mod secret;
pub mod sqlite;

/// Requests per second of a key that was made without saying how many.
pub const DEFAULT_RATE: u32 = 1_000;

/// Name of a key: 1 to 64 of `a-z 0-9`, unique in the store. No secret.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(Actor);

impl KeyId {
    /// Gives the text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Gives the key as the one who asks.
    pub const fn actor(&self) -> &Actor {
        &self.0
    }
}

/// A text that is no key id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 64 of a-z 0-9")]
pub struct NoKeyId;

impl FromStr for KeyId {
    type Err = NoKeyId;
    fn from_str(text: &str) -> Result<Self, NoKeyId> {
        let known = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase();
        if text.len() > 64 || !text.bytes().all(known) {
            return Err(NoKeyId);
        }
        text.parse().map(Self).map_err(|_| NoKeyId)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), formatter)
    }
}

/// One key, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its name.
    pub id: KeyId,
    /// The tenant and environment that it opens.
    pub scope: Scope,
    /// What it may be used for.
    pub scopes: KeyScopes,
    /// Requests per second; 0 for no limit.
    pub rate_per_second: u32,
    /// Digest of its secret.
    pub digest: Digest,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
}

/// Why the store of keys did not answer.
#[derive(Debug, thiserror::Error)]
pub enum KeyStoreError {
    /// There is a key of that id already.
    #[error("key id {0} is taken")]
    Taken(KeyId),
    /// There is no key of that id.
    #[error("no key has the id {0}")]
    Unknown(KeyId),
    /// A stored key is not what it should be.
    #[error("stored key {id} is damaged: {what}")]
    Damaged {
        /// Its id, as far as it can be read.
        id: String,
        /// What is wrong.
        what: &'static str,
    },
    /// The store does not answer. Try again.
    #[error("the store of keys does not answer")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A place where keys are kept. See the module's text for what is promised.
pub trait KeyStore: Send + Sync + 'static {
    /// Gives a key by its id, revoked ones too. Answers from memory, never blocks on I/O.
    fn find(&self, id: &KeyId) -> Option<std::sync::Arc<ApiKey>>;

    /// Gives all keys, revoked ones too, in the order in which they were made.
    fn list(&self) -> Vec<std::sync::Arc<ApiKey>>;

    /// Keeps a new key. Blocks.
    ///
    /// # Errors
    /// [`KeyStoreError::Taken`] when the id is taken, [`KeyStoreError::Unavailable`] when there is no answer.
    fn insert(&self, key: &ApiKey) -> Result<(), KeyStoreError>;

    /// Revokes a key; one that is revoked already stays as it is. Blocks.
    ///
    /// # Errors
    /// [`KeyStoreError::Unknown`] when there is none, [`KeyStoreError::Unavailable`] when there is no answer.
    fn revoke(&self, id: &KeyId, at: Timestamp) -> Result<(), KeyStoreError>;
}
