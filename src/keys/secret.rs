//! How a key of ours is made and shown, and how one that is shown is taken apart.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use rand::TryRngCore;
use rand::rngs::OsRng;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;
use tallybook_events::ids::{Environment, Scope};
use tallybook_events::time::Timestamp;

use super::{ApiKey, Credential, KeyId, KeyScopes, KeyStoreError, KeyText};

/// What every key of ours begins with.
pub const PREFIX: &str = "tb_";
/// Characters of a new key's id: 80 random bits.
const ID_LENGTH: usize = 16;
/// Characters of a new key's secret: 260 random bits.
const SECRET_LENGTH: usize = 52;
/// Longest secret that is looked at.
const MAX_SECRET: usize = 128;
/// Lower-case letters and digits without those that look alike; 32, so that each has five bits.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// SHA-256 of what opens a key. Compared in constant time.
#[derive(Clone, Copy)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Takes the digest of a secret.
    pub fn of(secret: &Secret) -> Self {
        Self::of_text(&secret.0)
    }

    /// Takes the digest of a whole text.
    pub(super) fn of_text(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// Makes a digest of its bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Gives its bytes.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Digest {}

impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Digest(…)")
    }
}

/// The part of a key that nobody else knows. Never printed by `Debug`; has no `Display`.
#[derive(Clone)]
pub struct Secret(Box<str>);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// A key as a caller shows it.
#[derive(Debug, Clone)]
pub struct Presented {
    /// The environment that it says it is for.
    pub environment: Environment,
    /// Its id.
    pub id: KeyId,
    /// Its secret.
    pub secret: Secret,
}

/// A text that has not the form of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("has not the form tb_live_ID_SECRET or tb_test_ID_SECRET")]
pub struct NoKey;

impl FromStr for Presented {
    type Err = NoKey;
    fn from_str(text: &str) -> Result<Self, NoKey> {
        let rest = text.strip_prefix(PREFIX).ok_or(NoKey)?;
        let (environment, rest) = rest.split_once('_').ok_or(NoKey)?;
        let (id, secret) = rest.split_once('_').ok_or(NoKey)?;
        let plain = secret.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if secret.is_empty() || secret.len() > MAX_SECRET || !plain {
            return Err(NoKey);
        }
        Ok(Self {
            environment: environment.parse().map_err(|_| NoKey)?,
            id: id.parse().map_err(|_| NoKey)?,
            secret: Secret(secret.into()),
        })
    }
}

/// A new key, with its text, which nobody can give a second time.
#[derive(Debug, Clone)]
pub struct IssuedKey {
    /// The key, to be kept.
    pub key: ApiKey,
    secret: Secret,
}

impl IssuedKey {
    /// Gives the key's text. To be shown once, to whoever asked for it.
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}_{}_{}", self.key.scope.environment, self.key.id, self.secret.0)
    }
}

/// Makes a key of the operating system's randomness. It counts once it is kept.
///
/// # Errors
/// [`KeyStoreError::Unavailable`] when the operating system gives no randomness.
pub fn issue(
    scope: Scope,
    scopes: KeyScopes,
    rate_per_second: u32,
    created_at: Timestamp,
) -> Result<IssuedKey, KeyStoreError> {
    let (id, secret) = (random_id()?, random_secret()?);
    let credential = Credential::Issued(Digest::of(&secret));
    let key = ApiKey::new(id, scope, scopes, rate_per_second, credential, created_at);
    Ok(IssuedKey { key, secret })
}

/// Makes a new secret for a key. It counts once the store has put it in the old one's place
/// ([`KeyStore::rotate`](super::KeyStore::rotate)).
///
/// # Errors
/// [`KeyStoreError::Unavailable`] when the operating system gives no randomness.
pub fn reissue(key: &ApiKey) -> Result<IssuedKey, KeyStoreError> {
    let secret = random_secret()?;
    let credential = Credential::Issued(Digest::of(&secret));
    Ok(IssuedKey { key: ApiKey { credential, ..key.clone() }, secret })
}

/// Makes a key that somebody else's text opens. It counts once it is kept.
///
/// # Errors
/// [`KeyStoreError::Unavailable`] when the operating system gives no randomness for its id.
pub fn import(
    text: &KeyText,
    scope: Scope,
    scopes: KeyScopes,
    rate_per_second: u32,
    created_at: Timestamp,
) -> Result<ApiKey, KeyStoreError> {
    let credential = Credential::Imported(text.digest());
    Ok(ApiKey::new(random_id()?, scope, scopes, rate_per_second, credential, created_at))
}

fn random_secret() -> Result<Secret, KeyStoreError> {
    Ok(Secret(random_text(SECRET_LENGTH)?.into()))
}

fn random_id() -> Result<KeyId, KeyStoreError> {
    Ok(random_text(ID_LENGTH)?.parse().expect("the alphabet has only letters and digits"))
}

fn random_text(length: usize) -> Result<String, KeyStoreError> {
    let mut bytes = vec![0; length];
    OsRng.try_fill_bytes(&mut bytes).map_err(|error| KeyStoreError::Unavailable(error.into()))?;
    Ok(bytes.into_iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opens(shown: &Presented, key: &ApiKey) -> bool {
        shown.environment == key.scope.environment
            && key.admits(&Credential::Issued(Digest::of(&shown.secret)), || Timestamp::MIN)
    }

    fn issued() -> IssuedKey {
        let scope = Scope { tenant: "t".parse().unwrap(), environment: Environment::Live };
        issue(scope, "read,write".parse().unwrap(), 5, Timestamp::MIN).unwrap()
    }

    #[test]
    fn a_key_opens_itself_and_nothing_else() {
        let (one, other) = (issued(), issued());
        let text = one.reveal();
        assert_eq!(text.len(), "tb_live_".len() + ID_LENGTH + 1 + SECRET_LENGTH);
        let shown: Presented = text.parse().unwrap();
        assert_eq!(shown.id, one.key.id);
        assert!(opens(&shown, &one.key));
        assert!(!opens(&shown, &other.key));
        let elsewhere: Presented = text.replace("_live_", "_test_").parse().unwrap();
        assert!(!opens(&elsewhere, &one.key));
    }

    #[test]
    fn neither_secret_nor_digest_is_printed() {
        let issued = issued();
        let shown: Presented = issued.reveal().parse().unwrap();
        let printed = format!("{issued:?} {shown:?}");
        assert!(!printed.contains(&*shown.secret.0), "{printed}");
        assert!(printed.contains("Digest(…)"), "{printed}");
    }

    #[test]
    fn what_has_not_the_form_of_a_key_is_none() {
        for text in [
            "",
            "tb_",
            "tb_live_",
            "tb_live_abc",
            "tb_live_abc_",
            "tb_live__secret",
            "tb_prod_abc_secret",
            "am_live_abc_secret",
            "tb_live_abc_sec_ret",
            "tb_live_ABC_secret",
            "tb_live_abc_s\u{e9}cret",
        ] {
            assert_eq!(text.parse::<Presented>().unwrap_err(), NoKey, "{text}");
        }
        let long = format!("tb_live_abc_{}", "x".repeat(MAX_SECRET + 1));
        assert!(long.parse::<Presented>().is_err());
    }
}
