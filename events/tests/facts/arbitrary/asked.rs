//! Any command.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use tallybook_events::command::{Command, CommandBody, Context, CustomerPatch, Routed, Settlement};
use tallybook_events::customer::{
    AddressPatch, BillingControlsPatch, BudgetPatch, ContractPatch, IdentityPatch, LimitsPatch,
    PolicyPatch, ProfilePatch, UsageReport,
};
use tallybook_events::field::{Edit, Patch};
use tallybook_events::ids::Scope;
use tallybook_events::json::Json;
use tallybook_events::text::{Country, Email, Phone};

use super::entitled;
use super::words::{
    FEW, amount, claim, command_id, customer_id, customer_ref, date, duration, environment, flag,
    free, json, mccs, moment, number, overage, registrar_answer, small, spend_limit, status,
    tenant, topup, usage_alert, usage_limit, word,
};
use crate::examples::text;

/// Any command.
pub(crate) fn command() -> BoxedStrategy<Command> {
    let who = (command_id(), tenant(), environment(), customer_ref());
    let how = (moment(), word(), word());
    (who, how, context(), of(routed()), command_body())
        .prop_map(|(who, (issued_at, actor, source), context, routed, body)| {
            let (command_id, tenant, environment, customer) = who;
            let scope = Scope { tenant, environment };
            Command { command_id, scope, customer, issued_at, actor, source, context, routed, body }
        })
        .boxed()
}

fn command_body() -> BoxedStrategy<CommandBody> {
    prop_oneof![
        customer_patch().prop_map(|it| CommandBody::CreateCustomer(Box::new(it))),
        customer_patch().prop_map(|it| CommandBody::UpdateCustomer(Box::new(it))),
        vec(report(), 1..=FEW).prop_map(CommandBody::RecordUsage),
        Just(CommandBody::ArchiveCustomer),
        claim().prop_map(CommandBody::Claim),
        (claim(), flag(), registrar_answer()).prop_map(|(claim, granted, answer)| {
            CommandBody::SettleClaim(Settlement { claim, granted, answer })
        }),
        claim().prop_map(CommandBody::Release),
        claim().prop_map(CommandBody::SettleRelease),
        entitled::asked().prop_map(|it| CommandBody::Entitle(Box::new(it))),
    ]
    .boxed()
}

fn context() -> BoxedStrategy<Context> {
    let tokens = (of(word()), of(word()), of(word()), of(word()), of(word()), of(word()));
    (tokens, of(number()), flag(), flag())
        .prop_map(|(tokens, expected_version, refusal_frees_key, dry_run)| Context {
            idempotency_key: tokens.0,
            fingerprint: tokens.1,
            refusal_frees_key,
            expected_version,
            correlation_id: tokens.2,
            causation_id: tokens.3,
            traceparent: tokens.4,
            reason: tokens.5,
            dry_run,
        })
        .boxed()
}

fn customer_patch() -> BoxedStrategy<CustomerPatch> {
    (
        edit(word()),
        edit(profile_patch()),
        edit(contract_patch()),
        edit(budget_patch()),
        patch(policy_patch()),
        patch(controls_patch()),
        edit(identity_patch()),
    )
        .prop_map(|(key, profile, contract, budget, policy, billing_controls, identity)| {
            CustomerPatch { key, profile, contract, budget, policy, billing_controls, identity }
        })
        .boxed()
}

fn profile_patch() -> BoxedStrategy<ProfilePatch> {
    let email = prop_oneof![
        Just(text::<Email>("jane@example.com")),
        Just(text::<Email>("\"j d\"@exämple.com")),
    ];
    let names = (patch(free()), patch(free()), patch(free()));
    let reach = (patch(email), patch(Just(text::<Phone>("+14155550123"))), patch(free()));
    let metadata =
        (patch(btree_map(word(), of(json()), 0..FEW)), edit(btree_map(word(), json(), 0..FEW)));
    (names, reach, metadata, edit(flag()), patch(address_patch()))
        .prop_map(
            |(
                (name, first_name, last_name),
                (email, phone, fingerprint),
                (metadata, replace_metadata),
                send_email_receipts,
                address,
            )| ProfilePatch {
                name,
                first_name,
                last_name,
                email,
                phone,
                metadata: without_null_values(metadata),
                replace_metadata,
                fingerprint,
                send_email_receipts,
                address,
            },
        )
        .boxed()
}

/// In a merge, a `null` member is always the wish to remove: no value is `null` there.
fn without_null_values<K: Ord>(
    metadata: Patch<BTreeMap<K, Option<Json>>>,
) -> Patch<BTreeMap<K, Option<Json>>> {
    match metadata {
        Patch::Set(members) => Patch::Set(
            members
                .into_iter()
                .map(|(name, value)| (name, value.filter(|value| *value != Json::Null)))
                .collect(),
        ),
        Patch::Keep | Patch::Clear => metadata,
    }
}

fn address_patch() -> BoxedStrategy<AddressPatch> {
    let country = Just(text::<Country>("DE"));
    (patch(free()), patch(free()), patch(free()), patch(free()), patch(free()), patch(country))
        .prop_map(|(line1, line2, city, state, postal_code, country)| AddressPatch {
            line1,
            line2,
            city,
            state,
            postal_code,
            country,
        })
        .boxed()
}

fn contract_patch() -> BoxedStrategy<ContractPatch> {
    let dates = (patch(date()), patch(date()));
    let terms = (patch(amount()), patch(number()), patch(number()), patch(number()));
    (patch(word()), edit(status()), dates, terms)
        .prop_map(
            |(
                tier,
                status,
                (start, end),
                (annual_commitment, annual_limit, rate_per_second, burst),
            )| {
                ContractPatch {
                    tier,
                    status,
                    start,
                    end,
                    annual_commitment,
                    annual_limit,
                    rate_per_second,
                    burst,
                }
            },
        )
        .boxed()
}

fn budget_patch() -> BoxedStrategy<BudgetPatch> {
    (
        (patch(amount()), patch(amount())),
        edit(duration()),
        (patch(moment()), patch(moment())),
        edit(amount()),
    )
        .prop_map(
            |(
                (period_budget, total_budget),
                duration,
                (period_start, period_end),
                markup_percentage,
            )| BudgetPatch {
                period_budget,
                total_budget,
                duration,
                period_start,
                period_end,
                markup_percentage,
            },
        )
        .boxed()
}

fn policy_patch() -> BoxedStrategy<PolicyPatch> {
    let switches = (patch(flag()), patch(flag()), patch(flag()), patch(flag()));
    let times = (patch(number()), patch(number()), patch(number()), patch(number()));
    let limits = (patch(amount()), patch(amount()), patch(amount()))
        .prop_map(|(per_auth, per_day, per_month)| LimitsPatch { per_auth, per_day, per_month });
    let amounts = (patch(amount()), patch(limits));
    let lists = (patch(mccs()), patch(mccs()), patch(vec(free(), 0..FEW)));
    (switches, times, amounts, lists)
        .prop_map(|(switches, times, amounts, lists)| PolicyPatch {
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

fn controls_patch() -> BoxedStrategy<BillingControlsPatch> {
    (
        patch(vec(topup(), 0..FEW)),
        patch(vec(spend_limit(), 0..FEW)),
        patch(vec(usage_limit(), 0..FEW)),
        patch(vec(usage_alert(), 0..FEW)),
        patch(vec(overage(), 0..FEW)),
    )
        .prop_map(|(auto_topups, spend_limits, usage_limits, usage_alerts, overage_allowed)| {
            BillingControlsPatch {
                auto_topups,
                spend_limits,
                usage_limits,
                usage_alerts,
                overage_allowed,
            }
        })
        .boxed()
}

fn identity_patch() -> BoxedStrategy<IdentityPatch> {
    (patch(btree_map(word(), of(word()), 0..FEW)), patch(customer_ref()))
        .prop_map(|(links, parent)| IdentityPatch { links, parent })
        .boxed()
}

fn report() -> BoxedStrategy<UsageReport> {
    (word(), moment(), word(), amount(), amount(), (of(word()), of(small())))
        .prop_map(|(report_id, occurred_at, meter, quantity, cost, (merchant, corrects))| {
            UsageReport {
                report_id,
                occurred_at,
                meter,
                quantity,
                cost,
                merchant,
                // Never its own id, which has no digits.
                corrects: corrects.map(|id| text(&id.to_string())),
            }
        })
        .boxed()
}

pub(super) fn patch<T: Clone + std::fmt::Debug>(
    value: impl Strategy<Value = T>,
) -> impl Strategy<Value = Patch<T>> {
    of(of(value)).prop_map(|patch| match patch {
        None => Patch::Keep,
        Some(None) => Patch::Clear,
        Some(Some(value)) => Patch::Set(value),
    })
}

pub(super) fn edit<T: Clone + std::fmt::Debug>(
    value: impl Strategy<Value = T>,
) -> impl Strategy<Value = Edit<T>> {
    of(value).prop_map(|edit| edit.map_or(Edit::Keep, Edit::Set))
}

/// Any way that a slot sends a command.
pub(super) fn routed() -> BoxedStrategy<Routed> {
    (customer_id(), of(small()))
        .prop_map(|(customer_id, birth)| Routed { customer_id, birth })
        .boxed()
}
