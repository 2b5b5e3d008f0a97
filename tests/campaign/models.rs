//! What the read models show, and what they must show by the journal alone.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::common::Client;
use crate::log::Journal;

/// Most items of a page.
const PAGE: u64 = 200;

/// All that a read model tells of each customer: the document, its ledger, its timeline; by id.
pub(crate) type Models = BTreeMap<String, [Value; 3]>;

/// Asks a gateway for all.
pub(crate) async fn shown(client: &Client) -> Models {
    let mut models = Models::new();
    for document in documents(client).await {
        let id = document["id"].as_str().expect("a customer has an id").to_owned();
        let usage = pages(client, &format!("/api/v1/customers/{id}/usage")).await;
        let timeline = pages(client, &format!("/api/v1/customers/{id}/timeline")).await;
        models.insert(id, [document, Value::Array(usage), Value::Array(timeline)]);
    }
    models
}

/// Asks a gateway for the documents of all customers.
pub(crate) async fn documents(client: &Client) -> Vec<Value> {
    pages(client, "/api/v1/customers").await
}

async fn pages(client: &Client, path: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = client.get(&format!("{path}?limit={PAGE}{cursor}")).await.expect(200);
        items.extend(page["items"].as_array().expect("items").iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

/// Gives the ids of the commands that were accepted.
pub(crate) fn accepted(journal: &Journal) -> BTreeSet<&str> {
    let accepted = journal.decisions().filter(|of| !of["outcome"]["accepted"].is_null());
    accepted.filter_map(|of| of["command"]["command_id"].as_str()).collect()
}

/// Gives the number of claims that count.
pub(crate) fn claims(journal: &Journal) -> usize {
    let records = journal.counting.values().flatten();
    records.filter(|record| !record["claimed"].is_null()).count()
}

/// Checks that each customer has the version, and as many reports of usage, as the journal's events add
/// up to, and that there are no others.
pub(crate) fn check(models: &Models, journal: &Journal) {
    let mut expected: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for decision in journal.decisions() {
        let accepted = &decision["outcome"]["accepted"];
        let Some(id) = accepted["customer_id"].as_str() else { continue };
        let (version, reports) = expected.entry(id.to_owned()).or_default();
        *version = accepted["to_version"].as_u64().expect("a version");
        let events = decision["events"].as_array().expect("events");
        let reported = events.iter().filter(|event| event["type"] == "UsageRecorded.v1").count();
        *reports += u64::try_from(reported).expect("few");
    }
    let shown = |[document, _, _]: &[Value; 3]| {
        let version = document["version"].as_u64().expect("a version");
        (version, document["usage"]["lifetime"]["count"].as_u64().expect("a count"))
    };
    let shown: BTreeMap<String, (u64, u64)> =
        models.iter().map(|(id, model)| (id.clone(), shown(model))).collect();
    assert_eq!(shown, expected, "version and reports of each customer");
}
