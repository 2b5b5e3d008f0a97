//! How a handler says no: status, code and message. All bodies are `{"message","code","env"}`.

use std::time::Duration;

use axum::response::Response;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tallybook_events::decision::Rejection;
use tallybook_events::ids::Environment;
use tallybook_projections::queries::ReadError;

use crate::gateway::answer::{json, retry_after};
use crate::gateway::auth::MissingScope;
use crate::gateway::body::BodyError;
use crate::gateway::reason::Reason;
use crate::gateway::submit::Undecided;
use crate::inbox::InboxError;
use crate::keys::KeyScope;

/// How long to wait before coming again, when a moment is enough.
pub(super) const SOON: Duration = Duration::from_secs(1);

/// What a call about customers is refused with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    /// Its status.
    pub(super) status: StatusCode,
    /// Its code.
    pub(super) code: Code,
    /// Its message.
    pub(super) message: String,
}

/// A refusal on the wire.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub(super) struct ErrorBody {
    /// What is wrong.
    message: String,
    /// What kind of error.
    code: Code,
    /// The environment of the key; sandbox where no key is known.
    env: Env,
}

/// Environments, in the vendor's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Env {
    /// For trying things out.
    Sandbox,
    /// Real customers, real money.
    Live,
}

impl From<Environment> for Env {
    fn from(environment: Environment) -> Self {
        match environment {
            Environment::Live => Self::Live,
            Environment::Test => Self::Sandbox,
        }
    }
}

/// Codes of errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Code {
    /// No key was shown.
    NoSecretKey,
    /// The key is not known.
    InvalidSecretKey,
    /// The version is not known, or too old for the call.
    InvalidApiVersion,
    /// The key may not do this.
    InsufficientScopes,
    /// Members of the body break their rules.
    InvalidInputs,
    /// The request as a whole breaks a rule.
    InvalidRequest,
    /// The cursor was never given out.
    InvalidCursor,
    /// There is no such customer.
    CustomerNotFound,
    /// There is such a customer already.
    CustomerAlreadyExists,
    /// The idempotency key was used before.
    DuplicateIdempotencyKey,
    /// There is nothing at the path.
    NotFound,
    /// The path does not take the method.
    MethodNotAllowed,
    /// We failed.
    InternalError,
}

impl Refused {
    pub(super) fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// The body breaks rules.
    pub(super) fn inputs(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::InvalidInputs, message)
    }

    /// The request breaks a rule.
    pub(super) fn request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::InvalidRequest, message)
    }

    /// The version is none, or too old.
    pub(super) fn version(text: &str) -> Self {
        let message = format!("\"{text}\" is not a valid API version");
        Self::new(StatusCode::BAD_REQUEST, Code::InvalidApiVersion, message)
    }

    /// There is no such customer. Always the same, whether there is none or it is another tenant's.
    pub(super) fn not_found(customer: &str) -> Self {
        let message = format!("Customer {customer} not found");
        Self::new(StatusCode::NOT_FOUND, Code::CustomerNotFound, message)
    }

    /// The idempotency key was used before, or is in use.
    pub(super) fn duplicate(key: &str) -> Self {
        let message =
            format!("Another request with idempotency key {key} has already been received");
        Self::new(StatusCode::CONFLICT, Code::DuplicateIdempotencyKey, message)
    }

    /// We cannot answer now.
    pub(super) fn unavailable(message: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::InternalError, message)
    }

    /// We failed.
    pub(super) fn failed() -> Self {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self::new(status, Code::InternalError, "Internal server error")
    }

    /// A decision refuses a change of a customer, whose new id is `new_id` if another is asked.
    pub(super) fn rejected(rejection: &Rejection, customer: &str, new_id: Option<&str>) -> Self {
        match Reason::of(rejection.code) {
            // What was deleted is not there any more.
            Reason::UnknownCustomer | Reason::Archived => Self::not_found(customer),
            Reason::Conflict if rejection.code.is_conflict() => {
                let id = new_id.unwrap_or(customer);
                let message = format!("Customer {id} already exists, can't change to this ID");
                Self::new(StatusCode::CONFLICT, Code::CustomerAlreadyExists, message)
            }
            Reason::Conflict => Self::unavailable("The customer's ID is being changed"),
            Reason::Fault => Self::failed(),
            Reason::Stale | Reason::KeyReused | Reason::Rule => {
                Self::inputs(format!("{}: {}", path(rejection), rejection.detail))
            }
        }
    }

    /// Answers with it. `env` is the environment of the key.
    pub(super) fn answer(self, env: Env) -> Response {
        let Self { status, code, message } = self;
        let response = json(status, &ErrorBody { message, code, env });
        if status == StatusCode::SERVICE_UNAVAILABLE {
            return retry_after(response, SOON);
        }
        response
    }
}

/// Gives the place of a rejection in the caller's body, with points between.
fn path(rejection: &Rejection) -> String {
    let pointer = rejection.pointer.as_deref().unwrap_or_default();
    let pointer = pointer.strip_prefix("/patch").unwrap_or(pointer);
    let pointer = pointer.strip_prefix("/profile").unwrap_or(pointer);
    let path = pointer.trim_start_matches('/').replace('/', ".");
    if path.is_empty() { "input".into() } else { path }
}

impl From<MissingScope> for Refused {
    fn from(MissingScope(scope): MissingScope) -> Self {
        let scope = match scope {
            KeyScope::Read => "customers:read",
            KeyScope::Write => "customers:write",
            KeyScope::Usage => "balances:write",
            KeyScope::Audit | KeyScope::Admin => "organisation:read",
        };
        let message = format!("Insufficient scopes. Missing: {scope}");
        Self::new(StatusCode::FORBIDDEN, Code::InsufficientScopes, message)
    }
}

impl From<ReadError> for Refused {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::BadCursor => {
                let message = "cursor is not one that was given out";
                Self::new(StatusCode::BAD_REQUEST, Code::InvalidCursor, message)
            }
            ReadError::Behind | ReadError::Unavailable(_) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a question has no answer"
                );
                Self::unavailable("Service temporarily unavailable")
            }
        }
    }
}

impl From<BodyError> for Refused {
    fn from(error: BodyError) -> Self {
        let status = match error {
            BodyError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::Slow => StatusCode::REQUEST_TIMEOUT,
            BodyError::WrongType | BodyError::Encoded | BodyError::Broken => {
                StatusCode::BAD_REQUEST
            }
        };
        Self::new(status, Code::InvalidRequest, error.to_string())
    }
}

impl From<Undecided> for Refused {
    fn from(undecided: Undecided) -> Self {
        undecided.error.into()
    }
}

impl From<InboxError> for Refused {
    fn from(error: InboxError) -> Self {
        Self::unavailable(match error {
            InboxError::Full | InboxError::Stopping | InboxError::InFlight => {
                "Service temporarily unavailable"
            }
            InboxError::Unknown => "The request was not answered in time; it may have been done",
        })
    }
}
