//! The tiers and statuses that ZeroDrift knows, and the customer that an address names.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use schemars::JsonSchema;
use serde::Serialize;
use tallybook_events::customer::{CustomerDocument, Status};
use tallybook_events::ids::CustomerId;
use tallybook_events::text::TierName;

use super::error::ZeroDriftError;

/// The last part of a path, percent-decoded.
pub(super) type Name = Result<Path<String>, PathRejection>;

/// Reads which customer an address names.
pub(super) fn customer_id(name: Name) -> Result<CustomerId, ZeroDriftError> {
    let id = name.ok().and_then(|Path(text)| text.parse().ok());
    id.ok_or_else(|| ZeroDriftError::bad_request("customer_id must be a UUID"))
}

/// A pricing tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Tier {
    /// The smallest.
    Starter,
    /// The next one.
    Growth,
    /// The one after it.
    Scale,
    /// For the largest.
    Enterprise,
    /// By agreement.
    Custom,
}

impl Tier {
    /// All of them.
    const ALL: [Self; 5] =
        [Self::Starter, Self::Growth, Self::Scale, Self::Enterprise, Self::Custom];
    /// What is said of any other text.
    pub(super) const EXPECTED: &str = "must be one of starter, growth, scale, enterprise, custom";

    /// Gives its name in JSON, which the catalogue has, too.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Starter => "starter",
            Self::Growth => "growth",
            Self::Scale => "scale",
            Self::Enterprise => "enterprise",
            Self::Custom => "custom",
        }
    }

    /// Reads its name.
    pub(super) fn read(text: &str) -> Option<TierName> {
        let tier = Self::ALL.into_iter().find(|tier| tier.as_str() == text)?;
        tier.as_str().parse().ok()
    }
}

/// Account status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ShownStatus {
    /// It may use the product.
    Active,
    /// It may not, for now.
    Suspended,
    /// It was deleted.
    Cancelled,
}

impl ShownStatus {
    /// Gives that of a customer.
    pub(super) fn of(document: &CustomerDocument) -> Self {
        match (document.archived_at, document.contract.status) {
            (Some(_), Status::Active | Status::Suspended) => Self::Cancelled,
            (None, Status::Active) => Self::Active,
            (None, Status::Suspended) => Self::Suspended,
        }
    }
}
