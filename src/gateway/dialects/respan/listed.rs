//! A customer as a list shows it, and the fields by which lists are sorted and filtered.

use std::borrow::Cow;
use std::cmp::Ordering;

use schemars::JsonSchema;
use serde::Serialize;
use tallybook_events::customer::CustomerDocument;
use tallybook_events::ids::{CustomerKey, Tenant};
use tallybook_events::money::{Amount, Total};
use tallybook_events::period::BudgetDuration;
use tallybook_events::time::Timestamp;

use super::asked::RespanEnvironment;
use crate::gateway::moment::whole_seconds;
use crate::gateway::number::Number;

/// A field of a listed customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// The key.
    CustomerIdentifier,
    /// The name.
    Name,
    /// The e-mail address.
    Email,
    /// The environment.
    Environment,
    /// When it was born.
    FirstSeen,
    /// When it used something last.
    LastActive,
    /// Days (UTC) on which it used something.
    ActiveDays,
    /// Reports of usage.
    Requests,
    /// All that it was charged.
    Cost,
    /// What Respan knows of a customer, and we do not: nothing, always.
    Unknown(&'static str),
}

impl Field {
    /// The fields by which lists are sorted.
    pub(super) const SORTED: [Self; 10] = [
        Self::CustomerIdentifier,
        Self::Name,
        Self::Email,
        Self::FirstSeen,
        Self::LastActive,
        Self::ActiveDays,
        Self::Requests,
        Self::Cost,
        Self::Unknown("total_tokens"),
        Self::Unknown("average_latency"),
    ];
    /// The fields by which lists are filtered.
    pub(super) const FILTERED: [Self; 12] = [
        Self::CustomerIdentifier,
        Self::Name,
        Self::Email,
        Self::Environment,
        Self::Requests,
        Self::Cost,
        Self::ActiveDays,
        Self::Unknown("total_tokens"),
        Self::Unknown("total_prompt_tokens"),
        Self::Unknown("total_completion_tokens"),
        Self::Unknown("average_latency"),
        Self::Unknown("average_ttft"),
    ];

    /// Gives its name.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::CustomerIdentifier => "customer_identifier",
            Self::Name => "name",
            Self::Email => "email",
            Self::Environment => "environment",
            Self::FirstSeen => "first_seen",
            Self::LastActive => "last_active_timeframe",
            Self::ActiveDays => "active_days",
            Self::Requests => "number_of_requests",
            Self::Cost => "total_cost",
            Self::Unknown(name) => name,
        }
    }

    /// Tells whether it is a text; the others are numbers.
    pub(super) const fn is_text(self) -> bool {
        matches!(self, Self::CustomerIdentifier | Self::Name | Self::Email | Self::Environment)
    }
}

/// What stands in a field of one customer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cell<'a> {
    /// A text; empty when there is none.
    Text(Cow<'a, str>),
    /// A number.
    Number(Total),
    /// A moment.
    Moment(Timestamp),
    /// Nothing.
    Nothing,
}

impl Cell<'_> {
    /// Gives it as a text.
    pub(super) fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Number(number) => Some(number.to_string().into()),
            Self::Moment(moment) => Some(moment.to_string().into()),
            Self::Nothing => None,
        }
    }

    /// Compares it with a value; nothing is not comparable.
    pub(super) fn compare(&self, text: &str, number: Option<Total>) -> Option<Ordering> {
        match self {
            Self::Text(own) => Some(own.as_ref().cmp(text)),
            Self::Number(own) => number.map(|number| own.cmp(&number)),
            Self::Moment(_) | Self::Nothing => None,
        }
    }

    /// Gives the order of two cells of one field. Nothing comes last, whatever the direction.
    pub(super) fn order(&self, other: &Self, descending: bool) -> Ordering {
        let order = match (self, other) {
            (Self::Nothing, Self::Nothing) => return Ordering::Equal,
            (Self::Nothing, _) => return Ordering::Greater,
            (_, Self::Nothing) => return Ordering::Less,
            (Self::Number(own), Self::Number(other)) => own.cmp(other),
            (Self::Moment(own), Self::Moment(other)) => own.cmp(other),
            _ => self.text().cmp(&other.text()),
        };
        if descending { order.reverse() } else { order }
    }
}

/// When a customer used something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Activity {
    /// Last.
    pub(super) last: Option<Timestamp>,
    /// On how many days (UTC).
    pub(super) days: u32,
}

/// A customer of a list.
#[derive(Debug)]
pub(super) struct Row {
    /// As it stands.
    pub(super) document: CustomerDocument,
    /// When it used something, where that was looked up.
    pub(super) activity: Option<Activity>,
}

impl Row {
    /// Gives what stands in a field.
    pub(super) fn cell(&self, field: Field) -> Cell<'_> {
        let CustomerDocument { profile, usage, .. } = &self.document;
        let text = |text: Option<&str>| Cell::Text(text.unwrap_or_default().to_owned().into());
        let count = |count: u64| Amount::new(count.into()).map_or(Cell::Nothing, number);
        let activity = self.activity.unwrap_or_default();
        match field {
            Field::CustomerIdentifier => text(self.document.key.as_ref().map(CustomerKey::as_str)),
            Field::Name => text(profile.name.as_deref()),
            Field::Email => text(profile.email.as_deref()),
            Field::Environment => {
                text(Some(RespanEnvironment::from(self.document.environment).as_str()))
            }
            Field::FirstSeen => Cell::Moment(self.document.created_at),
            Field::LastActive => activity.last.map_or(Cell::Nothing, Cell::Moment),
            Field::ActiveDays => count(activity.days.into()),
            Field::Requests => count(usage.lifetime.count),
            Field::Cost => Cell::Number(usage.lifetime.charged),
            Field::Unknown(_) => Cell::Nothing,
        }
    }
}

fn number<'a>(amount: Amount) -> Cell<'a> {
    Cell::Number(amount.into())
}

/// A user of a list. What is null is not known here.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct ListedUser {
    /// Synthetic user ID: identifier, environment and organization in a row.
    id: String,
    /// Your unique identifier for the user.
    customer_identifier: CustomerKey,
    /// Organization unique ID: the tenant.
    unique_organization_id: Tenant,
    /// User environment.
    environment: RespanEnvironment,
    /// User display name.
    name: Option<Box<str>>,
    /// User email address.
    email: Option<Box<str>>,
    /// When the user was first observed.
    first_seen: Timestamp,
    /// Most recent usage.
    last_active_timeframe: Option<Timestamp>,
    /// Number of days (UTC) with usage.
    active_days: u32,
    /// Total reports of usage for this user.
    number_of_requests: u64,
    /// Alias of `number_of_requests`.
    total_requests: u64,
    /// Always null: usage is counted by any meter, not in tokens.
    total_tokens: Option<u64>,
    /// Alias of `total_tokens`.
    tokens: Option<u64>,
    /// Total cost in USD, with the markup.
    total_cost: Number,
    /// Alias of `total_cost`.
    cost: Number,
    /// Always null.
    average_latency: Option<Number>,
    /// Always null.
    average_ttft: Option<Number>,
    /// Always null.
    average_monthly_cost: Option<Number>,
    /// Current period budget in USD, when configured.
    period_budget: Option<Number>,
    /// Budget renewal period.
    budget_duration: BudgetDuration,
    /// Lifetime spending budget in USD, when configured.
    total_budget: Option<Number>,
}

impl ListedUser {
    /// Shows a customer of a list; nothing when it has no key, for here it has no name then.
    pub(super) fn of(row: Row) -> Option<Self> {
        let CustomerDocument {
            key, tenant, environment, profile, budget, usage, created_at, ..
        } = row.document;
        let (key, environment) = (key?, RespanEnvironment::from(environment));
        let activity = row.activity.unwrap_or_default();
        let (requests, cost) = (usage.lifetime.count, Number::from(usage.lifetime.charged));
        Some(Self {
            id: format!("{key}{}{tenant}", environment.as_str()),
            customer_identifier: key,
            unique_organization_id: tenant,
            environment,
            name: profile.name,
            email: profile.email,
            first_seen: whole_seconds(created_at),
            last_active_timeframe: activity.last.map(whole_seconds),
            active_days: activity.days,
            number_of_requests: requests,
            total_requests: requests,
            total_tokens: None,
            tokens: None,
            total_cost: cost,
            cost,
            average_latency: None,
            average_ttft: None,
            average_monthly_cost: None,
            period_budget: budget.period_budget.map(Number::from),
            budget_duration: budget.duration,
            total_budget: budget.total_budget.map(Number::from),
        })
    }
}
