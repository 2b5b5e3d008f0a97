//! `POST /v1/customers`: makes a customer.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use tallybook_events::command::CommandBody;
use tallybook_events::customer::IdentityPatch;
use tallybook_events::field::{Edit, Patch};
use tallybook_events::ids::CustomerRef;

use super::bind::bind;
use super::checked::{self, Checked};
use super::entry::Entry;
use super::fields::CreateBody;
use super::named::{AskedFor, Made, Name};
use super::refused::{Code, Refused};
use super::shown::Parents;
use super::update::{BAD_FORMAT, is_taken, parent_of};
use crate::gateway::Core;
use crate::gateway::answer::json;
use crate::gateway::auth::Caller;
use crate::gateway::idempotency::mark_replayed;
use crate::keys::KeyScope;

/// Makes a customer.
pub(super) async fn create(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    let (entry, body) = Entry::of(&core, &caller, request);
    entry.answer(made(&entry, body).await)
}

async fn made(entry: &Entry<'_>, body: Body) -> Result<Response, Refused> {
    entry.admit(KeyScope::Write)?;
    let bytes = entry.body(body).await?;
    let asked: CreateBody = bind(&bytes, BAD_FORMAT)?;
    let Checked { mut patch, parent, late } = checked::create(asked)?;
    // The key names the customer; it is no change of the key.
    let Edit::Set(key) = std::mem::take(&mut patch.key) else {
        let internal = "external_id is required";
        return Err(Refused::new(Code::ValidationError, "Request validation failed", internal));
    };
    let asked_for = AskedFor {
        customer: Name::External(key.to_string()),
        parent: parent.over(None),
        made: Made::New,
    };
    let parent = parent_of(entry, &asked_for, &parent, late).await?;
    if !parent.is_keep() {
        let identity = patch.identity.as_set().cloned().unwrap_or_default();
        patch.identity = Edit::Set(IdentityPatch { parent, ..identity });
    }
    let email = patch.profile.as_set().and_then(|profile| match &profile.email {
        Patch::Set(email) => Some(email.to_string()),
        Patch::Keep | Patch::Clear => None,
    });
    let body = CommandBody::CreateCustomer(Box::new(patch));
    let command = entry.command(CustomerRef::Key(key.clone()), &bytes, body)?;
    match entry.core.change(command).await {
        Ok(changed) => {
            let shown = entry.core.shown_in_flexprice(changed.document, Parents::Named).await?;
            Ok(mark_replayed(json(StatusCode::CREATED, &shown), changed.repeated))
        }
        Err(unchanged) if is_taken(&unchanged) => {
            let email = email.unwrap_or_default();
            Err(Refused::taken(key.as_str(), &email).repeated_as(&unchanged))
        }
        Err(unchanged) => Err(Refused::unchanged(unchanged, &asked_for)),
    }
}
