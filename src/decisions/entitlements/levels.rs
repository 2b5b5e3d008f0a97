//! What is told about balances: auto top-ups, alerts, bounds that are reached. Looked at once for
//! each command, when all of it is counted.
//!
//! Tallybook does not buy. An auto top-up is told; who buys records a grant or a purchase.

use std::collections::BTreeMap;

use tallybook_events::customer::entitlements::{
    AutoTopupTriggered, BalanceLimit, BalanceLimitReached, PurchasesCounted, ResetInterval,
    ResetRule, Segments, UsageAlertTriggered, horizon,
};
use tallybook_events::customer::{
    AutoTopup, BillingControls, Interval, PurchaseLimit, ThresholdType, UsageAlert, UsageRecorded,
};
use tallybook_events::event::Event;
use tallybook_events::ids::Meter;
use tallybook_events::money::{Amount, Total};
use tallybook_events::period::Window;
use tallybook_events::time::Timestamp;

use super::super::customer::Customer;
use super::Entitled;
use super::told::Told;

/// Sums in shares of each other are compared below this: as many digits as fit.
const MOST_OF_A_SHARE: i128 = 10_i128.pow(22);

/// How a balance stands, in trillionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Level {
    granted: i128,
    used: i128,
    /// What is left.
    pub(super) remaining: i128,
    unlimited: bool,
    overage_allowed: bool,
    max_purchase: Option<i128>,
    window: Window,
}

/// Gives how the balance of a feature stands; nothing when it has none.
pub(super) fn of(entitled: &Entitled, feature: &Meter, now: Timestamp) -> Option<Level> {
    level(entitled, feature, entitled.usage.get(feature)?, now)
}

fn level(
    entitled: &Entitled,
    feature: &Meter,
    segments: &Segments,
    now: Timestamp,
) -> Option<Level> {
    let spent = entitled.facts.spent(feature, segments, now);
    Some(Level {
        window: spent.window()?,
        granted: spent.granted(),
        used: spent.used(),
        remaining: spent.remaining(),
        unlimited: spent.unlimited(),
        overage_allowed: spent.overage_allowed(),
        max_purchase: spent.max_purchase(),
    })
}

/// What is looked at: a feature, and how its balance stood and stands.
struct Look<'a> {
    told: &'a Told,
    controls: &'a BillingControls,
    feature: &'a Meter,
    before: Option<Level>,
    after: Level,
    now: Timestamp,
}

/// Tells what the events of a usage command do to balances.
pub(in crate::decisions) fn tell_of_usage(
    customer: &Customer,
    events: &mut Vec<Event>,
    now: Timestamp,
) {
    let Some(entitled) = customer.has_entitlements() else { return };
    let mut touched: BTreeMap<Meter, (Timestamp, Segments)> = BTreeMap::new();
    for event in &*events {
        let Event::UsageRecorded(recorded) = event else { continue };
        recount(entitled, recorded, now, &mut touched);
    }
    let controls = customer.billing_controls();
    for (feature, (_, segments)) in &touched {
        let Some(after) = level(entitled, feature, segments, now) else { continue };
        let before = of(entitled, feature, now);
        let look = Look { told: &entitled.told, controls, feature, before, after, now };
        look.bounds(events);
        look.alerts(events);
        look.topup(events);
    }
}

/// Counts a report in a copy of what was used of its feature, as far as that matters now.
fn recount(
    entitled: &Entitled,
    recorded: &UsageRecorded,
    now: Timestamp,
    touched: &mut BTreeMap<Meter, (Timestamp, Segments)>,
) {
    let mut change = |meter: &Meter, at: Timestamp, quantity: Amount, more: bool| {
        let Some(known) = entitled.usage.get(meter) else { return };
        let grants = entitled.facts.grants_of(meter);
        let (from, segments) = touched.entry(meter.clone()).or_insert_with(|| {
            let from = horizon(grants.clone(), now);
            let matter = known.iter().filter(|segment| from <= segment.start);
            (from, matter.copied().collect())
        });
        if at < *from {
            return;
        }
        if more {
            segments.add(at, quantity.trillionths(), grants);
        } else {
            segments.take(at, quantity.trillionths());
        }
    };
    if let Some(corrected) = &recorded.corrects {
        change(&corrected.meter, corrected.occurred_at, corrected.quantity, false);
    }
    change(&recorded.meter, recorded.occurred_at, recorded.quantity, true);
}

/// Tells what other billing controls find in balances that stand as they stood.
pub(in crate::decisions) fn tell_of_controls(
    customer: &Customer,
    events: &mut Vec<Event>,
    now: Timestamp,
) {
    let Some(entitled) = customer.has_entitlements() else { return };
    let set = events.iter().find_map(|event| {
        if let Event::BillingControlsSet(set) = event { Some(set.clone()) } else { None }
    });
    let Some(set) = set else { return };
    let mut told = entitled.told.clone();
    told.controls(&set);
    for feature in entitled.facts.features() {
        let Some(after) = of(entitled, feature, now) else { continue };
        let before = Some(after);
        let look = Look { told: &told, controls: &set.to, feature, before, after, now };
        look.alerts(events);
        look.topup(events);
    }
}

/// Tells what changed grants do to balances.
pub(super) fn tell_of_grants(
    customer: &Customer,
    after: &Entitled,
    now: Timestamp,
    events: &mut Vec<Event>,
) {
    let controls = customer.billing_controls();
    for feature in after.facts.features() {
        let Some(level) = of(after, feature, now) else { continue };
        let before = of(customer.entitled(), feature, now);
        if before == Some(level) {
            continue;
        }
        let look = Look { told: &after.told, controls, feature, before, after: level, now };
        look.alerts(events);
        look.topup(events);
    }
}

impl Look<'_> {
    /// Tells the bounds that usage has reached.
    fn bounds(&self, events: &mut Vec<Event>) {
        let Level { granted, used, unlimited, window, .. } = self.after;
        let extra = self.after.max_purchase.filter(|_| self.after.overage_allowed);
        let bounds = [
            (BalanceLimit::Included, Some(granted)),
            (BalanceLimit::MaxPurchase, extra.map(|extra| granted + extra)),
        ];
        for (limit_type, bound) in bounds {
            let Some(bound) = bound.filter(|_| !unlimited) else { continue };
            let below =
                self.before.is_some_and(|before| before.used < bound - granted + before.granted);
            let told = self.told.has_limit(self.feature, limit_type, self.now) && !below;
            if used == 0 || used < bound || told {
                continue;
            }
            events.push(Event::BalanceLimitReached(BalanceLimitReached {
                feature_id: self.feature.clone(),
                limit_type,
                granted: total(granted),
                usage: total(used),
                window,
            }));
        }
    }

    /// Tells the alerts whose level is reached.
    fn alerts(&self, events: &mut Vec<Event>) {
        let of_feature = |alert: &&UsageAlert| {
            alert.enabled && alert.feature_id.as_ref().is_none_or(|id| id == self.feature)
        };
        let mut fresh: Vec<&UsageAlert> = Vec::new();
        for alert in self.controls.usage_alerts.iter().flatten().filter(of_feature) {
            let same = |other: &&UsageAlert| {
                (other.threshold_type, other.threshold) == (alert.threshold_type, alert.threshold)
            };
            let told = self.told.has_alert(self.feature, alert, self.now);
            if told || fresh.iter().any(same) || !self.reaches(alert) {
                continue;
            }
            fresh.push(alert);
            let Level { granted, used, remaining, window, .. } = self.after;
            events.push(Event::UsageAlertTriggered(UsageAlertTriggered {
                feature_id: self.feature.clone(),
                name: alert.name.clone(),
                threshold: alert.threshold,
                threshold_type: alert.threshold_type,
                granted: total(granted),
                usage: total(used),
                remaining: total(remaining),
                window,
            }));
        }
    }

    fn reaches(&self, alert: &UsageAlert) -> bool {
        let Level { granted, used, remaining, unlimited, .. } = self.after;
        let level = alert.threshold.trillionths();
        match alert.threshold_type {
            ThresholdType::Usage => used >= level,
            _ if unlimited || granted == 0 => false,
            ThresholdType::UsagePercentage => at_least(used, level, granted),
            ThresholdType::Remaining => remaining <= level,
            ThresholdType::RemainingPercentage => {
                at_least(granted - remaining, whole() - level, granted)
            }
        }
    }

    /// Tells that the balance is below the threshold of an auto top-up.
    fn topup(&self, events: &mut Vec<Event>) {
        let entries = self.controls.auto_topups.iter().flatten();
        let mut enabled = entries.filter(|entry| entry.enabled);
        let Some(entry) = enabled.find(|entry| entry.feature_id == *self.feature) else { return };
        let threshold = entry.threshold.trillionths();
        let Level { remaining, unlimited, window, .. } = self.after;
        if unlimited || remaining >= threshold {
            return;
        }
        let fell = self.before.is_some_and(|before| before.remaining >= threshold);
        if !fell && self.told.waits_for(self.feature, entry.threshold, self.now) {
            return;
        }
        let Ok(purchases) = self.one_more(entry) else { return };
        events.push(Event::AutoTopupTriggered(AutoTopupTriggered {
            feature_id: self.feature.clone(),
            threshold: entry.threshold,
            quantity: entry.quantity,
            remaining: total(remaining),
            window,
            invoice_mode: entry.invoice_mode,
            purchases,
        }));
    }

    /// Counts one more purchase, where they are bounded.
    fn one_more(&self, entry: &AutoTopup) -> Result<Option<PurchasesCounted>, BoundReached> {
        let Some(bound) = &entry.purchase_limit else { return Ok(None) };
        let last = self.told.topups().get(self.feature).and_then(|topup| topup.purchases);
        let (before, span) = match last {
            Some(last) if last.span.contains(self.now) => (last.count, last.span),
            Some(_) => (0, span(bound, self.now)),
            None => (bound.count.unwrap_or(0), span(bound, self.now)),
        };
        if before >= bound.limit {
            return Err(BoundReached);
        }
        Ok(Some(PurchasesCounted { count: before + 1, limit: bound.limit, span }))
    }
}

/// No more may be bought in the span.
struct BoundReached;

/// Gives the span of purchases that begins now.
fn span(bound: &PurchaseLimit, now: Timestamp) -> Window {
    let interval = match bound.interval {
        Interval::Hour => ResetInterval::Hour,
        Interval::Day => ResetInterval::Day,
        Interval::Week => ResetInterval::Week,
        Interval::Month => ResetInterval::Month,
    };
    let rule = ResetRule { interval, interval_count: bound.interval_count, anchor: now };
    rule.window_at(now)
}

fn total(trillionths: i128) -> Total {
    Total::from_trillionths(trillionths).expect("sums are kept below 10^28")
}

/// One hundred per cent.
fn whole() -> i128 {
    Amount::from(100).trillionths()
}

/// Tells whether a part is at least so many per cent (in trillionths) of a whole.
fn at_least(mut part: i128, percentage: i128, mut of: i128) -> bool {
    while of > MOST_OF_A_SHARE {
        part /= 1_000;
        of /= 1_000;
    }
    let share = percentage.saturating_mul(of);
    part.checked_mul(whole()).is_none_or(|part| part >= share)
}
