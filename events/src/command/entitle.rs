//! Asked: what a customer is entitled to, one change at a time.

use super::CommandType;
use super::wire::{DraftFault, fault};
use crate::customer::entitlements::{
    Cancellation, FlagAsked, GrantAsked, PlanAsked, PlanPatch, PurchaseAsked,
};
use crate::ids::{Meter, Token};

/// One change of what a customer is entitled to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entitle {
    /// Attach a plan, with its grants and flags.
    AttachPlan(PlanAsked),
    /// Change facts of an attached plan.
    UpdatePlan(Token, PlanPatch),
    /// Cancel an attached plan.
    CancelPlan(Token, Cancellation),
    /// Record a purchase, with its grants and flags.
    RecordPurchase(PurchaseAsked),
    /// Grant a balance, or change it.
    GrantBalance(GrantAsked),
    /// Take a grant back.
    RevokeGrant(Token),
    /// Switch a feature on.
    SetFlag(FlagAsked),
    /// Switch a feature off.
    ClearFlag(Meter),
}

impl Entitle {
    /// Gives the type name.
    pub const fn command_type(&self) -> CommandType {
        match self {
            Self::AttachPlan(_) => CommandType::AttachPlan,
            Self::UpdatePlan(..) => CommandType::UpdatePlan,
            Self::CancelPlan(..) => CommandType::CancelPlan,
            Self::RecordPurchase(_) => CommandType::RecordPurchase,
            Self::GrantBalance(_) => CommandType::GrantBalance,
            Self::RevokeGrant(_) => CommandType::RevokeGrant,
            Self::SetFlag(_) => CommandType::SetFlag,
            Self::ClearFlag(_) => CommandType::ClearFlag,
        }
    }
}

/// The members of a command that changes entitlements, as they came.
#[derive(Debug, Default)]
pub(super) struct Members {
    pub(super) plan: Option<Box<PlanAsked>>,
    pub(super) plan_id: Option<Token>,
    pub(super) change: Option<Box<PlanPatch>>,
    pub(super) cancellation: Option<Cancellation>,
    pub(super) purchase: Option<Box<PurchaseAsked>>,
    pub(super) grant: Option<Box<GrantAsked>>,
    pub(super) grant_id: Option<Token>,
    pub(super) flag: Option<Box<FlagAsked>>,
    pub(super) feature_id: Option<Meter>,
}

impl Members {
    /// Refuses members beside a type that has no use for them.
    pub(super) fn belong(&self, kind: CommandType) -> Result<(), DraftFault> {
        use CommandType as T;
        let of_plan = matches!(kind, T::UpdatePlan | T::CancelPlan);
        for (present, pointer, belongs) in [
            (self.plan.is_some(), "/plan", kind == T::AttachPlan),
            (self.plan_id.is_some(), "/plan_id", of_plan),
            (self.change.is_some(), "/change", kind == T::UpdatePlan),
            (self.cancellation.is_some(), "/cancellation", kind == T::CancelPlan),
            (self.purchase.is_some(), "/purchase", kind == T::RecordPurchase),
            (self.grant.is_some(), "/grant", kind == T::GrantBalance),
            (self.grant_id.is_some(), "/grant_id", kind == T::RevokeGrant),
            (self.flag.is_some(), "/flag", kind == T::SetFlag),
            (self.feature_id.is_some(), "/feature_id", kind == T::ClearFlag),
        ] {
            if present && !belongs {
                return Err(fault(pointer, "does not belong to this type of command"));
            }
        }
        Ok(())
    }

    /// Makes the change.
    pub(super) fn complete(self, kind: CommandType) -> Result<Entitle, DraftFault> {
        use CommandType as T;
        fn there<M>(member: Option<M>, pointer: &'static str) -> Result<M, DraftFault> {
            member.ok_or(fault(pointer, "is missing"))
        }
        Ok(match kind {
            T::AttachPlan => Entitle::AttachPlan(*there(self.plan, "/plan")?),
            T::UpdatePlan => {
                let plan_id = there(self.plan_id, "/plan_id")?;
                Entitle::UpdatePlan(plan_id, *there(self.change, "/change")?)
            }
            T::CancelPlan => {
                let plan_id = there(self.plan_id, "/plan_id")?;
                Entitle::CancelPlan(plan_id, self.cancellation.unwrap_or_default())
            }
            T::RecordPurchase => Entitle::RecordPurchase(*there(self.purchase, "/purchase")?),
            T::GrantBalance => Entitle::GrantBalance(*there(self.grant, "/grant")?),
            T::RevokeGrant => Entitle::RevokeGrant(there(self.grant_id, "/grant_id")?),
            T::SetFlag => Entitle::SetFlag(*there(self.flag, "/flag")?),
            T::ClearFlag => Entitle::ClearFlag(there(self.feature_id, "/feature_id")?),
            T::CreateCustomer
            | T::UpdateCustomer
            | T::RecordUsage
            | T::ArchiveCustomer
            | T::ClaimKey
            | T::ClaimPledge
            | T::ClaimEdge
            | T::SettleClaim
            | T::ReleaseKey
            | T::ReleasePledge
            | T::ReleaseEdge
            | T::SettleRelease => return Err(fault("/type", "is no change of entitlements")),
        })
    }
}

/// The same members, as they are written.
#[derive(Default)]
pub(super) struct Written<'a> {
    pub(super) plan: Option<&'a PlanAsked>,
    pub(super) plan_id: Option<&'a Token>,
    pub(super) change: Option<&'a PlanPatch>,
    pub(super) cancellation: Option<&'a Cancellation>,
    pub(super) purchase: Option<&'a PurchaseAsked>,
    pub(super) grant: Option<&'a GrantAsked>,
    pub(super) grant_id: Option<&'a Token>,
    pub(super) flag: Option<&'a FlagAsked>,
    pub(super) feature_id: Option<&'a Meter>,
}

impl<'a> From<&'a Entitle> for Written<'a> {
    fn from(asked: &'a Entitle) -> Self {
        let none = Self::default();
        match asked {
            Entitle::AttachPlan(plan) => Self { plan: Some(plan), ..none },
            Entitle::UpdatePlan(plan_id, change) => {
                Self { plan_id: Some(plan_id), change: Some(change), ..none }
            }
            Entitle::CancelPlan(plan_id, cancellation) => {
                let told = *cancellation != Cancellation::default();
                let cancellation = Some(cancellation).filter(|_| told);
                Self { plan_id: Some(plan_id), cancellation, ..none }
            }
            Entitle::RecordPurchase(purchase) => Self { purchase: Some(purchase), ..none },
            Entitle::GrantBalance(grant) => Self { grant: Some(grant), ..none },
            Entitle::RevokeGrant(grant_id) => Self { grant_id: Some(grant_id), ..none },
            Entitle::SetFlag(flag) => Self { flag: Some(flag), ..none },
            Entitle::ClearFlag(feature_id) => Self { feature_id: Some(feature_id), ..none },
        }
    }
}
