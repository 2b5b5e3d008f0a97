//! Who is whose parent? The hierarchy of a scope decides: a parent has no parent, and a child has no
//! children. It lives at an id of its own ([`CustomerId::hierarchy`]) and knows each place below a
//! parent by the claim that it was given for.
//!
//! A child that gets another parent has both places until it has given the first one back: so no rule
//! is broken at any time, whichever of the two it keeps.

use std::collections::BTreeMap;

use tallybook_events::command::EdgeClaim;
use tallybook_events::customer::{EdgeClaimed, EdgeReleased};
use tallybook_events::decision::{Rejection, RejectionCode};
use tallybook_events::event::Event;
use tallybook_events::ids::{CommandId, CustomerId};

use super::packed::{Packed, Unpackable, Unpacking, pack_list};
use super::{Ask, Record, Verdict, parents};

/// Who is whose parent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hierarchy {
    /// The parents of each child, by the claim.
    parents: BTreeMap<CustomerId, BTreeMap<CommandId, CustomerId>>,
    /// How many places below it each parent has given.
    children: BTreeMap<CustomerId, u32>,
}

impl Hierarchy {
    /// Nobody is anybody's parent.
    pub const EMPTY: Self = Self { parents: BTreeMap::new(), children: BTreeMap::new() };

    /// Gives each child with its parents, by the claim.
    pub fn parents(&self) -> &BTreeMap<CustomerId, BTreeMap<CommandId, CustomerId>> {
        &self.parents
    }

    /// Tells whether a customer has a parent.
    pub fn is_child(&self, customer: CustomerId) -> bool {
        self.parents.contains_key(&customer)
    }

    /// Tells whether a customer is a parent.
    pub fn is_parent(&self, customer: CustomerId) -> bool {
        self.children.contains_key(&customer)
    }

    fn has(&self, claim: &EdgeClaim) -> bool {
        let parents = self.parents.get(&claim.child);
        parents.and_then(|parents| parents.get(&claim.held)) == Some(&claim.parent)
    }

    pub(super) fn claimed(&mut self, edge: &EdgeClaimed) {
        self.parents.entry(edge.child).or_default().insert(edge.held, edge.parent);
        *self.children.entry(edge.parent).or_default() += 1;
    }

    pub(super) fn released(&mut self, edge: &EdgeReleased) {
        let Some(parents) = self.parents.get_mut(&edge.child) else { return };
        let Some(parent) = parents.remove(&edge.held) else { return };
        if parents.is_empty() {
            self.parents.remove(&edge.child);
        }
        if let Some(children) = self.children.get_mut(&parent) {
            *children -= 1;
            if *children == 0 {
                self.children.remove(&parent);
            }
        }
    }
}

/// Decides whether a child gets a parent, at the hierarchy. A claim that was granted is granted again
/// without an event.
///
/// # Errors
/// `parent_is_self`, `parent_is_child`, `customer_has_children`, in this order.
pub(super) fn claim(
    record: &Record,
    ask: &Ask<'_>,
    claim: &EdgeClaim,
) -> Result<Verdict, Rejection> {
    at_hierarchy(ask)?;
    let EdgeClaim { parent, child, held } = *claim;
    let hierarchy = &record.ties.get().hierarchy;
    if hierarchy.has(claim) {
        return Ok(Verdict::done(Vec::new()));
    }
    let code = if parent == child {
        RejectionCode::ParentIsSelf
    } else if hierarchy.is_child(parent) {
        RejectionCode::ParentIsChild
    } else if hierarchy.is_parent(child) {
        RejectionCode::CustomerHasChildren
    } else {
        return Ok(Verdict::done(vec![Event::EdgeClaimed(EdgeClaimed { parent, child, held })]));
    };
    Err(parents::refusal(code))
}

/// Decides on a place below a parent that is given back, at the hierarchy. One that was not given by
/// that claim stays as it is.
///
/// # Errors
/// `customer_id_refused` when this is not the hierarchy of the scope.
pub(super) fn release(
    record: &Record,
    ask: &Ask<'_>,
    claim: &EdgeClaim,
) -> Result<Verdict, Rejection> {
    at_hierarchy(ask)?;
    let EdgeClaim { parent, child, held } = *claim;
    let has = record.ties.get().hierarchy.has(claim);
    let event = has.then_some(Event::EdgeReleased(EdgeReleased { parent, child, held }));
    Ok(Verdict::done(event.into_iter().collect()))
}

fn at_hierarchy(ask: &Ask<'_>) -> Result<(), Rejection> {
    if CustomerId::hierarchy(&ask.command.scope) == ask.id {
        return Ok(());
    }
    let detail = "this is not the hierarchy of that scope";
    Err(Rejection::new(RejectionCode::CustomerIdRefused, detail))
}

impl Packed for Hierarchy {
    fn pack(&self, out: &mut Vec<u8>) {
        let Self { parents, children } = self;
        pack_list(parents.iter(), out, |(child, parents), out| {
            child.pack(out);
            pack_list(parents.iter(), out, |(claim, parent), out| {
                claim.pack(out);
                parent.pack(out);
            });
        });
        pack_list(children.iter(), out, |(parent, places), out| {
            parent.pack(out);
            places.pack(out);
        });
    }

    fn unpack(from: &mut Unpacking<'_>) -> Result<Self, Unpackable> {
        let parents = from
            .list(|from| Ok((from.take()?, from.list(|from| Ok((from.take()?, from.take()?)))?)))?;
        Ok(Self { parents, children: from.list(|from| Ok((from.take()?, from.take()?)))? })
    }
}
