//! From a request to a command: what its headers and its key say goes into the envelope.

use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use http::request::Parts;
use tallybook_events::command::{Command, CommandBody, Context};
use tallybook_events::ids::{CustomerRef, Environment, Scope, Tenant};

use super::SOURCE;
use super::problem::Problem;
use crate::gateway::auth::Caller;
use crate::gateway::idempotency::fingerprint;
use crate::gateway::{Core, ask, body};
use tallybook_events::outside::Fault;

/// A request that asks for a change.
pub(crate) struct Asked<'a> {
    pub(crate) core: &'a Core,
    pub(crate) caller: &'a Caller,
    pub(crate) parts: Parts,
}

impl<'a> Asked<'a> {
    /// Takes a request apart.
    pub(crate) fn new(core: &'a Core, caller: &'a Caller, request: Request) -> (Self, Body) {
        let (parts, body) = request.into_parts();
        (Self { core, caller, parts }, body)
    }

    /// Reads the body: of one of these types, of at most `limit` bytes.
    pub(crate) async fn body(
        &self,
        body: Body,
        types: &[&str],
        limit: usize,
    ) -> Result<Bytes, Problem> {
        body::check_type(&self.parts.headers, types)?;
        let timeout = self.core.gateway.timeouts.body;
        Ok(body::read(&self.parts.headers, body, limit, timeout).await?)
    }

    /// Gives what the headers say. `text` is the part of the body that the command came in.
    pub(crate) fn context(&self, text: &str) -> Result<Context, Problem> {
        Ok(ask::context(&self.parts, text.as_bytes())?)
    }

    /// Gives the digest of the request, as far as it is about `text`.
    pub(crate) fn fingerprint(&self, text: &str) -> tallybook_events::ids::Token {
        fingerprint(&self.parts.method, &self.parts.uri, text.as_bytes())
    }

    /// Makes a command with an id of its own.
    pub(crate) fn command(
        &self,
        customer: CustomerRef,
        context: Context,
        body: CommandBody,
    ) -> Command {
        self.core.command(self.caller, SOURCE, customer, context, body)
    }
}

/// Gives the way that commands of the native API come in.
pub(crate) fn source() -> tallybook_events::ids::Origin {
    SOURCE.parse().expect("the word is short and plain")
}

/// Checks that a body names no other tenant and environment than the key opens.
pub(crate) fn check_scope(
    scope: &Scope,
    tenant: Option<&Tenant>,
    environment: Option<Environment>,
) -> Result<(), Fault> {
    if tenant.is_some_and(|tenant| *tenant != scope.tenant) {
        return Err(Fault::invalid("/tenant", "is not the tenant of the API key"));
    }
    if environment.is_some_and(|environment| environment != scope.environment) {
        return Err(Fault::invalid("/environment", "is not the environment of the API key"));
    }
    Ok(())
}
