//! `customers.get`: gives a customer.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;

use super::asked::customer::OneCustomer;
use super::call::{Call, answer};
use super::create::find;
use super::refused::Refused;
use crate::gateway::Core;
use crate::gateway::auth::Caller;
use crate::gateway::customer::CustomerName;

/// `POST /v1/customers.get`.
pub(super) async fn post(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    answer(&caller, get(&core, &caller, request).await)
}

async fn get(core: &Core, caller: &Caller, request: Request) -> Result<Response, Refused> {
    let call = Call::begin(core, caller, request).await?;
    let asked = call.question(|body| OneCustomer::read(body).map_err(Refused::inputs))?;
    let customer = asked.customer_id.as_str();
    let found = find(&call, CustomerName::parse(customer).as_ref()).await?;
    call.show(&found.ok_or_else(|| Refused::not_found(customer))?).await
}
