//! `POST /commands`: one command or an array of them, in the JSON that the commands topic has too; and
//! `GET /commands/{command_id}`: what became of one.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri};
use serde_json::value::RawValue;
use tallybook_events::command::{Command, CommandDraft, CommandType, Defaults, DraftFault};
use tallybook_events::decision::{Rejection, RejectionCode};
use tallybook_events::ids::CommandId;
use tallybook_projections::queries::CommandOutcome;

use super::answer::{self, CommandAnswer, mark_repeated};
use super::asked::{Asked, check_scope, source};
use super::later::{self, Decided};
use super::parameters::{Name, Parameters};
use super::problem::Problem;
use crate::gateway::Core;
use crate::gateway::answer::json as answer_json;
use crate::gateway::auth::{Caller, MissingScope};
use crate::gateway::body::{BodyError, JSON, MAX_MANY, MAX_SINGLE};
use crate::gateway::submit::{Undecided, Verdict, verdict};
use crate::inbox::{Answer, Delivered, InboxError};
use crate::keys::KeyScope;
use tallybook_events::outside::{self, Fault};

/// Most commands in one array.
pub(crate) const MAX_COMMANDS: usize = 1_000;

/// Takes one command, or an array of them.
pub(crate) async fn post(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    Parameters::none(request.uri())?;
    let (asked, body) = Asked::new(&core, &caller, request);
    let body = asked.body(body, &[JSON], MAX_MANY).await?;
    let text = outside::text(&body)?;
    if text.trim_ascii_start().starts_with('[') {
        return many(&asked, text).await;
    }
    if text.len() > MAX_SINGLE {
        return Err(BodyError::TooLarge { limit: MAX_SINGLE }.into());
    }
    one(&asked, text).await
}

async fn one(asked: &Asked<'_>, text: &str) -> Result<Response, Problem> {
    let command = command(asked, text).map_err(|(_, problem)| problem)?;
    let answer = match later::decide(asked, command).await? {
        Decided::Now(answer) => answer,
        Decided::Later(response) => return Ok(response),
    };
    asked.core.try_shown([&answer]).await;
    let response = match verdict(&answer)? {
        Verdict::Accepted(_) | Verdict::Deferred => answer::decision(&answer),
        Verdict::Rejected(rejection) => {
            Problem::rejected(&answer, rejection, command_pointer(rejection)).into_response()
        }
    };
    Ok(mark_repeated(response, &answer))
}

/// Gives a rejection's pointer into the command.
pub(crate) fn command_pointer(rejection: &Rejection) -> Option<String> {
    match (&rejection.pointer, rejection.code) {
        (Some(pointer), _) => Some(pointer.to_string()),
        (None, RejectionCode::UnknownCustomer) => Some("/customer".to_owned()),
        (None, _) => None,
    }
}

/// Takes an array. Each command has its own answer, faults of its text too; the order is kept.
async fn many(asked: &Asked<'_>, text: &str) -> Result<Response, Problem> {
    let texts: Vec<&RawValue> = outside::items(text)?;
    if texts.is_empty() || texts.len() > MAX_COMMANDS {
        let detail = format!("must have 1 to {MAX_COMMANDS} commands");
        return Err(Fault::invalid("", detail).into());
    }
    if asked.context(text)?.idempotency_key.is_some() {
        let detail = "belongs to a single command; in an array each has its own member";
        return Err(Problem::parameter("Idempotency-Key", detail));
    }
    let mut commands = Vec::with_capacity(texts.len());
    let mut asked_for = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        asked_for.push(match command(asked, text.get()) {
            Ok(command) => {
                let command_id = command.command_id;
                commands.push(command);
                Ok(command_id)
            }
            Err((command_id, problem)) => Err((command_id, problem.below(&format!("/{index}")))),
        });
    }
    let later = later::prefers_async(&asked.parts.headers);
    let answers = if later {
        asked.core.deliver(commands).await
    } else {
        let answers = asked.core.decide_all(commands).await;
        asked.core.try_shown(answers.iter().flatten()).await;
        let answered = |answer| Delivered::Answered(Box::new(answer));
        answers.into_iter().map(|answer| answer.map(answered)).collect()
    };
    let mut answers = answers.iter();
    let shown: Vec<CommandAnswer<'_>> = asked_for
        .into_iter()
        .enumerate()
        .map(|(index, asked_for)| match asked_for {
            Ok(command_id) => decided(answers.next(), command_id, index),
            Err((command_id, problem)) => CommandAnswer::without_decision(command_id, problem),
        })
        .collect();
    if later {
        return Ok(later::applied(answer_json(StatusCode::ACCEPTED, &shown)));
    }
    Ok(answer_json(StatusCode::OK, &shown))
}

fn decided(
    delivered: Option<&Result<Delivered, InboxError>>,
    command_id: CommandId,
    index: usize,
) -> CommandAnswer<'_> {
    let undecided = |error| Undecided { command_id, error };
    let shown = match delivered.unwrap_or(&Err(InboxError::Unknown)) {
        Ok(Delivered::Kept { command_id, .. }) => Ok(CommandAnswer::kept_in_array(*command_id)),
        Ok(Delivered::Answered(answer)) => {
            verdict(answer).map(|_| CommandAnswer::in_array(answer, index))
        }
        Err(error) => Err(undecided(*error)),
    };
    shown.unwrap_or_else(|undecided| {
        CommandAnswer::without_decision(Some(command_id), undecided.into())
    })
}

/// `GET /commands/{command_id}`: tells what became of a command, in the shape of the answer to it.
pub(crate) async fn show(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    name: Name,
    uri: Uri,
) -> Result<Response, Problem> {
    caller.require(KeyScope::Read)?;
    Parameters::none(&uri)?;
    // What is no id is no command's.
    let command_id = name.ok().and_then(|Path(text)| text.parse().ok());
    let command_id = command_id.ok_or_else(Problem::unknown_command)?;
    let found = core.outcome(caller.scope(), command_id).await?;
    let CommandOutcome { command_id, position, decided_at, outcome, events } =
        found.ok_or_else(Problem::unknown_command)?;
    let answer = Answer {
        command_id,
        position: Some(position),
        decided_at,
        outcome,
        events: Box::<str>::from(events).into_boxed_bytes().into(),
        repeated: false,
        preview: None,
    };
    Ok(answer_json(StatusCode::OK, &CommandAnswer::of(&answer)))
}

/// Reads one command. With the problem comes the command's id, when there is one to read.
pub(super) fn command(
    asked: &Asked<'_>,
    text: &str,
) -> Result<Command, (Option<CommandId>, Problem)> {
    let draft: CommandDraft = outside::read(text).map_err(|fault| (None, fault.into()))?;
    let command_id = draft.command_id;
    complete(asked, draft, text).map_err(|problem| (command_id, problem))
}

fn complete(asked: &Asked<'_>, mut draft: CommandDraft, text: &str) -> Result<Command, Problem> {
    let caller = asked.caller;
    check_scope(caller.scope(), draft.tenant.as_ref(), draft.environment)?;
    let needed = match draft.command_type {
        CommandType::CreateCustomer
        | CommandType::UpdateCustomer
        | CommandType::ArchiveCustomer
        | CommandType::AttachPlan
        | CommandType::UpdatePlan
        | CommandType::CancelPlan
        | CommandType::RecordPurchase
        | CommandType::GrantBalance
        | CommandType::RevokeGrant
        | CommandType::SetFlag
        | CommandType::ClearFlag => KeyScope::Write,
        CommandType::RecordUsage => KeyScope::Usage,
        CommandType::ClaimKey
        | CommandType::ClaimPledge
        | CommandType::ClaimEdge
        | CommandType::SettleClaim
        | CommandType::ReleaseKey
        | CommandType::ReleasePledge
        | CommandType::ReleaseEdge
        | CommandType::SettleRelease => {
            return Err(Fault::invalid("/type", "is sent by Tallybook only").into());
        }
    };
    caller.require(needed)?;
    check_ours(caller, &draft)?;
    let headers = asked.context(text)?;
    let differs = |key| draft.idempotency_key.as_ref().is_some_and(|member| member != key);
    if headers.idempotency_key.as_ref().is_some_and(differs) {
        return Err(Fault::invalid("/idempotency_key", "is not that of the header").into());
    }
    draft.idempotency_key = draft.idempotency_key.or(headers.idempotency_key);
    draft.fingerprint = draft.idempotency_key.as_ref().map(|_| asked.fingerprint(text));
    draft.correlation_id = draft.correlation_id.or(headers.correlation_id);
    draft.traceparent = draft.traceparent.or(headers.traceparent);
    let clock = &asked.core.gateway.clock;
    let defaults = Defaults {
        command_id: draft.command_id.is_none().then(|| clock.command_id()),
        scope: Some(caller.scope().clone()),
        issued_at: Some(clock.now()),
        actor: Some(caller.actor().clone()),
        source: Some(source()),
    };
    draft
        .complete(defaults)
        .map_err(|DraftFault { pointer, detail }| Fault::invalid(pointer, detail).into())
}

/// Checks the members that are not the caller's to set: some are set here, some by the key. Who may
/// do everything may say who asked and how it came in, for it passes on what others asked.
fn check_ours(caller: &Caller, draft: &CommandDraft) -> Result<(), Problem> {
    for (pointer, there) in
        [("/routed", draft.routed.is_some()), ("/fingerprint", draft.fingerprint.is_some())]
    {
        if there {
            return Err(Fault::invalid(pointer, "is set by Tallybook only").into());
        }
    }
    let other_actor = draft.actor.as_ref().is_some_and(|actor| actor != caller.actor());
    let other_source = draft.source.as_ref().is_some_and(|given| *given != source());
    for (pointer, other) in [("/actor", other_actor), ("/source", other_source)] {
        if other {
            let allowed = caller.require(KeyScope::Admin);
            allowed.map_err(|missing: MissingScope| Problem::from(missing).at(pointer))?;
        }
    }
    Ok(())
}
