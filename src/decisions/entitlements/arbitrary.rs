//! Any change of entitlements, as JSON: for properties. Few names, so that commands meet.

use proptest::collection::vec;
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::super::arbitrary::{amount, moment};

fn name(prefix: &'static str) -> impl Strategy<Value = Value> {
    (0..3_u32).prop_map(move |n| json!(format!("{prefix}{n}")))
}

fn feature() -> impl Strategy<Value = Value> {
    select(vec![json!("tokens"), json!("tokens"), json!("calls")])
}

fn at() -> impl Strategy<Value = Value> {
    moment().prop_map(|it| json!(it))
}

/// An object of the members that are there.
fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let there = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(there.collect())
}

fn grant() -> BoxedStrategy<Value> {
    let intervals = ["one_off", "minute", "hour", "day", "week", "month", "quarter", "year"];
    let reset =
        (select(intervals.to_vec()), 0..3_u32, of(at())).prop_map(|(unit, count, anchor)| {
            let (unit, count) = (Some(json!(unit)), Some(json!(count)));
            object([("interval", unit), ("interval_count", count), ("anchor", anchor)])
        });
    let rollover = (of(amount()), of(0..3_u32)).prop_map(|(max, windows)| {
        object([("max", max), ("windows", windows.map(|it| json!(it)))])
    });
    let names = (name("g"), feature(), weighted(0.2, name("p")));
    let switches = (weighted(0.1, any::<bool>()), weighted(0.2, any::<bool>()));
    let rules = (weighted(0.7, reset), weighted(0.2, rollover));
    let moments = (weighted(0.3, at()), weighted(0.2, at()));
    (names, (amount(), of(amount())), switches, rules, moments)
        .prop_map(|(names, amounts, switches, rules, moments)| {
            object([
                ("grant_id", Some(names.0)),
                ("feature_id", Some(names.1)),
                ("plan_id", names.2),
                ("included", Some(amounts.0)),
                ("max_purchase", amounts.1),
                ("unlimited", switches.0.map(|it| json!(it))),
                ("overage_allowed", switches.1.map(|it| json!(it))),
                ("reset", rules.0),
                ("rollover", rules.1),
                ("starts_at", moments.0),
                ("expires_at", moments.1),
            ])
        })
        .boxed()
}

fn flag() -> BoxedStrategy<Value> {
    (name("i"), feature(), weighted(0.2, name("p")), weighted(0.3, at()))
        .prop_map(|(flag_id, feature, plan_id, expires_at)| {
            object([
                ("flag_id", Some(flag_id)),
                ("feature_id", Some(feature)),
                ("plan_id", plan_id),
                ("expires_at", expires_at),
            ])
        })
        .boxed()
}

fn plan() -> BoxedStrategy<Value> {
    let moments = (weighted(0.3, at()), weighted(0.3, at()), weighted(0.2, at()));
    (name("p"), weighted(0.3, name("p")), moments, vec(grant(), 0..3), vec(flag(), 0..2))
        .prop_map(|(plan_id, replaces, moments, grants, flags)| {
            object([
                ("plan_id", Some(plan_id)),
                ("replaces", replaces),
                ("started_at", moments.0),
                ("current_period_end", moments.1),
                ("expires_at", moments.2),
                ("grants", Some(without_plan(grants))),
                ("flags", Some(without_plan(flags))),
            ])
        })
        .boxed()
}

fn without_plan(list: Vec<Value>) -> Value {
    let without = |mut it: Value| {
        it.as_object_mut().expect("an object").remove("plan_id");
        it
    };
    list.into_iter().map(without).collect()
}

fn nullable(value: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Option<Value>> {
    prop_oneof![2 => Just(None), 1 => Just(Some(Value::Null)), 2 => value.prop_map(Some)].boxed()
}

/// Any change of entitlements, without a customer.
pub(in crate::decisions) fn entitle() -> BoxedStrategy<Value> {
    let change = (of(any::<bool>()), of(0..3_u32), nullable(at()), nullable(at())).prop_map(
        |(past_due, quantity, canceled_at, expires_at)| {
            object([
                ("past_due", past_due.map(|it| json!(it))),
                ("quantity", quantity.map(|it| json!(it))),
                ("canceled_at", canceled_at),
                ("expires_at", expires_at),
            ])
        },
    );
    let cancellation = (of(at()), of(at())).prop_map(|(canceled_at, expires_at)| {
        object([("canceled_at", canceled_at), ("expires_at", expires_at)])
    });
    let purchase = (name("o"), name("p"), vec(grant(), 0..2)).prop_map(|(id, plan_id, grants)| {
        let grants = without_plan(grants);
        json!({"purchase_id": id, "plan_id": plan_id, "grants": grants})
    });
    prop_oneof![
        3 => plan().prop_map(|it| json!({"type": "AttachPlan", "plan": it})),
        1 => (name("p"), change)
            .prop_map(|(id, it)| json!({"type": "UpdatePlan", "plan_id": id, "change": it})),
        1 => (name("p"), cancellation)
            .prop_map(|(id, it)| json!({"type": "CancelPlan", "plan_id": id, "cancellation": it})),
        1 => purchase.prop_map(|it| json!({"type": "RecordPurchase", "purchase": it})),
        5 => grant().prop_map(|it| json!({"type": "GrantBalance", "grant": it})),
        1 => name("g").prop_map(|it| json!({"type": "RevokeGrant", "grant_id": it})),
        1 => flag().prop_map(|it| json!({"type": "SetFlag", "flag": it})),
        1 => feature().prop_map(|it| json!({"type": "ClearFlag", "feature_id": it})),
    ]
    .boxed()
}
