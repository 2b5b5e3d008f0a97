//! How Respan says no: the statuses and bodies of Django REST Framework, and the vendor's own texts.

use std::borrow::Cow;
use std::time::Duration;

use axum::response::Response;
use http::StatusCode;
use http::header::{HeaderValue, WWW_AUTHENTICATE};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use tallybook_events::decision::Rejection;
use tallybook_events::outside::{Fault, FaultKind};
use tallybook_projections::queries::ReadError;

use crate::gateway::answer::{json, retry_after, whole_seconds};
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
/// What the vendor says of a key that opens nothing.
const BAD_KEY: &str = "Your API key is invalid or expired, please check your API key at \
                       https://platform.keywordsai.co/platform/api/api-keys";

/// An answer that is no success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RespanError {
    status: StatusCode,
    body: Told,
    retry_after: Option<Duration>,
    replayed: bool,
}

/// What is told in the body.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    Detail(Cow<'static, str>),
    Fields(Vec<FieldFault>),
    Limited,
    Internal,
}

/// What is wrong with one member or parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FieldFault {
    /// Its name.
    pub(super) name: Cow<'static, str>,
    /// What is wrong, in a sentence.
    pub(super) says: Cow<'static, str>,
}

impl FieldFault {
    /// Makes a fault.
    pub(super) fn new(
        name: impl Into<Cow<'static, str>>,
        says: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { name: name.into(), says: says.into() }
    }
}

/// A refusal in a sentence.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Detail<'a> {
    /// What is wrong.
    detail: &'a str,
}

/// A refusal of what a request asks for: a sentence, or for each member or parameter what is wrong
/// with it.
pub(super) struct BadRequest;

impl JsonSchema for BadRequest {
    fn schema_name() -> Cow<'static, str> {
        "BadRequest".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                {
                    "type": "object",
                    "properties": {"detail": {"type": "string"}},
                    "required": ["detail"],
                    "additionalProperties": false
                },
                {
                    "type": "object",
                    "minProperties": 1,
                    "additionalProperties": {
                        "type": "array", "minItems": 1, "items": {"type": "string"}
                    }
                }
            ]
        })
    }
}

/// The key has sent too many requests.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Limited {
    /// That it has.
    detail: &'static str,
    /// Seconds to wait.
    retry_after: u64,
}

/// Something failed here.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Internal {
    /// That it did.
    detail: &'static str,
    /// A stable word for it.
    error_code: &'static str,
}

impl RespanError {
    /// Makes a refusal in a sentence.
    pub(super) fn detail(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, body: Told::Detail(detail.into()), retry_after: None, replayed: false }
    }

    /// Makes a refusal of members or parameters.
    pub(super) fn fields(faults: Vec<FieldFault>) -> Self {
        let (status, body) = (StatusCode::BAD_REQUEST, Told::Fields(faults));
        Self { status, body, retry_after: None, replayed: false }
    }

    /// Makes a refusal of one member or parameter.
    pub(super) fn field(
        name: impl Into<Cow<'static, str>>,
        says: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::fields(vec![FieldFault::new(name, says)])
    }

    /// The body is not JSON, or no object.
    pub(super) fn malformed() -> Self {
        Self::detail(StatusCode::BAD_REQUEST, "Invalid request format")
    }

    /// There is no such customer. Always the same bytes.
    pub(super) fn not_found() -> Self {
        Self::detail(StatusCode::NOT_FOUND, "Not found.")
    }

    fn internal() -> Self {
        let (status, body) = (StatusCode::INTERNAL_SERVER_ERROR, Told::Internal);
        Self { status, body, retry_after: None, replayed: false }
    }

    fn unavailable() -> Self {
        let detail = "Service temporarily unavailable, try again later.";
        Self { retry_after: Some(SOON), ..Self::detail(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }

    fn rejected(rejection: &Rejection) -> Self {
        let says = || String::from(rejection.detail.clone());
        match Reason::of(rejection.code) {
            Reason::UnknownCustomer => Self::not_found(),
            Reason::Archived | Reason::Conflict | Reason::Stale => {
                Self::detail(StatusCode::CONFLICT, says())
            }
            Reason::KeyReused => Self::detail(StatusCode::UNPROCESSABLE_ENTITY, says()),
            Reason::Rule => match rejection.pointer.as_deref().and_then(member) {
                Some(name) => Self::field(name, says()),
                None => Self::detail(StatusCode::BAD_REQUEST, says()),
            },
            Reason::Fault => Self::internal(),
        }
    }

    /// Gives the answer.
    pub(super) fn into_response(self) -> Response {
        let wait = self.retry_after;
        let mut response = match self.body {
            Told::Detail(detail) => json(self.status, &Detail { detail: &detail }),
            Told::Fields(faults) => json(self.status, &ByName(&faults)),
            Told::Limited => {
                let seconds = wait.map_or(1, whole_seconds);
                json(self.status, &Limited { detail: "Rate limit exceeded", retry_after: seconds })
            }
            Told::Internal => {
                let detail = "Internal server error";
                json(self.status, &Internal { detail, error_code: "INTERNAL_ERROR" })
            }
        };
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"api\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        let response = match wait {
            Some(wait) => retry_after(response, wait),
            None => response,
        };
        mark_replayed(response, self.replayed)
    }
}

impl axum::response::IntoResponse for RespanError {
    fn into_response(self) -> Response {
        Self::into_response(self)
    }
}

/// Faults as the object that DRF makes of them: by name, each with a list of sentences.
struct ByName<'a>(&'a [FieldFault]);

impl Serialize for ByName<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for fault in self.0 {
            map.serialize_entry(&fault.name, &[&fault.says])?;
        }
        map.end()
    }
}

/// Gives the member of the body that a rejection's pointer means.
fn member(pointer: &str) -> Option<&'static str> {
    Some(match pointer.rsplit('/').next()? {
        "name" => "name",
        "email" => "email",
        "metadata" | "replace_metadata" => "metadata",
        "period_budget" => "period_budget",
        "total_budget" => "total_budget",
        "period_start" => "period_start",
        "period_end" => "period_end",
        "markup_percentage" => "markup_percentage",
        _ => return None,
    })
}

impl From<Fault> for RespanError {
    fn from(fault: Fault) -> Self {
        let whole =
            matches!(fault.kind, FaultKind::Empty | FaultKind::NotUtf8 | FaultKind::NotJson);
        let name =
            fault.pointer.split('/').nth(1).map(|name| name.replace("~1", "/").replace("~0", "~"));
        match name {
            Some(name) if !whole => Self::field(name, fault.detail),
            _ => Self::malformed(),
        }
    }
}

impl From<Refusal> for RespanError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unauthorized(AuthError::Missing | AuthError::Refused) => {
                Self::detail(StatusCode::UNAUTHORIZED, BAD_KEY)
            }
            Refusal::Unauthorized(AuthError::Conflicting) => {
                Self::detail(StatusCode::BAD_REQUEST, "Two different credentials were given.")
            }
            Refusal::RateExceeded(exceeded) => Self {
                status: StatusCode::TOO_MANY_REQUESTS,
                body: Told::Limited,
                retry_after: Some(exceeded.retry_after),
                replayed: false,
            },
            Refusal::Overloaded | Refusal::TimedOut => Self::unavailable(),
            Refusal::Panicked => Self::internal(),
            Refusal::NoSuchPath => Self::not_found(),
            Refusal::NoSuchMethod => {
                Self::detail(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed.")
            }
        }
    }
}

impl From<MissingScope> for RespanError {
    fn from(_: MissingScope) -> Self {
        let detail = "You do not have permission to perform this action.";
        Self::detail(StatusCode::FORBIDDEN, detail)
    }
}

impl From<BodyError> for RespanError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::WrongType | BodyError::Encoded => {
                let detail = "Unsupported media type in request.";
                Self::detail(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
            }
            BodyError::TooLarge { .. } => {
                Self::detail(StatusCode::PAYLOAD_TOO_LARGE, "Request body is too large.")
            }
            BodyError::Slow => {
                Self::detail(StatusCode::REQUEST_TIMEOUT, "The request did not come in time.")
            }
            BodyError::Broken => Self::malformed(),
        }
    }
}

impl From<BadIdempotencyKey> for RespanError {
    fn from(error: BadIdempotencyKey) -> Self {
        Self::detail(StatusCode::BAD_REQUEST, error.to_string())
    }
}

impl From<BadQuery> for RespanError {
    fn from(_: BadQuery) -> Self {
        Self::malformed()
    }
}

impl From<Unchanged> for RespanError {
    fn from(unchanged: Unchanged) -> Self {
        match unchanged {
            Unchanged::Rejected { rejection, repeated } => {
                Self { replayed: repeated, ..Self::rejected(&rejection) }
            }
            Unchanged::Undecided(InboxError::InFlight) => Self::detail(
                StatusCode::CONFLICT,
                "Another request with this Idempotency-Key is not answered yet.",
            ),
            Unchanged::Deferred | Unchanged::Undecided(_) | Unchanged::NotShown => {
                Self::unavailable()
            }
        }
    }
}

impl From<ReadError> for RespanError {
    fn from(error: ReadError) -> Self {
        tracing::warn!(error = &error as &dyn std::error::Error, "no answer to a question");
        Self::unavailable()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use tallybook_events::decision::RejectionCode;

    use super::*;
    use crate::gateway::limits::RateExceeded;

    /// Gives status, `Retry-After`, `Idempotent-Replayed` and body.
    async fn said(error: RespanError) -> (u16, Option<String>, Option<String>, String) {
        let response = error.into_response();
        let header =
            |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (status, wait, replayed) =
            (response.status().as_u16(), header("retry-after"), header("idempotent-replayed"));
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, wait, replayed, String::from_utf8(body.to_vec()).unwrap())
    }

    fn rejected(code: RejectionCode, pointer: Option<&str>, repeated: bool) -> RespanError {
        let pointer = pointer.map(Into::into);
        let rejection = Rejection { code, detail: "says the decision".into(), pointer };
        Unchanged::Rejected { rejection, repeated }.into()
    }

    #[tokio::test]
    async fn what_fails_here_is_told_in_the_vendors_words() {
        let unavailable = r#"{"detail":"Service temporarily unavailable, try again later."}"#;
        let internal = r#"{"detail":"Internal server error","error_code":"INTERNAL_ERROR"}"#;
        for (error, status, wait, body) in [
            (Refusal::Panicked.into(), 500, None, internal),
            (rejected(RejectionCode::InternalFault, None, false), 500, None, internal),
            (Refusal::Overloaded.into(), 503, Some("1"), unavailable),
            (Refusal::TimedOut.into(), 503, Some("1"), unavailable),
            (Unchanged::NotShown.into(), 503, Some("1"), unavailable),
            (Unchanged::Deferred.into(), 503, Some("1"), unavailable),
            (Unchanged::Undecided(InboxError::Unknown).into(), 503, Some("1"), unavailable),
            (ReadError::Behind.into(), 503, Some("1"), unavailable),
            (
                BodyError::Slow.into(),
                408,
                None,
                r#"{"detail":"The request did not come in time."}"#,
            ),
            (
                BodyError::TooLarge { limit: 1 }.into(),
                413,
                None,
                r#"{"detail":"Request body is too large."}"#,
            ),
            (
                Unchanged::Undecided(InboxError::InFlight).into(),
                409,
                None,
                r#"{"detail":"Another request with this Idempotency-Key is not answered yet."}"#,
            ),
        ] {
            let expected = (status, wait.map(str::to_owned), None, body.to_owned());
            assert_eq!(said(error).await, expected);
        }
    }

    #[tokio::test]
    async fn a_wait_is_told_in_whole_seconds() {
        let retry_after = Duration::from_millis(1_001);
        let refusal = Refusal::RateExceeded(RateExceeded { per_second: 1, retry_after });
        let body = r#"{"detail":"Rate limit exceeded","retry_after":2}"#;
        assert_eq!(said(refusal.into()).await, (429, Some("2".into()), None, body.into()));
    }

    #[tokio::test]
    async fn a_rejection_is_told_of_the_member_that_it_points_at() {
        for (code, pointer, status, body) in [
            (
                RejectionCode::PeriodInverted,
                Some("/patch/budget/period_start"),
                400,
                r#"{"period_start":["says the decision"]}"#,
            ),
            (
                RejectionCode::MetadataTooLarge,
                Some("/patch/profile/replace_metadata"),
                400,
                r#"{"metadata":["says the decision"]}"#,
            ),
            (RejectionCode::AmountOutOfRange, None, 400, r#"{"detail":"says the decision"}"#),
            (RejectionCode::ChangeInProgress, None, 409, r#"{"detail":"says the decision"}"#),
            (RejectionCode::UnknownCustomer, Some("/customer"), 404, r#"{"detail":"Not found."}"#),
        ] {
            let expected = (status, None, Some("true".to_owned()), body.to_owned());
            assert_eq!(said(rejected(code, pointer, true)).await, expected);
        }
    }
}
