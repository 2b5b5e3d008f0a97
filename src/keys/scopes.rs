//! What a key may be used for.

use std::fmt;
use std::str::FromStr;

/// One kind of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyScope {
    /// Read customers, timelines, usage.
    Read,
    /// Make, change and archive customers.
    Write,
    /// Report usage.
    Usage,
    /// Read what auditors read.
    Audit,
    /// Everything.
    Admin,
}

impl KeyScope {
    /// Every one there is, in the order in which they are printed.
    pub const ALL: [Self; 5] = [Self::Read, Self::Write, Self::Usage, Self::Audit, Self::Admin];

    /// Gives the word used on the command line, in the store and in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Usage => "usage",
            Self::Audit => "audit",
            Self::Admin => "admin",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Read => 1,
            Self::Write => 2,
            Self::Usage => 4,
            Self::Audit => 8,
            Self::Admin => 16,
        }
    }
}

/// A word that names no scope of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of read, write, usage, audit, admin")]
pub struct NoKeyScope(String);

impl FromStr for KeyScope {
    type Err = NoKeyScope;
    fn from_str(text: &str) -> Result<Self, NoKeyScope> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| NoKeyScope(text.chars().take(64).collect()))
    }
}

impl fmt::Display for KeyScope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A set of uses; as text, their words with commas between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct KeyScopes(u8);

impl KeyScopes {
    /// Tells whether a use is granted: by its own name, or because all is.
    pub const fn allow(self, scope: KeyScope) -> bool {
        self.0 & (scope.bit() | KeyScope::Admin.bit()) != 0
    }

    /// Gives them one by one, as they were given.
    pub fn iter(self) -> impl Iterator<Item = KeyScope> {
        KeyScope::ALL.into_iter().filter(move |scope| self.0 & scope.bit() != 0)
    }
}

impl FromIterator<KeyScope> for KeyScopes {
    fn from_iter<I: IntoIterator<Item = KeyScope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

impl FromStr for KeyScopes {
    type Err = NoKeyScope;
    fn from_str(text: &str) -> Result<Self, NoKeyScope> {
        text.split(',').map(|word| word.trim().parse::<KeyScope>()).collect()
    }
}

impl fmt::Display for KeyScopes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, scope) in self.iter().enumerate() {
            if at > 0 {
                formatter.write_str(",")?;
            }
            formatter.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_allows_itself_alone_and_admin_allows_all() {
        for given in KeyScope::ALL {
            let scopes: KeyScopes = [given].into_iter().collect();
            for asked in KeyScope::ALL {
                let allowed = given == asked || given == KeyScope::Admin;
                assert_eq!(scopes.allow(asked), allowed, "{given} for {asked}");
            }
        }
    }

    #[test]
    fn grants_print_as_they_read() {
        let scopes: KeyScopes = "usage, read".parse().unwrap();
        assert_eq!(scopes.to_string(), "read,usage");
        assert_eq!("read,root".parse::<KeyScopes>(), Err(NoKeyScope("root".into())));
        assert_eq!("".parse::<KeyScopes>(), Err(NoKeyScope(String::new())));
    }
}
