//! Parents when all is quiet: the hierarchy knows the parent of each living customer and nothing else,
//! and nobody has pledged to stay.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Fault;
use super::chain::Counted;
use super::fold::Fold;

/// Gives each place below a parent that the hierarchy and its customer do not agree on, and each
/// pledge that was not given back.
pub(super) fn check(counted: &[Counted], fold: &Fold) -> Vec<Fault> {
    let mut given: BTreeMap<(String, String), String> = BTreeMap::new();
    let mut pledged: BTreeMap<(String, String), String> = BTreeMap::new();
    for Counted { value: record, .. } in counted {
        let at = text(&record["outcome"]["accepted"]["customer_id"]);
        for event in record["events"].as_array().into_iter().flatten() {
            let (child, held) = (text(&event["child"]), text(&event["held"]));
            match event["type"].as_str() {
                Some("EdgeClaimed.v1") => {
                    given.insert((child, held), text(&event["parent"]));
                }
                Some("EdgeReleased.v1") => drop(given.remove(&(child, held))),
                Some("PledgeClaimed.v1") => drop(pledged.insert((at.clone(), held), child)),
                Some("PledgeReleased.v1") => drop(pledged.remove(&(at.clone(), held))),
                _ => {}
            }
        }
    }
    let given: BTreeSet<(String, String)> =
        given.into_iter().map(|((child, _), parent)| (child, parent)).collect();
    let had: BTreeSet<(String, String)> = fold
        .iter()
        .filter(|(_, customer)| customer.document["archived_at"].is_null())
        .filter_map(|(id, customer)| {
            let parent = customer.document["identity"]["parent"].as_str()?;
            Some((id.clone(), parent.to_owned()))
        })
        .collect();
    let differs = |(child, parent): &(String, String)| Fault::PlaceDiffers {
        child: child.clone(),
        parent: parent.clone(),
    };
    let mut faults: Vec<Fault> = given.symmetric_difference(&had).map(differs).collect();
    let kept = pledged.into_iter().map(|((parent, _), child)| Fault::PledgeKept { parent, child });
    faults.extend(kept);
    faults
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
