//! Billing controls: lists of rules by feature. A list that is given replaces that list.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::field::Patch;
use crate::ids::Meter;
use crate::json::Json;
use crate::money::Amount;
use crate::text::Name;

const fn yes() -> bool {
    true
}

const fn one() -> u32 {
    1
}

/// Asked: lists of billing controls. `null` takes a list away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BillingControlsPatch {
    /// Buy more when the balance is low; one per feature.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub auto_topups: Patch<Vec<AutoTopup>>,
    /// Bounds of overage; one per feature.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub spend_limits: Patch<Vec<SpendLimit>>,
    /// Bounds of usage; one per feature and filter.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub usage_limits: Patch<Vec<UsageLimit>>,
    /// Levels at which to tell.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub usage_alerts: Patch<Vec<UsageAlert>>,
    /// Whether usage may go over the balance; one per feature.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub overage_allowed: Patch<Vec<OverageAllowed>>,
}

/// Billing controls as they stand. A list that was never set is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct BillingControls {
    /// Buy more when the balance is low.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_topups: Option<Vec<AutoTopup>>,
    /// Bounds of overage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spend_limits: Option<Vec<SpendLimit>>,
    /// Bounds of usage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage_limits: Option<Vec<UsageLimit>>,
    /// Levels at which to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage_alerts: Option<Vec<UsageAlert>>,
    /// Whether usage may go over the balance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overage_allowed: Option<Vec<OverageAllowed>>,
}

/// Billing controls were set; all of them, before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BillingControlsSet {
    /// Until now.
    pub from: BillingControls,
    /// From now on.
    pub to: BillingControls,
}

/// Buys a quantity when the balance of a feature falls below the threshold.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AutoTopup {
    /// The feature.
    pub feature_id: Meter,
    /// Whether it is in force.
    #[serde(default)]
    pub enabled: bool,
    /// The balance below which to buy.
    pub threshold: Amount,
    /// How much to buy, 1 or more.
    pub quantity: Amount,
    /// How often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purchase_limit: Option<PurchaseLimit>,
    /// Whether to buy by invoice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invoice_mode: Option<bool>,
}

/// How often an automatic purchase may happen.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PurchaseLimit {
    /// Unit of the span.
    pub interval: Interval,
    /// How many units the span has, 1 or more.
    #[serde(default = "one")]
    pub interval_count: u32,
    /// Most purchases in the span, 1 or more.
    pub limit: u32,
    /// Purchases made already, as the caller counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
}

/// Unit of a span of purchases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Interval {
    /// Hour.
    Hour,
    /// Day.
    Day,
    /// Week.
    Week,
    /// Month.
    Month,
}

/// Bounds what may be spent over the balance.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpendLimit {
    /// The feature; none for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature_id: Option<Meter>,
    /// Whether it is in force.
    #[serde(default)]
    pub enabled: bool,
    /// How `overage_limit` is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_type: Option<LimitType>,
    /// The bound. Needs a feature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overage_limit: Option<Amount>,
    /// Whether overage is not billed. Needs a feature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_overage_billing: Option<bool>,
}

/// How a spend limit is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitType {
    /// An amount.
    Absolute,
    /// Per cent of what was granted.
    UsagePercentage,
}

/// Bounds what may be used in an interval.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UsageLimit {
    /// The feature.
    pub feature_id: Meter,
    /// Whether it is in force.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// The bound.
    pub limit: Amount,
    /// The interval.
    pub interval: LimitInterval,
    /// Where the interval begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<LimitAnchor>,
    /// Which usage counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<UsageFilter>,
}

/// Interval of a usage limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitInterval {
    /// Day.
    Day,
    /// Week.
    Week,
    /// Month.
    Month,
    /// Year.
    Year,
}

/// Where the interval of a usage limit begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitAnchor {
    /// With the billing cycle.
    BillingCycle,
    /// With the calendar in UTC.
    Utc,
}

/// Which usage a limit counts: all of these properties must match.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UsageFilter {
    /// 1 to 4 properties; names to 64 characters, values scalar.
    pub properties: BTreeMap<Box<str>, Json>,
}

/// Tells when a level is reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UsageAlert {
    /// The feature; none for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature_id: Option<Meter>,
    /// Whether it is in force.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// The level.
    pub threshold: Amount,
    /// How the level is meant.
    pub threshold_type: ThresholdType,
    /// What the alert is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
}

/// How the level of an alert is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ThresholdType {
    /// Amount used.
    Usage,
    /// Per cent used, to 100.
    UsagePercentage,
    /// Amount left.
    Remaining,
    /// Per cent left, to 100.
    RemainingPercentage,
}

/// Whether usage of a feature may go over the balance.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OverageAllowed {
    /// The feature.
    pub feature_id: Meter,
    /// Whether it may.
    #[serde(default)]
    pub enabled: bool,
}
