//! Billing controls: lists of rules by feature. A list that is given is checked and replaces that
//! list.

use std::collections::BTreeSet;
use std::fmt;

use tallybook_events::customer::{
    AutoTopup, BillingControls, BillingControlsPatch, BillingControlsSet, OverageAllowed,
    SpendLimit, ThresholdType, UsageAlert, UsageFilter, UsageLimit,
};
use tallybook_events::decision::{Rejection, RejectionCode};
use tallybook_events::event::Event;
use tallybook_events::field::Patch;
use tallybook_events::ids::Meter;
use tallybook_events::json::{Json, escape_pointer};
use tallybook_events::money::Amount;

/// Most properties of a filter; it has one at least.
const MAX_PROPERTIES: usize = 4;
/// Most characters of a property's name.
const MAX_NAME_CHARACTERS: usize = 64;
/// Most characters of a property's value.
const MAX_VALUE_CHARACTERS: usize = 128;

/// Decides a patch of the billing controls.
///
/// # Errors
/// `control_invalid` or `duplicate_feature`, with the place in the list.
pub(super) fn decide(
    now: &BillingControls,
    asked: &Patch<BillingControlsPatch>,
    events: &mut Vec<Event>,
) -> Result<(), Rejection> {
    let to = match asked {
        Patch::Keep => return Ok(()),
        Patch::Clear => BillingControls::default(),
        Patch::Set(asked) => {
            check(asked)?;
            merged(now, asked)
        }
    };
    if to != *now {
        let set = BillingControlsSet { from: now.clone(), to };
        events.push(Event::BillingControlsSet(Box::new(set)));
    }
    Ok(())
}

fn merged(now: &BillingControls, asked: &BillingControlsPatch) -> BillingControls {
    BillingControls {
        auto_topups: asked.auto_topups.over(now.auto_topups.clone()),
        spend_limits: asked.spend_limits.over(now.spend_limits.clone()),
        usage_limits: asked.usage_limits.over(now.usage_limits.clone()),
        usage_alerts: asked.usage_alerts.over(now.usage_alerts.clone()),
        overage_allowed: asked.overage_allowed.over(now.overage_allowed.clone()),
    }
}

fn check(asked: &BillingControlsPatch) -> Result<(), Rejection> {
    if let Patch::Set(list) = &asked.auto_topups {
        each(list, "auto_topups", auto_topup)?;
        unique(list, "auto_topups", |entry: &AutoTopup| entry.feature_id.clone())?;
    }
    if let Patch::Set(list) = &asked.spend_limits {
        each(list, "spend_limits", spend_limit)?;
        unique(list, "spend_limits", |entry: &SpendLimit| entry.feature_id.clone())?;
    }
    if let Patch::Set(list) = &asked.usage_limits {
        each(list, "usage_limits", usage_limit)?;
        unique(list, "usage_limits", feature_and_filter)?;
    }
    if let Patch::Set(list) = &asked.usage_alerts {
        each(list, "usage_alerts", usage_alert)?;
    }
    if let Patch::Set(list) = &asked.overage_allowed {
        unique(list, "overage_allowed", |entry: &OverageAllowed| entry.feature_id.clone())?;
    }
    Ok(())
}

/// What is wrong with an entry: the path of the member within it, and why.
struct Fault {
    member: String,
    detail: String,
}

fn fault(member: impl Into<String>, detail: impl fmt::Display) -> Result<(), Fault> {
    Err(Fault { member: member.into(), detail: detail.to_string() })
}

fn each<T>(
    list: &[T],
    name: &'static str,
    check: impl Fn(&T) -> Result<(), Fault>,
) -> Result<(), Rejection> {
    for (at, entry) in list.iter().enumerate() {
        check(entry).map_err(|Fault { member, detail }| {
            let pointer = format!("/patch/billing_controls/{name}/{at}/{member}");
            Rejection::at(RejectionCode::ControlInvalid, pointer, detail)
        })?;
    }
    Ok(())
}

/// Checks that no two entries are about the same. Two that name no feature are.
fn unique<T, K: Ord>(
    list: &[T],
    name: &'static str,
    about: impl Fn(&T) -> K,
) -> Result<(), Rejection> {
    let mut seen = BTreeSet::new();
    for (at, entry) in list.iter().enumerate() {
        if !seen.insert(about(entry)) {
            let pointer = format!("/patch/billing_controls/{name}/{at}/feature_id");
            let detail = "an entry before it is about the same feature";
            return Err(Rejection::at(RejectionCode::DuplicateFeature, pointer, detail));
        }
    }
    Ok(())
}

fn auto_topup(entry: &AutoTopup) -> Result<(), Fault> {
    if entry.quantity < Amount::from(1) {
        return fault("quantity", "must be 1 or more");
    }
    let Some(limit) = &entry.purchase_limit else { return Ok(()) };
    if limit.interval_count == 0 {
        return fault("purchase_limit/interval_count", "must be 1 or more");
    }
    if limit.limit == 0 {
        return fault("purchase_limit/limit", "must be 1 or more");
    }
    match limit.count {
        Some(count) if count > limit.limit => {
            let detail = format!("must not be more than the limit, which is {}", limit.limit);
            fault("purchase_limit/count", detail)
        }
        Some(_) | None => Ok(()),
    }
}

fn spend_limit(entry: &SpendLimit) -> Result<(), Fault> {
    let needs = entry.overage_limit.is_some() || entry.skip_overage_billing.is_some();
    if needs && entry.feature_id.is_none() {
        return fault(
            "feature_id",
            "is needed where overage_limit or skip_overage_billing is given",
        );
    }
    Ok(())
}

fn usage_limit(entry: &UsageLimit) -> Result<(), Fault> {
    let Some(UsageFilter { properties }) = &entry.filter else { return Ok(()) };
    if !(1..=MAX_PROPERTIES).contains(&properties.len()) {
        return fault("filter/properties", format!("must have 1 to {MAX_PROPERTIES} members"));
    }
    for (name, value) in properties {
        let member = || format!("filter/properties/{}", escape_pointer(name));
        if name.chars().count() > MAX_NAME_CHARACTERS {
            let detail = format!("must have a name of at most {MAX_NAME_CHARACTERS} characters");
            return fault(member(), detail);
        }
        let length = match value {
            Json::String(text) | Json::Number(text) => text.chars().count(),
            Json::Bool(_) => 0,
            Json::Null | Json::Array(_) | Json::Object(_) => {
                return fault(member(), "must be a string, a number, true or false");
            }
        };
        if length > MAX_VALUE_CHARACTERS {
            return fault(member(), format!("must have at most {MAX_VALUE_CHARACTERS} characters"));
        }
    }
    Ok(())
}

fn usage_alert(entry: &UsageAlert) -> Result<(), Fault> {
    match entry.threshold_type {
        ThresholdType::UsagePercentage | ThresholdType::RemainingPercentage
            if entry.threshold > Amount::from(100) =>
        {
            fault("threshold", "must be at most 100 per cent")
        }
        ThresholdType::Usage
        | ThresholdType::UsagePercentage
        | ThresholdType::Remaining
        | ThresholdType::RemainingPercentage => Ok(()),
    }
}

fn feature_and_filter(entry: &UsageLimit) -> (Meter, Option<String>) {
    let filter = entry.filter.as_ref();
    let filter = filter.map(|f| serde_json::to_string(f).expect("writing JSON to memory"));
    (entry.feature_id.clone(), filter)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::given::{given, update};

    fn controls(controls: Value) -> Value {
        update(json!({"billing_controls": controls}))
    }

    fn set(from: Value, to: Value) -> Value {
        json!([{"type": "BillingControlsSet.v1", "from": from, "to": to}])
    }

    fn topup(feature: &str) -> Value {
        json!({"feature_id": feature, "enabled": true, "threshold": "5", "quantity": "10"})
    }

    /// Asserts that one entry of a list is refused at a place within it, or goes through.
    fn refused(list: &str, entry: Value, at: Option<&str>) {
        let when = given().customer(json!({})).when(controls(json!({list: [entry]})));
        match at {
            None => when.then_types(["BillingControlsSet"]),
            Some(at) => {
                let pointer = format!("/patch/billing_controls/{list}/0/{at}");
                when.rejects("control_invalid", Some(&pointer))
            }
        };
    }

    #[test]
    fn a_list_that_is_given_replaces_that_list_and_no_other() {
        let alerts = json!([{"enabled": true, "threshold": "1", "threshold_type": "usage"}]);
        let first = json!({"auto_topups": [topup("a"), topup("b")]});
        let second = json!({"auto_topups": [topup("a"), topup("b")], "usage_alerts": alerts});
        let third = json!({"auto_topups": [topup("c")], "usage_alerts": alerts});
        given()
            .customer(json!({}))
            .when(controls(first.clone()))
            .then(set(json!({}), first.clone()))
            .when(controls(first.clone()))
            .then_nothing()
            .when(controls(json!({"usage_alerts": [{"threshold": 1, "threshold_type": "usage"}]})))
            .then(set(first, second.clone()))
            .when(controls(json!({"auto_topups": [topup("c")]})))
            .then(set(second, third.clone()))
            .shows("/billing_controls", third);
    }

    #[test]
    fn absent_null_empty_and_a_list_are_four_things() {
        let none = json!({});
        let empty = json!({"auto_topups": []});
        given()
            .customer(json!({}))
            .when(controls(json!({"auto_topups": null})))
            .then_nothing()
            .when(controls(Value::Null))
            .then_nothing()
            .when(controls(json!({"auto_topups": []})))
            .then(set(none.clone(), empty.clone()))
            .when(controls(json!({})))
            .then_nothing()
            .when(controls(json!({"auto_topups": null})))
            .then(set(empty.clone(), none.clone()))
            .updated(json!({"billing_controls": empty}))
            .when(controls(Value::Null))
            .then(set(json!({"auto_topups": []}), none));
    }

    #[test]
    fn a_feature_has_one_entry_in_a_list() {
        let limit = |feature: &str| json!({"feature_id": feature, "enabled": true});
        for (list, entries) in [
            ("auto_topups", json!([topup("a"), topup("b"), topup("a")])),
            ("spend_limits", json!([limit("a"), limit("b"), limit("a")])),
            ("spend_limits", json!([{"enabled": true}, limit("b"), {"enabled": false}])),
            ("overage_allowed", json!([limit("a"), limit("b"), limit("a")])),
        ] {
            let pointer = format!("/patch/billing_controls/{list}/2/feature_id");
            given()
                .customer(json!({}))
                .when(controls(json!({list: entries})))
                .rejects("duplicate_feature", Some(&pointer));
        }
    }

    #[test]
    fn a_usage_limit_is_one_per_feature_and_filter() {
        let limit = |filter: Value| {
            let mut limit = json!({"feature_id": "a", "limit": "1", "interval": "day"});
            if !filter.is_null() {
                limit["filter"] = json!({"properties": filter});
            }
            limit
        };
        let model = |model: &str| limit(json!({"model": model, "n": 1}));
        given()
            .customer(json!({}))
            .when(controls(json!({"usage_limits": [limit(Value::Null), model("x"), model("y")]})))
            .then_types(["BillingControlsSet"])
            .when(controls(json!({"usage_limits": [model("x"), model("y"), model("x")]})))
            .rejects(
                "duplicate_feature",
                Some("/patch/billing_controls/usage_limits/2/feature_id"),
            );
    }

    #[test]
    fn several_alerts_may_be_about_one_feature() {
        let alert = json!({"feature_id": "a", "threshold": "1", "threshold_type": "usage"});
        given()
            .customer(json!({}))
            .when(controls(json!({"usage_alerts": [alert, alert]})))
            .then_types(["BillingControlsSet"]);
    }

    #[test]
    fn an_automatic_purchase_buys_something_and_within_its_limit() {
        let with = |quantity: &str, limit: Value| {
            json!({"feature_id": "a", "threshold": "0", "quantity": quantity,
                "purchase_limit": limit})
        };
        let limit = |interval_count: u32, limit: u32, count: u32| {
            json!({"interval": "day", "interval_count": interval_count, "limit": limit,
                "count": count})
        };
        refused("auto_topups", with("1", limit(1, 3, 3)), None);
        refused("auto_topups", with("0.999", limit(1, 3, 3)), Some("quantity"));
        refused("auto_topups", with("1", limit(0, 3, 3)), Some("purchase_limit/interval_count"));
        refused("auto_topups", with("1", limit(1, 0, 0)), Some("purchase_limit/limit"));
        refused("auto_topups", with("1", limit(1, 3, 4)), Some("purchase_limit/count"));
    }

    #[test]
    fn a_bound_of_overage_needs_a_feature() {
        for bound in ["overage_limit", "skip_overage_billing"] {
            let value = if bound == "overage_limit" { json!("5") } else { json!(false) };
            refused("spend_limits", json!({bound: value}), Some("feature_id"));
            refused("spend_limits", json!({"feature_id": "a", bound: value}), None);
        }
        refused("spend_limits", json!({"limit_type": "absolute"}), None);
    }

    #[test]
    fn per_cent_go_to_a_hundred() {
        for (kind, threshold, at) in [
            ("usage_percentage", "100", None),
            ("usage_percentage", "100.01", Some("threshold")),
            ("remaining_percentage", "100", None),
            ("remaining_percentage", "101", Some("threshold")),
            ("usage", "101", None),
            ("remaining", "101", None),
        ] {
            refused("usage_alerts", json!({"threshold": threshold, "threshold_type": kind}), at);
        }
    }

    #[test]
    fn a_filter_has_few_short_scalar_properties() {
        let limit = |properties: Value| {
            json!({"feature_id": "a", "limit": "1", "interval": "day",
                "filter": {"properties": properties}})
        };
        let long = |length: usize| "é".repeat(length);
        for (properties, at) in [
            (json!({"a": "x", "b": 1.5, "c": true, "d": "y"}), None),
            (json!({long(64): long(128)}), None),
            (json!({}), Some("")),
            (json!({"a": 1, "b": 1, "c": 1, "d": 1, "e": 1}), Some("")),
            (json!({long(65): 1}), Some("/ééé")),
            (json!({"a/b": long(129)}), Some("/a~1b")),
            (json!({"a": null}), Some("/a")),
            (json!({"a": []}), Some("/a")),
            (json!({"a": {}}), Some("/a")),
        ] {
            let at = at.map(|at| {
                let at = if at == "/ééé" { format!("/{}", long(65)) } else { at.to_owned() };
                format!("filter/properties{at}")
            });
            refused("usage_limits", limit(properties), at.as_deref());
        }
    }
}
