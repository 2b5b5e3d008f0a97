//! The spending policy: what a single spend must keep to. Rules are merged, lists replaced as lists.

use tallybook_events::customer::{Limits, LimitsPatch, Policy, PolicyChanged, PolicyPatch};
use tallybook_events::event::Event;
use tallybook_events::field::Patch;

/// Decides a patch of the policy.
pub(super) fn decide(now: Option<&Policy>, asked: &Patch<PolicyPatch>, events: &mut Vec<Event>) {
    let to = match asked {
        Patch::Keep => return,
        Patch::Clear => None,
        Patch::Set(asked) => merged(now, asked),
    };
    if to.as_ref() != now {
        let changed = PolicyChanged { from: now.cloned(), to };
        events.push(Event::PolicyChanged(Box::new(changed)));
    }
}

/// Gives the policy after a patch. A patch that sets no rule makes no policy where there was none.
fn merged(now: Option<&Policy>, asked: &PolicyPatch) -> Option<Policy> {
    let old = now.cloned().unwrap_or_default();
    let new = Policy {
        require_intent: asked.require_intent.over(old.require_intent),
        require_attestation: asked.require_attestation.over(old.require_attestation),
        require_approval: asked.require_approval.over(old.require_approval),
        auto_approve_below: asked.auto_approve_below.over(old.auto_approve_below),
        attestation_window_minutes: asked
            .attestation_window_minutes
            .over(old.attestation_window_minutes),
        cooldown_minutes: asked.cooldown_minutes.over(old.cooldown_minutes),
        ttl_minutes: asked.ttl_minutes.over(old.ttl_minutes),
        ttl_days: asked.ttl_days.over(old.ttl_days),
        limits: match &asked.limits {
            Patch::Keep => old.limits,
            Patch::Clear => None,
            Patch::Set(asked) => merged_limits(old.limits, asked),
        },
        allowed_mccs: asked.allowed_mccs.over(old.allowed_mccs),
        blocked_mccs: asked.blocked_mccs.over(old.blocked_mccs),
        allowed_merchants: asked.allowed_merchants.over(old.allowed_merchants),
        lock_to_first_merchant: asked.lock_to_first_merchant.over(old.lock_to_first_merchant),
    };
    (now.is_some() || new != Policy::default()).then_some(new)
}

fn merged_limits(now: Option<Limits>, asked: &LimitsPatch) -> Option<Limits> {
    let old = now.unwrap_or_default();
    let new = Limits {
        per_auth: asked.per_auth.over(old.per_auth),
        per_day: asked.per_day.over(old.per_day),
        per_month: asked.per_month.over(old.per_month),
    };
    (now.is_some() || new != Limits::default()).then_some(new)
}
