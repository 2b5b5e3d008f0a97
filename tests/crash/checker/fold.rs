//! What the events add up to, folded anew.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value, json};

use super::Fault;
use super::amounts::{comparable, decimal, period, units};
use super::chain::Counted;

/// Kinds of the ledger whose periods follow from the time of a report alone.
const KINDS: [&str; 4] = ["day", "month", "year", "lifetime"];

/// All customers, by id.
pub(crate) type Fold = BTreeMap<String, Customer>;

/// A customer as the events tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Customer {
    /// The document, but for its `usage`.
    pub(crate) document: Map<String, Value>,
    /// The ledger: by kind and start.
    pub(crate) ledger: BTreeMap<(String, String), Row>,
    /// Number of events.
    pub(crate) version: u64,
    /// Period budgets, by the time from which on they are in force.
    budgets: Vec<(String, Value)>,
    reports: BTreeSet<String>,
    thresholds: BTreeSet<String>,
}

/// One row of the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Row {
    end: String,
    raw: i128,
    charged: i128,
    quantity: i128,
    count: u64,
    first_at: Option<String>,
    last_at: Option<String>,
}

/// Folds the events of all records that count. Each partition's come in their order.
pub(crate) fn fold(counted: &[Counted], faults: &mut Vec<Fault>) -> Fold {
    let mut customers = Fold::new();
    let mut held: HashMap<&str, &Value> = HashMap::new();
    for Counted { seq, value: record, .. } in counted {
        let mut command = &record["command"];
        if command["type"] == "SettleClaim" {
            let id = command["claim"]["held"].as_str().unwrap_or_default();
            command = held.get(id).copied().unwrap_or(command);
        } else if record["outcome"].get("deferred").is_some() {
            held.insert(command["command_id"].as_str().unwrap_or_default(), command);
        }
        let accepted = &record["outcome"]["accepted"];
        let Some(customer_id) = accepted["customer_id"].as_str() else { continue };
        let events = record["events"].as_array().map_or(&[][..], Vec::as_slice);
        let own: Vec<&Value> = events.iter().filter(|event| counts_in_version(event)).collect();
        let before = customers.get(customer_id).map_or(0, |customer| customer.version);
        let after = before + u64::try_from(own.len()).expect("a length fits");
        let told = (accepted["from_version"].as_u64(), accepted["to_version"].as_u64());
        if told != (Some(before), Some(after)) {
            faults.push(Fault::VersionBroken { customer_id: customer_id.to_owned(), seq: *seq });
        }
        let decided_at = record["decided_at"].as_str().unwrap_or_default();
        for event in own {
            let customer = customers.entry(customer_id.to_owned()).or_insert_with(Customer::new);
            customer.version += 1;
            customer.set("/version", json!(customer.version));
            customer.set("/updated_at", json!(decided_at));
            let mut past = |what: String| {
                let customer_id = customer_id.to_owned();
                faults.push(Fault::OtherPast { customer_id, seq: *seq, what });
            };
            customer.apply(event, decided_at, &mut past);
            if let Some(report_id) = customer.doubled_report(event) {
                let customer_id = customer_id.to_owned();
                faults.push(Fault::ReportDoubled { customer_id, report_id });
            }
        }
        if let Some(what) = missing(customers.get(customer_id), command, record) {
            let command_id = command["command_id"].as_str().unwrap_or_default().to_owned();
            faults.push(Fault::NoEffect { command_id, what });
        }
    }
    customers
}

/// Gives what an accepted command asked for and did not bring about. For one that was held, the record
/// is that of the answer that settled it.
fn missing(customer: Option<&Customer>, command: &Value, record: &Value) -> Option<String> {
    let accepted = &record["outcome"]["accepted"];
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let brings = match command["type"].as_str() {
        Some("CreateCustomer") => Some("CustomerCreated.v1"),
        Some("ArchiveCustomer") => Some("CustomerArchived.v1"),
        _ => None,
    };
    if let Some(brings) = brings.filter(|brings| !has(record, brings)) {
        return Some(brings.to_owned());
    }
    let mut known = [list(&accepted["duplicates"]), list(&accepted["conflicts"])].concat();
    known.extend(list(&record["events"]).iter().map(|event| event["report_id"].clone()));
    for report in list(&command["reports"]) {
        if !known.contains(&report["report_id"]) {
            return Some(format!("report {}", report["report_id"]));
        }
    }
    for (group, members) in command["patch"].as_object()? {
        let Some(members) = members.as_object() else {
            // The key.
            if customer.is_none_or(|customer| customer.document[group] != *members) {
                return Some(group.clone());
            }
            continue;
        };
        for (name, asked) in members {
            let stands = customer.map_or(&Value::Null, |it| &it.document[group][name]);
            let same = match asked.as_object() {
                // A parent that is named by its key: whoever had it then.
                Some(named) if name == "parent" => {
                    named.get("id").map_or(!stands.is_null(), |id| id == stands)
                }
                // Merged: a member that is null is gone.
                Some(members) => members.iter().all(|(name, asked)| stands[name] == *asked),
                None => stands == asked,
            };
            if !same {
                return Some(format!("{group}.{name}"));
            }
        }
    }
    None
}

fn has(record: &Value, event_type: &str) -> bool {
    let events = record["events"].as_array();
    events.is_some_and(|events| events.iter().any(|event| type_of(event) == event_type))
}

fn type_of(event: &Value) -> &str {
    event["type"].as_str().unwrap_or_default()
}

fn counts_in_version(event: &Value) -> bool {
    ![
        "KeyClaimed.v1",
        "KeyReleased.v1",
        "PledgeClaimed.v1",
        "PledgeReleased.v1",
        "EdgeClaimed.v1",
        "EdgeReleased.v1",
    ]
    .contains(&type_of(event))
}

impl Customer {
    fn new() -> Self {
        let document = json!({
            "id": null, "key": null, "tenant": null, "environment": null, "version": 0,
            "created_at": null, "updated_at": null, "archived_at": null,
            "profile": {"name": null, "first_name": null, "last_name": null, "email": null,
                "phone": null, "metadata": {}, "fingerprint": null, "send_email_receipts": false,
                "address": {"line1": null, "line2": null, "city": null, "state": null,
                    "postal_code": null, "country": null}},
            "contract": {"tier": null, "status": "active", "start": null, "end": null,
                "annual_commitment": null, "annual_limit": null, "rate_per_second": null,
                "burst": null},
            "budget": {"period_budget": null, "total_budget": null, "duration": "monthly",
                "period_start": null, "period_end": null, "markup_percentage": "0"},
            "policy": null, "billing_controls": {}, "identity": {"links": {}, "parent": null},
        });
        let Value::Object(document) = document else { unreachable!("an object") };
        Self {
            document,
            ledger: BTreeMap::new(),
            version: 0,
            budgets: Vec::new(),
            reports: BTreeSet::new(),
            thresholds: BTreeSet::new(),
        }
    }

    fn at(&mut self, pointer: &str) -> &mut Value {
        let mut names = pointer.split('/').skip(1);
        let first = names.next().expect("a pointer has a name");
        let mut value = self.document.entry(first).or_insert(Value::Null);
        for name in names {
            value = value.as_object_mut().expect("an object").entry(name).or_insert(Value::Null);
        }
        value
    }

    fn set(&mut self, pointer: &str, value: Value) {
        *self.at(pointer) = value;
    }

    /// Applies an event; what it tells of before must be how the customer stands, and after it the
    /// customer must stand otherwise.
    fn apply(&mut self, event: &Value, decided_at: &str, past: &mut impl FnMut(String)) {
        let before = self.document.clone();
        let mut follows = true;
        self.change(event, decided_at, &mut |what| {
            follows = false;
            past(what);
        });
        let counts = ["UsageRecorded.v1", "BudgetThresholdReached.v1"].contains(&type_of(event));
        if follows && !counts && self.document == before {
            past(format!("{} changes nothing", type_of(event)));
        }
    }

    fn change(&mut self, event: &Value, decided_at: &str, past: &mut impl FnMut(String)) {
        match type_of(event) {
            "CustomerCreated.v1" => {
                if !self.document["id"].is_null() {
                    past("born again".to_owned());
                }
                for member in ["tenant", "environment", "key"] {
                    self.set(&format!("/{member}"), event[member].clone());
                }
                self.set("/id", event["customer_id"].clone());
                self.set("/created_at", json!(decided_at));
            }
            "CustomerUpdated.v1" => self.update(event, past),
            "TierChanged.v1" => {
                self.step("/contract/tier", event, past);
                for member in ["annual_commitment", "annual_limit", "rate_per_second", "burst"] {
                    self.set(&format!("/contract/{member}"), event[member].clone());
                }
            }
            "StatusChanged.v1" => self.step("/contract/status", event, past),
            "ContractSet.v1" => {
                self.set("/contract/start", event["start"].clone());
                self.set("/contract/end", event["end"].clone());
            }
            "BudgetSet.v1" => {
                let mut budget = event.clone();
                budget.as_object_mut().map(|members| members.remove("type"));
                self.set("/budget", budget);
                self.budgets.push((comparable(decided_at), event["period_budget"].clone()));
            }
            "PolicyChanged.v1" => self.step("/policy", event, past),
            "BillingControlsSet.v1" => self.step("/billing_controls", event, past),
            "KeyChanged.v1" => self.step("/key", event, past),
            "ParentChanged.v1" => self.step("/identity/parent", event, past),
            "CustomerArchived.v1" => {
                if !self.document["archived_at"].is_null() {
                    past("archived again".to_owned());
                }
                self.set("/archived_at", json!(decided_at));
            }
            "UsageRecorded.v1" => self.count(event),
            "BudgetThresholdReached.v1" => {
                let once = ["kind", "percentage", "budget", "period"].map(|name| &event[name]);
                if !self.thresholds.insert(json!(once).to_string()) {
                    past(format!("threshold reached again: {once:?}"));
                }
            }
            unknown => past(format!("event of type {unknown}")),
        }
    }

    /// From one value to another: the first must be the present one.
    fn step(&mut self, pointer: &str, event: &Value, past: &mut impl FnMut(String)) {
        if *self.at(pointer) != event["from"] {
            past(pointer.to_owned());
        }
        self.set(pointer, event["to"].clone());
    }

    fn update(&mut self, event: &Value, past: &mut impl FnMut(String)) {
        let empty = Map::new();
        for (path, old) in event["removed"].as_object().unwrap_or(&empty) {
            let pointer = pointer_of(path);
            if *self.at(&pointer) != *old {
                past(path.clone());
            }
            let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
            self.at(parent).as_object_mut().map(|members| members.remove(name));
        }
        for (path, change) in event["set"].as_object().unwrap_or(&empty) {
            let pointer = pointer_of(path);
            if *self.at(&pointer) != change["old"] {
                past(path.clone());
            }
            self.set(&pointer, change["new"].clone());
        }
    }

    fn count(&mut self, event: &Value) {
        let occurred_at = event["occurred_at"].as_str().expect("a time").to_owned();
        let amount =
            |event: &Value, member: &str| units(event[member].as_str().expect("a decimal"));
        let mut rows: Vec<(String, (String, String))> =
            KINDS.iter().map(|kind| ((*kind).to_owned(), period(kind, &occurred_at))).collect();
        let text = |value: &Value| value.as_str().expect("a time").to_owned();
        let window = &event["period"];
        rows.push(("budget".to_owned(), (text(&window["start"]), text(&window["end"]))));
        for (kind, (start, end)) in rows {
            let row = self.ledger.entry((kind, start)).or_default();
            row.end = end;
            row.raw += amount(event, "raw");
            row.charged += amount(event, "charged");
            row.quantity += amount(event, "quantity");
            // A correction takes the place of a report at the same moment (so does the load).
            if let Some(old) = event.get("corrects") {
                assert_eq!(old["occurred_at"], json!(occurred_at), "corrections keep their moment");
                row.raw -= amount(old, "raw");
                row.charged -= amount(old, "charged");
                row.quantity -= amount(old, "quantity");
            } else {
                row.count += 1;
            }
            let earlier = |a: &String| comparable(a) > comparable(&occurred_at);
            let later = |a: &String| comparable(a) < comparable(&occurred_at);
            if row.first_at.as_ref().is_none_or(earlier) {
                row.first_at = Some(occurred_at.clone());
            }
            if row.last_at.as_ref().is_none_or(later) {
                row.last_at = Some(occurred_at.clone());
            }
        }
    }

    fn doubled_report(&mut self, event: &Value) -> Option<String> {
        let report_id = event["report_id"].as_str()?.to_owned();
        (!self.reports.insert(report_id.clone())).then_some(report_id)
    }

    /// Gives the ledger as the native API shows it.
    pub(crate) fn usage(&self) -> BTreeMap<(String, String), Value> {
        let row = |((kind, start), row): (&(String, String), &Row)| {
            let budget = if kind == "budget" { self.budget_at(&row.end) } else { Value::Null };
            let shown = json!({
                "kind": kind, "start": start, "end": row.end, "raw": decimal(row.raw),
                "charged": decimal(row.charged), "quantity": decimal(row.quantity),
                "count": row.count, "budget": budget, "first_at": row.first_at,
                "last_at": row.last_at,
            });
            ((kind.clone(), start.clone()), shown)
        };
        self.ledger.iter().map(row).collect()
    }

    /// Gives the period budget that was in force when a period ended.
    fn budget_at(&self, end: &str) -> Value {
        let end = comparable(end);
        let in_force = self.budgets.iter().rev().find(|(since, _)| *since < end);
        in_force.map_or(Value::Null, |(_, budget)| budget.clone())
    }

    /// Gives the whole document; the current period begins at `start`.
    pub(crate) fn shown(&self, start: &str) -> Value {
        let nothing = Row::default();
        let row = |kind: &str, start: &str| {
            self.ledger.get(&(kind.to_owned(), start.to_owned())).unwrap_or(&nothing)
        };
        let current = row("budget", start);
        let lifetime = row("lifetime", "1970-01-01T00:00:00Z");
        let budget = &self.document["budget"]["period_budget"];
        let remaining = budget.as_str().map(|budget| decimal(units(budget) - current.raw));
        let (_, end) = period("month", start);
        let mut document = self.document.clone();
        let usage = json!({
            "period": {"start": start, "end": end, "raw": decimal(current.raw),
                "charged": decimal(current.charged), "count": current.count, "budget": budget,
                "remaining": remaining},
            "lifetime": {"raw": decimal(lifetime.raw), "charged": decimal(lifetime.charged),
                "count": lifetime.count},
        });
        document.insert("usage".to_owned(), usage);
        Value::Object(document)
    }
}

/// `profile.metadata.a` as a pointer. The names of the load have no dots and slashes.
fn pointer_of(path: &str) -> String {
    format!("/{}", path.replace('.', "/"))
}
