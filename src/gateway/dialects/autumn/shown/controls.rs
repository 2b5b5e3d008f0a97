//! Billing controls, as an answer has them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use tallybook_events::customer::entitlements::LimitStanding;
use tallybook_events::customer::{
    self as facts, BillingControls, Interval, LimitAnchor, LimitInterval, LimitType, ThresholdType,
};
use tallybook_events::ids::Meter;
use tallybook_events::json::Json;
use tallybook_events::text::Name;

use super::super::version::ApiVersion;
use crate::gateway::number::Number;

/// Billing controls. A list that was never set is not there.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "BillingControls")]
pub(crate) struct Controls<'a> {
    /// Buy more when a balance is low.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<AutoTopup<'a>>")]
    auto_topups: Option<Vec<AutoTopup<'a>>>,
    /// Bounds of overage.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<SpendLimit<'a>>")]
    spend_limits: Option<Vec<SpendLimit<'a>>>,
    /// Bounds of usage.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<UsageLimit<'a>>")]
    usage_limits: Option<Vec<UsageLimit<'a>>>,
    /// Levels at which to tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<UsageAlert<'a>>")]
    usage_alerts: Option<Vec<UsageAlert<'a>>>,
    /// Whether usage may go over the balance.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<OverageAllowed<'a>>")]
    overage_allowed: Option<Vec<OverageAllowed<'a>>>,
}

impl<'a> Controls<'a> {
    /// Shows controls; `standings` say how the usage limits stand.
    pub(super) fn of(
        controls: &'a BillingControls,
        standings: &[LimitStanding],
        version: ApiVersion,
    ) -> Self {
        fn list<'a, T, S>(list: Option<&'a Vec<T>>, show: impl Fn(&'a T) -> S) -> Option<Vec<S>> {
            list.map(|list| list.iter().map(show).collect())
        }
        let source = (version >= ApiVersion::CURSORS).then_some(Source::Customer);
        Self {
            auto_topups: list(controls.auto_topups.as_ref(), |entry| AutoTopup {
                feature_id: entry.feature_id.as_str(),
                enabled: entry.enabled,
                threshold: entry.threshold.into(),
                quantity: entry.quantity.into(),
                purchase_limit: entry.purchase_limit.as_ref().map(PurchaseLimit::of),
                invoice_mode: entry.invoice_mode,
                source,
            }),
            spend_limits: list(controls.spend_limits.as_ref(), |entry| SpendLimit {
                feature_id: entry.feature_id.as_ref().map(Meter::as_str),
                enabled: entry.enabled,
                limit_type: entry.limit_type,
                overage_limit: entry.overage_limit.map(Number::from),
                skip_overage_billing: entry.skip_overage_billing,
                source,
            }),
            usage_limits: list(controls.usage_limits.as_ref(), |entry| UsageLimit {
                feature_id: entry.feature_id.as_str(),
                enabled: entry.enabled,
                limit: entry.limit.into(),
                interval: entry.interval,
                anchor: entry.anchor,
                filter: entry.filter.as_ref().map(Filter::of),
                usage: standings
                    .iter()
                    .find(|standing| standing.limit == *entry)
                    .map(|standing| standing.usage.into()),
                source,
            }),
            usage_alerts: list(controls.usage_alerts.as_ref(), |entry| UsageAlert {
                feature_id: entry.feature_id.as_ref().map(Meter::as_str),
                enabled: entry.enabled,
                threshold: entry.threshold.into(),
                threshold_type: entry.threshold_type,
                name: entry.name.as_ref().map(Name::as_str),
                source,
            }),
            overage_allowed: list(controls.overage_allowed.as_ref(), |entry| OverageAllowed {
                feature_id: entry.feature_id.as_str(),
                enabled: entry.enabled,
                source,
            }),
        }
    }
}

/// Who set an entry.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    /// It was set for the customer.
    Customer,
}

/// Buys a quantity when the balance of a feature falls below the threshold.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct AutoTopup<'a> {
    /// The feature.
    feature_id: &'a str,
    /// Whether it is in force.
    enabled: bool,
    /// The balance below which to buy.
    threshold: Number,
    /// How much to buy.
    quantity: Number,
    /// How often.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PurchaseLimit")]
    purchase_limit: Option<PurchaseLimit>,
    /// Whether to buy by invoice.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    invoice_mode: Option<bool>,
    /// Who set it, from version 2.3 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Source")]
    source: Option<Source>,
}

/// How often an automatic purchase may happen.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct PurchaseLimit {
    /// Unit of the span.
    interval: Interval,
    /// How many units the span has.
    interval_count: u32,
    /// Most purchases in the span.
    limit: u32,
}

impl PurchaseLimit {
    const fn of(limit: &facts::PurchaseLimit) -> Self {
        let facts::PurchaseLimit { interval, interval_count, limit, count: _ } = limit;
        Self { interval: *interval, interval_count: *interval_count, limit: *limit }
    }
}

/// Bounds what may be used over the balance.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SpendLimit<'a> {
    /// The feature; none for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "&'a str")]
    feature_id: Option<&'a str>,
    /// Whether it is in force.
    enabled: bool,
    /// How the bound is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "LimitType")]
    limit_type: Option<LimitType>,
    /// The bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Number")]
    overage_limit: Option<Number>,
    /// Whether overage is not billed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    skip_overage_billing: Option<bool>,
    /// Who set it, from version 2.3 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Source")]
    source: Option<Source>,
}

/// Bounds what may be used in an interval.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct UsageLimit<'a> {
    /// The feature.
    feature_id: &'a str,
    /// Whether it is in force.
    enabled: bool,
    /// The bound.
    limit: Number,
    /// The interval.
    interval: LimitInterval,
    /// Where the interval begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "LimitAnchor")]
    anchor: Option<LimitAnchor>,
    /// Which usage counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Filter<'a>")]
    filter: Option<Filter<'a>>,
    /// What was used of the feature in the interval of now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Number", range(min = 0))]
    usage: Option<Number>,
    /// Who set it, from version 2.3 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Source")]
    source: Option<Source>,
}

/// Which usage a limit counts.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Filter<'a> {
    /// All of these must match.
    properties: BTreeMap<&'a str, String>,
}

impl<'a> Filter<'a> {
    /// Shows a filter; values are texts.
    fn of(filter: &'a facts::UsageFilter) -> Self {
        let text = |value: &Json| match value {
            Json::String(text) | Json::Number(text) => text.to_string(),
            Json::Bool(value) => value.to_string(),
            Json::Null | Json::Array(_) | Json::Object(_) => String::new(),
        };
        let properties = filter.properties.iter();
        Self { properties: properties.map(|(name, value)| (&**name, text(value))).collect() }
    }
}

/// Tells when a level is reached.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct UsageAlert<'a> {
    /// The feature; none for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "&'a str")]
    feature_id: Option<&'a str>,
    /// Whether it is in force.
    enabled: bool,
    /// The level.
    threshold: Number,
    /// How the level is meant.
    threshold_type: ThresholdType,
    /// What the alert is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "&'a str")]
    name: Option<&'a str>,
    /// Who set it, from version 2.3 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Source")]
    source: Option<Source>,
}

/// Whether usage of a feature may go over the balance.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct OverageAllowed<'a> {
    /// The feature.
    feature_id: &'a str,
    /// Whether it may.
    enabled: bool,
    /// Who set it, from version 2.3 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Source")]
    source: Option<Source>,
}
