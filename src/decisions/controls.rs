//! Billing controls: lists of rules by feature. A list that is given is checked and replaces that list.

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
