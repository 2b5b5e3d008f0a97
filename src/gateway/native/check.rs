//! `POST /customers/{customer}/check`: would this spend be allowed? A question: nothing is recorded.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tallybook_events::ids::Merchant;
use tallybook_events::money::Amount;
use tallybook_events::outside;
use tallybook_events::text::Mcc;
use tallybook_events::time::Timestamp;
use tallybook_projections::check::{Figure, Reason, ReasonCode, Spend, check};

use super::asked::Asked;
use super::parameters::{Name, Parameters, customer_name};
use super::problem::Problem;
use crate::gateway::Core;
use crate::gateway::answer::json;
use crate::gateway::auth::Caller;
use crate::gateway::body::{JSON, MAX_SINGLE};
use crate::keys::KeyScope;

/// A spend that is asked about.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckBody {
    /// What it costs, in USD.
    amount: Amount,
    /// The merchant's category.
    mcc: Option<Mcc>,
    /// The merchant.
    merchant: Option<Merchant>,
    /// When it would be; now unless told otherwise. The rules are those of now in any case.
    at: Option<Timestamp>,
}

/// Whether a spend would be allowed, and all that stands against it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CheckAnswer {
    /// Whether it would be.
    allowed: bool,
    /// Why not: everything, not only the first.
    reasons: Vec<ReasonBody>,
}

/// One thing that stands against a spend.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
struct ReasonBody {
    /// What it is.
    code: ReasonCode,
    /// What is allowed: USD, reports, minutes, or the only merchant. Null where no one value says it.
    limit: Option<String>,
    /// What was used of it.
    used: Option<String>,
    /// What is asked for.
    requested: Option<String>,
}

impl From<Reason> for ReasonBody {
    fn from(reason: Reason) -> Self {
        let Reason { code, limit, used, requested } = reason;
        let text = |figure: Figure| figure.to_string();
        Self { code, limit: limit.map(text), used: used.map(text), requested: requested.map(text) }
    }
}

/// Answers whether a spend would be allowed.
pub(crate) async fn post(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    name: Name,
    request: Request,
) -> Result<Response, Problem> {
    caller.require(KeyScope::Read)?;
    Parameters::none(request.uri())?;
    let name = customer_name(name)?;
    let (asked, body) = Asked::new(&core, &caller, request);
    let body = asked.body(body, &[JSON], MAX_SINGLE).await?;
    let CheckBody { amount, mcc, merchant, at } = outside::read(outside::text(&body)?)?;
    let at = at.unwrap_or_else(|| core.gateway.clock.now());
    let found = core.spending(caller.scope(), &name, at).await?;
    let spending = found.ok_or_else(Problem::unknown_customer)?;
    let reasons = check(&spending, &Spend { amount, mcc, merchant });
    let answer = CheckAnswer {
        allowed: reasons.is_empty(),
        reasons: reasons.into_iter().map(ReasonBody::from).collect(),
    };
    Ok(json(StatusCode::OK, &answer))
}
