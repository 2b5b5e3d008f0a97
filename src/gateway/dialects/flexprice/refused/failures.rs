//! What is said when a request does not come to its handler, or gets no answer there.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, StatusCode};
use tallybook_projections::queries::ReadError;

use super::{Code, Refused, SOON};
use crate::gateway::auth::{AuthError, MissingScope};
use crate::gateway::body::BodyError;
use crate::gateway::guard::Refusal;
use crate::gateway::idempotency::BadIdempotencyKey;
use crate::gateway::limits::RateExceeded;
use crate::inbox::InboxError;

impl Refused {
    /// Says why a request did not come to its handler, or not back from it.
    pub(in super::super) fn of(refusal: Refusal, headers: &HeaderMap) -> Self {
        match refusal {
            Refusal::Unauthorized(error) => Self::unauthorized(error, headers),
            Refusal::RateExceeded(RateExceeded { retry_after, .. }) => {
                let message = "Too many requests. Please try again later";
                Self::new(Code::TooManyRequests, message, "rate limit exceeded").wait(retry_after)
            }
            Refusal::Overloaded => Self::unavailable("too many requests wait; nothing was done"),
            Refusal::TimedOut => Self::unavailable(
                "the request took too long; if it was a change, it may have been made",
            ),
            Refusal::Panicked => {
                let internal = "the request failed here; it is told in the log";
                Self::new(Code::InternalError, "An unexpected error occurred", internal)
            }
            Refusal::NoSuchPath => {
                Self::new(Code::NotFound, "There is nothing at this path", "page not found")
            }
            Refusal::NoSuchMethod => {
                let message = "This path does not take this method";
                Self::new(Code::InvalidOperation, message, "method not allowed")
                    .at_status(StatusCode::METHOD_NOT_ALLOWED)
            }
        }
    }

    fn unauthorized(error: AuthError, headers: &HeaderMap) -> Self {
        if error == AuthError::Conflicting {
            let message = "Send one API key, in one header";
            return Self::new(Code::ValidationError, message, error.to_string());
        }
        let text = match headers.get(AUTHORIZATION).map(HeaderValue::as_bytes) {
            None | Some([]) => "Unauthorized",
            Some(value)
                if value.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer ")) =>
            {
                "Invalid token"
            }
            Some(_) => "Invalid authorization header format",
        };
        Self::access(StatusCode::UNAUTHORIZED, Some(text), None)
    }

    /// Nothing can be said now.
    pub(in super::super) fn unavailable(internal: &str) -> Self {
        let message = "The service is not available. Please try again later";
        Self::new(Code::ServiceUnavailable, message, internal).wait(SOON)
    }
}

impl From<MissingScope> for Refused {
    fn from(_: MissingScope) -> Self {
        Self::access(StatusCode::FORBIDDEN, None, Some("insufficient permissions"))
    }
}

impl From<BadIdempotencyKey> for Refused {
    fn from(error: BadIdempotencyKey) -> Self {
        Self::new(Code::ValidationError, "Invalid idempotency key", error.to_string())
    }
}

impl From<BodyError> for Refused {
    fn from(error: BodyError) -> Self {
        let refused = Self::new(Code::ValidationError, "Invalid request format", error.to_string());
        refused.at_status(match error {
            BodyError::WrongType | BodyError::Encoded => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            BodyError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::Slow => StatusCode::REQUEST_TIMEOUT,
            BodyError::Broken => StatusCode::BAD_REQUEST,
        })
    }
}

impl From<ReadError> for Refused {
    fn from(error: ReadError) -> Self {
        tracing::warn!(error = &error as &dyn std::error::Error, "no answer to a question");
        Self::unavailable(&error.to_string())
    }
}

impl From<InboxError> for Refused {
    fn from(error: InboxError) -> Self {
        match error {
            InboxError::Full | InboxError::Stopping => {
                Self::unavailable(&format!("{error}; nothing was done"))
            }
            InboxError::Unknown => Self::unavailable(
                "there was no answer in time; the change may have been made: \
                 send it again with the same Idempotency-Key",
            ),
            InboxError::InFlight => {
                let message = "A request with this idempotency key is under way";
                Self::new(Code::VersionConflict, message, error.to_string())
            }
        }
    }
}
