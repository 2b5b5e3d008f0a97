//! `/customers/{customer}/timeline` and `/customers/{customer}/usage`: what happened to a customer,
//! and what it used in each period.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::Uri;
use tallybook_projections::queries::PeriodKind;

use super::customers::answer_page;
use super::parameters::{Name, PAGE, Parameters, customer_name};
use super::problem::Problem;
use crate::gateway::Core;
use crate::gateway::auth::Caller;
use crate::keys::KeyScope;

/// `GET /customers/{customer}/timeline`: lists a customer's events.
pub(crate) async fn timeline(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    name: Name,
    uri: Uri,
) -> Result<Response, Problem> {
    caller.require(KeyScope::Read)?;
    let parameters = Parameters::read(&uri, &[&PAGE])?;
    let page = parameters.page()?;
    let customer = core.resolve(caller.scope(), &customer_name(name)?).await?;
    let customer = customer.ok_or_else(Problem::unknown_customer)?;
    let found = core.gateway.queries.timeline(customer, &page).await?;
    Ok(answer_page(&uri, &parameters, &found))
}

/// `GET /customers/{customer}/usage`: lists a customer's usage by periods, of one kind or of all.
pub(crate) async fn usage(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    name: Name,
    uri: Uri,
) -> Result<Response, Problem> {
    caller.require(KeyScope::Read)?;
    let parameters = Parameters::read(&uri, &[&PAGE, &["kind"]])?;
    let kinds = [
        ("budget", PeriodKind::Budget),
        ("day", PeriodKind::Day),
        ("month", PeriodKind::Month),
        ("year", PeriodKind::Year),
        ("lifetime", PeriodKind::Lifetime),
    ];
    let (kind, page) = (parameters.word("kind", &kinds)?, parameters.page()?);
    let customer = core.resolve(caller.scope(), &customer_name(name)?).await?;
    let customer = customer.ok_or_else(Problem::unknown_customer)?;
    let found = core.gateway.queries.usage(customer, kind, &page).await?;
    Ok(answer_page(&uri, &parameters, &found))
}
