//! The contract: tier and its terms, status, dates.

use tallybook_events::customer::{
    Contract, ContractPatch, ContractSet, StatusChanged, Terms, TierChanged,
};
use tallybook_events::decision::{Rejection, RejectionCode};
use tallybook_events::event::Event;
use tallybook_events::field::Patch;

use super::catalogue::TierCatalogue;

/// Decides a patch of the contract: at most a change of tier or terms, one of status, one of dates.
///
/// # Errors
/// `unknown_tier`, `contract_dates_inverted`.
pub(super) fn decide(
    now: &Contract,
    asked: &ContractPatch,
    tiers: &TierCatalogue,
    events: &mut Vec<Event>,
) -> Result<(), Rejection> {
    events.extend(tier(now, asked, tiers)?.map(Event::TierChanged));
    if let Some(&to) = asked.status.as_set()
        && to != now.status
    {
        events.push(Event::StatusChanged(StatusChanged { from: now.status, to }));
    }
    events.extend(dates(now, asked)?.map(Event::ContractSet));
    Ok(())
}

/// Another tier brings its terms from the catalogue; terms that are asked beside it take their
/// place. The tier that it is in already brings nothing: what was negotiated stays.
fn tier(
    now: &Contract,
    asked: &ContractPatch,
    tiers: &TierCatalogue,
) -> Result<Option<TierChanged>, Rejection> {
    let to = asked.tier.over(now.tier.clone());
    let terms = match &asked.tier {
        _ if to == now.tier => now.terms(),
        Patch::Keep | Patch::Clear => Terms::default(),
        Patch::Set(tier) => tiers.terms(tier).ok_or_else(|| {
            let detail = format!("there is no tier {tier}");
            Rejection::at(RejectionCode::UnknownTier, "/patch/contract/tier", detail)
        })?,
    };
    let terms = Terms {
        annual_commitment: asked.annual_commitment.over(terms.annual_commitment),
        annual_limit: asked.annual_limit.over(terms.annual_limit),
        rate_per_second: asked.rate_per_second.over(terms.rate_per_second),
        burst: asked.burst.over(terms.burst),
    };
    if to == now.tier && terms == now.terms() {
        return Ok(None);
    }
    let Terms { annual_commitment, annual_limit, rate_per_second, burst } = terms;
    let from = now.tier.clone();
    Ok(Some(TierChanged { from, to, annual_commitment, annual_limit, rate_per_second, burst }))
}

fn dates(now: &Contract, asked: &ContractPatch) -> Result<Option<ContractSet>, Rejection> {
    let (start, end) = (asked.start.over(now.start), asked.end.over(now.end));
    if let (Some(start), Some(end)) = (start, end)
        && end < start
    {
        let member = if asked.end.is_keep() { "start" } else { "end" };
        let detail = format!("the contract would begin on {start} and end before, on {end}");
        let pointer = format!("/patch/contract/{member}");
        return Err(Rejection::at(RejectionCode::ContractDatesInverted, pointer, detail));
    }
    let changed = start != now.start || end != now.end;
    Ok(changed.then_some(ContractSet { start, end }))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::given::{given, update};

    fn contract(contract: Value) -> Value {
        json!({"contract": contract})
    }

    fn tier(from: &Value, to: &Value, terms: [Value; 4]) -> Value {
        let [commitment, limit, rate, burst] = terms;
        json!([{"type": "TierChanged.v1", "from": from, "to": to, "annual_commitment": commitment,
            "annual_limit": limit, "rate_per_second": rate, "burst": burst}])
    }

    #[test]
    fn a_tier_brings_its_terms() {
        let growth = [json!("250000"), json!(10_000_000), json!(100), json!(200)];
        let nothing = [Value::Null, Value::Null, Value::Null, Value::Null];
        given()
            .customer(json!({}))
            .when(update(contract(json!({"tier": "growth"}))))
            .then(tier(&Value::Null, &json!("growth"), growth))
            .shows(
                "/contract",
                json!({"tier": "growth", "status": "active", "start": null,
                "end": null, "annual_commitment": "250000", "annual_limit": 10_000_000,
                "rate_per_second": 100, "burst": 200}),
            )
            .when(update(contract(json!({"tier": "growth"}))))
            .then_nothing()
            .when(update(contract(json!({"tier": null}))))
            .then(tier(&json!("growth"), &Value::Null, nothing))
            .when(update(contract(json!({"tier": null}))))
            .then_nothing();
    }

    #[test]
    fn a_tier_that_is_not_in_the_catalogue_is_refused() {
        given()
            .customer(json!({}))
            .when(update(contract(json!({"tier": "Growth"}))))
            .rejects("unknown_tier", Some("/patch/contract/tier"));
    }

    #[test]
    fn terms_can_be_negotiated_until_the_next_tier_change() {
        let scale = [json!("500000"), json!(30_000_000), json!(200), json!(400)];
        let special = [json!("1"), json!(10_000_000), json!(100), Value::Null];
        given()
            .customer(contract(json!({"tier": "growth"})))
            .when(update(contract(json!({"annual_commitment": 1, "burst": null}))))
            .then(tier(&json!("growth"), &json!("growth"), special))
            .when(update(contract(json!({"tier": "growth"}))))
            .then_nothing()
            .when(update(contract(json!({"annual_commitment": "1.00"}))))
            .then_nothing()
            .when(update(contract(json!({"tier": "scale"}))))
            .then(tier(&json!("growth"), &json!("scale"), scale));
    }

    #[test]
    fn terms_given_beside_a_tier_take_the_place_of_its_own() {
        let terms = [json!("100000"), json!(5), Value::Null, json!(100)];
        given()
            .customer(json!({}))
            .when(update(contract(
                json!({"tier": "starter", "annual_limit": 5, "rate_per_second": null}),
            )))
            .then(tier(&Value::Null, &json!("starter"), terms));
    }

    #[test]
    fn terms_may_be_given_without_a_tier() {
        let terms = [Value::Null, json!(5), Value::Null, Value::Null];
        given().customer(json!({})).when(update(contract(json!({"annual_limit": 5})))).then(tier(
            &Value::Null,
            &Value::Null,
            terms,
        ));
    }

    #[test]
    fn a_customer_is_suspended_and_reactivated() {
        let changed =
            |from: &str, to: &str| json!([{"type": "StatusChanged.v1", "from": from, "to": to}]);
        given()
            .customer(json!({}))
            .when(update(contract(json!({"status": "active"}))))
            .then_nothing()
            .when(update(contract(json!({"status": "suspended"}))))
            .then(changed("active", "suspended"))
            .shows("/contract/status", json!("suspended"))
            .when(update(contract(json!({"status": "active"}))))
            .then(changed("suspended", "active"));
    }

    #[test]
    fn a_contract_may_end_on_the_day_it_begins_but_not_before() {
        let set = |start: Value, end: Value| json!([{"type": "ContractSet.v1", "start": start, "end": end}]);
        given()
            .customer(json!({}))
            .when(update(contract(json!({"start": "2026-01-01", "end": "2025-12-31"}))))
            .rejects("contract_dates_inverted", Some("/patch/contract/end"))
            .when(update(contract(json!({"start": "2026-01-01", "end": "2026-01-01"}))))
            .then(set(json!("2026-01-01"), json!("2026-01-01")))
            .when(update(contract(json!({"end": "2026-01-01"}))))
            .then_nothing();
    }

    #[test]
    fn dates_are_compared_after_the_merge() {
        given()
            .customer(contract(json!({"start": "2026-01-01", "end": "2026-12-31"})))
            .when(update(contract(json!({"start": "2027-01-01"}))))
            .rejects("contract_dates_inverted", Some("/patch/contract/start"))
            .when(update(contract(json!({"end": "2025-01-01"}))))
            .rejects("contract_dates_inverted", Some("/patch/contract/end"))
            .when(update(contract(json!({"start": "2027-01-01", "end": null}))))
            .then(json!([{"type": "ContractSet.v1", "start": "2027-01-01", "end": null}]))
            .when(update(contract(json!({"start": null, "end": null}))))
            .then(json!([{"type": "ContractSet.v1", "start": null, "end": null}]));
    }
}
