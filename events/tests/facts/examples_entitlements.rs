//! Full examples of what is stored about entitlements.

use tallybook_events::customer::ThresholdType;
use tallybook_events::customer::entitlements::{
    AutoTopupTriggered, BalanceGranted, BalanceLimit, BalanceLimitReached, BillingMethod, Flag,
    FlagCleared, FlagSet, Grant, GrantRevoked, Plan, PlanAttached, PlanCanceled, PlanChanged,
    Price, PriceTier, Purchase, PurchaseRecorded, PurchasesCounted, ResetInterval, ResetRule,
    RolloverRule, TierBehavior, UsageAlertTriggered,
};
use tallybook_events::event::Event;

use crate::examples::{text, window};

/// Gives the example of an event version about entitlements.
pub(crate) fn event(name: &str) -> Option<Event> {
    Some(match name {
        "PlanAttached.v1" => Event::PlanAttached(PlanAttached { plan: plan() }),
        "PlanChanged.v1" => Event::PlanChanged(Box::new(PlanChanged {
            from: Plan { past_due: false, quantity: 1, ..plan() },
            to: plan(),
        })),
        "PlanCanceled.v1" => Event::PlanCanceled(PlanCanceled {
            plan_id: text("pro"),
            canceled_at: text("2026-11-20T00:00:00Z"),
            expires_at: text("2026-12-18T16:25:21.437Z"),
        }),
        "PurchaseRecorded.v1" => Event::PurchaseRecorded(PurchaseRecorded {
            purchase: Purchase {
                purchase_id: text("order-1"),
                plan_id: text("credits"),
                quantity: 2,
                started_at: text("2026-11-19T10:00:00Z"),
                expires_at: Some(text("2027-11-19T10:00:00Z")),
            },
        }),
        "BalanceGranted.v1" => Event::BalanceGranted(Box::new(BalanceGranted {
            grant: grant(),
            counts_from: text("2026-11-18T16:25:21.437Z"),
            instead_of: Some(Box::new(Grant { included: text("50"), price: None, ..grant() })),
        })),
        "GrantRevoked.v1" => Event::GrantRevoked(Box::new(GrantRevoked {
            grant: grant(),
            ends_at: text("2026-11-24T05:30:00Z"),
        })),
        "FlagSet.v1" => Event::FlagSet(FlagSet {
            flag: flag(),
            instead_of: Some(Flag { plan_id: None, expires_at: None, ..flag() }),
        }),
        "FlagCleared.v1" => Event::FlagCleared(FlagCleared { flag: flag() }),
        "AutoTopupTriggered.v1" => Event::AutoTopupTriggered(AutoTopupTriggered {
            feature_id: text("messages"),
            threshold: text("10"),
            quantity: text("100"),
            remaining: text("9.5"),
            window: window(),
            invoice_mode: Some(false),
            purchases: Some(PurchasesCounted { count: 2, limit: 5, span: window() }),
        }),
        "UsageAlertTriggered.v1" => Event::UsageAlertTriggered(UsageAlertTriggered {
            feature_id: text("messages"),
            name: Some(text("half")),
            threshold: text("50"),
            threshold_type: ThresholdType::UsagePercentage,
            granted: text("100"),
            usage: text("55"),
            remaining: text("45"),
            window: window(),
        }),
        "BalanceLimitReached.v1" => Event::BalanceLimitReached(BalanceLimitReached {
            feature_id: text("messages"),
            limit_type: BalanceLimit::Included,
            granted: text("100"),
            usage: text("100"),
            window: window(),
        }),
        _ => return None,
    })
}

fn plan() -> Plan {
    Plan {
        plan_id: text("pro"),
        add_on: true,
        auto_enable: true,
        quantity: 3,
        past_due: true,
        started_at: text("2026-02-18T16:25:21.437Z"),
        trial_ends_at: Some(text("2026-03-01T00:00:00Z")),
        current_period_start: Some(text("2026-11-18T16:25:21.437Z")),
        current_period_end: Some(text("2026-12-18T16:25:21.437Z")),
        canceled_at: Some(text("2026-11-20T00:00:00Z")),
        expires_at: Some(text("2026-12-18T16:25:21.437Z")),
    }
}

fn grant() -> Grant {
    Grant {
        grant_id: text("cus_ent_1"),
        feature_id: text("messages"),
        plan_id: Some(text("pro")),
        included: text("100"),
        prepaid: text("25.5"),
        unlimited: false,
        overage_allowed: true,
        max_purchase: Some(text("1000")),
        reset: Some(ResetRule {
            interval: ResetInterval::SemiAnnual,
            interval_count: 2,
            anchor: text("2026-02-18T16:25:21.437Z"),
        }),
        rollover: Some(RolloverRule { max: Some(text("50")), windows: Some(3) }),
        price: Some(Price {
            amount: Some(text("9.99")),
            tiers: Some(vec![
                PriceTier {
                    to: Some(text("100")),
                    amount: text("0.1"),
                    flat_amount: Some(text("1")),
                },
                PriceTier { to: None, amount: text("0.05"), flat_amount: None },
            ]),
            tier_behavior: Some(TierBehavior::Graduated),
            billing_units: text("100"),
            billing_method: BillingMethod::UsageBased,
            max_purchase: Some(text("1000")),
        }),
        starts_at: text("2026-02-18T16:25:21.437Z"),
        expires_at: Some(text("2027-02-18T16:25:21.437Z")),
    }
}

fn flag() -> Flag {
    Flag {
        flag_id: text("cus_ent_2"),
        feature_id: text("advanced_workflows"),
        plan_id: Some(text("pro")),
        expires_at: Some(text("2026-12-18T16:25:21.437Z")),
    }
}
