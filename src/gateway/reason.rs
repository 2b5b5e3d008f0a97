//! Why a command was rejected, as far as every API must tell it apart: one table of all codes.

use tallybook_events::decision::RejectionCode;

/// Why a command was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// There is no such customer.
    UnknownCustomer,
    /// The customer is archived and takes no changes.
    Archived,
    /// Something else is there, or under way.
    Conflict,
    /// The customer is at another version than expected.
    Stale,
    /// The idempotency key was used for something else.
    KeyReused,
    /// A rule of the business is broken.
    Rule,
    /// The rules failed on it.
    Fault,
}

impl Reason {
    /// Gives the reason that a code means.
    pub(crate) const fn of(code: RejectionCode) -> Self {
        use RejectionCode as R;
        match code {
            R::UnknownCustomer => Self::UnknownCustomer,
            R::CustomerArchived => Self::Archived,
            R::KeyTaken
            | R::CustomerExists
            | R::CommandIdReused
            | R::ChangeInProgress
            | R::PlanAttached
            | R::PurchaseExists => Self::Conflict,
            R::VersionMismatch => Self::Stale,
            R::IdempotencyKeyReused => Self::KeyReused,
            R::InternalFault => Self::Fault,
            R::UnknownTier
            | R::ContractDatesInverted
            | R::PeriodInverted
            | R::DuplicateFeature
            | R::ControlInvalid
            | R::MetadataTooLarge
            | R::UnknownReport
            | R::AmountOutOfRange
            | R::ParentRefused
            | R::ParentIsSelf
            | R::ParentUnknown
            | R::ParentIsChild
            | R::CustomerHasChildren
            | R::CustomerHasSubscriptions
            | R::TooManyLinks
            | R::CustomerIdRefused
            | R::UnknownPlan
            | R::PlanInvalid
            | R::UnknownGrant
            | R::GrantInvalid
            | R::TooManyEntitlements
            | R::NothingHeld => Self::Rule,
        }
    }
}
