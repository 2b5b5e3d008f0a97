//! What a customer may use: balances granted, features switched on, and what came with which plan.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reset::ResetRule;
use crate::ids::{Meter, Token};
use crate::money::Amount;
use crate::time::Timestamp;

/// A balance of one feature. Usage reports whose meter has the feature's name count against it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Grant {
    /// The caller's name for it, unique among the grants of the customer that are in force.
    pub grant_id: Token,
    /// The feature.
    pub feature_id: Meter,
    /// The plan that it came with.
    pub plan_id: Option<Token>,
    /// What is included, in each window.
    pub included: Amount,
    /// What is paid for in advance, in each window.
    pub prepaid: Amount,
    /// Whether there is no bound.
    pub unlimited: bool,
    /// Whether usage may go over it.
    pub overage_allowed: bool,
    /// How much may be bought beyond what is included.
    pub max_purchase: Option<Amount>,
    /// When usage of it begins again at zero. Without: never.
    pub reset: Option<ResetRule>,
    /// What of it is carried over when it does.
    pub rollover: Option<RolloverRule>,
    /// What it costs.
    pub price: Option<Price>,
    /// From when on it is in force.
    pub starts_at: Timestamp,
    /// From when on it is not any more.
    pub expires_at: Option<Timestamp>,
}

impl Grant {
    /// Gives what may be used in a window, in trillionths.
    pub fn granted(&self) -> i128 {
        self.included.trillionths() + self.prepaid.trillionths()
    }
}

/// What is left of a balance at the end of a window, and is used first from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloverRule {
    /// The most that may be carried over in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Amount>,
    /// For how many windows it lasts, 1 or more. Without: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<u32>,
}

/// What a balance costs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// The price of so many units as `billing_units` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
    /// Prices by how much is bought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tiers: Option<Vec<PriceTier>>,
    /// How the tiers are meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier_behavior: Option<TierBehavior>,
    /// How many units the price is for, more than 0.
    #[serde(default = "one")]
    pub billing_units: Amount,
    /// When it is paid.
    pub billing_method: BillingMethod,
    /// How much may be bought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_purchase: Option<Amount>,
}

fn one() -> Amount {
    Amount::from(1)
}

/// The price up to some quantity.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceTier {
    /// The quantity up to which it counts. Without: whatever is above the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Amount>,
    /// The price.
    pub amount: Amount,
    /// What is added once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flat_amount: Option<Amount>,
}

/// How price tiers are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TierBehavior {
    /// Each part of the quantity at the price of its tier.
    Graduated,
    /// All of it at the price of the tier that it reaches.
    Volume,
}

/// When something is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BillingMethod {
    /// Before it is used.
    Prepaid,
    /// After it was used.
    UsageBased,
}

/// A plan that was attached: a subscription, as it was told.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// Its name in the caller's catalogue.
    pub plan_id: Token,
    /// Whether it goes with another plan.
    pub add_on: bool,
    /// Whether it came by itself, without being bought.
    pub auto_enable: bool,
    /// How many of it.
    pub quantity: u32,
    /// Whether a payment is due.
    pub past_due: bool,
    /// From when on it is in force; until then it is scheduled.
    pub started_at: Timestamp,
    /// When its trial ends.
    pub trial_ends_at: Option<Timestamp>,
    /// When the period began that is paid for.
    pub current_period_start: Option<Timestamp>,
    /// When that period ends.
    pub current_period_end: Option<Timestamp>,
    /// When it was cancelled.
    pub canceled_at: Option<Timestamp>,
    /// From when on it is not in force any more.
    pub expires_at: Option<Timestamp>,
}

/// A purchase that was made once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Purchase {
    /// The caller's name for it, unique within the customer.
    pub purchase_id: Token,
    /// What was bought.
    pub plan_id: Token,
    /// How many of it.
    pub quantity: u32,
    /// From when on it is in force.
    pub started_at: Timestamp,
    /// From when on it is not in force any more.
    pub expires_at: Option<Timestamp>,
}

/// A feature that is switched on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Flag {
    /// The caller's name for it.
    pub flag_id: Token,
    /// The feature.
    pub feature_id: Meter,
    /// The plan that it came with.
    pub plan_id: Option<Token>,
    /// From when on it is off again.
    pub expires_at: Option<Timestamp>,
}
