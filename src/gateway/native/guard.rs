//! What stands before every native handler: room, the caller's key, its rate; and what stands around
//! it: a bound on its time, and a net for panics.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::problem::Problem;
use crate::gateway::Core;
use crate::gateway::auth::{self, Caller};
use crate::gateway::limits::{Allowance, RateExceeded};
use crate::gateway::observe::catch_panic;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Lets a request through to its handler, with its [`Caller`] as an extension.
pub(crate) async fn guard(
    State(core): State<Arc<Core>>,
    mut request: Request,
    next: Next,
) -> Response {
    let Ok(_room) = core.room.try_acquire() else {
        return Problem::overloaded().into_response();
    };
    let caller = match caller(&core, request.headers()) {
        Ok(caller) => caller,
        Err(problem) => return problem.into_response(),
    };
    let key = caller.key();
    let counted = core.rates.count(&key.id, key.rate_per_second, Instant::now());
    let mut response = match counted {
        Ok(_) => {
            request.extensions_mut().insert(caller);
            bounded(&core, request, next).await
        }
        Err(exceeded) => Problem::from(exceeded).into_response(),
    };
    tell_rate(response.headers_mut(), counted);
    response
}

fn caller(core: &Core, headers: &HeaderMap) -> Result<Caller, Problem> {
    let credential = auth::either(headers)?;
    Ok(auth::identify(&*core.gateway.keys, credential)?)
}

async fn bounded(core: &Core, request: Request, next: Next) -> Response {
    let handled = catch_panic(next.run(request));
    match tokio::time::timeout(core.gateway.timeouts.request, handled).await {
        Ok(Ok(response)) => response,
        Ok(Err(panicked)) => Problem::from(panicked).into_response(),
        Err(_) => Problem::timed_out().into_response(),
    }
}

/// Tells the caller its rate (draft-ietf-httpapi-ratelimit-headers, version 11).
fn tell_rate(headers: &mut HeaderMap, counted: Result<Option<Allowance>, RateExceeded>) {
    let (per_second, remaining) = match counted {
        Ok(None) => return,
        Ok(Some(Allowance { per_second, remaining })) => (per_second, remaining),
        Err(RateExceeded { per_second, .. }) => (per_second, 0),
    };
    for (name, text) in [
        (RATE_LIMIT_POLICY, format!("\"key\";q={per_second};w=1")),
        (RATE_LIMIT, format!("\"key\";r={remaining};t=1")),
    ] {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(name, value);
        }
    }
}
