//! `customers.update`, and what older clients call instead: changes a customer. It never makes one.

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use tallybook_events::command::CommandBody;
use tallybook_events::ids::CustomerKey;
use tallybook_events::json::Json;

use super::asked::customer::{Change, LegacyChange, UpdateCustomer};
use super::call::{Call, answer};
use super::refused::Refused;
use crate::gateway::Core;
use crate::gateway::auth::Caller;
use crate::gateway::customer::CustomerName;
use crate::gateway::submit::{Verdict, verdict};

/// `POST /v1/customers.update`.
pub(super) async fn post(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    answer(&caller, update(&core, &caller, request).await)
}

async fn update(core: &Core, caller: &Caller, request: Request) -> Result<Response, Refused> {
    let call = Call::begin(core, caller, request).await?;
    let asked = call
        .change(call.named(), |body| {
            let asked = UpdateCustomer::read(body).map_err(Refused::inputs)?;
            check(&asked.change)?;
            Ok(asked)
        })
        .await?;
    let customer = asked.customer_id.as_str();
    let name = CustomerName::parse(customer).ok_or_else(|| Refused::not_found(customer))?;
    change(&call, customer, &name, asked.change).await
}

/// `POST` and `PATCH /v1/customers/{customer_id}`.
pub(super) async fn legacy(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    answer(&caller, update_legacy(&core, &caller, path, request).await)
}

async fn update_legacy(
    core: &Core,
    caller: &Caller,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Refused> {
    let spelled = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    let customer = path.map_or(spelled, |Path(customer)| customer);
    let call = Call::begin(core, caller, request).await?;
    let name = CustomerName::parse(&customer);
    let asked = call
        .change(name.clone(), |body: &Json| {
            let asked: Change = LegacyChange::read(body).map_err(Refused::inputs)?.into();
            check(&asked)?;
            Ok(asked)
        })
        .await?;
    let name = name.ok_or_else(|| Refused::not_found(&customer))?;
    change(&call, &customer, &name, asked).await
}

/// Checks what goes beyond the rules of single fields.
fn check(asked: &Change) -> Result<(), Refused> {
    asked.facts().overdrawn().map_or(Ok(()), |message| Err(Refused::request(message)))
}

async fn change(
    call: &Call<'_>,
    customer: &str,
    name: &CustomerName,
    asked: Change,
) -> Result<Response, Refused> {
    let named = call.reference(name).await?;
    let new_id = asked.new_id().cloned();
    let body = CommandBody::UpdateCustomer(Box::new(asked.into_patch()));
    let answer = call.decide(named, body).await?;
    match verdict(&answer)? {
        Verdict::Accepted(accepted) => call.show_after(&answer, accepted).await,
        Verdict::Deferred => Err(Refused::unavailable("The customer's ID is being changed")),
        Verdict::Rejected(rejection) => {
            let new_id = new_id.as_ref().map(CustomerKey::as_str);
            Err(Refused::rejected(rejection, customer, new_id))
        }
    }
}
