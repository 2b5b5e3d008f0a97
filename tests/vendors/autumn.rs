//! `autumn-js` from npm: its customers, each of its errors.

use serde_json::json;

use super::common::node::Node;
use super::common::{ALL_SCOPES, ApiKey, Server, TENANT, make_key, make_slow_key, run, tallybook};

/// The checks of the script, in its order: none may be left out in silence.
const CHECKS: [&str; 17] = [
    "a_customer_is_made_once",
    "every_field_is_updated",
    "what_is_left_out_stays_and_null_clears",
    "the_vendors_own_example_works",
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
    let made = json!({"key": "entitled"});
    server.client().post("/api/v1/customers", &made).await.expect(201);

    let mut script = node.script("tests/vendors/autumn/customers.mjs");
    let ran = run(script.arg(format!("{}/autumn", server.url)).args(keys));
    let held: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!((ran.code, held), (Some(0), CHECKS.to_vec()), "{}", ran.stderr);

    let shown = server.client().get("/api/v1/customers/acme").await;
    assert_eq!(shown.at("/profile/name"), json!("Once"));
    assert_eq!(shown.at("/identity/links"), json!({}));
    server.stop();
}
