//! Customers: how each one stands now.

use serde::{Deserialize, Serialize};
use tallybook_events::customer::entitlements::{Counted, EntitlementFacts};
use tallybook_events::customer::{
    BillingControls, Budget, Contract, Corrected, CustomerCreated, CustomerDocument, Identity,
    Policy, Profile, Status, UsageRecorded, UsageSummary,
};
use tallybook_events::event::Event;
use tallybook_events::ids::{CustomerId, CustomerKey, Merchant, ReportId, Scope};
use tallybook_events::time::Timestamp;

use crate::projection::{Fact, Facts, Projection};

/// One row: a customer, but for what it used, which is in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerRow {
    /// Its id.
    pub id: CustomerId,
    /// Its tenant and environment.
    pub scope: Scope,
    /// Its key; of an archived customer the one that it had.
    pub key: Option<CustomerKey>,
    /// Since when it has the key. Partitions are not folded in one order: while two customers seem to
    /// have one key, the later of them has it.
    pub key_since: Timestamp,
    /// Number of events.
    pub version: u64,
    /// When it was born.
    pub created_at: Timestamp,
    /// When its last event was decided.
    pub updated_at: Timestamp,
    /// When it was archived.
    pub archived_at: Option<Timestamp>,
    /// All else.
    pub groups: Groups,
    /// Plans, purchases, grants and flags, if there ever were any. No part of the document.
    pub entitlements: Option<Box<EntitlementFacts>>,
}

/// Of a customer to whom nothing was granted.
static NO_ENTITLEMENTS: EntitlementFacts = EntitlementFacts::NONE;

/// The groups of the customer document, kept as one JSON text.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Groups {
    /// Names, addresses, metadata.
    pub profile: Profile,
    /// Tier, status, dates.
    pub contract: Contract,
    /// What may be spent, and when periods begin.
    pub budget: Budget,
    /// Rules for single spends.
    pub policy: Option<Policy>,
    /// Rules by feature.
    pub billing_controls: BillingControls,
    /// Links and parent.
    pub identity: Identity,
    /// The first report that was recorded with a merchant. No part of the customer document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_merchant: Option<FirstMerchant>,
}

/// A merchant that a customer may be locked to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstMerchant {
    /// The report that named it first.
    pub report_id: ReportId,
    /// The merchant: of that report, or of the last correction of it that names one.
    pub merchant: Merchant,
}

impl Groups {
    /// Takes note of the merchant that a report names. Tells whether that changed anything.
    fn meet(&mut self, used: &UsageRecorded) -> bool {
        let Some(merchant) = &used.merchant else { return false };
        let first = match &mut self.first_merchant {
            first @ None => first.insert(FirstMerchant {
                report_id: used.report_id.clone(),
                merchant: merchant.clone(),
            }),
            Some(first) => {
                let names = |corrected: &Corrected| corrected.report_id == first.report_id;
                if !used.corrects.as_ref().is_some_and(names) || first.merchant == *merchant {
                    return false;
                }
                first
            }
        };
        first.merchant = merchant.clone();
        true
    }
}

/// How much of a row changed. A later one includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum RowChange {
    /// Nothing.
    #[default]
    Nothing,
    /// Version and time only.
    Counted,
    /// A group, but nothing that lists are made by.
    Groups,
    /// Key, tier, status or end of life: what customers are found and listed by.
    Listed,
    /// The row is new.
    Born,
}

impl CustomerRow {
    /// Gives the name of what it is listed under in stores.
    pub(crate) const fn listed_under(&self) -> &'static str {
        match (self.archived_at, self.groups.contract.status) {
            (Some(_), _) => "archived",
            (None, Status::Active) => "active",
            (None, Status::Suspended) => "suspended",
        }
    }

    /// Gives what usage of the customer is counted for.
    pub fn counted(&self) -> Counted<'_> {
        let facts = self.entitlements.as_deref().unwrap_or(&NO_ENTITLEMENTS);
        Counted::new(facts, &self.groups.billing_controls)
    }

    /// Tells whether usage of the customer may be counted for anything.
    pub(crate) const fn counts_usage(&self) -> bool {
        self.entitlements.is_some() || self.groups.billing_controls.usage_limits.is_some()
    }

    /// Gives the customer document with what was used.
    pub fn document(self, usage: UsageSummary) -> CustomerDocument {
        let Groups { profile, contract, budget, policy, billing_controls, identity, .. } =
            self.groups;
        CustomerDocument {
            id: self.id,
            key: self.key,
            tenant: self.scope.tenant,
            environment: self.scope.environment,
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
            archived_at: self.archived_at,
            profile,
            contract,
            budget,
            policy,
            billing_controls,
            identity,
            usage,
        }
    }

    fn born(created: &CustomerCreated, at: Timestamp) -> Self {
        Self {
            id: created.customer_id,
            scope: Scope { tenant: created.tenant.clone(), environment: created.environment },
            key: created.key.clone(),
            key_since: at,
            version: 0,
            created_at: at,
            updated_at: at,
            archived_at: None,
            groups: Groups::default(),
            entitlements: None,
        }
    }

    /// Makes the change that an event tells of.
    fn change(&mut self, event: &Event, at: Timestamp) -> RowChange {
        let groups = &mut self.groups;
        match event {
            Event::CustomerCreated(_) => return RowChange::Born,
            Event::UsageRecorded(used) => {
                return if groups.meet(used) { RowChange::Groups } else { RowChange::Counted };
            }
            Event::BudgetThresholdReached(_)
            | Event::AutoTopupTriggered(_)
            | Event::UsageAlertTriggered(_)
            | Event::BalanceLimitReached(_)
            | Event::KeyClaimed(_)
            | Event::KeyReleased(_)
            | Event::PledgeClaimed(_)
            | Event::PledgeReleased(_)
            | Event::EdgeClaimed(_)
            | Event::EdgeReleased(_) => return RowChange::Counted,
            Event::CustomerUpdated(updated) => {
                updated.apply(&mut groups.profile, &mut groups.identity);
            }
            Event::ContractSet(set) => {
                groups.contract.start = set.start;
                groups.contract.end = set.end;
            }
            Event::BudgetSet(set) => groups.budget = (*set).into(),
            Event::PolicyChanged(changed) => groups.policy.clone_from(&changed.to),
            Event::BillingControlsSet(set) => groups.billing_controls.clone_from(&set.to),
            Event::ParentChanged(changed) => groups.identity.parent = changed.to,
            Event::PlanAttached(_)
            | Event::PlanChanged(_)
            | Event::PlanCanceled(_)
            | Event::PurchaseRecorded(_)
            | Event::BalanceGranted(_)
            | Event::GrantRevoked(_)
            | Event::FlagSet(_)
            | Event::FlagCleared(_) => {
                // Where usage is counted, what is to be counted anew is found out.
                drop(event.entitle(self.entitlements.get_or_insert_default(), at));
            }
            Event::TierChanged(changed) => {
                changed.apply(&mut groups.contract);
                return RowChange::Listed;
            }
            Event::StatusChanged(changed) => {
                groups.contract.status = changed.to;
                return RowChange::Listed;
            }
            Event::KeyChanged(changed) => {
                self.key.clone_from(&changed.to);
                self.key_since = at;
                return RowChange::Listed;
            }
            Event::CustomerArchived(_) => {
                self.archived_at = Some(at);
                return RowChange::Listed;
            }
        }
        RowChange::Groups
    }
}

/// The fold: the row is the state; a change is how much of it changed.
#[derive(Debug)]
pub struct Customers;

impl Projection for Customers {
    const NAME: &'static str = "customers";
    type State = Option<CustomerRow>;
    type Change<'a> = RowChange;

    fn apply(row: &mut Option<CustomerRow>, facts: &Facts<'_>) -> Vec<RowChange> {
        facts.facts.iter().map(|fact| apply_one(row, fact, facts.decided_at)).collect()
    }
}

fn apply_one(row: &mut Option<CustomerRow>, fact: &Fact<'_>, at: Timestamp) -> RowChange {
    if let Event::CustomerCreated(created) = &fact.event {
        *row = Some(CustomerRow::born(created, at));
    }
    let Some(row) = row else { return RowChange::Nothing };
    row.version = fact.version;
    row.updated_at = at;
    row.change(&fact.event, at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::CustomerFold;
    use crate::ledger::NoRows;
    use crate::testing::{
        Log, archived, at, budget_set, corrected, created, id, key, named, renamed, scope,
        suspended, tier, used,
    };
    use tallybook_events::customer::{
        BillingControlsSet, ContractSet, KeyClaimed, Limits, ParentChanged, PolicyChanged,
    };

    /// Decisions, one a day from 2026-11-01 on, give the row.
    fn given(decisions: &[&[Event]]) -> CustomerRow {
        let mut log = Log::new(0);
        let mut version = 0;
        for (day, events) in (1..).zip(decisions) {
            log.accept(&format!("2026-11-{day:02}"), id("acme"), version, events);
            version += u64::try_from(events.len()).unwrap();
        }
        let mut fold = CustomerFold::unborn();
        for facts in log.facts() {
            facts.follow(fold.version()).unwrap();
            let Ok(()) = fold.apply(&facts, &mut NoRows);
        }
        let (row, change) = fold.row().unwrap();
        assert_eq!(change, RowChange::Born, "nothing was written in between");
        row.clone()
    }

    fn born() -> CustomerRow {
        CustomerRow {
            id: id("acme"),
            scope: scope(),
            key: Some(key("acme")),
            key_since: at("2026-11-01"),
            version: 1,
            created_at: at("2026-11-01"),
            updated_at: at("2026-11-01"),
            archived_at: None,
            groups: Groups::default(),
            entitlements: None,
        }
    }

    #[test]
    fn a_customer_is_born_with_empty_groups() {
        assert_eq!(given(&[&[created("acme")]]), born());
    }

    #[test]
    fn each_event_changes_its_own_group_and_counts() {
        let budget = Budget { period_budget: Some(100_u32.into()), ..Budget::default() };
        let policy = Policy { limits: Some(Limits::default()), ..Policy::default() };
        let controls =
            BillingControls { spend_limits: Some(Vec::new()), ..BillingControls::default() };
        let start = Some("2026-01-01".parse().unwrap());
        let row = given(&[
            &[created("acme"), named("Acme")],
            &[tier("growth"), suspended(), Event::ContractSet(ContractSet { start, end: None })],
            &[budget_set(&budget)],
            &[Event::PolicyChanged(Box::new(PolicyChanged {
                from: None,
                to: Some(policy.clone()),
            }))],
            &[Event::BillingControlsSet(Box::new(BillingControlsSet {
                from: BillingControls::default(),
                to: controls.clone(),
            }))],
            &[Event::ParentChanged(ParentChanged { from: None, to: Some(id("parent")) })],
            &[used("r1", "2026-11-07T00:00:00Z", 5, &budget)],
        ]);
        let contract = Contract {
            tier: Some("growth".parse().unwrap()),
            status: Status::Suspended,
            start,
            annual_limit: Some(5),
            ..Contract::default()
        };
        let groups = Groups {
            profile: Profile { name: Some("Acme".into()), ..Profile::default() },
            contract,
            budget,
            policy: Some(policy),
            billing_controls: controls,
            identity: Identity { parent: Some(id("parent")), ..Identity::default() },
            first_merchant: None,
        };
        let expected = CustomerRow { version: 10, updated_at: at("2026-11-07"), groups, ..born() };
        assert_eq!(row, expected);
    }

    #[test]
    fn the_first_merchant_stays_unless_its_report_is_corrected() {
        let at = |id: &str, merchant: Option<&str>| {
            let Event::UsageRecorded(mut used) = used(id, "2026-11-02", 5, &Budget::default())
            else {
                panic!("a report")
            };
            used.merchant = merchant.map(|merchant| merchant.parse().unwrap());
            Event::UsageRecorded(used)
        };
        let first = |merchant: &str| {
            let (report_id, merchant) = ("r2".parse().unwrap(), merchant.parse().unwrap());
            Some(FirstMerchant { report_id, merchant })
        };
        let (birth, second) = (created("acme"), at("r2", Some("Corner Shop")));
        let third = at("r3", Some("amazon.com"));
        let before = [birth, at("r1", None), second.clone(), third.clone()];
        assert_eq!(given(&[&before]).groups.first_merchant, first("Corner Shop"));
        for (correction, expected) in [
            (corrected(&second, at("c", Some("amazon.com"))), "amazon.com"),
            (corrected(&second, at("c", None)), "Corner Shop"),
            (corrected(&third, at("c", Some("target.com"))), "Corner Shop"),
        ] {
            let row = given(&[&before, &[correction]]);
            assert_eq!(row.groups.first_merchant, first(expected));
        }
    }

    #[test]
    fn a_rename_changes_the_key_and_since_when() {
        let row = given(&[&[created("acme")], &[renamed("acme", "apex")]]);
        let expected = CustomerRow {
            version: 2,
            key: Some(key("apex")),
            key_since: at("2026-11-02"),
            updated_at: at("2026-11-02"),
            ..born()
        };
        assert_eq!(row, expected);
    }

    #[test]
    fn an_archived_customer_shows_the_key_that_it_had() {
        let row = given(&[&[created("acme")], &[archived("acme")]]);
        let expected = CustomerRow {
            version: 2,
            archived_at: Some(at("2026-11-02")),
            updated_at: at("2026-11-02"),
            ..born()
        };
        assert_eq!(row, expected);
    }

    #[test]
    fn events_about_a_slot_are_no_part_of_any_customer() {
        let mut log = Log::new(0);
        let claimed = Event::KeyClaimed(KeyClaimed {
            key: key("acme"),
            holder: id("other"),
            birth: false,
            held: None,
        });
        log.accept("2026-11-01", id("acme"), 0, &[claimed]);
        log.reject("2026-11-01", id("acme"));
        assert_eq!(log.facts().len(), 0);
    }

    #[test]
    fn facts_that_do_not_follow_are_refused() {
        let mut log = Log::new(3);
        log.accept("2026-11-01", id("acme"), 0, &[created("acme")]);
        log.accept("2026-11-02", id("acme"), 1, &[named("Acme"), created("acme")]);
        log.accept("2026-11-02", id("acme"), 0, &[named("Acme")]);
        let facts = log.facts();
        let refusal = |at: usize, version| facts[at].follow(version).unwrap_err().to_string();
        let id = id("acme");
        assert_eq!(facts[0].follow(0), Ok(()));
        assert_eq!(
            refusal(0, 1),
            format!(
                "the decision at seq 2 of partition 3 does not follow: customer {id} is at version 1, not 0"
            )
        );
        assert_eq!(
            refusal(1, 1),
            format!(
                "the decision at seq 3 of partition 3 does not follow: CustomerCreated.v1 cannot be event 3 of customer {id}"
            )
        );
        assert_eq!(
            refusal(2, 0),
            format!(
                "the decision at seq 4 of partition 3 does not follow: CustomerUpdated.v1 cannot be event 1 of customer {id}"
            )
        );
    }
}
