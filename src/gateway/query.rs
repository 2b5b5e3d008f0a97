//! The query of a request as foreign APIs read it: what they do not know they ignore.

use axum::extract::Query as Parsed;
use http::Uri;

/// A query that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the query cannot be read")]
pub(crate) struct BadQuery;

/// The parameters of a query, percent-decoded, in their order.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the query of an address.
    pub(crate) fn read(uri: &Uri) -> Result<Self, BadQuery> {
        let Parsed(pairs) = Parsed::try_from_uri(uri).map_err(|_| BadQuery)?;
        Ok(Self(pairs))
    }

    /// Gives a parameter; when it is there more than once, the last.
    pub(crate) fn last(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(other, _)| other == name).map(|(_, value)| &**value)
    }

    /// Gives all parameters.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}
