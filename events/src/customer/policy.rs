//! The spending policy: what a single spend must keep to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::field::Patch;
use crate::money::Amount;
use crate::text::{Mcc, Text};

/// Asked: policy, merged into what there is; lists are replaced as lists; `null` takes a rule away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyPatch {
    /// A spend needs an intent.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub require_intent: Patch<bool>,
    /// A spend needs an attestation.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub require_attestation: Patch<bool>,
    /// A spend needs an approval.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub require_approval: Patch<bool>,
    /// Spends below this need no approval, USD.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub auto_approve_below: Patch<Amount>,
    /// How long an attestation counts.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub attestation_window_minutes: Patch<u64>,
    /// Pause between two spends.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub cooldown_minutes: Patch<u64>,
    /// How long an authorisation lives, in minutes.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub ttl_minutes: Patch<u64>,
    /// How long an authorisation lives, in days.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub ttl_days: Patch<u64>,
    /// Amounts, merged.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub limits: Patch<LimitsPatch>,
    /// Merchant categories that are allowed; empty allows all.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub allowed_mccs: Patch<Vec<Mcc>>,
    /// Merchant categories that are not.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub blocked_mccs: Patch<Vec<Mcc>>,
    /// Merchants that are allowed.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub allowed_merchants: Patch<Vec<Text<255>>>,
    /// Whether the first merchant stays the only one.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub lock_to_first_merchant: Patch<bool>,
}

/// Asked: limits of the policy, USD.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsPatch {
    /// Per transaction.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub per_auth: Patch<Amount>,
    /// Per 24 hours, rolling.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub per_day: Patch<Amount>,
    /// Per calendar month (UTC).
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub per_month: Patch<Amount>,
}

/// The policy as it stands. What was never set is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Policy {
    /// A spend needs an intent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require_intent: Option<bool>,
    /// A spend needs an attestation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require_attestation: Option<bool>,
    /// A spend needs an approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require_approval: Option<bool>,
    /// Spends below this need no approval, USD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_approve_below: Option<Amount>,
    /// How long an attestation counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attestation_window_minutes: Option<u64>,
    /// Pause between two spends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown_minutes: Option<u64>,
    /// How long an authorisation lives, in minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_minutes: Option<u64>,
    /// How long an authorisation lives, in days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_days: Option<u64>,
    /// Amounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Merchant categories that are allowed; empty allows all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_mccs: Option<Vec<Mcc>>,
    /// Merchant categories that are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked_mccs: Option<Vec<Mcc>>,
    /// Merchants that are allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_merchants: Option<Vec<Text<255>>>,
    /// Whether the first merchant stays the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_to_first_merchant: Option<bool>,
}

/// Limits of the policy as they stand, USD.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// Per transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_auth: Option<Amount>,
    /// Per 24 hours, rolling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_day: Option<Amount>,
    /// Per calendar month (UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_month: Option<Amount>,
}

/// The policy changed; all of it, before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyChanged {
    /// Until now.
    pub from: Option<Policy>,
    /// From now on.
    pub to: Option<Policy>,
}
