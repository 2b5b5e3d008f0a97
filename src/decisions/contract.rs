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

/// Another tier brings its terms from the catalogue; terms that are asked beside it take their place.
/// The tier that it is in already brings nothing: what was negotiated stays.
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
