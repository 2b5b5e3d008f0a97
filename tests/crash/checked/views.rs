//! Read models against the fold, and the arithmetic of both.

use serde_json::{Value, json};

use super::{CUSTOMER, accepted, idle, report, sound};
use crate::checker::views::Answers;
use crate::checker::{Asked, Checked, Fault, amounts, check};

/// The journal of [`sound`] with a report and its correction, and what the native API should answer.
fn with_usage() -> (Checked, Answers) {
    let (mut writer, mut asked) = sound();
    let budget = json!({"type": "BudgetSet.v1", "period_budget": "1", "total_budget": null,
        "duration": "monthly", "period_start": null, "period_end": null,
        "markup_percentage": "20"});
    let mut correction = report("q");
    correction["corrects"] = report("r");
    correction["raw"] = json!("0.5");
    writer.decide(&idle(5), &accepted(4, 7), &json!([budget, report("r"), correction]));
    asked.push(Asked { client: 7, number: 5, command: idle(5), told: None, mark: 0 });
    let checked = check(&writer.journal, &asked);
    checked.assert_sound();
    let row = |kind: &str, start: &str, end: &str| {
        json!({"kind": kind, "start": start, "end": end, "raw": "0.5", "charged": "0.3",
            "quantity": "2", "count": 1, "budget": null,
            "first_at": "2026-10-31T23:59:59.500Z", "last_at": "2026-10-31T23:59:59.500Z"})
    };
    let usage = vec![
        row("day", "2026-10-31T00:00:00Z", "2026-11-01T00:00:00Z"),
        row("month", "2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z"),
        row("budget", "2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z"),
        row("year", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        row("lifetime", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"),
    ];
    let document = json!({
        "id": CUSTOMER, "key": "a", "tenant": "t", "environment": "live", "version": 7,
        "created_at": "2026-11-24T05:00:01Z", "updated_at": "2026-11-24T05:00:05Z",
        "archived_at": null,
        "profile": {"name": "n4", "first_name": null, "last_name": null, "email": null,
            "phone": null, "metadata": {}, "fingerprint": null, "send_email_receipts": false,
            "address": {"line1": null, "line2": null, "city": null, "state": null,
                "postal_code": null, "country": null}},
        "contract": {"tier": null, "status": "active", "start": null, "end": null,
            "annual_commitment": null, "annual_limit": null, "rate_per_second": null,
            "burst": null},
        "budget": {"period_budget": "1", "total_budget": null, "duration": "monthly",
            "period_start": null, "period_end": null, "markup_percentage": "20"},
        "policy": null, "billing_controls": {}, "identity": {"links": {}, "parent": null},
        "usage": {
            "period": {"start": "2026-11-01T00:00:00Z", "end": "2026-12-01T00:00:00Z",
                "raw": "0", "charged": "0", "count": 0, "budget": "1", "remaining": "1"},
            "lifetime": {"raw": "0.5", "charged": "0.3", "count": 1}},
    });
    let mut answers = Answers::default();
    answers.customers.insert(CUSTOMER.to_owned(), document);
    answers.usage.insert(CUSTOMER.to_owned(), usage);
    (checked, answers)
}

#[test]
fn answers_that_are_the_fold_have_no_fault() {
    let (mut checked, answers) = with_usage();
    checked.compare_answers(&answers);
    checked.assert_sound();
}

#[test]
fn an_answer_that_differs_from_the_fold_is_found() {
    for pointer in ["/version", "/profile/name", "/usage/lifetime/raw", "/usage/period/remaining"] {
        let (mut checked, mut answers) = with_usage();
        let document = answers.customers.get_mut(CUSTOMER).unwrap();
        *document.pointer_mut(pointer).unwrap() = json!("other");
        checked.compare_answers(&answers);
        let [Fault::View { what, .. }] = &checked.faults[..] else { panic!("{checked:?}") };
        assert_eq!(*what, format!("customer {CUSTOMER}"));
    }
    for change in [
        (|rows| drop(rows.pop())) as fn(&mut Vec<Value>),
        |rows| rows.push(rows[0].clone()),
        |rows| rows[0]["raw"] = json!("0.75"),
        |rows| rows[4]["count"] = json!(2),
    ] {
        let (mut checked, mut answers) = with_usage();
        change(answers.usage.get_mut(CUSTOMER).unwrap());
        checked.compare_answers(&answers);
        let [Fault::View { what, .. }] = &checked.faults[..] else { panic!("{checked:?}") };
        assert_eq!(*what, format!("usage of {CUSTOMER}"));
    }
    let (mut checked, _) = with_usage();
    checked.compare_answers(&Answers::default());
    assert_eq!(checked.faults.len(), 1, "a customer that nobody sees");
}

#[test]
fn the_checkers_own_arithmetic_is_right() {
    for (text, units) in [
        ("0", 0),
        ("12.5", 12_500_000_000_000),
        ("-0.000000000001", -1),
        ("999999999999.999999999999", 999_999_999_999_999_999_999_999),
    ] {
        assert_eq!(amounts::units(text), units);
        assert_eq!(amounts::decimal(units), text);
    }
    for (kind, time, start, end) in [
        ("day", "2024-02-28T23:59:59Z", "2024-02-28T00:00:00Z", "2024-02-29T00:00:00Z"),
        ("day", "2026-02-28T00:00:00Z", "2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"),
        ("day", "2026-12-31T12:00:00Z", "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("month", "2026-12-31T12:00:00Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("year", "2026-12-31T12:00:00Z", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
    ] {
        assert_eq!(amounts::period(kind, time), (start.to_owned(), end.to_owned()));
    }
    assert!(
        amounts::comparable("2026-01-01T00:00:00Z") < amounts::comparable("2026-01-01T00:00:00.5Z")
    );
}
