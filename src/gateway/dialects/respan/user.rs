//! A customer as Respan shows it.

use schemars::JsonSchema;
use serde::Serialize;
use tallybook_events::customer::CustomerDocument;
use tallybook_events::ids::CustomerKey;
use tallybook_events::period::BudgetDuration;
use tallybook_events::time::Timestamp;

use super::asked::RespanEnvironment;
use crate::gateway::moment::whole_seconds;
use crate::gateway::number::Number;

/// User details.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct User {
    /// User identifier.
    id: CustomerKey,
    /// User display name.
    name: Option<Box<str>>,
    /// User email address.
    email: Option<Box<str>>,
    /// Your unique identifier for this user.
    customer_identifier: CustomerKey,
    /// User environment.
    environment: RespanEnvironment,
    /// Lifetime spending budget in USD.
    total_budget: Option<Number>,
    /// Current period budget in USD.
    period_budget: Option<Number>,
    /// Owning organization name. Always null: a tenant has none.
    organization_name: Option<Box<str>>,
    /// Usage in the current budget period in USD, with the markup.
    total_period_usage: Number,
    /// Start of the current budget period.
    period_start: Timestamp,
    /// End of the current budget period, when it was set.
    period_end: Option<Timestamp>,
    /// Budget renewal period.
    budget_duration: BudgetDuration,
    /// Last update timestamp.
    updated_at: Timestamp,
}

impl User {
    /// Shows a customer. `asked` is the key by which it was asked for; it has another only when that
    /// was changed in this moment.
    pub(super) fn of(document: CustomerDocument, asked: CustomerKey) -> Self {
        let CustomerDocument { profile, budget, usage, updated_at, environment, key, .. } =
            document;
        let id = key.unwrap_or(asked);
        let period = usage.period;
        let custom = budget.period_start == Some(period.start);
        Self {
            customer_identifier: id.clone(),
            id,
            name: profile.name,
            email: profile.email,
            environment: environment.into(),
            total_budget: budget.total_budget.map(Number::from),
            period_budget: budget.period_budget.map(Number::from),
            organization_name: None,
            total_period_usage: period.charged.into(),
            period_start: period.start,
            period_end: budget.period_end.filter(|end| custom && *end == period.end),
            budget_duration: budget.duration,
            updated_at: whole_seconds(updated_at),
        }
    }
}
