//! The catalogue: every event, with its type name and version as they stand in the journal.

use schemars::JsonSchema;
use serde::Serialize;

use crate::customer::entitlements::{
    AutoTopupTriggered, BalanceGranted, BalanceLimitReached, EntitlementFacts, FlagCleared,
    FlagSet, GrantRevoked, PlanAttached, PlanCanceled, PlanChanged, PurchaseRecorded,
    UsageAlertTriggered,
};
use crate::customer::{
    BillingControlsSet, BudgetSet, BudgetThresholdReached, ContractSet, CustomerArchived,
    CustomerCreated, CustomerUpdated, EdgeClaimed, EdgeReleased, KeyChanged, KeyClaimed,
    KeyReleased, ParentChanged, PledgeClaimed, PledgeReleased, PolicyChanged, StatusChanged,
    TierChanged, UsageRecorded,
};
use crate::ids::Meter;
use crate::time::Timestamp;

/// A fact about one customer (the last six: of a registrar). Reading is the codec's work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "type")]
pub enum Event {
    /// A customer was born.
    #[serde(rename = "CustomerCreated.v1")]
    CustomerCreated(CustomerCreated),
    /// Profile or links changed.
    #[serde(rename = "CustomerUpdated.v1")]
    CustomerUpdated(CustomerUpdated),
    /// Another tier, or other terms.
    #[serde(rename = "TierChanged.v1")]
    TierChanged(TierChanged),
    /// Suspended or reactivated.
    #[serde(rename = "StatusChanged.v1")]
    StatusChanged(StatusChanged),
    /// Contract dates set.
    #[serde(rename = "ContractSet.v1")]
    ContractSet(ContractSet),
    /// Budget set.
    #[serde(rename = "BudgetSet.v1")]
    BudgetSet(BudgetSet),
    /// Spending policy changed.
    #[serde(rename = "PolicyChanged.v1")]
    PolicyChanged(Box<PolicyChanged>),
    /// Billing controls set.
    #[serde(rename = "BillingControlsSet.v1")]
    BillingControlsSet(Box<BillingControlsSet>),
    /// Another key.
    #[serde(rename = "KeyChanged.v1")]
    KeyChanged(KeyChanged),
    /// Another parent.
    #[serde(rename = "ParentChanged.v1")]
    ParentChanged(ParentChanged),
    /// Something was used.
    #[serde(rename = "UsageRecorded.v1")]
    UsageRecorded(UsageRecorded),
    /// A share of a budget was used.
    #[serde(rename = "BudgetThresholdReached.v1")]
    BudgetThresholdReached(BudgetThresholdReached),
    /// The customer takes no changes any more.
    #[serde(rename = "CustomerArchived.v1")]
    CustomerArchived(CustomerArchived),
    /// A plan was attached.
    #[serde(rename = "PlanAttached.v1")]
    PlanAttached(PlanAttached),
    /// Facts of an attached plan changed.
    #[serde(rename = "PlanChanged.v1")]
    PlanChanged(Box<PlanChanged>),
    /// A plan was cancelled.
    #[serde(rename = "PlanCanceled.v1")]
    PlanCanceled(PlanCanceled),
    /// Something was bought once.
    #[serde(rename = "PurchaseRecorded.v1")]
    PurchaseRecorded(PurchaseRecorded),
    /// A balance was granted, or changed.
    #[serde(rename = "BalanceGranted.v1")]
    BalanceGranted(Box<BalanceGranted>),
    /// A grant was taken back.
    #[serde(rename = "GrantRevoked.v1")]
    GrantRevoked(Box<GrantRevoked>),
    /// A feature was switched on.
    #[serde(rename = "FlagSet.v1")]
    FlagSet(FlagSet),
    /// A feature was switched off.
    #[serde(rename = "FlagCleared.v1")]
    FlagCleared(FlagCleared),
    /// A balance fell below the threshold of an auto top-up.
    #[serde(rename = "AutoTopupTriggered.v1")]
    AutoTopupTriggered(AutoTopupTriggered),
    /// The level of a usage alert was reached.
    #[serde(rename = "UsageAlertTriggered.v1")]
    UsageAlertTriggered(UsageAlertTriggered),
    /// Nothing is left of a balance.
    #[serde(rename = "BalanceLimitReached.v1")]
    BalanceLimitReached(BalanceLimitReached),
    /// A slot gave its key away.
    #[serde(rename = "KeyClaimed.v1")]
    KeyClaimed(KeyClaimed),
    /// A slot took its key back.
    #[serde(rename = "KeyReleased.v1")]
    KeyReleased(KeyReleased),
    /// A customer pledged to stay for a child.
    #[serde(rename = "PledgeClaimed.v1")]
    PledgeClaimed(PledgeClaimed),
    /// A customer has a pledge back.
    #[serde(rename = "PledgeReleased.v1")]
    PledgeReleased(PledgeReleased),
    /// A hierarchy gave a child a parent.
    #[serde(rename = "EdgeClaimed.v1")]
    EdgeClaimed(EdgeClaimed),
    /// A hierarchy took a parent from a child.
    #[serde(rename = "EdgeReleased.v1")]
    EdgeReleased(EdgeReleased),
}

impl Event {
    /// Gives the type name with its version, as it stands in the journal.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::CustomerCreated(_) => "CustomerCreated.v1",
            Self::CustomerUpdated(_) => "CustomerUpdated.v1",
            Self::TierChanged(_) => "TierChanged.v1",
            Self::StatusChanged(_) => "StatusChanged.v1",
            Self::ContractSet(_) => "ContractSet.v1",
            Self::BudgetSet(_) => "BudgetSet.v1",
            Self::PolicyChanged(_) => "PolicyChanged.v1",
            Self::BillingControlsSet(_) => "BillingControlsSet.v1",
            Self::KeyChanged(_) => "KeyChanged.v1",
            Self::ParentChanged(_) => "ParentChanged.v1",
            Self::UsageRecorded(_) => "UsageRecorded.v1",
            Self::BudgetThresholdReached(_) => "BudgetThresholdReached.v1",
            Self::CustomerArchived(_) => "CustomerArchived.v1",
            Self::PlanAttached(_) => "PlanAttached.v1",
            Self::PlanChanged(_) => "PlanChanged.v1",
            Self::PlanCanceled(_) => "PlanCanceled.v1",
            Self::PurchaseRecorded(_) => "PurchaseRecorded.v1",
            Self::BalanceGranted(_) => "BalanceGranted.v1",
            Self::GrantRevoked(_) => "GrantRevoked.v1",
            Self::FlagSet(_) => "FlagSet.v1",
            Self::FlagCleared(_) => "FlagCleared.v1",
            Self::AutoTopupTriggered(_) => "AutoTopupTriggered.v1",
            Self::UsageAlertTriggered(_) => "UsageAlertTriggered.v1",
            Self::BalanceLimitReached(_) => "BalanceLimitReached.v1",
            Self::KeyClaimed(_) => "KeyClaimed.v1",
            Self::KeyReleased(_) => "KeyReleased.v1",
            Self::PledgeClaimed(_) => "PledgeClaimed.v1",
            Self::PledgeReleased(_) => "PledgeReleased.v1",
            Self::EdgeClaimed(_) => "EdgeClaimed.v1",
            Self::EdgeReleased(_) => "EdgeReleased.v1",
        }
    }

    /// Tells whether the event is about a customer and counts in its version. The others are about a
    /// registrar and have no part in any customer's history.
    pub const fn counts_in_version(&self) -> bool {
        !matches!(
            self,
            Self::KeyClaimed(_)
                | Self::KeyReleased(_)
                | Self::PledgeClaimed(_)
                | Self::PledgeReleased(_)
                | Self::EdgeClaimed(_)
                | Self::EdgeReleased(_)
        )
    }

    /// Makes the change of entitlements that the event tells of, at the moment at which it was decided,
    /// and gives the features of the grants that begin or end at another moment then. Nothing for an
    /// event about something else.
    pub fn entitle(&self, facts: &mut EntitlementFacts, at: Timestamp) -> Option<Vec<Meter>> {
        Some(match self {
            Self::PlanAttached(fact) => fact.apply(facts, at),
            Self::PlanChanged(fact) => fact.apply(facts, at),
            Self::PlanCanceled(fact) => fact.apply(facts, at),
            Self::PurchaseRecorded(fact) => fact.apply(facts, at),
            Self::BalanceGranted(fact) => fact.apply(facts, at),
            Self::GrantRevoked(fact) => fact.apply(facts, at),
            Self::FlagSet(fact) => fact.apply(facts, at),
            Self::FlagCleared(fact) => fact.apply(facts),
            Self::CustomerCreated(_)
            | Self::CustomerUpdated(_)
            | Self::TierChanged(_)
            | Self::StatusChanged(_)
            | Self::ContractSet(_)
            | Self::BudgetSet(_)
            | Self::PolicyChanged(_)
            | Self::BillingControlsSet(_)
            | Self::KeyChanged(_)
            | Self::ParentChanged(_)
            | Self::UsageRecorded(_)
            | Self::BudgetThresholdReached(_)
            | Self::CustomerArchived(_)
            | Self::AutoTopupTriggered(_)
            | Self::UsageAlertTriggered(_)
            | Self::BalanceLimitReached(_)
            | Self::KeyClaimed(_)
            | Self::KeyReleased(_)
            | Self::PledgeClaimed(_)
            | Self::PledgeReleased(_)
            | Self::EdgeClaimed(_)
            | Self::EdgeReleased(_) => return None,
        })
    }
}
