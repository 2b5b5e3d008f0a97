//! Asked: plans, purchases, grants and flags. What is left out is taken as told at each member.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::grant::{Price, RolloverRule};
use super::reset::ResetInterval;
use crate::field::{Edit, Patch};
use crate::ids::{Meter, Token};
use crate::money::Amount;
use crate::time::Timestamp;

const fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_one(count: &u32) -> bool {
    *count == 1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_false(switch: &bool) -> bool {
    !*switch
}

fn is_zero(amount: &Amount) -> bool {
    *amount == Amount::ZERO
}

/// Asked: attach a plan, with what comes with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanAsked {
    /// Its name in the caller's catalogue.
    pub plan_id: Token,
    /// The plan whose place it takes: that ends now. A grant of the new plan goes on with what was
    /// used of the old plan's grant of that feature, as long as their windows are the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Token>,
    /// Whether it goes with another plan.
    #[serde(default, skip_serializing_if = "is_false")]
    pub add_on: bool,
    /// Whether it came by itself, without being bought.
    #[serde(default, skip_serializing_if = "is_false")]
    pub auto_enable: bool,
    /// How many of it, 1 or more.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub quantity: u32,
    /// From when on it is in force; a later moment schedules it. Without: from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When its trial ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial_ends_at: Option<Timestamp>,
    /// When the period began that is paid for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_period_start: Option<Timestamp>,
    /// When that period ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_period_end: Option<Timestamp>,
    /// From when on it is not in force any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The balances that come with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<GrantAsked>,
    /// The features that come with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<FlagAsked>,
}

/// Asked: change facts of an attached plan. `null` takes a moment away: without `canceled_at` and
/// `expires_at` it is not cancelled any more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanPatch {
    /// Whether it goes with another plan.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    pub add_on: Edit<bool>,
    /// Whether it came by itself.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    pub auto_enable: Edit<bool>,
    /// How many of it, 1 or more.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    pub quantity: Edit<u32>,
    /// Whether a payment is due.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    pub past_due: Edit<bool>,
    /// When its trial ends.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub trial_ends_at: Patch<Timestamp>,
    /// When the period began that is paid for.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub current_period_start: Patch<Timestamp>,
    /// When that period ends.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub current_period_end: Patch<Timestamp>,
    /// When it was cancelled.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub canceled_at: Patch<Timestamp>,
    /// From when on it is not in force any more, nor what came with it.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub expires_at: Patch<Timestamp>,
}

/// Asked: when a plan was cancelled, and when it ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cancellation {
    /// When it was cancelled. Without: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canceled_at: Option<Timestamp>,
    /// When it ends. Without: with the period that is paid for; when there is none, now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// Asked: record a purchase that was made once, with what comes with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PurchaseAsked {
    /// The caller's name for it, unique within the customer: a repeat changes nothing.
    pub purchase_id: Token,
    /// What was bought.
    pub plan_id: Token,
    /// How many of it, 1 or more.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub quantity: u32,
    /// From when on it is in force. Without: from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// From when on it is not in force any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The balances that come with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<GrantAsked>,
    /// The features that come with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<FlagAsked>,
}

/// Asked: a balance of a feature. One of that name that is in force is changed, from the window of
/// now on: what was used stays used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantAsked {
    /// The caller's name for it.
    pub grant_id: Token,
    /// The feature. It cannot be changed.
    pub feature_id: Meter,
    /// The plan that it belongs to; it ends with it. Within a plan or purchase: that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_id: Option<Token>,
    /// What is included, in each window.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub included: Amount,
    /// What is paid for in advance, in each window.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub prepaid: Amount,
    /// Whether there is no bound.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unlimited: bool,
    /// Whether usage may go over it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub overage_allowed: bool,
    /// How much may be bought beyond what is included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_purchase: Option<Amount>,
    /// When usage of it begins again at zero. Without: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<ResetAsked>,
    /// What of it is carried over when it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollover: Option<RolloverRule>,
    /// What it costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// From when on usage counts against it, also usage that was reported before. Without: as
    /// before; for a new one from now on, within a plan or purchase from its start on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Timestamp>,
    /// From when on it is not in force any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// Asked: when a balance begins again at zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetAsked {
    /// Unit of a window.
    pub interval: ResetInterval,
    /// How many units a window has, 1 or more.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub interval_count: u32,
    /// Where a window begins. Without: as in the grant that it changes or whose place it takes, if
    /// that has windows of the same length; else where the grant starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<Timestamp>,
}

/// Asked: a feature that is switched on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlagAsked {
    /// The caller's name for it.
    pub flag_id: Token,
    /// The feature.
    pub feature_id: Meter,
    /// The plan that it belongs to; it ends with it. Within a plan or purchase: that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_id: Option<Token>,
    /// From when on it is off again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}
