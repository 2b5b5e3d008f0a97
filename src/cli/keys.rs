//! `tallybook keys create | import | list | rotate | revoke`: API keys of a data folder or on Kafka, also
//! beside running servers, which honour the change within a second.

use std::io::{IsTerminal as _, Read as _};
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::value::to_raw_value;
use tallybook_events::ids::{Environment, Scope, Tenant};
use tallybook_events::time::Timestamp;

use super::duration::Span;
use super::exit::{Conflict, NotFound, Usage};
use super::folder::{DataFolder, DataOption};
use super::log::KafkaOption;
use super::output::{self, Column, Format, List, column};
use crate::clock::{Clock, SystemClock};
use crate::kafka::{Kafka, topics};
use crate::keys::kafka::KafkaKeys;
use crate::keys::sqlite::SqliteKeys;
use crate::keys::{
    ApiKey, Credential, DEFAULT_RATE, IssuedKey, KeyId, KeyScope, KeyScopes, KeyStore,
    KeyStoreError, KeyText, MAX_TEXT, NoKeyText, import, issue, reissue,
};

/// Columns of keys.
const KEY: &[Column] = &[
    column("id", "id"),
    column("tenant", "tenant"),
    column("environment", "environment"),
    column("scopes", "scopes"),
    column("rate", "rate"),
    column("origin", "origin"),
    column("created_at", "created_at"),
    column("rotated_at", "rotated_at"),
    column("former_until", "former_until"),
    column("revoked_at", "revoked_at"),
];

/// Arguments of `keys`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    order: Order,
}

#[derive(Debug, Subcommand)]
enum Order {
    /// Make a key and print it, this once
    Create {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        grant: Grant,
    },
    /// Take over a key that a vendor once issued, read from stdin; only a digest of it is kept
    Import {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        grant: Grant,
    },
    /// List the keys, revoked ones too, without their secrets
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Revoke a key
    Revoke {
        #[command(flatten)]
        place: Place,
        /// The key's id: its part between the second `_` and the third
        id: KeyId,
    },
    /// Give a key a new secret and print it, this once; what opened it before opens it for a while yet
    Rotate {
        #[command(flatten)]
        place: Place,
        /// The key's id
        id: KeyId,
        /// How long it is still opened by what opened it before: like 90s, 15m, 24h, 7d; 0 for no more
        #[arg(long, value_name = "SPAN", default_value = "24h")]
        overlap: Span,
    },
}

/// Where keys are kept: in a data folder, or, when it is named, on Kafka.
#[derive(Debug, Args)]
struct Place {
    #[command(flatten)]
    folder: DataOption,
    #[command(flatten)]
    kafka: KafkaOption,
}

impl Place {
    fn open_or_make(&self) -> anyhow::Result<Box<dyn KeyStore>> {
        if let Some(kafka) = self.kafka.kafka()? {
            return open_on(&kafka);
        }
        let folder = DataFolder::new(&self.folder.data);
        folder.make()?;
        Ok(Box::new(open(&folder)?))
    }

    fn open_existing(&self) -> anyhow::Result<Box<dyn KeyStore>> {
        if let Some(kafka) = self.kafka.kafka()? {
            return open_on(&kafka);
        }
        let folder = DataFolder::new(&self.folder.data);
        let path = folder.keys();
        if !path.is_file() {
            let none = format!("{} is not there: no key was made yet", path.display());
            return Err(NotFound(none).into());
        }
        Ok(Box::new(open(&folder)?))
    }
}

fn open_on(kafka: &Kafka) -> anyhow::Result<Box<dyn KeyStore>> {
    // Says why, where nobody answers.
    topics::brokers(kafka)?;
    Ok(Box::new(KafkaKeys::open(kafka).context("cannot open the keys on Kafka")?))
}

/// Opens the keys of a server. Blocks.
pub(super) fn of_server(
    folder: &DataFolder,
    kafka: Option<&Kafka>,
) -> anyhow::Result<Arc<dyn KeyStore>> {
    match kafka {
        Some(kafka) => Ok(Arc::new(KafkaKeys::open(kafka).context("cannot open the keys")?)),
        None => Ok(Arc::new(open(folder)?)),
    }
}

/// What a new key is for.
#[derive(Debug, Args)]
struct Grant {
    /// The tenant that it opens
    #[arg(long, default_value = "default")]
    tenant: Tenant,
    /// The environment that it opens: live or test
    #[arg(long, default_value = "live")]
    environment: Environment,
    /// What it may be used for: read, write, usage, audit, admin
    #[arg(long, value_name = "SCOPES", default_value = "read,write,usage")]
    scopes: KeyScopes,
    /// Requests per second; 0 for no limit
    #[arg(long, value_name = "N", default_value_t = DEFAULT_RATE)]
    rate: u32,
}

impl Grant {
    fn scope(&self) -> Scope {
        Scope { tenant: self.tenant.clone(), environment: self.environment }
    }
}

/// Does what is asked.
pub(super) fn run(arguments: &Arguments, format: Format) -> anyhow::Result<()> {
    match &arguments.order {
        Order::Create { place, grant } => {
            let store = place.open_or_make()?;
            let Grant { scopes, rate, .. } = *grant;
            let issued = create(&*store, grant.scope(), scopes, rate, &SystemClock)?;
            let created = Created { id: issued.key.id.as_str(), key: issued.reveal() };
            output::print_value(format, &created)
        }
        Order::Import { place, grant } => {
            // Before the folder is made: what is no key should leave nothing behind.
            let text = read_text()?;
            let key = take_over(&*place.open_or_make()?, &text, grant)?;
            output::print_value(format, &Shown::from(&key))
        }
        Order::List { place } => {
            let store = place.open_existing()?;
            let mut list = List::begin(format, KEY)?;
            for key in store.list() {
                list.push(&to_raw_value(&Shown::from(&*key))?)?;
            }
            Ok(list.end()?)
        }
        Order::Revoke { place, id } => {
            let store = place.open_existing()?;
            store.revoke(id, SystemClock.now())?;
            let key = store.find(id).context("the key is gone")?;
            output::print_value(format, &Shown::from(&*key))
        }
        Order::Rotate { place, id, overlap } => rotate(place, id, *overlap, format),
    }
}

/// Gives a key a new secret and prints it.
fn rotate(place: &Place, id: &KeyId, overlap: Span, format: Format) -> anyhow::Result<()> {
    let store = place.open_existing()?;
    let key = store.find(id).ok_or_else(|| KeyStoreError::Unknown(id.clone()))?;
    let issued = reissue(&key)?;
    let at = SystemClock.now();
    let overlap = i64::try_from(overlap.0.as_micros()).context("the overlap is too long")?;
    let former_until = at.plus_micros(overlap);
    store.rotate(id, &issued.key.credential, at, former_until)?;
    let rotated = Rotated { id: id.as_str(), key: issued.reveal(), former_until };
    output::print_value(format, &rotated)
}

/// Keeps a key of somebody else's.
fn take_over(store: &dyn KeyStore, text: &KeyText, grant: &Grant) -> anyhow::Result<ApiKey> {
    // The id in such a text finds the key of ours, and the text as a whole would never be looked for.
    let ours = text.as_issued().filter(|shown| store.find(&shown.id).is_some());
    if let Some(shown) = ours {
        return Err(Conflict(format!("the text has the id of the key {}", shown.id)).into());
    }
    let key = import(text, grant.scope(), grant.scopes, grant.rate, SystemClock.now())?;
    store.insert(&key)?;
    Ok(key)
}

/// Reads the text of a key from stdin: one line, its end is not part of it.
fn read_text() -> anyhow::Result<KeyText> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        eprintln!("the key, then Enter and Ctrl-D:");
    }
    let (mut text, line_end) = (Vec::new(), 2);
    let most = u64::try_from(MAX_TEXT + line_end + 1).unwrap_or(u64::MAX);
    stdin.lock().take(most).read_to_end(&mut text).context("cannot read stdin")?;
    let text = text.strip_suffix(b"\n").unwrap_or(&text);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    let read = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    read.ok_or_else(|| Usage(format!("the key on stdin {NoKeyText}")).into())
}

/// Opens a folder's keys, and makes their file when it is not there.
pub(super) fn open(folder: &DataFolder) -> anyhow::Result<SqliteKeys> {
    let path = folder.keys();
    SqliteKeys::open(&path).with_context(|| format!("cannot open {}", path.display()))
}

/// Makes a key for all uses of the tenant `default` when there is none at all: the first start of a
/// server must be of use.
pub(super) fn create_first(
    store: &dyn KeyStore,
    clock: &dyn Clock,
) -> anyhow::Result<Option<IssuedKey>> {
    if !store.list().is_empty() {
        return Ok(None);
    }
    let tenant = "default".parse().context("the first key's tenant")?;
    let scope = Scope { tenant, environment: Environment::Live };
    let scopes = KeyScope::ALL.into_iter().collect();
    create(store, scope, scopes, DEFAULT_RATE, clock).map(Some)
}

/// Makes a key and keeps it.
pub(super) fn create(
    store: &dyn KeyStore,
    scope: Scope,
    scopes: KeyScopes,
    rate: u32,
    clock: &dyn Clock,
) -> anyhow::Result<IssuedKey> {
    let issued = issue(scope, scopes, rate, clock.now())?;
    store.insert(&issued.key)?;
    Ok(issued)
}

/// A new key, as it is printed, this once.
#[derive(Serialize)]
struct Created<'a> {
    id: &'a str,
    key: String,
}

/// A new secret, as it is printed, this once.
#[derive(Serialize)]
struct Rotated<'a> {
    id: &'a str,
    key: String,
    former_until: Timestamp,
}

/// A key as it is printed, without its secret.
#[derive(Serialize)]
struct Shown<'a> {
    id: &'a str,
    tenant: &'a Tenant,
    environment: Environment,
    scopes: String,
    rate: u32,
    origin: Origin,
    created_at: Timestamp,
    rotated_at: Option<Timestamp>,
    /// Until when it is opened by what opened it before it was rotated.
    former_until: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
}

/// Who made the text that opens a key.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Origin {
    Issued,
    Imported,
}

impl<'a> From<&'a ApiKey> for Shown<'a> {
    fn from(key: &'a ApiKey) -> Self {
        Self {
            id: key.id.as_str(),
            tenant: &key.scope.tenant,
            environment: key.scope.environment,
            scopes: key.scopes.to_string(),
            rate: key.rate_per_second,
            origin: match key.credential {
                Credential::Issued(_) => Origin::Issued,
                Credential::Imported(_) => Origin::Imported,
            },
            created_at: key.created_at,
            rotated_at: key.rotated_at,
            former_until: key.former.map(|former| former.until),
            revoked_at: key.revoked_at,
        }
    }
}
