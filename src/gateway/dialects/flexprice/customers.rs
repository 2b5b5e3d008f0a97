//! `GET` and `DELETE /v1/customers/{id}`, `GET /v1/customers/external/{external_id}`: shows and archives
//! a customer.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use tallybook_events::command::CommandBody;

use super::entry::{Entry, reference};
use super::named::{AskedFor, Made, Name};
use super::refused::{Code, Refused};
use super::shown::Parents;
use super::update::{InPath, in_path};
use crate::gateway::Core;
use crate::gateway::answer::json;
use crate::gateway::auth::Caller;
use crate::gateway::idempotency::mark_replayed;
use crate::gateway::submit::Unchanged;
use crate::keys::KeyScope;

/// Shows a customer by its id, archived ones too, with its parent.
pub(super) async fn show(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    path: InPath,
    request: Request,
) -> Response {
    let (entry, _) = Entry::of(&core, &caller, request);
    entry.answer(shown(&entry, in_path(path).map(Name::Id), Parents::Shown).await)
}

/// Shows a customer by its external id.
pub(super) async fn show_by_external_id(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    path: InPath,
    request: Request,
) -> Response {
    let (entry, _) = Entry::of(&core, &caller, request);
    entry.answer(shown(&entry, in_path(path).map(Name::External), Parents::Named).await)
}

async fn shown(
    entry: &Entry<'_>,
    name: Result<Name, Refused>,
    parents: Parents,
) -> Result<Response, Refused> {
    entry.admit(KeyScope::Read)?;
    let document = entry.found(&name?).await?;
    let shown = entry.core.shown_in_flexprice(document, parents).await?;
    Ok(json(StatusCode::OK, &shown))
}

/// Archives a customer: its external id is free, and it takes no changes any more.
pub(super) async fn archive(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    path: InPath,
    request: Request,
) -> Response {
    let (entry, _) = Entry::of(&core, &caller, request);
    entry.answer(archived(&entry, in_path(path)).await)
}

async fn archived(entry: &Entry<'_>, id: Result<String, Refused>) -> Result<Response, Refused> {
    entry.admit(KeyScope::Write)?;
    let customer = Name::Id(id?);
    let command = entry.command(reference(&customer)?, b"", CommandBody::ArchiveCustomer)?;
    match entry.core.change(command).await {
        Ok(changed) => Ok(mark_replayed(StatusCode::NO_CONTENT.into_response(), changed.repeated)),
        Err(unchanged) if is_archived(&unchanged) => {
            let internal = "customer is not published";
            let refused = Refused::new(Code::NotFound, "Customer does not exist", internal);
            Err(refused.repeated_as(&unchanged))
        }
        Err(unchanged) => {
            let asked = AskedFor { customer, parent: None, made: Made::Known };
            Err(Refused::unchanged(unchanged, &asked))
        }
    }
}

fn is_archived(unchanged: &Unchanged) -> bool {
    match unchanged {
        Unchanged::Rejected { rejection, .. } => rejection.code.as_str() == "customer_archived",
        Unchanged::Deferred | Unchanged::Undecided(_) | Unchanged::NotShown => false,
    }
}
