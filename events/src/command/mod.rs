//! What was asked: the command envelope and its bodies. A recorded fact too.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::customer::{
    BillingControlsPatch, BudgetPatch, ContractPatch, IdentityPatch, PolicyPatch, ProfilePatch,
    UsageReport,
};
use crate::field::{Edit, Patch};
use crate::ids::{Actor, CommandId, CustomerId, CustomerKey, CustomerRef, Origin, Scope, Token};
use crate::time::Timestamp;

pub use claims::{Claim, EdgeClaim, KeyClaim, PledgeClaim, RegistrarAnswer, Settlement};
pub use entitle::Entitle;
pub use wire::{CommandDraft, Defaults, DraftFault};

mod claims;
mod entitle;
mod wire;

/// Most usage reports in one command.
pub const MAX_REPORTS: usize = 1_000;

/// One command: who asks what of which customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The caller's id for it: the same id, the same decision.
    pub command_id: CommandId,
    /// Tenant and environment.
    pub scope: Scope,
    /// The customer, as the caller names it.
    pub customer: CustomerRef,
    /// When it was asked, by the asker's clock.
    pub issued_at: Timestamp,
    /// Who asks.
    pub actor: Actor,
    /// The way it came in: a dialect, `api`, a topic.
    pub source: Origin,
    /// What else came with it.
    pub context: Context,
    /// Where a slot sent it on to.
    pub routed: Option<Routed>,
    /// What is asked.
    pub body: CommandBody,
}

/// The optional members of the envelope.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// The caller's key for repeats of one request.
    pub idempotency_key: Option<Token>,
    /// Digest of the request that came with the idempotency key.
    pub fingerprint: Option<Token>,
    /// Whether a refusal gives the idempotency key back, so that the next request with it is decided
    /// anew. A conflict keeps it ([`RejectionCode::is_conflict`](crate::decision::RejectionCode::is_conflict)).
    pub refusal_frees_key: bool,
    /// The version that the customer must have.
    pub expected_version: Option<u64>,
    /// The caller's word for all that belongs together.
    pub correlation_id: Option<Token>,
    /// What caused the command.
    pub causation_id: Option<Token>,
    /// W3C trace context.
    pub traceparent: Option<Token>,
    /// Why, in the caller's words.
    pub reason: Option<Token>,
    /// Decide and show, record nothing.
    pub dry_run: bool,
}

/// Where the slot of a key sent a command on to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Routed {
    /// The customer that holds the key, or the one to be born under it.
    pub customer_id: CustomerId,
    /// For one to be born: how often a customer had been born under the key before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub birth: Option<u32>,
}

/// What is asked. Claims, releases and their answers are follow-ups that Tallybook sends itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandBody {
    /// Make a customer, with these facts.
    CreateCustomer(Box<CustomerPatch>),
    /// Change facts of a customer.
    UpdateCustomer(Box<CustomerPatch>),
    /// Record what a customer used; one that is not known is made.
    RecordUsage(Vec<UsageReport>),
    /// Take no changes any more.
    ArchiveCustomer,
    /// To a registrar: a held command needs this.
    Claim(Claim),
    /// To the claimant: the registrar's answer; the held command is decided now, or asks for more.
    SettleClaim(Settlement),
    /// To a registrar: this is given back.
    Release(Claim),
    /// To the claimant: the registrar has it back.
    SettleRelease(Claim),
    /// Change what a customer is entitled to.
    Entitle(Box<Entitle>),
}

/// Asked: one patch over all concepts. A group that is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomerPatch {
    /// Another key.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    pub key: Edit<CustomerKey>,
    /// Names, addresses, metadata.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    pub profile: Edit<ProfilePatch>,
    /// Tier, status, dates.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    pub contract: Edit<ContractPatch>,
    /// What may be spent, and when periods begin.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    pub budget: Edit<BudgetPatch>,
    /// Rules for single spends; `null` takes all away.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub policy: Patch<PolicyPatch>,
    /// Lists of rules by feature; `null` takes all away.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub billing_controls: Patch<BillingControlsPatch>,
    /// Links and parent.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    pub identity: Edit<IdentityPatch>,
}

/// The type names of commands on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CommandType {
    /// Make a customer.
    CreateCustomer,
    /// Change facts of a customer.
    UpdateCustomer,
    /// Record usage.
    RecordUsage,
    /// Take no changes any more.
    ArchiveCustomer,
    /// Follow-up: claim of a key.
    ClaimKey,
    /// Follow-up: claim of a parent's pledge to stay.
    ClaimPledge,
    /// Follow-up: claim of a place below a parent.
    ClaimEdge,
    /// Follow-up: answer to a claim.
    SettleClaim,
    /// Follow-up: a key given back.
    ReleaseKey,
    /// Follow-up: a pledge given back.
    ReleasePledge,
    /// Follow-up: a place below a parent given back.
    ReleaseEdge,
    /// Follow-up: answer to a release.
    SettleRelease,
    /// Attach a plan.
    AttachPlan,
    /// Change facts of an attached plan.
    UpdatePlan,
    /// Cancel an attached plan.
    CancelPlan,
    /// Record a purchase.
    RecordPurchase,
    /// Grant a balance, or change it.
    GrantBalance,
    /// Take a grant back.
    RevokeGrant,
    /// Switch a feature on.
    SetFlag,
    /// Switch a feature off.
    ClearFlag,
}

impl CommandType {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::CreateCustomer,
        Self::UpdateCustomer,
        Self::RecordUsage,
        Self::ArchiveCustomer,
        Self::ClaimKey,
        Self::ClaimPledge,
        Self::ClaimEdge,
        Self::SettleClaim,
        Self::ReleaseKey,
        Self::ReleasePledge,
        Self::ReleaseEdge,
        Self::SettleRelease,
        Self::AttachPlan,
        Self::UpdatePlan,
        Self::CancelPlan,
        Self::RecordPurchase,
        Self::GrantBalance,
        Self::RevokeGrant,
        Self::SetFlag,
        Self::ClearFlag,
    ];

    /// Gives the name used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CreateCustomer => "CreateCustomer",
            Self::UpdateCustomer => "UpdateCustomer",
            Self::RecordUsage => "RecordUsage",
            Self::ArchiveCustomer => "ArchiveCustomer",
            Self::ClaimKey => "ClaimKey",
            Self::ClaimPledge => "ClaimPledge",
            Self::ClaimEdge => "ClaimEdge",
            Self::SettleClaim => "SettleClaim",
            Self::ReleaseKey => "ReleaseKey",
            Self::ReleasePledge => "ReleasePledge",
            Self::ReleaseEdge => "ReleaseEdge",
            Self::SettleRelease => "SettleRelease",
            Self::AttachPlan => "AttachPlan",
            Self::UpdatePlan => "UpdatePlan",
            Self::CancelPlan => "CancelPlan",
            Self::RecordPurchase => "RecordPurchase",
            Self::GrantBalance => "GrantBalance",
            Self::RevokeGrant => "RevokeGrant",
            Self::SetFlag => "SetFlag",
            Self::ClearFlag => "ClearFlag",
        }
    }

    /// Tells whether only Tallybook itself sends it.
    pub const fn is_follow_up(self) -> bool {
        matches!(
            self,
            Self::ClaimKey
                | Self::ClaimPledge
                | Self::ClaimEdge
                | Self::SettleClaim
                | Self::ReleaseKey
                | Self::ReleasePledge
                | Self::ReleaseEdge
                | Self::SettleRelease
        )
    }
}

impl CommandBody {
    /// Gives the type name.
    pub const fn command_type(&self) -> CommandType {
        match self {
            Self::CreateCustomer(_) => CommandType::CreateCustomer,
            Self::UpdateCustomer(_) => CommandType::UpdateCustomer,
            Self::RecordUsage(_) => CommandType::RecordUsage,
            Self::ArchiveCustomer => CommandType::ArchiveCustomer,
            Self::Claim(Claim::Key(_)) => CommandType::ClaimKey,
            Self::Claim(Claim::Pledge(_)) => CommandType::ClaimPledge,
            Self::Claim(Claim::Edge(_)) => CommandType::ClaimEdge,
            Self::SettleClaim(_) => CommandType::SettleClaim,
            Self::Release(Claim::Key(_)) => CommandType::ReleaseKey,
            Self::Release(Claim::Pledge(_)) => CommandType::ReleasePledge,
            Self::Release(Claim::Edge(_)) => CommandType::ReleaseEdge,
            Self::SettleRelease(_) => CommandType::SettleRelease,
            Self::Entitle(asked) => asked.command_type(),
        }
    }

    /// Gives the command that was held, if this one brings the answer that it waits for: the decision
    /// on this one is then the decision on that one.
    pub const fn settles(&self) -> Option<CommandId> {
        match self {
            Self::SettleClaim(settlement) => Some(settlement.claim.held()),
            Self::CreateCustomer(_)
            | Self::UpdateCustomer(_)
            | Self::RecordUsage(_)
            | Self::ArchiveCustomer
            | Self::Claim(_)
            | Self::Release(_)
            | Self::SettleRelease(_)
            | Self::Entitle(_) => None,
        }
    }
}

impl Command {
    /// Gives the id of the customer (or slot) that decides the command.
    pub fn home(&self) -> CustomerId {
        self.routed.map_or_else(|| self.customer.home(&self.scope), |routed| routed.customer_id)
    }

    /// Tells whether another command asks the same of the same customer, whatever its id, its time
    /// and its context; a repeat under one id must.
    pub fn asks_the_same(&self, other: &Self) -> bool {
        self.scope == other.scope
            && self.customer == other.customer
            && self.context.expected_version == other.context.expected_version
            && self.body == other.body
    }
}
