//! How Proxy says no: one shape, with the codes of the vendor's pages.

use std::borrow::Cow;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, StatusCode};
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
pub(super) struct ProxyError {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    retry_after: Option<Duration>,
    replayed: bool,
}

/// An answer that is no success.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Error", deny_unknown_fields)]
pub(super) struct ErrorBody<'a> {
    error: Told<'a>,
}

/// What is wrong.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline, deny_unknown_fields)]
struct Told<'a> {
    /// A stable word for it.
    code: &'static str,
    /// A sentence about it.
    message: &'a str,
}

impl ProxyError {
    /// Makes an error.
    fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, message: message.into(), retry_after: None, replayed: false }
    }

    /// A parameter of the query, or a header, is not what it must be.
    pub(super) fn parameter(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "parameter_invalid", message)
    }

    /// A member of the body that must be there is not.
    pub(super) fn missing(name: &str) -> Self {
        let message = format!("{name} is required");
        Self::new(StatusCode::BAD_REQUEST, "parameter_missing", message)
    }

    /// There is no such customer. Always the same bytes.
    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Customer not found")
    }

    fn internal() -> Self {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self::new(status, "internal_error", "Something went wrong on our end")
    }

    fn unavailable() -> Self {
        let message = "The service is temporarily unavailable; try again";
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "service_unavailable", message);
        Self { retry_after: Some(SOON), ..error }
    }

    fn conflict(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message)
    }

    fn rejected(rejection: &Rejection) -> Self {
        let detail = || String::from(rejection.detail.clone());
        match Reason::of(rejection.code) {
            Reason::UnknownCustomer => Self::not_found(),
            Reason::Archived => Self::conflict("Customer is deleted"),
            Reason::Conflict | Reason::Stale => Self::conflict(detail()),
            Reason::KeyReused => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "Idempotency-Key was used for another request",
            ),
            Reason::Rule => {
                let metadata = rejection.code == RejectionCode::MetadataTooLarge;
                let name = if metadata { "metadata: " } else { "" };
                let message = format!("{name}{}", detail());
                Self::new(StatusCode::BAD_REQUEST, "validation_failed", message)
            }
            Reason::Fault => Self::internal(),
        }
    }
}

impl IntoResponse for ProxyError {
    fn into_response(self) -> Response {
        let error = Told { code: self.code, message: &self.message };
        let mut response = json(self.status, &ErrorBody { error });
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"api\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        let response = match self.retry_after {
            Some(wait) => retry_after(response, wait),
            None => response,
        };
        mark_replayed(response, self.replayed)
    }
}

impl From<Fault> for ProxyError {
    fn from(fault: Fault) -> Self {
        let parts = fault.pointer.split('/').skip(1);
        let names: Vec<String> =
            parts.map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
        let name = names.join(".");
        let code = match fault.kind {
            FaultKind::Missing => return Self::missing(&name),
            FaultKind::Empty | FaultKind::NotUtf8 | FaultKind::NotJson => "body_parse_error",
            FaultKind::TooDeep
            | FaultKind::UnsafeText
            | FaultKind::Repeated
            | FaultKind::Unknown
            | FaultKind::Invalid => "validation_failed",
        };
        let message =
            if name.is_empty() { fault.detail } else { format!("{name}: {}", fault.detail) };
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }
}

impl From<Refusal> for ProxyError {
    fn from(refusal: Refusal) -> Self {
        let unauthorized = StatusCode::UNAUTHORIZED;
        match refusal {
            Refusal::Unauthorized(AuthError::Missing) => {
                Self::new(unauthorized, "missing_api_key", "No API key was provided")
            }
            Refusal::Unauthorized(AuthError::Refused) => {
                Self::new(unauthorized, "invalid_api_key", "Invalid API key")
            }
            Refusal::Unauthorized(AuthError::Conflicting) => {
                Self::parameter("Two different credentials were given")
            }
            Refusal::RateExceeded(exceeded) => {
                let status = StatusCode::TOO_MANY_REQUESTS;
                let message = "Too many requests; retry after the time in Retry-After";
                let error = Self::new(status, "rate_limit_exceeded", message);
                Self { retry_after: Some(exceeded.retry_after), ..error }
            }
            Refusal::Overloaded | Refusal::TimedOut => Self::unavailable(),
            Refusal::Panicked => Self::internal(),
            Refusal::NoSuchPath => {
                Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing at this path")
            }
            Refusal::NoSuchMethod => {
                let message = "This path does not take this method";
                Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
            }
        }
    }
}

impl From<MissingScope> for ProxyError {
    fn from(_: MissingScope) -> Self {
        let message = "The API key may not be used for this";
        Self::new(StatusCode::FORBIDDEN, "insufficient_permissions", message)
    }
}

impl From<BodyError> for ProxyError {
    fn from(error: BodyError) -> Self {
        let (status, code) = match error {
            BodyError::WrongType | BodyError::Encoded => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type")
            }
            BodyError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large"),
            BodyError::Slow => (StatusCode::REQUEST_TIMEOUT, "request_timeout"),
            BodyError::Broken => (StatusCode::BAD_REQUEST, "body_parse_error"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<BadIdempotencyKey> for ProxyError {
    fn from(error: BadIdempotencyKey) -> Self {
        Self::parameter(error.to_string())
    }
}

impl From<BadQuery> for ProxyError {
    fn from(error: BadQuery) -> Self {
        Self::parameter(error.to_string())
    }
}

impl From<Unchanged> for ProxyError {
    fn from(unchanged: Unchanged) -> Self {
        match unchanged {
            Unchanged::Rejected { rejection, repeated } => {
                Self { replayed: repeated, ..Self::rejected(&rejection) }
            }
            Unchanged::Undecided(InboxError::InFlight) => {
                Self::conflict("Another request with this Idempotency-Key is not answered yet")
            }
            Unchanged::Deferred | Unchanged::Undecided(_) | Unchanged::NotShown => {
                Self::unavailable()
            }
        }
    }
}

impl From<ReadError> for ProxyError {
    fn from(error: ReadError) -> Self {
        if let ReadError::BadCursor = error {
            return Self::parameter("cursor is not one that was given out");
        }
        tracing::warn!(error = &error as &dyn std::error::Error, "no answer to a question");
        Self::unavailable()
    }
}
