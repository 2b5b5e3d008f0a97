//! What opens a key: our own secret, or a text that somebody else once issued; and which key a text opens.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use tallybook_events::time::Timestamp;

use super::{ApiKey, Digest, KeyStore, Presented};

/// Fewest characters of an imported key.
const MIN_TEXT: usize = 8;
/// Most characters of an imported key.
pub const MAX_TEXT: usize = 512;

/// What opens a key, as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Credential {
    /// Digest of the secret of a text `tb_{live|test}_{id}_{secret}`, in which the id finds the key.
    Issued(Digest),
    /// Digest of a whole text, which finds the key.
    Imported(Digest),
}

/// What opened a key before it was rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Former {
    /// It.
    pub credential: Credential,
    /// The first moment at which it opens nothing any more.
    pub until: Timestamp,
}

/// A key that somebody else issued: 8 to 512 visible ASCII characters. Never printed by `Debug`; has no
/// `Display`.
#[derive(Clone)]
pub struct KeyText(Box<str>);

/// A text that can be no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 8 to 512 visible ASCII characters, without spaces")]
pub struct NoKeyText;

impl KeyText {
    /// Gives the digest of the whole text: all of it that is ever kept.
    pub fn digest(&self) -> Digest {
        Digest::of_text(&self.0)
    }

    /// Gives the text as a key of ours, if it has that form.
    pub fn as_issued(&self) -> Option<Presented> {
        self.0.parse().ok()
    }
}

impl FromStr for KeyText {
    type Err = NoKeyText;
    fn from_str(text: &str) -> Result<Self, NoKeyText> {
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        let fits = (MIN_TEXT..=MAX_TEXT).contains(&text.len());
        if visible && fits { Ok(Self(text.into())) } else { Err(NoKeyText) }
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("KeyText(…)")
    }
}

impl ApiKey {
    /// Tells whether a credential opens this key: the present one, or the former one within its time.
    /// `now` is asked only if it matters. Nothing opens a revoked key.
    pub fn admits(&self, credential: &Credential, now: impl FnOnce() -> Timestamp) -> bool {
        let former = || {
            self.former
                .as_ref()
                .is_some_and(|former| former.credential == *credential && now() < former.until)
        };
        self.revoked_at.is_none() && (self.credential == *credential || former())
    }
}

/// Gives the key that a text opens, if there is one: by the id in it, when it has the form of our keys
/// and there is a key of that id, else by the digest of the whole text. Looks at no other key.
pub fn opened(
    keys: &dyn KeyStore,
    text: &str,
    now: impl FnOnce() -> Timestamp,
) -> Option<Arc<ApiKey>> {
    if let Ok(shown) = text.parse::<Presented>()
        && let Some(key) = keys.find(&shown.id)
    {
        let credential = Credential::Issued(Digest::of(&shown.secret));
        let opens = shown.environment == key.scope.environment && key.admits(&credential, now);
        return opens.then_some(key);
    }
    let digest = text.parse::<KeyText>().ok()?.digest();
    let key = keys.find_imported(&digest)?;
    key.admits(&Credential::Imported(digest), now).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_imported_key_is_8_to_512_visible_characters_and_is_not_printed() {
        let (shortest, longest) = ("am_sk_12", "x".repeat(MAX_TEXT));
        for taken in [shortest, &longest, "Bearer.of~!\"#$%&'()*+,/:;<=>?@[\\]^`{|}"] {
            let text: KeyText = taken.parse().unwrap();
            assert_eq!(format!("{text:?}"), "KeyText(…)");
        }
        let too_long = "x".repeat(MAX_TEXT + 1);
        for refused in ["", "am_sk_1", &too_long, "am sk 12", "am_sk_12\n", "am_sk_1\u{e9}"] {
            assert_eq!(refused.parse::<KeyText>().unwrap_err(), NoKeyText, "{refused:?}");
        }
    }
}
