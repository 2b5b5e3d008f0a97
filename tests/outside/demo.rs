//! `demo`: the main job, end to end, by the built binary.

use std::time::{Duration, Instant};

use crate::common::{run, tallybook};

/// Longest that a demo may take; a release build on a quiet machine needs a tenth of it.
const LONGEST: Duration = Duration::from_secs(30);

#[test]
fn the_demo_tells_its_story_and_checks_it() {
    let began = Instant::now();
    let ran = run(tallybook().arg("demo"));
    let took = began.elapsed();
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.stdout);
    assert!(took < LONGEST, "it took {took:?}");
    for told in [
        "POST /api/v1/customers\n",
        "PATCH /api/v1/customers/acme\n",
        "POST /api/v1/usage\n",
        r#"{"contract":{"tier":"growth"}}"#,
        "TierChanged.v1",
        "from=starter  to=growth",
        "StatusChanged.v1",
        "from=active  to=suspended",
        "from=suspended  to=active",
        "BudgetSet.v1",
        "CustomerUpdated.v1",
        "UsageRecorded.v1",
        "BudgetThresholdReached.v1",
        "GET /api/v1/customers/acme/usage\n",
        "PATCH /respan/api/users/acme/\n",
        "PUT /zerodrift/admin/customers/",
        "PUT /flexprice/v1/customers/cust_",
        "PATCH /proxy/v1/customers/cus_",
        "POST /autumn/v1/customers.update\n",
        "from=growth  to=scale",
    ] {
        assert!(ran.stdout.contains(told), "{told} is missing in:\n{}", ran.stdout);
    }
    assert!(!ran.stdout.contains("NOT AS TOLD"), "{}", ran.stdout);
}

#[test]
fn every_demo_prints_the_same() {
    let (first, second) = (run(tallybook().arg("demo")), run(tallybook().arg("demo")));
    assert_eq!(first, second);
}

#[test]
fn the_usage_of_the_demo_is_split_at_the_end_of_the_month() {
    let ran = run(tallybook().arg("demo"));
    let row = |kind: &str, start: &str| {
        let mut rows = ran.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let row = rows.find(|row| row.starts_with(&[kind, start]));
        row.unwrap_or_else(|| panic!("no row of {kind} {start} in:\n{}", ran.stdout)).split_off(3)
    };
    // Raw, charged with the markup of 20 %, count, budget: January has the late report too.
    assert_eq!(row("month", "2026-01-01T00:00:00Z"), ["32.5", "39", "2", "-"]);
    assert_eq!(row("month", "2026-02-01T00:00:00Z"), ["12.5", "15", "1", "-"]);
    assert_eq!(row("budget", "2026-01-01T00:00:00Z"), ["32.5", "39", "2", "50"]);
    assert_eq!(row("budget", "2026-02-01T00:00:00Z"), ["12.5", "15", "1", "50"]);
}
