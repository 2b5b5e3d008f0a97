//! Subscriptions, purchases, balances and flags, as an answer has them.

use schemars::JsonSchema;
use serde::Serialize;
use tallybook_events::customer::entitlements::{
    self as facts, BillingMethod, ResetInterval, SubscriptionStatus, TierBehavior,
};
use tallybook_events::ids::Token;

use super::super::version::ApiVersion;
use super::customer::millis;
use crate::gateway::number::Number;

/// A plan that is attached.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Subscription<'a> {
    /// Its id, after version 2.1: that of the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "&'a str")]
    id: Option<&'a str>,
    /// The plan.
    plan_id: &'a str,
    /// Whether it came by itself, without being bought.
    auto_enable: bool,
    /// Whether it goes with another plan.
    add_on: bool,
    /// Whether it has begun.
    status: SubscriptionStatus,
    /// Whether a payment is due.
    past_due: bool,
    /// When it was cancelled, in milliseconds.
    canceled_at: Option<i64>,
    /// When it ends.
    expires_at: Option<i64>,
    /// When its trial ends.
    trial_ends_at: Option<i64>,
    /// When it began, or begins.
    started_at: i64,
    /// When the period that is paid for began.
    current_period_start: Option<i64>,
    /// When that period ends.
    current_period_end: Option<i64>,
    /// How many of it.
    quantity: u32,
}

impl<'a> Subscription<'a> {
    pub(super) fn of(plan: &'a facts::Subscription, version: ApiVersion) -> Self {
        let plan_id = plan.plan_id.as_str();
        Self {
            id: (version > ApiVersion::DEFAULT).then_some(plan_id),
            plan_id,
            auto_enable: plan.auto_enable,
            add_on: plan.add_on,
            status: plan.status,
            past_due: plan.past_due,
            canceled_at: plan.canceled_at.map(millis),
            expires_at: plan.expires_at.map(millis),
            trial_ends_at: plan.trial_ends_at.map(millis),
            started_at: millis(plan.started_at),
            current_period_start: plan.current_period_start.map(millis),
            current_period_end: plan.current_period_end.map(millis),
            quantity: plan.quantity,
        }
    }
}

/// A purchase made once.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Purchase<'a> {
    /// What was bought.
    plan_id: &'a str,
    /// When it ends, in milliseconds.
    expires_at: Option<i64>,
    /// When it began.
    started_at: i64,
    /// How many of it.
    quantity: u32,
}

impl<'a> Purchase<'a> {
    pub(super) fn of(purchase: &'a facts::Purchase) -> Self {
        Self {
            plan_id: purchase.plan_id.as_str(),
            expires_at: purchase.expires_at.map(millis),
            started_at: millis(purchase.started_at),
            quantity: purchase.quantity,
        }
    }
}

/// A feature that is switched on.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Flag<'a> {
    /// Its id.
    id: &'a str,
    /// The plan that it came with.
    plan_id: Option<&'a str>,
    /// When it ends, in milliseconds.
    expires_at: Option<i64>,
    /// The feature.
    feature_id: &'a str,
}

impl<'a> Flag<'a> {
    pub(super) fn of(flag: &'a facts::Flag) -> Self {
        Self {
            id: flag.flag_id.as_str(),
            plan_id: flag.plan_id.as_ref().map(Token::as_str),
            expires_at: flag.expires_at.map(millis),
            feature_id: flag.feature_id.as_str(),
        }
    }
}

/// The balance of a feature.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Balance<'a> {
    /// The feature.
    feature_id: &'a str,
    /// What may be used.
    granted: Number,
    /// What is left of it, 0 or more.
    #[schemars(range(min = 0))]
    remaining: Number,
    /// What was used.
    usage: Number,
    /// Whether there is no bound.
    unlimited: bool,
    /// Whether usage may go over it.
    overage_allowed: bool,
    /// How much may be bought beyond what is included.
    max_purchase: Option<Number>,
    /// When the first of the grants begins again at zero, in milliseconds.
    next_reset_at: Option<i64>,
    /// By grant.
    breakdown: Vec<Breakdown<'a>>,
    /// What was carried over, if anything was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rollovers: Vec<Rollover>,
}

impl<'a> Balance<'a> {
    pub(super) fn of(balance: &'a facts::Balance) -> Self {
        Self {
            feature_id: balance.feature_id.as_str(),
            granted: balance.granted.into(),
            remaining: balance.remaining.into(),
            usage: balance.usage.into(),
            unlimited: balance.unlimited,
            overage_allowed: balance.overage_allowed,
            max_purchase: balance.max_purchase.map(Number::from),
            next_reset_at: balance.next_reset_at.map(millis),
            breakdown: balance.breakdown.iter().map(Breakdown::of).collect(),
            rollovers: balance.rollovers.iter().map(Rollover::of).collect(),
        }
    }
}

/// What one grant has in a balance.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Breakdown<'a> {
    /// The grant.
    id: &'a str,
    /// The plan that it came with.
    plan_id: Option<&'a str>,
    /// What is included.
    included_grant: Number,
    /// What is paid for in advance.
    prepaid_grant: Number,
    /// What is left, 0 or more.
    #[schemars(range(min = 0))]
    remaining: Number,
    /// What was used.
    usage: Number,
    /// Whether there is no bound.
    unlimited: bool,
    /// When it begins again at zero.
    reset: Option<Reset>,
    /// What it costs.
    price: Option<Price>,
    /// When it ends, in milliseconds.
    expires_at: Option<i64>,
}

impl<'a> Breakdown<'a> {
    fn of(grant: &'a facts::BalanceBreakdown) -> Self {
        Self {
            id: grant.id.as_str(),
            plan_id: grant.plan_id.as_ref().map(Token::as_str),
            included_grant: grant.included_grant.into(),
            prepaid_grant: grant.prepaid_grant.into(),
            remaining: grant.remaining.into(),
            usage: grant.usage.into(),
            unlimited: grant.unlimited,
            reset: grant.reset.map(|reset| Reset {
                interval: reset.interval,
                interval_count: (reset.interval_count > 1).then_some(reset.interval_count),
                resets_at: reset.resets_at.map(millis),
            }),
            price: grant.price.as_ref().map(Price::of),
            expires_at: grant.expires_at.map(millis),
        }
    }
}

/// When a grant begins again at zero.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Reset {
    /// Unit of its windows.
    interval: ResetInterval,
    /// How many units a window has, when it is more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32")]
    interval_count: Option<u32>,
    /// When the window ends, in milliseconds.
    resets_at: Option<i64>,
}

/// What was carried over from one window.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Rollover {
    /// What was carried over of what was left then.
    granted: Number,
    /// What is left of it now.
    balance: Number,
    /// When that is lost, in milliseconds; never: `null`.
    expires_at: Option<i64>,
}

impl Rollover {
    fn of(rollover: &facts::Rollover) -> Self {
        Self {
            granted: rollover.granted.into(),
            balance: rollover.balance.into(),
            expires_at: rollover.expires_at.map(millis),
        }
    }
}

/// What a grant costs.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Price {
    /// The price of so many units as `billing_units` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Number")]
    amount: Option<Number>,
    /// Prices by how much is bought.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<Tier>")]
    tiers: Option<Vec<Tier>>,
    /// How the tiers are meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TierBehavior")]
    tier_behavior: Option<TierBehavior>,
    /// How many units the price is for.
    billing_units: Number,
    /// When it is paid.
    billing_method: BillingMethod,
    /// How much may be bought.
    max_purchase: Option<Number>,
}

impl Price {
    fn of(price: &facts::Price) -> Self {
        let tier = |tier: &facts::PriceTier| Tier {
            to: tier.to.map_or(To::Rest(Infinite::Inf), |to| To::Quantity(to.into())),
            amount: tier.amount.into(),
            flat_amount: tier.flat_amount.map(Number::from),
        };
        Self {
            amount: price.amount.map(Number::from),
            tiers: price.tiers.as_ref().map(|tiers| tiers.iter().map(tier).collect()),
            tier_behavior: price.tier_behavior,
            billing_units: price.billing_units.into(),
            billing_method: price.billing_method,
            max_purchase: price.max_purchase.map(Number::from),
        }
    }
}

/// The price up to some quantity.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Tier {
    /// The quantity up to which it counts.
    to: To,
    /// The price.
    amount: Number,
    /// What is added once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Number")]
    flat_amount: Option<Number>,
}

/// The end of a tier.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum To {
    /// A quantity.
    Quantity(Number),
    /// None.
    Rest(Infinite),
}

/// No end.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Infinite {
    /// No end.
    Inf,
}
