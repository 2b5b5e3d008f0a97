//! For measuring only: takes what `POST /commands` takes, reads it in the same way, and gives it back.
//! What is left of a command when nothing is decided, kept or shown. No server for callers has it.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use serde_json::value::RawValue;
use tallybook_events::command::Command;
use tallybook_events::outside;

use super::asked::Asked;
use super::commands::command;
use super::parameters::Parameters;
use super::problem::Problem;
use crate::gateway::Core;
use crate::gateway::answer::json;
use crate::gateway::auth::Caller;
use crate::gateway::body::{JSON, MAX_MANY};

/// Gives commands back.
pub(crate) async fn post(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    Parameters::none(request.uri())?;
    let (asked, body) = Asked::new(&core, &caller, request);
    let body = asked.body(body, &[JSON], MAX_MANY).await?;
    let text = outside::text(&body)?;
    let read = |text| command(&asked, text).map_err(|(_, problem)| problem);
    if text.trim_ascii_start().starts_with('[') {
        let texts: Vec<&RawValue> = outside::items(text)?;
        let commands = texts.into_iter().map(|text| read(text.get()));
        return Ok(json(StatusCode::OK, &commands.collect::<Result<Vec<Command>, _>>()?));
    }
    Ok(json(StatusCode::OK, &read(text)?))
}
