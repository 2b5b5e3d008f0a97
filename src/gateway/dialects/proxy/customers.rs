//! `/v1/customers` and `/v1/customers/{customerId}`: make, show, change, delete one customer.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use tallybook_events::command::CommandBody;
use tallybook_events::customer::CustomerDocument;
use tallybook_events::decision::RejectionCode;
use tallybook_events::ids::{CustomerId, CustomerRef, Scope};
use tallybook_events::outside;
use tallybook_projections::queries::AsOf;

use super::SOURCE;
use super::asked::{CreateCustomerRequest, IdInPath, UpdateCustomerRequest, body, customer};
use super::customer::Customer;
use super::error::ProxyError;
use crate::gateway::answer::json;
use crate::gateway::auth::Caller;
use crate::gateway::idempotency::{self, mark_replayed};
use crate::gateway::submit::Unchanged;
use crate::gateway::{Core, ask};
use crate::keys::KeyScope;

/// `POST /v1/customers`: makes a customer. It has no key of the caller's.
pub(super) async fn create(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, ProxyError> {
    caller.require(KeyScope::Write)?;
    let (parts, unread) = request.into_parts();
    let body = body(&core, &parts.headers, unread).await?;
    let asked: CreateCustomerRequest = outside::read(outside::text(&body)?)?;
    let context = ask::context(&parts, &body)?;
    let id = match &context.idempotency_key {
        Some(key) => idempotency::customer_id(caller.scope(), key),
        None => core.gateway.clock.customer_id(),
    };
    let patch = CommandBody::CreateCustomer(Box::new(asked.into()));
    let command = core.command(&caller, SOURCE, CustomerRef::Id(id), context, patch);
    let changed = core.change(command).await?;
    Ok(shown(StatusCode::CREATED, changed.document, changed.repeated))
}

/// `PATCH /v1/customers/{customerId}`: changes a customer.
pub(super) async fn update(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    id: IdInPath,
    request: Request,
) -> Result<Response, ProxyError> {
    caller.require(KeyScope::Write)?;
    let id = customer(id)?;
    let (parts, unread) = request.into_parts();
    let body = body(&core, &parts.headers, unread).await?;
    let asked: UpdateCustomerRequest = outside::read(outside::text(&body)?)?;
    let context = ask::context(&parts, &body)?;
    let patch = CommandBody::UpdateCustomer(Box::new(asked.into()));
    let command = core.command(&caller, SOURCE, CustomerRef::Id(id), context, patch);
    let changed = core.change(command).await?;
    Ok(shown(StatusCode::OK, changed.document, changed.repeated))
}

/// `DELETE /v1/customers/{customerId}`: archives a customer. It still answers by its id.
pub(super) async fn delete(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    id: IdInPath,
    request: Request,
) -> Result<Response, ProxyError> {
    caller.require(KeyScope::Write)?;
    let id = customer(id)?;
    let (parts, _) = request.into_parts();
    let context = ask::context(&parts, b"")?;
    let asked = CommandBody::ArchiveCustomer;
    let command = core.command(&caller, SOURCE, CustomerRef::Id(id), context, asked);
    let (document, repeated) = match core.change(command).await {
        Ok(changed) => (changed.document, changed.repeated),
        // It is as it was asked to be.
        Err(Unchanged::Rejected { rejection, repeated })
            if rejection.code == RejectionCode::CustomerArchived =>
        {
            (found(&core, caller.scope(), id).await?, repeated)
        }
        Err(unchanged) => return Err(unchanged.into()),
    };
    Ok(shown(StatusCode::OK, document, repeated))
}

/// `GET /v1/customers/{customerId}`: shows a customer, a deleted one, too.
pub(super) async fn show(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    id: IdInPath,
) -> Result<Response, ProxyError> {
    caller.require(KeyScope::Read)?;
    let document = found(&core, caller.scope(), customer(id)?).await?;
    Ok(shown(StatusCode::OK, document, false))
}

async fn found(core: &Core, scope: &Scope, id: CustomerId) -> Result<CustomerDocument, ProxyError> {
    let (customer, now) = (CustomerRef::Id(id), core.gateway.clock.now());
    let found = core.gateway.queries.customer(scope, &customer, AsOf::Now, now).await?;
    found.ok_or_else(ProxyError::not_found)
}

fn shown(status: StatusCode, document: CustomerDocument, repeated: bool) -> Response {
    mark_replayed(json(status, &Customer::from(document)), repeated)
}
