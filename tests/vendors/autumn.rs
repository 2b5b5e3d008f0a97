//! `autumn-js` from npm: its customers, each of its errors.

use serde_json::json;

use super::common::node::Node;
use super::common::{ALL_SCOPES, ApiKey, Server, TENANT, make_key, make_slow_key, run, tallybook};

/// The checks of the script, in its order: none may be left out in silence.
const CHECKS: [&str; 18] = [
    "a_customer_is_made_once",
    "every_field_is_updated",
    "what_is_left_out_stays_and_null_clears",
    "the_vendors_own_example_works",
    "a_customer_shows_what_it_is_entitled_to",
    "a_customer_gets_another_id",
    "customers_are_listed_page_by_page",
    "the_other_environment_has_its_own_customers",
    "a_customer_is_deleted",
    "an_unknown_customer_is_an_error_of_status_404",
    "a_fault_is_an_error_of_status_400",
    "a_key_that_opens_nothing_is_an_error_of_status_401",
    "a_key_that_may_not_is_an_error_of_status_403",
    "an_id_that_is_taken_is_an_error_of_status_409",
    "a_used_idempotency_key_is_an_error_of_status_409",
    "too_many_requests_are_an_error_of_status_429",
    "the_library_comes_again_when_it_is_told_to",
    "what_the_library_itself_refuses_is_not_sent",
];

/// Makes a key that was revoked.
fn revoked_key(server: &Server) -> String {
    let ApiKey { id, key } = make_key(server.data(), TENANT, "live", ALL_SCOPES);
    let ran = run(tallybook().args(["keys", "revoke", &id, "--data"]).arg(server.data()));
    assert_eq!(ran.code, Some(0), "keys revoke failed: {}", ran.stderr);
    key
}

/// Makes a customer that is entitled to something of each kind.
async fn entitle(server: &Server) {
    let client = server.client();
    client.post("/api/v1/customers", &json!({"key": "entitled"})).await.expect(201);
    let (start, far) = ("2026-01-01T00:00:00Z", "3026-01-01T00:00:00Z");
    let tiers = json!([{"to": 100, "amount": "0.05"}, {"amount": "0.04", "flat_amount": 1}]);
    let price = json!({"tiers": tiers, "tier_behavior": "graduated", "billing_units": 10,
        "billing_method": "usage_based"});
    let grant = json!({"grant_id": "grant-1", "feature_id": "messages", "included": 100,
        "reset": {"interval": "year", "interval_count": 1000}, "price": price});
    let plan = json!({"plan_id": "pro", "auto_enable": true, "quantity": 2, "started_at": start,
        "current_period_start": start, "current_period_end": far, "grants": [grant],
        "flags": [{"flag_id": "flag-1", "feature_id": "sso"}]});
    let purchase = json!({"purchase_id": "order-1", "plan_id": "pack", "started_at": start,
        "expires_at": far});
    let customer = json!({"key": "entitled"});
    for command in [
        json!({"type": "AttachPlan", "customer": customer, "plan": plan}),
        json!({"type": "RecordPurchase", "customer": customer, "purchase": purchase}),
    ] {
        client.post("/api/v1/commands", &command).await.expect(200);
    }
    let report = json!({"report_id": "r", "occurred_at": "2026-02-01T00:00:00Z",
        "meter": "messages", "quantity": "99.5"});
    let usage = json!({"customer": customer, "reports": [report]});
    client.post("/api/v1/usage", &usage).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn autumns_library_is_at_home() {
    let node = Node::with("tests/vendors/autumn");
    let server = Server::start().await;
    let key = |environment, scopes| make_key(server.data(), TENANT, environment, scopes).key;
    let keys = [
        server.key.key.clone(),
        key("live", "read"),
        key("test", ALL_SCOPES),
        make_slow_key(server.data(), TENANT).key,
        revoked_key(&server),
    ];
    entitle(&server).await;

    let mut script = node.script("tests/vendors/autumn/customers.mjs");
    let ran = run(script.arg(format!("{}/autumn", server.url)).args(keys));
    let held: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!((ran.code, held), (Some(0), CHECKS.to_vec()), "{}", ran.stderr);

    let shown = server.client().get("/api/v1/customers/acme").await;
    assert_eq!(shown.at("/profile/name"), json!("Once"));
    assert_eq!(shown.at("/identity/links"), json!({}));
    server.stop();
}
