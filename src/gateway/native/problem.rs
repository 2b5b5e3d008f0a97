//! How the native API says no: problems by RFC 9457, with a stable code and a pointer to the fault.

use std::borrow::Cow;
use std::ops::Deref;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};
use tallybook_events::ids::{CommandId, Position};

use crate::gateway::answer::retry_after;

/// Media type of problems.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// A problem (RFC 9457): the body of every answer that is no success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem(Box<Told>);

/// What a problem tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    /// Status of the answer.
    pub(crate) status: StatusCode,
    /// Stable word for what is wrong. It is also the end of the problem's type.
    pub(crate) code: &'static str,
    /// What is wrong, in a sentence.
    pub(crate) detail: Cow<'static, str>,
    /// JSON pointer (RFC 6901) to the fault in the body of the request.
    pub(crate) pointer: Option<String>,
    /// The command, where there was one: the same id asks again for the same decision.
    pub(crate) command_id: Option<CommandId>,
    /// Where its decision is, where there is one.
    pub(crate) position: Option<Position>,
    /// When to come again.
    pub(crate) retry_after: Option<Duration>,
}

impl Deref for Problem {
    type Target = Told;
    fn deref(&self) -> &Told {
        &self.0
    }
}

impl Problem {
    /// Makes a problem that is nothing but its status, its code and a sentence.
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(Box::new(Told {
            status,
            code,
            detail: detail.into(),
            pointer: None,
            command_id: None,
            position: None,
            retry_after: None,
        }))
    }

    /// Adds the pointer to the fault.
    pub(crate) fn at(self, pointer: impl Into<String>) -> Self {
        self.at_place(Some(pointer.into()))
    }

    /// Adds the pointer to the fault, where there is one.
    pub(crate) fn at_place(mut self, pointer: Option<String>) -> Self {
        self.0.pointer = pointer;
        self
    }

    /// Puts the fault below another place.
    pub(crate) fn below(mut self, parent: &str) -> Self {
        self.0.pointer = self.0.pointer.map(|pointer| format!("{parent}{pointer}"));
        self
    }

    /// Adds the command and, where there is a decision, its place.
    pub(crate) fn about(mut self, command_id: CommandId, position: Option<Position>) -> Self {
        (self.0.command_id, self.0.position) = (Some(command_id), position);
        self
    }

    /// Says when to come again.
    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }
}

/// The members of a problem, in their order on the wire.
#[derive(Serialize, JsonSchema)]
struct Wire<'a> {
    /// `urn:tallybook:problem:` and the code.
    #[serde(rename = "type", serialize_with = "type_uri")]
    #[schemars(with = "String")]
    type_uri: &'static str,
    /// The code, in words.
    #[serde(serialize_with = "title")]
    #[schemars(with = "String")]
    title: &'static str,
    /// Status of the answer.
    status: u16,
    /// What is wrong, in a sentence.
    detail: &'a str,
    /// Stable word for what is wrong.
    code: &'static str,
    /// JSON pointer (RFC 6901) to the fault in the body of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<&'a str>,
    /// The command, where there was one: the same id asks again for the same decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    command_id: Option<CommandId>,
    /// Where its decision is, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<Position>,
}

impl JsonSchema for Problem {
    fn schema_name() -> Cow<'static, str> {
        "Problem".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Wire::json_schema(generator)
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Wire {
            type_uri: self.code,
            title: self.code,
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            pointer: self.pointer.as_deref(),
            command_id: self.command_id,
            position: self.position,
        }
        .serialize(serializer)
    }
}

fn type_uri<S: Serializer>(code: &&'static str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("urn:tallybook:problem:{code}"))
}

/// Prints the code as words: `key_taken` as `Key taken`.
fn title<S: Serializer>(code: &&'static str, serializer: S) -> Result<S::Ok, S::Error> {
    let (first, rest) = code.split_at(1);
    serializer.serialize_str(&(first.to_uppercase() + &rest.replace('_', " ")))
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).expect("writing JSON to memory");
        let mut response = (self.status, [(CONTENT_TYPE, PROBLEM_JSON)], body).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"tallybook\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        match self.retry_after {
            Some(wait) => retry_after(response, wait),
            None => response,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::RETRY_AFTER;

    use super::*;

    #[test]
    fn a_problem_has_the_members_of_rfc_9457_and_ours() {
        let problem = Problem::new(StatusCode::CONFLICT, "key_taken", "the key is taken");
        assert_eq!(
            serde_json::to_string(&problem.clone().at("/key")).unwrap(),
            r#"{"type":"urn:tallybook:problem:key_taken","title":"Key taken","status":409,"detail":"the key is taken","code":"key_taken","pointer":"/key"}"#
        );
        let waits = problem.retry_after(Duration::from_millis(1_001)).into_response();
        assert_eq!(waits.headers()[RETRY_AFTER], "2");
        assert_eq!(waits.headers()[CONTENT_TYPE], "application/problem+json");
    }
}
