//! Which customers a list is of, as SQL.

use rusqlite::ToSql;
use tallybook_events::ids::{CustomerId, Scope};

use super::database::SqliteError;
use super::lists::Question;
use crate::queries::{
    Condition, CustomerFilter, ListedStatus, SortField, TextField, TextTest, TimeField,
};

/// Most values that a text, an id or a parent may be one of.
const MAX_VALUES: usize = 10_000;

type Values = Vec<Box<dyn ToSql>>;

fn text(text: &str) -> Values {
    vec![Box::new(text.to_owned())]
}

/// Leaves those customers of a scope that pass a filter.
pub(super) fn filtered(
    question: &mut Question,
    scope: &Scope,
    filter: &CustomerFilter,
) -> Result<(), SqliteError> {
    question.only("tenant = ?", text(scope.tenant.as_str()));
    question.only("environment = ?", text(scope.environment.as_str()));
    match filter.status {
        None => {}
        Some(ListedStatus::Present) => question.only("archived_at IS NULL", Values::new()),
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

fn only(question: &mut Question, condition: &Condition) -> Result<(), SqliteError> {
    match condition {
        Condition::Id(ids) => {
            let ids = ids.iter().map(|id| -> Box<dyn ToSql> { Box::new(id.0.as_bytes().to_vec()) });
            one_of(question, "id", "IN", ids.collect())?;
        }
        Condition::Parent(ids) => {
            let ids = ids.iter().map(CustomerId::to_string).collect();
            one_of(question, "json_extract(groups, '$.identity.parent')", "IN", texts(ids))?;
        }
        Condition::Text(field, TextTest::OneOf(values)) => {
            one_of(question, text_of(*field), "IN", texts(values.clone()))?;
        }
        Condition::Text(field, TextTest::NoneOf(values)) => {
            one_of(question, text_of(*field), "NOT IN", texts(values.clone()))?;
        }
        Condition::Text(field, TextTest::Contains(part)) => {
            question.only(&format!("instr(lower({}), lower(?)) > 0", text_of(*field)), text(part));
        }
        Condition::Metadata(name, value) => {
            let condition = "EXISTS (SELECT 1 FROM json_each(groups, '$.profile.metadata') AS member \
                             WHERE member.key = ? AND member.type = 'text' AND member.value = ?)";
            let values: Values = vec![Box::new(name.clone()), Box::new(value.clone())];
            question.only(condition, values);
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

fn texts(values: Vec<String>) -> Values {
    values.into_iter().map(|value| -> Box<dyn ToSql> { Box::new(value) }).collect()
}

fn one_of(
    question: &mut Question,
    what: &str,
    test: &str,
    values: Values,
) -> Result<(), SqliteError> {
    if values.len() > MAX_VALUES {
        return Err(SqliteError::Row("too many values to look for".into()));
    }
    let places = vec!["?"; values.len()].join(", ");
    question.only(&format!("{what} {test} ({places})"), values);
    Ok(())
}

const fn text_of(field: TextField) -> &'static str {
    match field {
        TextField::Key => "coalesce(key, '')",
        TextField::Name => "coalesce(json_extract(groups, '$.profile.name'), '')",
        TextField::Email => "coalesce(json_extract(groups, '$.profile.email'), '')",
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
