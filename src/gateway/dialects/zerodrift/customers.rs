//! `/admin/customers` and `/admin/customers/{customer_id}`: make, show, change, delete.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use tallybook_events::command::{Command, CommandBody};
use tallybook_events::customer::CustomerDocument;
use tallybook_events::ids::CustomerRef;
use tallybook_projections::queries::AsOf;

use super::SOURCE;
use super::asked::{Name, customer_id};
use super::changes::{CreateCustomer, UpdateCustomer};
use super::customer::{CreatedCustomer, DeletedCustomer, ShownCustomer, UpdatedCustomer};
use super::error::ZeroDriftError;
use crate::gateway::answer::json;
use crate::gateway::auth::Caller;
use crate::gateway::body::{self, JSON, MAX_SINGLE};
use crate::gateway::idempotency::{self, mark_replayed};
use crate::gateway::{Core, ask};
use crate::keys::KeyScope;

/// `POST /admin/customers`: makes a customer.
pub(super) async fn create(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, ZeroDriftError> {
    caller.require(KeyScope::Write)?;
    let (parts, unread) = request.into_parts();
    let body = read(&core, &parts.headers, unread).await?;
    let facts = CommandBody::CreateCustomer(Box::new(CreateCustomer::read(&body)?));
    let context = ask::context(&parts, &body)?;
    let id = match &context.idempotency_key {
        Some(key) => idempotency::customer_id(caller.scope(), key),
        None => core.gateway.clock.customer_id(),
    };
    let command = core.command(&caller, SOURCE, CustomerRef::Id(id), context, facts);
    change::<CreatedCustomer>(&core, command, StatusCode::CREATED).await
}

/// `PUT /admin/customers/{customer_id}`: changes what is given, and nothing else.
pub(super) async fn update(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    name: Name,
    request: Request,
) -> Result<Response, ZeroDriftError> {
    caller.require(KeyScope::Write)?;
    let customer = CustomerRef::Id(customer_id(name)?);
    let (parts, unread) = request.into_parts();
    let body = read(&core, &parts.headers, unread).await?;
    let patch = CommandBody::UpdateCustomer(Box::new(UpdateCustomer::read(&body)?));
    let context = ask::context(&parts, &body)?;
    let command = core.command(&caller, SOURCE, customer, context, patch);
    change::<UpdatedCustomer>(&core, command, StatusCode::OK).await
}

/// `GET /admin/customers/{customer_id}`: shows a customer, a cancelled one too.
pub(super) async fn show(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    name: Name,
) -> Result<Response, ZeroDriftError> {
    caller.require(KeyScope::Read)?;
    let document = customer(&core, &caller, name).await?;
    Ok(json(StatusCode::OK, &ShownCustomer::from(document)))
}

/// `DELETE /admin/customers/{customer_id}`: cancels a customer. It still answers.
pub(super) async fn delete(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    name: Name,
    request: Request,
) -> Result<Response, ZeroDriftError> {
    caller.require(KeyScope::Write)?;
    let customer = CustomerRef::Id(customer_id(name)?);
    let (parts, _) = request.into_parts();
    let context = ask::context(&parts, b"")?;
    let command = core.command(&caller, SOURCE, customer, context, CommandBody::ArchiveCustomer);
    change::<DeletedCustomer>(&core, command, StatusCode::OK).await
}

/// Finds the customer that an address names.
pub(super) async fn customer(
    core: &Core,
    caller: &Caller,
    name: Name,
) -> Result<CustomerDocument, ZeroDriftError> {
    let (customer, now) = (CustomerRef::Id(customer_id(name)?), core.gateway.clock.now());
    let found = core.gateway.queries.customer(caller.scope(), &customer, AsOf::Now, now).await?;
    found.ok_or_else(ZeroDriftError::not_found)
}

/// Has a command decided, and shows the customer that it left.
async fn change<T: From<CustomerDocument> + Serialize>(
    core: &Core,
    command: Command,
    done: StatusCode,
) -> Result<Response, ZeroDriftError> {
    let changed = core.change(command).await?;
    Ok(mark_replayed(json(done, &T::from(changed.document)), changed.repeated))
}

async fn read(core: &Core, headers: &HeaderMap, body: Body) -> Result<Bytes, ZeroDriftError> {
    body::check_type(headers, &[JSON])?;
    Ok(body::read(headers, body, MAX_SINGLE, core.gateway.timeouts.body).await?)
}
