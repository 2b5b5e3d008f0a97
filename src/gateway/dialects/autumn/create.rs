//! `customers.get_or_create`: gives a customer as it stands, or makes it.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use tallybook_events::command::CommandBody;
use tallybook_events::customer::CustomerDocument;
use tallybook_events::ids::CustomerRef;
use tallybook_projections::queries::AsOf;

use super::asked::customer::GetOrCreate;
use super::call::{Call, answer};
use super::refused::Refused;
use crate::gateway::Core;
use crate::gateway::auth::Caller;
use crate::gateway::customer::CustomerName;
use crate::gateway::idempotency;
use crate::gateway::submit::{Verdict, verdict};

/// `POST /v1/customers.get_or_create`.
pub(super) async fn post(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    answer(&caller, get_or_create(&core, &caller, request).await)
}

async fn get_or_create(
    core: &Core,
    caller: &Caller,
    request: Request,
) -> Result<Response, Refused> {
    let call = Call::begin(core, caller, request).await?;
    let asked = call
        .change(call.named(), |body| {
            let asked = GetOrCreate::read(body).map_err(Refused::inputs)?;
            let overdrawn = asked.facts().overdrawn();
            overdrawn.map_or(Ok(asked), |message| Err(Refused::request(message)))
        })
        .await?;
    let id = asked.customer_id.clone();
    let name = id.as_ref().and_then(|id| CustomerName::parse(id.as_str()));
    // With an idempotency key the processor is asked first: it knows whether the key was used.
    if call.idempotency_key().is_none()
        && let Some(found) = find(&call, name.as_ref()).await?
    {
        return call.show(&found).await;
    }
    let customer = match (&id, call.idempotency_key()) {
        (Some(id), _) => CustomerRef::Key(id.key().clone()),
        (None, Some(key)) => CustomerRef::Id(idempotency::customer_id(call.scope(), key)),
        (None, None) => CustomerRef::Id(core.gateway.clock.customer_id()),
    };
    let body = CommandBody::CreateCustomer(Box::new(asked.into_patch()));
    let answer = call.decide(customer, body).await?;
    match verdict(&answer)? {
        Verdict::Accepted(accepted) => call.show_after(&answer, accepted).await,
        Verdict::Deferred => Err(Refused::unavailable("The customer is being made")),
        Verdict::Rejected(rejection) if rejection.code.is_conflict() => {
            // It was there, or somebody else has just made it.
            core.shown(answer.position).await?;
            let found = find(&call, name.as_ref()).await?;
            let found = found.ok_or_else(|| Refused::unavailable("The customer is being made"))?;
            call.show(&found).await
        }
        Verdict::Rejected(rejection) => {
            let id = id.as_ref().map_or("null", |id| id.as_str());
            Err(Refused::rejected(rejection, id, None))
        }
    }
}

/// Finds a customer that is not deleted.
pub(super) async fn find(
    call: &Call<'_>,
    name: Option<&CustomerName>,
) -> Result<Option<CustomerDocument>, Refused> {
    let Some(name) = name else { return Ok(None) };
    let found = call.core.customer(call.scope(), name, AsOf::Now).await?;
    Ok(found.filter(|document| document.archived_at.is_none()))
}
