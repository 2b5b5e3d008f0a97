//! The keys of a scenario: a tenant of its own, made before the server starts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::common::{ALL_SCOPES, ApiKey, kafka_of, make_key_at, run, tallybook};
use super::pattern::Kept;
use super::recorded::{KeyName, Scenario};

/// The keys that a scenario shows.
#[derive(Debug)]
pub(crate) struct Keys(BTreeMap<KeyName, ApiKey>);

impl Keys {
    /// Makes the keys that a scenario names, of a tenant, where the arguments of `serve` say.
    pub(crate) fn make(data: &Path, arguments: &[&str], tenant: &str, scenario: &Scenario) -> Self {
        let place = Place { data, arguments, tenant };
        let named: BTreeSet<&KeyName> = scenario.steps.iter().map(|step| &step.send.key).collect();
        let made = named.into_iter().filter_map(|name| Some((name.clone(), place.make(name)?)));
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

/// Where the keys of a scenario are made.
struct Place<'a> {
    data: &'a Path,
    arguments: &'a [&'a str],
    tenant: &'a str,
}

impl Place<'_> {
    fn make(&self, name: &KeyName) -> Option<ApiKey> {
        let key = |environment, scopes, rate| {
            make_key_at(self.data, self.tenant, environment, scopes, rate, self.arguments)
        };
        Some(match name {
            KeyName::Live => key("live", ALL_SCOPES, "0"),
            KeyName::Test => key("test", ALL_SCOPES, "0"),
            KeyName::Read => key("live", "read", "0"),
            KeyName::Other => {
                let tenant = format!("{}-other", self.tenant);
                Place { tenant: &tenant, ..*self }.make(&KeyName::Live)?
            }
            KeyName::Slow => key("live", ALL_SCOPES, "1"),
            KeyName::Revoked => {
                let key = key("live", ALL_SCOPES, "0");
                let mut revoke = tallybook();
                revoke.args(["keys", "revoke", &key.id, "--data"]).arg(self.data);
                let ran = run(revoke.args(kafka_of(self.arguments)));
                assert_eq!(ran.code, Some(0), "keys revoke failed: {}", ran.stderr);
                key
            }
            KeyName::None | KeyName::Text(_) => return None,
        })
    }
}
