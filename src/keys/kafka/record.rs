//! What lies in the topic of keys: each change of a key is a record of its own, never written again.
//!
//! Each has a record key that no other change has, so that compaction takes nothing away that counts,
//! and the order in which changes were kept is the same for every reader, now and later.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use tallybook_events::ids::{Environment, Scope, Tenant};
use tallybook_events::time::Timestamp;

use crate::keys::{ApiKey, Credential, Digest, KeyId, KeyStoreError};

/// The format that this build writes and reads.
const FORMAT: i64 = 1;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// A key was made.
    Created(ApiKey),
    /// A key was given something else that opens it. Counts only if `from` opened it until then.
    Rotated { id: KeyId, from: Credential, to: Credential, at: Timestamp, former_until: Timestamp },
    /// A key was revoked.
    Revoked { id: KeyId, at: Timestamp },
}

impl Change {
    /// Gives the key of its record.
    pub(super) fn record_key(&self) -> String {
        match self {
            Self::Created(key) => format!("{}/created/{}", key.id, text(&key.credential)),
            Self::Rotated { id, to, .. } => format!("{id}/rotated/{}", text(to)),
            Self::Revoked { id, .. } => format!("{id}/revoked"),
        }
    }

    /// Writes it.
    pub(super) fn write(&self) -> Vec<u8> {
        let (id, what) = match self {
            Self::Created(key) => (&key.id, What::Created(Created::of(key))),
            Self::Rotated { id, from, to, at, former_until } => {
                let (from, to) = (Opener::of(from), Opener::of(to));
                let rotated = Rotated { from, to, at: *at, former_until: *former_until };
                (id, What::Rotated(rotated))
            }
            Self::Revoked { id, at } => (id, What::Revoked { at: *at }),
        };
        let stored = Stored { v: FORMAT, id: id.as_str().into(), what };
        serde_json::to_vec(&stored).expect("a change is JSON")
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`KeyStoreError::UnknownFormat`] when a newer build wrote it, [`KeyStoreError::Damaged`] when it
    /// is none.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, KeyStoreError> {
        let damaged =
            |id: &str, what: &'static str| KeyStoreError::Damaged { id: id.to_owned(), what };
        let version: Version =
            serde_json::from_slice(bytes).map_err(|_| damaged("?", "its record"))?;
        if version.v != FORMAT {
            return Err(KeyStoreError::UnknownFormat { found: version.v, known: FORMAT });
        }
        let Stored { id: name, what, .. } =
            serde_json::from_slice(bytes).map_err(|_| damaged("?", "its record"))?;
        let id: KeyId = name.parse().map_err(|_| damaged(&name, "its id"))?;
        let opener =
            |opener: &Opener| opener.credential().ok_or_else(|| damaged(&name, "what opens it"));
        Ok(match what {
            What::Created(made) => {
                let scope = Scope { tenant: made.tenant, environment: made.environment };
                let scopes = made.scopes.parse().map_err(|_| damaged(&name, "its scopes"))?;
                let credential = opener(&made.opener)?;
                Self::Created(ApiKey::new(id, scope, scopes, made.rate, credential, made.at))
            }
            What::Rotated(Rotated { from, to, at, former_until }) => {
                let (from, to) = (opener(&from)?, opener(&to)?);
                Self::Rotated { id, from, to, at, former_until }
            }
            What::Revoked { at } => Self::Revoked { id, at },
        })
    }
}

fn text(credential: &Credential) -> String {
    let (Credential::Issued(digest) | Credential::Imported(digest)) = credential;
    URL_SAFE_NO_PAD.encode(digest.bytes())
}

#[derive(Deserialize)]
struct Version {
    v: i64,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    v: i64,
    id: String,
    #[serde(flatten)]
    what: What,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    Created(Created),
    Rotated(Rotated),
    Revoked { at: Timestamp },
}

#[derive(Serialize, Deserialize)]
struct Created {
    tenant: Tenant,
    environment: Environment,
    scopes: String,
    rate: u32,
    opener: Opener,
    at: Timestamp,
}

impl Created {
    fn of(key: &ApiKey) -> Self {
        Self {
            tenant: key.scope.tenant.clone(),
            environment: key.scope.environment,
            scopes: key.scopes.to_string(),
            rate: key.rate_per_second,
            opener: Opener::of(&key.credential),
            at: key.created_at,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Rotated {
    from: Opener,
    to: Opener,
    at: Timestamp,
    former_until: Timestamp,
}

/// A digest, in base64url.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Opener {
    Issued(String),
    Imported(String),
}

impl Opener {
    fn of(credential: &Credential) -> Self {
        match credential {
            Credential::Issued(_) => Self::Issued(text(credential)),
            Credential::Imported(_) => Self::Imported(text(credential)),
        }
    }

    fn credential(&self) -> Option<Credential> {
        let (Self::Issued(text) | Self::Imported(text)) = self;
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let digest = Digest::from_bytes(bytes.try_into().ok()?);
        Some(match self {
            Self::Issued(_) => Credential::Issued(digest),
            Self::Imported(_) => Credential::Imported(digest),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{issue, reissue};

    #[test]
    fn changes_are_read_as_they_were_written() {
        let scope = Scope { tenant: "t".parse().unwrap(), environment: Environment::Test };
        let at = Timestamp::from_micros(5);
        let key = issue(scope, "read,usage".parse().unwrap(), 7, at).unwrap().key;
        let (id, from) = (key.id.clone(), key.credential);
        let to = reissue(&key).unwrap().key.credential;
        for change in [
            Change::Created(key),
            Change::Rotated { id: id.clone(), from, to, at, former_until: Timestamp::MAX },
            Change::Revoked { id, at },
        ] {
            assert_eq!(Change::read(&change.write()).unwrap(), change);
        }
        assert!(matches!(
            Change::read(br#"{"v":2}"#),
            Err(KeyStoreError::UnknownFormat { found: 2, known: 1 })
        ));
        assert!(matches!(Change::read(b"x"), Err(KeyStoreError::Damaged { .. })));
    }
}
