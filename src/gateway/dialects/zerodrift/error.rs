//! How ZeroDrift says no: its own sentences in `error`, and its gateway's in `message`.

use std::borrow::Cow;
use std::time::Duration;

use axum::response::Response;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tallybook_events::decision::{Rejection, RejectionCode};
use tallybook_events::outside::{Fault, FaultKind};
use tallybook_projections::queries::ReadError;

use crate::gateway::answer::{json, retry_after};
use crate::gateway::auth::{AuthError, MissingScope};
use crate::gateway::body::BodyError;
use crate::gateway::guard::Refusal;
use crate::gateway::idempotency::{BadIdempotencyKey, mark_replayed};
use crate::gateway::query::BadQuery;
use crate::gateway::reason::Reason;
use crate::gateway::submit::Unchanged;
use crate::inbox::InboxError;

/// How long to wait before coming again, when a moment is enough.
const SOON: Duration = Duration::from_secs(1);

/// An answer that is no success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ZeroDriftError {
    status: StatusCode,
    body: Told,
    retry_after: Option<Duration>,
    replayed: bool,
}

/// Who says it, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    /// The API.
    Error(Cow<'static, str>),
    /// The gateway before it.
    Message(&'static str),
}

/// A refusal of the API.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct ErrorBody<'a> {
    /// What is wrong.
    error: &'a str,
}

/// A refusal of the gateway before it.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct MessageBody {
    /// What is wrong.
    message: &'static str,
}

impl ZeroDriftError {
    fn error(status: StatusCode, error: impl Into<Cow<'static, str>>) -> Self {
        Self { status, body: Told::Error(error.into()), retry_after: None, replayed: false }
    }

    fn message(status: StatusCode, message: &'static str) -> Self {
        Self { status, body: Told::Message(message), retry_after: None, replayed: false }
    }

    /// The request breaks a rule.
    pub(super) fn bad_request(error: impl Into<Cow<'static, str>>) -> Self {
        Self::error(StatusCode::BAD_REQUEST, error)
    }

    /// There is no such customer. Always the same bytes.
    pub(super) fn not_found() -> Self {
        Self::error(StatusCode::NOT_FOUND, "Customer not found")
    }

    fn forbidden() -> Self {
        Self::message(StatusCode::FORBIDDEN, "Forbidden")
    }

    fn internal() -> Self {
        Self::error(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error")
    }

    fn unavailable() -> Self {
        let refused = Self::message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable");
        Self { retry_after: Some(SOON), ..refused }
    }

    fn rejected(rejection: &Rejection) -> Self {
        let says = || String::from(rejection.detail.clone());
        match Reason::of(rejection.code) {
            Reason::UnknownCustomer => Self::not_found(),
            Reason::Archived => Self::error(StatusCode::CONFLICT, "Customer is cancelled"),
            Reason::Conflict | Reason::Stale => Self::error(StatusCode::CONFLICT, says()),
            Reason::KeyReused => Self::error(StatusCode::UNPROCESSABLE_ENTITY, says()),
            Reason::Rule if rejection.code == RejectionCode::ContractDatesInverted => {
                Self::bad_request("contract_end must not be before contract_start")
            }
            Reason::Rule if rejection.code == RejectionCode::MetadataTooLarge => {
                Self::bad_request(format!("metadata {}", says()))
            }
            Reason::Rule => Self::bad_request(says()),
            Reason::Fault => Self::internal(),
        }
    }

    /// Gives the answer.
    pub(super) fn into_response(self) -> Response {
        let response = match self.body {
            Told::Error(error) => json(self.status, &ErrorBody { error: &error }),
            Told::Message(message) => json(self.status, &MessageBody { message }),
        };
        let response = match self.retry_after {
            Some(wait) => retry_after(response, wait),
            None => response,
        };
        mark_replayed(response, self.replayed)
    }
}

impl axum::response::IntoResponse for ZeroDriftError {
    fn into_response(self) -> Response {
        Self::into_response(self)
    }
}

impl From<Fault> for ZeroDriftError {
    fn from(fault: Fault) -> Self {
        let place = fault.pointer.trim_start_matches('/');
        match fault.kind {
            FaultKind::Empty | FaultKind::NotUtf8 | FaultKind::NotJson => {
                Self::bad_request("Request body must be valid JSON")
            }
            FaultKind::TooDeep
            | FaultKind::UnsafeText
            | FaultKind::Repeated
            | FaultKind::Unknown
            | FaultKind::Missing
            | FaultKind::Invalid => {
                if place.is_empty() {
                    Self::bad_request("Request body must be a JSON object")
                } else {
                    Self::bad_request(format!("{place}: {}", fault.detail))
                }
            }
        }
    }
}

impl From<Refusal> for ZeroDriftError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unauthorized(AuthError::Missing | AuthError::Refused) => Self::forbidden(),
            Refusal::Unauthorized(AuthError::Conflicting) => {
                Self::bad_request("Two different credentials were given")
            }
            Refusal::RateExceeded(exceeded) => {
                let refused = Self::message(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests");
                Self { retry_after: Some(exceeded.retry_after), ..refused }
            }
            Refusal::Overloaded | Refusal::TimedOut => Self::unavailable(),
            Refusal::Panicked => Self::internal(),
            Refusal::NoSuchPath => Self::message(StatusCode::NOT_FOUND, "Not Found"),
            Refusal::NoSuchMethod => {
                Self::message(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
            }
        }
    }
}

impl From<MissingScope> for ZeroDriftError {
    fn from(_: MissingScope) -> Self {
        Self::forbidden()
    }
}

impl From<BodyError> for ZeroDriftError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::WrongType | BodyError::Encoded => {
                Self::message(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported Media Type")
            }
            BodyError::TooLarge { .. } => {
                Self::message(StatusCode::PAYLOAD_TOO_LARGE, "Request Too Long")
            }
            BodyError::Slow => Self::message(StatusCode::REQUEST_TIMEOUT, "Request Timeout"),
            BodyError::Broken => Self::bad_request("Request body must be valid JSON"),
        }
    }
}

impl From<BadIdempotencyKey> for ZeroDriftError {
    fn from(error: BadIdempotencyKey) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl From<BadQuery> for ZeroDriftError {
    fn from(error: BadQuery) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl From<Unchanged> for ZeroDriftError {
    fn from(unchanged: Unchanged) -> Self {
        match unchanged {
            Unchanged::Rejected { rejection, repeated } => {
                Self { replayed: repeated, ..Self::rejected(&rejection) }
            }
            Unchanged::Undecided(InboxError::InFlight) => Self::error(
                StatusCode::CONFLICT,
                "Another request with this Idempotency-Key is not answered yet",
            ),
            Unchanged::Deferred | Unchanged::Undecided(_) | Unchanged::NotShown => {
                Self::unavailable()
            }
        }
    }
}

impl From<ReadError> for ZeroDriftError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::BadCursor => Self::bad_request("cursor is not one that was given out"),
            ReadError::Behind | ReadError::Unavailable(_) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "no answer to a question");
                Self::unavailable()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    /// Gives status, `Retry-After` and body.
    async fn said(error: ZeroDriftError) -> (u16, Option<String>, String) {
        let response = error.into_response();
        let wait = response.headers().get("retry-after");
        let wait = wait.map(|value| value.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, wait, String::from_utf8(body.to_vec()).unwrap())
    }

    fn rejected(code: RejectionCode) -> ZeroDriftError {
        let rejection = Rejection::new(code, "would have more than 512 members");
        Unchanged::Rejected { rejection, repeated: false }.into()
    }

    #[tokio::test]
    async fn what_fails_here_is_told_in_the_vendors_words() {
        let unavailable = r#"{"message":"Service Unavailable"}"#;
        let internal = r#"{"error":"Internal server error"}"#;
        for (error, status, wait, body) in [
            (Refusal::Panicked.into(), 500, None, internal),
            (rejected(RejectionCode::InternalFault), 500, None, internal),
            (Refusal::Overloaded.into(), 503, Some("1"), unavailable),
            (Refusal::TimedOut.into(), 503, Some("1"), unavailable),
            (Unchanged::NotShown.into(), 503, Some("1"), unavailable),
            (Unchanged::Undecided(InboxError::Full).into(), 503, Some("1"), unavailable),
            (ReadError::Behind.into(), 503, Some("1"), unavailable),
            (BodyError::Slow.into(), 408, None, r#"{"message":"Request Timeout"}"#),
            (
                BodyError::TooLarge { limit: 1 }.into(),
                413,
                None,
                r#"{"message":"Request Too Long"}"#,
            ),
            (
                Unchanged::Undecided(InboxError::InFlight).into(),
                409,
                None,
                r#"{"error":"Another request with this Idempotency-Key is not answered yet"}"#,
            ),
            (
                rejected(RejectionCode::MetadataTooLarge),
                400,
                None,
                r#"{"error":"metadata would have more than 512 members"}"#,
            ),
            (
                rejected(RejectionCode::CustomerArchived),
                409,
                None,
                r#"{"error":"Customer is cancelled"}"#,
            ),
        ] {
            assert_eq!(said(error).await, (status, wait.map(str::to_owned), body.to_owned()));
        }
    }
}
