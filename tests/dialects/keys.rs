//! The keys of a scenario: a tenant of its own, made before the server starts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::common::{ALL_SCOPES, ApiKey, make_key, make_slow_key, run, tallybook};
use super::pattern::Kept;
use super::recorded::{KeyName, Scenario};

/// The keys that a scenario shows.
#[derive(Debug)]
pub(crate) struct Keys(BTreeMap<KeyName, ApiKey>);

impl Keys {
    /// Makes the keys that a scenario names, of a tenant.
    pub(crate) fn make(data: &Path, tenant: &str, scenario: &Scenario) -> Self {
        let named: BTreeSet<&KeyName> = scenario.steps.iter().map(|step| &step.send.key).collect();
        let made =
            named.into_iter().filter_map(|name| Some((name.clone(), make(data, tenant, name)?)));
        Self(made.collect())
    }

    /// Gives the text of a key.
    pub(crate) fn text<'a>(&'a self, name: &'a KeyName) -> Option<&'a str> {
        match name {
            KeyName::None => None,
            KeyName::Text(text) => Some(text),
            KeyName::Live
            | KeyName::Test
            | KeyName::Read
            | KeyName::Slow
            | KeyName::Revoked
            | KeyName::Other => Some(&self.0[name].key),
        }
    }

    /// Gives what a recording can name: the tenant, and `actor`, the id of the live key.
    pub(crate) fn kept(&self, tenant: &str) -> Kept {
        let mut kept = Kept::from([("tenant".to_owned(), tenant.to_owned())]);
        if let Some(live) = self.0.get(&KeyName::Live) {
            kept.insert("actor".to_owned(), live.id.clone());
        }
        kept
    }
}

fn make(data: &Path, tenant: &str, name: &KeyName) -> Option<ApiKey> {
    Some(match name {
        KeyName::Live => make_key(data, tenant, "live", ALL_SCOPES),
        KeyName::Test => make_key(data, tenant, "test", ALL_SCOPES),
        KeyName::Read => make_key(data, tenant, "live", "read"),
        KeyName::Other => make_key(data, &format!("{tenant}-other"), "live", ALL_SCOPES),
        KeyName::Slow => make_slow_key(data, tenant),
        KeyName::Revoked => {
            let key = make_key(data, tenant, "live", ALL_SCOPES);
            let ran = run(tallybook().args(["keys", "revoke", &key.id, "--data"]).arg(data));
            assert_eq!(ran.code, Some(0), "keys revoke failed: {}", ran.stderr);
            key
        }
        KeyName::None | KeyName::Text(_) => return None,
    })
}
