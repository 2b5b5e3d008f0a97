//! Billing controls that are asked for: lists of rules, each with its bounds and what it is where a body
//! is silent. Two entries of a list may not be about the same.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use tallybook_events::customer::{
    AutoTopup, BillingControlsPatch, Interval, LimitAnchor, LimitInterval, LimitType,
    OverageAllowed, PurchaseLimit, SpendLimit, ThresholdType, UsageAlert, UsageFilter, UsageLimit,
};
use tallybook_events::field::{Edit, Patch};
use tallybook_events::ids::Meter;
use tallybook_events::json::Json;
use tallybook_events::money::{Amount, Total};

use super::super::zod::{Issues, Object, Place};
use super::controls_schema as schema;

/// Most characters of an id of a feature, and of a name.
const MAX_TEXT: usize = 255;
/// Most properties of a filter.
const MAX_PROPERTIES: usize = 4;
/// Most characters of a property's name, and of its value.
const MAX_PROPERTY: [usize; 2] = [64, 128];

const INTERVALS: [(&str, Interval); 4] = [
    ("hour", Interval::Hour),
    ("day", Interval::Day),
    ("week", Interval::Week),
    ("month", Interval::Month),
];
const LIMIT_TYPES: [(&str, LimitType); 2] =
    [("absolute", LimitType::Absolute), ("usage_percentage", LimitType::UsagePercentage)];
const LIMIT_INTERVALS: [(&str, LimitInterval); 4] = [
    ("day", LimitInterval::Day),
    ("week", LimitInterval::Week),
    ("month", LimitInterval::Month),
    ("year", LimitInterval::Year),
];
const ANCHORS: [(&str, LimitAnchor); 2] =
    [("billing_cycle", LimitAnchor::BillingCycle), ("utc", LimitAnchor::Utc)];
const THRESHOLD_TYPES: [(&str, ThresholdType); 4] = [
    ("usage", ThresholdType::Usage),
    ("usage_percentage", ThresholdType::UsagePercentage),
    ("remaining", ThresholdType::Remaining),
    ("remaining_percentage", ThresholdType::RemainingPercentage),
];

/// Billing controls. A list that is there takes the place of that list.
#[derive(Debug, Clone, PartialEq, Eq, Default, JsonSchema)]
#[schemars(rename = "BillingControlsParams")]
pub(crate) struct Controls {
    /// Buy more when a balance is low; one entry per feature.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    #[schemars(with = "Edit<Vec<schema::AutoTopup>>")]
    auto_topups: Edit<Vec<AutoTopup>>,
    /// Bounds of overage; one entry per feature.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    #[schemars(with = "Edit<Vec<schema::SpendLimit>>")]
    spend_limits: Edit<Vec<SpendLimit>>,
    /// Bounds of usage; one entry per feature and filter.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    #[schemars(with = "Edit<Vec<schema::UsageLimit>>")]
    usage_limits: Edit<Vec<UsageLimit>>,
    /// Levels at which to tell.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    #[schemars(with = "Edit<Vec<schema::UsageAlert>>")]
    usage_alerts: Edit<Vec<UsageAlert>>,
    /// Whether usage may go over the balance; one entry per feature.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    #[schemars(with = "Edit<Vec<schema::OverageAllowed>>")]
    overage_allowed: Edit<Vec<OverageAllowed>>,
}

impl Controls {
    /// Reads them.
    pub(crate) fn read(issues: &mut Issues, place: &Place<'_>) -> Option<Self> {
        let before = issues.count();
        let lists = issues.object(place)?;
        let auto_topups = list(issues, &lists, "auto_topups", auto_topup);
        let spend_limits = list(issues, &lists, "spend_limits", spend_limit);
        let usage_limits = list(issues, &lists, "usage_limits", usage_limit);
        let usage_alerts = list(issues, &lists, "usage_alerts", usage_alert);
        let overage_allowed = list(issues, &lists, "overage_allowed", overage);
        let read = Self {
            auto_topups: auto_topups?,
            spend_limits: spend_limits?,
            usage_limits: usage_limits?,
            usage_alerts: usage_alerts?,
            overage_allowed: overage_allowed?,
        };
        // Entries are compared once each of them is right; the first that is there twice is told.
        if issues.count() == before { read.unique(issues, &lists) } else { Some(read) }
    }

    fn unique(self, issues: &mut Issues, lists: &Object<'_>) -> Option<Self> {
        let only = |what: &str| format!("Only one {what} entry is allowed per feature_id");
        let twice = [
            (
                "auto_topups",
                twice(&self.auto_topups, |entry| &entry.feature_id),
                only("auto top-up"),
            ),
            (
                "spend_limits",
                twice(&self.spend_limits, |entry| &entry.feature_id),
                only("spend limit"),
            ),
            (
                "usage_limits",
                twice(&self.usage_limits, |entry| {
                    (&entry.feature_id, entry.filter.as_ref().map(properties))
                }),
                "Only one usage limit entry is allowed per feature_id and filter".into(),
            ),
            (
                "overage_allowed",
                twice(&self.overage_allowed, |entry| &entry.feature_id),
                only("overage_allowed"),
            ),
        ];
        for (name, at, message) in twice {
            if let Some(at) = at {
                let place = lists.at(name).within(at, None).within("feature_id", None);
                return issues.add(&place, message);
            }
        }
        Some(self)
    }

    /// Gives the purchase limit that says that more was bought than may be, if one does.
    pub(crate) fn overdrawn(&self) -> Option<(&Meter, u32, u32)> {
        let entries = self.auto_topups.as_set()?.iter();
        entries
            .filter_map(|entry| Some((&entry.feature_id, entry.purchase_limit.as_ref()?)))
            .find_map(|(feature, limit)| {
                let count = limit.count.filter(|count| *count > limit.limit)?;
                Some((feature, count, limit.limit))
            })
    }

    /// Gives them as a patch.
    pub(crate) fn into_patch(self) -> BillingControlsPatch {
        fn set<T>(list: Edit<Vec<T>>) -> Patch<Vec<T>> {
            match list {
                Edit::Keep => Patch::Keep,
                Edit::Set(list) => Patch::Set(list),
            }
        }
        BillingControlsPatch {
            auto_topups: set(self.auto_topups),
            spend_limits: set(self.spend_limits),
            usage_limits: set(self.usage_limits),
            usage_alerts: set(self.usage_alerts),
            overage_allowed: set(self.overage_allowed),
        }
    }
}

/// Reads a list of entries that may be absent.
fn list<'a, T>(
    issues: &mut Issues,
    lists: &Object<'a>,
    name: &str,
    entry: impl Fn(&mut Issues, &Object<'a>) -> Option<T>,
) -> Option<Edit<Vec<T>>> {
    issues.optional(&lists.at(name), |issues, place| {
        issues.array(place, |issues, place| {
            let object = issues.object(place)?;
            entry(issues, &object)
        })
    })
}

/// Gives the place of the first entry that is about the same as one before it.
fn twice<'a, T, K: Ord>(list: &'a Edit<Vec<T>>, about: impl Fn(&'a T) -> K) -> Option<usize> {
    let mut seen = BTreeSet::new();
    list.as_set()?.iter().position(|entry| !seen.insert(about(entry)))
}

/// Gives the properties of a filter, to be compared.
fn properties(filter: &UsageFilter) -> Vec<(&str, Option<&str>)> {
    filter.properties.iter().map(|(name, value)| (&**name, value.as_str())).collect()
}

fn feature(issues: &mut Issues, place: &Place<'_>) -> Option<Meter> {
    issues.word(place, MAX_TEXT)
}

fn auto_topup(issues: &mut Issues, entry: &Object<'_>) -> Option<AutoTopup> {
    let feature_id = feature(issues, &entry.at("feature_id"));
    let enabled = issues.or_default(&entry.at("enabled"), false, Issues::boolean);
    let threshold = issues.amount(&entry.at("threshold"), 0);
    let quantity = issues.amount(&entry.at("quantity"), 1);
    let purchase_limit = issues.optional(&entry.at("purchase_limit"), purchase_limit);
    let invoice_mode = issues.optional(&entry.at("invoice_mode"), Issues::boolean);
    Some(AutoTopup {
        feature_id: feature_id?,
        enabled: enabled?,
        threshold: threshold?,
        quantity: quantity?,
        purchase_limit: given(purchase_limit?),
        invoice_mode: given(invoice_mode?),
    })
}

fn purchase_limit(issues: &mut Issues, place: &Place<'_>) -> Option<PurchaseLimit> {
    let entry = issues.object(place)?;
    let one_or_more = |issues: &mut Issues, place: &Place<'_>| issues.integer(place, 1, u32::MAX);
    let interval = issues.one_of(&entry.at("interval"), &INTERVALS);
    let interval_count = issues.or_default(&entry.at("interval_count"), 1, one_or_more);
    let limit = one_or_more(issues, &entry.at("limit"));
    let count =
        issues.optional(&entry.at("count"), |issues, place| issues.integer(place, 0, u32::MAX));
    Some(PurchaseLimit {
        interval: interval?,
        interval_count: interval_count?,
        limit: limit?,
        count: given(count?),
    })
}

fn spend_limit(issues: &mut Issues, entry: &Object<'_>) -> Option<SpendLimit> {
    let feature_id = issues.optional(&entry.at("feature_id"), feature);
    let enabled = issues.or_default(&entry.at("enabled"), false, Issues::boolean);
    let limit_type = issues
        .optional(&entry.at("limit_type"), |issues, place| issues.one_of(place, &LIMIT_TYPES));
    let overage_limit =
        issues.optional(&entry.at("overage_limit"), |issues, place| issues.amount(place, 0));
    let skip = issues.optional(&entry.at("skip_overage_billing"), Issues::boolean);
    let read = SpendLimit {
        feature_id: given(feature_id?),
        enabled: enabled?,
        limit_type: given(limit_type?),
        overage_limit: given(overage_limit?),
        skip_overage_billing: given(skip?),
    };
    let needs = read.overage_limit.is_some() || read.skip_overage_billing.is_some();
    if needs && read.feature_id.is_none() {
        let message =
            "feature_id is required when overage_limit or skip_overage_billing is provided";
        return issues.add(&entry.at("feature_id"), message);
    }
    Some(read)
}

fn usage_limit(issues: &mut Issues, entry: &Object<'_>) -> Option<UsageLimit> {
    let feature_id = feature(issues, &entry.at("feature_id"));
    let enabled = issues.or_default(&entry.at("enabled"), true, Issues::boolean);
    let limit = issues.amount(&entry.at("limit"), 0);
    let interval = issues.one_of(&entry.at("interval"), &LIMIT_INTERVALS);
    let anchor =
        issues.optional(&entry.at("anchor"), |issues, place| issues.one_of(place, &ANCHORS));
    let filter = issues.optional(&entry.at("filter"), filter);
    Some(UsageLimit {
        feature_id: feature_id?,
        enabled: enabled?,
        limit: limit?,
        interval: interval?,
        anchor: given(anchor?),
        filter: given(filter?),
    })
}

fn filter(issues: &mut Issues, place: &Place<'_>) -> Option<UsageFilter> {
    let place = issues.object(place)?.at("properties");
    let members = issues.record(&place)?;
    let before = issues.count();
    let mut properties = BTreeMap::new();
    for (name, place) in members.all() {
        if let Some(value) = property(issues, name, &place) {
            properties.insert(name.into(), value);
        }
    }
    if issues.count() > before {
        return None;
    }
    if !(1..=MAX_PROPERTIES).contains(&properties.len()) {
        let message = format!("filter.properties must have between 1 and {MAX_PROPERTIES} keys");
        return issues.add(&place, message);
    }
    Some(UsageFilter { properties })
}

/// Reads a property; a number, and `true` and `false`, become the text that they have.
fn property(issues: &mut Issues, name: &str, place: &Place<'_>) -> Option<Json> {
    let [max_name, max_value] = MAX_PROPERTY;
    if name.is_empty() || name.chars().count() > max_name {
        return issues.add(place, "Invalid key in record");
    }
    let text = match place.value() {
        Some(Json::String(text)) if !text.is_empty() => text.to_string(),
        Some(Json::Number(text)) => plain(text),
        Some(Json::Bool(value)) => value.to_string(),
        _ => return issues.add(place, "Invalid input"),
    };
    if text.chars().count() > max_value {
        return issues.add(place, "Invalid input");
    }
    Some(Json::String(text.into()))
}

/// Gives a number without an exponent and without zeros at its end, as far as it can be had so.
fn plain(number: &str) -> String {
    number.parse::<Total>().map_or_else(|_| number.to_owned(), |total| total.to_string())
}

fn usage_alert(issues: &mut Issues, entry: &Object<'_>) -> Option<UsageAlert> {
    let feature_id = issues.optional(&entry.at("feature_id"), feature);
    let enabled = issues.or_default(&entry.at("enabled"), true, Issues::boolean);
    let threshold = issues.amount(&entry.at("threshold"), 0);
    let threshold_type = issues.one_of(&entry.at("threshold_type"), &THRESHOLD_TYPES);
    let name = issues.optional(&entry.at("name"), |issues, place| {
        let text = issues.string(place)?;
        issues.text(place, text, MAX_TEXT)
    });
    let read = UsageAlert {
        feature_id: given(feature_id?),
        enabled: enabled?,
        threshold: threshold?,
        threshold_type: threshold_type?,
        name: given(name?),
    };
    let of_hundred = match read.threshold_type {
        ThresholdType::UsagePercentage => "usage_percentage",
        ThresholdType::RemainingPercentage => "remaining_percentage",
        ThresholdType::Usage | ThresholdType::Remaining => return Some(read),
    };
    if read.threshold > Amount::from(100) {
        let message = format!("Threshold must be between 0 and 100 for {of_hundred}");
        return issues.add(&entry.at("threshold"), message);
    }
    Some(read)
}

fn overage(issues: &mut Issues, entry: &Object<'_>) -> Option<OverageAllowed> {
    let feature_id = feature(issues, &entry.at("feature_id"));
    let enabled = issues.or_default(&entry.at("enabled"), false, Issues::boolean);
    Some(OverageAllowed { feature_id: feature_id?, enabled: enabled? })
}

/// Gives a member that may be absent as it is kept.
fn given<T>(edit: Edit<T>) -> Option<T> {
    match edit {
        Edit::Keep => None,
        Edit::Set(value) => Some(value),
    }
}
