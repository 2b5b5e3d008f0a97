//! What a customer is entitled to at a moment: the shape of the answer. Nothing in it is made up:
//! what no command has set is empty.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::grant::{Flag, Price, Purchase};
use super::limits::LimitStanding;
use super::reset::ResetInterval;
use crate::ids::{Meter, Token};
use crate::money::{Amount, Total};
use crate::time::Timestamp;

/// All that a customer is entitled to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Entitlements {
    /// Plans that are attached and in force, or scheduled, in the order in which they were attached.
    pub subscriptions: Vec<Subscription>,
    /// Purchases made once and in force, in the order in which they were recorded.
    pub purchases: Vec<Purchase>,
    /// Balances by feature.
    pub balances: BTreeMap<Meter, Balance>,
    /// Features that are switched on, by feature.
    pub flags: BTreeMap<Meter, Flag>,
    /// Usage limits of the billing controls, in their order, and what of each is used.
    pub usage_limits: Vec<LimitStanding>,
}

/// A plan that is attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Subscription {
    /// Its name in the caller's catalogue.
    pub plan_id: Token,
    /// Whether it came by itself, without being bought.
    pub auto_enable: bool,
    /// Whether it goes with another plan.
    pub add_on: bool,
    /// Whether it has begun.
    pub status: SubscriptionStatus,
    /// Whether a payment is due.
    pub past_due: bool,
    /// When it was cancelled.
    pub canceled_at: Option<Timestamp>,
    /// From when on it is not in force any more.
    pub expires_at: Option<Timestamp>,
    /// When its trial ends.
    pub trial_ends_at: Option<Timestamp>,
    /// From when on it is in force.
    pub started_at: Timestamp,
    /// When the period began that is paid for.
    pub current_period_start: Option<Timestamp>,
    /// When that period ends.
    pub current_period_end: Option<Timestamp>,
    /// How many of it.
    pub quantity: u32,
}

/// Whether a plan has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionStatus {
    /// It is in force.
    Active,
    /// It will be.
    Scheduled,
}

/// The balance of one feature over all its grants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Balance {
    /// The feature.
    pub feature_id: Meter,
    /// What may be used, with what was carried over.
    pub granted: Total,
    /// What is left of it, 0 or more.
    pub remaining: Total,
    /// What was used, in the window of each grant.
    pub usage: Total,
    /// Whether there is no bound.
    pub unlimited: bool,
    /// Whether usage may go over it.
    pub overage_allowed: bool,
    /// How much may be bought beyond what is included.
    pub max_purchase: Option<Total>,
    /// When the first of the grants begins again at zero.
    pub next_reset_at: Option<Timestamp>,
    /// By grant, in the order in which usage counts against them.
    pub breakdown: Vec<BalanceBreakdown>,
    /// What was carried over, in the order in which it expires.
    pub rollovers: Vec<Rollover>,
}

/// What one grant has in a balance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BalanceBreakdown {
    /// The grant.
    pub id: Token,
    /// The plan that it came with.
    pub plan_id: Option<Token>,
    /// What is included, in each window.
    pub included_grant: Amount,
    /// What is paid for in advance, in each window.
    pub prepaid_grant: Amount,
    /// What is left, 0 or more.
    pub remaining: Total,
    /// What was used in this window.
    pub usage: Total,
    /// Whether there is no bound.
    pub unlimited: bool,
    /// When it begins again at zero.
    pub reset: Option<Reset>,
    /// What it costs.
    pub price: Option<Price>,
    /// From when on it is not in force any more.
    pub expires_at: Option<Timestamp>,
}

/// When a grant begins again at zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Reset {
    /// Unit of its windows.
    pub interval: ResetInterval,
    /// How many units a window has.
    pub interval_count: u32,
    /// When the window of now ends; never for one that is given once.
    pub resets_at: Option<Timestamp>,
}

/// What was carried over from one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Rollover {
    /// What was carried over of what was left then, and is not lost to a bound.
    pub granted: Total,
    /// What is left of it now.
    pub balance: Total,
    /// When that is lost.
    pub expires_at: Option<Timestamp>,
}
