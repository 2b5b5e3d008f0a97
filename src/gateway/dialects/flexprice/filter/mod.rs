//! Which customers a list is of, and in which order, as callers ask for it in a query or a body.

use std::collections::BTreeMap;

use chrono::DateTime;
use schemars::JsonSchema;
use serde::Deserialize;
use tallybook_events::field::Field;
use tallybook_events::ids::CustomerId;
use tallybook_events::text::Email;
use tallybook_events::time::Timestamp;
use tallybook_projections::queries::{
    Condition, CustomerFilter, ListedStatus, Order, SliceRequest, SortField, TextField, TextTest,
    TimeField,
};

use super::bind::Bound;
use super::ids;
use super::refused::{Code, Refused};
use super::schemas::{Direction, Expanded, Limit, Moment, OrEmpty};
use super::shown::Parents;
use conditions::{FilterCondition, SortCondition};

pub(super) mod conditions;

/// What is said of a filter that cannot be read.
pub(super) const BAD_FILTER: &str = "Invalid filter parameters";
/// Items of a list, unless asked otherwise.
const DEFAULT_LIMIT: i64 = 50;
/// Most items of a list.
const MAX_LIMIT: i64 = 1_000;

/// The body of a search.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "CustomerFilter")]
pub(super) struct FilterBody {
    /// Most items; 0 for the default, which is 50.
    #[schemars(with = "Option<Limit>")]
    pub(super) limit: Field<i64>,
    /// How many items to leave out first.
    #[schemars(with = "Option<u32>")]
    pub(super) offset: Field<i64>,
    /// Only those: `published`, `archived`.
    #[schemars(with = "Option<String>")]
    pub(super) status: Field<String>,
    /// Direction of the order by birth; the default is `desc`.
    #[schemars(with = "Option<Direction>")]
    pub(super) order: Field<String>,
    /// What to show with each customer: `parent_customer`.
    #[schemars(with = "Option<Expanded>")]
    pub(super) expand: Field<String>,
    /// Only those made then or later.
    #[schemars(with = "Option<Moment>")]
    pub(super) start_time: Field<String>,
    /// Only those made then or earlier.
    #[schemars(with = "Option<Moment>")]
    pub(super) end_time: Field<String>,
    /// Only those with one of these ids.
    #[schemars(with = "Option<Vec<String>>")]
    pub(super) customer_ids: Field<Vec<String>>,
    /// Only those with one of these external ids.
    #[schemars(with = "Option<Vec<String>>")]
    pub(super) external_ids: Field<Vec<String>>,
    /// Only the one with this external id.
    #[schemars(with = "Option<String>")]
    pub(super) external_id: Field<String>,
    /// Only those with this e-mail address.
    #[schemars(with = "Option<OrEmpty<Email>>")]
    pub(super) email: Field<String>,
    /// Only those with one of these parents.
    #[schemars(with = "Option<Vec<String>>")]
    pub(super) parent_customer_ids: Field<Vec<String>>,
    /// Only those with all of these key and value pairs.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub(super) metadata: Field<BTreeMap<String, String>>,
    /// Only those of which all this is true.
    #[schemars(with = "Option<Vec<FilterCondition>>")]
    pub(super) filters: Field<Vec<FilterCondition>>,
    /// What to sort by; instead of `order`.
    #[schemars(with = "Option<Vec<SortCondition>>")]
    pub(super) sort: Field<Vec<SortCondition>>,
}

impl Bound for FilterBody {
    const NAME: &'static str = "CustomerFilter";

    fn type_of(path: &[&str]) -> (&'static str, &'static str) {
        let expected = match path {
            ["limit" | "offset"] => "int",
            ["customer_ids" | "external_ids" | "parent_customer_ids"] => "[]string",
            ["metadata"] => "map[string]string",
            ["filters"] => "[]*types.FilterCondition",
            ["sort"] => "[]*types.SortCondition",
            _ => "string",
        };
        (Self::NAME, expected)
    }
}

/// A list that is asked for.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Of which customers.
    pub(super) filter: CustomerFilter,
    /// Which part of it.
    pub(super) slice: SliceRequest,
    /// Whether parents are shown.
    pub(super) parents: Parents,
}

/// Reads a filter.
pub(super) fn wanted(body: FilterBody) -> Result<Wanted, Refused> {
    let parents = expanded(&text(&body.expand))?;
    let limit = match number(&body.limit) {
        None | Some(0) => DEFAULT_LIMIT,
        Some(limit) if (1..=MAX_LIMIT).contains(&limit) => limit,
        Some(_) => return Err(out_of_range("limit", "must be between 1 and 1000")),
    };
    let offset = u64::try_from(number(&body.offset).unwrap_or(0))
        .map_err(|_| out_of_range("offset", "must be non-negative"))?;
    let order = match &body.order {
        Field::Absent | Field::Null => Order::Descending,
        Field::Value(order) if order == "desc" => Order::Descending,
        Field::Value(order) if order == "asc" => Order::Ascending,
        Field::Value(_) => return Err(out_of_range("order", "must be either 'asc' or 'desc'")),
    };
    let (start, end) = (time(&body.start_time)?, time(&body.end_time)?);
    if start.zip(end).is_some_and(|(start, end)| end < start) {
        let internal = "end_time must be after start_time";
        return Err(invalid("Please provide a valid time range", internal)
            .detail("end_time", "must be after start_time"));
    }
    let status = text(&body.status);
    let filter = CustomerFilter {
        status: match &*status {
            "published" => Some(ListedStatus::Present),
            "archived" => Some(ListedStatus::Archived),
            _ => None,
        },
        only: only(&body, &status, start, end)?,
        ..CustomerFilter::default()
    };
    let sort = match body.sort {
        Field::Value(sort) if !sort.is_empty() => {
            sort.iter().map(SortCondition::read).collect::<Result<_, _>>()?
        }
        Field::Value(_) | Field::Absent | Field::Null => {
            vec![(SortField::Time(TimeField::Created), order)]
        }
    };
    let limit = usize::try_from(limit).expect("a limit is at most 1000");
    Ok(Wanted { filter, slice: SliceRequest { offset, limit, sort }, parents })
}

fn only(
    body: &FilterBody,
    status: &str,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
) -> Result<Vec<Condition>, Refused> {
    let mut only = Vec::new();
    // Of any other status there is no customer.
    if !matches!(status, "" | "published" | "archived") {
        only.push(Condition::Id(Vec::new()));
    }
    only.extend(start.map(|start| Condition::From(TimeField::Created, start)));
    only.extend(end.map(|end| Condition::Until(TimeField::Created, end)));
    if let Some(ids) = list(&body.customer_ids) {
        only.push(Condition::Id(known(ids)));
    }
    if let Some(ids) = list(&body.parent_customer_ids) {
        only.push(Condition::Parent(known(ids)));
    }
    let is = |field, values: &[String]| Condition::Text(field, TextTest::OneOf(values.to_vec()));
    if let Some(keys) = list(&body.external_ids) {
        only.push(is(TextField::Key, keys));
    }
    let external_id = text(&body.external_id);
    if !external_id.is_empty() {
        only.push(is(TextField::Key, &[external_id]));
    }
    let email = text(&body.email);
    if !email.is_empty() {
        if email.parse::<Email>().is_err() {
            return Err(invalid("Please provide a valid email", "invalid email"));
        }
        only.push(is(TextField::Email, &[email]));
    }
    if let Field::Value(members) = &body.metadata {
        let members = members.iter().map(|(name, value)| (name.clone(), value.clone()));
        only.extend(members.map(|(name, value)| Condition::Metadata(name, value)));
    }
    if let Field::Value(filters) = &body.filters {
        for filter in filters {
            only.push(filter.read()?);
        }
    }
    Ok(only)
}

fn text(field: &Field<String>) -> String {
    match field {
        Field::Value(text) => text.clone(),
        Field::Absent | Field::Null => String::new(),
    }
}

const fn number(field: &Field<i64>) -> Option<i64> {
    match field {
        Field::Value(number) => Some(*number),
        Field::Absent | Field::Null => None,
    }
}

/// An empty list asks for nothing.
fn list(field: &Field<Vec<String>>) -> Option<&[String]> {
    match field {
        Field::Value(values) if !values.is_empty() => Some(values),
        Field::Value(_) | Field::Absent | Field::Null => None,
    }
}

/// A text that is nobody's id finds nobody.
fn known(ids: &[String]) -> Vec<CustomerId> {
    ids.iter().filter_map(|id| ids::read(id)).collect()
}

/// Reads a moment of RFC 3339; one that is out of range becomes the nearest that is not.
fn moment(text: &str) -> Result<Timestamp, Refused> {
    let read = DateTime::parse_from_rfc3339(text);
    read.map(|moment| Timestamp::from_chrono(moment.to_utc())).map_err(|_| {
        let internal =
            format!("parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse it");
        invalid(BAD_FILTER, &internal)
    })
}

fn time(field: &Field<String>) -> Result<Option<Timestamp>, Refused> {
    match field {
        Field::Value(text) => moment(text).map(Some),
        Field::Absent | Field::Null => Ok(None),
    }
}

fn expanded(asked: &str) -> Result<Parents, Refused> {
    let mut parents = Parents::Named;
    for field in asked.split(',').map(str::trim).filter(|field| !field.is_empty()) {
        if field != "parent_customer" {
            let message = "Field is not allowed to be expanded";
            let refused = invalid(message, "field not allowed to be expanded");
            return Err(refused.detail("field", field));
        }
        parents = Parents::Shown;
    }
    Ok(parents)
}

fn invalid(message: &str, internal: &str) -> Refused {
    Refused::new(Code::ValidationError, message, internal)
}

fn out_of_range(field: &str, rule: &str) -> Refused {
    invalid(BAD_FILTER, &format!("{field} {rule}")).detail(field, rule)
}
