//! Settings: every option of the command line has an environment variable and a key in
//! `tallybook.toml`. Flag beats environment beats file. The only place that knows of either.
//!
//! `--listen` is `TALLYBOOK_LISTEN` and `listen = "…"`. A key at the top of the file holds for all
//! commands; one in a table named like a command (`[serve]`, `[customers.list]`) for that one.
//! `[tiers.NAME]` tables are the catalogue of tiers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command};
use serde::Deserialize;
use tallybook_events::customer::Terms;
use tallybook_events::money::Amount;
use tallybook_events::text::{TextError, TierName};
use toml::{Table, Value};

mod kafka;

/// The file that is read when none is named, if it is there.
pub const DEFAULT_FILE: &str = "tallybook.toml";
/// What the names of environment variables begin with.
const ENV_PREFIX: &str = "TALLYBOOK_";
/// The table that holds the catalogue of tiers.
const TIERS: &str = "tiers";

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{} is not TOML", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A key is not an option of the command that its table is named after.
    #[error("`{key}` in the settings file is no option of `{command}`")]
    UnknownKey {
        /// The key, with its tables.
        key: String,
        /// The command.
        command: String,
    },
    /// A value has the wrong type.
    #[error("`{key}` in the settings file must be {expected}")]
    WrongType {
        /// The key, with its tables.
        key: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A tier's name or amount breaks its rule.
    #[error("`{key}` in the settings file {rule}")]
    BadTier {
        /// The key, with its tables.
        key: String,
        /// The rule that it breaks.
        rule: TextError,
    },
}

/// The settings file, read; or nothing, when there is none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    options: Table,
    tiers: Option<BTreeMap<TierName, Terms>>,
}

impl Settings {
    /// Reads a file; without a name, [`DEFAULT_FILE`], which need not be there.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`], [`ConfigError::Syntax`]; for the catalogue of tiers also
    /// [`ConfigError::WrongType`] and [`ConfigError::BadTier`].
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let named = path.unwrap_or(Path::new(DEFAULT_FILE));
        match std::fs::read_to_string(named) {
            Ok(text) => Self::read(&text, named),
            Err(error) if path.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                Ok(Self::default())
            }
            Err(source) => Err(ConfigError::Unreadable { path: named.to_owned(), source }),
        }
    }

    fn read(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let mut options: Table = text.parse().map_err(|source| ConfigError::Syntax {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        kafka::flatten(&mut options)?;
        let tiers = options.remove(TIERS).map(read_tiers).transpose()?;
        Ok(Self { options, tiers })
    }

    /// Gives the catalogue of tiers, when the file has one.
    #[must_use]
    pub const fn tiers(&self) -> Option<&BTreeMap<TierName, Terms>> {
        self.tiers.as_ref()
    }

    /// Makes the file's values the defaults of a command and of all below it.
    ///
    /// # Errors
    /// [`ConfigError::UnknownKey`] and [`ConfigError::WrongType`].
    pub fn apply(&self, command: Command) -> Result<Command, ConfigError> {
        check_keys(&self.options, &command, "")?;
        apply_tables(&[&self.options], command)
    }
}

/// Gives every option of a command, and of all below it, its environment variable:
/// `--key-file` is `TALLYBOOK_KEY_FILE`. One that has a variable already keeps it.
#[must_use]
pub fn bind_environment(command: Command) -> Command {
    let command = command.mut_args(|arg| match arg.get_long() {
        Some(long) if arg.get_env().is_none() && takes_settings(&arg) => {
            let name = format!("{ENV_PREFIX}{}", long.replace('-', "_").to_uppercase());
            arg.env(name)
        }
        Some(_) | None => arg,
    });
    command.mut_subcommands(bind_environment)
}

/// Tells whether an argument is an option that can be set from outside.
fn takes_settings(arg: &Arg) -> bool {
    arg.get_long().is_some()
        && !matches!(
            arg.get_action(),
            ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
        )
}

/// Gives an option's key in the file: `--key-file` is `key_file`.
fn key_of(arg: &Arg) -> Option<String> {
    let long = arg.get_long().filter(|_| takes_settings(arg))?;
    Some(long.replace('-', "_"))
}

/// Tells whether a command, or one below it, has an option with that key.
fn has_option(command: &Command, key: &str) -> bool {
    command.get_arguments().any(|arg| key_of(arg).as_deref() == Some(key))
        || command.get_subcommands().any(|below| has_option(below, key))
}

/// Refuses keys that no option has, and tables that no command has.
fn check_keys(table: &Table, command: &Command, path: &str) -> Result<(), ConfigError> {
    for (key, value) in table {
        let full = format!("{path}{key}");
        let below = command.get_subcommands().find(|below| below.get_name() == key);
        match (below, value) {
            (Some(below), Value::Table(table)) => check_keys(table, below, &format!("{full}."))?,
            (Some(_), _) => {
                return Err(ConfigError::WrongType { key: full, expected: "a table" });
            }
            (None, _) if has_option(command, key) => drop(texts(&full, value)?),
            (None, _) => {
                let command = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
                return Err(ConfigError::UnknownKey { key: full, command });
            }
        }
    }
    Ok(())
}

/// Sets defaults from the tables that hold for a command, the nearest last.
fn apply_tables(tables: &[&Table], command: Command) -> Result<Command, ConfigError> {
    let mut defaults = BTreeMap::new();
    for arg in command.get_arguments() {
        let Some(key) = key_of(arg) else { continue };
        if let Some(value) = tables.iter().rev().find_map(|table| table.get(&key)) {
            defaults.insert(arg.get_id().clone(), texts(&key, value)?);
        }
    }
    let mut command = command.mut_args(|arg| match defaults.remove(arg.get_id()) {
        Some(values) => arg.default_values(values),
        None => arg,
    });
    let names: Vec<String> =
        command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    for name in names {
        let mut tables = tables.to_vec();
        if let Some(Value::Table(own)) = tables.last().and_then(|table| table.get(&name)) {
            tables.push(own);
        }
        let mut fault = None;
        command = command.mut_subcommand(&name, |below| {
            apply_tables(&tables, below.clone()).unwrap_or_else(|error| {
                fault = Some(error);
                below
            })
        });
        if let Some(fault) = fault {
            return Err(fault);
        }
    }
    Ok(command)
}

/// Gives a value of the file as the command line would have it.
fn texts(key: &str, value: &Value) -> Result<Vec<String>, ConfigError> {
    let one = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Boolean(flag) => Ok(flag.to_string()),
        Value::Float(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => {
            Err(ConfigError::WrongType {
                key: key.to_owned(),
                expected: "a string, an integer, a boolean or an array of these",
            })
        }
    };
    match value {
        Value::Array(items) => items.iter().map(one).collect(),
        Value::String(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Datetime(_)
        | Value::Table(_) => Ok(vec![one(value)?]),
    }
}

/// A tier as the file has it. Money is a string or an integer, never a float.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TierTable {
    annual_commitment: Option<Value>,
    annual_limit: Option<u64>,
    rate_per_second: Option<u64>,
    burst: Option<u64>,
}

fn read_tiers(value: Value) -> Result<BTreeMap<TierName, Terms>, ConfigError> {
    let Value::Table(table) = value else {
        return Err(ConfigError::WrongType { key: TIERS.into(), expected: "a table of tiers" });
    };
    table.into_iter().map(|(name, value)| read_tier(&name, value)).collect()
}

fn read_tier(name: &str, value: Value) -> Result<(TierName, Terms), ConfigError> {
    let key = format!("{TIERS}.{name}");
    let bad = |key: &str| {
        let key = key.to_owned();
        move |rule| ConfigError::BadTier { key, rule }
    };
    let tier: TierName = name.parse().map_err(bad(&key))?;
    let read: TierTable = value.try_into().map_err(|_| ConfigError::WrongType {
        key: key.clone(),
        expected: "a table of annual_commitment, annual_limit, rate_per_second and burst",
    })?;
    let commitment_key = format!("{key}.annual_commitment");
    let annual_commitment = match read.annual_commitment {
        None => None,
        Some(Value::String(text)) => Some(text.parse::<Amount>().map_err(bad(&commitment_key))?),
        Some(Value::Integer(number)) => {
            Some(number.to_string().parse().map_err(bad(&commitment_key))?)
        }
        Some(_) => {
            let expected = "an amount, as a string or an integer";
            return Err(ConfigError::WrongType { key: commitment_key, expected });
        }
    };
    let TierTable { annual_limit, rate_per_second, burst, .. } = read;
    Ok((tier, Terms { annual_commitment, annual_limit, rate_per_second, burst }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Command {
        let option = |name: &'static str| Arg::new(name).long(name);
        Command::new("tallybook")
            .arg(option("output").default_value("table"))
            .subcommand(Command::new("serve").arg(option("listen")).arg(option("data-dir")))
            .subcommand(Command::new("customers").subcommand(
                Command::new("list").arg(option("listen")).arg(option("limit").env("OWN_LIMIT")),
            ))
    }

    fn settings(text: &str) -> Settings {
        Settings::read(text, Path::new("test.toml")).unwrap()
    }

    fn given(settings: &Settings, arguments: &[&str], option: &str) -> Option<String> {
        let command = settings.apply(command()).unwrap();
        let matches = command.try_get_matches_from(arguments).unwrap();
        let mut at = &matches;
        while let Some((_, below)) = at.subcommand() {
            at = below;
        }
        at.get_one::<String>(option).cloned()
    }

    #[test]
    fn the_nearest_table_wins_and_a_flag_beats_the_file() {
        let settings = settings(
            "listen = 'a'\n[serve]\nlisten = 'b'\ndata_dir = 'd'\n[customers.list]\nlimit = 7",
        );
        let listen = |arguments: &[&str]| given(&settings, arguments, "listen");
        assert_eq!(listen(&["tallybook", "serve"]).as_deref(), Some("b"));
        assert_eq!(listen(&["tallybook", "customers", "list"]).as_deref(), Some("a"));
        assert_eq!(listen(&["tallybook", "serve", "--listen", "c"]).as_deref(), Some("c"));
        let limit = given(&settings, &["tallybook", "customers", "list"], "limit");
        assert_eq!(limit.as_deref(), Some("7"));
        let folder = given(&settings, &["tallybook", "serve"], "data-dir");
        assert_eq!(folder.as_deref(), Some("d"));
    }

    #[test]
    fn the_file_takes_the_place_of_built_in_defaults() {
        let none = Settings::default();
        assert_eq!(given(&none, &["tallybook"], "output").as_deref(), Some("table"));
        let json = settings("output = 'json'");
        assert_eq!(given(&json, &["tallybook"], "output").as_deref(), Some("json"));
    }

    #[test]
    fn unknown_keys_and_wrong_types_are_refused_by_name() {
        let refused = |text| settings(text).apply(command()).unwrap_err().to_string();
        assert_eq!(
            refused("lissten = 'a'"),
            "`lissten` in the settings file is no option of `tallybook`"
        );
        assert_eq!(
            refused("[serve]\nlimit = 1"),
            "`serve.limit` in the settings file is no option of `serve`"
        );
        assert_eq!(
            refused("listen = 1.5"),
            "`listen` in the settings file must be a string, an integer, a boolean or an array of \
             these"
        );
        assert_eq!(refused("serve = 1"), "`serve` in the settings file must be a table");
    }

    #[test]
    fn every_option_has_its_variable_unless_it_has_one() {
        let bound = bind_environment(command());
        let list = bound.find_subcommand("customers").unwrap().find_subcommand("list").unwrap();
        let variable = |command: &Command, id: &str| {
            let arg = command.get_arguments().find(|arg| arg.get_id() == id).unwrap();
            arg.get_env().map(|name| name.to_string_lossy().into_owned())
        };
        assert_eq!(variable(&bound, "output").as_deref(), Some("TALLYBOOK_OUTPUT"));
        assert_eq!(variable(list, "limit").as_deref(), Some("OWN_LIMIT"));
        let serve = bound.find_subcommand("serve").unwrap();
        assert_eq!(variable(serve, "data-dir").as_deref(), Some("TALLYBOOK_DATA_DIR"));
    }

    #[test]
    fn tiers_are_read_exactly() {
        let read = settings(
            "[tiers.gold]\nannual_commitment = '1200000.50'\nannual_limit = 5\n[tiers.free]\n",
        );
        let gold = Terms {
            annual_commitment: Some("1200000.5".parse().unwrap()),
            annual_limit: Some(5),
            ..Terms::default()
        };
        let expected = BTreeMap::from([
            ("free".parse().unwrap(), Terms::default()),
            ("gold".parse().unwrap(), gold),
        ]);
        assert_eq!(read.tiers(), Some(&expected));
    }

    #[test]
    fn bad_tiers_are_refused_by_name() {
        let refused = |text| Settings::read(text, Path::new("t")).unwrap_err().to_string();
        assert_eq!(
            refused("[tiers.gold]\nannual_commitment = 1.5"),
            "`tiers.gold.annual_commitment` in the settings file must be an amount, as a string \
             or an integer"
        );
        assert_eq!(
            refused("[tiers.gold]\nannual_commitment = -1"),
            "`tiers.gold.annual_commitment` in the settings file must not be negative"
        );
        assert!(refused("[tiers.gold]\nlimit = 1").contains("`tiers.gold`"));
    }

    #[test]
    fn a_file_that_is_named_must_be_there() {
        let error = Settings::load(Some(Path::new("/no/such/file.toml"))).unwrap_err();
        assert_eq!(error.to_string(), "cannot read /no/such/file.toml");
    }
}
