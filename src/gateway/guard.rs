//! What stands before every handler: room, the caller's key, its rate; and what stands around it: a
//! bound on its time, and a net for panics. What it says is the dialect's own ([`Voice`]).

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::auth::{self, AuthError, Caller};
use super::limits::{Allowance, RateExceeded};
use super::observe::{ACCESS_LOG, KeyOfCaller, Panicked, catch_panic};
use super::{Core, Gateway};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// How an API says what each must say.
pub(crate) trait Voice: Send + Sync + 'static {
    /// Finds the caller's credential.
    fn credential(headers: &HeaderMap) -> Result<&str, AuthError>;

    /// Refuses a request of a known caller before it counts against the caller's rate. Most APIs look
    /// at nothing here.
    ///
    /// # Errors
    /// The answer, when the request goes no further.
    #[expect(clippy::result_large_err, reason = "an answer is large, and is what a guard gives")]
    fn screen(_caller: &Caller, _request: &Request) -> Result<(), Response> {
        Ok(())
    }

    /// Says why a request did not come to its handler, or not back from it.
    fn refuse(refusal: Refusal, headers: &HeaderMap) -> Response;
}

/// Why a request did not come to its handler, or not back from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Nobody is known to call.
    Unauthorized(AuthError),
    /// The key has sent too many requests.
    RateExceeded(RateExceeded),
    /// Too many requests are served already, or too many of one key. Nothing was done.
    Overloaded,
    /// The request took too long. If it was a change, it may have been made.
    TimedOut,
    /// The handler panicked.
    Panicked,
    /// There is nothing at the path.
    NoSuchPath,
    /// The path does not take the method.
    NoSuchMethod,
}

/// Lets a request through to its handler, with its [`Caller`] as an extension.
pub(crate) async fn guard<V: Voice>(
    State(core): State<Arc<Core>>,
    mut request: Request,
    next: Next,
) -> Response {
    let Ok(_room) = core.room.try_acquire() else {
        return V::refuse(Refusal::Overloaded, request.headers());
    };
    let caller = match caller::<V>(&core, request.headers()) {
        Ok(caller) => caller,
        Err(error) => return V::refuse(Refusal::Unauthorized(error), request.headers()),
    };
    if let Err(refused) = V::screen(&caller, &request) {
        return refused;
    }
    let (key, now) = (Arc::clone(caller.key()), Instant::now());
    let counted = core.keys.count(&key.id, key.rate_per_second, now);
    let mut response = match counted.map(|_| core.keys.begin(&key.id, now)) {
        Ok(Some(_open)) => {
            request.extensions_mut().insert(caller);
            bounded::<V>(&core, request, next).await
        }
        Ok(None) => V::refuse(Refusal::Overloaded, request.headers()),
        Err(exceeded) => V::refuse(Refusal::RateExceeded(exceeded), request.headers()),
    };
    tell_rate(response.headers_mut(), counted);
    if tracing::enabled!(target: ACCESS_LOG, tracing::Level::DEBUG) {
        response.extensions_mut().insert(KeyOfCaller(key.id.clone()));
    }
    response
}

fn caller<V: Voice>(core: &Core, headers: &HeaderMap) -> Result<Caller, AuthError> {
    let Gateway { keys, clock, .. } = &core.gateway;
    auth::identify(&**keys, V::credential(headers)?, &**clock)
}

async fn bounded<V: Voice>(core: &Core, request: Request, next: Next) -> Response {
    let headers = request.headers().clone();
    let handled = catch_panic(next.run(request));
    match tokio::time::timeout(core.gateway.timeouts.request, handled).await {
        Ok(Ok(response)) => response,
        Ok(Err(Panicked)) => V::refuse(Refusal::Panicked, &headers),
        Err(_) => V::refuse(Refusal::TimedOut, &headers),
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
