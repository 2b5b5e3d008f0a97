//! The body of `PATCH /api/users/{customer_identifier}/`: what is asked, and all that is wrong with it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use tallybook_events::command::CustomerPatch;
use tallybook_events::customer::{BudgetPatch, ProfilePatch};
use tallybook_events::field::{Edit, Field, Patch};
use tallybook_events::json::Json;
use tallybook_events::money::Amount;
use tallybook_events::outside;
use tallybook_events::period::BudgetDuration;
use tallybook_events::text::{Email, MetadataKey, Name};
use tallybook_events::time::Timestamp;

use super::error::{FieldFault, RespanError};
use crate::gateway::metadata::AskedMetadata;
use crate::gateway::moment::{DateOrMoment, moment};
use crate::gateway::number::{AskedNumber, NoAmount, amount};

/// What may be changed. What is absent stays as it is; unknown members are ignored.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct UpdateUser {
    /// User email address. Null clears it.
    #[serde(default)]
    #[schemars(with = "Option<Email>")]
    email: Field<Json>,
    /// User display name. Null clears it.
    #[serde(default)]
    #[schemars(with = "Option<Name>")]
    name: Field<Json>,
    /// Custom key-value metadata. It takes the place of all there was.
    #[serde(default)]
    #[schemars(with = "AskedMetadata")]
    metadata: Field<Json>,
    /// Spending budget per period in USD. Null removes the limit.
    #[serde(default)]
    #[schemars(with = "Option<AskedNumber>")]
    period_budget: Field<Json>,
    /// Budget renewal period.
    #[serde(default)]
    #[schemars(with = "BudgetDuration")]
    budget_duration: Field<Json>,
    /// Total lifetime spending budget in USD. Null removes the limit.
    #[serde(default)]
    #[schemars(with = "Option<AskedNumber>")]
    total_budget: Field<Json>,
    /// Custom budget period start: a date, or ISO 8601.
    #[serde(default)]
    #[schemars(with = "DateOrMoment")]
    period_start: Field<Json>,
    /// Custom budget period end, after its start: a date, or ISO 8601. Null leaves it open.
    #[serde(default)]
    #[schemars(with = "Option<DateOrMoment>")]
    period_end: Field<Json>,
    /// Markup in per cent, in reports of usage only.
    #[serde(default)]
    #[schemars(with = "AskedNumber")]
    markup_percentage: Field<Json>,
}

/// A value, or what DRF says of it.
type Checked<T> = Result<T, Cow<'static, str>>;

impl UpdateUser {
    /// Reads a body as a patch.
    pub(super) fn read(body: &[u8]) -> Result<CustomerPatch, RespanError> {
        let asked: Self = outside::read(outside::text(body)?)?;
        let mut faults = Faults::default();
        let profile = ProfilePatch {
            email: faults.nullable("email", asked.email, email),
            name: faults.nullable("name", asked.name, name),
            replace_metadata: faults.never_null("metadata", asked.metadata, metadata),
            ..ProfilePatch::default()
        };
        let budget = BudgetPatch {
            period_budget: faults.nullable("period_budget", asked.period_budget, usd),
            duration: faults.never_null("budget_duration", asked.budget_duration, duration),
            total_budget: faults.nullable("total_budget", asked.total_budget, usd),
            period_start: match faults.never_null("period_start", asked.period_start, time) {
                Edit::Keep => Patch::Keep,
                Edit::Set(start) => Patch::Set(start),
            },
            period_end: faults.nullable("period_end", asked.period_end, time),
            markup_percentage: faults.never_null("markup_percentage", asked.markup_percentage, usd),
        };
        let (profile, budget) = (Edit::Set(profile), Edit::Set(budget));
        faults.none()?;
        Ok(CustomerPatch { profile, budget, ..CustomerPatch::default() })
    }
}

/// What is wrong with the members of a body, in the order in which they are looked at.
#[derive(Default)]
struct Faults(Vec<FieldFault>);

impl Faults {
    /// Checks a member that `null` clears.
    fn nullable<T>(
        &mut self,
        name: &'static str,
        field: Field<Json>,
        check: fn(Json) -> Checked<T>,
    ) -> Patch<T> {
        match field.null_clears() {
            Patch::Keep => Patch::Keep,
            Patch::Clear => Patch::Clear,
            Patch::Set(value) => self.checked(name, check(value)).map_or(Patch::Keep, Patch::Set),
        }
    }

    /// Checks a member that may not be `null`.
    fn never_null<T>(
        &mut self,
        name: &'static str,
        field: Field<Json>,
        check: fn(Json) -> Checked<T>,
    ) -> Edit<T> {
        let checked = match field.null_refused() {
            Ok(Edit::Keep) => return Edit::Keep,
            Ok(Edit::Set(value)) => check(value),
            Err(_) => Err("This field may not be null.".into()),
        };
        self.checked(name, checked).map_or(Edit::Keep, Edit::Set)
    }

    fn checked<T>(&mut self, name: &'static str, checked: Checked<T>) -> Option<T> {
        checked.map_err(|says| self.0.push(FieldFault::new(name, says))).ok()
    }

    /// Checks that there are none.
    fn none(self) -> Result<(), RespanError> {
        if self.0.is_empty() { Ok(()) } else { Err(RespanError::fields(self.0)) }
    }
}

fn text(value: &Json) -> Checked<&str> {
    value.as_str().ok_or("Not a valid string.".into())
}

fn email(value: Json) -> Checked<Email> {
    text(&value)?.parse().map_err(|_| "Enter a valid email address.".into())
}

fn name(value: Json) -> Checked<Name> {
    text(&value)?.parse().map_err(|_| "Ensure this field has no more than 255 characters.".into())
}

fn metadata(value: Json) -> Checked<BTreeMap<MetadataKey, Json>> {
    let got = match value {
        Json::Object(members) => {
            return members
                .into_iter()
                .map(|(name, value)| match name.parse() {
                    Ok(name) => Ok((name, value)),
                    Err(error) => Err(format!("The name of a member {error}.").into()),
                })
                .collect();
        }
        Json::Array(_) => "list",
        Json::String(_) => "str",
        Json::Number(_) => "number",
        Json::Bool(_) => "bool",
        Json::Null => "null",
    };
    Err(format!("Expected a dictionary of items but got type \"{got}\".").into())
}

fn usd(value: Json) -> Checked<Amount> {
    let Json::Number(text) = value else { return Err("A valid number is required.".into()) };
    amount(&text).map_err(|why| {
        match why {
            NoAmount::Negative => "Ensure this value is greater than or equal to 0.",
            NoAmount::TooLarge => "Ensure this value is less than 1000000000000.",
        }
        .into()
    })
}

fn duration(value: Json) -> Checked<BudgetDuration> {
    let known = [
        BudgetDuration::Daily,
        BudgetDuration::Weekly,
        BudgetDuration::Monthly,
        BudgetDuration::Yearly,
    ];
    let asked = value.as_str();
    known.into_iter().find(|duration| asked == Some(duration.as_str())).ok_or_else(|| {
        let asked = asked.map_or_else(
            || serde_json::to_string(&value).expect("writing JSON to memory"),
            str::to_owned,
        );
        format!("\"{asked}\" is not a valid choice.").into()
    })
}

fn time(value: Json) -> Checked<Timestamp> {
    value.as_str().and_then(|text| moment(text).ok()).ok_or(
        "Datetime has wrong format. Use one of these formats instead: YYYY-MM-DD, \
         YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."
            .into(),
    )
}
