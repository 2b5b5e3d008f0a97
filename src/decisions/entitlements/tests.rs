//! Given, when, then: plans, purchases, grants, flags, and what is told about balances.

use serde_json::{Value, json};

use super::super::given::{Given, KEY, archive, given, nth, update, usage, with};

/// The moment at which tests begin.
const NOW: &str = "2026-01-15T10:00:00Z";

impl Given {
    /// Shows the value at a pointer into what `acme` is entitled to.
    fn entitled(self, pointer: &str, expected: Value) -> Self {
        let record = self.0.record(nth(KEY, 0));
        let customer = record.customer.expect("a customer");
        let entitled = customer.entitled();
        let controls = customer.billing_controls();
        let answer = entitled.facts.answer(&entitled.usage, controls, self.0.now);
        let answer: Value = serde_json::from_str(&serde_json::to_string(&answer).unwrap()).unwrap();
        assert_eq!(answer.pointer(pointer), Some(&expected), "{pointer} of {answer:#}");
        self
    }

    /// Shows granted, used and remaining of messages.
    fn messages(self, granted: &str, used: &str, remaining: &str) -> Self {
        self.entitled("/balances/messages/granted", json!(granted))
            .entitled("/balances/messages/usage", json!(used))
            .entitled("/balances/messages/remaining", json!(remaining))
    }
}

fn merged(mut value: Value, more: Value) -> Value {
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    value
}

fn attach(more: Value) -> Value {
    json!({"type": "AttachPlan", "plan": merged(json!({"plan_id": "pro"}), more)})
}

fn change(plan_id: &str, change: Value) -> Value {
    json!({"type": "UpdatePlan", "plan_id": plan_id, "change": change})
}

fn cancel(plan_id: &str, cancellation: Value) -> Value {
    json!({"type": "CancelPlan", "plan_id": plan_id, "cancellation": cancellation})
}

fn purchase(more: Value) -> Value {
    let purchase = json!({"purchase_id": "order-1", "plan_id": "credits"});
    json!({"type": "RecordPurchase", "purchase": merged(purchase, more)})
}

/// A hundred messages.
fn hundred(more: Value) -> Value {
    merged(json!({"grant_id": "g", "feature_id": "messages", "included": 100}), more)
}

fn monthly(more: Value) -> Value {
    hundred(merged(json!({"reset": {"interval": "month"}}), more))
}

fn grant(grant: Value) -> Value {
    json!({"type": "GrantBalance", "grant": grant})
}

fn revoke(grant_id: &str) -> Value {
    json!({"type": "RevokeGrant", "grant_id": grant_id})
}

fn flag(more: Value) -> Value {
    let flag = json!({"flag_id": "i", "feature_id": "workflows"});
    json!({"type": "SetFlag", "flag": merged(flag, more)})
}

fn clear(feature_id: &str) -> Value {
    json!({"type": "ClearFlag", "feature_id": feature_id})
}

fn message(id: &str, occurred_at: &str, quantity: u32) -> Value {
    json!({"report_id": id, "occurred_at": occurred_at, "meter": "messages",
        "quantity": quantity})
}

fn customer() -> Given {
    given().customer(json!({}))
}

fn topups(more: Value) -> Value {
    let entry = json!({"feature_id": "messages", "enabled": true, "threshold": 10,
        "quantity": 50});
    json!({"billing_controls": {"auto_topups": [merged(entry, more)]}})
}

fn alerts(alerts: Value) -> Value {
    json!({"billing_controls": {"usage_alerts": alerts}})
}

#[test]
fn a_customer_to_whom_nothing_was_granted_has_nothing() {
    customer().used([message("r1", NOW, 5)]).entitled(
        "",
        json!({"subscriptions": [], "purchases": [], "balances": {}, "flags": {},
                "usage_limits": []}),
    );
}

#[test]
fn a_plan_comes_with_its_grants_and_flags() {
    customer()
        .when(attach(json!({
            "started_at": "2026-01-10T16:25:21.437Z", "auto_enable": true, "quantity": 2,
            "current_period_start": "2026-01-10T16:25:21.437Z",
            "current_period_end": "2026-02-10T16:25:21.437Z",
            "grants": [monthly(json!({}))],
            "flags": [{"flag_id": "i", "feature_id": "workflows"}],
        })))
        .then_types(["PlanAttached", "BalanceGranted", "FlagSet"])
        .entitled(
            "",
            json!({
                "subscriptions": [{"plan_id": "pro", "auto_enable": true, "add_on": false,
                    "status": "active", "past_due": false, "canceled_at": null, "expires_at": null,
                    "trial_ends_at": null, "started_at": "2026-01-10T16:25:21.437Z",
                    "current_period_start": "2026-01-10T16:25:21.437Z",
                    "current_period_end": "2026-02-10T16:25:21.437Z", "quantity": 2}],
                "purchases": [],
                "balances": {"messages": {"feature_id": "messages", "granted": "100",
                    "remaining": "100", "usage": "0", "unlimited": false, "overage_allowed": false,
                    "max_purchase": null, "next_reset_at": "2026-02-10T16:25:21.437Z",
                    "breakdown": [{"id": "g", "plan_id": "pro", "included_grant": "100",
                        "prepaid_grant": "0", "remaining": "100", "usage": "0", "unlimited": false,
                        "reset": {"interval": "month", "interval_count": 1,
                            "resets_at": "2026-02-10T16:25:21.437Z"},
                        "price": null, "expires_at": null}],
                    "rollovers": []}},
                "flags": {"workflows": {"flag_id": "i", "feature_id": "workflows", "plan_id": "pro",
                    "expires_at": null}},
                "usage_limits": [],
            }),
        )
        .shows("/version", json!(4));
}

#[test]
fn a_plan_that_starts_later_is_scheduled_and_so_is_what_comes_with_it() {
    customer()
        .accepted(attach(json!({"started_at": "2026-02-01T00:00:00Z",
            "grants": [monthly(json!({}))]})))
        .entitled("/subscriptions/0/status", json!("scheduled"))
        .entitled("/balances", json!({}))
        .at("2026-02-01T00:00:00Z")
        .entitled("/subscriptions/0/status", json!("active"))
        .messages("100", "0", "100");
}

#[test]
fn a_plan_is_attached_once_until_it_ends() {
    customer()
        .accepted(attach(json!({})))
        .when(attach(json!({})))
        .rejects("plan_attached", Some("/plan/plan_id"))
        .accepted(cancel("pro", json!({})))
        .when(attach(json!({})))
        .then_types(["PlanAttached"])
        .entitled("/subscriptions/0/canceled_at", json!(null));
}

#[test]
fn a_change_of_a_plan_is_told_and_none_is_not() {
    customer()
        .accepted(attach(json!({})))
        .when(change("pro", json!({"past_due": true, "quantity": 3})))
        .then_types(["PlanChanged"])
        .entitled("/subscriptions/0/past_due", json!(true))
        .entitled("/subscriptions/0/quantity", json!(3))
        .when(change("pro", json!({"past_due": true, "trial_ends_at": null})))
        .then_nothing()
        .when(change("free", json!({})))
        .rejects("unknown_plan", Some("/plan_id"))
        .when(change("pro", json!({"quantity": 0})))
        .rejects("plan_invalid", Some("/change/quantity"));
}

#[test]
fn a_cancelled_plan_ends_with_its_period_and_what_came_with_it_too() {
    let period = json!({"current_period_start": "2026-01-10T00:00:00Z",
        "current_period_end": "2026-02-10T00:00:00Z",
        "grants": [monthly(json!({}))],
        "flags": [{"flag_id": "i", "feature_id": "workflows"}]});
    customer()
        .accepted(attach(period))
        .accepted(grant(hundred(json!({"grant_id": "own"}))))
        .when(cancel("pro", json!({})))
        .then(json!([{"type": "PlanCanceled.v1", "plan_id": "pro", "canceled_at": NOW,
            "expires_at": "2026-02-10T00:00:00Z"}]))
        .when(cancel("pro", json!({})))
        .then_nothing()
        .at("2026-02-09T23:59:59Z")
        .messages("200", "0", "200")
        .entitled("/subscriptions/0/canceled_at", json!(NOW))
        .at("2026-02-10T00:00:00Z")
        .messages("100", "0", "100")
        .entitled("/subscriptions", json!([]))
        .entitled("/flags", json!({}))
        .when(cancel("pro", json!({})))
        .rejects("unknown_plan", Some("/plan_id"));
}

#[test]
fn a_cancellation_may_be_taken_back_while_the_plan_lasts() {
    customer()
        .accepted(attach(json!({"current_period_end": "2026-02-10T00:00:00Z",
            "grants": [hundred(json!({}))]})))
        .accepted(cancel("pro", json!({})))
        .accepted(change("pro", json!({"canceled_at": null, "expires_at": null})))
        .at("2026-03-01T00:00:00Z")
        .entitled("/subscriptions/0/canceled_at", json!(null))
        .messages("100", "0", "100");
}

#[test]
fn a_plan_that_takes_the_place_of_another_goes_on_with_what_was_used() {
    let larger = monthly(json!({"grant_id": "larger", "included": 500}));
    customer()
        .accepted(attach(json!({"plan_id": "free", "started_at": "2026-01-10T00:00:00Z",
            "grants": [monthly(json!({}))]})))
        .used([message("r1", "2026-01-12T00:00:00Z", 80)])
        .when(attach(json!({"replaces": "free", "grants": [larger]})))
        .then_types(["PlanAttached", "BalanceGranted", "GrantRevoked", "PlanCanceled"])
        .messages("500", "80", "420")
        .entitled("/balances/messages/next_reset_at", json!("2026-02-10T00:00:00Z"))
        .entitled("/subscriptions/0/plan_id", json!("pro"))
        .used([message("r2", NOW, 20)])
        .messages("500", "100", "400")
        .at("2026-02-10T00:00:00Z")
        .messages("500", "0", "500");
}

#[test]
fn a_plan_with_windows_of_its_own_begins_anew() {
    let own = monthly(json!({"included": 500, "reset": {"interval": "month", "anchor": NOW}}));
    customer()
        .accepted(attach(json!({"plan_id": "free", "started_at": "2026-01-10T00:00:00Z",
            "grants": [monthly(json!({}))]})))
        .used([message("r1", "2026-01-12T00:00:00Z", 80)])
        .accepted(attach(json!({"replaces": "free", "grants": [own]})))
        .messages("500", "0", "500")
        .entitled("/balances/messages/next_reset_at", json!("2026-02-15T10:00:00Z"))
        .when(attach(json!({"plan_id": "x", "replaces": "free"})))
        .rejects("unknown_plan", Some("/plan/replaces"));
}

#[test]
fn a_changed_limit_leaves_what_was_used_alone() {
    customer()
        .accepted(grant(monthly(json!({}))))
        .used([message("r1", NOW, 80)])
        .when(grant(monthly(json!({"included": 500}))))
        .then_types(["BalanceGranted"])
        .messages("500", "80", "420")
        .when(grant(monthly(json!({"included": 500}))))
        .then_nothing()
        .accepted(grant(monthly(json!({"included": 50}))))
        .messages("50", "80", "0")
        .when(grant(json!({"grant_id": "g", "feature_id": "calls"})))
        .rejects("grant_invalid", Some("/grant/feature_id"));
}

#[test]
fn a_changed_limit_leaves_the_windows_before_alone() {
    customer()
        .accepted(grant(monthly(json!({}))))
        .accepted(grant(hundred(json!({"grant_id": "extra"}))))
        .used([message("r1", NOW, 130)])
        .at("2026-02-20T00:00:00Z")
        .messages("200", "30", "170")
        .accepted(grant(monthly(json!({"included": 1000}))))
        .messages("1100", "30", "1070");
}

#[test]
fn usage_counts_in_the_window_of_its_own_moment_however_late_it_comes() {
    customer()
        .accepted(grant(monthly(json!({"starts_at": "2026-01-01T00:00:00Z"}))))
        .at("2026-02-03T00:00:00Z")
        .used([
            message("r1", "2026-01-31T23:59:59.999999Z", 70),
            message("r2", "2026-02-01T00:00:00Z", 7),
            message("r3", "2025-12-31T23:59:59Z", 1),
        ])
        .messages("100", "7", "93")
        .used([with("corrects", json!("r1"), message("r4", "2026-02-02T00:00:00Z", 20))])
        .messages("100", "27", "73")
        .used([with("corrects", json!("r4"), message("r5", "2026-01-02T00:00:00Z", 3))])
        .messages("100", "7", "93")
        .used([with("corrects", json!("r2"), message("r6", "2026-02-02T00:00:00Z", 9))])
        .messages("100", "9", "91");
}

#[test]
fn a_grant_may_reach_back_to_usage_that_was_reported_before() {
    customer()
        .used([
            message("r1", "2026-01-15T09:10:00Z", 1),
            message("r2", "2026-01-15T09:20:00Z", 2),
            message("r3", "2026-01-15T09:25:00Z", 4),
            with("corrects", json!("r3"), message("r4", "2026-01-15T09:40:00Z", 8)),
            json!({"report_id": "r5", "occurred_at": NOW, "meter": "calls", "quantity": 16}),
        ])
        .accepted(grant(hundred(json!({}))))
        .messages("100", "0", "100")
        .accepted(grant(hundred(json!({"starts_at": "2026-01-15T09:15:00Z"}))))
        .messages("100", "10", "90")
        .accepted(grant(hundred(json!({"starts_at": "2026-01-15T09:20:00.000001Z"}))))
        .messages("100", "8", "92");
}

#[test]
fn a_grant_that_is_taken_back_is_gone_and_what_was_used_of_it_stays_with_it() {
    customer()
        .accepted(grant(monthly(json!({}))))
        .accepted(grant(hundred(json!({"grant_id": "extra"}))))
        .used([message("r1", NOW, 90)])
        .at("2026-01-16T00:00:00Z")
        .when(revoke("g"))
        .then_types(["GrantRevoked"])
        .messages("100", "0", "100")
        .when(revoke("g"))
        .rejects("unknown_grant", Some("/grant_id"));
}

#[test]
fn what_comes_with_a_purchase_ends_with_it() {
    let end = "2026-03-01T00:00:00Z";
    let grant = |id: &str, end: Value| json!({"grant_id": id, "feature_id": id, "included": 5, "expires_at": end});
    let flag = |id: &str, end: Value| json!({"flag_id": id, "feature_id": id, "expires_at": end});
    let (before, after) = ("2026-02-01T00:00:00Z", "2026-04-01T00:00:00Z");
    let mut bought = customer().accepted(purchase(json!({
        "expires_at": end,
        "grants": [grant("a", json!(null)), grant("b", json!(before)), grant("c", json!(after))],
        "flags": [flag("a", json!(null)), flag("b", json!(before)), flag("c", json!(after))],
    })));
    for (id, ends) in [("a", end), ("b", before), ("c", end)] {
        bought = bought
            .entitled(&format!("/balances/{id}/breakdown/0/expires_at"), json!(ends))
            .entitled(&format!("/flags/{id}/expires_at"), json!(ends));
    }
    bought.at(end).entitled("/balances", json!({})).entitled("/flags", json!({}));
}

#[test]
fn a_purchase_is_recorded_once() {
    let credits = json!({"quantity": 2, "grants": [{"grant_id": "c", "feature_id": "messages",
        "prepaid": 500, "price": {"amount": 5, "billing_method": "prepaid"}}]});
    customer()
        .when(purchase(credits.clone()))
        .then_types(["PurchaseRecorded", "BalanceGranted"])
        .entitled(
            "/purchases",
            json!([{"purchase_id": "order-1", "plan_id": "credits", "quantity": 2,
            "started_at": NOW, "expires_at": null}]),
        )
        .entitled(
            "/balances/messages/breakdown/0/price",
            json!({"amount": "5", "billing_units": "1",
            "billing_method": "prepaid"}),
        )
        .at("2026-01-16T00:00:00Z")
        .when(purchase(credits))
        .then_nothing()
        .when(purchase(json!({"quantity": 3})))
        .rejects("purchase_exists", Some("/purchase/purchase_id"))
        .when(purchase(json!({"purchase_id": "x", "quantity": 0})))
        .rejects("plan_invalid", Some("/purchase/quantity"));
}

#[test]
fn a_flag_is_on_until_it_is_cleared_or_expires() {
    customer()
        .when(flag(json!({"expires_at": "2026-02-01T00:00:00Z"})))
        .then(json!([{"type": "FlagSet.v1", "flag": {"flag_id": "i", "feature_id": "workflows",
            "plan_id": null, "expires_at": "2026-02-01T00:00:00Z"}}]))
        .when(flag(json!({"expires_at": "2026-02-01T00:00:00Z"})))
        .then_nothing()
        .at("2026-02-01T00:00:00Z")
        .entitled("/flags", json!({}))
        .when(clear("workflows"))
        .then_nothing()
        .accepted(flag(json!({})))
        .entitled("/flags/workflows/flag_id", json!("i"))
        .when(clear("workflows"))
        .then_types(["FlagCleared"])
        .entitled("/flags", json!({}));
}

#[test]
fn what_breaks_a_rule_is_refused_with_its_place() {
    let bad = |more: Value| customer().when(grant(hundred(more)));
    let code = "grant_invalid";
    bad(json!({"reset": {"interval": "day", "interval_count": 0}}))
        .rejects(code, Some("/grant/reset/interval_count"));
    bad(json!({"rollover": {}})).rejects(code, Some("/grant/rollover"));
    bad(json!({"rollover": {}, "reset": {"interval": "hour"}}))
        .rejects(code, Some("/grant/rollover"));
    bad(json!({"rollover": {"windows": 0}, "reset": {"interval": "day"}}))
        .rejects(code, Some("/grant/rollover/windows"));
    bad(json!({"price": {"billing_method": "prepaid", "billing_units": 0}}))
        .rejects(code, Some("/grant/price/billing_units"));
    bad(json!({"expires_at": NOW})).rejects(code, Some("/grant/expires_at"));
    let with_grants = |grants: Value| customer().when(attach(json!({"grants": grants})));
    with_grants(json!([hundred(json!({})), hundred(json!({"rollover": {}, "grant_id": "h"}))]))
        .rejects(code, Some("/plan/grants/1/rollover"));
    with_grants(json!([hundred(json!({})), hundred(json!({}))]))
        .rejects(code, Some("/plan/grants/1/grant_id"));
    with_grants(json!([hundred(json!({"plan_id": "other"}))]))
        .rejects(code, Some("/plan/grants/0/plan_id"));
    customer()
        .when(attach(json!({"expires_at": NOW})))
        .rejects("plan_invalid", Some("/plan/expires_at"));
}

#[test]
fn only_a_customer_that_is_open_is_granted_anything() {
    given().when(grant(hundred(json!({})))).rejects("unknown_customer", None);
    customer()
        .when(with("expected_version", json!(7), grant(hundred(json!({})))))
        .rejects("version_mismatch", None)
        .accepted(archive())
        .when(grant(hundred(json!({}))))
        .rejects("unknown_customer", None);
}

#[test]
fn there_is_a_bound_on_what_a_customer_may_have() {
    let flags = |from: usize, many: usize| {
        let flag = |n: usize| json!({"flag_id": format!("i{n}"), "feature_id": format!("f{n}")});
        json!({"plan_id": format!("p{from}"), "flags": (from..from + many).map(flag).collect::<Vec<_>>()})
    };
    customer()
        .accepted(attach(flags(0, super::MAX_FLAGS)))
        .when(attach(flags(1_000, 1)))
        .rejects("too_many_entitlements", None);
    let grants = |many: usize| {
        let grant = |n: usize| hundred(json!({"grant_id": format!("g{n}")}));
        json!({"grants": (0..many).map(grant).collect::<Vec<_>>()})
    };
    customer()
        .when(attach(grants(super::MAX_GRANTS + 1)))
        .rejects("too_many_entitlements", None)
        .accepted(attach(grants(super::MAX_GRANTS)));
}

#[test]
fn an_auto_topup_is_told_below_its_threshold_and_again_after_the_balance_was_raised() {
    let told = json!({"type": "AutoTopupTriggered.v1", "feature_id": "messages",
        "threshold": "10", "quantity": "50", "remaining": "9",
        "window": {"start": NOW, "end": "9999-12-31T23:59:59.999999Z"}});
    customer()
        .accepted(grant(hundred(json!({}))))
        .updated(topups(json!({})))
        .when(usage(json!([message("r1", NOW, 90)])))
        .then_types(["UsageRecorded"])
        .when(usage(json!([message("r2", NOW, 1)])))
        .then_types(["UsageRecorded", "AutoTopupTriggered"])
        .when(usage(json!([message("r3", NOW, 1)])))
        .then_types(["UsageRecorded"])
        .accepted(grant(hundred(json!({"included": 101}))))
        .when(usage(json!([message("r4", NOW, 1)])))
        .then_types(["UsageRecorded"])
        .accepted(grant(hundred(json!({"prepaid": 50}))))
        .messages("150", "93", "57")
        .when(usage(json!([message("r5", NOW, 48)])))
        .then_types(["UsageRecorded", "AutoTopupTriggered"]);
    let mut world =
        customer().accepted(grant(hundred(json!({})))).updated(topups(json!({}))).world();
    let events = world.ask(usage(json!([message("r1", NOW, 91)]))).events();
    assert_eq!(events[1], told);
}

#[test]
fn enabling_an_auto_topup_may_trigger_it_at_once() {
    customer()
        .updated(topups(json!({})))
        .updated(topups(json!({"enabled": false})))
        .accepted(grant(hundred(json!({}))))
        .used([message("r1", NOW, 95)])
        .when(update(topups(json!({}))))
        .then_types(["BillingControlsSet", "AutoTopupTriggered"])
        .when(update(topups(json!({"enabled": false}))))
        .then_types(["BillingControlsSet"])
        .when(update(topups(json!({}))))
        .then_types(["BillingControlsSet"])
        .when(update(topups(json!({"threshold": 20}))))
        .then_types(["BillingControlsSet", "AutoTopupTriggered"]);
}

#[test]
fn a_small_grant_triggers_an_auto_topup_and_no_grant_none() {
    customer()
        .updated(topups(json!({})))
        .used([message("r1", NOW, 1)])
        .when(grant(hundred(json!({"included": 5}))))
        .then_types(["BalanceGranted", "AutoTopupTriggered"])
        .when(grant(hundred(json!({"grant_id": "all", "unlimited": true}))))
        .then_types(["BalanceGranted"]);
}

#[test]
fn auto_topups_are_bounded_in_a_span_of_time() {
    let limit = json!({"purchase_limit": {"interval": "day", "limit": 2, "count": 1}});
    let up = |prepaid: u32| grant(hundred(json!({"prepaid": prepaid})));
    let world = customer()
        .accepted(grant(hundred(json!({}))))
        .updated(topups(limit))
        .when(usage(json!([message("r1", NOW, 95)])))
        .then_types(["UsageRecorded", "AutoTopupTriggered"])
        .accepted(up(100))
        .when(usage(json!([message("r2", NOW, 100)])))
        .then_types(["UsageRecorded"])
        .at("2026-01-16T10:00:00Z");
    let mut world = world.world();
    let events = world.ask(usage(json!([message("r3", NOW, 1)]))).events();
    assert_eq!(
        events[1]["purchases"],
        json!({"count": 1, "limit": 2,
            "span": {"start": "2026-01-16T10:00:00Z", "end": "2026-01-17T10:00:00Z"}})
    );
}

#[test]
fn a_window_that_begins_anew_raises_the_balance() {
    customer()
        .accepted(grant(monthly(json!({}))))
        .updated(topups(json!({})))
        .when(usage(json!([message("r1", NOW, 95)])))
        .then_types(["UsageRecorded", "AutoTopupTriggered"])
        .at("2026-02-16T00:00:00Z")
        .when(usage(json!([message("r2", "2026-02-16T00:00:00Z", 95)])))
        .then_types(["UsageRecorded", "AutoTopupTriggered"])
        .when(usage(json!([message("late", NOW, 95)])))
        .then_types(["UsageRecorded"]);
}

#[test]
fn each_alert_is_told_once_in_a_window() {
    let all = json!([
        {"feature_id": "messages", "threshold": 50, "threshold_type": "usage_percentage",
            "name": "half"},
        {"threshold": 80, "threshold_type": "usage"},
        {"threshold": 10, "threshold_type": "remaining"},
        {"threshold": 5, "threshold_type": "remaining_percentage"},
        {"feature_id": "messages", "threshold": 1, "threshold_type": "usage", "enabled": false},
        {"feature_id": "calls", "threshold": 1, "threshold_type": "usage"},
    ]);
    let told = |id: &str, quantity: u32, types: &[&str]| {
        (message(id, NOW, quantity), types.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>())
    };
    let mut world = customer().accepted(grant(monthly(json!({})))).updated(alerts(all)).world();
    for (report, expected) in [
        told("r1", 49, &[]),
        told("r2", 1, &["usage_percentage 50 half"]),
        told("r3", 30, &["usage 80 -"]),
        told("r4", 10, &["remaining 10 -"]),
        told("r5", 5, &["remaining_percentage 5 -"]),
        told("r6", 5, &["limit"]),
        told("r7", 5, &[]),
    ] {
        let events = world.ask(usage(json!([report]))).events();
        let told: Vec<String> = events.as_array().unwrap()[1..]
            .iter()
            .map(|event| {
                let Some(kind) = event["threshold_type"].as_str() else {
                    assert_eq!(event["type"], "BalanceLimitReached.v1");
                    assert_eq!(event["limit_type"], "included");
                    return "limit".to_owned();
                };
                let name = event["name"].as_str().unwrap_or("-");
                format!("{kind} {} {name}", event["threshold"].as_str().unwrap())
            })
            .collect();
        assert_eq!(told, expected);
    }
    Given::of(world)
        .at("2026-02-16T00:00:00Z")
        .when(usage(json!([message("r8", "2026-02-16T00:00:00Z", 60)])))
        .then_types(["UsageRecorded", "UsageAlertTriggered"]);
}

#[test]
fn a_new_alert_is_told_at_once() {
    let alert = json!([{"threshold": 50, "threshold_type": "usage"}]);
    customer()
        .accepted(grant(monthly(json!({}))))
        .used([message("r1", NOW, 60)])
        .when(update(alerts(alert)))
        .then_types(["BillingControlsSet", "UsageAlertTriggered"]);
}

#[test]
fn bounds_are_told_again_only_after_something_was_left() {
    let over = json!({"overage_allowed": true, "max_purchase": 20});
    let more = json!({"overage_allowed": true, "max_purchase": 20, "included": 200});
    customer()
        .accepted(grant(hundred(over)))
        .when(usage(json!([message("r1", NOW, 100)])))
        .then_types(["UsageRecorded", "BalanceLimitReached"])
        .when(usage(json!([message("r2", NOW, 19)])))
        .then_types(["UsageRecorded"])
        .when(usage(json!([message("r3", NOW, 1)])))
        .then_types(["UsageRecorded", "BalanceLimitReached"])
        .accepted(grant(hundred(more)))
        .messages("200", "120", "80")
        .when(usage(json!([message("r4", NOW, 200)])))
        .then_types(["UsageRecorded", "BalanceLimitReached", "BalanceLimitReached"])
        .messages("200", "320", "0");
}

#[test]
fn a_billing_control_says_whether_usage_may_go_over() {
    let control = |enabled: bool| {
        json!({"billing_controls": {"overage_allowed":
            [{"feature_id": "messages", "enabled": enabled}]}})
    };
    customer()
        .accepted(grant(hundred(json!({"overage_allowed": true}))))
        .entitled("/balances/messages/overage_allowed", json!(true))
        .updated(control(false))
        .entitled("/balances/messages/overage_allowed", json!(false))
        .accepted(grant(hundred(json!({}))))
        .updated(control(true))
        .entitled("/balances/messages/overage_allowed", json!(true));
}

#[test]
fn a_plan_that_has_not_ended_is_a_live_subscription() {
    let live = |given: &Given| {
        let record = given.0.record(nth(KEY, 0));
        record.customer.unwrap().has_live_subscriptions(given.0.now)
    };
    let given = customer();
    assert!(!live(&given));
    let given = given.accepted(attach(json!({"current_period_end": "2026-02-01T00:00:00Z"})));
    assert!(live(&given));
    let given = given.accepted(cancel("pro", json!({})));
    assert!(live(&given));
    assert!(!live(&given.at("2026-02-01T00:00:00Z")));
}
