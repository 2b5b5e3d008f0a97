//! Our answer to a command: one per command, recorded, with all its events.

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::chain::Head;
use crate::command::{Claim, Command, CommandBody, Routed};
use crate::event::Event;
use crate::ids::{CommandId, CustomerId, Partition, ReportId};
use crate::time::Timestamp;

/// The format of records that this build writes and reads.
pub const FORMAT: u32 = 1;

/// One decision record, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Term of the owner that decided.
    pub term: u64,
    /// Place in the partition.
    pub seq: u64,
    /// Rolling head before this record.
    pub prev: Head,
    /// When it was decided, by the owner's clock; never earlier than the decision before it.
    pub decided_at: Timestamp,
    /// Version of the rules that decided.
    pub rules: Box<str>,
    /// Where the command came from.
    pub source: SourceRef,
    /// The command as asked.
    pub command: Command,
    /// What became of it.
    pub outcome: Outcome,
    /// The releases that follow from it, by their command ids: what the customer gives back to
    /// registrars. The one who asked hears of the decision when they have it.
    pub gives_back: Vec<CommandId>,
    /// The facts, in order.
    pub events: Vec<Event>,
}

/// Where a command came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SourceRef {
    /// The queue of this process.
    Local,
    /// The commands topic.
    Topic {
        /// Partition of the topic.
        partition: Partition,
        /// Offset of the command.
        offset: u64,
        /// Offset of the command decided before it.
        prev_offset: Option<u64>,
    },
}

/// A source as it is written. Read by hand: what serde derives for such an enum keeps all members in
/// memory before it looks at the first one, and every record has a source.
#[derive(Deserialize)]
struct SourceWire {
    kind: SourceKind,
    partition: Option<Partition>,
    offset: Option<u64>,
    prev_offset: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum SourceKind {
    Local,
    Topic,
}

impl<'de> Deserialize<'de> for SourceRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let SourceWire { kind, partition, offset, prev_offset } =
            SourceWire::deserialize(deserializer)?;
        match kind {
            SourceKind::Local => Ok(Self::Local),
            SourceKind::Topic => Ok(Self::Topic {
                partition: partition.ok_or_else(|| D::Error::missing_field("partition"))?,
                offset: offset.ok_or_else(|| D::Error::missing_field("offset"))?,
                prev_offset,
            }),
        }
    }
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Accepted(Accepted),
    /// We said no.
    Rejected(Rejection),
    /// It is held until a registrar has answered a claim.
    Deferred(Deferred),
    /// It was sent on to the partition where its customer lives.
    Forwarded {
        /// That partition.
        partition: Partition,
        /// The customer there, when a slot sent it on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<Routed>,
    },
    /// It was no command.
    DeadLettered {
        /// Why.
        reason: Box<str>,
    },
    /// It was decided before; this is the record of the repeat.
    Repeated {
        /// Offset of the decision, in the same partition.
        offset: u64,
    },
    /// It was only asked what would become of it; nothing did. A note of the answer, which is not
    /// remembered and counts for nothing.
    Previewed(Box<Preview>),
}

/// What would have become of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Preview {
    /// Its outcome.
    pub outcome: Outcome,
    /// The facts, as they would have been recorded. Nobody folds them, so they are not read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<serde_json::Value>,
    /// The customer document as it would have stood, of the build that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<serde_json::Value>,
}

impl Outcome {
    /// Gives the customer (or slot) that the decision is about, when it changes one.
    pub const fn customer_id(&self) -> Option<CustomerId> {
        match self {
            Self::Accepted(accepted) => Some(accepted.customer_id),
            Self::Deferred(deferred) => Some(deferred.customer_id),
            Self::Rejected(_)
            | Self::Forwarded { .. }
            | Self::DeadLettered { .. }
            | Self::Repeated { .. }
            | Self::Previewed(_) => None,
        }
    }
}

impl Outcome {
    /// Gives the held command that this decides at last, if it does, where `body` was decided: an answer
    /// to a claim may only bring the next claim, or come too late.
    pub fn settles(&self, body: &CommandBody) -> Option<CommandId> {
        let held = body.settles()?;
        match self {
            Self::Accepted(_) => Some(held),
            Self::Rejected(rejection) => {
                (rejection.code != RejectionCode::NothingHeld).then_some(held)
            }
            Self::Deferred(_)
            | Self::Forwarded { .. }
            | Self::DeadLettered { .. }
            | Self::Repeated { .. }
            | Self::Previewed(_) => None,
        }
    }
}

/// The customer and its version before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Accepted {
    /// The customer (or the slot, for follow-ups to one).
    pub customer_id: CustomerId,
    /// Version before.
    pub from_version: u64,
    /// Version after: so many events more.
    pub to_version: u64,
    /// Reports that had been recorded before, with the same content.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub duplicates: Vec<ReportId>,
    /// Reports whose id had been recorded before with other content: not recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<ReportId>,
}

/// What a held command waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Deferred {
    /// The customer that holds it.
    pub customer_id: CustomerId,
    /// The claim.
    pub claim: Claim,
}

/// A refusal: a value, recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rejection {
    /// Why, in a stable word.
    pub code: RejectionCode,
    /// Why, in a sentence.
    pub detail: Box<str>,
    /// JSON pointer into the patch or the reports, where one place is at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<Box<str>>,
}

/// The stable words of refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RejectionCode {
    /// No such customer in the scope.
    UnknownCustomer,
    /// The key belongs to another customer.
    KeyTaken,
    /// A customer with that id is there already.
    CustomerExists,
    /// The customer is archived and takes no changes.
    CustomerArchived,
    /// The customer is at another version than expected.
    VersionMismatch,
    /// The command id was used for something else.
    CommandIdReused,
    /// The idempotency key was used for something else.
    IdempotencyKeyReused,
    /// A change of the key is under way.
    ChangeInProgress,
    /// The catalogue has no such tier.
    UnknownTier,
    /// The contract would end before it begins.
    ContractDatesInverted,
    /// The period would end before it begins.
    PeriodInverted,
    /// Two entries for one feature.
    DuplicateFeature,
    /// An entry of the billing controls breaks a rule.
    ControlInvalid,
    /// The metadata would be too large.
    MetadataTooLarge,
    /// The report to be corrected is not known.
    UnknownReport,
    /// The amounts add up to more than can be kept exactly.
    AmountOutOfRange,
    /// Parents could not be set: rules of version 1 said so. Kept for what they recorded.
    ParentRefused,
    /// A customer cannot be its own parent.
    ParentIsSelf,
    /// The parent is not in the scope, or archived.
    ParentUnknown,
    /// The parent has a parent itself.
    ParentIsChild,
    /// The customer is a parent itself: it can have none.
    CustomerHasChildren,
    /// The customer has subscriptions that are not over: its parent stays.
    CustomerHasSubscriptions,
    /// The links to outside systems would be too many.
    TooManyLinks,
    /// A customer id that is not ours to give.
    CustomerIdRefused,
    /// The plan is attached already.
    PlanAttached,
    /// No such plan is attached.
    UnknownPlan,
    /// A plan or purchase breaks a rule.
    PlanInvalid,
    /// Another purchase was recorded under that id.
    PurchaseExists,
    /// No such grant is in force.
    UnknownGrant,
    /// A grant or flag breaks a rule.
    GrantInvalid,
    /// More plans, purchases, grants or flags than a customer may have.
    TooManyEntitlements,
    /// A follow-up that nothing waits for.
    NothingHeld,
    /// The rules failed on this command. It changed nothing; others go on.
    InternalFault,
}

impl RejectionCode {
    /// Tells whether another customer stands in the way: asking again would not help by itself.
    pub const fn is_conflict(self) -> bool {
        matches!(self, Self::KeyTaken | Self::CustomerExists)
    }

    /// Gives the word used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownCustomer => "unknown_customer",
            Self::KeyTaken => "key_taken",
            Self::CustomerExists => "customer_exists",
            Self::CustomerArchived => "customer_archived",
            Self::VersionMismatch => "version_mismatch",
            Self::CommandIdReused => "command_id_reused",
            Self::IdempotencyKeyReused => "idempotency_key_reused",
            Self::ChangeInProgress => "change_in_progress",
            Self::UnknownTier => "unknown_tier",
            Self::ContractDatesInverted => "contract_dates_inverted",
            Self::PeriodInverted => "period_inverted",
            Self::DuplicateFeature => "duplicate_feature",
            Self::ControlInvalid => "control_invalid",
            Self::MetadataTooLarge => "metadata_too_large",
            Self::UnknownReport => "unknown_report",
            Self::AmountOutOfRange => "amount_out_of_range",
            Self::ParentRefused => "parent_refused",
            Self::ParentIsSelf => "parent_is_self",
            Self::ParentUnknown => "parent_unknown",
            Self::ParentIsChild => "parent_is_child",
            Self::CustomerHasChildren => "customer_has_children",
            Self::CustomerHasSubscriptions => "customer_has_subscriptions",
            Self::TooManyLinks => "too_many_links",
            Self::CustomerIdRefused => "customer_id_refused",
            Self::PlanAttached => "plan_attached",
            Self::UnknownPlan => "unknown_plan",
            Self::PlanInvalid => "plan_invalid",
            Self::PurchaseExists => "purchase_exists",
            Self::UnknownGrant => "unknown_grant",
            Self::GrantInvalid => "grant_invalid",
            Self::TooManyEntitlements => "too_many_entitlements",
            Self::NothingHeld => "nothing_held",
            Self::InternalFault => "internal_fault",
        }
    }
}

impl Rejection {
    /// Makes a refusal that points at no single place.
    pub fn new(code: RejectionCode, detail: impl Into<Box<str>>) -> Self {
        Self { code, detail: detail.into(), pointer: None }
    }

    /// Makes a refusal that points at one place of the patch or the reports.
    pub fn at(
        code: RejectionCode,
        pointer: impl Into<Box<str>>,
        detail: impl Into<Box<str>>,
    ) -> Self {
        Self { code, detail: detail.into(), pointer: Some(pointer.into()) }
    }
}
