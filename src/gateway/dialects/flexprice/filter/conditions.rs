//! Conditions and orders that a search spells out.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::json;
use tallybook_events::field::Field;
use tallybook_projections::queries::{Condition, Order, SortField, TextField, TextTest, TimeField};

use super::super::refused::Refused;
use super::super::schemas::Direction;
use super::{invalid, known, moment, text};

/// One condition.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in super::super) struct FilterCondition {
    field: Field<String>,
    operator: Field<String>,
    data_type: Field<String>,
    value: Field<Value>,
}

/// What a condition compares with: the member that its type names.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Value {
    string: Field<String>,
    date: Field<String>,
    array: Field<Vec<String>>,
}

/// One order.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["field", "direction"]))]
pub(in super::super) struct SortCondition {
    /// What to sort by.
    #[schemars(with = "Sortable")]
    field: Field<String>,
    /// Direction.
    #[schemars(with = "Direction")]
    direction: Field<String>,
}

/// What lists are sorted by.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "it is told in the document, and never made")]
pub(in super::super) enum Sortable {
    /// When it was made.
    CreatedAt,
    /// When it was changed last.
    UpdatedAt,
    /// Its name.
    Name,
    /// Its e-mail address.
    Email,
    /// Its external id.
    ExternalId,
}

impl JsonSchema for FilterCondition {
    fn schema_name() -> Cow<'static, str> {
        "FilterCondition".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let condition = |fields: &[&str], operators: &[&str], of: &str, value| {
            json!({
                "type": "object",
                "properties": {
                    "field": {"enum": fields},
                    "operator": {"enum": operators},
                    "data_type": {"const": of},
                    "value": {"type": "object", "properties": {of: value}, "required": [of]},
                },
                "required": ["field", "operator", "data_type", "value"],
            })
        };
        let (text, times) = (["external_id", "name", "email"], ["created_at", "updated_at"]);
        let (string, strings) =
            (json!({"type": "string"}), json!({"type": "array", "items": {"type": "string"}}));
        let date = json!({"type": "string", "format": "date-time"});
        json_schema!({
            "description": "What must be true of a customer.",
            "anyOf": [
                condition(&text, &["eq", "contains"], "string", string.clone()),
                condition(&text, &["in", "not_in"], "array", strings.clone()),
                condition(&["id"], &["eq"], "string", string),
                condition(&["id"], &["in"], "array", strings),
                condition(&times, &["before", "after"], "date", date),
            ],
        })
    }
}

impl FilterCondition {
    /// Reads the condition.
    pub(super) fn read(&self) -> Result<Condition, Refused> {
        let field = required("field", &self.field)?;
        let operator = required("operator", &self.operator)?;
        let data_type = required("data_type", &self.data_type)?;
        let Field::Value(value) = &self.value else { return Err(missing("value")) };
        if let Some(of) = text_field(&field) {
            let test = match (&*operator, &*data_type) {
                ("eq", "string") => TextTest::OneOf(vec![required("value", &value.string)?]),
                ("contains", "string") => TextTest::Contains(required("value", &value.string)?),
                ("in", "array") => TextTest::OneOf(value.strings()?),
                ("not_in", "array") => TextTest::NoneOf(value.strings()?),
                _ => return Err(unsupported(&operator, &data_type)),
            };
            return Ok(Condition::Text(of, test));
        }
        if field == "id" {
            return match (&*operator, &*data_type) {
                ("eq", "string") => Ok(Condition::Id(known(&[required("value", &value.string)?]))),
                ("in", "array") => Ok(Condition::Id(known(&value.strings()?))),
                _ => Err(unsupported(&operator, &data_type)),
            };
        }
        let Some(of) = time_field(&field) else { return Err(unknown(&field)) };
        let time = || moment(&required("value", &value.date)?);
        // Times are counted in microseconds.
        match (&*operator, &*data_type) {
            ("after", "date") => Ok(Condition::From(of, time()?.plus_micros(1))),
            ("before", "date") => Ok(Condition::Until(of, time()?.plus_micros(-1))),
            _ => Err(unsupported(&operator, &data_type)),
        }
    }
}

impl Value {
    fn strings(&self) -> Result<Vec<String>, Refused> {
        match &self.array {
            Field::Value(values) => Ok(values.clone()),
            Field::Absent | Field::Null => Err(missing("value")),
        }
    }
}

impl SortCondition {
    /// Makes an order by a field alone.
    pub(in super::super) fn by(field: &str, direction: &str) -> Self {
        Self {
            field: Field::Value(field.to_owned()),
            direction: Field::Value(direction.to_owned()),
        }
    }

    /// Reads the order.
    pub(super) fn read(&self) -> Result<(SortField, Order), Refused> {
        let field = required("field", &self.field)?;
        let of = text_field(&field)
            .map(SortField::Text)
            .or_else(|| time_field(&field).map(SortField::Time))
            .ok_or_else(|| unknown(&field))?;
        match &*text(&self.direction) {
            "asc" => Ok((of, Order::Ascending)),
            "desc" => Ok((of, Order::Descending)),
            _ => Err(invalid("Direction must be asc or desc", "invalid sort direction")),
        }
    }
}

fn text_field(name: &str) -> Option<TextField> {
    Some(match name {
        "external_id" => TextField::Key,
        "name" => TextField::Name,
        "email" => TextField::Email,
        _ => return None,
    })
}

fn time_field(name: &str) -> Option<TimeField> {
    Some(match name {
        "created_at" => TimeField::Created,
        "updated_at" => TimeField::Updated,
        _ => return None,
    })
}

fn required(name: &str, field: &Field<String>) -> Result<String, Refused> {
    match field {
        Field::Value(value) => Ok(value.clone()),
        Field::Absent | Field::Null => Err(missing(name)),
    }
}

fn missing(name: &str) -> Refused {
    invalid(
        &format!("The {name} of each filter and sort is required"),
        &format!("{name} is required"),
    )
}

fn unknown(field: &str) -> Refused {
    let internal = format!("unknown field name '{field}' in customer query");
    invalid(&format!("Unknown field name '{field}' in customer query"), &internal)
}

fn unsupported(operator: &str, data_type: &str) -> Refused {
    let message = format!("Operator '{operator}' of a {data_type} is not supported here");
    invalid(&message, &format!("unsupported operator: {operator}"))
}
