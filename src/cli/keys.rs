//! `tallybook keys create | list | revoke`: API keys of a data folder, also beside a running server,
//! which honours the change within a second.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::value::to_raw_value;
use tallybook_events::ids::{Environment, Scope, Tenant};
use tallybook_events::time::Timestamp;

use super::exit::NotFound;
use super::folder::{DataFolder, DataOption};
use super::output::{self, Column, Format, List, column};
use crate::clock::{Clock, SystemClock};
use crate::keys::sqlite::SqliteKeys;
use crate::keys::{ApiKey, DEFAULT_RATE, IssuedKey, KeyId, KeyScope, KeyScopes, KeyStore, issue};

/// Columns of keys.
const KEY: &[Column] = &[
    column("id", "id"),
    column("tenant", "tenant"),
    column("environment", "environment"),
    column("scopes", "scopes"),
    column("rate", "rate"),
    column("created_at", "created_at"),
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
        folder: DataOption,
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
    },
    /// List the keys, revoked ones too, without their secrets
    List {
        #[command(flatten)]
        folder: DataOption,
    },
    /// Revoke a key
    Revoke {
        #[command(flatten)]
        folder: DataOption,
        /// The key's id: its part between the second `_` and the third
        id: KeyId,
    },
}

/// Does what is asked.
pub(super) fn run(arguments: &Arguments, format: Format) -> anyhow::Result<()> {
    match &arguments.order {
        Order::Create { folder, tenant, environment, scopes, rate } => {
            let folder = DataFolder::new(&folder.data);
            folder.make()?;
            let store = open(&folder)?;
            let scope = Scope { tenant: tenant.clone(), environment: *environment };
            let issued = create(&store, scope, *scopes, *rate, &SystemClock)?;
            let created = Created { id: issued.key.id.as_str(), key: issued.reveal() };
            output::print_value(format, &created)
        }
        Order::List { folder } => {
            let store = open_existing(&DataFolder::new(&folder.data))?;
            let mut list = List::begin(format, KEY)?;
            for key in store.list() {
                list.push(&to_raw_value(&Shown::from(&*key))?)?;
            }
            Ok(list.end()?)
        }
        Order::Revoke { folder, id } => {
            let store = open_existing(&DataFolder::new(&folder.data))?;
            store.revoke(id, SystemClock.now())?;
            let key = store.find(id).context("the key is gone")?;
            output::print_value(format, &Shown::from(&*key))
        }
    }
}

/// Opens a folder's keys, and makes their file when it is not there.
pub(super) fn open(folder: &DataFolder) -> anyhow::Result<SqliteKeys> {
    let path = folder.keys();
    SqliteKeys::open(&path).with_context(|| format!("cannot open {}", path.display()))
}

fn open_existing(folder: &DataFolder) -> anyhow::Result<SqliteKeys> {
    let path = folder.keys();
    if !path.is_file() {
        return Err(
            NotFound(format!("{} is not there: no key was made yet", path.display())).into()
        );
    }
    open(folder)
}

/// Makes a key for all uses of the tenant `default` when there is none at all: the first start of a
/// server must be of use.
pub(super) fn create_first(
    store: &impl KeyStore,
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
    store: &impl KeyStore,
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

/// A key as it is printed, without its secret.
#[derive(Serialize)]
struct Shown<'a> {
    id: &'a str,
    tenant: &'a Tenant,
    environment: Environment,
    scopes: String,
    rate: u32,
    created_at: Timestamp,
    revoked_at: Option<Timestamp>,
}

impl<'a> From<&'a ApiKey> for Shown<'a> {
    fn from(key: &'a ApiKey) -> Self {
        Self {
            id: key.id.as_str(),
            tenant: &key.scope.tenant,
            environment: key.scope.environment,
            scopes: key.scopes.to_string(),
            rate: key.rate_per_second,
            created_at: key.created_at,
            revoked_at: key.revoked_at,
        }
    }
}
