//! Keys when all is quiet: every slot gives its key to the customer that has it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Fault;
use super::chain::Counted;
use super::fold::Fold;

/// Gives each key that a slot gave to a customer that has it not.
pub(super) fn check(counted: &[Counted], fold: &Fold) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut holders: BTreeMap<String, &str> = BTreeMap::new();
    for (id, customer) in fold {
        let document = &customer.document;
        if document["archived_at"].is_null() && !document["key"].is_null() {
            let key = scoped(document.get("tenant"), document.get("environment"), &document["key"]);
            holders.insert(key, id);
        }
    }
    for (key, holder) in given_away(counted) {
        if holders.get(&key).is_none_or(|has| **has != holder) {
            faults.push(Fault::KeyLeaked { key, holder });
        }
    }
    faults
}

/// Gives the holders that slots know elsewhere, by key.
fn given_away(counted: &[Counted]) -> BTreeMap<String, String> {
    let mut given = BTreeMap::new();
    for Counted { value: record, .. } in counted {
        let command = &record["command"];
        for event in record["events"].as_array().into_iter().flatten() {
            let key = scoped(command.get("tenant"), command.get("environment"), &event["key"]);
            match event["type"].as_str() {
                Some("KeyClaimed.v1") => {
                    let holder = event["holder"].as_str().unwrap_or_default();
                    given.insert(key, holder.to_owned());
                }
                Some("KeyReleased.v1") => drop(given.remove(&key)),
                _ => {}
            }
        }
    }
    given
}

/// Names a key with its scope.
pub(super) fn scoped(tenant: Option<&Value>, environment: Option<&Value>, key: &Value) -> String {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or("?").to_owned();
    format!("{}/{}/{}", text(tenant), text(environment), text(Some(key)))
}
