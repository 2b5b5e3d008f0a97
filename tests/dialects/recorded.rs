//! Recordings as they lie in files: scenarios of steps, each a request and the answer to it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

/// Some requests one after the other, by a tenant of their own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// What it shows.
    pub(crate) about: String,
    /// The steps.
    pub(crate) steps: Vec<Step>,
}

/// A request and the answer to it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    /// The request.
    pub(crate) send: Send,
    /// Status of the answer.
    pub(crate) status: u16,
    /// Headers that the answer has; others may be there, too. `null`: it does not have it.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, Option<String>>,
    /// Body of the answer. None: it is not looked at.
    #[serde(default)]
    pub(crate) body: Option<Box<RawValue>>,
    /// What is kept of the answer: name by JSON pointer.
    #[serde(default)]
    pub(crate) keep: BTreeMap<String, String>,
    /// Whether it is a pair of the dialect, and no preparation.
    #[serde(default)]
    pub(crate) counts: bool,
    /// Whether it is the example of the vendor's own page.
    #[serde(default)]
    pub(crate) seed: bool,
}

/// A request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Send {
    /// Its method.
    pub(crate) method: String,
    /// Its path, with the query.
    pub(crate) path: String,
    /// Whose key it shows.
    #[serde(default)]
    pub(crate) key: KeyName,
    /// Where it shows the key.
    #[serde(default, rename = "as")]
    pub(crate) shown: Shown,
    /// Its headers.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// Its body: JSON, sent as it is written here, or `{"$raw": "text"}`.
    #[serde(default)]
    pub(crate) body: Option<Box<RawValue>>,
}

/// Whose key is shown.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
#[serde(from = "String")]
pub(crate) enum KeyName {
    /// All scopes of the live environment.
    #[default]
    Live,
    /// All scopes of the test environment.
    Test,
    /// May only read the live environment.
    Read,
    /// May send one request in a second.
    Slow,
    /// Was revoked.
    Revoked,
    /// Another tenant's.
    Other,
    /// None at all.
    None,
    /// This text.
    Text(String),
}

impl From<String> for KeyName {
    fn from(text: String) -> Self {
        match &*text {
            "live" => Self::Live,
            "test" => Self::Test,
            "read" => Self::Read,
            "slow" => Self::Slow,
            "revoked" => Self::Revoked,
            "other" => Self::Other,
            "none" => Self::None,
            _ => {
                let text = text.strip_prefix("text:").map(str::to_owned);
                Self::Text(text.expect("a key is named by a known word or begins with text:"))
            }
        }
    }
}

/// Where a key is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Shown {
    /// `Authorization: Bearer`.
    #[default]
    Bearer,
    /// `x-api-key`.
    XApiKey,
}

/// Reads all scenarios of a dialect, each with the name of its file.
pub(crate) fn scenarios(dialect: &str) -> Vec<(String, Scenario)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialects").join(dialect);
    let listed =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> =
        listed.map(|entry| entry.expect("a folder can be read").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let mut all = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).expect("a recording can be read");
        let read: Vec<Scenario> = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        all.extend(read.into_iter().map(|scenario| (name.clone(), scenario)));
    }
    all
}
