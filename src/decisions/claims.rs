//! What does a command need of others before it can be decided? It is held at the customer until each
//! registrar has answered: one question at a time, each by a claim. Then it is decided as a whole, as
//! things stand then; what was granted and is of no use is given back.
//!
//! A claim and its answer may come twice or late, and get the same answer or none. What is given back
//! names the claim that it was got by, so that nothing got later is lost by it.

use tallybook_events::command::{Claim, Command, CommandBody, RegistrarAnswer, Settlement};
use tallybook_events::decision::{Rejection, RejectionCode};

use super::{Ask, Record, Verdict, customers_command, hierarchy, parents, pledges, slots};

/// Most commands that wait at one customer.
pub(super) const MAX_HELD: usize = 1_000;
/// Most claims on their way back from one customer.
pub(super) const MAX_RELEASING: usize = 16;

/// A claim that was granted to a held command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The claim.
    pub claim: Claim,
    /// What the registrar said.
    pub answer: RegistrarAnswer,
}

/// How far a decision has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step<T> {
    /// It can be made.
    Done(T),
    /// This must be granted first.
    Needs(Claim),
}

/// Gives what a registrar said to a claim that it granted.
pub(super) fn granted<'a>(grants: &'a [Grant], claim: &Claim) -> Option<&'a RegistrarAnswer> {
    grants.iter().find(|grant| grant.claim == *claim).map(|grant| &grant.answer)
}

/// Decides a claim, at the registrar.
///
/// # Errors
/// What the registrar refuses.
pub(super) fn claim(record: &Record, ask: &Ask<'_>, claim: &Claim) -> Result<Verdict, Rejection> {
    match claim {
        Claim::Key(claim) => slots::claim(record, ask, claim),
        Claim::Pledge(claim) => pledges::claim(record, ask, claim),
        Claim::Edge(claim) => hierarchy::claim(record, ask, claim),
    }
}

/// Decides on what is given back, at the registrar.
///
/// # Errors
/// `customer_id_refused` when this is not the registrar.
pub(super) fn release(record: &Record, ask: &Ask<'_>, claim: &Claim) -> Result<Verdict, Rejection> {
    match claim {
        Claim::Key(claim) => slots::release(record, ask, claim),
        Claim::Pledge(claim) => Ok(pledges::release(record, claim)),
        Claim::Edge(claim) => hierarchy::release(record, ask, claim),
    }
}

/// Decides the command that waited for a registrar's answer, at the customer: as a whole, as things
/// stand now. It may need something else, and be held on.
///
/// # Errors
/// `nothing_held` when no command waits for this claim; else what refuses the held command.
pub(super) fn settle(
    record: &Record,
    ask: &Ask<'_>,
    settlement: &Settlement,
) -> Result<Verdict, Rejection> {
    let Settlement { claim, granted, answer } = settlement;
    let held = record
        .held
        .get(&claim.held())
        .filter(|held| held.claim == *claim && held.command.scope == ask.command.scope)
        .ok_or_else(|| {
            let detail = "no command waits for this claim, or not any more";
            Rejection::new(RejectionCode::NothingHeld, detail)
        })?;
    if !granted {
        return Err(match claim {
            Claim::Key(_) => slots::refused(&held.command),
            Claim::Pledge(_) => {
                parents::refusal(answer.refusal.unwrap_or(RejectionCode::ParentUnknown))
            }
            Claim::Edge(_) => {
                parents::refusal(answer.refusal.unwrap_or(RejectionCode::ChangeInProgress))
            }
        });
    }
    let mut grants = held.granted.clone();
    grants.push(Grant { claim: claim.clone(), answer: answer.clone() });
    let ask = Ask { command: &held.command, ..*ask };
    match customers_command(record, &ask, &grants)? {
        verdict @ (Verdict::Accepted { .. } | Verdict::Deferred(_)) => Ok(verdict),
        Verdict::Rejected(rejection) => Err(rejection),
        Verdict::Forward(_) => Err(overtaken()),
    }
}

/// Decides a registrar's word that it has something back, at the customer that gave it.
pub(super) fn settle_release() -> Verdict {
    Verdict::done(Vec::new())
}

/// Holds a command until a claim is answered; `grants` are those that it has.
///
/// # Errors
/// `change_in_progress` when another change of that kind is under way, or too much waits.
pub(super) fn wait(record: &Record, claim: Claim, grants: &[Grant]) -> Result<Verdict, Rejection> {
    let busy = |detail| Err(Rejection::new(RejectionCode::ChangeInProgress, detail));
    if record.releasing.iter().any(|release| takes_back(release, &claim)) {
        return busy(IN_PROGRESS);
    }
    if !grants.is_empty() {
        // It waits already, and never for the same thing twice.
        return match granted(grants, &claim) {
            None => Ok(Verdict::Deferred(claim)),
            Some(_) => Err(overtaken()),
        };
    }
    // Births wait side by side: the first that is granted all is born, the others find it there. Any
    // other change waits alone: so no grant can be used after it was given back.
    if record.customer.is_some() && !record.held.is_empty() {
        return busy(IN_PROGRESS);
    }
    if record.held.len() >= MAX_HELD || record.releasing.len() >= MAX_RELEASING {
        return busy("too many commands wait for changes of key and parent; try again later");
    }
    Ok(Verdict::Deferred(claim))
}

const IN_PROGRESS: &str =
    "another change of the key or the parent is under way; try again when it is done";

/// Tells whether a release that is on its way would take back what is claimed, were it granted before
/// that arrives: the same key; or a place or a pledge of the same name, as of a command that came again
/// after it was forgotten.
fn takes_back(release: &Command, claim: &Claim) -> bool {
    let CommandBody::Release(released) = &release.body else { return false };
    match (released, claim) {
        (Claim::Key(released), Claim::Key(claim)) => released.key == claim.key,
        (Claim::Pledge(_) | Claim::Edge(_), Claim::Pledge(_) | Claim::Edge(_)) => {
            released.held() == claim.held()
        }
        (Claim::Key(_), Claim::Pledge(_) | Claim::Edge(_))
        | (Claim::Pledge(_) | Claim::Edge(_), Claim::Key(_)) => false,
    }
}

/// Gives the refusal of a command whose customer went elsewhere while it was held.
pub(super) fn overtaken() -> Rejection {
    let detail = "the key changed hands in the meantime; send the command again";
    Rejection::new(RejectionCode::ChangeInProgress, detail)
}
