//! What stands in the address of a request: the customer in its path, the parameters of its query.
//! A parameter that is not known is refused, for it would change nothing in silence.

use std::fmt::{Display, Write as _};
use std::str::FromStr;

use axum::extract::Path;
use axum::extract::Query;
use axum::extract::rejection::PathRejection;
use http::{HeaderValue, StatusCode, Uri};
use tallybook_projections::queries::{AsOf, Order, PageRequest};

use super::problem::Problem;
use crate::gateway::customer::CustomerName;
use crate::gateway::query::percent_encoded;

/// Items of a page, unless asked otherwise.
const DEFAULT_LIMIT: usize = 50;
/// Most items of a page.
const MAX_LIMIT: usize = 1_000;

/// The parameters that every list takes.
pub(crate) const PAGE: [&str; 3] = ["limit", "cursor", "order"];
/// The parameters that say of when an answer is.
pub(crate) const AS_OF: [&str; 2] = ["as_of", "version"];

/// A path's last part, percent-decoded.
pub(crate) type Name = Result<Path<String>, PathRejection>;

/// Reads which customer a path names.
pub(crate) fn customer_name(name: Name) -> Result<CustomerName, Problem> {
    let Path(text) = name.map_err(|_| {
        Problem::new(StatusCode::BAD_REQUEST, "not_utf8", "the path is not percent-encoded UTF-8")
    })?;
    // What can be no key is no customer's.
    CustomerName::parse(&text).ok_or_else(Problem::unknown_customer)
}

/// The parameters of a query, percent-decoded.
#[derive(Debug)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads a query that may have these parameters, each once.
    pub(crate) fn read(uri: &Uri, known: &[&[&str]]) -> Result<Self, Problem> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|_| Problem::parameter("query", "cannot be read"))?;
        for (at, (name, _)) in pairs.iter().enumerate() {
            if !known.iter().any(|known| known.contains(&&**name)) {
                return Err(Problem::parameter(&quoted(name), "is not known here"));
            }
            if pairs[..at].iter().any(|(before, _)| before == name) {
                return Err(Problem::parameter(name, "is there twice"));
            }
        }
        Ok(Self(pairs))
    }

    /// Checks that a query has no parameters.
    pub(crate) fn none(uri: &Uri) -> Result<(), Problem> {
        Self::read(uri, &[]).map(drop)
    }

    /// Gives a parameter's text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| &**value)
    }

    /// Gives a parameter as a type.
    pub(crate) fn get<T: FromStr>(&self, name: &str) -> Result<Option<T>, Problem>
    where
        T::Err: Display,
    {
        self.text(name)
            .map(|text| {
                text.parse().map_err(|error: T::Err| Problem::parameter(name, &error.to_string()))
            })
            .transpose()
    }

    /// Gives a parameter that is one of several words.
    pub(crate) fn word<T: Copy>(
        &self,
        name: &str,
        words: &[(&str, T)],
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(Some(*value));
        }
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        Err(Problem::parameter(name, &format!("must be one of {}", words.join(", "))))
    }

    /// Gives of when an answer is to be.
    pub(crate) fn as_of(&self) -> Result<AsOf, Problem> {
        match (self.get("version")?, self.get("as_of")?) {
            (None, None) => Ok(AsOf::Now),
            (Some(version), None) => Ok(AsOf::Version(version)),
            (None, Some(time)) => Ok(AsOf::Time(time)),
            (Some(_), Some(_)) => {
                Err(Problem::parameter("version", "cannot be there beside as_of"))
            }
        }
    }

    /// Gives which page of a list is asked for.
    pub(crate) fn page(&self) -> Result<PageRequest, Problem> {
        let limit = self.get("limit")?.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Problem::parameter("limit", "must be 1 to 1000"));
        }
        let order =
            self.word("order", &[("asc", Order::Ascending), ("desc", Order::Descending)])?;
        Ok(PageRequest {
            limit,
            cursor: self.text("cursor").map(str::to_owned),
            order: order.unwrap_or_default(),
        })
    }

    /// Gives the `Link` to the next page: the same question with another cursor.
    pub(crate) fn link(&self, uri: &Uri, next: &str) -> Option<HeaderValue> {
        let mut link = format!("<{}?", uri.path());
        for (name, value) in self.0.iter().filter(|(name, _)| name != "cursor") {
            write!(link, "{name}={}&", percent_encoded(value)).expect("writing to a string");
        }
        write!(link, "cursor={}>; rel=\"next\"", percent_encoded(next))
            .expect("writing to a string");
        HeaderValue::try_from(link).ok()
    }
}

/// Gives a caller's word in quotes, cut short.
fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(64).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(uri: &str) -> Result<Parameters, Problem> {
        Parameters::read(&uri.parse().unwrap(), &[&PAGE, &["tier"]])
    }

    #[test]
    fn a_query_is_decoded_and_each_parameter_may_be_there_once() {
        let parameters = read("/c?tier=a%20b%2Bc&limit=7").unwrap();
        assert_eq!(parameters.text("tier"), Some("a b+c"));
        assert_eq!(parameters.get::<usize>("limit").unwrap(), Some(7));
        assert_eq!(parameters.text("cursor"), None);
        let detail = |uri| read(uri).unwrap_err().detail.clone();
        assert_eq!(detail("/c?teir=a"), "\"teir\": is not known here");
        assert_eq!(detail("/c?tier=a&tier=a"), "tier: is there twice");
    }

    #[test]
    fn a_page_has_bounds() {
        let page = read("/c").unwrap().page().unwrap();
        assert_eq!(page, PageRequest { limit: 50, cursor: None, order: Order::Ascending });
        let page = read("/c?limit=1000&cursor=x&order=desc").unwrap().page().unwrap();
        let cursor = Some("x".to_owned());
        assert_eq!(page, PageRequest { limit: 1_000, cursor, order: Order::Descending });
        for uri in ["/c?limit=0", "/c?limit=1001", "/c?limit=-1", "/c?limit=x", "/c?order=up"] {
            let problem = read(uri).unwrap().page().unwrap_err();
            assert_eq!(
                (problem.status.as_u16(), problem.code),
                (400, "invalid_parameter"),
                "{uri}"
            );
        }
    }

    #[test]
    fn the_link_to_the_next_page_asks_the_same() {
        let uri: Uri = "/api/v1/customers?tier=a%26b&cursor=old&limit=2".parse().unwrap();
        let link = read("/c?tier=a%26b&cursor=old&limit=2").unwrap().link(&uri, "n=w").unwrap();
        assert_eq!(link, "</api/v1/customers?tier=a%26b&limit=2&cursor=n%3Dw>; rel=\"next\"");
    }
}
