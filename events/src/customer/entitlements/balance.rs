//! The answer: how facts and usage stand at a moment.

use std::collections::BTreeMap;

use super::answer::{
    Balance, BalanceBreakdown, Entitlements, Reset, Rollover, Subscription, SubscriptionStatus,
};
use super::grant::Plan;
use super::held::EntitlementFacts;
use super::reset::ResetRule;
use super::segments::Segments;
use super::spending::{Line, spent};
use crate::customer::BillingControls;
use crate::ids::Meter;
use crate::money::Total;
use crate::period::Window;
use crate::time::Timestamp;

/// The largest sum that has an exact decimal.
const MOST: i128 = 10_i128.pow(28) - 1;

/// Gives a sum as a decimal. Rules keep sums far below the most there can be.
pub(super) fn total(trillionths: i128) -> Total {
    Total::from_trillionths(trillionths.min(MOST)).expect("it is below 10^28")
}

/// The grants of one feature in force at a moment, and what was used of them.
#[derive(Debug, Clone)]
pub struct Spent<'a>(Vec<Line<'a>>);

impl Spent<'_> {
    /// Tells whether no grant is in force: then there is no balance.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives what may be used, with what was carried over, in trillionths.
    pub fn granted(&self) -> i128 {
        let of = |line: &Line<'_>| {
            let carried: i128 = line.carried.iter().map(|carried| carried.opening).sum();
            line.held().grant.granted() + carried
        };
        self.0.iter().map(of).sum()
    }

    /// Gives what is left of it, in trillionths.
    pub fn remaining(&self) -> i128 {
        let of = |line: &Line<'_>| {
            line.left() + line.carried.iter().map(|carried| carried.left).sum::<i128>()
        };
        self.0.iter().map(of).sum()
    }

    /// Gives what was used, in trillionths.
    pub fn used(&self) -> i128 {
        let of = |line: &Line<'_>| {
            let carried = line.carried.iter().map(|carried| carried.opening - carried.left);
            line.used + carried.sum::<i128>()
        };
        self.0.iter().map(of).sum()
    }

    /// Tells whether there is no bound.
    pub fn unlimited(&self) -> bool {
        self.0.iter().any(|line| line.held().grant.unlimited)
    }

    /// Tells whether a grant allows usage to go over it.
    pub fn overage_allowed(&self) -> bool {
        self.0.iter().any(|line| line.held().grant.overage_allowed)
    }

    /// Gives how much may be bought beyond what is included, in trillionths.
    pub fn max_purchase(&self) -> Option<i128> {
        let each = self.0.iter().filter_map(|line| line.held().grant.max_purchase);
        each.map(crate::money::Amount::trillionths).reduce(|sum, more| sum + more)
    }

    /// Gives the window that ends first, from where on usage counts in it.
    pub fn window(&self) -> Option<Window> {
        let of = |line: &Line<'_>| Window {
            start: line.window.start.max(line.held().from),
            end: line.window.end,
        };
        self.0.iter().map(of).min_by_key(|window| (window.end, window.start))
    }

    fn balance(&self, feature: &Meter, overage_allowed: Option<bool>) -> Balance {
        let resets = self.0.iter().filter_map(resets_at);
        let mut rollovers: Vec<Rollover> =
            self.0.iter().flat_map(|line| &line.carried).map(Rollover::from).collect();
        rollovers.sort_by_key(|rollover| rollover.expires_at.unwrap_or(Timestamp::MAX));
        Balance {
            feature_id: feature.clone(),
            granted: total(self.granted()),
            remaining: total(self.remaining()),
            usage: total(self.used()),
            unlimited: self.unlimited(),
            overage_allowed: overage_allowed.unwrap_or_else(|| self.overage_allowed()),
            max_purchase: self.max_purchase().map(total),
            next_reset_at: resets.min(),
            breakdown: self.0.iter().map(BalanceBreakdown::from).collect(),
            rollovers,
        }
    }
}

fn resets_at(line: &Line<'_>) -> Option<Timestamp> {
    line.held().grant.reset.filter(ResetRule::recurs).map(|_| line.window.end)
}

impl From<&super::spending::Carried> for Rollover {
    fn from(carried: &super::spending::Carried) -> Self {
        Self {
            granted: total(carried.granted),
            balance: total(carried.left),
            expires_at: carried.expires_at,
        }
    }
}

impl From<&Line<'_>> for BalanceBreakdown {
    fn from(line: &Line<'_>) -> Self {
        let grant = &line.held().grant;
        let reset = |rule: ResetRule| Reset {
            interval: rule.interval,
            interval_count: rule.interval_count,
            resets_at: resets_at(line),
        };
        Self {
            id: grant.grant_id.clone(),
            plan_id: grant.plan_id.clone(),
            included_grant: grant.included,
            prepaid_grant: grant.prepaid,
            remaining: total(line.left()),
            usage: total(line.used),
            unlimited: grant.unlimited,
            reset: grant.reset.map(reset),
            price: grant.price.clone(),
            expires_at: grant.expires_at,
        }
    }
}

impl EntitlementFacts {
    /// Gives the grants of a feature in force at a moment, and what was used of them.
    pub fn spent<'a>(
        &'a self,
        feature: &'a Meter,
        segments: &Segments,
        now: Timestamp,
    ) -> Spent<'a> {
        Spent(spent(self.grants_of(feature), segments, now))
    }

    /// Gives all that the customer is entitled to at a moment, without its usage limits. `usage` has what was used of each
    /// feature; `controls` may say whether usage of a feature may go over its balance.
    pub fn answer(
        &self,
        usage: &BTreeMap<Meter, Segments>,
        controls: &BillingControls,
        now: Timestamp,
    ) -> Entitlements {
        let nothing = Segments::default();
        let balance = |feature: &Meter| {
            let spent = self.spent(feature, usage.get(feature).unwrap_or(&nothing), now);
            let overage = controls.overage_allowed.iter().flatten();
            let overage = overage
                .filter(|entry| entry.feature_id == *feature)
                .map(|entry| entry.enabled)
                .next();
            (!spent.is_empty()).then(|| (feature.clone(), spent.balance(feature, overage)))
        };
        let plans = self.plans.iter().filter(|plan| plan.is_live(now));
        let bought = self
            .purchases
            .iter()
            .filter(|purchase| purchase.expires_at.is_none_or(|end| now < end));
        let on = self.flags.iter().filter(|held| now < held.end());
        Entitlements {
            subscriptions: plans.map(|plan| subscription(plan, now)).collect(),
            purchases: bought.cloned().collect(),
            balances: self.features().into_iter().filter_map(balance).collect(),
            flags: on.map(|held| (held.flag.feature_id.clone(), held.flag.clone())).collect(),
            usage_limits: Vec::new(),
        }
    }
}

fn subscription(plan: &Plan, now: Timestamp) -> Subscription {
    let scheduled = now < plan.started_at;
    Subscription {
        plan_id: plan.plan_id.clone(),
        auto_enable: plan.auto_enable,
        add_on: plan.add_on,
        status: if scheduled { SubscriptionStatus::Scheduled } else { SubscriptionStatus::Active },
        past_due: plan.past_due,
        canceled_at: plan.canceled_at,
        expires_at: plan.expires_at,
        trial_ends_at: plan.trial_ends_at,
        started_at: plan.started_at,
        current_period_start: plan.current_period_start,
        current_period_end: plan.current_period_end,
        quantity: plan.quantity,
    }
}
