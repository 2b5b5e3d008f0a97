//! Drivers that leave an essential part out: by what a record hides from the rules, or by what becomes of
//! their verdict.

use tallybook_events::command::{Claim, Command, CommandBody, EdgeClaim};
use tallybook_events::customer::{EdgeClaimed, EdgeReleased, KeyClaimed};
use tallybook_events::decision::{Accepted, Outcome, RejectionCode};
use tallybook_events::event::Event;

use crate::decisions::{Decided, Record, Verdict};

/// What a driver leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LeftOut {
    /// Nothing.
    Nothing,
    /// The hierarchy does not look whether a child has children.
    Children,
    /// The hierarchy does not look whether a parent has a parent.
    ParentsParent,
    /// Registrars do not keep in mind what they granted.
    Grants,
    /// A command that is held on does not keep in mind what it was granted before.
    OldGrants,
    /// A parent says that it is there, and does not pledge to stay.
    Pledges,
    /// Slots do not look by which claim a key was got that is given back.
    NamesOfClaims,
    /// Releases are told apart by what they give back, and not by their ids.
    NamesOfReleases,
    /// A command that comes again after it was forgotten does not wait for what it gave back then.
    OldReleases,
    /// What is granted to a command that is refused at last is not given back.
    GivingBack,
    /// Nobody asks again for what was not answered.
    AskingAgain,
}

/// Gives the record as a driver sees it that leaves something out.
pub(super) fn seen(record: &Record, command: &Command, left_out: LeftOut) -> Record {
    let mut seen = record.clone();
    if left_out == LeftOut::OldReleases {
        let is_key =
            |release: &Command| matches!(release.body, CommandBody::Release(Claim::Key(_)));
        seen.releasing.retain(is_key);
    }
    let events: Vec<Event> = match (left_out, &command.body) {
        (LeftOut::ParentsParent, CommandBody::Claim(Claim::Edge(claim))) => {
            let parents = record.ties.get().hierarchy.parents();
            let edges = parents.iter().flat_map(|(child, parents)| {
                parents.iter().map(|(held, parent)| (*child, *parent, *held))
            });
            edges
                .filter(|(child, ..)| *child == claim.parent)
                .map(|(child, parent, held)| EdgeReleased { parent, child, held })
                .map(Event::EdgeReleased)
                .collect()
        }
        (LeftOut::NamesOfClaims, CommandBody::Release(Claim::Key(claim))) => {
            let holder = record.slot.holder.into_iter();
            holder
                .map(|holder| KeyClaimed {
                    key: claim.key.clone(),
                    holder,
                    birth: false,
                    held: None,
                })
                .map(Event::KeyClaimed)
                .collect()
        }
        _ => Vec::new(),
    };
    if !events.is_empty() {
        let id = command.home();
        let accepted = Accepted {
            customer_id: id,
            from_version: 0,
            to_version: 0,
            duplicates: Vec::new(),
            conflicts: Vec::new(),
        };
        let outcome = Outcome::Accepted(accepted);
        let no_answer = Command { body: CommandBody::ArchiveCustomer, ..command.clone() };
        let decided_at = command.issued_at;
        seen.apply(&Decided {
            command: &no_answer,
            id,
            decided_at,
            outcome: &outcome,
            events: &events,
        });
    }
    seen
}

/// Gives the verdict of a driver that leaves something out.
pub(super) fn without(verdict: Verdict, command: &Command, left_out: LeftOut) -> Verdict {
    let accepted = |events| {
        let (duplicates, conflicts) = (Vec::new(), Vec::new());
        Verdict::Accepted { events, duplicates, conflicts }
    };
    match (left_out, &command.body, &verdict) {
        (LeftOut::Pledges, CommandBody::Claim(Claim::Pledge(_)), Verdict::Accepted { .. })
        | (
            LeftOut::Grants,
            CommandBody::Claim(Claim::Key(_) | Claim::Edge(_)),
            Verdict::Accepted { .. },
        ) => accepted(Vec::new()),
        (LeftOut::Children, CommandBody::Claim(Claim::Edge(claim)), Verdict::Rejected(refused))
            if refused.code == RejectionCode::CustomerHasChildren =>
        {
            let EdgeClaim { parent, child, held } = *claim;
            accepted(vec![Event::EdgeClaimed(EdgeClaimed { parent, child, held })])
        }
        _ => verdict,
    }
}
