//! The facts as they stand: what events add up to. Grants that ended are kept as long as it matters
//! what usage counted against them.

use serde::{Deserialize, Serialize};

use super::grant::{Flag, Grant, Plan, Purchase};
use super::happened::{
    BalanceGranted, FlagCleared, FlagSet, GrantRevoked, PlanAttached, PlanCanceled, PlanChanged,
    PurchaseRecorded,
};
use super::spending::horizon;
use crate::ids::{Meter, Token};
use crate::period::Window;
use crate::time::Timestamp;

/// Plans, purchases, grants and flags of one customer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntitlementFacts {
    /// Plans that are attached, in the order in which they were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plans: Vec<Plan>,
    /// Purchases, in the order in which they were recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub purchases: Vec<Purchase>,
    /// Grants, in the order in which they came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<HeldGrant>,
    /// Flags, in the order in which they came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<HeldFlag>,
}

/// A grant, and from when until when usage counts against it as it is. One that was changed stands
/// here more than once, for different times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldGrant {
    /// The grant.
    pub grant: Grant,
    /// First moment.
    pub from: Timestamp,
    /// First moment after it, when it was changed, taken back or ends with its plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Whether it took the place of the one that ends where it begins.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub follows: bool,
}

/// A flag, and until when it is on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldFlag {
    /// The flag.
    pub flag: Flag,
    /// First moment after it, when it ends with its plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

fn earliest(a: Option<Timestamp>, b: Option<Timestamp>) -> Timestamp {
    a.unwrap_or(Timestamp::MAX).min(b.unwrap_or(Timestamp::MAX))
}

impl HeldGrant {
    /// Gives the first moment after it.
    pub fn end(&self) -> Timestamp {
        earliest(self.until, self.grant.expires_at)
    }

    /// Tells whether it is in force at a moment.
    pub fn is_active(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.end()
    }

    /// Gives its window in which a moment lies.
    pub fn window_at(&self, at: Timestamp) -> Window {
        self.grant.reset.map_or(Window::LIFETIME, |rule| rule.window_at(at))
    }

    /// Tells whether it goes on from another.
    pub(super) fn goes_on_from(&self, before: &Self) -> bool {
        self.follows && before.end() == self.from
    }

    /// Gives from when on usage counts in the window in which a moment lies.
    pub fn counts_from(&self, at: Timestamp) -> Timestamp {
        self.window_at(at).start.max(self.from)
    }
}

impl HeldFlag {
    /// Gives the first moment after it.
    pub fn end(&self) -> Timestamp {
        earliest(self.until, self.flag.expires_at)
    }
}

impl Plan {
    /// Tells whether it has not ended at a moment.
    pub fn is_live(&self, at: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| at < end)
    }
}

impl EntitlementFacts {
    /// Nothing.
    pub const NONE: Self =
        Self { plans: Vec::new(), purchases: Vec::new(), grants: Vec::new(), flags: Vec::new() };

    /// Gives a plan that has not ended at a moment.
    pub fn plan(&self, plan_id: &Token, at: Timestamp) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.plan_id == *plan_id && plan.is_live(at))
    }

    /// Tells whether a plan has not ended at a moment.
    pub fn has_live_subscriptions(&self, at: Timestamp) -> bool {
        self.plans.iter().any(|plan| plan.is_live(at))
    }

    /// Gives a grant that has not ended at a moment; it may be yet to begin.
    pub fn grant(&self, grant_id: &Token, at: Timestamp) -> Option<&HeldGrant> {
        self.grants.iter().rev().find(|held| held.grant.grant_id == *grant_id && at < held.end())
    }

    /// Gives the grants of a feature, ended ones too.
    pub fn grants_of<'a>(
        &'a self,
        feature: &'a Meter,
    ) -> impl Iterator<Item = &'a HeldGrant> + Clone + 'a {
        self.grants.iter().filter(move |held| held.grant.feature_id == *feature)
    }

    /// Tells whether usage of a feature counts against grants.
    pub fn counts(&self, feature: &Meter) -> bool {
        self.grants.iter().any(|held| held.grant.feature_id == *feature)
    }

    /// Gives the flag of a feature that is on at a moment.
    pub fn flag(&self, feature: &Meter, at: Timestamp) -> Option<&HeldFlag> {
        self.flags.iter().find(|held| held.flag.feature_id == *feature && at < held.end())
    }

    /// Gives the features of grants, each once, in order.
    pub fn features(&self) -> Vec<&Meter> {
        let mut features: Vec<_> = self.grants.iter().map(|held| &held.grant.feature_id).collect();
        features.sort_unstable();
        features.dedup();
        features
    }

    /// Moves the end of what ends with a plan, where it was to end at `from`.
    fn move_end(
        &mut self,
        plan_id: &Token,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
        at: Timestamp,
    ) -> Vec<Meter> {
        let mut features = Vec::new();
        for held in &mut self.grants {
            let of_plan = held.grant.plan_id.as_ref() == Some(plan_id);
            if of_plan && held.until == from && at < held.end() {
                held.until = to;
                features.push(held.grant.feature_id.clone());
            }
        }
        self.grants.retain(|held| held.from < held.end());
        for held in &mut self.flags {
            if held.flag.plan_id.as_ref() == Some(plan_id) && held.until == from {
                held.until = to;
            }
        }
        features
    }

    /// Gives when something that belongs to a plan ends with it.
    fn plan_end(&self, plan_id: Option<&Token>, at: Timestamp) -> Option<Timestamp> {
        self.plan(plan_id?, at)?.expires_at
    }

    /// Forgets what has ended and does not matter any more.
    fn forget(&mut self, at: Timestamp) {
        self.plans.retain(|plan| plan.is_live(at));
        self.purchases.retain(|purchase| purchase.expires_at.is_none_or(|end| at < end));
        self.flags.retain(|held| at < held.end());
        if self.grants.iter().all(|held| at < held.end()) {
            return;
        }
        let features: Vec<Meter> = self.features().into_iter().cloned().collect();
        for feature in features {
            let horizon = horizon(self.grants_of(&feature), at);
            let matters =
                |held: &HeldGrant| held.grant.feature_id != feature || horizon < held.end();
            self.grants.retain(matters);
        }
    }
}

/// What each event does to the facts, at the moment at which it was decided: gives the features of
/// the grants that begin or end at another moment then.
impl PlanAttached {
    /// Attaches the plan.
    pub fn apply(&self, facts: &mut EntitlementFacts, at: Timestamp) -> Vec<Meter> {
        facts.forget(at);
        facts.plans.push(self.plan.clone());
        Vec::new()
    }
}

impl PlanChanged {
    /// Changes the plan.
    pub fn apply(&self, facts: &mut EntitlementFacts, at: Timestamp) -> Vec<Meter> {
        let Self { from, to } = self;
        let known = facts.plans.iter_mut().find(|plan| **plan == *from);
        if let Some(plan) = known {
            plan.clone_from(to);
        }
        if from.expires_at == to.expires_at {
            return Vec::new();
        }
        facts.move_end(&from.plan_id, from.expires_at, to.expires_at, at)
    }
}

impl PlanCanceled {
    /// Cancels the plan.
    pub fn apply(&self, facts: &mut EntitlementFacts, at: Timestamp) -> Vec<Meter> {
        let live = |plan: &&mut Plan| plan.plan_id == self.plan_id && plan.is_live(at);
        let Some(plan) = facts.plans.iter_mut().find(live) else { return Vec::new() };
        let from = plan.expires_at;
        plan.canceled_at = Some(self.canceled_at);
        plan.expires_at = Some(self.expires_at);
        facts.move_end(&self.plan_id, from, Some(self.expires_at), at)
    }
}

impl PurchaseRecorded {
    /// Records the purchase.
    pub fn apply(&self, facts: &mut EntitlementFacts, at: Timestamp) -> Vec<Meter> {
        facts.forget(at);
        facts.purchases.push(self.purchase.clone());
        Vec::new()
    }
}

impl BalanceGranted {
    /// Grants the balance, or changes it.
    pub fn apply(&self, facts: &mut EntitlementFacts, at: Timestamp) -> Vec<Meter> {
        let Self { grant, counts_from: from, .. } = self;
        let same = |held: &HeldGrant| held.grant.grant_id == grant.grant_id && at < held.end();
        let mut follows = false;
        for held in facts.grants.iter_mut().filter(|held| same(held)) {
            held.until = Some(held.end().min(*from));
            follows |= held.from < held.end() || held.follows;
        }
        facts.grants.retain(|held| held.from < held.end());
        let until = facts.plan_end(grant.plan_id.as_ref(), at);
        facts.grants.push(HeldGrant { grant: grant.clone(), from: *from, until, follows });
        facts.forget(at);
        vec![grant.feature_id.clone()]
    }
}

impl GrantRevoked {
    /// Ends the grant.
    pub fn apply(&self, facts: &mut EntitlementFacts, at: Timestamp) -> Vec<Meter> {
        let Self { grant, ends_at } = self;
        let same = |held: &HeldGrant| held.grant.grant_id == grant.grant_id && at < held.end();
        for held in facts.grants.iter_mut().filter(|held| same(held)) {
            held.until = Some(*ends_at);
        }
        facts.grants.retain(|held| held.from < held.end());
        facts.forget(at);
        vec![grant.feature_id.clone()]
    }
}

impl FlagSet {
    /// Switches the feature on.
    pub fn apply(&self, facts: &mut EntitlementFacts, at: Timestamp) -> Vec<Meter> {
        facts.flags.retain(|held| held.flag.feature_id != self.flag.feature_id);
        let until = facts.plan_end(self.flag.plan_id.as_ref(), at);
        facts.flags.push(HeldFlag { flag: self.flag.clone(), until });
        Vec::new()
    }
}

impl FlagCleared {
    /// Switches the feature off.
    pub fn apply(&self, facts: &mut EntitlementFacts) -> Vec<Meter> {
        facts.flags.retain(|held| held.flag.feature_id != self.flag.feature_id);
        Vec::new()
    }
}
