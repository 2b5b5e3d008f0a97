//! Any event and any outcome.

use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use tallybook_events::customer::{
    BillingControls, BillingControlsSet, Budget, BudgetKind, BudgetThresholdReached, Change,
    ContractSet, Corrected, CustomerArchived, CustomerCreated, CustomerUpdated, EdgeClaimed,
    EdgeReleased, KeyChanged, KeyClaimed, KeyReleased, Limits, ParentChanged, PledgeClaimed,
    PledgeReleased, Policy, PolicyChanged, StatusChanged, TierChanged, UsageRecorded,
};
use tallybook_events::decision::{
    Accepted, Deferred, Outcome, Preview, Rejection, RejectionCode, SourceRef,
};
use tallybook_events::event::Event;
use tallybook_events::ids::Partition;

use super::asked::routed;
use super::entitled;
use super::words::{
    FEW, amount, any_text, claim, command_id, customer_id, date, duration, environment, flag, free,
    json, mccs, moment, number, overage, small, spend_limit, status, tenant, topup, usage_alert,
    usage_limit, window, word,
};

/// Any event.
pub(crate) fn event() -> BoxedStrategy<Event> {
    let updated = (btree_map(any_text(), change(), 0..FEW), btree_map(any_text(), json(), 0..FEW));
    let slot = (word(), customer_id(), flag(), of(command_id()));
    let pledge = || (customer_id(), command_id());
    let edge = || (customer_id(), customer_id(), command_id());
    prop_oneof![
        created().prop_map(Event::CustomerCreated),
        updated.prop_map(|(set, removed)| Event::CustomerUpdated(CustomerUpdated { set, removed })),
        tier_changed().prop_map(Event::TierChanged),
        (status(), status())
            .prop_map(|(from, to)| Event::StatusChanged(StatusChanged { from, to })),
        (of(date()), of(date()))
            .prop_map(|(start, end)| Event::ContractSet(ContractSet { start, end })),
        budget().prop_map(|budget| Event::BudgetSet(budget.into())),
        (of(policy()), of(policy()))
            .prop_map(|(from, to)| Event::PolicyChanged(Box::new(PolicyChanged { from, to }))),
        (controls(), controls()).prop_map(|(from, to)| Event::BillingControlsSet(Box::new(
            BillingControlsSet { from, to }
        ))),
        (of(word()), of(word())).prop_map(|(from, to)| Event::KeyChanged(KeyChanged { from, to })),
        (of(customer_id()), of(customer_id()))
            .prop_map(|(from, to)| Event::ParentChanged(ParentChanged { from, to })),
        usage_recorded().prop_map(Event::UsageRecorded),
        threshold().prop_map(Event::BudgetThresholdReached),
        of(word()).prop_map(|key| Event::CustomerArchived(CustomerArchived { key })),
        slot.prop_map(|(key, holder, birth, held)| {
            Event::KeyClaimed(KeyClaimed { key, holder, birth, held })
        }),
        (word(), customer_id())
            .prop_map(|(key, holder)| Event::KeyReleased(KeyReleased { key, holder })),
        entitled::event(),
        pledge().prop_map(|(child, held)| Event::PledgeClaimed(PledgeClaimed { child, held })),
        pledge().prop_map(|(child, held)| Event::PledgeReleased(PledgeReleased { child, held })),
        edge().prop_map(|(parent, child, held)| {
            Event::EdgeClaimed(EdgeClaimed { parent, child, held })
        }),
        edge().prop_map(|(parent, child, held)| {
            Event::EdgeReleased(EdgeReleased { parent, child, held })
        }),
    ]
    .boxed()
}

/// Any outcome.
pub(crate) fn outcome() -> BoxedStrategy<Outcome> {
    let reports = (vec(word(), 0..FEW), vec(word(), 0..FEW));
    let accepted = (customer_id(), number(), number(), reports).prop_map(
        |(customer_id, from_version, to_version, (duplicates, conflicts))| {
            Outcome::Accepted(Accepted {
                customer_id,
                from_version,
                to_version,
                duplicates,
                conflicts,
            })
        },
    );
    let code = prop_oneof![Just(RejectionCode::KeyTaken), Just(RejectionCode::InternalFault)];
    let rejected = (code, any_text(), of(any_text()))
        .prop_map(|(code, detail, pointer)| Outcome::Rejected(Rejection { code, detail, pointer }));
    let deferred = (customer_id(), claim())
        .prop_map(|(customer_id, claim)| Outcome::Deferred(Deferred { customer_id, claim }));
    prop_oneof![
        accepted,
        rejected,
        deferred,
        (small(), of(routed()))
            .prop_map(|(partition, to)| Outcome::Forwarded { partition: Partition(partition), to }),
        any_text().prop_map(|reason| Outcome::DeadLettered { reason }),
        number().prop_map(|offset| Outcome::Repeated { offset }),
        number().prop_map(|version| {
            Outcome::Previewed(Box::new(Preview {
                outcome: Outcome::Repeated { offset: version },
                events: Vec::new(),
                customer: Some(serde_json::json!({"version": version})),
            }))
        }),
    ]
    .boxed()
}

/// Any source of a command.
pub(crate) fn source() -> BoxedStrategy<SourceRef> {
    let topic = (small(), number(), of(number())).prop_map(|(partition, offset, prev_offset)| {
        SourceRef::Topic { partition: Partition(partition), offset, prev_offset }
    });
    prop_oneof![Just(SourceRef::Local), topic].boxed()
}

fn policy() -> BoxedStrategy<Policy> {
    let switches = (of(flag()), of(flag()), of(flag()), of(flag()));
    let times = (of(number()), of(number()), of(number()), of(number()));
    let limits = (of(amount()), of(amount()), of(amount()))
        .prop_map(|(per_auth, per_day, per_month)| Limits { per_auth, per_day, per_month });
    let amounts = (of(amount()), of(limits));
    let lists = (of(mccs()), of(mccs()), of(vec(free(), 0..FEW)));
    (switches, times, amounts, lists)
        .prop_map(|(switches, times, amounts, lists)| Policy {
            require_intent: switches.0,
            require_attestation: switches.1,
            require_approval: switches.2,
            auto_approve_below: amounts.0,
            attestation_window_minutes: times.0,
            cooldown_minutes: times.1,
            ttl_minutes: times.2,
            ttl_days: times.3,
            limits: amounts.1,
            allowed_mccs: lists.0,
            blocked_mccs: lists.1,
            allowed_merchants: lists.2,
            lock_to_first_merchant: switches.3,
        })
        .boxed()
}

fn controls() -> BoxedStrategy<BillingControls> {
    (
        of(vec(topup(), 0..FEW)),
        of(vec(spend_limit(), 0..FEW)),
        of(vec(usage_limit(), 0..FEW)),
        of(vec(usage_alert(), 0..FEW)),
        of(vec(overage(), 0..FEW)),
    )
        .prop_map(|(auto_topups, spend_limits, usage_limits, usage_alerts, overage_allowed)| {
            BillingControls {
                auto_topups,
                spend_limits,
                usage_limits,
                usage_alerts,
                overage_allowed,
            }
        })
        .boxed()
}

fn change() -> BoxedStrategy<Change> {
    (json(), json()).prop_map(|(old, new)| Change { old, new }).boxed()
}

fn corrected() -> BoxedStrategy<Corrected> {
    let amounts = (amount(), amount(), amount());
    (word(), moment(), word(), amounts, of(moment()))
        .prop_map(|(report_id, occurred_at, meter, (quantity, raw, charged), counted_from)| {
            Corrected { report_id, occurred_at, meter, quantity, raw, charged, counted_from }
        })
        .boxed()
}

fn usage_recorded() -> BoxedStrategy<UsageRecorded> {
    let amounts = (amount(), amount(), amount());
    let told = (of(word()), of(corrected()));
    (word(), moment(), word(), amounts, window(), told)
        .prop_map(|(report_id, occurred_at, meter, (quantity, raw, charged), period, told)| {
            let (merchant, corrects) = told;
            UsageRecorded {
                report_id,
                occurred_at,
                meter,
                quantity,
                raw,
                charged,
                period,
                merchant,
                corrects,
            }
        })
        .boxed()
}

fn tier_changed() -> BoxedStrategy<TierChanged> {
    (of(word()), of(word()), of(amount()), of(number()), of(number()), of(number()))
        .prop_map(|(from, to, annual_commitment, annual_limit, rate_per_second, burst)| {
            TierChanged { from, to, annual_commitment, annual_limit, rate_per_second, burst }
        })
        .boxed()
}

fn budget() -> BoxedStrategy<Budget> {
    let budgets = (of(amount()), of(amount()));
    (budgets, duration(), of(moment()), of(moment()), amount())
        .prop_map(
            |(
                (period_budget, total_budget),
                duration,
                period_start,
                period_end,
                markup_percentage,
            )| {
                Budget {
                    period_budget,
                    total_budget,
                    duration,
                    period_start,
                    period_end,
                    markup_percentage,
                }
            },
        )
        .boxed()
}

fn threshold() -> BoxedStrategy<BudgetThresholdReached> {
    let kind = prop_oneof![Just(BudgetKind::Period), Just(BudgetKind::Total)];
    (kind, small(), amount(), amount(), window())
        .prop_map(|(kind, percentage, budget, used, period)| BudgetThresholdReached {
            kind,
            percentage,
            budget,
            used: used.into(),
            period,
        })
        .boxed()
}

fn created() -> BoxedStrategy<CustomerCreated> {
    (customer_id(), tenant(), environment(), of(word()), small())
        .prop_map(|(customer_id, tenant, environment, key, birth)| CustomerCreated {
            customer_id,
            tenant,
            environment,
            key,
            birth,
        })
        .boxed()
}
