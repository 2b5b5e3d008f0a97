//! `PUT /v1/customers/{id}`, `PUT /v1/customers?id=…` and `?external_customer_id=…`: changes a customer.
//!
//! The order of checks is the vendor's: the body is bound; the customer must be named; one named by its
//! external id must be there; both names must be of one customer; then the rules of the fields; then
//! one named by its id must be there; then the parent; then how many bytes the address has.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use tallybook_events::command::CommandBody;
use tallybook_events::customer::IdentityPatch;
use tallybook_events::field::{Edit, Patch};
use tallybook_events::ids::{CustomerId, CustomerRef};

use super::bind::bind;
use super::checked::{self, Checked};
use super::entry::{Entry, reference};
use super::fields::UpdateBody;
use super::ids;
use super::named::{AskedFor, Made, Name};
use super::refused::{Code, Refused};
use super::shown::Parents;
use crate::gateway::Core;
use crate::gateway::answer::json;
use crate::gateway::auth::Caller;
use crate::gateway::idempotency::mark_replayed;
use crate::gateway::submit::Unchanged;
use crate::keys::KeyScope;

/// What is said of a body that cannot be bound.
pub(super) const BAD_FORMAT: &str = "Invalid request format";

/// An id in a path, percent-decoded.
pub(super) type InPath = Result<Path<String>, PathRejection>;

/// Gives the id of a path.
pub(super) fn in_path(path: InPath) -> Result<String, Refused> {
    let bad = |rejection: PathRejection| {
        Refused::new(Code::ValidationError, BAD_FORMAT, rejection.body_text())
    };
    path.map(|Path(text)| text).map_err(bad)
}

/// Changes the customer that the path names.
pub(super) async fn by_path(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    path: InPath,
    request: Request,
) -> Response {
    let (entry, body) = Entry::of(&core, &caller, request);
    entry.answer(update(&entry, Some(path), body).await)
}

/// Changes the customer that the query names.
pub(super) async fn by_query(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    let (entry, body) = Entry::of(&core, &caller, request);
    entry.answer(update(&entry, None, body).await)
}

async fn update(entry: &Entry<'_>, path: Option<InPath>, body: Body) -> Result<Response, Refused> {
    entry.admit(KeyScope::Write)?;
    let bytes = entry.body(body).await?;
    let asked: UpdateBody = bind(&bytes, BAD_FORMAT)?;
    let (id, external) = named(entry, path)?;
    let checked = checked::update(asked);
    let (customer, name) = match (id, external) {
        (id, Some(external)) => by_external(entry, id, external, checked.is_err()).await?,
        (Some(id), None) => {
            checked.as_ref().map_err(Clone::clone)?;
            let name = Name::Id(id);
            (reference(&name)?, name)
        }
        (None, None) => return Err(unnamed()),
    };
    let Checked { mut patch, parent, late } = checked?;
    let asked_for = AskedFor { customer: name, parent: set(&parent), made: Made::Known };
    let parent = parent_of(entry, &asked_for, &parent, late).await?;
    if !parent.is_keep() {
        let identity = patch.identity.as_set().cloned().unwrap_or_default();
        patch.identity = Edit::Set(IdentityPatch { parent, ..identity });
    }
    let taken = patch.key.as_set().map(ToString::to_string);
    let email = patch.profile.as_set().and_then(|profile| match &profile.email {
        Patch::Set(email) => Some(email.to_string()),
        Patch::Keep | Patch::Clear => None,
    });
    let body = CommandBody::UpdateCustomer(Box::new(patch));
    let command = entry.command(customer, &bytes, body)?;
    match entry.core.change(command).await {
        Ok(changed) => {
            let shown = entry.core.shown_in_flexprice(changed.document, Parents::Named).await?;
            Ok(mark_replayed(json(StatusCode::OK, &shown), changed.repeated))
        }
        Err(unchanged) => match (taken, is_taken(&unchanged)) {
            (Some(external_id), true) => {
                let email = match email {
                    Some(email) => email,
                    None => email_of(entry, &asked_for.customer).await?,
                };
                Err(Refused::taken(&external_id, &email).repeated_as(&unchanged))
            }
            _ => Err(Refused::unchanged(unchanged, &asked_for)),
        },
    }
}

/// Gives the names of the customer: its id, of the path or else of the query, and its external id.
fn named(
    entry: &Entry<'_>,
    path: Option<InPath>,
) -> Result<(Option<String>, Option<String>), Refused> {
    let query = entry.query(BAD_FORMAT)?;
    let first = |name: &str| {
        let value = query.all(name).next();
        value.filter(|value| !value.is_empty()).map(str::to_owned)
    };
    let id = match path {
        Some(path) => Some(in_path(path)?),
        None => first("id"),
    };
    Ok((id, first("external_customer_id")))
}

fn unnamed() -> Refused {
    let message = "Provide id as query parameter (?id=...) or provide external_customer_id as query \
                   parameter (?external_customer_id=...)";
    let internal = "either id or external_customer_id is required";
    Refused::new(Code::ValidationError, message, internal)
}

/// Looks up a customer by its external id. It is left to the decision whether it is there, where
/// nothing else is to be said before: then no other request comes between.
async fn by_external(
    entry: &Entry<'_>,
    id: Option<String>,
    external: String,
    broken: bool,
) -> Result<(CustomerRef, Name), Refused> {
    let name = Name::External(external);
    let customer = reference(&name)?;
    if id.is_none() && !broken {
        return Ok((customer, name));
    }
    let found: CustomerId = entry.found(&name).await?.id;
    if id.is_some_and(|id| ids::shown(found) != id) {
        let message = "Providing either id or external_customer_id is sufficient. But when providing \
                       both, ensure both identifiers refer to the same customer.";
        let internal = "id and external_customer_id refer to different customers";
        return Err(Refused::new(Code::ValidationError, message, internal));
    }
    Ok((CustomerRef::Id(found), name))
}

fn set<T: Clone>(patch: &Patch<T>) -> Option<T> {
    patch.over(None)
}

/// Gives the parent that is asked for, as commands name it. Where a rule is broken that is checked after
/// the customer and the parent were looked up, they are looked up here.
pub(super) async fn parent_of(
    entry: &Entry<'_>,
    asked: &AskedFor,
    parent: &Patch<Name>,
    late: Option<Refused>,
) -> Result<Patch<CustomerRef>, Refused> {
    let named = match parent {
        Patch::Keep => Ok(Patch::Keep),
        Patch::Clear => Ok(Patch::Clear),
        Patch::Set(name) => reference(name).map(Patch::Set),
    };
    if named.is_ok() && late.is_none() {
        return named;
    }
    if asked.made == Made::Known {
        entry.found(&asked.customer).await?;
    }
    let named = named?;
    if let Patch::Set(name) = parent {
        entry.found(name).await?;
    }
    late.map_or(Ok(named), Err)
}

/// Tells whether a change was refused because its external id belongs to another customer.
pub(super) fn is_taken(unchanged: &Unchanged) -> bool {
    match unchanged {
        Unchanged::Rejected { rejection, .. } => {
            matches!(rejection.code.as_str(), "key_taken" | "customer_exists")
        }
        Unchanged::Deferred | Unchanged::Undecided(_) | Unchanged::NotShown => false,
    }
}

/// Gives the e-mail address that a customer has; empty when it has none.
async fn email_of(entry: &Entry<'_>, name: &Name) -> Result<String, Refused> {
    let document = entry.found(name).await?;
    Ok(document.profile.email.map(String::from).unwrap_or_default())
}
