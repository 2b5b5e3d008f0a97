//! `flexprice` from `PyPI`: its customers, each of its errors.

use serde_json::json;

use super::common::python::Python;
use super::common::{ALL_SCOPES, Server, TENANT, make_key, make_slow_key, run};

/// The checks of the script, in its order: none may be left out in silence.
const CHECKS: [&str; 21] = [
    "a_customer_is_created",
    "a_customer_is_created_with_every_field",
    "a_customer_is_got_by_either_id",
    "every_field_is_updated",
    "what_is_left_out_stays_and_metadata_is_replaced",
    "what_later_versions_added_is_ignored",
    "customers_are_listed_and_searched",
    "a_customer_is_renamed",
    "the_other_environment_has_its_own_customers",
    "the_asynchronous_client_works_too",
    "a_broken_rule_is_an_error_response",
    "names_that_do_not_fit_are_an_error_response",
    "another_provider_is_an_error_response",
    "an_unknown_customer_is_a_default_error",
    "an_unknown_external_id_is_an_error_response",
    "an_external_id_that_is_taken_is_a_default_error",
    "a_caller_that_may_not_gets_a_default_error",
    "too_many_requests_are_a_default_error",
    "too_large_a_body_is_a_default_error",
    "a_repeat_with_its_idempotency_key_is_answered_once",
    "a_customer_is_deleted",
];

#[tokio::test(flavor = "multi_thread")]
async fn flexprices_library_is_at_home() {
    let python = Python::with("tests/vendors/flexprice/requirements.txt");
    let server = Server::start().await;
    let key = |environment, scopes| make_key(server.data(), TENANT, environment, scopes).key;
    let slow = make_slow_key(server.data(), TENANT).key;
    let keys = [server.key.key.clone(), key("live", "read"), key("test", ALL_SCOPES), slow];

    let mut script = python.command();
    script.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vendors/flexprice/customers.py"));
    let ran = run(script.arg(format!("{}/flexprice", server.url)).args(keys));
    let held: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!((ran.code, held), (Some(0), CHECKS.to_vec()), "{}", ran.stderr);

    let shown = server.client().get("/api/v1/customers/full").await;
    assert_eq!(shown.at("/identity/links"), json!({"stripe": "cus_1"}));
    assert_eq!(shown.at("/profile/address/country"), json!("US"));
    server.stop();
}
