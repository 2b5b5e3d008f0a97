//! The state of one customer: the facts that its events add up to. Most customers have few of them,
//! so a group that has its empty values takes no room.

use std::sync::LazyLock;

use tallybook_events::customer::{
    BillingControls, Budget, Contract, CustomerDocument, Identity, LifetimeSummary, PeriodSummary,
    Policy, Profile, UsageSummary,
};
use tallybook_events::event::Event;
use tallybook_events::ids::{CustomerId, CustomerKey, Scope};
use tallybook_events::money::Total;
use tallybook_events::time::Timestamp;

use super::entitlements::Entitled;
use super::packed::{Packed, Unpackable, Unpacking, pack_json, pack_maybe, pack_text};
use super::usage::{self, Usage};

/// A customer, as far as rules need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customer {
    /// Its id, for ever.
    pub id: CustomerId,
    /// Number of events.
    pub version: u64,
    /// Tenant and environment.
    pub scope: Scope,
    /// The key. An archived customer has given it back and only remembers it.
    pub key: Option<CustomerKey>,
    /// When it was born.
    pub created_at: Timestamp,
    /// When its last event was decided.
    pub updated_at: Timestamp,
    /// When it was archived.
    pub archived_at: Option<Timestamp>,
    profile: Rare<Profile>,
    contract: Rare<Contract>,
    budget: Rare<Budget>,
    policy: Option<Box<Policy>>,
    billing_controls: Rare<BillingControls>,
    identity: Rare<Identity>,
    usage: Rare<Usage>,
    entitled: Rare<Entitled>,
}

/// Facts that take room only when they differ from the empty ones.
type Rare<T> = Option<Box<T>>;

static NO_PROFILE: LazyLock<Profile> = LazyLock::new(Profile::default);
static NO_CONTRACT: LazyLock<Contract> = LazyLock::new(Contract::default);
static NO_CONTROLS: LazyLock<BillingControls> = LazyLock::new(BillingControls::default);
static NO_IDENTITY: LazyLock<Identity> = LazyLock::new(Identity::default);
static NO_ENTITLEMENTS: LazyLock<Entitled> = LazyLock::new(Entitled::default);

fn change<T: Default + PartialEq>(facts: &mut Rare<T>, change: impl FnOnce(&mut T)) {
    let mut changed = facts.take().unwrap_or_default();
    change(&mut changed);
    if *changed != T::default() {
        *facts = Some(changed);
    }
}

impl Customer {
    /// Makes a customer as it is just before its birth.
    pub(super) fn unborn(
        id: CustomerId,
        scope: Scope,
        key: Option<CustomerKey>,
        at: Timestamp,
    ) -> Self {
        Self {
            id,
            version: 0,
            scope,
            key,
            created_at: at,
            updated_at: at,
            archived_at: None,
            profile: None,
            contract: None,
            budget: None,
            policy: None,
            billing_controls: None,
            identity: None,
            usage: None,
            entitled: None,
        }
    }

    /// Gives the profile.
    pub fn profile(&self) -> &Profile {
        self.profile.as_deref().unwrap_or(&NO_PROFILE)
    }

    /// Gives the contract.
    pub fn contract(&self) -> &Contract {
        self.contract.as_deref().unwrap_or(&NO_CONTRACT)
    }

    /// Gives the budget.
    pub fn budget(&self) -> Budget {
        self.budget.as_deref().copied().unwrap_or_default()
    }

    /// Gives the spending policy, if there is one.
    pub fn policy(&self) -> Option<&Policy> {
        self.policy.as_deref()
    }

    /// Gives the billing controls.
    pub fn billing_controls(&self) -> &BillingControls {
        self.billing_controls.as_deref().unwrap_or(&NO_CONTROLS)
    }

    /// Gives links and parent.
    pub fn identity(&self) -> &Identity {
        self.identity.as_deref().unwrap_or(&NO_IDENTITY)
    }

    /// Gives what was used.
    pub(super) fn usage(&self) -> &Usage {
        self.usage.as_deref().unwrap_or(&usage::NOTHING)
    }

    /// Gives what the customer is entitled to.
    pub(super) fn entitled(&self) -> &Entitled {
        self.entitled.as_deref().unwrap_or(&NO_ENTITLEMENTS)
    }

    /// Gives what the customer is entitled to, if it ever was to anything.
    pub(super) fn has_entitlements(&self) -> Option<&Entitled> {
        self.entitled.as_deref()
    }

    /// Tells whether a plan of the customer has not ended at a moment.
    pub fn has_live_subscriptions(&self, at: Timestamp) -> bool {
        self.entitled().facts.has_live_subscriptions(at)
    }

    /// Tells whether the customer has a key now.
    pub fn holds(&self, key: &CustomerKey) -> bool {
        self.archived_at.is_none() && self.key.as_ref() == Some(key)
    }

    /// Applies a fact. Cannot fail.
    pub(super) fn apply(&mut self, event: &Event, decided_at: Timestamp) {
        if event.counts_in_version() {
            self.version += 1;
            self.updated_at = decided_at;
        }
        match event {
            Event::CustomerUpdated(updated) => change(&mut self.profile, |profile| {
                change(&mut self.identity, |identity| updated.apply(profile, identity));
            }),
            Event::TierChanged(changed) => {
                change(&mut self.contract, |contract| changed.apply(contract));
            }
            Event::StatusChanged(changed) => {
                change(&mut self.contract, |contract| contract.status = changed.to);
            }
            Event::ContractSet(set) => change(&mut self.contract, |contract| {
                (contract.start, contract.end) = (set.start, set.end);
            }),
            Event::BudgetSet(set) => {
                change(&mut self.budget, |budget| *budget = (*set).into());
                let window = self.budget().schedule().window_at(decided_at);
                if let Some(usage) = &mut self.usage {
                    usage.hours.keep(window);
                }
            }
            Event::PolicyChanged(changed) => self.policy = changed.to.clone().map(Box::new),
            Event::BillingControlsSet(set) => {
                change(&mut self.billing_controls, |controls| controls.clone_from(&set.to));
                if self.entitled.is_some() {
                    self.entitle(event, decided_at);
                }
            }
            Event::KeyChanged(changed) => self.key.clone_from(&changed.to),
            Event::ParentChanged(changed) => {
                change(&mut self.identity, |identity| identity.parent = changed.to);
            }
            Event::UsageRecorded(recorded) => {
                self.usage.get_or_insert_default().apply(recorded);
                if let Some(entitled) = &mut self.entitled {
                    entitled.count(recorded, decided_at);
                }
            }
            Event::PlanAttached(_)
            | Event::PlanChanged(_)
            | Event::PlanCanceled(_)
            | Event::PurchaseRecorded(_)
            | Event::BalanceGranted(_)
            | Event::GrantRevoked(_)
            | Event::FlagSet(_)
            | Event::FlagCleared(_)
            | Event::AutoTopupTriggered(_)
            | Event::UsageAlertTriggered(_)
            | Event::BalanceLimitReached(_) => self.entitle(event, decided_at),
            Event::BudgetThresholdReached(reached) => {
                self.usage.get_or_insert_default().thresholds.apply(reached);
            }
            Event::CustomerArchived(_) => self.archived_at = Some(decided_at),
            Event::CustomerCreated(_)
            | Event::KeyClaimed(_)
            | Event::KeyReleased(_)
            | Event::PledgeClaimed(_)
            | Event::PledgeReleased(_)
            | Event::EdgeClaimed(_)
            | Event::EdgeReleased(_) => {}
        }
    }

    fn entitle(&mut self, event: &Event, decided_at: Timestamp) {
        let mut entitled = self.entitled.take().unwrap_or_default();
        entitled.apply(event, &self.usage().reports, decided_at);
        self.entitled = Some(entitled).filter(|entitled| **entitled != Entitled::default());
    }

    /// Gives the customer document; `now` says which period is the current one.
    pub(super) fn document(&self, now: Timestamp) -> CustomerDocument {
        CustomerDocument {
            id: self.id,
            key: self.key.clone(),
            tenant: self.scope.tenant.clone(),
            environment: self.scope.environment,
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
            archived_at: self.archived_at,
            profile: self.profile().clone(),
            contract: self.contract().clone(),
            budget: self.budget(),
            policy: self.policy().cloned(),
            billing_controls: self.billing_controls().clone(),
            identity: self.identity().clone(),
            usage: self.usage_summary(now),
        }
    }

    fn usage_summary(&self, now: Timestamp) -> UsageSummary {
        let total = |units| Total::from_trillionths(units).expect("sums are kept below 10^28");
        let budget = self.budget();
        let window = budget.schedule().window_at(now);
        let period = self.usage().hours.used(window);
        let lifetime = self.usage().lifetime.tally;
        let remaining = budget.period_budget.map(|budget| budget.trillionths() - period.raw);
        UsageSummary {
            period: PeriodSummary {
                start: window.start,
                end: window.end,
                raw: total(period.raw),
                charged: total(period.charged),
                count: period.count,
                budget: budget.period_budget,
                remaining: remaining.map(total),
            },
            lifetime: LifetimeSummary {
                raw: total(lifetime.raw),
                charged: total(lifetime.charged),
                count: lifetime.count,
            },
        }
    }
}

impl Packed for Customer {
    fn pack(&self, out: &mut Vec<u8>) {
        let Self { id, version, scope, key, created_at, updated_at, archived_at, .. } = self;
        let Self { profile, contract, budget, policy, .. } = self;
        let Self { billing_controls, identity, usage, entitled, .. } = self;
        id.pack(out);
        version.pack(out);
        pack_text(scope.tenant.as_str(), out);
        pack_text(scope.environment.as_str(), out);
        pack_maybe(key.as_ref(), out, |key, out| pack_text(key.as_str(), out));
        created_at.pack(out);
        updated_at.pack(out);
        pack_maybe(archived_at.as_ref(), out, Packed::pack);
        pack_maybe(profile.as_deref(), out, pack_json);
        pack_maybe(contract.as_deref(), out, pack_json);
        pack_maybe(budget.as_deref(), out, pack_json);
        pack_maybe(policy.as_deref(), out, pack_json);
        pack_maybe(billing_controls.as_deref(), out, pack_json);
        pack_maybe(identity.as_deref(), out, pack_json);
        pack_maybe(usage.as_deref(), out, Packed::pack);
        pack_maybe(entitled.as_deref(), out, Packed::pack);
    }

    fn unpack(from: &mut Unpacking<'_>) -> Result<Self, Unpackable> {
        Ok(Self {
            id: from.take()?,
            version: from.take()?,
            scope: Scope { tenant: from.text()?, environment: from.text()? },
            key: from.maybe(Unpacking::text)?,
            created_at: from.take()?,
            updated_at: from.take()?,
            archived_at: from.maybe(Unpacking::take)?,
            profile: from.maybe(Unpacking::json)?,
            contract: from.maybe(Unpacking::json)?,
            budget: from.maybe(Unpacking::json)?,
            policy: from.maybe(Unpacking::json)?,
            billing_controls: from.maybe(Unpacking::json)?,
            identity: from.maybe(Unpacking::json)?,
            usage: from.maybe(|from| from.take().map(Box::new))?,
            entitled: from.maybe(|from| from.take().map(Box::new))?,
        })
    }
}
