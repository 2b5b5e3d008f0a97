//! Is the parent there, and will it stay? The parent itself decides: it pledges to stay until the child
//! has it as its parent, or has not. So the end of a parent and a new child of it cannot cross: a
//! parent that has come to its end pledges nothing, and one that has pledged is not archived.

use tallybook_events::command::PledgeClaim;
use tallybook_events::customer::{PledgeClaimed, PledgeReleased};
use tallybook_events::decision::{Rejection, RejectionCode};
use tallybook_events::event::Event;

use super::address::{self, Address};
use super::{Ask, Record, Verdict, parents};

/// Most children that a customer pledges to stay for at one time.
pub(super) const MAX_PLEDGES: usize = 1_000;

/// Decides whether a customer pledges to stay for a child; found by its id, or by its key through the
/// slot. A claim that was granted is granted again without an event.
///
/// # Errors
/// `parent_unknown` when there is no such customer in the scope, or it is archived;
/// `change_in_progress` when it has pledged too often.
pub(super) fn claim(
    record: &Record,
    ask: &Ask<'_>,
    claim: &PledgeClaim,
) -> Result<Verdict, Rejection> {
    let unknown = || parents::refusal(RejectionCode::ParentUnknown);
    let parent = match address::find(record, ask) {
        Ok(Address::Lives(parent)) => parent,
        Ok(Address::Elsewhere(routed)) if routed.birth.is_none() => {
            return Ok(Verdict::Forward(routed));
        }
        // Nobody has the key, or somebody is not born yet.
        Ok(Address::Elsewhere(_) | Address::Free(_)) | Err(_) => return Err(unknown()),
    };
    if parent.archived_at.is_some() {
        return Err(unknown());
    }
    let PledgeClaim { child, held, .. } = *claim;
    let pledges = &record.ties.get().pledges;
    if pledges.contains_key(&held) {
        return Ok(Verdict::done(Vec::new()));
    }
    if pledges.len() >= MAX_PLEDGES {
        let detail = "too many customers get this one as their parent just now; try again later";
        return Err(Rejection::new(RejectionCode::ChangeInProgress, detail));
    }
    Ok(Verdict::done(vec![Event::PledgeClaimed(PledgeClaimed { child, held })]))
}

/// Decides on a pledge that is given back, at the parent. One that was not given by that claim stays as
/// it is.
pub(super) fn release(record: &Record, claim: &PledgeClaim) -> Verdict {
    let PledgeClaim { child, held, .. } = *claim;
    let has = record.ties.get().pledges.get(&held) == Some(&child);
    let event = has.then_some(Event::PledgeReleased(PledgeReleased { child, held }));
    Verdict::done(event.into_iter().collect())
}

/// Looks whether a customer may come to its end: nobody counts on it to stay.
///
/// # Errors
/// `change_in_progress` when it has pledged to.
pub(super) fn may_end(record: &Record) -> Result<(), Rejection> {
    if record.ties.get().pledges.is_empty() {
        return Ok(());
    }
    let detail = "another customer gets this one as its parent; try again when that is done";
    Err(Rejection::new(RejectionCode::ChangeInProgress, detail))
}
