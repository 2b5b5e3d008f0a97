//! `customers.delete`: archives a customer. Its id is free, and here nobody finds it any more.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use tallybook_events::command::CommandBody;

use super::asked::customer::OneCustomer;
use super::call::{Call, answer};
use super::refused::Refused;
use super::shown::list::Deleted;
use crate::gateway::Core;
use crate::gateway::answer::json;
use crate::gateway::auth::Caller;
use crate::gateway::customer::CustomerName;
use crate::gateway::submit::{Verdict, verdict};

/// `POST /v1/customers.delete`.
pub(super) async fn post(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    answer(&caller, delete(&core, &caller, request).await)
}

async fn delete(core: &Core, caller: &Caller, request: Request) -> Result<Response, Refused> {
    let call = Call::begin(core, caller, request).await?;
    let read = |body: &_| OneCustomer::read(body).map_err(Refused::inputs);
    let asked = call.change(call.named(), read).await?;
    let customer = asked.customer_id.as_str();
    let name = CustomerName::parse(customer).ok_or_else(|| Refused::not_found(customer))?;
    let named = call.reference(&name).await?;
    let answer = call.decide(named, CommandBody::ArchiveCustomer).await?;
    match verdict(&answer)? {
        Verdict::Accepted(_) => {
            core.shown(answer.position).await?;
            Ok(json(StatusCode::OK, &Deleted { success: true }))
        }
        Verdict::Deferred => Err(Refused::unavailable("The customer's ID is being changed")),
        Verdict::Rejected(rejection) => Err(Refused::rejected(rejection, customer, None)),
    }
}
