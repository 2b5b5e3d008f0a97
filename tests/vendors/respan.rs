//! `respan-api` from `PyPI`: its users, each of its errors.

use serde_json::{Value, json};

use super::common::python::Python;
use super::common::{ALL_SCOPES, Server, TENANT, make_key, make_slow_key, run};

/// The checks of the script, in its order: none may be left out in silence.
const CHECKS: [&str; 16] = [
    "a_user_that_usage_made_is_retrieved",
    "every_field_is_updated",
    "what_is_left_out_stays_and_none_clears",
    "users_are_listed_page_by_page",
    "a_listed_user_has_its_analytics_and_budget",
    "users_are_filtered",
    "the_other_environment_has_its_own_users",
    "the_asynchronous_client_works_too",
    "a_user_is_deleted",
    "a_fault_is_a_bad_request_error",
    "an_unknown_user_is_a_not_found_error",
    "a_key_that_may_not_is_a_forbidden_error",
    "a_key_that_opens_nothing_is_an_api_error",
    "too_many_requests_are_a_too_many_requests_error",
    "too_large_a_body_is_a_content_too_large_error",
    "a_repeat_with_its_idempotency_key_is_answered_once",
];

async fn use_something(server: &Server, user: &str, reports: &[(&str, &str)]) {
    let reports: Vec<Value> = reports
        .iter()
        .map(|(occurred_at, cost)| {
            json!({"report_id": occurred_at, "occurred_at": occurred_at, "meter": "tokens", "cost": cost})
        })
        .collect();
    let body = json!({"customer": {"key": user}, "reports": reports});
    server.client().post("/api/v1/usage", &body).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn respans_library_is_at_home() {
    let python = Python::with("tests/vendors/respan/requirements.txt");
    let server = Server::start().await;
    let key = |environment, scopes| make_key(server.data(), TENANT, environment, scopes).key;
    let keys = [
        server.key.key.clone(),
        key("live", "read"),
        key("test", ALL_SCOPES),
        make_slow_key(server.data(), TENANT).key,
    ];
    use_something(&server, "user_1", &[("2026-02-03T08:00:00Z", "45.67")]).await;
    use_something(&server, "user_2", &[("2026-02-03T08:00:00Z", "10")]).await;
    let days = [("2026-02-03T08:00:00Z", "300"), ("2026-02-04T08:00:00Z", "0.25")];
    use_something(&server, "user_3", &days).await;

    let mut script = python.command();
    script.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vendors/respan/users.py"));
    let ran = run(script.arg(format!("{}/respan", server.url)).args(keys));
    let held: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!((ran.code, held), (Some(0), CHECKS.to_vec()), "{}", ran.stderr);

    let shown = server.client().get("/api/v1/customers/user_1").await;
    let metadata = json!({"plan": "pro", "seats": 3, "tags": ["a", null]});
    assert_eq!(shown.at("/profile/metadata"), metadata);
    assert_eq!(shown.at("/budget/markup_percentage"), json!("20"));
    server.stop();
}
