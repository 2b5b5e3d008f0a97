//! Commands as JSON: what is read, with members missing that the way in provides, and what is written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::entitle::{Members, Written};
use super::{
    Claim, Command, CommandBody, CommandType, Context, CustomerPatch, MAX_REPORTS, RegistrarAnswer,
    Routed, Settlement,
};
use crate::customer::UsageReport;
use crate::customer::entitlements::{
    Cancellation, FlagAsked, GrantAsked, PlanAsked, PlanPatch, PurchaseAsked,
};
use crate::ids::{Actor, CommandId, CustomerRef, Environment, Meter, Origin, Scope, Tenant, Token};
use crate::time::Timestamp;

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
    /// Whether a refusal, unless for a conflict, gives the idempotency key back.
    #[serde(default)]
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
    /// A registrar's answer, of `SettleClaim`.
    pub granted: Option<bool>,
    /// What else the registrar says, of `SettleClaim`.
    pub answer: Option<RegistrarAnswer>,
    /// A plan, of `AttachPlan`.
    pub plan: Option<Box<PlanAsked>>,
    /// The plan, of `UpdatePlan` and `CancelPlan`.
    pub plan_id: Option<Token>,
    /// What changes, of `UpdatePlan`.
    pub change: Option<Box<PlanPatch>>,
    /// When, of `CancelPlan`.
    pub cancellation: Option<Cancellation>,
    /// A purchase, of `RecordPurchase`.
    pub purchase: Option<Box<PurchaseAsked>>,
    /// A grant, of `GrantBalance`.
    pub grant: Option<Box<GrantAsked>>,
    /// The grant, of `RevokeGrant`.
    pub grant_id: Option<Token>,
    /// A flag, of `SetFlag`.
    pub flag: Option<Box<FlagAsked>>,
    /// The feature, of `ClearFlag`.
    pub feature_id: Option<Meter>,
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

pub(super) const fn fault(pointer: &'static str, detail: &'static str) -> DraftFault {
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
        let members = Members {
            plan: self.plan,
            plan_id: self.plan_id,
            change: self.change,
            cancellation: self.cancellation,
            purchase: self.purchase,
            grant: self.grant,
            grant_id: self.grant_id,
            flag: self.flag,
            feature_id: self.feature_id,
        };
        let settled = self.granted.map(|granted| (granted, self.answer.clone()));
        if self.answer.is_some() && self.command_type != CommandType::SettleClaim {
            return Err(fault("/answer", "does not belong to this type of command"));
        }
        let body = body(self.command_type, self.patch, self.reports, self.claim, settled, members)?;
        let context = Context {
            idempotency_key: self.idempotency_key,
            fingerprint: self.fingerprint,
            refusal_frees_key: self.refusal_frees_key,
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
    settled: Option<(bool, Option<RegistrarAnswer>)>,
    members: Members,
) -> Result<CommandBody, DraftFault> {
    use CommandType as T;
    members.belong(command_type)?;
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
    if settled.is_some() && command_type != T::SettleClaim {
        return Err(fault("/granted", "does not belong to this type of command"));
    }
    let claim = || match claim {
        Some(claim) if claims(command_type, &claim) => Ok(claim),
        Some(_) => Err(fault("/claim", "does not belong to this type of command")),
        None => Err(fault("/claim", "is missing")),
    };
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
        T::ClaimKey | T::ClaimPledge | T::ClaimEdge => CommandBody::Claim(claim()?),
        T::SettleClaim => {
            let (granted, answer) = settled.ok_or(fault("/granted", "is missing"))?;
            let answer = answer.unwrap_or_default();
            CommandBody::SettleClaim(Settlement { claim: claim()?, granted, answer })
        }
        T::ReleaseKey | T::ReleasePledge | T::ReleaseEdge => CommandBody::Release(claim()?),
        T::SettleRelease => CommandBody::SettleRelease(claim()?),
        T::AttachPlan
        | T::UpdatePlan
        | T::CancelPlan
        | T::RecordPurchase
        | T::GrantBalance
        | T::RevokeGrant
        | T::SetFlag
        | T::ClearFlag => CommandBody::Entitle(Box::new(members.complete(command_type)?)),
    })
}

/// Tells whether a type of command is about such a claim.
const fn claims(command_type: CommandType, claim: &Claim) -> bool {
    use CommandType as T;
    let settles = matches!(command_type, T::SettleClaim | T::SettleRelease);
    let of_kind = match claim {
        Claim::Key(_) => matches!(command_type, T::ClaimKey | T::ReleaseKey),
        Claim::Pledge(_) => matches!(command_type, T::ClaimPledge | T::ReleasePledge),
        Claim::Edge(_) => matches!(command_type, T::ClaimEdge | T::ReleaseEdge),
    };
    settles || of_kind
}

impl Serialize for Command {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (mut patch, mut reports, mut claim) = (None, None, None);
        let (mut granted, mut answer) = (None, None);
        match &self.body {
            CommandBody::CreateCustomer(asked) | CommandBody::UpdateCustomer(asked) => {
                patch = Some(&**asked);
            }
            CommandBody::RecordUsage(asked) => reports = Some(asked.as_slice()),
            CommandBody::ArchiveCustomer | CommandBody::Entitle(_) => {}
            CommandBody::Claim(about)
            | CommandBody::Release(about)
            | CommandBody::SettleRelease(about) => claim = Some(about),
            CommandBody::SettleClaim(settlement) => {
                claim = Some(&settlement.claim);
                granted = Some(settlement.granted);
                answer = Some(&settlement.answer).filter(|answer| !answer.is_empty());
            }
        }
        let entitle = if let CommandBody::Entitle(asked) = &self.body {
            Written::from(&**asked)
        } else {
            Written::default()
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
            refusal_frees_key: self.context.refusal_frees_key,
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
            answer,
            plan: entitle.plan,
            plan_id: entitle.plan_id,
            change: entitle.change,
            cancellation: entitle.cancellation,
            purchase: entitle.purchase,
            grant: entitle.grant,
            grant_id: entitle.grant_id,
            flag: entitle.flag,
            feature_id: entitle.feature_id,
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
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    refusal_frees_key: bool,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<&'a RegistrarAnswer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<&'a PlanAsked>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan_id: Option<&'a Token>,
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<&'a PlanPatch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancellation: Option<&'a Cancellation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purchase: Option<&'a PurchaseAsked>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<&'a GrantAsked>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant_id: Option<&'a Token>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flag: Option<&'a FlagAsked>,
    #[serde(skip_serializing_if = "Option::is_none")]
    feature_id: Option<&'a Meter>,
}

impl<'de> Deserialize<'de> for Command {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let draft = CommandDraft::deserialize(deserializer)?;
        draft.complete(Defaults::NONE).map_err(serde::de::Error::custom)
    }
}
