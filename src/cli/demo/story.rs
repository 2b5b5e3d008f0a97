//! The story: what is asked of the server, and what is expected to become of it.

use tallybook_events::text::TextError;
use tallybook_events::time::Timestamp;

use super::teller::{Step, Teller, line};
use crate::cli::client::Shown;

/// Gives when the story begins.
pub(super) fn begins() -> Result<Timestamp, TextError> {
    "2026-01-30T09:00:00Z".parse()
}

/// A customer's life until the end of January.
const ACME: &[Step] = &[
    Step {
        title: "A customer is created, with a tier and a budget",
        at: "2026-01-30T09:00:00Z",
        method: "POST",
        path: "/api/v1/customers",
        shown: Shown::Bearer,
        body: r#"{"key":"acme","profile":{"name":"Acme Ltd","email":"billing@acme.example"},"contract":{"tier":"starter"},"budget":{"period_budget":"100"}}"#,
        customer: "acme",
        status: 201,
        events: &["CustomerCreated.v1", "CustomerUpdated.v1", "TierChanged.v1", "BudgetSet.v1"],
        answer: &[("version", "4"), ("contract.annual_limit", "2000000")],
    },
    Step {
        title: "A tier upgrade brings the limits of the new tier",
        at: "2026-01-30T09:05:00Z",
        method: "PATCH",
        path: "/api/v1/customers/acme",
        shown: Shown::Bearer,
        body: r#"{"contract":{"tier":"growth"}}"#,
        customer: "acme",
        status: 200,
        events: &["TierChanged.v1"],
        answer: &[("contract.tier", "growth"), ("contract.annual_limit", "10000000")],
    },
    Step {
        title: "The customer is suspended",
        at: "2026-01-30T09:10:00Z",
        method: "PATCH",
        path: "/api/v1/customers/acme",
        shown: Shown::Bearer,
        body: r#"{"contract":{"status":"suspended"}}"#,
        customer: "acme",
        status: 200,
        events: &["StatusChanged.v1"],
        answer: &[("contract.status", "suspended")],
    },
    Step {
        title: "The customer is reactivated",
        at: "2026-01-30T09:15:00Z",
        method: "PATCH",
        path: "/api/v1/customers/acme",
        shown: Shown::Bearer,
        body: r#"{"contract":{"status":"active"}}"#,
        customer: "acme",
        status: 200,
        events: &["StatusChanged.v1"],
        answer: &[("contract.status", "active")],
    },
    Step {
        title: "Asked again: it is as asked already, so nothing happens",
        at: "2026-01-30T09:16:00Z",
        method: "PATCH",
        path: "/api/v1/customers/acme",
        shown: Shown::Bearer,
        body: r#"{"contract":{"status":"active"}}"#,
        customer: "acme",
        status: 200,
        events: &[],
        answer: &[("version", "7")],
    },
    Step {
        title: "Budget and profile change in one request",
        at: "2026-01-30T09:20:00Z",
        method: "PATCH",
        path: "/api/v1/customers/acme",
        shown: Shown::Bearer,
        body: r#"{"profile":{"email":"accounts@acme.example","metadata":{"plan":"pro"}},"budget":{"period_budget":"50","markup_percentage":"20"}}"#,
        customer: "acme",
        status: 200,
        events: &["CustomerUpdated.v1", "BudgetSet.v1"],
        answer: &[("profile.email", "accounts@acme.example"), ("budget.period_budget", "50")],
    },
    Step {
        title: "A tier that the catalogue does not have is refused, with a code and a place",
        at: "2026-01-30T09:25:00Z",
        method: "PATCH",
        path: "/api/v1/customers/acme",
        shown: Shown::Bearer,
        body: r#"{"contract":{"tier":"platinum"}}"#,
        customer: "acme",
        status: 422,
        events: &[],
        answer: &[("code", "unknown_tier")],
    },
];

/// Usage over the end of a month.
const MONTH_END: &[Step] = &[
    Step {
        title: "The last second of January: a report, charged with the markup of 20 %",
        at: "2026-01-31T23:59:59Z",
        method: "POST",
        path: "/api/v1/usage",
        shown: Shown::Bearer,
        body: r#"{"customer":{"key":"acme"},"reports":[{"report_id":"r-1","occurred_at":"2026-01-31T23:59:58Z","meter":"tokens","quantity":"1200","cost":"30"}]}"#,
        customer: "acme",
        status: 200,
        events: &["UsageRecorded.v1"],
        answer: &[],
    },
    Step {
        title: "February: a report of today, and a late one that still counts in January",
        at: "2026-02-01T00:00:05Z",
        method: "POST",
        path: "/api/v1/usage",
        shown: Shown::Bearer,
        body: r#"{"customer":{"key":"acme"},"reports":[{"report_id":"r-2","occurred_at":"2026-02-01T00:00:04Z","meter":"tokens","quantity":"500","cost":"12.50"},{"report_id":"r-3","occurred_at":"2026-01-31T22:00:00Z","meter":"tokens","quantity":"100","cost":"2.50"}]}"#,
        customer: "acme",
        status: 200,
        events: &["UsageRecorded.v1", "UsageRecorded.v1"],
        answer: &[],
    },
    Step {
        title: "The reporter repeats itself: the report is known and counts once",
        at: "2026-02-01T00:00:10Z",
        method: "POST",
        path: "/api/v1/usage",
        shown: Shown::Bearer,
        body: r#"{"customer":{"key":"acme"},"reports":[{"report_id":"r-2","occurred_at":"2026-02-01T00:00:04Z","meter":"tokens","quantity":"500","cost":"12.50"}]}"#,
        customer: "acme",
        status: 200,
        events: &[],
        answer: &[("results", r#"[{"report_id":"r-2","status":"duplicate"}]"#)],
    },
];

/// A customer that nobody created, and that spends more than it may.
const OVER_BUDGET: &[Step] = &[
    Step {
        title: "A customer that nobody created: its first usage does",
        at: "2026-02-01T10:00:00Z",
        method: "POST",
        path: "/api/v1/usage",
        shown: Shown::Bearer,
        body: r#"{"customer":{"key":"globex"},"reports":[{"report_id":"g-1","occurred_at":"2026-02-01T09:59:00Z","meter":"tokens","cost":"6"}]}"#,
        customer: "globex",
        status: 200,
        events: &["CustomerCreated.v1", "UsageRecorded.v1"],
        answer: &[],
    },
    Step {
        title: "It gets a budget of 10 a month; what it used stays used",
        at: "2026-02-01T10:01:00Z",
        method: "PATCH",
        path: "/api/v1/customers/globex",
        shown: Shown::Bearer,
        body: r#"{"budget":{"period_budget":"10"}}"#,
        customer: "globex",
        status: 200,
        events: &["BudgetSet.v1"],
        answer: &[("usage.period.raw", "6"), ("usage.period.remaining", "4")],
    },
    Step {
        title: "It spends over its budget: 80 % and 100 % are told, once each",
        at: "2026-02-01T10:02:00Z",
        method: "POST",
        path: "/api/v1/usage",
        shown: Shown::Bearer,
        body: r#"{"customer":{"key":"globex"},"reports":[{"report_id":"g-2","occurred_at":"2026-02-01T10:01:30Z","meter":"tokens","cost":"5.25"}]}"#,
        customer: "globex",
        status: 200,
        events: &["UsageRecorded.v1", "BudgetThresholdReached.v1", "BudgetThresholdReached.v1"],
        answer: &[],
    },
];

/// The same customer, through the APIs of five other products. Its id follows from its key.
const FIVE_APIS: &[Step] = &[
    Step {
        title: "Respan's API: another address for bills, and another budget",
        at: "2026-02-01T11:00:00Z",
        method: "PATCH",
        path: "/respan/api/users/acme/",
        shown: Shown::Bearer,
        body: r#"{"email":"finance@acme.example","period_budget":75}"#,
        customer: "acme",
        status: 200,
        events: &["CustomerUpdated.v1", "BudgetSet.v1"],
        answer: &[
            ("customer_identifier", "acme"),
            ("period_budget", "75"),
            ("total_period_usage", "15"),
        ],
    },
    Step {
        title: "ZeroDrift's: another tier, and the contact that Respan set",
        at: "2026-02-01T11:01:00Z",
        method: "PUT",
        path: "/zerodrift/admin/customers/f2e7ba8a-be80-5908-9eab-edfd1af72d4d",
        shown: Shown::XApiKey,
        body: r#"{"tier":"scale"}"#,
        customer: "acme",
        status: 200,
        events: &["TierChanged.v1"],
        answer: &[("contact_email", "finance@acme.example"), ("annual_commitment", "500000")],
    },
    Step {
        title: "FlexPrice's: an address, and metadata as a whole",
        at: "2026-02-01T11:02:00Z",
        method: "PUT",
        path: "/flexprice/v1/customers/cust_7JWYX8NFM0B449XAZDZMDFEBAD",
        shown: Shown::XApiKey,
        body: r#"{"address_city":"Berlin","address_country":"DE","metadata":{"crm":"7"}}"#,
        customer: "acme",
        status: 200,
        events: &["CustomerUpdated.v1"],
        answer: &[
            ("external_id", "acme"),
            ("email", "finance@acme.example"),
            ("metadata.crm", "7"),
        ],
    },
    Step {
        title: "Proxy's: a limit for each spend, in cents, and metadata that is merged",
        at: "2026-02-01T11:03:00Z",
        method: "PATCH",
        path: "/proxy/v1/customers/cus_7OM2gxNM3C3JuhT9ZiX9TB",
        shown: Shown::Bearer,
        body: r#"{"policy":{"limits":{"perAuth":5000}},"metadata":{"desk":"EU"}}"#,
        customer: "acme",
        status: 200,
        events: &["CustomerUpdated.v1", "PolicyChanged.v1"],
        answer: &[("status", "active"), ("policy.limits.perAuth", "5000"), ("metadata.crm", "7")],
    },
    Step {
        title: "Autumn's: another name; a null takes a key of the metadata away",
        at: "2026-02-01T11:04:00Z",
        method: "POST",
        path: "/autumn/v1/customers.update",
        shown: Shown::Bearer,
        body: r#"{"customer_id":"acme","name":"Acme GmbH","metadata":{"crm":null}}"#,
        customer: "acme",
        status: 200,
        events: &["CustomerUpdated.v1"],
        answer: &[("name", "Acme GmbH"), ("env", "sandbox"), ("metadata.desk", "EU")],
    },
];

/// Tells the story.
pub(super) async fn tell(teller: &mut Teller) -> anyhow::Result<()> {
    line("Tallybook demo: a server in a temporary folder, asked over HTTP.")?;
    line("Its clock is the story's; times are in brackets.")?;
    line("")?;
    for step in ACME.iter().chain(MONTH_END) {
        teller.step(*step).await?;
    }
    let acme = [
        ("usage.period.start", "2026-02-01T00:00:00Z"),
        ("usage.period.raw", "12.5"),
        ("usage.period.charged", "15"),
        ("usage.period.remaining", "37.5"),
        ("usage.lifetime.raw", "45"),
        ("usage.lifetime.count", "3"),
    ];
    teller.show("acme", &acme).await?;
    for step in OVER_BUDGET {
        teller.step(*step).await?;
    }
    let globex = [("usage.period.raw", "11.25"), ("usage.period.remaining", "-1.25")];
    teller.show("globex", &globex).await?;
    for step in FIVE_APIS {
        teller.step(*step).await?;
    }
    let acme = [
        ("profile.name", "Acme GmbH"),
        ("profile.email", "finance@acme.example"),
        ("profile.address.city", "Berlin"),
        ("contract.tier", "scale"),
        ("budget.period_budget", "75"),
        ("policy.limits.per_auth", "50"),
        ("usage.period.raw", "12.5"),
        ("usage.period.remaining", "62.5"),
    ];
    teller.show("acme", &acme).await
}
