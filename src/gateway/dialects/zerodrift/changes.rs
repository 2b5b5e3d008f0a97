//! The bodies of `PUT` and `POST`: what is asked, or what is wrong with it first.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use tallybook_events::command::CustomerPatch;
use tallybook_events::customer::{ContractPatch, ProfilePatch, Status};
use tallybook_events::field::{Edit, Field, Patch};
use tallybook_events::json::Json;
use tallybook_events::outside;
use tallybook_events::text::{Email, MetadataKey, Name, TierName};
use tallybook_events::time::Date;

use super::asked::Tier;
use super::error::ZeroDriftError;
use crate::gateway::metadata::AskedMetadata;
use crate::gateway::moment::{DateOrMoment, date};

/// What may be changed. What is absent stays as it is; unknown members are ignored.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct UpdateCustomer {
    /// Updated company name.
    #[serde(default)]
    #[schemars(with = "Name", length(min = 1))]
    company_name: Field<Json>,
    /// Updated contact email.
    #[serde(default)]
    #[schemars(with = "Email")]
    contact_email: Field<Json>,
    /// New pricing tier. It takes effect immediately, with its limits.
    #[serde(default)]
    #[schemars(with = "Tier")]
    tier: Field<Json>,
    /// Account status.
    #[serde(default)]
    #[schemars(with = "Status")]
    status: Field<Json>,
    /// Contract start date (ISO 8601). Null clears it.
    #[serde(default)]
    #[schemars(with = "Option<DateOrMoment>")]
    contract_start: Field<Json>,
    /// Contract end date (ISO 8601), not before its start. Null clears it.
    #[serde(default)]
    #[schemars(with = "Option<DateOrMoment>")]
    contract_end: Field<Json>,
    /// Additional metadata. It takes the place of all there was.
    #[serde(default)]
    #[schemars(with = "AskedMetadata")]
    metadata: Field<Json>,
}

/// What a customer is made of. Unknown members are ignored.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(extend("required" = ["company_name", "contact_email", "tier"]))]
pub(super) struct CreateCustomer {
    /// Client's company name.
    #[serde(default)]
    #[schemars(with = "Name", length(min = 1))]
    company_name: Field<Json>,
    /// Primary contact email address.
    #[serde(default)]
    #[schemars(with = "Email")]
    contact_email: Field<Json>,
    /// Pricing tier.
    #[serde(default)]
    #[schemars(with = "Tier")]
    tier: Field<Json>,
    /// Contract start date (ISO 8601).
    #[serde(default)]
    #[schemars(with = "Option<DateOrMoment>")]
    contract_start: Field<Json>,
    /// Contract end date (ISO 8601), not before its start.
    #[serde(default)]
    #[schemars(with = "Option<DateOrMoment>")]
    contract_end: Field<Json>,
    /// Additional metadata.
    #[serde(default)]
    #[schemars(with = "AskedMetadata")]
    metadata: Field<Json>,
}

/// A value, or what is said of it.
type Checked<T> = Result<T, Cow<'static, str>>;

impl UpdateCustomer {
    /// Reads a body as a patch.
    pub(super) fn read(body: &[u8]) -> Result<CustomerPatch, ZeroDriftError> {
        let asked: Self = outside::read(outside::text(body)?)?;
        let profile = ProfilePatch {
            name: set(never_null("company_name", asked.company_name, company)?),
            email: set(never_null("contact_email", asked.contact_email, email)?),
            replace_metadata: never_null("metadata", asked.metadata, metadata)?,
            ..ProfilePatch::default()
        };
        let contract = ContractPatch {
            tier: set(never_null("tier", asked.tier, tier)?),
            status: never_null("status", asked.status, status)?,
            start: nullable("contract_start", asked.contract_start, day)?,
            end: nullable("contract_end", asked.contract_end, day)?,
            ..ContractPatch::default()
        };
        let (profile, contract) = (Edit::Set(profile), Edit::Set(contract));
        Ok(CustomerPatch { profile, contract, ..CustomerPatch::default() })
    }
}

impl CreateCustomer {
    /// Reads a body as the facts of a new customer.
    pub(super) fn read(body: &[u8]) -> Result<CustomerPatch, ZeroDriftError> {
        let asked: Self = outside::read(outside::text(body)?)?;
        let profile = ProfilePatch {
            name: Patch::Set(required("company_name", asked.company_name, company)?),
            email: Patch::Set(required("contact_email", asked.contact_email, email)?),
            replace_metadata: never_null("metadata", asked.metadata, metadata)?,
            ..ProfilePatch::default()
        };
        let contract = ContractPatch {
            tier: Patch::Set(required("tier", asked.tier, tier)?),
            start: nullable("contract_start", asked.contract_start, day)?,
            end: nullable("contract_end", asked.contract_end, day)?,
            ..ContractPatch::default()
        };
        let (profile, contract) = (Edit::Set(profile), Edit::Set(contract));
        Ok(CustomerPatch { profile, contract, ..CustomerPatch::default() })
    }
}

/// Takes the change of a fact that is only ever set.
fn set<T>(edit: Edit<T>) -> Patch<T> {
    match edit {
        Edit::Keep => Patch::Keep,
        Edit::Set(value) => Patch::Set(value),
    }
}

/// Checks a member that `null` clears.
fn nullable<T>(
    name: &str,
    field: Field<Json>,
    check: fn(&Json) -> Checked<T>,
) -> Result<Patch<T>, ZeroDriftError> {
    match field.null_clears() {
        Patch::Keep => Ok(Patch::Keep),
        Patch::Clear => Ok(Patch::Clear),
        Patch::Set(value) => checked(name, check(&value)).map(Patch::Set),
    }
}

/// Checks a member that may not be `null`.
fn never_null<T>(
    name: &str,
    field: Field<Json>,
    check: fn(&Json) -> Checked<T>,
) -> Result<Edit<T>, ZeroDriftError> {
    match field.null_refused() {
        Ok(Edit::Keep) => Ok(Edit::Keep),
        Ok(Edit::Set(value)) => checked(name, check(&value)).map(Edit::Set),
        Err(_) => checked(name, Err("must not be null".into())),
    }
}

/// Checks a member that must be there.
fn required<T>(
    name: &str,
    field: Field<Json>,
    check: fn(&Json) -> Checked<T>,
) -> Result<T, ZeroDriftError> {
    match never_null(name, field, check)? {
        Edit::Set(value) => Ok(value),
        Edit::Keep => checked(name, Err("is required".into())),
    }
}

fn checked<T>(name: &str, checked: Checked<T>) -> Result<T, ZeroDriftError> {
    checked.map_err(|says| ZeroDriftError::bad_request(format!("{name} {says}")))
}

fn text(value: &Json) -> Checked<&str> {
    value.as_str().ok_or("must be a string".into())
}

fn company(value: &Json) -> Checked<Name> {
    match text(value)? {
        "" => Err("must not be empty".into()),
        text => text.parse().map_err(|_| "must have at most 255 characters".into()),
    }
}

fn email(value: &Json) -> Checked<Email> {
    text(value)?.parse().map_err(|_| "must be an email address".into())
}

fn tier(value: &Json) -> Checked<TierName> {
    value.as_str().and_then(Tier::read).ok_or(Tier::EXPECTED.into())
}

fn status(value: &Json) -> Checked<Status> {
    match value.as_str() {
        Some("active") => Ok(Status::Active),
        Some("suspended") => Ok(Status::Suspended),
        _ => Err("must be one of active, suspended".into()),
    }
}

fn day(value: &Json) -> Checked<Date> {
    date(text(value)?).map_err(|_| "must be an ISO 8601 date".into())
}

fn metadata(value: &Json) -> Checked<BTreeMap<MetadataKey, Json>> {
    let Json::Object(members) = value else { return Err("must be an object".into()) };
    members
        .iter()
        .map(|(name, value)| match name.parse() {
            Ok(name) => Ok((name, value.clone())),
            Err(error) => Err(format!("has a member whose name {error}").into()),
        })
        .collect()
}
