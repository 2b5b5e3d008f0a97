//! What every handler begins with: may the caller do this, in this environment; and what all of them
//! look up.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use http::request::Parts;
use tallybook_events::command::{Command, CommandBody};
use tallybook_events::customer::CustomerDocument;
use tallybook_events::ids::CustomerRef;
use tallybook_projections::queries::AsOf;

use super::named::Name;
use super::refused::{Code, Era, Refused};
use super::{SOURCE, ids};
use crate::gateway::Core;
use crate::gateway::ask::context;
use crate::gateway::auth::{Caller, X_API_KEY};
use crate::gateway::body::{self, MAX_SINGLE};
use crate::gateway::query::Query;
use crate::keys::KeyScope;

/// The header that names an environment.
pub(super) const ENVIRONMENT: &str = "x-environment-id";

/// A request that came to a handler.
pub(super) struct Entry<'a> {
    pub(super) core: &'a Core,
    pub(super) caller: &'a Caller,
    pub(super) parts: Parts,
}

impl<'a> Entry<'a> {
    /// Takes a request apart.
    pub(super) fn of(core: &'a Core, caller: &'a Caller, request: Request) -> (Self, Body) {
        let (parts, body) = request.into_parts();
        (Self { core, caller, parts }, body)
    }

    /// Gives the answer, in the shape of errors that the caller reads.
    pub(super) fn answer(&self, result: Result<Response, Refused>) -> Response {
        let era = Era::of(&self.parts.headers).unwrap_or_default();
        result.unwrap_or_else(|refused| refused.answer(era))
    }

    /// Checks that the caller may do this, in the environment that it names, and asks for a shape of
    /// errors that there is.
    ///
    /// A key in `x-api-key` is pinned to its environment, so there the header is not looked at, as the
    /// vendor does not; beside a bearer token it must name the token's environment.
    pub(super) fn admit(&self, scope: KeyScope) -> Result<(), Refused> {
        let headers = &self.parts.headers;
        let environment = self.caller.scope().environment.as_str();
        let elsewhere = headers
            .get(ENVIRONMENT)
            .is_some_and(|named| named.as_bytes() != environment.as_bytes());
        if elsewhere && !headers.contains_key(X_API_KEY) {
            let message = "Invalid or inaccessible environment";
            return Err(Refused::access(
                StatusCode::FORBIDDEN,
                Some("Access denied"),
                Some(message),
            ));
        }
        self.caller.require(scope)?;
        Era::of(headers).map(drop)
    }

    /// Reads the body. Its type is not looked at, as the vendor does not.
    pub(super) async fn body(&self, body: Body) -> Result<Bytes, Refused> {
        let timeout = self.core.gateway.timeouts.body;
        Ok(body::read(&self.parts.headers, body, MAX_SINGLE, timeout).await?)
    }

    /// Reads the query.
    pub(super) fn query(&self, hint: &str) -> Result<Query, Refused> {
        Query::read(&self.parts.uri)
            .map_err(|error| Refused::new(Code::ValidationError, hint, error.to_string()))
    }

    /// Makes a command. `bytes` is the whole body of the request.
    pub(super) fn command(
        &self,
        customer: CustomerRef,
        bytes: &[u8],
        body: CommandBody,
    ) -> Result<Command, Refused> {
        let context = context(&self.parts, bytes)?;
        Ok(self.core.command(self.caller, SOURCE, customer, context, body))
    }

    /// Gives the customer that a name is the name of.
    pub(super) async fn found(&self, name: &Name) -> Result<CustomerDocument, Refused> {
        let customer = reference(name)?;
        let (core, scope) = (&self.core.gateway, self.caller.scope());
        let found = core.queries.customer(scope, &customer, AsOf::Now, core.clock.now()).await?;
        found.ok_or_else(|| Refused::no_customer(name))
    }
}

/// Gives how a command names a customer.
///
/// # Errors
/// Not found when the text can be nobody's name.
pub(super) fn reference(name: &Name) -> Result<CustomerRef, Refused> {
    let customer = match name {
        Name::Id(text) => ids::read(text).map(CustomerRef::Id),
        Name::External(text) => text.parse().ok().map(CustomerRef::Key),
    };
    customer.ok_or_else(|| Refused::no_customer(name))
}
