//! API keys: who may ask what of which tenant. The port to the place where they are kept.
//!
//! A key is shown as `tb_{live|test}_{id}_{secret}`, once, when it is made. Of the secret only a
//! digest is kept. A key that somebody else issued can be *imported*: then it is any text, of which
//! only a digest is kept, too. The id is no secret: it is the actor of the commands that come in with
//! the key. A key can be *rotated*: it has a new secret of ours from then on, and the former one, ours
//! or not, opens it until its time is over. So at most two texts open one key.
//!
//! # What is promised
//!
//! - [`KeyStore::find`] and [`KeyStore::find_imported`] answer from memory, and what they answer is at
//!   most one second old, whichever process made or changed the key.
//! - After [`KeyStore::insert`], [`KeyStore::rotate`] and [`KeyStore::revoke`] have returned, the change
//!   is durable, and seen by this store at once.
//! - No two keys that are not revoked are opened by the same text. Of several that are made, or
//!   rotated, at once, each hears what became of its own change.
//!
//! `conformance.rs` is this list as tests; every adapter runs it.

use std::fmt;
use std::str::FromStr;

use tallybook_events::ids::{Actor, Scope};
use tallybook_events::time::Timestamp;

pub use credential::{Credential, Former, KeyText, MAX_TEXT, NoKeyText, opened};
pub use scopes::{KeyScope, KeyScopes};
pub use secret::{Digest, IssuedKey, PREFIX, Presented, Secret, import, issue, reissue};

mod scopes;
mod secret;
mod credential;
mod held;
pub mod sqlite;
pub mod kafka;
pub mod conformance;

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
    /// What opens it.
    pub credential: Credential,
    /// What opened it before it was rotated last, if it was.
    pub former: Option<Former>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was rotated last, if it was.
    pub rotated_at: Option<Timestamp>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
}

impl ApiKey {
    /// Makes a key as it is at first.
    pub const fn new(
        id: KeyId,
        scope: Scope,
        scopes: KeyScopes,
        rate_per_second: u32,
        credential: Credential,
        created_at: Timestamp,
    ) -> Self {
        Self {
            id,
            scope,
            scopes,
            rate_per_second,
            credential,
            former: None,
            created_at,
            rotated_at: None,
            revoked_at: None,
        }
    }
}

/// Why the store of keys did not answer.
#[derive(Debug, thiserror::Error)]
pub enum KeyStoreError {
    /// There is a key of that id already.
    #[error("key id {0} is taken")]
    Taken(KeyId),
    /// The text that is to open a key opens another already.
    #[error("the text opens the key {0} already")]
    TextTaken(KeyId),
    /// There is no key of that id.
    #[error("no key has the id {0}")]
    Unknown(KeyId),
    /// The key is revoked, and takes no new secret.
    #[error("the key {0} is revoked")]
    Revoked(KeyId),
    /// Another has rotated the key at the same time: the new secret opens nothing.
    #[error("the key {0} was rotated by another at the same time; rotate it again")]
    RotatedMeanwhile(KeyId),
    /// There is no place for keys.
    #[error("there is no topic {0}: `tallybook topics apply` makes it")]
    NoPlace(String),
    /// A newer build has written the store.
    #[error("the keys are in format {found}, this build knows {known} at most")]
    UnknownFormat {
        /// The format that they are in.
        found: i64,
        /// The format that this build writes.
        known: i64,
    },
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

impl KeyStoreError {
    /// Says again what is wrong with what is stored.
    fn again(&self) -> Self {
        match self {
            Self::UnknownFormat { found, known } => {
                Self::UnknownFormat { found: *found, known: *known }
            }
            Self::Damaged { id, what } => Self::Damaged { id: id.clone(), what },
            Self::Taken(_)
            | Self::TextTaken(_)
            | Self::Unknown(_)
            | Self::Revoked(_)
            | Self::RotatedMeanwhile(_)
            | Self::NoPlace(_)
            | Self::Unavailable(_) => Self::Unavailable(self.to_string().into()),
        }
    }
}

/// A place where keys are kept. See the module's text for what is promised.
pub trait KeyStore: Send + Sync + 'static {
    /// Gives a key by its id, revoked ones too. Answers from memory, never blocks on I/O.
    fn find(&self, id: &KeyId) -> Option<std::sync::Arc<ApiKey>>;

    /// Gives all keys, revoked ones too, in the order in which they were made.
    fn list(&self) -> Vec<std::sync::Arc<ApiKey>>;

    /// Gives the key that a text with this digest opens, or opened before it was rotated. Revoked keys
    /// are not found. Answers from memory, by the digest, never blocks on I/O.
    fn find_imported(&self, digest: &Digest) -> Option<std::sync::Arc<ApiKey>>;

    /// Keeps a new key. Blocks.
    ///
    /// # Errors
    /// [`KeyStoreError::Taken`] when the id is taken, [`KeyStoreError::TextTaken`] when it is an imported
    /// key and its text opens another, [`KeyStoreError::Unavailable`] when there is no answer.
    fn insert(&self, key: &ApiKey) -> Result<(), KeyStoreError>;

    /// Gives a key something else that opens it. What opened it before opens it on until
    /// `former_until`; what opened it before that, no more. Blocks.
    ///
    /// # Errors
    /// [`KeyStoreError::Unknown`] when there is none, [`KeyStoreError::Revoked`] when it is revoked,
    /// [`KeyStoreError::RotatedMeanwhile`] when another has rotated it at the same time,
    /// [`KeyStoreError::Unavailable`] when there is no answer.
    fn rotate(
        &self,
        id: &KeyId,
        credential: &Credential,
        at: Timestamp,
        former_until: Timestamp,
    ) -> Result<(), KeyStoreError>;

    /// Revokes a key; one that is revoked already stays as it is. Blocks.
    ///
    /// # Errors
    /// [`KeyStoreError::Unknown`] when there is none, [`KeyStoreError::Unavailable`] when there is no answer.
    fn revoke(&self, id: &KeyId, at: Timestamp) -> Result<(), KeyStoreError>;
}
