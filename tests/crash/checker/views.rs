//! The read models against the fold: as the native API answers, and as they lie in `views.db`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::amounts::period;
use super::stored::open;
use super::{Checked, Fault};

/// What the native API answers about all customers.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// Documents by id.
    pub(crate) customers: BTreeMap<String, Value>,
    /// Ledgers by customer id.
    pub(crate) usage: BTreeMap<String, Vec<Value>>,
}

fn differs(what: String, seen: &Value, folded: &Value) -> Option<Fault> {
    let text = |value: &Value| serde_json::to_string(value).expect("JSON");
    (seen != folded).then(|| Fault::View { what, seen: text(seen), folded: text(folded) })
}

impl Checked {
    /// Adds a fault for each difference between the answers and the fold.
    pub(crate) fn compare_answers(&mut self, answers: &Answers) {
        let ids = |ids: Vec<&String>| json!(ids);
        let known = ids(self.fold.keys().collect());
        self.faults.extend(differs(
            "customers".to_owned(),
            &ids(answers.customers.keys().collect()),
            &known,
        ));
        for (id, customer) in &self.fold {
            let Some(document) = answers.customers.get(id) else { continue };
            let start = document["usage"]["period"]["start"].as_str().unwrap_or_default();
            if start.len() < 19 || period("month", start).0 != start {
                let what = format!("current period of {id}");
                self.faults.extend(differs(what, &json!(start), &json!("the start of a month")));
                continue;
            }
            let what = format!("customer {id}");
            self.faults.extend(differs(what, document, &customer.shown(start)));
            let folded: Vec<Value> = customer.usage().into_values().collect();
            let mut rows = answers.usage.get(id).cloned().unwrap_or_default();
            let name = |row: &Value| (row["kind"].to_string(), row["start"].to_string());
            rows.sort_by_key(name);
            let mut folded = folded;
            folded.sort_by_key(name);
            self.faults.extend(differs(format!("usage of {id}"), &json!(rows), &json!(folded)));
        }
    }

    /// Adds a fault for each difference between `views.db` and the fold. For a server that has ended
    /// after its read models had reached all of the journal.
    pub(crate) fn compare_database(&mut self, data: &Path) {
        let database = open(&data.join("views.db"));
        let rows = |sql: &str| -> Vec<Vec<Value>> {
            let mut select = database.prepare(sql).expect("a table of the read models");
            let columns = select.column_count();
            let rows = select
                .query_map([], |row| (0..columns).map(|at| Ok(plain(row.get_ref(at)?))).collect());
            rows.expect("a query").map(|row| row.expect("a row")).collect()
        };
        let positions: BTreeMap<String, Value> =
            rows("SELECT partition, json_array(seq, lower(hex(head))) FROM positions")
                .into_iter()
                .map(|row| (row[0].to_string(), row[1].clone()))
                .collect();
        let place = |(seq, head): &(u64, [u8; 32])| json!(json!([seq, hex(head)]).to_string());
        let start = place(&(0, [0; 32]));
        for (partition, ends) in &self.ends {
            let stands = positions.get(&partition.to_string()).unwrap_or(&start);
            let ends: Vec<Value> = ends.iter().map(place).collect();
            if !ends.contains(stands) {
                let what = format!("position in partition {partition}");
                self.faults.extend(differs(what, stands, &json!(ends)));
            }
        }

        let versions = json!(rows(
            "SELECT lower(hex(id)), version, (SELECT count(*) FROM timeline WHERE customer = id),
                (SELECT coalesce(max(version), 0) FROM timeline WHERE customer = id)
             FROM customers ORDER BY 1"
        ));
        let folded: Vec<Value> = self
            .fold
            .iter()
            .map(|(id, customer)| {
                let version = customer.version;
                json!([id.replace('-', ""), version, version, version])
            })
            .collect();
        self.faults.extend(differs("versions and timelines".to_owned(), &versions, &json!(folded)));

        let ledger = json!(rows(
            "SELECT lower(hex(customer)), kind, raw, charged, quantity, count FROM period_usage
             WHERE kind IN ('day', 'month', 'year', 'lifetime', 'budget')
             ORDER BY 1, 2, starts_at"
        ));
        let mut folded = Vec::new();
        for (id, customer) in &self.fold {
            for ((kind, _), row) in customer.usage() {
                let member = |name: &str| row[name].clone();
                folded.push(json!([
                    id.replace('-', ""),
                    kind,
                    member("raw"),
                    member("charged"),
                    member("quantity"),
                    member("count"),
                ]));
            }
        }
        self.faults.extend(differs("period_usage".to_owned(), &ledger, &json!(folded)));
    }
}

fn plain(value: rusqlite::types::ValueRef<'_>) -> Value {
    match value {
        rusqlite::types::ValueRef::Null => Value::Null,
        rusqlite::types::ValueRef::Integer(number) => json!(number),
        rusqlite::types::ValueRef::Text(text) => json!(String::from_utf8_lossy(text)),
        rusqlite::types::ValueRef::Real(_) | rusqlite::types::ValueRef::Blob(_) => {
            json!("neither a number nor text")
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}
