//! The customer document: how a customer stands, in the one shape that the native API, the read model
//! and the topics share.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BillingControls, Budget, Contract, Identity, Policy, Profile};
use crate::ids::{CustomerId, CustomerKey, Environment, Tenant};
use crate::money::{Amount, Total};
use crate::time::Timestamp;

/// A customer as it stands. Groups never touched are present with their empty values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CustomerDocument {
    /// Our id.
    pub id: CustomerId,
    /// The caller's key. An archived customer shows the key that it had.
    pub key: Option<CustomerKey>,
    /// Tenant.
    pub tenant: Tenant,
    /// Environment.
    pub environment: Environment,
    /// Number of events.
    pub version: u64,
    /// When it was born.
    pub created_at: Timestamp,
    /// When its last event was decided.
    pub updated_at: Timestamp,
    /// When it was archived.
    pub archived_at: Option<Timestamp>,
    /// Names, addresses, metadata.
    pub profile: Profile,
    /// Tier, status, dates.
    pub contract: Contract,
    /// What may be spent, and when periods begin.
    pub budget: Budget,
    /// Rules for single spends.
    pub policy: Option<Policy>,
    /// Rules by feature.
    pub billing_controls: BillingControls,
    /// Links and parent.
    pub identity: Identity,
    /// What was used.
    pub usage: UsageSummary,
}

/// What a customer used: in the current period, and ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsageSummary {
    /// In the period in which the reader's moment lies.
    pub period: PeriodSummary,
    /// In all.
    pub lifetime: LifetimeSummary,
}

/// What a customer used in one budget period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PeriodSummary {
    /// First moment.
    pub start: Timestamp,
    /// First moment after it.
    pub end: Timestamp,
    /// Cost.
    pub raw: Total,
    /// Charge, with the markup.
    pub charged: Total,
    /// Number of reports.
    pub count: u64,
    /// Budget of the period.
    pub budget: Option<Amount>,
    /// The budget less the raw cost; below zero when it is overdrawn.
    pub remaining: Option<Total>,
}

/// What a customer used in all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LifetimeSummary {
    /// Cost.
    pub raw: Total,
    /// Charge, with the markup.
    pub charged: Total,
    /// Number of reports.
    pub count: u64,
}
