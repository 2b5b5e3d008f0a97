//! The query of a request as foreign APIs read it: what they do not know they ignore.

use std::fmt::Write as _;

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

    /// Gives all values of a parameter, in their order.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(other, _)| other == name).map(|(_, value)| &**value)
    }

    /// Gives a parameter; when it is there more than once, the last.
    pub(crate) fn last(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(other, _)| other == name).map(|(_, value)| &**value)
    }

    /// Gives the same address with another value of one parameter, as a reference relative to it.
    pub(crate) fn link(&self, uri: &Uri, name: &str, value: &str) -> String {
        let others = self.0.iter().filter(|(other, _)| other != name);
        let mut link = format!("{}?{name}={}", uri.path(), percent_encoded(value));
        for (name, value) in others {
            write!(link, "&{}={}", percent_encoded(name), percent_encoded(value))
                .expect("writing to a string");
        }
        link
    }
}

/// Encodes all but RFC 3986's unreserved characters.
pub(crate) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("writing to a string");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_read_and_replaced() {
        let uri: Uri = "/list/?page=2&sort_by=a%26b&page=3".parse().unwrap();
        let query = Query::read(&uri).unwrap();
        assert_eq!((query.last("page"), query.last("size")), (Some("3"), None));
        assert_eq!(query.link(&uri, "page", "4"), "/list/?page=4&sort_by=a%26b");
    }
}
