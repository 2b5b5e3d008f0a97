//! What was told about balances: so that it is told once.

use std::collections::BTreeMap;

use tallybook_events::customer::entitlements::{
    AutoTopupTriggered, BalanceLimit, BalanceLimitReached, PurchasesCounted, UsageAlertTriggered,
};
use tallybook_events::customer::{
    AutoTopup, BillingControlsSet, PurchaseLimit, ThresholdType, UsageAlert,
};
use tallybook_events::event::Event;
use tallybook_events::ids::Meter;
use tallybook_events::money::Amount;
use tallybook_events::period::Window;
use tallybook_events::time::Timestamp;

use crate::decisions::packed::{
    Packed, Unpackable, Unpacking, pack_json, pack_list, pack_maybe, pack_text,
};

/// What a customer's events told about its balances.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::decisions) struct Told {
    topups: BTreeMap<Meter, Topup>,
    alerts: Vec<Alert>,
    limits: Vec<Limit>,
}

/// The last auto top-up of a feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::decisions) struct Topup {
    /// The threshold.
    pub(in crate::decisions) threshold: Amount,
    /// The window of the balance then.
    pub(in crate::decisions) window: Window,
    /// Whether the balance has not been at the threshold since.
    pub(in crate::decisions) waits: bool,
    /// Where purchases are bounded: how many there were.
    pub(in crate::decisions) purchases: Option<PurchasesCounted>,
}

/// An alert that was triggered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::decisions) struct Alert {
    /// The feature.
    pub(in crate::decisions) feature: Meter,
    /// How the level is meant.
    pub(in crate::decisions) threshold_type: ThresholdType,
    /// The level.
    pub(in crate::decisions) threshold: Amount,
    /// The window in which it was.
    pub(in crate::decisions) window: Window,
}

/// A bound that was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::decisions) struct Limit {
    /// The feature.
    pub(in crate::decisions) feature: Meter,
    /// The bound.
    pub(in crate::decisions) bound: BalanceLimit,
    /// The window in which it was.
    pub(in crate::decisions) window: Window,
}

impl Told {
    /// Gives the last auto top-ups, by feature.
    pub(in crate::decisions) fn topups(&self) -> &BTreeMap<Meter, Topup> {
        &self.topups
    }

    /// Gives the alerts that were triggered.
    pub(in crate::decisions) fn alerts(&self) -> &[Alert] {
        &self.alerts
    }

    /// Gives the bounds that were reached.
    pub(in crate::decisions) fn limits(&self) -> &[Limit] {
        &self.limits
    }

    /// Remembers what an event tells about balances.
    pub(super) fn hear(&mut self, event: &Event, at: Timestamp) {
        if let Event::AutoTopupTriggered(triggered) = event {
            self.topup(triggered);
        } else if let Event::UsageAlertTriggered(triggered) = event {
            self.alert(triggered, at);
        } else if let Event::BalanceLimitReached(reached) = event {
            self.limit(reached, at);
        } else if let Event::BillingControlsSet(set) = event {
            self.controls(set);
        }
    }

    /// Remembers an auto top-up.
    fn topup(&mut self, triggered: &AutoTopupTriggered) {
        let &AutoTopupTriggered { threshold, window, purchases, .. } = triggered;
        let topup = Topup { threshold, window, waits: true, purchases };
        self.topups.insert(triggered.feature_id.clone(), topup);
    }

    /// Remembers an alert; those of windows that have ended are forgotten.
    fn alert(&mut self, triggered: &UsageAlertTriggered, at: Timestamp) {
        self.alerts.retain(|alert| at < alert.window.end);
        self.alerts.push(Alert {
            feature: triggered.feature_id.clone(),
            threshold_type: triggered.threshold_type,
            threshold: triggered.threshold,
            window: triggered.window,
        });
    }

    /// Remembers a bound that was reached; those of windows that have ended are forgotten.
    fn limit(&mut self, reached: &BalanceLimitReached, at: Timestamp) {
        let BalanceLimitReached { feature_id, limit_type, window, .. } = reached;
        self.limits.retain(|limit| {
            at < limit.window.end && (limit.feature != *feature_id || limit.bound != *limit_type)
        });
        let (feature, bound, window) = (feature_id.clone(), *limit_type, *window);
        self.limits.push(Limit { feature, bound, window });
    }

    /// Takes the caller's count of purchases where a bound of them is set anew with one.
    pub(super) fn controls(&mut self, set: &BillingControlsSet) {
        let bound = |list: &Option<Vec<AutoTopup>>, feature: &Meter| -> Option<PurchaseLimit> {
            let mut entries = list.iter().flatten();
            entries.find(|entry| entry.feature_id == *feature)?.purchase_limit.clone()
        };
        for (feature, topup) in &mut self.topups {
            let (from, to) =
                (bound(&set.from.auto_topups, feature), bound(&set.to.auto_topups, feature));
            if from != to && to.is_some_and(|to| to.count.is_some()) {
                topup.purchases = None;
            }
        }
    }

    /// Gives the threshold of an auto top-up after which the balance was not raised to it.
    pub(super) fn waits(&self, feature: &Meter) -> Option<Amount> {
        self.topups.get(feature).filter(|topup| topup.waits).map(|topup| topup.threshold)
    }

    /// Notes that the balance was raised.
    pub(super) fn answered(&mut self, feature: &Meter) {
        if let Some(topup) = self.topups.get_mut(feature) {
            topup.waits = false;
        }
    }

    /// Tells whether an auto top-up of that threshold still waits to be answered.
    pub(super) fn waits_for(&self, feature: &Meter, threshold: Amount, now: Timestamp) -> bool {
        self.topups.get(feature).is_some_and(|topup| {
            topup.waits && topup.threshold == threshold && topup.window.contains(now)
        })
    }

    /// Tells whether an alert was triggered in a window that has not ended.
    pub(super) fn has_alert(&self, feature: &Meter, asked: &UsageAlert, now: Timestamp) -> bool {
        self.alerts.iter().any(|alert| {
            alert.feature == *feature
                && alert.threshold_type == asked.threshold_type
                && alert.threshold == asked.threshold
                && alert.window.contains(now)
        })
    }

    /// Tells whether a bound was reached in a window that has not ended.
    pub(super) fn has_limit(&self, feature: &Meter, kind: BalanceLimit, now: Timestamp) -> bool {
        self.limits.iter().any(|limit| {
            limit.feature == *feature && limit.bound == kind && limit.window.contains(now)
        })
    }
}

impl Packed for Told {
    fn pack(&self, out: &mut Vec<u8>) {
        let Self { topups, alerts, limits } = self;
        pack_list(topups.iter(), out, |(feature, topup), out| {
            let Topup { threshold, window, waits, purchases } = topup;
            pack_text(feature.as_str(), out);
            threshold.pack(out);
            window.pack(out);
            u32::from(*waits).pack(out);
            pack_maybe(purchases.as_ref(), out, pack_json);
        });
        pack_list(alerts.iter(), out, |alert, out| {
            let Alert { feature, threshold_type, threshold, window } = alert;
            pack_text(feature.as_str(), out);
            pack_json(threshold_type, out);
            threshold.pack(out);
            window.pack(out);
        });
        pack_list(limits.iter(), out, |limit, out| {
            let Limit { feature, bound, window } = limit;
            pack_text(feature.as_str(), out);
            pack_json(bound, out);
            window.pack(out);
        });
    }

    fn unpack(from: &mut Unpacking<'_>) -> Result<Self, Unpackable> {
        let topups = from.list(|from| {
            let feature = from.text()?;
            let topup = Topup {
                threshold: from.take()?,
                window: from.take()?,
                waits: from.take::<u32>()? == 1,
                purchases: from.maybe(Unpacking::json)?,
            };
            Ok((feature, topup))
        })?;
        let alerts = from.list(|from| {
            let (feature, threshold_type) = (from.text()?, from.json()?);
            Ok(Alert { feature, threshold_type, threshold: from.take()?, window: from.take()? })
        })?;
        let limits = from.list(|from| {
            let (feature, bound) = (from.text()?, from.json()?);
            Ok(Limit { feature, bound, window: from.take()? })
        })?;
        Ok(Self { topups, alerts, limits })
    }
}
