//! The spending policy: what a single spend must keep to. Rules are merged, lists replaced as
//! lists.

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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::given::{given, update};

    fn policy(policy: Value) -> Value {
        update(json!({"policy": policy}))
    }

    fn changed(from: Value, to: Value) -> Value {
        json!([{"type": "PolicyChanged.v1", "from": from, "to": to}])
    }

    #[test]
    fn rules_are_merged_at_every_depth_and_lists_are_replaced() {
        let first = json!({"require_intent": true, "limits": {"per_auth": "10", "per_day": "20"},
            "allowed_mccs": ["5411", "5412"], "ttl_days": 7});
        let second = json!({"require_intent": true, "cooldown_minutes": 5,
            "limits": {"per_auth": "15", "per_month": "100"}, "allowed_mccs": ["5999"]});
        given()
            .customer(json!({}))
            .when(policy(first.clone()))
            .then(changed(Value::Null, first.clone()))
            .when(policy(first.clone()))
            .then_nothing()
            .when(policy(json!({"cooldown_minutes": 5, "ttl_days": null, "allowed_mccs": ["5999"],
                "limits": {"per_auth": 15, "per_day": null, "per_month": 100}})))
            .then(changed(first, second.clone()))
            .shows("/policy", second);
    }

    #[test]
    fn absent_null_and_a_value_are_three_things() {
        let rules = json!({"ttl_days": 7});
        given()
            .customer(json!({}))
            .when(policy(Value::Null))
            .then_nothing()
            .shows("/policy", Value::Null)
            .when(policy(rules.clone()))
            .then(changed(Value::Null, rules.clone()))
            .when(update(json!({})))
            .then_nothing()
            .when(policy(json!({})))
            .then_nothing()
            .when(policy(Value::Null))
            .then(changed(rules, Value::Null))
            .shows("/policy", Value::Null);
    }

    #[test]
    fn a_patch_that_sets_no_rule_makes_no_policy() {
        given()
            .customer(json!({}))
            .when(policy(json!({"ttl_days": null, "limits": {"per_day": null}})))
            .then_nothing()
            .shows("/policy", Value::Null);
    }

    #[test]
    fn a_policy_without_rules_is_one_all_the_same() {
        let rules = json!({"limits": {"per_day": "1"}});
        given()
            .customer(json!({"policy": rules}))
            .when(policy(json!({"limits": {"per_day": null}})))
            .then(changed(rules, json!({"limits": {}})))
            .when(policy(json!({"limits": null})))
            .then(changed(json!({"limits": {}}), json!({})))
            .shows("/policy", json!({}))
            .when(policy(Value::Null))
            .then(changed(json!({}), Value::Null));
    }

    #[test]
    fn every_rule_is_kept() {
        let rules = json!({"require_intent": true, "require_attestation": false,
            "require_approval": true, "auto_approve_below": "0.5", "attestation_window_minutes": 15,
            "cooldown_minutes": 1, "ttl_minutes": 2, "ttl_days": 3,
            "limits": {"per_auth": "1", "per_day": "2", "per_month": "3"}, "allowed_mccs": [],
            "blocked_mccs": ["7995"], "allowed_merchants": ["Acme"],
            "lock_to_first_merchant": true});
        let gone: serde_json::Map<String, Value> =
            rules.as_object().unwrap().keys().map(|name| (name.clone(), Value::Null)).collect();
        given()
            .customer(json!({"policy": rules}))
            .shows("/policy", rules.clone())
            .when(policy(gone.into()))
            .then(changed(rules, json!({})));
    }
}
