//! Which changes count: they are judged in the order of the topic, so every reader judges alike.

use std::sync::Arc;

use tallybook_events::time::Timestamp;

use super::record::Change;
use crate::keys::held::Held;
use crate::keys::{ApiKey, Credential, Former, KeyId, KeyStoreError};

/// The keys, as the changes that count have made them.
#[derive(Debug, Default)]
pub(super) struct Fold {
    keys: Vec<Arc<ApiKey>>,
    held: Held,
}

impl Fold {
    /// Gives the keys as they are looked for.
    pub(super) const fn held(&self) -> &Held {
        &self.held
    }

    /// Tells whether a change would count now.
    ///
    /// # Errors
    /// Why it would not.
    pub(super) fn check(&self, change: &Change) -> Result<(), KeyStoreError> {
        match change {
            Change::Created(key) => {
                if self.held.find(&key.id).is_some() {
                    return Err(KeyStoreError::Taken(key.id.clone()));
                }
                match key.credential {
                    Credential::Issued(_) => Ok(()),
                    Credential::Imported(digest) => self
                        .held
                        .opened_by(&digest, key.created_at)
                        .map_or(Ok(()), |other| Err(KeyStoreError::TextTaken(other))),
                }
            }
            Change::Rotated { id, from, .. } => {
                let key = self.known(id)?;
                if key.revoked_at.is_some() {
                    return Err(KeyStoreError::Revoked(id.clone()));
                }
                if key.credential == *from {
                    Ok(())
                } else {
                    Err(KeyStoreError::RotatedMeanwhile(id.clone()))
                }
            }
            Change::Revoked { id, .. } => self.known(id).map(drop),
        }
    }

    /// Takes a change in, if it counts.
    ///
    /// # Errors
    /// Why it does not.
    pub(super) fn apply(&mut self, change: Change) -> Result<(), KeyStoreError> {
        self.check(&change)?;
        match change {
            Change::Created(key) => self.keys.push(Arc::new(key)),
            Change::Rotated { id, from, to, at, former_until } => self.change(&id, |key| {
                key.former = Some(Former { credential: from, until: former_until });
                (key.credential, key.rotated_at) = (to, Some(at));
            }),
            Change::Revoked { id, at } => self.change(&id, |key| revoke(key, at)),
        }
        self.held = Held::of(self.keys.clone());
        Ok(())
    }

    fn known(&self, id: &KeyId) -> Result<Arc<ApiKey>, KeyStoreError> {
        self.held.find(id).ok_or_else(|| KeyStoreError::Unknown(id.clone()))
    }

    fn change(&mut self, id: &KeyId, change: impl FnOnce(&mut ApiKey)) {
        if let Some(key) = self.keys.iter_mut().find(|key| key.id == *id) {
            change(Arc::make_mut(key));
        }
    }
}

fn revoke(key: &mut ApiKey, at: Timestamp) {
    key.revoked_at = key.revoked_at.or(Some(at));
}

#[cfg(test)]
mod tests {
    use tallybook_events::ids::{Environment, Scope};

    use super::*;
    use crate::keys::{issue, reissue};

    #[test]
    fn of_two_rotations_from_one_secret_the_first_in_the_topic_counts() {
        let scope = Scope { tenant: "t".parse().unwrap(), environment: Environment::Test };
        let at = Timestamp::from_micros(5);
        let key = issue(scope, "read".parse().unwrap(), 0, at).unwrap().key;
        let rotated = || Change::Rotated {
            id: key.id.clone(),
            from: key.credential,
            to: reissue(&key).unwrap().key.credential,
            at,
            former_until: Timestamp::MAX,
        };
        let mut fold = Fold::default();
        fold.apply(Change::Created(key.clone())).unwrap();
        let (first, second) = (rotated(), rotated());
        fold.apply(first).unwrap();
        let after = fold.held().find(&key.id);
        let refused = fold.apply(second);
        assert!(matches!(refused, Err(KeyStoreError::RotatedMeanwhile(id)) if id == key.id));
        assert_eq!(fold.held().find(&key.id), after);
        fold.apply(Change::Revoked { id: key.id.clone(), at }).unwrap();
        fold.apply(Change::Revoked { id: key.id.clone(), at: Timestamp::MAX }).unwrap();
        assert_eq!(fold.held().find(&key.id).unwrap().revoked_at, Some(at));
    }
}
