//! What binds a record to others: how it has its key, who is its parent and under which claim, to whom
//! it pledged, and the hierarchy that is kept here. Most records have none of it.

use std::collections::BTreeMap;

use tallybook_events::ids::{CommandId, CustomerId};

use super::hierarchy::Hierarchy;
use super::packed::{Packed, Unpackable, Unpacking, pack_list, pack_maybe};

/// What binds a record to others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ties {
    /// At a slot: the claim by which the holder has the key.
    pub slot: Option<CommandId>,
    /// The claim by which the customer has its key, of a slot elsewhere.
    pub key: Option<CommandId>,
    /// The claim by which the customer has its parent.
    pub edge: Option<CommandId>,
    /// Children that the customer pledged to stay for, by claim.
    pub pledges: BTreeMap<CommandId, CustomerId>,
    /// Who is whose parent, where a scope's hierarchy is.
    pub hierarchy: Hierarchy,
}

/// Ties that take room only when there are any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RareTies(Option<Box<Ties>>);

static NONE: Ties = Ties::NONE;

impl Ties {
    /// None at all.
    pub const NONE: Self = Self {
        slot: None,
        key: None,
        edge: None,
        pledges: BTreeMap::new(),
        hierarchy: Hierarchy::EMPTY,
    };
}

impl RareTies {
    /// None at all.
    pub const NONE: Self = Self(None);

    /// Gives them.
    pub fn get(&self) -> &Ties {
        self.0.as_deref().unwrap_or(&NONE)
    }

    /// Tells whether there are any.
    pub const fn any(&self) -> bool {
        self.0.is_some()
    }

    /// Changes them.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Ties)) {
        let mut changed = self.0.take().unwrap_or_default();
        change(&mut changed);
        if *changed != NONE {
            self.0 = Some(changed);
        }
    }
}

impl Packed for RareTies {
    fn pack(&self, out: &mut Vec<u8>) {
        pack_maybe(self.0.as_deref(), out, |ties, out| {
            let Ties { slot, key, edge, pledges, hierarchy } = ties;
            for one in [slot, key, edge] {
                pack_maybe(one.as_ref(), out, Packed::pack);
            }
            pack_list(pledges.iter(), out, |(claim, child), out| {
                claim.pack(out);
                child.pack(out);
            });
            hierarchy.pack(out);
        });
    }

    fn unpack(from: &mut Unpacking<'_>) -> Result<Self, Unpackable> {
        let ties = from.maybe(|from| {
            Ok(Box::new(Ties {
                slot: from.maybe(Unpacking::take)?,
                key: from.maybe(Unpacking::take)?,
                edge: from.maybe(Unpacking::take)?,
                pledges: from.list(|from| Ok((from.take()?, from.take()?)))?,
                hierarchy: from.take()?,
            }))
        });
        ties.map(Self)
    }
}
