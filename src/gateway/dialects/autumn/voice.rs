//! How Autumn's API says no before a call comes to its handler.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::refused::{Code, Env, Refused};
use super::version::{ApiVersion, X_API_VERSION};
use crate::gateway::answer::{retry_after, whole_seconds};
use crate::gateway::auth::{self, AuthError, Caller, bearer_only, looks_like_ours};
use crate::gateway::guard::{Refusal, Voice};
use crate::gateway::limits::RateExceeded;

/// How much of a key that opens nothing is said again.
const SHOWN_OF_KEY: usize = 15;
/// The one call whose answer is the same in all versions.
const DELETE: &str = "/customers.delete";

const RATE_LIMIT_LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const RATE_LIMIT_REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RATE_LIMIT_RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// Autumn's voice.
pub(super) struct Autumn;

impl Voice for Autumn {
    fn credential(headers: &HeaderMap) -> Result<&str, AuthError> {
        bearer_only(headers)
    }

    /// Looks at the version: an older one only deletes, for no other answer has its shape.
    fn screen(caller: &Caller, request: &Request) -> Result<(), Response> {
        let env = caller.scope().environment.into();
        let version = ApiVersion::of(request.headers());
        let version = version.map_err(|text| Refused::version(&text).answer(env))?;
        if version >= ApiVersion::DEFAULT || request.uri().path().ends_with(DELETE) {
            return Ok(());
        }
        let text = request.headers().get(X_API_VERSION).map(HeaderValue::as_bytes);
        let text = String::from_utf8_lossy(text.unwrap_or_default());
        Err(Refused::version(&text).answer(env))
    }

    fn refuse(refusal: Refusal, headers: &HeaderMap) -> Response {
        let refused = match refusal {
            Refusal::Unauthorized(error) => return unauthorized(error, headers),
            Refusal::RateExceeded(exceeded) => return too_many(exceeded),
            Refusal::Overloaded => Refused::unavailable("Service temporarily unavailable"),
            Refusal::TimedOut => {
                Refused::unavailable("The request was not answered in time; it may have been done")
            }
            Refusal::Panicked => Refused::failed(),
            Refusal::NoSuchPath => Refused::new(StatusCode::NOT_FOUND, Code::NotFound, "Not found"),
            // The router adds `Allow`.
            Refusal::NoSuchMethod => Refused::new(
                StatusCode::METHOD_NOT_ALLOWED,
                Code::MethodNotAllowed,
                "Method not allowed",
            ),
        };
        refused.answer(env(headers))
    }
}

/// Says that nobody is known to call. Then no environment is known either, and it is called sandbox.
fn unauthorized(error: AuthError, headers: &HeaderMap) -> Response {
    let refused = |code, message: String| Refused::new(StatusCode::UNAUTHORIZED, code, message);
    let shown = auth::bearer(headers).ok().flatten().unwrap_or_default();
    let refused = match error {
        AuthError::Missing => {
            let message = "Secret key not found in Authorization header";
            refused(Code::NoSecretKey, message.into())
        }
        AuthError::Refused if looks_like_ours(shown) => {
            let begin: String = shown.chars().take(SHOWN_OF_KEY).collect();
            refused(Code::InvalidSecretKey, format!("Invalid secret key: {begin}***"))
        }
        AuthError::Refused => {
            refused(Code::InvalidRequest, "Invalid authorization token prefix".into())
        }
        AuthError::Conflicting => Refused::request("Two different keys were given"),
    };
    refused.answer(Env::Sandbox)
}

/// Says in plain text that the key has no requests left.
fn too_many(exceeded: RateExceeded) -> Response {
    let RateExceeded { per_second, retry_after: wait } = exceeded;
    let text = "Too many requests, please try again later.";
    let mut response =
        (StatusCode::TOO_MANY_REQUESTS, [(CONTENT_TYPE, "text/plain; charset=UTF-8")], text)
            .into_response();
    let reset = whole_seconds(wait);
    for (name, value) in [
        (RATE_LIMIT_LIMIT, u64::from(per_second)),
        (RATE_LIMIT_REMAINING, 0),
        (RATE_LIMIT_RESET, reset),
    ] {
        response.headers_mut().insert(name, HeaderValue::from(value));
    }
    retry_after(response, wait)
}

/// Gives the environment that a key names. An imported one names it in the vendor's way.
fn env(headers: &HeaderMap) -> Env {
    let key = auth::bearer(headers).ok().flatten().unwrap_or_default();
    if key.starts_with("tb_live_") || key.starts_with("am_sk_live_") {
        Env::Live
    } else {
        Env::Sandbox
    }
}
