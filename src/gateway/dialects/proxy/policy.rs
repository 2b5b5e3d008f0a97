//! The spending policy as Proxy has it: asked for and shown, in cents.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tallybook_events::customer::{Limits, LimitsPatch, Policy, PolicyPatch};
use tallybook_events::field::{Edit, Patch};
use tallybook_events::text::{Mcc, Text};

use super::number::{Cents, Whole, cents};
use crate::gateway::number::Number;

/// Spending policy controls. They are merged into those that there are; lists are replaced as lists.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AskedPolicy {
    /// Require an intent before card access.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    require_intent: Edit<bool>,
    /// Require attestation for card access.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    require_attestation: Edit<bool>,
    /// Require manual approval for intents.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    require_approval: Edit<bool>,
    /// Auto-approve intents below this amount, in cents.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    auto_approve_below: Edit<Cents>,
    /// Minutes that access credentials remain valid.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    attestation_window_minutes: Edit<Whole>,
    /// Minimum minutes between transactions.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    cooldown_minutes: Edit<Whole>,
    /// Card time-to-live in minutes.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    ttl_minutes: Edit<Whole>,
    /// Card time-to-live in days.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    ttl_days: Edit<Whole>,
    /// Limits of what is spent.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    limits: Edit<AskedLimits>,
    /// Allowed merchant category codes.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    allowed_mccs: Edit<Vec<Mcc>>,
    /// Blocked merchant category codes.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    blocked_mccs: Edit<Vec<Mcc>>,
    /// Allowed merchant names.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    allowed_merchants: Edit<Vec<Text<255>>>,
    /// Lock to the first merchant used.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    lock_to_first_merchant: Edit<bool>,
}

/// Limits of what is spent.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(inline)]
struct AskedLimits {
    /// Maximum amount per authorization, in cents.
    #[serde(rename = "perAuth", default, skip_serializing_if = "Edit::is_keep")]
    auth: Edit<Cents>,
    /// Maximum amount in any 24 hours, in cents.
    #[serde(rename = "perDay", default, skip_serializing_if = "Edit::is_keep")]
    day: Edit<Cents>,
    /// Maximum amount in a calendar month, in cents.
    #[serde(rename = "perMonth", default, skip_serializing_if = "Edit::is_keep")]
    month: Edit<Cents>,
}

impl From<AskedPolicy> for PolicyPatch {
    fn from(asked: AskedPolicy) -> Self {
        Self {
            require_intent: set(asked.require_intent, |rule| rule),
            require_attestation: set(asked.require_attestation, |rule| rule),
            require_approval: set(asked.require_approval, |rule| rule),
            auto_approve_below: set(asked.auto_approve_below, |cents| cents.0),
            attestation_window_minutes: set(asked.attestation_window_minutes, |whole| whole.0),
            cooldown_minutes: set(asked.cooldown_minutes, |whole| whole.0),
            ttl_minutes: set(asked.ttl_minutes, |whole| whole.0),
            ttl_days: set(asked.ttl_days, |whole| whole.0),
            limits: set(asked.limits, |limits| LimitsPatch {
                per_auth: set(limits.auth, |cents| cents.0),
                per_day: set(limits.day, |cents| cents.0),
                per_month: set(limits.month, |cents| cents.0),
            }),
            allowed_mccs: set(asked.allowed_mccs, |list| list),
            blocked_mccs: set(asked.blocked_mccs, |list| list),
            allowed_merchants: set(asked.allowed_merchants, |list| list),
            lock_to_first_merchant: set(asked.lock_to_first_merchant, |rule| rule),
        }
    }
}

/// Takes what is asked, in another type, as a patch: this API clears nothing.
pub(super) fn set<T, U>(asked: Edit<T>, of: impl FnOnce(T) -> U) -> Patch<U> {
    match asked {
        Edit::Keep => Patch::Keep,
        Edit::Set(value) => Patch::Set(of(value)),
    }
}

/// Spending policy controls. What was never set is not there.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Policy", deny_unknown_fields)]
pub(super) struct ShownPolicy {
    /// Require an intent before card access.
    #[serde(skip_serializing_if = "Option::is_none")]
    require_intent: Option<bool>,
    /// Require attestation for card access.
    #[serde(skip_serializing_if = "Option::is_none")]
    require_attestation: Option<bool>,
    /// Require manual approval for intents.
    #[serde(skip_serializing_if = "Option::is_none")]
    require_approval: Option<bool>,
    /// Auto-approve intents below this amount, in cents.
    #[serde(skip_serializing_if = "Option::is_none")]
    auto_approve_below: Option<Number>,
    /// Minutes that access credentials remain valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    attestation_window_minutes: Option<u64>,
    /// Minimum minutes between transactions.
    #[serde(skip_serializing_if = "Option::is_none")]
    cooldown_minutes: Option<u64>,
    /// Card time-to-live in minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_minutes: Option<u64>,
    /// Card time-to-live in days.
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_days: Option<u64>,
    /// Limits of what is spent.
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<ShownLimits>,
    /// Allowed merchant category codes.
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_mccs: Option<Vec<Mcc>>,
    /// Blocked merchant category codes.
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked_mccs: Option<Vec<Mcc>>,
    /// Allowed merchant names.
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_merchants: Option<Vec<Text<255>>>,
    /// Lock to the first merchant used.
    #[serde(skip_serializing_if = "Option::is_none")]
    lock_to_first_merchant: Option<bool>,
}

/// Limits of what is spent.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline, deny_unknown_fields)]
struct ShownLimits {
    /// Maximum amount per authorization, in cents.
    #[serde(rename = "perAuth", skip_serializing_if = "Option::is_none")]
    auth: Option<Number>,
    /// Maximum amount in any 24 hours, in cents.
    #[serde(rename = "perDay", skip_serializing_if = "Option::is_none")]
    day: Option<Number>,
    /// Maximum amount in a calendar month, in cents.
    #[serde(rename = "perMonth", skip_serializing_if = "Option::is_none")]
    month: Option<Number>,
}

impl From<Policy> for ShownPolicy {
    fn from(policy: Policy) -> Self {
        let limits = |Limits { per_auth, per_day, per_month }: Limits| ShownLimits {
            auth: per_auth.map(cents),
            day: per_day.map(cents),
            month: per_month.map(cents),
        };
        Self {
            require_intent: policy.require_intent,
            require_attestation: policy.require_attestation,
            require_approval: policy.require_approval,
            auto_approve_below: policy.auto_approve_below.map(cents),
            attestation_window_minutes: policy.attestation_window_minutes,
            cooldown_minutes: policy.cooldown_minutes,
            ttl_minutes: policy.ttl_minutes,
            ttl_days: policy.ttl_days,
            limits: policy.limits.map(limits),
            allowed_mccs: policy.allowed_mccs,
            blocked_mccs: policy.blocked_mccs,
            allowed_merchants: policy.allowed_merchants,
            lock_to_first_merchant: policy.lock_to_first_merchant,
        }
    }
}
