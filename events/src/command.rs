//! What was asked: the command envelope and its bodies. A recorded fact too.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use crate::customer::{
    BillingControlsPatch, BudgetPatch, ContractPatch, IdentityPatch, PolicyPatch, ProfilePatch,
    UsageReport,
};
use crate::field::{Edit, Patch};
use crate::ids::{
    Actor, CommandId, CustomerId, CustomerKey, CustomerRef, Environment, Origin, Scope, Tenant,
    Token,
};
use crate::time::Timestamp;

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

/// What is asked. The last four are follow-ups that Tallybook sends itself.
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
    /// To a slot: give the key to the holder.
    ClaimKey(Claim),
    /// To the claimant: the slot's answer; the held command is decided now.
    SettleClaim(Settlement),
    /// To a slot: the holder gives the key back.
    ReleaseKey(Claim),
    /// To the holder: the slot has the key back.
    SettleRelease(Claim),
}

/// A key and who wants it, or gives it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The key.
    pub key: CustomerKey,
    /// The customer.
    pub holder: CustomerId,
    /// The command that waits for it, or that caused the release.
    pub held: CommandId,
    /// Whether the holder is to be born under the key.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub birth: bool,
}

/// A slot's answer to a claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settlement {
    /// The claim.
    pub claim: Claim,
    /// Whether the key was given.
    pub granted: bool,
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
    /// Follow-up: answer to a claim.
    SettleClaim,
    /// Follow-up: a key given back.
    ReleaseKey,
    /// Follow-up: answer to a release.
    SettleRelease,
}

impl CommandType {
    /// Tells whether only Tallybook itself sends it.
    pub const fn is_follow_up(self) -> bool {
        matches!(self, Self::ClaimKey | Self::SettleClaim | Self::ReleaseKey | Self::SettleRelease)
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
            Self::ClaimKey(_) => CommandType::ClaimKey,
            Self::SettleClaim(_) => CommandType::SettleClaim,
            Self::ReleaseKey(_) => CommandType::ReleaseKey,
            Self::SettleRelease(_) => CommandType::SettleRelease,
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

/// A command on the wire: HTTP, the commands topic, the journal. What is missing is given by the
/// way it came in (see [`CommandDraft::complete`]). Unknown members are refused.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandDraft {
    /// The caller's id for it. Over HTTP one is made when it is missing.
    pub command_id: Option<CommandId>,
    /// Tenant. Over HTTP the API key has it.
    pub tenant: Option<Tenant>,
    /// Environment. Over HTTP the API key has it.
    pub environment: Option<Environment>,
    /// What kind of command.
    #[serde(rename = "type")]
    pub command_type: CommandType,
    /// The customer, by id or by key.
    pub customer: CustomerRef,
    /// When it was asked.
    pub issued_at: Option<Timestamp>,
    /// Who asks. Over HTTP the API key says so.
    pub actor: Option<Actor>,
    /// The way it came in.
    pub source: Option<Origin>,
    /// The caller's key for repeats of one request.
    pub idempotency_key: Option<Token>,
    /// Digest of the request that came with the idempotency key.
    pub fingerprint: Option<Token>,
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
    #[serde(default)]
    pub dry_run: bool,
    /// Where a slot sent it on to. Set by Tallybook only.
    pub routed: Option<Routed>,
    /// Facts, of `CreateCustomer` and `UpdateCustomer`.
    pub patch: Option<Box<CustomerPatch>>,
    /// Reports, of `RecordUsage`.
    pub reports: Option<Vec<UsageReport>>,
    /// A claim, of follow-ups.
    pub claim: Option<Claim>,
    /// A slot's answer, of `SettleClaim`.
    pub granted: Option<bool>,
}

/// What a draft gets where it is silent.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// The id.
    pub command_id: Option<CommandId>,
    /// Tenant and environment.
    pub scope: Option<Scope>,
    /// The time.
    pub issued_at: Option<Timestamp>,
    /// Who asks.
    pub actor: Option<Actor>,
    /// The way in.
    pub source: Option<Origin>,
}

impl Defaults {
    /// Gives nothing: all must be in the draft, as in the journal.
    pub const NONE: Self =
        Self { command_id: None, scope: None, issued_at: None, actor: None, source: None };
}

/// Why a draft is no command: where, and what is wrong there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pointer} {detail}")]
pub struct DraftFault {
    /// JSON pointer into the command.
    pub pointer: &'static str,
    /// What is wrong there.
    pub detail: &'static str,
}

const fn fault(pointer: &'static str, detail: &'static str) -> DraftFault {
    DraftFault { pointer, detail }
}

impl CommandDraft {
    /// Makes the command, with `defaults` where the draft is silent.
    ///
    /// # Errors
    /// [`DraftFault`] when a member is missing, or there beside a type that has no use for it.
    pub fn complete(self, defaults: Defaults) -> Result<Command, DraftFault> {
        let scope = match (self.tenant, self.environment, defaults.scope) {
            (Some(tenant), Some(environment), _) => Scope { tenant, environment },
            (tenant, environment, Some(scope)) => Scope {
                tenant: tenant.unwrap_or(scope.tenant),
                environment: environment.unwrap_or(scope.environment),
            },
            (None, _, None) => return Err(fault("/tenant", "is missing")),
            (_, None, None) => return Err(fault("/environment", "is missing")),
        };
        let body = body(self.command_type, self.patch, self.reports, self.claim, self.granted)?;
        let context = Context {
            idempotency_key: self.idempotency_key,
            fingerprint: self.fingerprint,
            expected_version: self.expected_version,
            correlation_id: self.correlation_id,
            causation_id: self.causation_id,
            traceparent: self.traceparent,
            reason: self.reason,
            dry_run: self.dry_run,
        };
        Ok(Command {
            command_id: self
                .command_id
                .or(defaults.command_id)
                .ok_or(fault("/command_id", "is missing"))?,
            scope,
            customer: self.customer,
            issued_at: self
                .issued_at
                .or(defaults.issued_at)
                .ok_or(fault("/issued_at", "is missing"))?,
            actor: self.actor.or(defaults.actor).ok_or(fault("/actor", "is missing"))?,
            source: self.source.or(defaults.source).ok_or(fault("/source", "is missing"))?,
            context,
            routed: self.routed,
            body,
        })
    }
}

fn body(
    command_type: CommandType,
    patch: Option<Box<CustomerPatch>>,
    reports: Option<Vec<UsageReport>>,
    claim: Option<Claim>,
    granted: Option<bool>,
) -> Result<CommandBody, DraftFault> {
    use CommandType as T;
    let takes_patch = matches!(command_type, T::CreateCustomer | T::UpdateCustomer);
    if patch.is_some() && !takes_patch {
        return Err(fault("/patch", "does not belong to this type of command"));
    }
    if reports.is_some() && command_type != T::RecordUsage {
        return Err(fault("/reports", "does not belong to this type of command"));
    }
    if claim.is_some() && !command_type.is_follow_up() {
        return Err(fault("/claim", "does not belong to this type of command"));
    }
    if granted.is_some() && command_type != T::SettleClaim {
        return Err(fault("/granted", "does not belong to this type of command"));
    }
    let claim = || claim.ok_or(fault("/claim", "is missing"));
    Ok(match command_type {
        T::CreateCustomer => CommandBody::CreateCustomer(patch.unwrap_or_default()),
        T::UpdateCustomer => {
            CommandBody::UpdateCustomer(patch.ok_or(fault("/patch", "is missing"))?)
        }
        T::RecordUsage => {
            let reports = reports.ok_or(fault("/reports", "is missing"))?;
            if reports.is_empty() {
                return Err(fault("/reports", "must not be empty"));
            }
            if reports.len() > MAX_REPORTS {
                return Err(fault("/reports", "must have at most 1000 reports"));
            }
            CommandBody::RecordUsage(reports)
        }
        T::ArchiveCustomer => CommandBody::ArchiveCustomer,
        T::ClaimKey => CommandBody::ClaimKey(claim()?),
        T::SettleClaim => {
            let granted = granted.ok_or(fault("/granted", "is missing"))?;
            CommandBody::SettleClaim(Settlement { claim: claim()?, granted })
        }
        T::ReleaseKey => CommandBody::ReleaseKey(claim()?),
        T::SettleRelease => CommandBody::SettleRelease(claim()?),
    })
}

impl Serialize for Command {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (patch, reports, claim, granted) = match &self.body {
            CommandBody::CreateCustomer(patch) | CommandBody::UpdateCustomer(patch) => {
                (Some(&**patch), None, None, None)
            }
            CommandBody::RecordUsage(reports) => (None, Some(reports.as_slice()), None, None),
            CommandBody::ArchiveCustomer => (None, None, None, None),
            CommandBody::ClaimKey(claim)
            | CommandBody::ReleaseKey(claim)
            | CommandBody::SettleRelease(claim) => (None, None, Some(claim), None),
            CommandBody::SettleClaim(Settlement { claim, granted }) => {
                (None, None, Some(claim), Some(*granted))
            }
        };
        CommandWire {
            command_id: self.command_id,
            tenant: &self.scope.tenant,
            environment: self.scope.environment,
            command_type: self.body.command_type(),
            customer: &self.customer,
            issued_at: self.issued_at,
            actor: &self.actor,
            source: &self.source,
            idempotency_key: self.context.idempotency_key.as_ref(),
            fingerprint: self.context.fingerprint.as_ref(),
            expected_version: self.context.expected_version,
            correlation_id: self.context.correlation_id.as_ref(),
            causation_id: self.context.causation_id.as_ref(),
            traceparent: self.context.traceparent.as_ref(),
            reason: self.context.reason.as_ref(),
            dry_run: self.context.dry_run,
            routed: self.routed,
            patch,
            reports,
            claim,
            granted,
        }
        .serialize(serializer)
    }
}

/// The order of members in the journal.
#[derive(Serialize)]
struct CommandWire<'a> {
    command_id: CommandId,
    tenant: &'a Tenant,
    environment: Environment,
    #[serde(rename = "type")]
    command_type: CommandType,
    customer: &'a CustomerRef,
    issued_at: Timestamp,
    actor: &'a Actor,
    source: &'a Origin,
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<&'a Token>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<&'a Token>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<&'a Token>,
    #[serde(skip_serializing_if = "Option::is_none")]
    causation_id: Option<&'a Token>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a Token>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a Token>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dry_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    routed: Option<Routed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<&'a CustomerPatch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reports: Option<&'a [UsageReport]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claim: Option<&'a Claim>,
    #[serde(skip_serializing_if = "Option::is_none")]
    granted: Option<bool>,
}

impl<'de> Deserialize<'de> for Command {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let draft = CommandDraft::deserialize(deserializer)?;
        draft.complete(Defaults::NONE).map_err(serde::de::Error::custom)
    }
}
