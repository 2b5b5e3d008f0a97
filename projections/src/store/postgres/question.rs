//! Questions that are put together from parts.

use std::fmt::Write as _;

use deadpool_postgres::Transaction;
use tokio_postgres::types::ToSql;

use super::conditions::sorted_by;
use super::database::PostgresError;
use super::rows::Columns;
use crate::queries::{Order, PageRequest, SliceRequest, SortField, TimeField};

/// Most items of one page, whatever is asked for.
const MAX_LIMIT: usize = 1_000;

/// A value of a question.
pub(super) type Value = Box<dyn ToSql + Sync + Send>;

/// A question, and its values.
pub(super) struct Question {
    sql: String,
    values: Vec<Value>,
}

impl Question {
    pub(super) fn new(sql: String) -> Self {
        Self { sql, values: Vec::new() }
    }

    /// Adds a condition; each `?` in it is one of the values.
    pub(super) fn only(&mut self, condition: &str, values: Vec<Value>) {
        self.sql.push_str(if self.values.is_empty() { " WHERE " } else { " AND " });
        self.add(condition, values);
    }

    fn add(&mut self, text: &str, values: Vec<Value>) {
        let mut parts = text.split('?');
        self.sql.push_str(parts.next().unwrap_or_default());
        for (part, value) in parts.zip(values) {
            self.values.push(value);
            write!(self.sql, "${}{part}", self.values.len()).expect("writing to a string");
        }
    }

    /// Adds the part that makes a page of it: those after `last`, in order, one more than asked for.
    pub(super) fn page(
        &mut self,
        columns: &[&str],
        last: Option<Vec<Value>>,
        page: &PageRequest,
    ) -> Result<(), PostgresError> {
        let (beyond, direction) = match page.order {
            Order::Ascending => (">", "ASC"),
            Order::Descending => ("<", "DESC"),
        };
        if let Some(last) = last {
            let places = vec!["?"; last.len()].join(", ");
            self.only(&format!("({}) {beyond} ({places})", columns.join(", ")), last);
        }
        let order = columns.join(&format!(" {direction}, "));
        let limit = i64::try_from(limit(page) + 1)
            .map_err(|_| PostgresError::Row("a page cannot be that long".into()))?;
        self.add(&format!(" ORDER BY {order} {direction} LIMIT ?"), vec![Box::new(limit)]);
        Ok(())
    }

    /// Adds the part that makes a slice of it.
    pub(super) fn slice(&mut self, slice: &SliceRequest) -> Result<(), PostgresError> {
        let born = [(SortField::Time(TimeField::Created), Order::Ascending)];
        let sort = if slice.sort.is_empty() { &born[..] } else { &slice.sort };
        self.sql.push_str(" ORDER BY ");
        let mut direction = "ASC";
        for (field, order) in sort {
            direction = match order {
                Order::Ascending => "ASC",
                Order::Descending => "DESC",
            };
            write!(self.sql, "{} {direction}, ", sorted_by(*field)).expect("writing to a string");
        }
        let limit = i64::try_from(slice.limit.clamp(1, MAX_LIMIT))
            .map_err(|_| PostgresError::Row("a slice cannot be that long".into()))?;
        // Beyond the last item there is none, however far.
        let offset = i64::try_from(slice.offset).unwrap_or(i64::MAX);
        let part = format!("id {direction} LIMIT ? OFFSET ?");
        self.add(&part, vec![Box::new(limit), Box::new(offset)]);
        Ok(())
    }

    /// Asks it.
    pub(super) async fn rows<T>(
        &self,
        transaction: &Transaction<'_>,
        read: impl Fn(Columns<'_>) -> Result<T, PostgresError>,
    ) -> Result<Vec<T>, PostgresError> {
        let values: Vec<&(dyn ToSql + Sync)> =
            self.values.iter().map(|value| -> &(dyn ToSql + Sync) { &**value }).collect();
        let rows = transaction.query(&self.sql, &values).await?;
        rows.iter().map(|row| read(Columns(row))).collect()
    }
}

/// Gives how many items a page may have.
pub(super) fn limit(page: &PageRequest) -> usize {
    page.limit.clamp(1, MAX_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_numbered_as_they_come() {
        let mut question = Question::new("SELECT".into());
        question.only("a = ?", vec![Box::new(1_i64)]);
        question.only("b IS NULL", Vec::new());
        let page = PageRequest { limit: 5, cursor: None, order: Order::Descending };
        question.page(&["c", "d"], Some(vec![Box::new(2_i64), Box::new(3_i64)]), &page).unwrap();
        assert_eq!(
            question.sql,
            "SELECT WHERE a = $1 AND b IS NULL AND (c, d) < ($2, $3) ORDER BY c DESC, d DESC LIMIT $4"
        );
        assert_eq!(question.values.len(), 4);
    }
}
