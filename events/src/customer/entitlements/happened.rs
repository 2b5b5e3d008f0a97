//! What happened to plans, purchases, grants and flags, and what was told about balances.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::grant::{Flag, Grant, Plan, Purchase};
use crate::customer::ThresholdType;
use crate::ids::{Meter, Token};
use crate::money::{Amount, Total};
use crate::period::Window;
use crate::text::Name;
use crate::time::Timestamp;

/// A plan was attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanAttached {
    /// The plan.
    pub plan: Plan,
}

/// Facts of an attached plan changed; all of them, before and after. When it ends at another moment,
/// so do the grants and flags that were to end with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanChanged {
    /// Until now.
    pub from: Plan,
    /// From now on.
    pub to: Plan,
}

/// A plan was cancelled. It ends, and the grants and flags that came with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanCanceled {
    /// The plan.
    pub plan_id: Token,
    /// When it was cancelled.
    pub canceled_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Something was bought once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PurchaseRecorded {
    /// The purchase.
    pub purchase: Purchase,
}

/// A balance was granted, or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BalanceGranted {
    /// The grant.
    pub grant: Grant,
    /// From when on usage counts against it: for a change the beginning of the window of then.
    pub counts_from: Timestamp,
    /// The grant of that name until now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<Box<Grant>>,
}

/// A grant was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GrantRevoked {
    /// The grant.
    pub grant: Grant,
    /// From when on usage does not count against it any more.
    pub ends_at: Timestamp,
}

/// A feature was switched on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FlagSet {
    /// The flag.
    pub flag: Flag,
    /// The flag of that feature until now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<Flag>,
}

/// A feature was switched off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FlagCleared {
    /// The flag.
    pub flag: Flag,
}

/// A balance fell below the threshold of an auto top-up: who buys is asked to buy, and to record it
/// as a grant or purchase. Told again only after the balance was at the threshold or above.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AutoTopupTriggered {
    /// The feature.
    pub feature_id: Meter,
    /// The balance below which to buy.
    pub threshold: Amount,
    /// How much to buy.
    pub quantity: Amount,
    /// What is left.
    pub remaining: Total,
    /// The window of the balance: the one of its grants that ends first.
    pub window: Window,
    /// Whether to buy by invoice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invoice_mode: Option<bool>,
    /// Where purchases are bounded: this one and those before it, in the span that counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purchases: Option<PurchasesCounted>,
}

/// Purchases in a span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PurchasesCounted {
    /// How many, with this one.
    pub count: u32,
    /// How many there may be.
    pub limit: u32,
    /// The span: it begins with the first of them.
    pub span: Window,
}

/// The level of a usage alert was reached: told once in a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsageAlertTriggered {
    /// The feature.
    pub feature_id: Meter,
    /// What the alert is called.
    pub name: Option<Name>,
    /// The level.
    pub threshold: Amount,
    /// How the level is meant.
    pub threshold_type: ThresholdType,
    /// What may be used.
    pub granted: Total,
    /// What was used.
    pub usage: Total,
    /// What is left.
    pub remaining: Total,
    /// The window of the balance: the one of its grants that ends first.
    pub window: Window,
}

/// Nothing is left of a balance: told once in a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BalanceLimitReached {
    /// The feature.
    pub feature_id: Meter,
    /// Which bound was reached.
    pub limit_type: BalanceLimit,
    /// What may be used.
    pub granted: Total,
    /// What was used.
    pub usage: Total,
    /// The window of the balance: the one of its grants that ends first.
    pub window: Window,
}

/// A bound of a balance.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum BalanceLimit {
    /// What was granted.
    Included,
    /// What was granted and what may be bought beyond it.
    MaxPurchase,
}
