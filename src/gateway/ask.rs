//! From a request to a command: what its headers and its key say goes into the envelope. How a body
//! becomes a patch is each dialect's own.

use http::request::Parts;
use tallybook_events::command::{Command, CommandBody, Context};
use tallybook_events::ids::{CustomerRef, Token};

use super::auth::Caller;
use super::idempotency::{BadIdempotencyKey, fingerprint, idempotency_key};
use super::{Core, trace};

/// Gives what the headers of a request say about its command. `body` is the whole of its body.
///
/// # Errors
/// [`BadIdempotencyKey`] when the header is there and is no key.
pub(crate) fn context(parts: &Parts, body: &[u8]) -> Result<Context, BadIdempotencyKey> {
    let idempotency_key = idempotency_key(&parts.headers)?;
    let digest = |_: &Token| fingerprint(&parts.method, &parts.uri, body);
    Ok(Context {
        fingerprint: idempotency_key.as_ref().map(digest),
        idempotency_key,
        correlation_id: trace::correlation_id(&parts.headers),
        traceparent: trace::traceparent(&parts.headers),
        ..Context::default()
    })
}

impl Core {
    /// Makes a command with an id of its own. `source` is the name of the dialect.
    pub(crate) fn command(
        &self,
        caller: &Caller,
        source: &'static str,
        customer: CustomerRef,
        context: Context,
        body: CommandBody,
    ) -> Command {
        let clock = &self.gateway.clock;
        Command {
            command_id: clock.command_id(),
            scope: caller.scope().clone(),
            customer,
            issued_at: clock.now(),
            actor: caller.actor().clone(),
            source: source.parse().expect("a dialect's name is short and plain"),
            context,
            routed: None,
            body,
        }
    }
}
