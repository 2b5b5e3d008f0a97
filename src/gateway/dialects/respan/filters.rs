//! The filters of a list: conditions on fields. What the read model can test it tests; the rest is
//! tested here, customer by customer.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};
use tallybook_events::json::Json;
use tallybook_events::money::{Amount, Total};
use tallybook_projections::queries::{Condition, TextField, TextTest};

use super::asked::RespanEnvironment;
use super::error::RespanError;
use super::listed::{Cell, Field, Row};
use crate::gateway::number::{NoAmount, amount};

/// Most values of one filter.
const MAX_VALUES: usize = 1_000;

/// More than any sum of amounts, in units of 10^-12.
const BEYOND: i128 = 10_i128.pow(28);

/// How a field is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Contains,
    NotContains,
    ContainsAnyCase,
    StartsWith,
    NotStartsWith,
    EndsWith,
    NotEndsWith,
    Empty,
    NotEmpty,
}

/// Operators that take several values, by their names.
const MANY: [(&str, Operator); 4] = [
    ("", Operator::In),
    ("in", Operator::In),
    ("not", Operator::NotIn),
    ("not_in", Operator::NotIn),
];
/// Operators that take one value.
const ONE: [(&str, Operator); 11] = [
    ("lt", Operator::Less),
    ("lte", Operator::LessOrEqual),
    ("gt", Operator::Greater),
    ("gte", Operator::GreaterOrEqual),
    ("contains", Operator::Contains),
    ("not_contains", Operator::NotContains),
    ("icontains", Operator::ContainsAnyCase),
    ("startswith", Operator::StartsWith),
    ("not_startswith", Operator::NotStartsWith),
    ("endswith", Operator::EndsWith),
    ("not_endswith", Operator::NotEndsWith),
];
/// Operators that look at no value: an empty text stands in its place.
const NO_VALUE: [(&str, Operator); 2] =
    [("empty", Operator::Empty), ("not_empty", Operator::NotEmpty)];

/// One condition on one field.
#[derive(Debug, PartialEq, Eq)]
struct Filter {
    field: Field,
    operator: Operator,
    values: Vec<Compared>,
}

/// A value to compare with: its text, and the number that it is.
#[derive(Debug, PartialEq, Eq)]
struct Compared {
    text: String,
    number: Option<Total>,
}

/// All that must be true of a customer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Filters(Vec<Filter>);

/// What a list may be filtered by, as a caller sends it.
#[derive(Debug)]
pub(super) struct AskedFilters;

impl JsonSchema for AskedFilters {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Filters".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let shape = |operators: &[(&str, Operator)], values: Value, required: &[&str]| {
            let names: Vec<&str> = operators.iter().map(|(name, _)| *name).collect();
            json!({
                "type": "object",
                "properties": {"operator": {"type": "string", "enum": names}, "value": values},
                "required": required
            })
        };
        let condition = |kind: &str| {
            let values = |most: usize, item: Value| json!({"type": "array", "minItems": 1, "maxItems": most, "items": item});
            let shapes = [
                shape(&MANY, values(MAX_VALUES, json!({"type": kind})), &["value"]),
                shape(&ONE, values(1, json!({"type": kind})), &["operator", "value"]),
                shape(&NO_VALUE, values(1, json!({"const": ""})), &["operator", "value"]),
            ];
            let one = json!({"anyOf": shapes});
            json!({"anyOf": [one, {"type": "array", "items": one}]})
        };
        let fields: BTreeMap<&str, Value> = Field::FILTERED
            .iter()
            .map(|field| {
                let kind = if field.is_text() { "string" } else { "number" };
                (field.as_str(), condition(kind))
            })
            .collect();
        json_schema!({"type": "object", "properties": fields, "additionalProperties": false})
    }
}

impl Filters {
    /// Reads the member `filters` of a body.
    pub(super) fn read(asked: Json) -> Result<Self, RespanError> {
        let Json::Object(fields) = asked else {
            return Err(fault("must be an object of conditions by field"));
        };
        let mut filters = Vec::new();
        for (name, conditions) in fields {
            let field = Field::FILTERED.into_iter().find(|field| field.as_str() == &*name);
            let field =
                field.ok_or_else(|| fault(&format!("{name} is not a field to filter by")))?;
            let conditions = if let Json::Array(conditions) = conditions {
                conditions
            } else {
                vec![conditions]
            };
            for condition in conditions {
                filters.push(Filter::read(field, condition)?);
            }
        }
        Ok(Self(filters))
    }

    /// Tells whether all is true of a customer.
    pub(super) fn pass(&self, row: &Row) -> bool {
        self.0.iter().all(|filter| filter.pass(&row.cell(filter.field)))
    }

    /// Gives what the read model can test, and whether that is all.
    pub(super) fn conditions(&self) -> (Vec<Condition>, bool) {
        let conditions: Vec<_> = self.0.iter().map(Filter::condition).collect();
        let all = conditions.iter().all(|(_, exact)| *exact);
        (conditions.into_iter().filter_map(|(condition, _)| condition).collect(), all)
    }

    /// Takes out what is asked of the environment, which all customers here share; nothing when that
    /// is not true of it.
    pub(super) fn settled(self, environment: RespanEnvironment) -> Option<Self> {
        let cell = Cell::Text(environment.as_str().into());
        let mut filters = self.0;
        let asked = |filter: &Filter| filter.field == Field::Environment;
        let possible =
            filters.iter().filter(|filter| asked(filter)).all(|filter| filter.pass(&cell));
        filters.retain(|filter| !asked(filter));
        possible.then_some(Self(filters))
    }

    /// Tells whether a field is among them.
    pub(super) fn name(&self, field: Field) -> bool {
        self.0.iter().any(|filter| filter.field == field)
    }
}

impl Filter {
    fn read(field: Field, condition: Json) -> Result<Self, RespanError> {
        let name = field.as_str();
        let Json::Object(mut members) = condition else {
            return Err(fault(&format!("a condition on {name} is an object")));
        };
        let asked = members.remove("operator");
        let asked = asked.as_ref().map_or(Some(""), Json::as_str);
        let known = [&MANY[..], &ONE, &NO_VALUE].into_iter().flatten();
        let operator = known.copied().find(|(known, _)| asked == Some(known));
        let unknown = || fault(&format!("{name} has an operator that is not known"));
        let (_, operator) = operator.ok_or_else(unknown)?;
        let Some(Json::Array(values)) = members.remove("value") else {
            return Err(fault(&format!("{name} needs a list of values")));
        };
        let many = matches!(operator, Operator::In | Operator::NotIn);
        let most = if many { MAX_VALUES } else { 1 };
        if values.is_empty() || values.len() > most {
            let says = format!("{name} takes 1 to {most} values with this operator");
            return Err(fault(&says));
        }
        if matches!(operator, Operator::Empty | Operator::NotEmpty) {
            return match &values[..] {
                [Json::String(nothing)] if nothing.is_empty() => {
                    Ok(Self { field, operator, values: Vec::new() })
                }
                _ => Err(fault(&format!("{name} takes the value \"\" with this operator"))),
            };
        }
        let values: Option<Vec<_>> =
            values.into_iter().map(|value| Compared::read(value, field)).collect();
        let values = values.ok_or_else(|| fault(&format!("{name} has a value of another type")))?;
        Ok(Self { field, operator, values })
    }

    fn pass(&self, cell: &Cell<'_>) -> bool {
        let text = cell.text();
        let any = |test: fn(&str, &str) -> bool| {
            text.as_deref()
                .is_some_and(|text| self.values.iter().any(|value| test(text, &value.text)))
        };
        let compared = |expected: &[Ordering]| {
            let compare = |value: &Compared| cell.compare(&value.text, value.number);
            self.values.iter().filter_map(compare).any(|found| expected.contains(&found))
        };
        match self.operator {
            Operator::In => compared(&[Ordering::Equal]),
            Operator::NotIn => !compared(&[Ordering::Equal]),
            Operator::Less => compared(&[Ordering::Less]),
            Operator::LessOrEqual => compared(&[Ordering::Less, Ordering::Equal]),
            Operator::Greater => compared(&[Ordering::Greater]),
            Operator::GreaterOrEqual => compared(&[Ordering::Greater, Ordering::Equal]),
            Operator::Contains => any(|text, part| text.contains(part)),
            Operator::NotContains => !any(|text, part| text.contains(part)),
            Operator::ContainsAnyCase => {
                any(|text, part| text.to_ascii_lowercase().contains(&part.to_ascii_lowercase()))
            }
            Operator::StartsWith => any(|text, part| text.starts_with(part)),
            Operator::NotStartsWith => !any(|text, part| text.starts_with(part)),
            Operator::EndsWith => any(|text, part| text.ends_with(part)),
            Operator::NotEndsWith => !any(|text, part| text.ends_with(part)),
            Operator::Empty => text.is_none_or(|text| text.is_empty()),
            Operator::NotEmpty => text.is_some_and(|text| !text.is_empty()),
        }
    }

    /// Gives what the read model can test of it, and whether that is all of it.
    fn condition(&self) -> (Option<Condition>, bool) {
        let field = match self.field {
            Field::CustomerIdentifier => TextField::Key,
            Field::Name => TextField::Name,
            Field::Email => TextField::Email,
            Field::Environment
            | Field::FirstSeen
            | Field::LastActive
            | Field::ActiveDays
            | Field::Requests
            | Field::Cost
            | Field::Unknown(_) => return (None, false),
        };
        let texts =
            || -> Vec<String> { self.values.iter().map(|value| value.text.clone()).collect() };
        let part = || TextTest::Contains(texts().concat());
        let empty = || vec![String::new()];
        let (test, exact) = match self.operator {
            Operator::In => (TextTest::OneOf(texts()), true),
            Operator::NotIn => (TextTest::NoneOf(texts()), true),
            Operator::Empty => (TextTest::OneOf(empty()), true),
            Operator::NotEmpty => (TextTest::NoneOf(empty()), true),
            Operator::ContainsAnyCase => (part(), true),
            Operator::Contains | Operator::StartsWith | Operator::EndsWith => (part(), false),
            Operator::Less
            | Operator::LessOrEqual
            | Operator::Greater
            | Operator::GreaterOrEqual
            | Operator::NotContains
            | Operator::NotStartsWith
            | Operator::NotEndsWith => return (None, false),
        };
        (Some(Condition::Text(field, test)), exact)
    }
}

impl Compared {
    /// Reads a value that a field may be compared with.
    fn read(value: Json, field: Field) -> Option<Self> {
        match value {
            Json::String(text) if field.is_text() => Some(Self { text: text.into(), number: None }),
            Json::Number(text) if !field.is_text() => {
                let number = match amount(&text) {
                    Ok(amount) => amount.into(),
                    // No customer's number is below 0, and none is near this.
                    Err(NoAmount::Negative) => Total::ZERO.minus(Amount::from(1))?,
                    Err(NoAmount::TooLarge) => Total::from_trillionths(BEYOND)?,
                };
                Some(Self { text: text.into(), number: Some(number) })
            }
            Json::Null
            | Json::Bool(_)
            | Json::Number(_)
            | Json::String(_)
            | Json::Array(_)
            | Json::Object(_) => None,
        }
    }
}

fn fault(says: &str) -> RespanError {
    RespanError::field("filters", says.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::listed::Activity;
    use super::*;
    use crate::gateway::testing::document;

    /// Live, with the key `acme`, a name, an e-mail address, three reports on two days, 3.3 USD.
    fn row() -> Row {
        let mut document = document("t", "acme", "5f0c1d0e-0000-5000-8000-000000000001");
        document.profile.name = Some("Acme Inc".into());
        document.profile.email = Some("ann@one.example".into());
        document.usage.lifetime.count = 3;
        document.usage.lifetime.charged = "3.3".parse().unwrap();
        let last = "2026-03-02T08:00:00Z".parse().ok();
        Row { document, activity: Some(Activity { last, days: 2 }) }
    }

    fn read(filters: &str) -> Result<Filters, RespanError> {
        Filters::read(serde_json::from_str(filters).unwrap())
    }

    #[test]
    fn each_operator_passes_what_it_should_and_nothing_else() {
        for (field, operator, value, expected) in [
            ("customer_identifier", "", r#"["x","acme"]"#, true),
            ("customer_identifier", "", r#"["Acme"]"#, false),
            ("customer_identifier", "in", r#"["acme"]"#, true),
            ("customer_identifier", "not", r#"["acme","x"]"#, false),
            ("customer_identifier", "not_in", r#"["x"]"#, true),
            ("name", "contains", r#"["me I"]"#, true),
            ("name", "contains", r#"["ME I"]"#, false),
            ("name", "icontains", r#"["ME I"]"#, true),
            ("name", "not_contains", r#"["me I"]"#, false),
            ("name", "startswith", r#"["Acme"]"#, true),
            ("name", "startswith", r#"["Inc"]"#, false),
            ("name", "not_startswith", r#"["Inc"]"#, true),
            ("email", "endswith", r#"["@one.example"]"#, true),
            ("email", "endswith", r#"["ann"]"#, false),
            ("email", "not_endswith", r#"["ann"]"#, true),
            ("email", "empty", r#"[""]"#, false),
            ("email", "not_empty", r#"[""]"#, true),
            ("email", "lt", r#"["b"]"#, true),
            ("email", "gt", r#"["b"]"#, false),
            ("number_of_requests", "", "[3.0]", true),
            ("number_of_requests", "not", "[3]", false),
            ("total_cost", "lt", "[3.3]", false),
            ("total_cost", "lte", "[3.30]", true),
            ("total_cost", "gt", "[-1e400]", true),
            ("total_cost", "gte", "[3.3000001]", false),
            ("total_cost", "lt", "[1e400]", true),
            ("active_days", "gte", "[2]", true),
            ("total_tokens", "gte", "[0]", false),
            ("total_tokens", "lt", "[1]", false),
            ("total_tokens", "not", "[1]", true),
            ("total_tokens", "empty", r#"[""]"#, true),
            ("average_ttft", "not_empty", r#"[""]"#, false),
        ] {
            let filters = format!(r#"{{"{field}":{{"operator":"{operator}","value":{value}}}}}"#);
            assert_eq!(read(&filters).unwrap().pass(&row()), expected, "{filters}");
        }
    }

    #[test]
    fn all_conditions_on_all_fields_must_be_true() {
        let range = |from: &str, to: &str| {
            let filters = format!(
                r#"{{"total_cost":[{{"operator":"gte","value":[{from}]}},{{"operator":"lt","value":[{to}]}}],
                    "name":{{"value":["Acme Inc"]}}}}"#
            );
            read(&filters).unwrap().pass(&row())
        };
        assert!(range("3", "4"));
        assert!(!range("3.4", "4"));
        assert!(!range("3", "3.3"));
        assert!(read("{}").unwrap().pass(&row()));
    }

    #[test]
    fn the_read_model_is_asked_for_what_it_can_test() {
        let conditions = |filters: &str| read(filters).unwrap().conditions();
        let text = |test| vec![Condition::Text(TextField::Email, test)];
        for (operator, condition, all) in [
            ("in", text(TextTest::OneOf(vec!["a".into()])), true),
            ("not", text(TextTest::NoneOf(vec!["a".into()])), true),
            ("empty", text(TextTest::OneOf(vec![String::new()])), true),
            ("not_empty", text(TextTest::NoneOf(vec![String::new()])), true),
            ("icontains", text(TextTest::Contains("a".into())), true),
            ("endswith", text(TextTest::Contains("a".into())), false),
            ("not_endswith", vec![], false),
            ("lt", vec![], false),
        ] {
            let value = if operator.ends_with("empty") { "" } else { "a" };
            let filters = format!(r#"{{"email":{{"operator":"{operator}","value":["{value}"]}}}}"#);
            assert_eq!(conditions(&filters), (condition, all), "{operator}");
        }
        assert_eq!(conditions(r#"{"total_cost":{"value":[1]}}"#), (vec![], false));
        assert_eq!(conditions("{}"), (vec![], true));
    }

    #[test]
    fn what_is_asked_of_the_environment_is_settled_at_once() {
        let settled = |filters: &str| read(filters).unwrap().settled(RespanEnvironment::Prod);
        let prod = r#"{"environment":{"value":["prod","test"]}}"#;
        assert_eq!(settled(prod), Some(Filters::default()));
        assert_eq!(settled(r#"{"environment":{"operator":"not","value":["prod"]}}"#), None);
        assert_eq!(settled(r#"{"environment":{"value":["staging"]}}"#), None);
    }

    #[test]
    fn a_list_is_bounded_in_values() {
        let filters = |values: usize| {
            read(&format!(r#"{{"name":{{"value":[{}]}}}}"#, vec![r#""a""#; values].join(",")))
        };
        assert!(filters(MAX_VALUES).is_ok());
        let says = "name takes 1 to 1000 values with this operator";
        assert_eq!(filters(MAX_VALUES + 1), Err(RespanError::field("filters", says)));
    }
}
