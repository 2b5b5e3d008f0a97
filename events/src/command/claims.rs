//! What a held command needs of others before it can be decided, how they answer, and how it is given
//! back: the follow-ups that Tallybook sends itself.
//!
//! Each rule that spans customers has one registrar that decides it. Who may have a key: its slot. Who
//! is whose parent: the hierarchy of the scope ([`CustomerId::hierarchy`]). That a parent is there: the
//! parent itself, which pledges to stay until the child has it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decision::RejectionCode;
use crate::ids::{CommandId, CustomerId, CustomerKey, CustomerRef, Scope};

/// What a held command needs of a registrar; also what is given back to one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Claim {
    /// A key, of its slot.
    Key(KeyClaim),
    /// A pledge to stay, of the parent.
    Pledge(PledgeClaim),
    /// A place below a parent, of the hierarchy.
    Edge(EdgeClaim),
}

/// A key and who wants it, or gives it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyClaim {
    /// The key.
    pub key: CustomerKey,
    /// The customer.
    pub holder: CustomerId,
    /// The command that waits for it, or that caused the release.
    pub held: CommandId,
    /// Whether the holder is to be born under the key.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub birth: bool,
    /// In a release: the claim by which the holder had the key. The slot takes back what was got by
    /// that claim only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under: Option<CommandId>,
}

/// A parent and the child that asks it to stay: a parent that has pledged is not archived until the
/// pledge is given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PledgeClaim {
    /// The parent, as the child names it. In a release by its id.
    pub pledge: CustomerRef,
    /// The child.
    pub child: CustomerId,
    /// The command that waits for it. A release names the same.
    pub held: CommandId,
}

/// A child and its parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EdgeClaim {
    /// The parent.
    pub parent: CustomerId,
    /// The child.
    pub child: CustomerId,
    /// The command that waits for it. A release names the same.
    pub held: CommandId,
}

/// A registrar's answer to a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The claim.
    pub claim: Claim,
    /// Whether it was granted.
    pub granted: bool,
    /// What else the registrar says.
    pub answer: RegistrarAnswer,
}

/// What a registrar says beside yes or no.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistrarAnswer {
    /// Why it said no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<RejectionCode>,
    /// The customer that pledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pledged: Option<CustomerId>,
    /// The claim by which the holder has the key: an earlier one when it had it already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under: Option<CommandId>,
}

impl RegistrarAnswer {
    /// Tells whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Claim {
    /// Gives the command that waits for it.
    pub const fn held(&self) -> CommandId {
        match self {
            Self::Key(claim) => claim.held,
            Self::Pledge(claim) => claim.held,
            Self::Edge(claim) => claim.held,
        }
    }

    /// Gives the customer that claims it, and hears the answer.
    pub const fn claimant(&self) -> CustomerId {
        match self {
            Self::Key(claim) => claim.holder,
            Self::Pledge(claim) => claim.child,
            Self::Edge(claim) => claim.child,
        }
    }

    /// Gives the registrar that decides on it.
    pub fn registrar(&self, scope: &Scope) -> CustomerRef {
        match self {
            Self::Key(claim) => CustomerRef::Key(claim.key.clone()),
            Self::Pledge(claim) => claim.pledge.clone(),
            Self::Edge(_) => CustomerRef::Id(CustomerId::hierarchy(scope)),
        }
    }
}
