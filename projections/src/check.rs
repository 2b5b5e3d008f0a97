//! Would a spend be allowed? A pure reckoning of the customer's rules and figures, with all that stands
//! against it, never only the first.
//!
//! What is held against the rules is the raw cost: a markup changes what is reported, never what is
//! enforced. What Tallybook cannot know is not held against a spend: intents, attestations and
//! approvals are kept elsewhere, and an authorisation's time to live begins elsewhere.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tallybook_events::customer::{Contract, CustomerDocument, Policy, Status};
use tallybook_events::ids::Merchant;
use tallybook_events::money::{Amount, Total};
use tallybook_events::text::Mcc;
use tallybook_events::time::{MICROS_PER_SECOND, Timestamp};

use crate::merchants::alike;
use crate::spend::{SpendStats, Spending};

/// Microseconds in a minute.
const MICROS_PER_MINUTE: i64 = 60 * MICROS_PER_SECOND;

/// A spend that is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spend {
    /// What it costs.
    pub amount: Amount,
    /// The merchant's category.
    pub mcc: Option<Mcc>,
    /// The merchant.
    pub merchant: Option<Merchant>,
}

/// One thing that stands against a spend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// What it is.
    pub code: ReasonCode,
    /// What is allowed, where one value says it.
    pub limit: Option<Figure>,
    /// What was used of it.
    pub used: Option<Figure>,
    /// What is asked for.
    pub requested: Option<Figure>,
}

/// What stands against a spend.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ReasonCode {
    /// The customer is archived.
    CustomerArchived,
    /// The customer is suspended.
    CustomerSuspended,
    /// There were too many reports: the rate of the tier, and its burst.
    RateExceeded,
    /// The budget of the period would be exceeded.
    PeriodBudgetExceeded,
    /// The budget of all time would be exceeded.
    TotalBudgetExceeded,
    /// It is more than one authorisation may be.
    PerAuthExceeded,
    /// It would be more than may be spent in 24 hours.
    PerDayExceeded,
    /// It would be more than may be spent in a calendar month.
    PerMonthExceeded,
    /// The category is not among those that are allowed.
    MccNotAllowed,
    /// The category is blocked.
    MccBlocked,
    /// The merchant is not among those that are allowed.
    MerchantNotAllowed,
    /// The customer is locked to another merchant.
    MerchantLocked,
    /// The last spend was too short a time ago.
    CooldownActive,
}

/// A value of a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Figure {
    /// USD.
    Money(Total),
    /// A number of reports.
    Reports(u64),
    /// Whole minutes.
    Minutes(u64),
    /// A merchant or a category.
    Name(Box<str>),
}

impl fmt::Display for Figure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Money(total) => total.fmt(formatter),
            Self::Reports(number) | Self::Minutes(number) => number.fmt(formatter),
            Self::Name(name) => name.fmt(formatter),
        }
    }
}

impl From<Amount> for Figure {
    fn from(amount: Amount) -> Self {
        Self::Money(amount.into())
    }
}

/// Gives all that stands against a spend at the moment of the figures; nothing when it is allowed.
pub fn check(spending: &Spending, asked: &Spend) -> Vec<Reason> {
    let Spending { customer, stats } = spending;
    let mut reasons = Vec::new();
    reasons.extend(status(customer));
    reasons.extend(rate(&customer.contract, stats));
    reasons.extend(budgets(customer, asked.amount));
    if let Some(policy) = &customer.policy {
        reasons.extend(limits(policy, stats, asked.amount));
        reasons.extend(mccs(policy, asked.mcc.as_ref()));
        reasons.extend(merchants(policy, stats.first_merchant.as_ref(), asked.merchant.as_ref()));
        reasons.extend(cooldown(policy, stats));
    }
    reasons
}

fn bare(code: ReasonCode) -> Reason {
    Reason { code, limit: None, used: None, requested: None }
}

fn status(customer: &CustomerDocument) -> Option<Reason> {
    if customer.archived_at.is_some() {
        return Some(bare(ReasonCode::CustomerArchived));
    }
    match customer.contract.status {
        Status::Active => None,
        Status::Suspended => Some(bare(ReasonCode::CustomerSuspended)),
    }
}

/// Looks whether one more report fits into the rate of the tier: a bucket of `burst` (of one second's
/// reports, where there is none), full at first, filled at the rate. What was reported beyond the rate
/// does not make it emptier than empty.
fn rate(contract: &Contract, stats: &SpendStats) -> Option<Reason> {
    /// What one report takes, when a second fills in as many as the rate is.
    const REPORT: u128 = MICROS_PER_SECOND as u128;
    let rate = contract.rate_per_second?;
    let room = u128::from(contract.burst.unwrap_or(rate).max(rate)) * REPORT;
    let mut left = room;
    let mut before = stats.recent.first().copied().unwrap_or(stats.at);
    let mut fill = |left: u128, until: Timestamp| {
        let micros = u64::try_from(until.micros() - before.micros()).unwrap_or(0);
        before = until;
        room.min(left + u128::from(rate) * u128::from(micros))
    };
    for report in &stats.recent {
        left = fill(left, *report).saturating_sub(REPORT);
    }
    if fill(left, stats.at) >= REPORT {
        return None;
    }
    let second = stats.at.plus_micros(-MICROS_PER_SECOND);
    let used = stats.recent.iter().filter(|report| **report > second).count();
    Some(Reason {
        code: ReasonCode::RateExceeded,
        limit: Some(Figure::Reports(rate)),
        used: Some(Figure::Reports(used as u64)),
        requested: Some(Figure::Reports(1)),
    })
}

fn budgets(customer: &CustomerDocument, amount: Amount) -> impl Iterator<Item = Reason> {
    let (budget, usage) = (&customer.budget, &customer.usage);
    let period = (ReasonCode::PeriodBudgetExceeded, budget.period_budget, usage.period.raw);
    let total = (ReasonCode::TotalBudgetExceeded, budget.total_budget, usage.lifetime.raw);
    [period, total]
        .into_iter()
        .filter_map(move |(code, limit, used)| exceeded(code, limit?, Some(used), amount))
}

fn limits(policy: &Policy, stats: &SpendStats, amount: Amount) -> impl Iterator<Item = Reason> {
    let limits = policy.limits.unwrap_or_default();
    let auth = (ReasonCode::PerAuthExceeded, limits.per_auth, None);
    let day = (ReasonCode::PerDayExceeded, limits.per_day, Some(stats.day));
    let month = (ReasonCode::PerMonthExceeded, limits.per_month, Some(stats.month));
    [auth, day, month]
        .into_iter()
        .filter_map(move |(code, limit, used)| exceeded(code, limit?, used, amount))
}

/// Looks whether a spend would go beyond a limit. A sum without an exact decimal does.
fn exceeded(
    code: ReasonCode,
    limit: Amount,
    used: Option<Total>,
    amount: Amount,
) -> Option<Reason> {
    let after = used.unwrap_or_default().plus(amount);
    if after.is_some_and(|after| after <= limit.into()) {
        return None;
    }
    let used = used.map(Figure::Money);
    Some(Reason { code, limit: Some(limit.into()), used, requested: Some(amount.into()) })
}

/// Looks at the category: first whether it is allowed, then whether it is blocked. One that is not
/// known is in no list.
fn mccs(policy: &Policy, mcc: Option<&Mcc>) -> impl Iterator<Item = Reason> {
    let within = |list: &[Mcc]| mcc.is_some_and(|mcc| list.contains(mcc));
    let allowed = policy.allowed_mccs.as_deref().unwrap_or_default();
    let blocked = policy.blocked_mccs.as_deref().unwrap_or_default();
    let requested = mcc.map(|mcc| Figure::Name(mcc.as_str().into()));
    let refused = |refused: bool, code| {
        refused.then(|| Reason { requested: requested.clone(), ..bare(code) })
    };
    let not_allowed = refused(!allowed.is_empty() && !within(allowed), ReasonCode::MccNotAllowed);
    let blocked = refused(within(blocked), ReasonCode::MccBlocked);
    not_allowed.into_iter().chain(blocked)
}

/// Looks at the merchant: whether it is allowed, and whether it is the first one, where that stays the
/// only one. Names need not be spelled alike.
fn merchants(
    policy: &Policy,
    first: Option<&Merchant>,
    merchant: Option<&Merchant>,
) -> impl Iterator<Item = Reason> {
    let is = |name: &str| merchant.is_some_and(|merchant| alike(name, merchant.as_str()));
    let allowed = policy.allowed_merchants.as_deref().unwrap_or_default();
    let requested = merchant.map(|merchant| Figure::Name(merchant.as_str().into()));
    let not_allowed = (!allowed.is_empty() && !allowed.iter().any(|name| is(name.as_str())))
        .then(|| Reason { requested: requested.clone(), ..bare(ReasonCode::MerchantNotAllowed) });
    let lock = first.filter(|_| policy.lock_to_first_merchant == Some(true));
    let locked = lock.filter(|first| !is(first.as_str())).map(|first| Reason {
        limit: Some(Figure::Name(first.as_str().into())),
        requested,
        ..bare(ReasonCode::MerchantLocked)
    });
    not_allowed.into_iter().chain(locked)
}

fn cooldown(policy: &Policy, stats: &SpendStats) -> Option<Reason> {
    let minutes = policy.cooldown_minutes?;
    let since = stats.at.micros() - stats.last_spend_at?.micros();
    let passed = u64::try_from(since / MICROS_PER_MINUTE).unwrap_or(0);
    (passed < minutes).then(|| Reason {
        limit: Some(Figure::Minutes(minutes)),
        used: Some(Figure::Minutes(passed)),
        ..bare(ReasonCode::CooldownActive)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A customer with facts of some groups, and the figures around a moment.
    fn given(facts: Value, day: &str, month: &str) -> Spending {
        let (time, none) = ("2026-03-01T00:00:00Z", Value::Null);
        let mut document = json!({
            "id": "5f0c1d0e-0000-5000-8000-000000000001", "key": "acme", "tenant": "t",
            "environment": "live", "version": 7, "created_at": time, "updated_at": time,
            "archived_at": none,
            "profile": {"name": none, "first_name": none, "last_name": none, "email": none,
                "phone": none, "metadata": {}, "fingerprint": none, "send_email_receipts": false,
                "address": {"line1": none, "line2": none, "city": none, "state": none,
                    "postal_code": none, "country": none}},
            "contract": {"tier": none, "status": "active", "start": none, "end": none,
                "annual_commitment": none, "annual_limit": none, "rate_per_second": none,
                "burst": none},
            "budget": {"period_budget": none, "total_budget": none, "duration": "monthly",
                "period_start": none, "period_end": none, "markup_percentage": "50"},
            "policy": none, "billing_controls": {}, "identity": {"links": {}, "parent": none},
            "usage": {"period": {"start": time, "end": "2026-04-01T00:00:00Z", "raw": "80",
                "charged": "120", "count": 2, "budget": none, "remaining": none},
                "lifetime": {"raw": "800", "charged": "1200", "count": 20}}
        });
        for (name, value) in facts.as_object().unwrap() {
            match (document[name].as_object_mut(), value.as_object()) {
                (Some(group), Some(facts)) => group.extend(facts.clone()),
                _ => document[name] = value.clone(),
            }
        }
        let stats = SpendStats {
            at: at("12:00:00"),
            day: day.parse().unwrap(),
            month: month.parse().unwrap(),
            last_spend_at: None,
            first_merchant: None,
            recent: Vec::new(),
        };
        Spending { customer: serde_json::from_str(&document.to_string()).unwrap(), stats }
    }

    fn at(time: &str) -> Timestamp {
        format!("2026-03-15T{time}Z").parse().unwrap()
    }

    fn spend(amount: &str, mcc: Option<&str>, merchant: Option<&str>) -> Spend {
        Spend {
            amount: amount.parse().unwrap(),
            mcc: mcc.map(|mcc| mcc.parse().unwrap()),
            merchant: merchant.map(|merchant| merchant.parse().unwrap()),
        }
    }

    /// Reasons as text: code, limit, used, requested.
    fn told(spending: &Spending, asked: &Spend) -> Vec<String> {
        let figure = |figure: &Option<Figure>| {
            figure.as_ref().map_or_else(|| "-".to_owned(), Figure::to_string)
        };
        let tell = |reason: &Reason| {
            let Reason { code, limit, used, requested } = reason;
            let code = serde_json::to_value(code).unwrap();
            let code = code.as_str().unwrap();
            format!("{code} {} {} {}", figure(limit), figure(used), figure(requested))
        };
        check(spending, asked).iter().map(tell).collect()
    }

    fn of_amount(spending: &Spending, amount: &str) -> Vec<String> {
        told(spending, &spend(amount, None, None))
    }

    const NOTHING: [&str; 0] = [];

    #[test]
    fn a_customer_without_rules_may_spend() {
        assert_eq!(of_amount(&given(json!({}), "900", "900"), "999999"), NOTHING);
        assert_eq!(of_amount(&given(json!({"policy": {}}), "900", "900"), "999999"), NOTHING);
    }

    #[test]
    fn neither_archived_nor_suspended_customers_may_spend() {
        let archived =
            json!({"archived_at": "2026-03-02T00:00:00Z", "contract": {"status": "suspended"}});
        assert_eq!(of_amount(&given(archived, "0", "0"), "0"), ["customer_archived - - -"]);
        let suspended = json!({"contract": {"status": "suspended"}});
        assert_eq!(of_amount(&given(suspended, "0", "0"), "0"), ["customer_suspended - - -"]);
    }

    #[test]
    fn budgets_are_held_against_the_raw_cost_and_may_be_used_up_to_the_last_cent() {
        let budgets = json!({"budget": {"period_budget": "100", "total_budget": "1000"}});
        let spending = given(budgets, "0", "0");
        assert_eq!(of_amount(&spending, "20"), NOTHING);
        let period = "period_budget_exceeded 100 80";
        assert_eq!(of_amount(&spending, "20.01"), [format!("{period} 20.01")]);
        let total = "total_budget_exceeded 1000 800 200.01";
        assert_eq!(of_amount(&spending, "200.01"), [format!("{period} 200.01"), total.into()]);
        let overdrawn = given(json!({"budget": {"period_budget": "79"}}), "0", "0");
        assert_eq!(of_amount(&overdrawn, "0"), ["period_budget_exceeded 79 80 0"]);
        let none = given(json!({"budget": {"period_budget": "0"}}), "0", "0");
        assert_eq!(of_amount(&none, "0"), ["period_budget_exceeded 0 80 0"]);
    }

    #[test]
    fn limits_of_the_policy_are_each_told() {
        let limits = json!({"policy": {"limits":
            {"per_auth": "12.5", "per_day": "50", "per_month": "500"}}});
        for (day, month, amount, expected) in [
            ("37.5", "487.5", "12.5", &[][..]),
            ("0", "0", "12.51", &["per_auth_exceeded 12.5 - 12.51"]),
            ("37.51", "400", "12.5", &["per_day_exceeded 50 37.51 12.5"]),
            ("0", "487.51", "12.5", &["per_month_exceeded 500 487.51 12.5"]),
            (
                "60",
                "600",
                "13",
                &[
                    "per_auth_exceeded 12.5 - 13",
                    "per_day_exceeded 50 60 13",
                    "per_month_exceeded 500 600 13",
                ],
            ),
        ] {
            assert_eq!(
                of_amount(&given(limits.clone(), day, month), amount),
                expected,
                "{day} {month}"
            );
        }
    }

    #[test]
    fn a_category_must_be_allowed_and_not_blocked() {
        let policy = |allowed: Value, blocked: Value| {
            given(json!({"policy": {"allowed_mccs": allowed, "blocked_mccs": blocked}}), "0", "0")
        };
        for (allowed, blocked, mcc, expected) in [
            (json!([]), json!([]), Some("5411"), &[][..]),
            (json!([]), json!([]), None, &[]),
            (json!(["5411", "5812"]), json!([]), Some("5812"), &[]),
            (json!(["5411"]), json!([]), Some("7995"), &["mcc_not_allowed - - 7995"]),
            (json!(["5411"]), json!([]), None, &["mcc_not_allowed - - -"]),
            (json!([]), json!(["7995"]), Some("7995"), &["mcc_blocked - - 7995"]),
            (json!([]), json!(["7995"]), None, &[]),
            (json!(["5411"]), json!(["5411"]), Some("5411"), &["mcc_blocked - - 5411"]),
            (
                json!(["5411"]),
                json!(["7995"]),
                Some("7995"),
                &["mcc_not_allowed - - 7995", "mcc_blocked - - 7995"],
            ),
        ] {
            let spending = policy(allowed.clone(), blocked.clone());
            let got = told(&spending, &spend("1", mcc, None));
            assert_eq!(got, expected, "{allowed} {blocked} {mcc:?}");
        }
    }

    #[test]
    fn a_merchant_must_be_allowed_and_may_be_the_only_one() {
        let asked = |lock: bool, allowed: Value, first: Option<&str>, merchant| {
            let policy = json!({"lock_to_first_merchant": lock, "allowed_merchants": allowed});
            let mut spending = given(json!({"policy": policy}), "0", "0");
            spending.stats.first_merchant = first.map(|first| first.parse().unwrap());
            told(&spending, &spend("1", None, merchant))
        };
        let amazon = || json!(["amazon.com"]);
        assert_eq!(asked(false, json!([]), Some("target.com"), None), NOTHING);
        assert_eq!(asked(false, amazon(), None, Some("AMAZON MKTPLACE")), NOTHING);
        assert_eq!(
            asked(false, amazon(), None, Some("target.com")),
            ["merchant_not_allowed - - target.com"]
        );
        assert_eq!(asked(false, amazon(), None, None), ["merchant_not_allowed - - -"]);
        assert_eq!(asked(true, json!([]), None, Some("anybody")), NOTHING);
        assert_eq!(asked(true, json!([]), Some("DoorDash"), Some("DOOR DASH")), NOTHING);
        assert_eq!(
            asked(true, json!([]), Some("DoorDash"), Some("UBER EATS")),
            ["merchant_locked DoorDash - UBER EATS"]
        );
        assert_eq!(
            asked(true, json!([]), Some("DoorDash"), None),
            ["merchant_locked DoorDash - -"]
        );
        assert_eq!(
            asked(true, amazon(), Some("amazon.com"), Some("target.com")),
            ["merchant_not_allowed - - target.com", "merchant_locked amazon.com - target.com"]
        );
    }

    #[test]
    fn between_two_spends_the_cooldown_passes() {
        let mut spending = given(json!({"policy": {"cooldown_minutes": 30}}), "0", "0");
        assert_eq!(of_amount(&spending, "1"), NOTHING);
        for (last, expected) in [
            ("11:30:00", &[][..]),
            ("11:30:00.000001", &["cooldown_active 30 29 -"]),
            ("12:00:00", &["cooldown_active 30 0 -"]),
        ] {
            spending.stats.last_spend_at = Some(at(last));
            assert_eq!(of_amount(&spending, "1"), expected, "{last}");
        }
    }

    #[test]
    fn a_rate_leaves_room_for_a_burst_and_fills_again() {
        let with = |rate: u64, burst: Option<u64>, recent: &[&str]| {
            let contract = json!({"contract": {"rate_per_second": rate, "burst": burst}});
            let mut spending = given(contract, "0", "0");
            spending.stats.recent = recent.iter().map(|time| at(time)).collect();
            of_amount(&spending, "1")
        };
        let (before, now) = ("11:59:59.500", "12:00:00");
        assert_eq!(with(2, None, &[]), NOTHING);
        assert_eq!(with(2, None, &[now]), NOTHING);
        assert_eq!(with(2, None, &[now, now]), ["rate_exceeded 2 2 1"]);
        assert_eq!(with(2, None, &[before, before]), NOTHING, "one is there again");
        assert_eq!(with(2, None, &[before, before, now]), ["rate_exceeded 2 3 1"]);
        assert_eq!(with(2, Some(4), &[now, now, now]), NOTHING);
        assert_eq!(with(2, Some(4), &[now; 4]), ["rate_exceeded 2 4 1"]);
        assert_eq!(
            with(2, Some(4), &["11:59:59.400"; 90]),
            NOTHING,
            "emptier than empty it is not"
        );
        assert_eq!(with(2, Some(4), &["11:59:59.600"; 90]), ["rate_exceeded 2 90 1"]);
        assert_eq!(with(0, None, &[]), ["rate_exceeded 0 0 1"]);
        assert_eq!(with(2, Some(1), &[now]), NOTHING, "a burst is never below the rate");
    }

    #[test]
    fn all_that_stands_against_a_spend_is_told() {
        let mut spending = given(
            json!({
                "contract": {"status": "suspended", "rate_per_second": 1},
                "budget": {"period_budget": "1", "total_budget": "2"},
                "policy": {
                    "limits": {"per_auth": "3", "per_day": "4", "per_month": "5"},
                    "allowed_mccs": ["5411"], "blocked_mccs": ["7995"],
                    "allowed_merchants": ["amazon.com"], "lock_to_first_merchant": true,
                    "cooldown_minutes": 1
                }
            }),
            "6",
            "7",
        );
        spending.stats.first_merchant = Some("target.com".parse().unwrap());
        spending.stats.last_spend_at = Some(at("12:00:00"));
        spending.stats.recent = vec![at("12:00:00")];
        let got = told(&spending, &spend("9", Some("7995"), Some("Casino")));
        assert_eq!(
            got,
            [
                "customer_suspended - - -",
                "rate_exceeded 1 1 1",
                "period_budget_exceeded 1 80 9",
                "total_budget_exceeded 2 800 9",
                "per_auth_exceeded 3 - 9",
                "per_day_exceeded 4 6 9",
                "per_month_exceeded 5 7 9",
                "mcc_not_allowed - - 7995",
                "mcc_blocked - - 7995",
                "merchant_not_allowed - - Casino",
                "merchant_locked target.com - Casino",
                "cooldown_active 1 0 -",
            ]
        );
    }
}
