//! What a customer is entitled to, over HTTP: commands grant it, usage counts against it, one answer
//! shows all of it.

use crate::common::{Client, Server, run, tallybook};
use serde_json::{Value, json};

const COMMANDS: &str = "/api/v1/commands";
const USAGE: &str = "/api/v1/usage";
const ACME: &str = "/api/v1/customers/acme/entitlements";

/// A command to `acme`.
fn command(kind: &str, members: &Value) -> Value {
    let mut command = json!({"type": kind, "customer": {"key": "acme"}});
    let members = members.as_object().expect("an object").clone();
    command.as_object_mut().expect("an object").extend(members);
    command
}

/// Sends a command that is accepted; gives the types of its events.
async fn accepted(client: &Client, kind: &str, members: &Value) -> Vec<String> {
    let answer = client.post(COMMANDS, &command(kind, members)).await.expect(200);
    assert_eq!(answer["outcome"], "accepted", "{answer}");
    let events = answer["events"].as_array().expect("events");
    events.iter().map(|event| event["type"].as_str().expect("a type").to_owned()).collect()
}

/// Sends a command that is refused; gives status, code and pointer.
async fn refused(client: &Client, kind: &str, members: &Value) -> (u16, String, Value) {
    let reply = client.post(COMMANDS, &command(kind, members)).await;
    let problem = reply.json();
    let code = problem["code"].as_str().expect("a code").to_owned();
    (reply.status, code, problem["pointer"].clone())
}

async fn used(client: &Client, report_id: &str, occurred_at: &str, quantity: u32) {
    let report = json!({"report_id": report_id, "occurred_at": occurred_at, "meter": "messages",
        "quantity": quantity.to_string()});
    let body = json!({"customer": {"key": "acme"}, "reports": [report]});
    client.post(USAGE, &body).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_command_has_set_is_empty() {
    let server = Server::start().await;
    let client = server.client();
    client.post("/api/v1/customers", &json!({"key": "acme"})).await.expect(201);
    let nothing = json!({"subscriptions": [], "purchases": [], "balances": {}, "flags": {},
        "usage_limits": []});
    assert_eq!(client.get(ACME).await.expect(200), nothing);
    let nobody = client.get("/api/v1/customers/nobody/entitlements").await;
    assert_eq!((nobody.status, &nobody.json()["code"]), (404, &json!("unknown_customer")));
    assert_eq!(client.get(&format!("{ACME}?as_of=now")).await.status, 400);
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn entitlements_are_told_as_of_then() {
    let server = Server::start().await;
    let client = server.client();
    client.post("/api/v1/customers", &json!({"key": "acme"})).await.expect(201);
    let grant = json!({"type": "GrantBalance", "customer": {"key": "acme"}, "grant": {
        "grant_id": "g", "feature_id": "messages", "included": 100,
        "starts_at": "2026-01-01T00:00:00Z"}});
    client.post("/api/v1/commands", &grant).await.expect(200);
    used(&client, "r1", "2026-01-02T00:00:00Z", 60).await;
    let limits = json!({"billing_controls": {"usage_limits": [
        {"feature_id": "messages", "limit": 50, "interval": "year", "anchor": "utc"}]}});
    let changed = client.patch("/api/v1/customers/acme", &limits).await.expect(200);
    used(&client, "r2", "2026-01-03T00:00:00Z", 10).await;
    let told = async |query: &str| {
        let told = client.get(&format!("{ACME}?{query}")).await.expect(200);
        (told["balances"]["messages"]["usage"].clone(), told["usage_limits"].clone())
    };
    assert_eq!(told("version=1").await, (json!(null), json!([])));
    assert_eq!(told("version=2").await, (json!("0"), json!([])));
    assert_eq!(told("version=3").await, (json!("60"), json!([])));
    let then = format!("as_of={}", changed["updated_at"].as_str().expect("a time"));
    let (usage, limits) = told(&then).await;
    assert_eq!((usage, limits[0]["limit"]["limit"].clone()), (json!("60"), json!("50")));
    let far = client.get(&format!("{ACME}?as_of=2999-01-01T00:00:00Z")).await.expect(200);
    let window = json!({"start": "2999-01-01T00:00:00Z", "end": "3000-01-01T00:00:00Z"});
    assert_eq!(
        far["usage_limits"],
        json!([{"limit": {"feature_id": "messages",
        "enabled": true, "limit": "50", "interval": "year", "anchor": "utc"},
        "window": window, "usage": "0"}])
    );
    assert_eq!(far["balances"]["messages"]["usage"], "70");
    for (query, status) in [
        ("version=99", 404),
        ("as_of=2020-01-01T00:00:00Z", 404),
        ("version=x", 400),
        ("as_of=now", 400),
        ("version=1&as_of=2026-01-01T00:00:00Z", 400),
    ] {
        assert_eq!(client.get(&format!("{ACME}?{query}")).await.status, status, "{query}");
    }
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_with_its_balance_is_used_up_and_topped_up() {
    let server = Server::start().await;
    let client = server.client();
    client.post("/api/v1/customers", &json!({"key": "acme"})).await.expect(201);
    // A window of a thousand years: no test runs over its end.
    let start = "2026-01-01T00:00:00Z";
    let messages = json!({"grant_id": "cus_ent_1", "feature_id": "messages", "included": 100,
        "reset": {"interval": "year", "interval_count": 1000}});
    let plan = json!({"plan": {"plan_id": "pro_plan", "auto_enable": true, "started_at": start,
        "grants": [messages],
        "flags": [{"flag_id": "cus_ent_2", "feature_id": "advanced_workflows"}]}});
    let types = accepted(&client, "AttachPlan", &plan).await;
    assert_eq!(types, ["PlanAttached.v1", "BalanceGranted.v1", "FlagSet.v1"]);
    let topup = json!({"feature_id": "messages", "enabled": true, "threshold": 20, "quantity": 50});
    let patch = json!({"patch": {"billing_controls": {"auto_topups": [topup]}}});
    assert_eq!(accepted(&client, "UpdateCustomer", &patch).await, ["BillingControlsSet.v1"]);
    used(&client, "r1", "2026-01-02T00:00:00Z", 90).await;
    used(&client, "r0", "2025-12-31T23:59:59Z", 1_000).await;
    let expected = json!({
        "subscriptions": [{"plan_id": "pro_plan", "auto_enable": true, "add_on": false,
            "status": "active", "past_due": false, "canceled_at": null, "expires_at": null,
            "trial_ends_at": null, "started_at": start, "current_period_start": null,
            "current_period_end": null, "quantity": 1}],
        "purchases": [],
        "balances": {"messages": {"feature_id": "messages", "granted": "100", "remaining": "10",
            "usage": "90", "unlimited": false, "overage_allowed": false, "max_purchase": null,
            "next_reset_at": "3026-01-01T00:00:00Z",
            "breakdown": [{"id": "cus_ent_1", "plan_id": "pro_plan", "included_grant": "100",
                "prepaid_grant": "0", "remaining": "10", "usage": "90", "unlimited": false,
                "reset": {"interval": "year", "interval_count": 1000,
                    "resets_at": "3026-01-01T00:00:00Z"},
                "price": null, "expires_at": null}],
            "rollovers": []}},
        "flags": {"advanced_workflows": {"flag_id": "cus_ent_2",
            "feature_id": "advanced_workflows", "plan_id": "pro_plan", "expires_at": null}},
        "usage_limits": [],
    });
    assert_eq!(client.get(ACME).await.expect(200), expected);
    let timeline = client.get("/api/v1/customers/acme/timeline?order=desc&limit=2").await.json();
    let triggered = json!({"type": "AutoTopupTriggered.v1", "feature_id": "messages",
        "threshold": "20", "quantity": "50", "remaining": "10",
        "window": {"start": start, "end": "3026-01-01T00:00:00Z"}});
    assert_eq!(timeline["items"][1]["event"], triggered);

    let bought = json!({"purchase": {"purchase_id": "order-1", "plan_id": "credits",
        "grants": [{"grant_id": "top-up", "feature_id": "messages", "prepaid": 50,
            "price": {"amount": "4.99", "billing_units": 50, "billing_method": "prepaid"}}]}});
    let types = accepted(&client, "RecordPurchase", &bought).await;
    assert_eq!(types, ["PurchaseRecorded.v1", "BalanceGranted.v1"]);
    assert_eq!(accepted(&client, "RecordPurchase", &bought).await, Vec::<String>::new());
    let shown = client.get(ACME).await.json();
    let balance = &shown["balances"]["messages"];
    assert_eq!((&balance["granted"], &balance["remaining"]), (&json!("150"), &json!("60")));
    assert_eq!(shown["purchases"][0]["purchase_id"], "order-1");
    assert_eq!(
        balance["breakdown"][1]["price"],
        json!({"amount": "4.99", "billing_units": "50", "billing_method": "prepaid"})
    );
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn corrections_change_balances_and_a_changed_limit_does_not_forget() {
    let server = Server::start().await;
    let client = server.client();
    client.post("/api/v1/customers", &json!({"key": "acme"})).await.expect(201);
    used(&client, "r1", "2026-01-01T10:20:00Z", 30).await;
    used(&client, "r2", "2026-01-01T10:40:00Z", 5).await;
    let grant = |included: u32| {
        json!({"grant": {"grant_id": "g", "feature_id": "messages", "included": included,
            "starts_at": "2026-01-01T10:30:00Z"}})
    };
    accepted(&client, "GrantBalance", &grant(100)).await;
    let balance = async || {
        let shown = client.get(ACME).await.expect(200);
        let balance = &shown["balances"]["messages"];
        [&balance["usage"], &balance["remaining"]].map(|it| it.as_str().expect("text").to_owned())
    };
    assert_eq!(balance().await, ["5", "95"]);
    let report = json!({"report_id": "r3", "occurred_at": "2026-01-01T11:00:00Z",
        "meter": "messages", "quantity": "7", "corrects": "r2"});
    let body = json!({"customer": {"key": "acme"}, "reports": [report]});
    client.post(USAGE, &body).await.expect(200);
    assert_eq!(balance().await, ["7", "93"]);
    accepted(&client, "GrantBalance", &grant(50)).await;
    assert_eq!(balance().await, ["7", "43"]);
    accepted(&client, "RevokeGrant", &json!({"grant_id": "g"})).await;
    assert_eq!(client.get(ACME).await.json()["balances"], json!({}));
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_refused_with_its_code() {
    let server = Server::start().await;
    let client = server.client();
    client.post("/api/v1/customers", &json!({"key": "acme"})).await.expect(201);
    let plan = json!({"plan": {"plan_id": "pro"}});
    accepted(&client, "AttachPlan", &plan).await;
    for (kind, members, status, code, pointer) in [
        ("AttachPlan", plan, 409, "plan_attached", json!("/plan/plan_id")),
        (
            "UpdatePlan",
            json!({"plan_id": "x", "change": {}}),
            422,
            "unknown_plan",
            json!("/plan_id"),
        ),
        ("CancelPlan", json!({"plan_id": "x"}), 422, "unknown_plan", json!("/plan_id")),
        ("RevokeGrant", json!({"grant_id": "x"}), 422, "unknown_grant", json!("/grant_id")),
        (
            "GrantBalance",
            json!({"grant": {"grant_id": "g", "feature_id": "f", "rollover": {}}}),
            422,
            "grant_invalid",
            json!("/grant/rollover"),
        ),
    ] {
        let expected = (status, code.to_owned(), pointer);
        assert_eq!(refused(&client, kind, &members).await, expected, "{kind}");
    }
    for (kind, members) in [
        ("GrantBalance", json!({})),
        ("GrantBalance", json!({"grant": {"grant_id": "g"}})),
        ("GrantBalance", json!({"grant": {"grant_id": "g", "feature_id": "f", "included": -1}})),
        ("GrantBalance", json!({"grant": {"grant_id": "g", "feature_id": "f", "other": 1}})),
        ("ClearFlag", json!({"feature_id": ""})),
        ("ClearFlag", json!({"feature_id": "f", "grant_id": "g"})),
    ] {
        let reply = client.post(COMMANDS, &command(kind, &members)).await;
        assert_eq!(reply.status, 400, "{members} {reply}");
    }
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn balances_stay_after_a_crash_and_a_rebuild_and_send_takes_the_commands() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let server = Server::start_in(folder.path(), &[]).await;
    let lines = [
        json!({"type": "CreateCustomer", "customer": {"key": "acme"}}),
        json!({"type": "GrantBalance", "customer": {"key": "acme"},
            "grant": {"grant_id": "g", "feature_id": "messages", "included": 100,
                "starts_at": "2026-01-01T00:00:00Z"}}),
        json!({"type": "RecordUsage", "customer": {"key": "acme"},
            "reports": [{"report_id": "r1", "occurred_at": "2026-01-02T00:00:00Z",
                "meter": "messages", "quantity": 60}]}),
        json!({"type": "SetFlag", "customer": {"key": "acme"},
            "flag": {"flag_id": "i", "feature_id": "workflows"}}),
    ];
    let text = lines.map(|line| line.to_string()).join("\n");
    let file = folder.path().join("commands.jsonl");
    std::fs::write(&file, text).expect("a file can be written");
    let sent =
        run(tallybook().args(["send", "--url", &server.url, "--key", &server.key.key]).arg(&file));
    assert_eq!(sent.code, Some(0), "{}", sent.stderr);
    let shown = server.client().get(ACME).await.expect(200);
    assert_eq!(shown["balances"]["messages"]["remaining"], "40");
    assert_eq!(shown["flags"]["workflows"]["flag_id"], "i");
    server.kill();
    let rebuilt = run(tallybook().args(["rebuild", "--data"]).arg(folder.path()));
    assert_eq!(rebuilt.code, Some(0), "{}", rebuilt.stderr);
    let server = Server::start_in(folder.path(), &[]).await;
    assert_eq!(server.client().get(ACME).await.expect(200), shown);
    used(&server.client(), "r2", "2026-01-03T00:00:00Z", 30).await;
    let shown = server.client().get(ACME).await.expect(200);
    assert_eq!(shown["balances"]["messages"]["remaining"], "10");
    server.stop();
}
