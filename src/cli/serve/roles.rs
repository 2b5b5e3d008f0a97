//! What a process of the server does: all of it, or one part of the work beside other processes.

use std::collections::BTreeSet;
use std::fmt;

use clap::ValueEnum;

use crate::cli::exit::Usage;

/// One part of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Role {
    /// Takes requests over HTTP
    Gateway,
    /// Decides commands
    Processor,
    /// Folds decisions into the read models
    Projector,
    /// Tells plain consumers of Kafka what happened
    Publisher,
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Gateway => "gateway",
            Self::Processor => "processor",
            Self::Projector => "projector",
            Self::Publisher => "publisher",
        })
    }
}

/// What one process does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Roles(BTreeSet<Role>);

/// What a process with its journal in files does, all of it.
const EMBEDDED: [Role; 3] = [Role::Gateway, Role::Processor, Role::Projector];

impl Roles {
    /// Gives all roles of a process that has its journal in files: nobody else can read it.
    pub(crate) fn embedded() -> Self {
        Self(EMBEDDED.into())
    }

    /// Gives the roles that were asked for, or all that make sense.
    ///
    /// # Errors
    /// [`Usage`] when they cannot do their work where the log is kept.
    pub(super) fn asked(asked: &[Role], on_kafka: OnKafka) -> Result<Self, Usage> {
        let asked: BTreeSet<Role> = asked.iter().copied().collect();
        match on_kafka {
            OnKafka::Yes if asked.is_empty() => {
                Ok(Self(EMBEDDED.into_iter().chain(super::publisher::USUAL).collect()))
            }
            OnKafka::Yes => Ok(Self(asked)),
            OnKafka::No if asked.contains(&Role::Publisher) => {
                Err(Usage("the role publisher needs --kafka: it publishes there".into()))
            }
            OnKafka::No if asked.is_empty() || asked == EMBEDDED.into() => Ok(Self::embedded()),
            OnKafka::No => {
                let missing = EMBEDDED.into_iter().filter(|role| !asked.contains(role));
                let missing: Vec<String> = missing.map(|role| role.to_string()).collect();
                Err(Usage(format!(
                    "without --kafka one process has all roles, for nobody else can read its \
                     journal: --roles lacks {}",
                    missing.join(", ")
                )))
            }
        }
    }

    /// Tells whether a role is among them.
    pub(super) fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(Role::to_string).collect();
        formatter.write_str(&names.join(","))
    }
}

/// Where the log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnKafka {
    /// On Kafka, for several processes.
    Yes,
    /// In files, for one.
    No,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_parted_on_kafka_only() {
        let asked = |roles: &[Role], on| Roles::asked(roles, on).map(|roles| roles.to_string());
        assert_eq!(asked(&[], OnKafka::No).unwrap(), "gateway,processor,projector");
        let all = [Role::Projector, Role::Gateway, Role::Processor, Role::Gateway];
        assert_eq!(asked(&all, OnKafka::No).unwrap(), "gateway,processor,projector");
        assert_eq!(asked(&[Role::Processor], OnKafka::Yes).unwrap(), "processor");
        let refused = asked(&[Role::Processor], OnKafka::No).unwrap_err().to_string();
        assert_eq!(
            refused,
            "without --kafka one process has all roles, for nobody else can read its journal: \
             --roles lacks gateway, projector"
        );
        let refused = asked(&[Role::Publisher], OnKafka::No).unwrap_err().to_string();
        assert_eq!(refused, "the role publisher needs --kafka: it publishes there");
    }
}
