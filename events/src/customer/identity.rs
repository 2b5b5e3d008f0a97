//! Who the customer is in other systems: the caller's key, links to providers, the parent; and its
//! birth and end.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::field::Patch;
use crate::ids::{
    CommandId, CustomerId, CustomerKey, CustomerRef, Environment, Provider, Tenant, Token,
};

/// Asked: links and parent. `null` for a provider takes that link away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdentityPatch {
    /// Links by provider, merged into those there are.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub links: Patch<BTreeMap<Provider, Option<Token>>>,
    /// The parent: its id, or `{"id":…}`, or `{"key":…}`; `null` for none.
    #[serde(default, skip_serializing_if = "Patch::is_keep", deserialize_with = "parent::read")]
    #[schemars(with = "Patch<parent::Named>")]
    pub parent: Patch<CustomerRef>,
}

/// How a patch names a parent: as any command names a customer, or by a bare id as documents do.
mod parent {
    use std::fmt;

    use schemars::JsonSchema;
    use serde::de::value::MapAccessDeserializer;
    use serde::de::{Error, MapAccess, Visitor};
    use serde::{Deserialize, Deserializer};

    use crate::field::Patch;
    use crate::ids::{CustomerId, CustomerRef};

    /// The shape of it.
    #[derive(JsonSchema)]
    #[schemars(untagged)]
    #[expect(dead_code, reason = "only its shape is wanted")]
    pub(super) enum Named {
        /// By its id.
        Bare(CustomerId),
        /// By id or key.
        Ref(CustomerRef),
    }

    struct Read(CustomerRef);

    impl<'de> Deserialize<'de> for Read {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_any(Names)
        }
    }

    /// Not an untagged enum: that would lose the place of a fault.
    struct Names;

    impl<'de> Visitor<'de> for Names {
        type Value = Read;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a customer's id, {\"id\":…} or {\"key\":…}")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Read, E> {
            text.parse().map(|id| Read(CustomerRef::Id(id))).map_err(E::custom)
        }

        fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Read, A::Error> {
            CustomerRef::deserialize(MapAccessDeserializer::new(members)).map(Read)
        }
    }

    pub(super) fn read<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Patch<CustomerRef>, D::Error> {
        let read = Option::<Read>::deserialize(deserializer)?;
        Ok(read.map_or(Patch::Clear, |Read(named)| Patch::Set(named)))
    }
}

/// How the customer is known elsewhere, as it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Identity {
    /// Identifier at each outside system.
    pub links: BTreeMap<Box<str>, Box<str>>,
    /// The parent customer.
    pub parent: Option<CustomerId>,
}

/// A customer was born.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CustomerCreated {
    /// Its id, for ever.
    pub customer_id: CustomerId,
    /// Its tenant.
    pub tenant: Tenant,
    /// Its environment.
    pub environment: Environment,
    /// Its key, when it has one.
    pub key: Option<CustomerKey>,
    /// How often a customer had been born under that key before.
    #[serde(default)]
    pub birth: u32,
}

/// The customer got another key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyChanged {
    /// The key until now; it is free from now on.
    pub from: Option<CustomerKey>,
    /// The key from now on.
    pub to: Option<CustomerKey>,
}

/// The customer got another parent, or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ParentChanged {
    /// The parent until now.
    pub from: Option<CustomerId>,
    /// The parent from now on.
    pub to: Option<CustomerId>,
}

/// The customer takes no changes any more, and its key is free.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CustomerArchived {
    /// The key that it had.
    pub key: Option<CustomerKey>,
}

/// A slot gave its key to a customer that lives elsewhere. No part of that customer's version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyClaimed {
    /// The key.
    pub key: CustomerKey,
    /// The customer that holds it now.
    pub holder: CustomerId,
    /// Whether the holder is born under this key (its id is the n-th of the key).
    #[serde(default)]
    pub birth: bool,
    /// The claim by which the holder has it: the command that was held for it. Only a release that
    /// names this claim frees the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<CommandId>,
}

/// A slot took its key back from a customer that lives elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyReleased {
    /// The key, free now.
    pub key: CustomerKey,
    /// The customer that held it.
    pub holder: CustomerId,
}
