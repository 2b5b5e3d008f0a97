//! A customer as ZeroDrift shows it: after a change, in full, in a list, just made.

use schemars::JsonSchema;
use serde::Serialize;
use tallybook_events::customer::{Contract, CustomerDocument};
use tallybook_events::ids::CustomerId;
use tallybook_events::text::TierName;
use tallybook_events::time::{Date, Timestamp};

use super::asked::ShownStatus;
use crate::gateway::moment::whole_seconds;
use crate::gateway::number::Number;

/// A customer after a change: these eight members and no others.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct UpdatedCustomer {
    /// Customer UUID.
    customer_id: CustomerId,
    /// Company name.
    company_name: Option<Box<str>>,
    /// Contact email.
    contact_email: Option<Box<str>>,
    /// Pricing tier.
    tier: Option<TierName>,
    /// Account status.
    status: ShownStatus,
    /// Annual commitment in USD.
    annual_commitment: Option<Number>,
    /// Annual validation limit.
    annual_validation_limit: Option<u64>,
    /// Last update timestamp.
    updated_at: Timestamp,
}

impl From<CustomerDocument> for UpdatedCustomer {
    fn from(document: CustomerDocument) -> Self {
        let status = ShownStatus::of(&document);
        let CustomerDocument { id, profile, contract, updated_at, .. } = document;
        Self {
            customer_id: id,
            company_name: profile.name,
            contact_email: profile.email,
            tier: contract.tier,
            status,
            annual_commitment: contract.annual_commitment.map(Number::from),
            annual_validation_limit: contract.annual_limit,
            updated_at: whole_seconds(updated_at),
        }
    }
}

/// A customer in full.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct ShownCustomer {
    /// Unique customer identifier.
    customer_id: CustomerId,
    /// Company name.
    company_name: Option<Box<str>>,
    /// Contact email.
    contact_email: Option<Box<str>>,
    /// Pricing tier.
    tier: Option<TierName>,
    /// Account status.
    status: ShownStatus,
    /// API key identifier. Always null: such keys are not made here.
    api_key_id: Option<Box<str>>,
    /// Annual commitment in USD.
    annual_commitment: Option<Number>,
    /// Annual validation limit.
    annual_validation_limit: Option<u64>,
    /// Contract start date.
    contract_start: Option<Date>,
    /// Contract end date.
    contract_end: Option<Date>,
    /// Creation timestamp.
    created_at: Timestamp,
    /// Last update timestamp.
    updated_at: Timestamp,
}

impl From<CustomerDocument> for ShownCustomer {
    fn from(document: CustomerDocument) -> Self {
        let status = ShownStatus::of(&document);
        let CustomerDocument { id, profile, contract, created_at, updated_at, .. } = document;
        Self {
            customer_id: id,
            company_name: profile.name,
            contact_email: profile.email,
            tier: contract.tier,
            status,
            api_key_id: None,
            annual_commitment: contract.annual_commitment.map(Number::from),
            annual_validation_limit: contract.annual_limit,
            contract_start: contract.start,
            contract_end: contract.end,
            created_at: whole_seconds(created_at),
            updated_at: whole_seconds(updated_at),
        }
    }
}

/// A customer in a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct ListedCustomer {
    /// Customer UUID.
    customer_id: CustomerId,
    /// Company name.
    company_name: Option<Box<str>>,
    /// Contact email.
    contact_email: Option<Box<str>>,
    /// Pricing tier.
    tier: Option<TierName>,
    /// Account status.
    status: ShownStatus,
    /// Annual commitment in USD.
    annual_commitment: Option<Number>,
    /// Annual validation limit.
    annual_validation_limit: Option<u64>,
    /// Creation timestamp.
    created_at: Timestamp,
}

impl From<CustomerDocument> for ListedCustomer {
    fn from(document: CustomerDocument) -> Self {
        let status = ShownStatus::of(&document);
        let CustomerDocument { id, profile, contract, created_at, .. } = document;
        Self {
            customer_id: id,
            company_name: profile.name,
            contact_email: profile.email,
            tier: contract.tier,
            status,
            annual_commitment: contract.annual_commitment.map(Number::from),
            annual_validation_limit: contract.annual_limit,
            created_at: whole_seconds(created_at),
        }
    }
}

/// A customer that was just made, with what its tier grants.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct CreatedCustomer {
    /// Customer details.
    customer: NewCustomer,
    /// The generated API key. Always null: such keys are not made here.
    api_key: Option<Box<str>>,
    /// Details about the assigned tier.
    tier_details: TierDetails,
    /// Reminder to save the API key. Always null: there is none.
    warning: Option<Box<str>>,
}

/// The details of a customer that was just made.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct NewCustomer {
    /// Unique customer identifier.
    customer_id: CustomerId,
    /// Company name.
    company_name: Option<Box<str>>,
    /// Contact email.
    contact_email: Option<Box<str>>,
    /// Pricing tier.
    tier: Option<TierName>,
    /// Account status.
    status: ShownStatus,
    /// API key identifier. Always null: such keys are not made here.
    api_key_id: Option<Box<str>>,
    /// Annual commitment in USD.
    annual_commitment: Option<Number>,
    /// Annual validation limit.
    annual_validation_limit: Option<u64>,
    /// Creation timestamp.
    created_at: Timestamp,
}

/// What a tier grants.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct TierDetails {
    /// Its name, as it is read.
    name: Option<String>,
    /// USD per year.
    annual_price: Option<Number>,
    /// Validations per year.
    annual_limit: Option<u64>,
    /// Requests per second.
    rate_limit: Option<u64>,
    /// Requests at once.
    burst_limit: Option<u64>,
}

impl From<CustomerDocument> for CreatedCustomer {
    fn from(document: CustomerDocument) -> Self {
        let status = ShownStatus::of(&document);
        let CustomerDocument { id, profile, contract, created_at, .. } = document;
        let tier_details = TierDetails::of(&contract);
        let customer = NewCustomer {
            customer_id: id,
            company_name: profile.name,
            contact_email: profile.email,
            tier: contract.tier,
            status,
            api_key_id: None,
            annual_commitment: contract.annual_commitment.map(Number::from),
            annual_validation_limit: contract.annual_limit,
            created_at: whole_seconds(created_at),
        };
        Self { customer, api_key: None, tier_details, warning: None }
    }
}

impl TierDetails {
    fn of(contract: &Contract) -> Self {
        Self {
            name: contract.tier.as_ref().map(|tier| capitalized(tier.as_str())),
            annual_price: contract.annual_commitment.map(Number::from),
            annual_limit: contract.annual_limit,
            rate_limit: contract.rate_per_second,
            burst_limit: contract.burst,
        }
    }
}

/// Gives a word with a capital letter: `growth` as `Growth`.
fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A customer was deleted.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct DeletedCustomer {
    /// That it was.
    message: &'static str,
    /// Customer UUID.
    customer_id: CustomerId,
    /// Account status.
    status: ShownStatus,
}

impl From<CustomerDocument> for DeletedCustomer {
    fn from(document: CustomerDocument) -> Self {
        Self {
            message: "Customer deleted successfully",
            customer_id: document.id,
            status: ShownStatus::of(&document),
        }
    }
}
