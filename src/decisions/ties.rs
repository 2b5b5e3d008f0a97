//! What binds a record to others: how it has its key, who is its parent and under which claim, to whom
//! it pledged, and the hierarchy that is kept here. Most records have none of it.

use std::collections::BTreeMap;

use tallybook_events::ids::{CommandId, CustomerId};

use super::hierarchy::Hierarchy;

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
