//! The facts about a customer, by concept: what may be asked, what happened, how it then stands.
//!
//! Each file has the patch (asked), the events (happened) and the plain value that the events add up
//! to. What an event does to the value is told here once, for the write side and the read side alike;
//! what may be asked is decided elsewhere.

mod identity;
mod hierarchy;
mod profile;
mod contract;
mod budget;
mod usage;
mod policy;
mod controls;
pub mod entitlements;
mod document;

pub use budget::{Budget, BudgetKind, BudgetPatch, BudgetSet, BudgetThresholdReached};
pub use contract::{
    Contract, ContractPatch, ContractSet, Status, StatusChanged, Terms, TierChanged,
};
pub use controls::{
    AutoTopup, BillingControls, BillingControlsPatch, BillingControlsSet, Interval, LimitAnchor,
    LimitInterval, LimitType, OverageAllowed, PurchaseLimit, SpendLimit, ThresholdType, UsageAlert,
    UsageFilter, UsageLimit,
};
pub use document::{CustomerDocument, LifetimeSummary, PeriodSummary, UsageSummary};
pub use hierarchy::{EdgeClaimed, EdgeReleased, PledgeClaimed, PledgeReleased};
pub use identity::{
    CustomerArchived, CustomerCreated, Identity, IdentityPatch, KeyChanged, KeyClaimed,
    KeyReleased, ParentChanged,
};
pub use policy::{Limits, LimitsPatch, Policy, PolicyChanged, PolicyPatch};
pub use profile::{Address, AddressPatch, Change, CustomerUpdated, Profile, ProfilePatch};
pub use usage::{Corrected, UsageRecorded, UsageReport};
