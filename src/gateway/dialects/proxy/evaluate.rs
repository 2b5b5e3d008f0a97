//! `POST /v1/spend/evaluate`: would this spend be approved?

use std::borrow::Cow;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use tallybook_events::field::Edit;
use tallybook_events::ids::{CustomerRef, Merchant};
use tallybook_events::json::Json;
use tallybook_events::outside::{self, Fault};
use tallybook_events::text::Mcc;
use tallybook_events::time::Timestamp;
use tallybook_projections::check::{Figure, Reason, ReasonCode, Spend, check};
use tallybook_projections::spend::Spending;

use super::asked::{body, customer_id};
use super::customer::ShownId;
use super::error::ProxyError;
use super::number::{Cents, cents, total_cents};
use super::policy::ShownPolicy;
use crate::gateway::Core;
use crate::gateway::answer::json;
use crate::gateway::auth::Caller;
use crate::gateway::number::Number;
use crate::keys::KeyScope;

/// The currency of all amounts.
const CURRENCY: &str = "usd";

/// A spend that is asked about. Agents and cards are not known here: theirs are no rules of ours.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EvaluateSpendRequest {
    /// Customer ID.
    #[schemars(with = "ShownId")]
    customer_id: String,
    /// Amount in cents.
    amount: Cents,
    /// Currency code: `usd` is the only one.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    #[schemars(with = "Usd")]
    currency: Edit<String>,
    /// Merchant category code.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    mcc: Edit<Mcc>,
    /// The merchant: its name, or its category code and its name.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    #[schemars(with = "AskedMerchant")]
    merchant: Edit<Json>,
}

/// The only currency.
struct Usd;

impl JsonSchema for Usd {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Currency".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[Uu][Ss][Dd]$"})
    }
}

/// A merchant that is asked about.
struct AskedMerchant;

impl JsonSchema for AskedMerchant {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "AskedMerchant".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mcc = generator.subschema_for::<Mcc>();
        let name = generator.subschema_for::<Merchant>();
        json_schema!({
            "anyOf": [name, {"type": "object", "properties": {"mcc": mcc, "name": name}}]
        })
    }
}

impl EvaluateSpendRequest {
    /// Gives the spend that is asked about.
    fn spend(&self) -> Result<Spend, ProxyError> {
        if self.currency.as_set().is_some_and(|asked| !asked.eq_ignore_ascii_case(CURRENCY)) {
            return Err(Fault::invalid("/currency", "must be usd").into());
        }
        let mut mcc = self.mcc.as_set().cloned();
        let mut merchant = None;
        match self.merchant.as_set() {
            None => {}
            Some(Json::Object(members)) => {
                merchant = member("/merchant/name", members.get("name"))?;
                let beside = member::<Mcc>("/merchant/mcc", members.get("mcc"))?;
                if mcc.is_some() && beside.is_some() && mcc != beside {
                    return Err(Fault::invalid("/merchant/mcc", "differs from mcc").into());
                }
                mcc = mcc.or(beside);
            }
            name => merchant = member("/merchant", name)?,
        }
        Ok(Spend { amount: self.amount.0, mcc, merchant })
    }
}

/// Reads a text that may be there.
fn member<T>(pointer: &str, value: Option<&Json>) -> Result<Option<T>, Fault>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let Some(value) = value else { return Ok(None) };
    let fault = |detail: String| Fault::invalid(pointer, detail);
    let text = match value {
        Json::String(text) => text,
        Json::Null => return Err(fault("may not be null".into())),
        Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => {
            return Err(fault("must be a string".into()));
        }
    };
    text.parse().map(Some).map_err(|error: T::Err| fault(error.to_string()))
}

/// Policy evaluation result.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct EvaluateSpendResponse {
    /// Whether it would be approved.
    decision: Decision,
    /// Why not: everything, not only the first.
    reasons: Vec<PolicyReason>,
    /// What was looked at.
    context: Context,
}

/// Whether a spend would be approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Decision {
    /// It would.
    Approve,
    /// It would not.
    Decline,
}

/// One thing that stands against a spend.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct PolicyReason {
    /// Machine-readable reason code.
    code: DeclineCode,
    /// Human-readable reason message.
    message: String,
}

/// What stands against a spend, in the vendor's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum DeclineCode {
    /// The customer is pending or deleted.
    UserNotActive,
    /// There were too many reports.
    RateLimitExceeded,
    /// A budget or a limit would be exceeded.
    SpendingLimitExceeded,
    /// The category is blocked, or not among those that are allowed.
    BlockedMcc,
    /// The merchant is not among those that are allowed.
    BlockedMerchant,
    /// The merchant is not the first one.
    MerchantDrift,
    /// The last spend was too short a time ago.
    CooldownActive,
}

/// What was looked at.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline, deny_unknown_fields)]
struct Context {
    /// Customer ID.
    customer_id: ShownId,
    /// Amount in cents.
    amount: Number,
    /// Currency code.
    #[schemars(with = "Usd")]
    currency: &'static str,
    /// What was spent.
    spend_stats: ShownStats,
    /// Spending policy controls; null when there are none.
    policy: Option<ShownPolicy>,
}

/// What was spent.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline, deny_unknown_fields)]
struct ShownStats {
    /// In the last 24 hours, in cents.
    #[serde(rename = "totalDay")]
    day: Number,
    /// In the calendar month, in cents.
    #[serde(rename = "totalMonth")]
    month: Number,
    /// The last spend, in milliseconds since 1970.
    #[serde(rename = "lastSpendAt")]
    last_at: Option<i64>,
}

/// Answers whether a spend would be approved.
pub(super) async fn evaluate(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, ProxyError> {
    caller.require(KeyScope::Read)?;
    let (parts, unread) = request.into_parts();
    let body = body(&core, &parts.headers, unread).await?;
    let asked: EvaluateSpendRequest = outside::read(outside::text(&body)?)?;
    let spend = asked.spend()?;
    let id = customer_id(&asked.customer_id).ok_or_else(ProxyError::not_found)?;
    let (customer, now) = (CustomerRef::Id(id), core.gateway.clock.now());
    let found = core.gateway.queries.spending(caller.scope(), &customer, now).await?;
    let spending = found.ok_or_else(ProxyError::not_found)?;
    Ok(json(StatusCode::OK, &answer(spending, &spend)))
}

fn answer(spending: Spending, spend: &Spend) -> EvaluateSpendResponse {
    let reasons: Vec<PolicyReason> =
        check(&spending, spend).iter().map(PolicyReason::from).collect();
    let Spending { customer, stats } = spending;
    EvaluateSpendResponse {
        decision: if reasons.is_empty() { Decision::Approve } else { Decision::Decline },
        reasons,
        context: Context {
            customer_id: customer.id.into(),
            amount: cents(spend.amount),
            currency: CURRENCY,
            spend_stats: ShownStats {
                day: total_cents(stats.day),
                month: total_cents(stats.month),
                last_at: stats.last_spend_at.map(milliseconds),
            },
            policy: customer.policy.map(ShownPolicy::from),
        },
    }
}

fn milliseconds(moment: Timestamp) -> i64 {
    moment.to_chrono().timestamp_millis()
}

impl From<&Reason> for PolicyReason {
    fn from(reason: &Reason) -> Self {
        let limit = || reason.limit.as_ref().map_or_else(String::new, figure);
        let used = || reason.used.as_ref().map_or_else(String::new, figure);
        let requested = || reason.requested.as_ref().map_or_else(|| "unknown".into(), figure);
        let beyond = |what: &str| {
            let used = reason.used.as_ref().map(|used| format!("{} already spent, ", figure(used)));
            let (used, limit, requested) = (used.unwrap_or_default(), limit(), requested());
            format!("{what} of {limit} cents exceeded: {used}{requested} requested")
        };
        let limited = DeclineCode::SpendingLimitExceeded;
        let (code, message) = match reason.code {
            ReasonCode::CustomerArchived => {
                (DeclineCode::UserNotActive, "Customer is deleted".to_owned())
            }
            ReasonCode::CustomerSuspended => {
                (DeclineCode::UserNotActive, "Customer is pending".to_owned())
            }
            ReasonCode::RateExceeded => (
                DeclineCode::RateLimitExceeded,
                format!("Rate of {} per second exceeded: {} in the last second", limit(), used()),
            ),
            ReasonCode::PeriodBudgetExceeded => (limited, beyond("Budget of the period")),
            ReasonCode::TotalBudgetExceeded => (limited, beyond("Total budget")),
            ReasonCode::PerAuthExceeded => (limited, beyond("Limit per authorization")),
            ReasonCode::PerDayExceeded => (limited, beyond("Limit per 24 hours")),
            ReasonCode::PerMonthExceeded => (limited, beyond("Limit per calendar month")),
            ReasonCode::MccNotAllowed => (
                DeclineCode::BlockedMcc,
                format!("Merchant category {} is not allowed", requested()),
            ),
            ReasonCode::MccBlocked => {
                (DeclineCode::BlockedMcc, format!("Merchant category {} is blocked", requested()))
            }
            ReasonCode::MerchantNotAllowed => {
                (DeclineCode::BlockedMerchant, format!("Merchant {} is not allowed", requested()))
            }
            ReasonCode::MerchantLocked => (
                DeclineCode::MerchantDrift,
                format!("Merchant {} is not the first merchant, {}", requested(), limit()),
            ),
            ReasonCode::CooldownActive => (
                DeclineCode::CooldownActive,
                format!("Cooldown of {} minutes: {} have passed", limit(), used()),
            ),
        };
        Self { code, message }
    }
}

/// Gives a figure as text, money in cents.
fn figure(figure: &Figure) -> String {
    match figure {
        Figure::Money(total) => total.hundredfold().to_string(),
        Figure::Reports(_) | Figure::Minutes(_) | Figure::Name(_) => figure.to_string(),
    }
}
