//! The contract: tier and its terms, status, dates.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::field::{Edit, Patch};
use crate::money::Amount;
use crate::text::TierName;
use crate::time::Date;

/// Asked: contract. A tier brings the terms of its catalogue entry; terms given beside it, or alone,
/// are negotiated and take their place until the next tier change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContractPatch {
    /// Tier, by the name that the catalogue has.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub tier: Patch<TierName>,
    /// Status.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    pub status: Edit<Status>,
    /// First day of the contract.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub start: Patch<Date>,
    /// Last day of the contract.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub end: Patch<Date>,
    /// USD per year.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub annual_commitment: Patch<Amount>,
    /// Units per year.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub annual_limit: Patch<u64>,
    /// Requests per second.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub rate_per_second: Patch<u64>,
    /// Requests at once.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub burst: Patch<u64>,
}

/// Whether the customer may use the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It may.
    #[default]
    Active,
    /// It may not, for now.
    Suspended,
}

impl Status {
    /// Gives the name used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }
}

/// What a tier grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub struct Terms {
    /// USD per year.
    pub annual_commitment: Option<Amount>,
    /// Units per year.
    pub annual_limit: Option<u64>,
    /// Requests per second.
    pub rate_per_second: Option<u64>,
    /// Requests at once.
    pub burst: Option<u64>,
}

/// The contract as it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Contract {
    /// Tier.
    pub tier: Option<TierName>,
    /// Status.
    pub status: Status,
    /// First day.
    pub start: Option<Date>,
    /// Last day.
    pub end: Option<Date>,
    /// USD per year.
    pub annual_commitment: Option<Amount>,
    /// Units per year.
    pub annual_limit: Option<u64>,
    /// Requests per second.
    pub rate_per_second: Option<u64>,
    /// Requests at once.
    pub burst: Option<u64>,
}

impl Contract {
    /// Gives the terms that hold.
    pub fn terms(&self) -> Terms {
        Terms {
            annual_commitment: self.annual_commitment,
            annual_limit: self.annual_limit,
            rate_per_second: self.rate_per_second,
            burst: self.burst,
        }
    }
}

/// The customer is in another tier, or its terms were negotiated anew (`from` equals `to`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TierChanged {
    /// The tier until now.
    pub from: Option<TierName>,
    /// The tier from now on.
    pub to: Option<TierName>,
    /// USD per year that hold now.
    pub annual_commitment: Option<Amount>,
    /// Units per year that hold now.
    pub annual_limit: Option<u64>,
    /// Requests per second that hold now.
    pub rate_per_second: Option<u64>,
    /// Requests at once that hold now.
    pub burst: Option<u64>,
}

impl TierChanged {
    /// Makes the change in a contract.
    pub fn apply(&self, contract: &mut Contract) {
        contract.tier.clone_from(&self.to);
        contract.annual_commitment = self.annual_commitment;
        contract.annual_limit = self.annual_limit;
        contract.rate_per_second = self.rate_per_second;
        contract.burst = self.burst;
    }
}

/// The customer was suspended or reactivated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusChanged {
    /// The status until now.
    pub from: Status,
    /// The status from now on.
    pub to: Status,
}

/// The dates of the contract were set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContractSet {
    /// First day.
    pub start: Option<Date>,
    /// Last day.
    pub end: Option<Date>,
}
