//! What an address says, and the body of a request as far as all operations read it alike.

use axum::body::Body;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use bytes::Bytes;
use http::HeaderMap;
use http::Uri;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tallybook_events::ids::{CustomerKey, Environment, Scope};

use super::error::RespanError;
use crate::gateway::Core;
use crate::gateway::body::{self, JSON, MAX_SINGLE};
use crate::gateway::query::Query;

/// The last part of a path, percent-decoded.
pub(super) type Name = Result<Path<String>, PathRejection>;

/// Environments, as Respan calls them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RespanEnvironment {
    /// Real customers.
    Prod,
    /// For trying things out.
    Test,
}

impl From<Environment> for RespanEnvironment {
    fn from(environment: Environment) -> Self {
        match environment {
            Environment::Live => Self::Prod,
            Environment::Test => Self::Test,
        }
    }
}

impl RespanEnvironment {
    /// Gives the name used in JSON and in queries.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Prod => "prod",
            Self::Test => "test",
        }
    }
}

/// Whether the environment that is asked for is the one that the key opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// It is, or none is asked for.
    Ours,
    /// It is the other one, whose customers this key does not see.
    Other,
}

/// Reads the query's `environment`.
pub(super) fn environment(query: &Query, scope: &Scope) -> Result<Asked, RespanError> {
    let ours = RespanEnvironment::from(scope.environment).as_str();
    match query.last("environment") {
        None => Ok(Asked::Ours),
        Some(asked) if asked == ours => Ok(Asked::Ours),
        Some("prod" | "test") => Ok(Asked::Other),
        Some(other) => {
            Err(RespanError::field("environment", format!("\"{other}\" is not a valid choice.")))
        }
    }
}

/// Reads which customer of the key's environment an address means.
pub(super) fn customer(name: Name, uri: &Uri, scope: &Scope) -> Result<CustomerKey, RespanError> {
    let asked = environment(&Query::read(uri)?, scope)?;
    let name = match name {
        Ok(Path(text)) => Some(text),
        // There are lists at this path, and the customer of that name.
        Err(_) if uri.path().trim_end_matches('/').ends_with("/users/list") => Some("list".into()),
        Err(_) => None,
    };
    // What can be no key is no customer's.
    let key = name.and_then(|text| text.parse().ok());
    match (asked, key) {
        (Asked::Ours, Some(key)) => Ok(key),
        (Asked::Ours | Asked::Other, _) => Err(RespanError::not_found()),
    }
}

/// Reads a body of JSON. None at all says as much as an empty object.
pub(super) async fn body(
    core: &Core,
    headers: &HeaderMap,
    body: Body,
) -> Result<Bytes, RespanError> {
    let read = body::read(headers, body, MAX_SINGLE, core.gateway.timeouts.body).await?;
    if read.is_empty() {
        return Ok(Bytes::from_static(b"{}"));
    }
    body::check_type(headers, &[JSON])?;
    Ok(read)
}
