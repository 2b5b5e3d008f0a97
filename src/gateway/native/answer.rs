//! The answer to a command, as the native API shows it, alone or in an array.

use axum::response::Response;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;
use tallybook_events::customer::CustomerDocument;
use tallybook_events::decision::{Outcome, Rejection};
use tallybook_events::event::Event;
use tallybook_events::ids::{CommandId, CustomerId, Position, ReportId};

use super::later::location;
use super::problem::Problem;
use super::refusals::rejection_status;
use crate::gateway::answer::json;
use crate::gateway::idempotency::mark_replayed;
use crate::inbox::Answer;

/// The answer to one command.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CommandAnswer<'a> {
    /// In an array: the status that the command would have had alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    pub(crate) command_id: Option<CommandId>,
    #[schemars(with = "Option<OutcomeWord>")]
    outcome: Option<&'static str>,
    customer_id: Option<CustomerId>,
    version: Option<u64>,
    position: Option<Position>,
    #[schemars(with = "Vec<Event>")]
    events: &'a RawValue,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    duplicates: &'a [ReportId],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    conflicts: &'a [ReportId],
    rejection: Option<Rejection>,
    /// For a dry run: the customer as it would stand.
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<&'a CustomerDocument>,
    /// In an array: why there is no decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
    /// Where nobody waits for the decision: where to ask for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    /// The same in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'static str>,
}

/// What is said where nobody waits for the decision.
const KEPT: &str =
    "the command is kept and will not be lost; what became of it is told at the location";

/// What a decision came to, in a word.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its shape is wanted")]
enum OutcomeWord {
    Accepted,
    Deferred,
    Rejected,
}

impl<'a> CommandAnswer<'a> {
    fn empty() -> Self {
        Self {
            status: None,
            command_id: None,
            outcome: None,
            customer_id: None,
            version: None,
            position: None,
            events: no_events(),
            duplicates: &[],
            conflicts: &[],
            rejection: None,
            customer: None,
            problem: None,
            location: None,
            detail: None,
        }
    }

    /// Says that a command is kept, and no more.
    pub(crate) fn kept(command_id: CommandId) -> Self {
        Self {
            command_id: Some(command_id),
            location: Some(location(command_id)),
            detail: Some(KEPT),
            ..Self::empty()
        }
    }

    /// Says the same in an array.
    pub(crate) fn kept_in_array(command_id: CommandId) -> Self {
        Self { status: Some(StatusCode::ACCEPTED.as_u16()), ..Self::kept(command_id) }
    }

    /// Shows a decision.
    pub(crate) fn of(answer: &'a Answer) -> Self {
        let shown = Self {
            command_id: Some(answer.command_id),
            position: answer.position,
            events: serde_json::from_slice(&answer.events).unwrap_or_else(|_| no_events()),
            customer: answer.preview.as_deref(),
            ..Self::empty()
        };
        match &answer.outcome {
            Outcome::Accepted(accepted) => Self {
                outcome: Some("accepted"),
                customer_id: Some(accepted.customer_id),
                version: Some(accepted.to_version),
                duplicates: &accepted.duplicates,
                conflicts: &accepted.conflicts,
                ..shown
            },
            Outcome::Rejected(rejection) => {
                Self { outcome: Some("rejected"), rejection: Some(rejection.clone()), ..shown }
            }
            Outcome::Deferred(deferred) => {
                Self { outcome: Some("deferred"), customer_id: Some(deferred.customer_id), ..shown }
            }
            Outcome::Forwarded { .. }
            | Outcome::DeadLettered { .. }
            | Outcome::Repeated { .. }
            | Outcome::Previewed(_) => shown,
        }
    }

    /// Shows, in an array, a command that got no decision.
    pub(crate) fn without_decision(command_id: Option<CommandId>, problem: Problem) -> Self {
        let status = Some(problem.status.as_u16());
        Self { status, command_id, problem: Some(problem), ..Self::empty() }
    }

    /// Shows a decision in an array; a pointer to a fault then begins at the array.
    pub(crate) fn in_array(answer: &'a Answer, index: usize) -> Self {
        let mut shown = Self { status: Some(status(answer).as_u16()), ..Self::of(answer) };
        if let Some(pointer) = shown.rejection.as_mut().and_then(|no| no.pointer.as_mut()) {
            *pointer = format!("/{index}{pointer}").into();
        }
        shown
    }
}

/// Gives the status of a decision.
pub(crate) fn status(answer: &Answer) -> StatusCode {
    match &answer.outcome {
        Outcome::Accepted(_) => StatusCode::OK,
        Outcome::Rejected(rejection) => rejection_status(rejection.code),
        Outcome::Deferred(_) => StatusCode::ACCEPTED,
        Outcome::Forwarded { .. }
        | Outcome::DeadLettered { .. }
        | Outcome::Repeated { .. }
        | Outcome::Previewed(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Answers with the decision itself.
pub(crate) fn decision(answer: &Answer) -> Response {
    json(status(answer), &CommandAnswer::of(answer))
}

/// Says, where it is so, that the answer was given before.
pub(crate) fn mark_repeated(response: Response, answer: &Answer) -> Response {
    mark_replayed(response, answer.repeated)
}

fn no_events() -> &'static RawValue {
    serde_json::from_str("[]").expect("an empty array is JSON")
}
