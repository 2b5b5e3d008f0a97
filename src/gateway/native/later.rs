//! `Prefer: respond-async` (RFC 7240): the caller does not wait for the decision, nor until it is shown.
//! It is told that the command is kept, and where to ask what became of it.
//!
//! What 202 promises is the inbox's word: the command is not lost, whatever happens to this process, and
//! is decided once. Where the journal is all that is kept, it has been decided by then.

use axum::response::Response;
use http::header::LOCATION;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tallybook_events::command::Command;
use tallybook_events::ids::CommandId;

use super::answer::CommandAnswer;
use super::asked::Asked;
use super::problem::Problem;
use crate::gateway::answer::json;
use crate::gateway::submit::Undecided;
use crate::inbox::{Answer, Delivered, InboxError};

const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const RESPOND_ASYNC: &str = "respond-async";

/// What a caller gets, who may not want to wait.
pub(crate) enum Decided {
    /// The decision.
    Now(Answer),
    /// The word that the command is kept.
    Later(Response),
}

/// Has a command decided, or, where the caller would rather not wait for that, only kept.
pub(crate) async fn decide(asked: &Asked<'_>, command: Command) -> Result<Decided, Problem> {
    if !prefers_async(&asked.parts.headers) {
        return Ok(Decided::Now(asked.core.decide(command).await?));
    }
    let command_id = command.command_id;
    let delivered = asked.core.deliver(vec![command]).await.pop();
    let delivered = delivered.unwrap_or(Err(InboxError::Unknown));
    match delivered.map_err(|error| Undecided { command_id, error })? {
        Delivered::Answered(answer) => Ok(Decided::Now(*answer)),
        Delivered::Kept { command_id, .. } => {
            let body = CommandAnswer::kept(command_id);
            let mut response = applied(json(StatusCode::ACCEPTED, &body));
            let location = HeaderValue::try_from(location(command_id));
            let location = location.expect("a UUID in a path is a header's value");
            response.headers_mut().insert(LOCATION, location);
            Ok(Decided::Later(response))
        }
    }
}

/// Tells whether a caller would rather not wait.
pub(crate) fn prefers_async(headers: &HeaderMap) -> bool {
    let values = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(preferences).any(|name| name.eq_ignore_ascii_case(RESPOND_ASYNC))
}

/// Says that the caller's preference was heard.
pub(crate) fn applied(mut response: Response) -> Response {
    let value = HeaderValue::from_static(RESPOND_ASYNC);
    response.headers_mut().insert(PREFERENCE_APPLIED, value);
    response
}

/// Gives where to ask what became of a command.
pub(crate) fn location(command_id: CommandId) -> String {
    format!("/api/v1/commands/{command_id}")
}

/// Gives the names of preferences that stand alone, without a value. Commas in quotes part nothing.
fn preferences(value: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = value.split(move |character| {
        let was_escaped = std::mem::take(&mut escaped);
        match character {
            _ if was_escaped => false,
            '\\' if quoted => {
                escaped = true;
                false
            }
            '"' => {
                quoted = !quoted;
                false
            }
            ',' => !quoted,
            _ => false,
        }
    });
    parts.map(|part| part.split_once(';').map_or(part, |(name, _)| name).trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(values: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(PREFER, value.parse().unwrap());
        }
        prefers_async(&headers)
    }

    #[test]
    fn the_preference_is_found_among_others() {
        for values in [
            &["respond-async"][..],
            &["Respond-Async"],
            &["return=minimal, respond-async"],
            &["respond-async; wait=10"],
            &["respond-async, wait=10"],
            &["wait=10", "respond-async"],
            &["x=\"a, b\\\"\" , respond-async"],
        ] {
            assert!(asked(values), "{values:?}");
        }
        for values in [
            &[][..],
            &[""],
            &["respond-asynchronously"],
            &["wait=10"],
            &["x=\"a, respond-async, b\""],
            &["respond-async=no"],
            &["x; respond-async"],
        ] {
            assert!(!asked(values), "{values:?}");
        }
    }
}
