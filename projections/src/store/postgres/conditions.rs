//! Which customers a list is of, as SQL.

use tallybook_events::ids::{CustomerId, Scope};
use uuid::Uuid;

use super::database::PostgresError;
use super::question::{Question, Value};
use crate::queries::{
    Condition, CustomerFilter, ListedStatus, SortField, TextField, TextTest, TimeField,
};

/// Most values that a text, an id or a parent may be one of.
const MAX_VALUES: usize = 10_000;

fn text(text: &str) -> Vec<Value> {
    vec![Box::new(text.to_owned())]
}

/// Leaves those customers of a scope that pass a filter.
pub(super) fn filtered(
    question: &mut Question,
    scope: &Scope,
    filter: &CustomerFilter,
) -> Result<(), PostgresError> {
    question.only("tenant = ?", text(scope.tenant.as_str()));
    question.only("environment = ?", text(scope.environment.as_str()));
    match filter.status {
        None => {}
        Some(ListedStatus::Present) => question.only("archived_at IS NULL", Vec::new()),
        Some(ListedStatus::Active) => question.only("status = ?", text("active")),
        Some(ListedStatus::Suspended) => question.only("status = ?", text("suspended")),
        Some(ListedStatus::Archived) => question.only("status = ?", text("archived")),
    }
    if let Some(tier) = &filter.tier {
        question.only("tier = ?", text(tier.as_str()));
    }
    if let Some(prefix) = &filter.key_prefix {
        question.only("key >= ?", text(prefix));
        question.only("key < ?", text(&format!("{prefix}\u{10FFFF}")));
    }
    filter.only.iter().try_for_each(|condition| only(question, condition))
}

fn only(question: &mut Question, condition: &Condition) -> Result<(), PostgresError> {
    match condition {
        Condition::Id(ids) => {
            let ids: Vec<Uuid> = few(ids)?.iter().map(|id| id.0).collect();
            question.only("id = ANY(?)", vec![Box::new(ids)]);
        }
        Condition::Parent(ids) => {
            let ids: Vec<String> = few(ids)?.iter().map(CustomerId::to_string).collect();
            let parent = "groups::json #>> '{identity,parent}' = ANY(?)";
            question.only(parent, vec![Box::new(ids)]);
        }
        Condition::Text(field, TextTest::OneOf(values)) => {
            let one_of = format!("{} = ANY(?)", text_of(*field));
            question.only(&one_of, vec![Box::new(few(values)?.to_vec())]);
        }
        Condition::Text(field, TextTest::NoneOf(values)) => {
            let none_of = format!("{} <> ALL(?)", text_of(*field));
            question.only(&none_of, vec![Box::new(few(values)?.to_vec())]);
        }
        Condition::Text(field, TextTest::Contains(part)) => {
            // In this collation only letters of ASCII have a lower one.
            let contains =
                format!("strpos(lower({}), lower(?::text COLLATE \"C\")) > 0", text_of(*field));
            question.only(&contains, text(part));
        }
        Condition::Metadata(name, value) => {
            let names: Vec<Value> = vec![Box::new(name.clone()), Box::new(name.clone())];
            let member = "json_typeof(groups::json #> ARRAY['profile', 'metadata', ?::text]) \
                          = 'string' AND groups::json #>> ARRAY['profile', 'metadata', ?::text] = ?";
            let value: Value = Box::new(value.clone());
            question.only(member, names.into_iter().chain([value]).collect());
        }
        Condition::From(field, time) => {
            question.only(&format!("{} >= ?", time_of(*field)), vec![Box::new(time.micros())]);
        }
        Condition::Until(field, time) => {
            question.only(&format!("{} <= ?", time_of(*field)), vec![Box::new(time.micros())]);
        }
    }
    Ok(())
}

fn few<T>(values: &[T]) -> Result<&[T], PostgresError> {
    if values.len() > MAX_VALUES {
        return Err(PostgresError::Row("too many values to look for".into()));
    }
    Ok(values)
}

const fn text_of(field: TextField) -> &'static str {
    match field {
        TextField::Key => "coalesce(key, '')",
        TextField::Name => "coalesce(groups::json #>> '{profile,name}', '') COLLATE \"C\"",
        TextField::Email => "coalesce(groups::json #>> '{profile,email}', '') COLLATE \"C\"",
    }
}

const fn time_of(field: TimeField) -> &'static str {
    match field {
        TimeField::Created => "created_at",
        TimeField::Updated => "updated_at",
    }
}

/// Gives what a list is sorted by.
pub(super) const fn sorted_by(field: SortField) -> &'static str {
    match field {
        SortField::Time(field) => time_of(field),
        SortField::Text(field) => text_of(field),
    }
}
