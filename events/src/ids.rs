//! Who and where: tenants, customers, commands, partitions.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::{Uuid, uuid};

use crate::text::{TextError, checked_text, plain, plain_schema};

/// Namespace of customer ids: `UUIDv5` of the DNS name `tallybook.customers`.
pub const CUSTOMER_NAMESPACE: Uuid = uuid!("3f809f54-897b-578e-9666-4beae021ba94");

checked_text! {
    /// Tenant: 1 to 64 of `a-z A-Z 0-9 _ - .`.
    Tenant, "a tenant name", json_schema!({"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,64}$"}), |text| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        if (1..=64).contains(&text.len()) && text.bytes().all(known) {
            Ok(())
        } else {
            Err(TextError::new("must be 1 to 64 of a-z A-Z 0-9 _ - ."))
        }
    }
}

checked_text! {
    /// Customer key: the customer's identifier in the caller's own system. 1 to 255 characters
    /// without control characters, compared exactly.
    CustomerKey, "a customer key", plain_schema(255),
    |text| plain(text, 255)
}

checked_text! {
    /// Identifier of one usage report, unique within its customer: 1 to 255 characters.
    ReportId, "a report id", plain_schema(255),
    |text| plain(text, 255)
}

checked_text! {
    /// What a usage report counts (a feature, a product): 1 to 255 characters.
    Meter, "a meter name", plain_schema(255),
    |text| plain(text, 255)
}

checked_text! {
    /// Where something was bought, as a payment names it: 1 to 255 characters.
    Merchant, "a merchant's name", plain_schema(255),
    |text| plain(text, 255)
}

checked_text! {
    /// Who asked: an API key's id, a service's name. 1 to 255 characters.
    Actor, "an actor", plain_schema(255),
    |text| plain(text, 255)
}

checked_text! {
    /// The way a command came in: a dialect's name, `api`, a topic. 1 to 64 characters.
    Origin, "a source", plain_schema(64),
    |text| plain(text, 64)
}

checked_text! {
    /// A caller's word for tracing and repeats: 1 to 255 characters.
    Token, "a string", plain_schema(255),
    |text| plain(text, 255)
}

checked_text! {
    /// Name of an outside system that a customer is linked to, like `stripe`: 1 to 64 characters.
    Provider, "a provider name", plain_schema(64),
    |text| plain(text, 64)
}

/// Environments of a tenant. Customers of one are not seen in the other.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    /// Real customers, real money.
    Live,
    /// For trying things out.
    Test,
}

impl Environment {
    /// Gives the name used in JSON, keys and paths.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Environment {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        match text {
            "live" => Ok(Self::Live),
            "test" => Ok(Self::Test),
            _ => Err(TextError::new("must be live or test")),
        }
    }
}

/// Tenant and environment: within one scope a customer key is unique.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope {
    /// The tenant.
    pub tenant: Tenant,
    /// The environment.
    pub environment: Environment,
}

/// Defines an identifier that is a UUID; serde and `Display` as plain lower-case text.
macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, formatter)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, formatter)
            }
        }

        impl FromStr for $name {
            type Err = TextError;
            fn from_str(text: &str) -> Result<Self, TextError> {
                // The hyphenated form only: one spelling per id.
                if text.len() != 36 {
                    return Err(TextError::new("is not a UUID"));
                }
                Uuid::try_parse(text).map(Self).map_err(|_| TextError::new("is not a UUID"))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.0.hyphenated().encode_lower(&mut [0; 36]))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::text::deserialize_text(deserializer, "a UUID")
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "format": "uuid"})
            }
        }
    };
}

uuid_id! {
    /// Customer id: ours, stable for ever. It also names the slot of a key (see [`CustomerId::slot`]).
    CustomerId
}
uuid_id! {
    /// Command id: the caller's, and the idempotency of last resort.
    CommandId
}

impl CustomerId {
    /// Gives the id at which a key has its slot; the first customer born under the key lives there.
    pub fn slot(scope: &Scope, key: &CustomerKey) -> Self {
        Self::nth(scope, key, 0)
    }

    /// Gives the id of the n-th further customer born under a key that was freed; 0 is the first.
    pub fn nth(scope: &Scope, key: &CustomerKey, n: u32) -> Self {
        let mut name = String::with_capacity(key.as_str().len() + scope.tenant.as_str().len() + 16);
        name.push_str(scope.tenant.as_str());
        name.push('/');
        name.push_str(scope.environment.as_str());
        name.push('/');
        name.push_str(key.as_str());
        if n > 0 {
            name.push('#');
            name.push_str(&n.to_string());
        }
        Self(Uuid::new_v5(&CUSTOMER_NAMESPACE, name.as_bytes()))
    }

    /// Gives the id at which a scope decides who is whose parent: `UUIDv5(scope, "hierarchy")`, where
    /// the scope is `UUIDv5` of `{tenant}/{environment}` in the namespace of customers.
    ///
    /// It is the slot of no key: the name of a slot has a `/` and a key behind the environment, so no
    /// slot is the scope, and the hierarchy is in a namespace of its own. No caller can choose it: ids
    /// that callers choose are of version 7.
    pub fn hierarchy(scope: &Scope) -> Self {
        let name = format!("{}/{}", scope.tenant.as_str(), scope.environment.as_str());
        let namespace = Uuid::new_v5(&CUSTOMER_NAMESPACE, name.as_bytes());
        Self(Uuid::new_v5(&namespace, b"hierarchy"))
    }
}

/// How a command names its customer: `{"id":…}` or `{"key":…}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CustomerRef {
    /// By our id.
    Id(CustomerId),
    /// By the caller's key.
    Key(CustomerKey),
}

impl CustomerRef {
    /// Gives the id that the command goes to: the customer's own, or the slot of its key.
    pub fn home(&self, scope: &Scope) -> CustomerId {
        match self {
            Self::Id(id) => *id,
            Self::Key(key) => CustomerId::slot(scope, key),
        }
    }
}

/// A partition's number, from 0.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct Partition(pub u32);

impl fmt::Display for Partition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

impl Partition {
    /// Gives the partition on which a customer lives, as a Java client would place a record with
    /// that key: `murmur2(id as text) mod partitions`.
    ///
    /// # Panics
    /// When `partitions` is 0.
    pub fn of(id: CustomerId, partitions: u32) -> Self {
        let mut text = [0; 36];
        id.0.hyphenated().encode_lower(&mut text);
        Self((murmur2(&text) & 0x7fff_ffff) % partitions)
    }
}

/// A place in the journal. `seq` counts valid records of its partition from 1.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct Position {
    /// The partition.
    pub partition: Partition,
    /// The place within the partition.
    pub seq: u64,
}

/// Kafka's murmur2 (seed `0x9747b28c`), as its default partitioner uses it.
pub fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut hash = 0x9747_b28c_u32 ^ length;
    let mut chunks = bytes.chunks_exact(4);
    for chunk in &mut chunks {
        let mut k = u32::from_le_bytes(chunk.try_into().expect("chunks of four bytes"));
        k = k.wrapping_mul(M);
        k ^= k >> 24;
        k = k.wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    let tail = chunks.remainder();
    if !tail.is_empty() {
        for (at, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * at);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        Scope { tenant: "t".parse().unwrap(), environment: Environment::Live }
    }

    #[test]
    fn the_namespace_is_that_of_our_dns_name() {
        assert_eq!(CUSTOMER_NAMESPACE, Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"tallybook.customers"));
    }

    #[test]
    fn murmur2_agrees_with_the_values_in_kafkas_own_test() {
        // org.apache.kafka.common.utils.UtilsTest#testMurmur2
        for (text, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(text.as_bytes()).cast_signed(), hash, "{text}");
        }
    }

    #[test]
    fn a_key_has_one_slot_and_further_births_have_their_own_ids() {
        let key: CustomerKey = "acme".parse().unwrap();
        let slot = CustomerId::slot(&scope(), &key);
        assert_eq!(slot.0, Uuid::new_v5(&CUSTOMER_NAMESPACE, b"t/live/acme"));
        assert_eq!(
            CustomerId::nth(&scope(), &key, 2).0,
            Uuid::new_v5(&CUSTOMER_NAMESPACE, b"t/live/acme#2")
        );
        assert_eq!(CustomerRef::Key(key).home(&scope()), slot);
    }

    #[test]
    fn a_scope_has_one_hierarchy_and_no_key_has_its_slot_there() {
        let hierarchy = CustomerId::hierarchy(&scope());
        let of_scope = Uuid::new_v5(&CUSTOMER_NAMESPACE, b"t/live");
        assert_eq!(hierarchy.0, Uuid::new_v5(&of_scope, b"hierarchy"));
        assert_eq!(hierarchy.0.get_version(), Some(uuid::Version::Sha1));
        for key in ["hierarchy", "/hierarchy", "t/live", "live/hierarchy"] {
            let key: CustomerKey = key.parse().unwrap();
            assert!((0..3).all(|n| CustomerId::nth(&scope(), &key, n) != hierarchy));
        }
        let other = Scope { environment: Environment::Test, ..scope() };
        assert_ne!(CustomerId::hierarchy(&other), hierarchy);
    }

    #[test]
    fn a_reference_has_exactly_one_member() {
        assert!(serde_json::from_str::<CustomerRef>(r#"{"key":"acme"}"#).is_ok());
        assert!(serde_json::from_str::<CustomerRef>(r#"{"key":"acme","id":"x"}"#).is_err());
        assert!(serde_json::from_str::<CustomerRef>("{}").is_err());
        assert!(serde_json::from_str::<CustomerRef>(r#"{"key":"a\u0007"}"#).is_err());
    }
}
