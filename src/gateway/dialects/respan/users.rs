//! `/api/users/{customer_identifier}/`: show, change, delete one customer.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri};
use tallybook_events::command::CommandBody;
use tallybook_events::ids::CustomerRef;
use tallybook_projections::queries::AsOf;

use super::SOURCE;
use super::asked::{Name, body, customer};
use super::error::RespanError;
use super::update::UpdateUser;
use super::user::User;
use crate::gateway::answer::json;
use crate::gateway::auth::Caller;
use crate::gateway::idempotency::mark_replayed;
use crate::gateway::{Core, ask};
use crate::keys::KeyScope;

/// `PATCH`: changes a customer. It never makes one: usage does.
pub(super) async fn update(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    name: Name,
    request: Request,
) -> Result<Response, RespanError> {
    caller.require(KeyScope::Write)?;
    let (parts, unread) = request.into_parts();
    let key = customer(name, &parts.uri, caller.scope())?;
    let body = body(&core, &parts.headers, unread).await?;
    let patch = CommandBody::UpdateCustomer(Box::new(UpdateUser::read(&body)?));
    let context = ask::context(&parts, &body)?;
    let customer = CustomerRef::Key(key.clone());
    let changed = core.change(core.command(&caller, SOURCE, customer, context, patch)).await?;
    let response = json(StatusCode::OK, &User::of(changed.document, key));
    Ok(mark_replayed(response, changed.repeated))
}

/// `GET`: shows a customer.
pub(super) async fn show(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    name: Name,
    uri: Uri,
) -> Result<Response, RespanError> {
    caller.require(KeyScope::Read)?;
    let key = customer(name, &uri, caller.scope())?;
    let (customer, now) = (CustomerRef::Key(key.clone()), core.gateway.clock.now());
    let found = core.gateway.queries.customer(caller.scope(), &customer, AsOf::Now, now).await?;
    let document = found.ok_or_else(RespanError::not_found)?;
    Ok(json(StatusCode::OK, &User::of(document, key)))
}

/// `DELETE`: archives a customer. Its key is free.
pub(super) async fn delete(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    name: Name,
    request: Request,
) -> Result<Response, RespanError> {
    caller.require(KeyScope::Write)?;
    let (parts, _) = request.into_parts();
    let customer = CustomerRef::Key(customer(name, &parts.uri, caller.scope())?);
    let context = ask::context(&parts, b"")?;
    let asked = CommandBody::ArchiveCustomer;
    let changed = core.change(core.command(&caller, SOURCE, customer, context, asked)).await?;
    Ok(mark_replayed(StatusCode::NO_CONTENT.into_response(), changed.repeated))
}
