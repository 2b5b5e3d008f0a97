//! `GET /admin/usage/{customer_id}`: what a customer used in the current month and year, of its
//! annual limit.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tallybook_events::ids::CustomerId;
use tallybook_events::money::{MAX_SCALE, Total};
use tallybook_events::text::TierName;
use tallybook_events::time::Timestamp;
use tallybook_projections::queries::{Order, PageRequest, PeriodKind, Queries, ReadError};

use super::asked::Name;
use super::customers::customer;
use super::error::ZeroDriftError;
use crate::gateway::Core;
use crate::gateway::answer::json;
use crate::gateway::auth::Caller;
use crate::gateway::number::Number;
use crate::keys::KeyScope;

/// Periods of one question for usage. Reports of the future may have made some after the current one.
const PERIODS: usize = 100;
/// Most such questions: more than 800 years of months.
const MAX_QUESTIONS: usize = 100;
/// Units of one: a decimal is a whole number of them.
const UNITS: i128 = 10_i128.pow(MAX_SCALE);

/// Usage of a customer.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct CustomerUsage {
    /// Customer UUID.
    customer_id: CustomerId,
    /// Pricing tier.
    tier: Option<TierName>,
    /// Annual validation limit.
    annual_limit: Option<u64>,
    /// What was used.
    usage: Periods,
    /// How much of the annual limit was used in the current year, in per cent.
    usage_percent: Option<Number>,
    /// What is left of the annual limit, 0 at least.
    remaining: Option<Number>,
}

/// What was used in the current periods.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Periods {
    /// In the current month.
    current_month: PeriodCount,
    /// In the current year.
    current_year: PeriodCount,
}

/// What was used in a period.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct PeriodCount {
    /// The period, as far as it is a date: `2026-01`, `2026`.
    #[schemars(regex(pattern = "^[0-9]{4}(-[0-9]{2})?$"))]
    period: String,
    /// Quantities of all meters.
    count: Number,
}

/// Shows a customer's usage.
pub(super) async fn show(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    name: Name,
) -> Result<Response, ZeroDriftError> {
    caller.require(KeyScope::Read)?;
    let document = customer(&core, &caller, name).await?;
    let (queries, now) = (&*core.gateway.queries, core.gateway.clock.now());
    let month = used(queries, document.id, PeriodKind::Month, now).await?;
    let year = used(queries, document.id, PeriodKind::Year, now).await?;
    let limit = document.contract.annual_limit;
    let named = |format: &str| now.to_chrono().format(format).to_string();
    let usage = Periods {
        current_month: PeriodCount { period: named("%Y-%m"), count: month.into() },
        current_year: PeriodCount { period: named("%Y"), count: year.into() },
    };
    let shown = CustomerUsage {
        customer_id: document.id,
        tier: document.contract.tier,
        annual_limit: limit,
        usage,
        usage_percent: limit.and_then(|limit| percent(year, limit)).map(Number::from),
        remaining: limit.and_then(|limit| remaining(year, limit)).map(Number::from),
    };
    Ok(json(StatusCode::OK, &shown))
}

/// Gives the quantity of the calendar period of a kind in which we are.
async fn used(
    queries: &dyn Queries,
    customer: CustomerId,
    kind: PeriodKind,
    now: Timestamp,
) -> Result<Total, ReadError> {
    let mut page = PageRequest { limit: PERIODS, cursor: None, order: Order::Descending };
    for _ in 0..MAX_QUESTIONS {
        let found = queries.usage(customer, Some(kind), &page).await?;
        if let Some(period) = found.items.iter().find(|period| period.start <= now) {
            return Ok(if now < period.end { period.quantity } else { Total::ZERO });
        }
        let Some(next) = found.next else { break };
        page.cursor = Some(next);
    }
    Ok(Total::ZERO)
}

/// Gives a total in units.
fn units(total: Total) -> Option<i128> {
    let (decimal, scale) = (total.decimal(), total.decimal().scale());
    decimal.mantissa().checked_mul(10_i128.checked_pow(MAX_SCALE.checked_sub(scale)?)?)
}

/// Gives how much a limit is used, in per cent, rounded half to even at two digits after the point;
/// nothing of no limit at all.
fn percent(used: Total, limit: u64) -> Option<Total> {
    /// Hundredths of a per cent in the whole.
    const HUNDREDTHS: i128 = 10_000;
    let whole = i128::from(limit).checked_mul(UNITS)?;
    let part = units(used)?.checked_mul(HUNDREDTHS)?;
    let (hundredths, rest) = (part.checked_div(whole)?, part.checked_rem(whole)?);
    let up = match (rest * 2).cmp(&whole) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => hundredths % 2 == 1,
        std::cmp::Ordering::Greater => true,
    };
    Total::from_trillionths((hundredths + i128::from(up)).checked_mul(UNITS / 100)?)
}

/// Gives what is left of a limit, 0 at least.
fn remaining(used: Total, limit: u64) -> Option<Total> {
    let left = i128::from(limit).checked_mul(UNITS)?.checked_sub(units(used)?)?;
    Total::from_trillionths(left.max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(used: &str, limit: u64) -> (Option<String>, Option<String>) {
        let used: Total = used.parse().unwrap();
        (
            percent(used, limit).map(|percent| percent.to_string()),
            remaining(used, limit).map(|left| left.to_string()),
        )
    }

    #[test]
    fn usage_is_told_in_per_cent_and_in_what_is_left() {
        for (used, limit, percent, left) in [
            ("125000", 10_000_000, "1.25", "9875000"),
            ("0", 10_000_000, "0", "10000000"),
            ("1", 3, "33.33", "2"),
            ("2", 3, "66.67", "1"),
            ("0.5", 10_000, "0", "9999.5"),
            ("1.5", 10_000, "0.02", "9998.5"),
            ("12.5", 10, "125", "0"),
        ] {
            assert_eq!(shown(used, limit), (Some(percent.into()), Some(left.into())), "{used}");
        }
        assert_eq!(shown("5", 0), (None, Some("0".into())));
    }
}
