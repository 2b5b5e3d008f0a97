//! `/customers/{customer}/entitlements`: the plans, purchases, balances, flags and usage limits of a
//! customer, now or then.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use tallybook_events::ids::CustomerRef;

use super::parameters::{AS_OF, Name, Parameters, customer_name};
use super::problem::Problem;
use crate::gateway::Core;
use crate::gateway::answer::json as answer_json;
use crate::gateway::auth::Caller;
use crate::keys::KeyScope;

/// `GET /customers/{customer}/entitlements`: shows what a customer is entitled to, or was. What no
/// command has set is empty.
pub(crate) async fn show(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    name: Name,
    uri: Uri,
) -> Result<Response, Problem> {
    caller.require(KeyScope::Read)?;
    let as_of = Parameters::read(&uri, &[&AS_OF])?.as_of()?;
    let customer = core.resolve(caller.scope(), &customer_name(name)?).await?;
    let customer = CustomerRef::Id(customer.ok_or_else(Problem::unknown_customer)?);
    let (queries, now) = (&core.gateway.queries, core.gateway.clock.now());
    let found = queries.entitlements(caller.scope(), &customer, as_of, now).await?;
    let entitlements = found.ok_or_else(Problem::unknown_customer)?;
    Ok(answer_json(StatusCode::OK, &entitlements))
}
