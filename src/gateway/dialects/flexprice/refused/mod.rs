//! How FlexPrice says no: in the nested shape of early 2026, or in the flat one of later versions.
//!
//! The flat one is for callers that ask for it by the header `X-Flexprice-Error-Format: flat`, and for
//! the vendor's own client libraries from 2.1 on, which read no other: they name themselves in the
//! header `User-Agent`. `X-Flexprice-Error-Format: nested` asks for the nested one whoever calls.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::response::Response;
use http::header::USER_AGENT;
use http::{HeaderMap, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use crate::gateway::answer::{json, retry_after};
use crate::gateway::idempotency::mark_replayed;
use crate::gateway::submit::Unchanged;

mod failures;
mod rejections;

/// The header that asks for a shape of errors.
pub(super) const ERROR_FORMAT: &str = "x-flexprice-error-format";
/// How the `User-Agent` of the vendor's client libraries begins; their version follows.
const CLIENT: &str = "speakeasy-sdk/";
/// The first version of them that reads flat errors.
const FIRST_FLAT: (u64, u64) = (2, 1);

/// How long to wait before coming again, when a moment is enough.
const SOON: Duration = Duration::from_secs(1);

/// Which shape errors have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Era {
    /// That of early 2026.
    #[default]
    Nested,
    /// That of later versions.
    Flat,
}

impl Era {
    /// Reads which shape a caller wants.
    ///
    /// # Errors
    /// [`Refused`] when it asks for one that there is not.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Refused> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        match (headers.contains_key(ERROR_FORMAT), text(ERROR_FORMAT)) {
            (true, Some("nested")) => Ok(Self::Nested),
            (true, Some("flat")) => Ok(Self::Flat),
            (true, _) => {
                let internal = "X-Flexprice-Error-Format must be nested or flat";
                Err(Refused::new(Code::ValidationError, "Invalid request format", internal))
            }
            (false, _) => Ok(text(USER_AGENT.as_str()).map_or(Self::Nested, Self::of_client)),
        }
    }

    fn of_client(user_agent: &str) -> Self {
        let version = || {
            let client = user_agent.strip_prefix(CLIENT)?;
            let mut words = client.split(' ');
            let version = words.nth(1)?;
            words.next_back()?.contains("flexprice").then_some(())?;
            let mut numbers = version.split('.').map(str::parse::<u64>);
            Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
        };
        if version().is_some_and(|version| version >= FIRST_FLAT) {
            Self::Flat
        } else {
            Self::Nested
        }
    }
}

/// The stable word for an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Code {
    /// What was sent breaks a rule.
    ValidationError,
    /// How the customers stand forbids it.
    InvalidOperation,
    /// There is none.
    NotFound,
    /// There is one already.
    AlreadyExists,
    /// Something else came first.
    VersionConflict,
    /// Too many requests.
    TooManyRequests,
    /// We failed.
    InternalError,
    /// Not now.
    ServiceUnavailable,
}

impl Code {
    const fn status(self) -> StatusCode {
        match self {
            Self::ValidationError | Self::InvalidOperation => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::AlreadyExists | Self::VersionConflict => StatusCode::CONFLICT,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
            Self::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Why a request is refused, before it has a shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    status: StatusCode,
    said: Said,
    wait: Option<Duration>,
    repeated: bool,
}

/// What is said.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    /// An error of the API.
    Error { code: Code, message: String, internal: String, details: BTreeMap<String, String> },
    /// What stands before the API says it has a shape of its own.
    Access(AccessError),
}

/// An error in either shape.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum ErrorResponse {
    /// The nested one.
    Nested(NestedError),
    /// The flat one.
    Flat(FlatError),
}

/// An error as it was early in 2026.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct NestedError {
    /// Always false.
    #[schemars(extend("const" = false))]
    success: bool,
    /// What went wrong.
    error: ErrorDetail,
}

/// What went wrong.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ErrorDetail {
    /// What the caller can do, or what it did wrong.
    message: String,
    /// The error itself.
    internal_error: String,
    /// More, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    details: BTreeMap<String, String>,
}

/// An error as later versions have it.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FlatError {
    /// The stable word for it.
    code: Code,
    /// What the caller can do, or what it did wrong.
    message: String,
    /// The status of the answer.
    http_status_code: u16,
    /// More, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    details: BTreeMap<String, String>,
}

/// Why a caller was not let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct AccessError {
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    error: Option<&'static str>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    message: Option<&'static str>,
}

impl Refused {
    /// Makes an error of a code, with the message for the caller and the error itself.
    pub(super) fn new(code: Code, message: impl Into<String>, internal: impl Into<String>) -> Self {
        let (message, internal) = (message.into(), internal.into());
        let said = Said::Error { code, message, internal, details: BTreeMap::new() };
        Self { status: code.status(), said, wait: None, repeated: false }
    }

    /// Adds a detail.
    pub(super) fn detail(mut self, name: &str, value: impl Into<String>) -> Self {
        if let Said::Error { details, .. } = &mut self.said {
            details.insert(name.to_owned(), value.into());
        }
        self
    }

    /// Makes what is said to a caller that is not let in.
    pub(super) fn access(
        status: StatusCode,
        error: Option<&'static str>,
        message: Option<&'static str>,
    ) -> Self {
        let said = Said::Access(AccessError { error, message });
        Self { status, said, wait: None, repeated: false }
    }

    fn at_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    fn wait(self, wait: Duration) -> Self {
        Self { wait: Some(wait), ..self }
    }

    /// Says, where it is so, that the refusal was given before.
    pub(super) fn repeated_as(self, unchanged: &Unchanged) -> Self {
        let repeated = match unchanged {
            Unchanged::Rejected { repeated, .. } => *repeated,
            Unchanged::Deferred | Unchanged::Undecided(_) | Unchanged::NotShown => false,
        };
        Self { repeated, ..self }
    }

    /// Puts it in its shape.
    pub(super) fn answer(self, era: Era) -> Response {
        let Self { status, said, wait, repeated } = self;
        let response = match said {
            Said::Access(body) => json(status, &body),
            Said::Error { code, message, internal, details } => {
                let body = match era {
                    Era::Nested => ErrorResponse::Nested(NestedError {
                        success: false,
                        error: ErrorDetail { message, internal_error: internal, details },
                    }),
                    Era::Flat => ErrorResponse::Flat(FlatError {
                        code,
                        message,
                        http_status_code: status.as_u16(),
                        details,
                    }),
                };
                json(status, &body)
            }
        };
        let response = mark_replayed(response, repeated);
        match wait {
            Some(wait) => retry_after(response, wait),
            None => response,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_that_read_flat_errors_get_them() {
        let era = |pairs: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().unwrap());
            }
            Era::of(&headers).ok()
        };
        let client = |version: &str| {
            era(&[("user-agent", &format!("speakeasy-sdk/python {version} 2.948.4 1.0 flexprice"))])
        };
        assert_eq!(era(&[]), Some(Era::Nested));
        assert_eq!(client("2.1.43"), Some(Era::Flat));
        assert_eq!(client("2.1.0"), Some(Era::Flat));
        assert_eq!(client("3.0.0"), Some(Era::Flat));
        assert_eq!(client("2.0.21"), Some(Era::Nested));
        assert_eq!(client("x"), Some(Era::Nested));
        let other = "speakeasy-sdk/python 2.1.43 2.948.4 1.0 other";
        assert_eq!(era(&[("user-agent", other)]), Some(Era::Nested));
        assert_eq!(era(&[("user-agent", "curl/8.5.0")]), Some(Era::Nested));
        let client = "speakeasy-sdk/python 2.1.43 2.948.4 1.0 flexprice";
        let both = [("user-agent", client), (ERROR_FORMAT, "nested")];
        assert_eq!(era(&both), Some(Era::Nested));
        assert_eq!(era(&[(ERROR_FORMAT, "flat")]), Some(Era::Flat));
        assert_eq!(era(&[(ERROR_FORMAT, "round")]), None);
    }
}
