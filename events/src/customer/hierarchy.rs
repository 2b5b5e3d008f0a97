//! Who is whose parent, as the registrars tell it. None of these facts is part of a customer's version:
//! what the child becomes is its own `ParentChanged`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{CommandId, CustomerId};

/// The hierarchy of a scope gave a child a place below a parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EdgeClaimed {
    /// The parent.
    pub parent: CustomerId,
    /// The child.
    pub child: CustomerId,
    /// The claim: the command that was held for it.
    pub held: CommandId,
}

/// The hierarchy took a place below a parent back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EdgeReleased {
    /// The parent.
    pub parent: CustomerId,
    /// The child.
    pub child: CustomerId,
    /// The claim by which it had the place.
    pub held: CommandId,
}

/// A customer pledged to stay until a child has it as its parent, or has not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PledgeClaimed {
    /// The child.
    pub child: CustomerId,
    /// The claim: the command that was held for it.
    pub held: CommandId,
}

/// A customer has a pledge back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PledgeReleased {
    /// The child.
    pub child: CustomerId,
    /// The claim by which it was given.
    pub held: CommandId,
}
