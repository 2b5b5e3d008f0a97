//! Which customers to list, and which part of the list.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use tallybook_events::customer::entitlements::SubscriptionStatus;
use tallybook_events::field::Edit;
use tallybook_events::json::Json;
use tallybook_events::money::Total;
use tallybook_events::time::Timestamp;
use tallybook_projections::queries::Order;

use super::super::version::ApiVersion;
use super::super::zod::{Issues, Object, Place};

/// Most customers of one page.
pub(crate) const MAX_LIMIT: u32 = 1_000;
/// Customers of a page by cursor that does not say how many.
const DEFAULT_LIMIT: u32 = 50;
/// Customers of a page by number that does not say how many.
const DEFAULT_NUMBERED_LIMIT: u32 = 100;
/// Most customers before a page by number; who wants more takes cursors.
const MAX_OFFSET: u32 = 10_000;

const STATUSES: [(&str, SubscriptionStatus); 2] =
    [("active", SubscriptionStatus::Active), ("scheduled", SubscriptionStatus::Scheduled)];
const PROCESSORS: [(&str, &str); 3] =
    [("stripe", "stripe"), ("revenuecat", "revenuecat"), ("vercel", "vercel")];
const ORDERS: [(&str, Order); 2] = [("asc", Order::Ascending), ("desc", Order::Descending)];

/// What is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListCustomers {
    /// The part of the list.
    pub(crate) part: Part,
    /// Most customers, 1 or more.
    pub(crate) limit: u32,
    /// From new to old, or the other way.
    pub(crate) order: Order,
    /// Born at that moment or later.
    pub(crate) from: Option<Timestamp>,
    /// Born at that moment or earlier.
    pub(crate) until: Option<Timestamp>,
    /// Only those of whom all this is true.
    pub(crate) wanted: Wanted,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// From a cursor on, or from the beginning.
    Cursor(Option<String>),
    /// After so many.
    Offset(u32),
}

/// What must be true of a customer that is listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Wanted {
    /// It has a subscription to one of these plans. Empty: to any, or none.
    pub(crate) plans: Vec<AskedPlan>,
    /// It has a subscription (to one of the plans) of that status.
    pub(crate) status: Option<SubscriptionStatus>,
    /// Its id, name or e-mail address has this in it, in small letters.
    pub(crate) search: Option<String>,
    /// It is linked to one of these. Empty: to any, or none.
    pub(crate) processors: Vec<&'static str>,
}

/// A plan that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AskedPlan {
    /// Its id.
    pub(crate) id: String,
    /// Whether certain versions are asked for. We know of none.
    pub(crate) versioned: bool,
}

impl ListCustomers {
    /// Reads a body, as a version has it.
    pub(crate) fn read(body: &Json, version: ApiVersion) -> Result<Self, String> {
        let mut issues = Issues::default();
        let object = issues.object(&Place::whole(body));
        let value = object.and_then(|body| Self::members(&mut issues, &body, version));
        issues.or(value)
    }

    fn members(issues: &mut Issues, body: &Object<'_>, version: ApiVersion) -> Option<Self> {
        let by_cursor = version >= ApiVersion::CURSORS;
        let (part, default) = if by_cursor {
            let cursor = issues.optional(&body.at("start_cursor"), Issues::string);
            let cursor = cursor.map(|cursor| cursor.as_set().copied().unwrap_or_default());
            let cursor = cursor.map(|text| (!text.is_empty()).then(|| text.to_owned()));
            (cursor.map(Part::Cursor), DEFAULT_LIMIT)
        } else {
            let offset = count(issues, &body.at("offset"), 0, [0, MAX_OFFSET]);
            (offset.map(Part::Offset), DEFAULT_NUMBERED_LIMIT)
        };
        let limit = count(issues, &body.at("limit"), default, [1, MAX_LIMIT]);
        let wanted = Wanted::read(issues, body);
        let order =
            issues.or_default(&body.at("sort_order"), Order::Descending, |issues, place| {
                issues.one_of(place, &ORDERS)
            });
        let range = issues.optional(&body.at("created_at_range"), |issues, place| {
            let range = issues.object(place)?;
            let start = issues.optional(&range.at("start"), millis);
            let end = issues.optional(&range.at("end"), millis);
            Some([start?, end?])
        });
        let [from, until] = match range? {
            Edit::Keep => [None, None],
            Edit::Set(range) => range.map(|bound| bound.as_set().copied()),
        };
        Some(Self {
            part: part?,
            limit: limit?,
            order: order?,
            from: from.map(|from| Timestamp::from_micros(from.saturating_mul(1_000))),
            // All of the last millisecond.
            until: until.map(|until| {
                Timestamp::from_micros(until.saturating_mul(1_000).saturating_add(999))
            }),
            wanted: wanted?,
        })
    }
}

impl Wanted {
    fn read(issues: &mut Issues, body: &Object<'_>) -> Option<Self> {
        let plans = issues.optional(&body.at("plans"), |issues, place| issues.array(place, plan));
        let status = issues.optional(&body.at("subscription_status"), |issues, place| {
            issues.one_of(place, &STATUSES)
        });
        let search = issues.optional(&body.at("search"), Issues::string);
        let processors = issues.optional(&body.at("processors"), |issues, place| {
            issues.array(place, |issues, place| issues.one_of(place, &PROCESSORS))
        });
        let search = search?.as_set().map(|search| search.trim().to_lowercase());
        Some(Self {
            plans: plans?.as_set().cloned().unwrap_or_default(),
            status: status?.as_set().copied(),
            search: search.filter(|search| !search.is_empty()),
            processors: processors?.as_set().cloned().unwrap_or_default(),
        })
    }
}

fn plan(issues: &mut Issues, place: &Place<'_>) -> Option<AskedPlan> {
    let plan = issues.object(place)?;
    let id = issues.string(&plan.at("id"));
    let versions = issues.optional(&plan.at("versions"), |issues, place| {
        issues.array(place, |issues, place| issues.integer(place, 0, u32::MAX))
    });
    let versioned = versions?.as_set().is_some_and(|versions| !versions.is_empty());
    Some(AskedPlan { id: id?.to_owned(), versioned })
}

/// Reads an integer, that may be in a string, within bounds.
fn count(
    issues: &mut Issues,
    place: &Place<'_>,
    default: u32,
    [least, most]: [u32; 2],
) -> Option<u32> {
    let Some(Json::String(text)) = place.value() else {
        return issues
            .or_default(place, default, |issues, place| issues.integer(place, least, most));
    };
    let number = Json::Number(text.clone());
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let place = if digits { place.with(&number) } else { place.clone() };
    issues.integer(&place, least, most)
}

/// Reads milliseconds since 1970, any number: fractions are cut off, and what is out of range is the
/// nearest that is not.
fn millis(issues: &mut Issues, place: &Place<'_>) -> Option<i64> {
    let text = issues.number(place)?;
    let total = text.parse::<Total>().ok();
    let millis = total.and_then(|total| i64::try_from(total.decimal().trunc()).ok());
    Some(millis.unwrap_or(match text {
        tiny if tiny.to_ascii_lowercase().contains("e-") => 0,
        below if below.starts_with('-') => i64::MIN,
        _ => i64::MAX,
    }))
}

impl JsonSchema for ListCustomers {
    fn schema_name() -> Cow<'static, str> {
        "ListCustomers".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let moment = json_schema!({"type": "number"});
        json_schema!({
            "type": "object",
            "properties": {
                "start_cursor": {
                    "description": "The next_cursor of the page before; empty for the first. From \
                                    version 2.3 on.",
                    "type": "string", "default": "", "pattern": "^[^\\u0000]*$"
                },
                "offset": {
                    "description": "How many customers to skip. Before version 2.3.",
                    "type": "integer", "minimum": 0, "maximum": MAX_OFFSET, "default": 0
                },
                "limit": {
                    "description": "Customers of a page: 50 where none is said, before version 2.3 100.",
                    "type": "integer", "minimum": 1, "maximum": MAX_LIMIT
                },
                "plans": {
                    "description": "Only those with a subscription to one of these plans. No plan \
                                    has versions here.",
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["id"],
                        "properties": {
                            "id": {"type": "string", "pattern": "^[^\\u0000]*$"},
                            "versions": {
                                "type": "array",
                                "items": {"type": "integer", "minimum": 0, "maximum": u32::MAX}
                            }
                        }
                    }
                },
                "subscription_status": {
                    "description": "Only those with a subscription of that status.",
                    "enum": ["active", "scheduled"]
                },
                "search": {
                    "description": "Only those with this in their id, name or e-mail address.",
                    "type": "string", "pattern": "^[^\\u0000]*$"
                },
                "processors": {
                    "description": "Only those linked to one of these.",
                    "type": "array",
                    "items": {"enum": ["stripe", "revenuecat", "vercel"]}
                },
                "sort_order": {
                    "description": "By birth.", "enum": ["asc", "desc"], "default": "desc"
                },
                "created_at_range": {
                    "description": "Only those born from the start to the end, in milliseconds.",
                    "type": "object",
                    "properties": {"start": moment, "end": moment}
                }
            }
        })
    }
}
