//! What each failure and each rejection is as a problem: the one table of statuses and codes.

use std::time::Duration;

use http::StatusCode;
use tallybook_events::decision::{Rejection, RejectionCode};
use tallybook_projections::queries::ReadError;

use super::problem::Problem;
use crate::gateway::auth::{AuthError, MissingScope};
use crate::gateway::body::BodyError;
use crate::gateway::idempotency::BadIdempotencyKey;
use crate::gateway::limits::RateExceeded;
use crate::gateway::observe::Panicked;
use crate::gateway::reason::Reason;
use crate::gateway::submit::Undecided;
use crate::inbox::{Answer, InboxError};
use tallybook_events::outside::{Fault, FaultKind};

/// How long to wait before coming again, when a moment is enough.
const SOON: Duration = Duration::from_secs(1);

impl Problem {
    /// No customer of the scope answers to the name. Always the same bytes: whether there is none,
    /// it is another tenant's, or its key is free again.
    pub(crate) fn unknown_customer() -> Self {
        let code = RejectionCode::UnknownCustomer.as_str();
        Self::new(StatusCode::NOT_FOUND, code, "there is no such customer")
    }

    /// No command of that id was decided in the scope. Always the same bytes.
    pub(crate) fn unknown_command() -> Self {
        let detail = "no command with that id was decided here";
        Self::new(StatusCode::NOT_FOUND, "unknown_command", detail)
    }

    /// A rejection. `pointer` is its pointer, moved to where the fault is in the caller's body.
    pub(crate) fn rejected(
        answer: &Answer,
        rejection: &Rejection,
        pointer: Option<String>,
    ) -> Self {
        if rejection.code == RejectionCode::UnknownCustomer {
            return Self::unknown_customer().at_place(pointer);
        }
        let status = rejection_status(rejection.code);
        let detail = String::from(rejection.detail.clone());
        Self::new(status, rejection.code.as_str(), detail)
            .at_place(pointer)
            .about(answer.command_id, answer.position)
    }

    /// The command was decided, but cannot be shown yet.
    pub(crate) fn not_shown(answer: &Answer, error: &ReadError) -> Self {
        let detail = "the command was accepted, but the read model does not show it yet; \
                      do not send it again, ask for the customer a little later";
        tracing::warn!(
            error = error as &dyn std::error::Error,
            command_id = %answer.command_id,
            "a decision is not shown in time"
        );
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "read_model_behind", detail)
            .about(answer.command_id, answer.position)
            .retry_after(SOON)
    }

    /// A fault of a query parameter or a header.
    pub(crate) fn parameter(name: &str, detail: &str) -> Self {
        let detail = format!("{name}: {detail}");
        Self::new(StatusCode::BAD_REQUEST, "invalid_parameter", detail)
    }

    /// The request took too long as a whole.
    pub(crate) fn timed_out() -> Self {
        let detail = "the request took too long; if it was a change, it may have been made";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", detail).retry_after(SOON)
    }

    /// Too many requests are served already.
    pub(crate) fn overloaded() -> Self {
        let detail = "too many requests wait; nothing was done";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail).retry_after(SOON)
    }
}

/// Gives the status that the native API has for a rejection.
pub(crate) const fn rejection_status(code: RejectionCode) -> StatusCode {
    match Reason::of(code) {
        Reason::UnknownCustomer => StatusCode::NOT_FOUND,
        Reason::Archived | Reason::Conflict => StatusCode::CONFLICT,
        Reason::Stale => StatusCode::PRECONDITION_FAILED,
        Reason::KeyReused | Reason::Rule => StatusCode::UNPROCESSABLE_ENTITY,
        Reason::Fault => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        let code = match fault.kind {
            FaultKind::Empty => "empty_body",
            FaultKind::NotUtf8 => "not_utf8",
            FaultKind::NotJson => "not_json",
            FaultKind::TooDeep => "too_deep",
            FaultKind::UnsafeText => "unsafe_text",
            FaultKind::Repeated => "duplicate_member",
            FaultKind::Unknown => "unknown_member",
            FaultKind::Missing => "missing_member",
            FaultKind::Invalid => "invalid_value",
        };
        Self::new(StatusCode::BAD_REQUEST, code, fault.detail).at(fault.pointer)
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        let (status, code) = match error {
            AuthError::Missing => (StatusCode::UNAUTHORIZED, "missing_key"),
            AuthError::Refused => (StatusCode::UNAUTHORIZED, "invalid_key"),
            AuthError::Conflicting => (StatusCode::BAD_REQUEST, "conflicting_credentials"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<MissingScope> for Problem {
    fn from(error: MissingScope) -> Self {
        Self::new(StatusCode::FORBIDDEN, "missing_scope", error.to_string())
    }
}

impl From<RateExceeded> for Problem {
    fn from(error: RateExceeded) -> Self {
        let detail = format!("the key may send {} requests per second", error.per_second);
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail)
            .retry_after(error.retry_after)
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        let (status, code) = match error {
            BodyError::WrongType | BodyError::Encoded => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type")
            }
            BodyError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            BodyError::Slow => (StatusCode::REQUEST_TIMEOUT, "body_timeout"),
            BodyError::Broken => (StatusCode::BAD_REQUEST, "body_incomplete"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<BadIdempotencyKey> for Problem {
    fn from(error: BadIdempotencyKey) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_parameter", error.to_string())
    }
}

impl From<Undecided> for Problem {
    fn from(undecided: Undecided) -> Self {
        Self::undecided(undecided.error).about(undecided.command_id, None)
    }
}

impl Problem {
    fn undecided(error: InboxError) -> Self {
        let unavailable = |code, detail: &'static str| {
            Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after(SOON)
        };
        match error {
            InboxError::Full => Self::overloaded(),
            InboxError::Stopping => {
                unavailable("stopping", "this process is stopping; nothing was done")
            }
            InboxError::Unknown => unavailable(
                "outcome_unknown",
                "there was no answer in time; the command may have been decided: \
                 send it again with the same command_id or Idempotency-Key",
            ),
            InboxError::InFlight => Self::new(
                StatusCode::CONFLICT,
                "request_in_flight",
                "another request with this idempotency key is not answered yet",
            ),
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        let unavailable = |code| {
            Self::new(StatusCode::SERVICE_UNAVAILABLE, code, error.to_string()).retry_after(SOON)
        };
        match &error {
            ReadError::Behind => unavailable("read_model_behind"),
            ReadError::BadCursor => Self::parameter("cursor", "is not one that was given out"),
            ReadError::Unavailable(_) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "no answer to a question"
                );
                unavailable("read_model_unavailable")
            }
        }
    }
}

impl From<Panicked> for Problem {
    fn from(Panicked: Panicked) -> Self {
        let detail = "the request failed here; it is told in the log";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_fault", detail)
    }
}
