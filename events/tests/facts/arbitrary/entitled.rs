//! Any change of entitlements, and what happens then.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use tallybook_events::command::Entitle;
use tallybook_events::customer::ThresholdType;
use tallybook_events::customer::entitlements::{
    AutoTopupTriggered, BalanceGranted, BalanceLimit, BalanceLimitReached, BillingMethod,
    Cancellation, Flag, FlagAsked, FlagCleared, FlagSet, Grant, GrantAsked, GrantRevoked, Plan,
    PlanAsked, PlanAttached, PlanCanceled, PlanChanged, PlanPatch, Price, PriceTier, Purchase,
    PurchaseAsked, PurchaseRecorded, PurchasesCounted, ResetAsked, ResetInterval, ResetRule,
    RolloverRule, TierBehavior, UsageAlertTriggered,
};
use tallybook_events::event::Event;
use tallybook_events::money::Total;

use super::asked::{edit, patch};
use super::words::{FEW, amount, flag, free, moment, small, window, word};

/// Any change that may be asked.
pub(super) fn asked() -> BoxedStrategy<Entitle> {
    let cancellation = (of(moment()), of(moment()))
        .prop_map(|(canceled_at, expires_at)| Cancellation { canceled_at, expires_at });
    prop_oneof![
        plan_asked().prop_map(Entitle::AttachPlan),
        (word(), plan_patch()).prop_map(|(plan_id, change)| Entitle::UpdatePlan(plan_id, change)),
        (word(), cancellation).prop_map(|(plan_id, told)| Entitle::CancelPlan(plan_id, told)),
        purchase_asked().prop_map(Entitle::RecordPurchase),
        grant_asked().prop_map(Entitle::GrantBalance),
        word().prop_map(Entitle::RevokeGrant),
        flag_asked().prop_map(Entitle::SetFlag),
        word().prop_map(Entitle::ClearFlag),
    ]
    .boxed()
}

/// Any event about entitlements.
pub(super) fn event() -> BoxedStrategy<Event> {
    let canceled = (word(), moment(), moment()).prop_map(|(plan_id, canceled_at, expires_at)| {
        Event::PlanCanceled(PlanCanceled { plan_id, canceled_at, expires_at })
    });
    let granted = (grant(), moment(), of(grant())).prop_map(|(grant, counts_from, before)| {
        let instead_of = before.map(Box::new);
        Event::BalanceGranted(Box::new(BalanceGranted { grant, counts_from, instead_of }))
    });
    prop_oneof![
        plan().prop_map(|plan| Event::PlanAttached(PlanAttached { plan })),
        (plan(), plan())
            .prop_map(|(from, to)| Event::PlanChanged(Box::new(PlanChanged { from, to }))),
        canceled,
        purchase().prop_map(|purchase| Event::PurchaseRecorded(PurchaseRecorded { purchase })),
        granted,
        (grant(), moment()).prop_map(|(grant, ends_at)| Event::GrantRevoked(Box::new(
            GrantRevoked { grant, ends_at }
        ))),
        (flag_fact(), of(flag_fact()))
            .prop_map(|(flag, instead_of)| Event::FlagSet(FlagSet { flag, instead_of })),
        flag_fact().prop_map(|flag| Event::FlagCleared(FlagCleared { flag })),
        topup().prop_map(Event::AutoTopupTriggered),
        alert().prop_map(Event::UsageAlertTriggered),
        limit().prop_map(Event::BalanceLimitReached),
    ]
    .boxed()
}

fn plan_asked() -> BoxedStrategy<PlanAsked> {
    let switches = (flag(), flag(), 1..9_u32);
    let moments = (of(moment()), of(moment()), of(moment()), of(moment()), of(moment()));
    let more = (vec(grant_asked(), 0..FEW), vec(flag_asked(), 0..FEW));
    (word(), of(word()), switches, moments, more)
        .prop_map(|(plan_id, replaces, switches, moments, (grants, flags))| PlanAsked {
            plan_id,
            replaces,
            add_on: switches.0,
            auto_enable: switches.1,
            quantity: switches.2,
            started_at: moments.0,
            trial_ends_at: moments.1,
            current_period_start: moments.2,
            current_period_end: moments.3,
            expires_at: moments.4,
            grants,
            flags,
        })
        .boxed()
}

fn plan_patch() -> BoxedStrategy<PlanPatch> {
    let switches = (edit(flag()), edit(flag()), edit(small()), edit(flag()));
    let moments =
        (patch(moment()), patch(moment()), patch(moment()), patch(moment()), patch(moment()));
    (switches, moments)
        .prop_map(|(switches, moments)| PlanPatch {
            add_on: switches.0,
            auto_enable: switches.1,
            quantity: switches.2,
            past_due: switches.3,
            trial_ends_at: moments.0,
            current_period_start: moments.1,
            current_period_end: moments.2,
            canceled_at: moments.3,
            expires_at: moments.4,
        })
        .boxed()
}

fn purchase_asked() -> BoxedStrategy<PurchaseAsked> {
    let more = (vec(grant_asked(), 0..FEW), vec(flag_asked(), 0..FEW));
    (word(), word(), small(), (of(moment()), of(moment())), more)
        .prop_map(|(purchase_id, plan_id, quantity, (started_at, expires_at), (grants, flags))| {
            PurchaseAsked { purchase_id, plan_id, quantity, started_at, expires_at, grants, flags }
        })
        .boxed()
}

fn grant_asked() -> BoxedStrategy<GrantAsked> {
    let reset =
        (interval(), small(), of(moment())).prop_map(|(interval, interval_count, anchor)| {
            ResetAsked { interval, interval_count, anchor }
        });
    let names = (word(), word(), of(word()));
    let amounts = (amount(), amount(), of(amount()));
    let rules = (of(reset), of(rollover()), of(price()));
    (names, amounts, (flag(), flag()), rules, (of(moment()), of(moment())))
        .prop_map(|(names, amounts, switches, rules, moments)| GrantAsked {
            grant_id: names.0,
            feature_id: names.1,
            plan_id: names.2,
            included: amounts.0,
            prepaid: amounts.1,
            unlimited: switches.0,
            overage_allowed: switches.1,
            max_purchase: amounts.2,
            reset: rules.0,
            rollover: rules.1,
            price: rules.2,
            starts_at: moments.0,
            expires_at: moments.1,
        })
        .boxed()
}

fn flag_asked() -> BoxedStrategy<FlagAsked> {
    (word(), word(), of(word()), of(moment()))
        .prop_map(|(flag_id, feature_id, plan_id, expires_at)| FlagAsked {
            flag_id,
            feature_id,
            plan_id,
            expires_at,
        })
        .boxed()
}

fn interval() -> impl Strategy<Value = ResetInterval> {
    proptest::sample::select(vec![
        ResetInterval::OneOff,
        ResetInterval::Minute,
        ResetInterval::Hour,
        ResetInterval::Day,
        ResetInterval::Week,
        ResetInterval::Month,
        ResetInterval::Quarter,
        ResetInterval::SemiAnnual,
        ResetInterval::Year,
    ])
}

fn rollover() -> impl Strategy<Value = RolloverRule> {
    (of(amount()), of(small())).prop_map(|(max, windows)| RolloverRule { max, windows })
}

fn price() -> BoxedStrategy<Price> {
    let tier = (of(amount()), amount(), of(amount()))
        .prop_map(|(to, amount, flat_amount)| PriceTier { to, amount, flat_amount });
    let behavior = prop_oneof![Just(TierBehavior::Graduated), Just(TierBehavior::Volume)];
    let method = prop_oneof![Just(BillingMethod::Prepaid), Just(BillingMethod::UsageBased)];
    (of(amount()), of(vec(tier, 0..FEW)), of(behavior), amount(), method, of(amount()))
        .prop_map(|(amount, tiers, tier_behavior, billing_units, billing_method, max_purchase)| {
            Price { amount, tiers, tier_behavior, billing_units, billing_method, max_purchase }
        })
        .boxed()
}

fn plan() -> BoxedStrategy<Plan> {
    let switches = (flag(), flag(), small(), flag());
    let moments = (moment(), of(moment()), of(moment()), of(moment()));
    (word(), switches, moments, (of(moment()), of(moment())))
        .prop_map(|(plan_id, switches, moments, (canceled_at, expires_at))| Plan {
            plan_id,
            add_on: switches.0,
            auto_enable: switches.1,
            quantity: switches.2,
            past_due: switches.3,
            started_at: moments.0,
            trial_ends_at: moments.1,
            current_period_start: moments.2,
            current_period_end: moments.3,
            canceled_at,
            expires_at,
        })
        .boxed()
}

fn purchase() -> BoxedStrategy<Purchase> {
    (word(), word(), small(), moment(), of(moment()))
        .prop_map(|(purchase_id, plan_id, quantity, started_at, expires_at)| Purchase {
            purchase_id,
            plan_id,
            quantity,
            started_at,
            expires_at,
        })
        .boxed()
}

fn grant() -> BoxedStrategy<Grant> {
    let reset = (interval(), small(), moment()).prop_map(|(interval, interval_count, anchor)| {
        ResetRule { interval, interval_count, anchor }
    });
    let names = (word(), word(), of(word()));
    let amounts = (amount(), amount(), of(amount()));
    let rules = (of(reset), of(rollover()), of(price()));
    (names, amounts, (flag(), flag()), rules, (moment(), of(moment())))
        .prop_map(|(names, amounts, switches, rules, moments)| Grant {
            grant_id: names.0,
            feature_id: names.1,
            plan_id: names.2,
            included: amounts.0,
            prepaid: amounts.1,
            unlimited: switches.0,
            overage_allowed: switches.1,
            max_purchase: amounts.2,
            reset: rules.0,
            rollover: rules.1,
            price: rules.2,
            starts_at: moments.0,
            expires_at: moments.1,
        })
        .boxed()
}

fn flag_fact() -> BoxedStrategy<Flag> {
    (word(), word(), of(word()), of(moment()))
        .prop_map(|(flag_id, feature_id, plan_id, expires_at)| Flag {
            flag_id,
            feature_id,
            plan_id,
            expires_at,
        })
        .boxed()
}

fn topup() -> BoxedStrategy<AutoTopupTriggered> {
    let purchases = (small(), small(), window())
        .prop_map(|(count, limit, span)| PurchasesCounted { count, limit, span });
    (word(), amount(), amount(), amount(), window(), of(flag()), of(purchases))
        .prop_map(
            |(feature_id, threshold, quantity, remaining, window, invoice_mode, purchases)| {
                let remaining = Total::from(remaining);
                AutoTopupTriggered {
                    feature_id,
                    threshold,
                    quantity,
                    remaining,
                    window,
                    invoice_mode,
                    purchases,
                }
            },
        )
        .boxed()
}

fn alert() -> BoxedStrategy<UsageAlertTriggered> {
    use ThresholdType::{Remaining, RemainingPercentage, Usage, UsagePercentage};
    let kind =
        proptest::sample::select(vec![Usage, UsagePercentage, Remaining, RemainingPercentage]);
    let amounts = (amount(), amount(), amount(), amount());
    (word(), of(free()), kind, amounts, window())
        .prop_map(|(feature_id, name, threshold_type, amounts, window)| UsageAlertTriggered {
            feature_id,
            name,
            threshold: amounts.0,
            threshold_type,
            granted: amounts.1.into(),
            usage: amounts.2.into(),
            remaining: amounts.3.into(),
            window,
        })
        .boxed()
}

fn limit() -> BoxedStrategy<BalanceLimitReached> {
    let kind = prop_oneof![Just(BalanceLimit::Included), Just(BalanceLimit::MaxPurchase)];
    (word(), kind, amount(), amount(), window())
        .prop_map(|(feature_id, limit_type, granted, usage, window)| BalanceLimitReached {
            feature_id,
            limit_type,
            granted: granted.into(),
            usage: usage.into(),
            window,
        })
        .boxed()
}
