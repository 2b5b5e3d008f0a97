//! What customers had, and from when until when: at no time has a key two customers, a parent a parent,
//! or a child a parent that has come to its end.
//!
//! Read from the customers' own events alone, whatever registrars say. Partitions are put side by side
//! by the time of their decisions: all are made by the clock of one machine.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Fault;
use super::amounts::comparable;
use super::chain::Counted;
use super::keys::scoped;

/// A time in which a customer had something.
#[derive(Debug, Clone)]
struct Span {
    /// The customer.
    customer: String,
    /// What it had: its key, or its parent.
    had: String,
    /// From when on.
    from: String,
    /// Until when; not at all when it still has it.
    until: Option<String>,
}

impl Span {
    fn overlaps(&self, other: &Self) -> bool {
        let before =
            |one: &Self, other: &Self| one.until.as_ref().is_some_and(|until| *until <= other.from);
        !before(self, other) && !before(other, self)
    }
}

/// All spans, and when customers were born and came to their end.
#[derive(Debug, Default)]
struct Lives {
    keys: Vec<Span>,
    parents: Vec<Span>,
    born: BTreeMap<String, String>,
    ended: BTreeMap<String, String>,
}

/// Gives what must not be at any time.
pub(super) fn check(counted: &[Counted]) -> Vec<Fault> {
    let lives = Lives::of(counted);
    let mut faults = lives.doubled_keys();
    faults.extend(lives.nested());
    faults.extend(lives.gone());
    faults
}

impl Lives {
    fn of(counted: &[Counted]) -> Self {
        let mut lives = Self::default();
        // Where each customer was born: its keys are of that scope.
        let mut births: BTreeMap<&str, &Value> = BTreeMap::new();
        for Counted { value: record, .. } in counted {
            let Some(id) = record["outcome"]["accepted"]["customer_id"].as_str() else { continue };
            let at = comparable(record["decided_at"].as_str().unwrap_or_default());
            for event in record["events"].as_array().into_iter().flatten() {
                let of_birth = |member: &str| births.get(id).and_then(|birth| birth.get(member));
                let key = |key: &Value| {
                    let scope = (of_birth("tenant"), of_birth("environment"));
                    (!key.is_null()).then(|| scoped(scope.0, scope.1, key))
                };
                match event["type"].as_str() {
                    Some("CustomerCreated.v1") => {
                        births.insert(id, event);
                        lives.born.insert(id.to_owned(), at.clone());
                        let named = &event["key"];
                        let key = (!named.is_null())
                            .then(|| scoped(event.get("tenant"), event.get("environment"), named));
                        change(&mut lives.keys, id, key, &at);
                    }
                    Some("KeyChanged.v1") => change(&mut lives.keys, id, key(&event["to"]), &at),
                    Some("ParentChanged.v1") => {
                        let to = event["to"].as_str().map(str::to_owned);
                        change(&mut lives.parents, id, to, &at);
                    }
                    Some("CustomerArchived.v1") => {
                        lives.ended.insert(id.to_owned(), at.clone());
                        change(&mut lives.keys, id, None, &at);
                        change(&mut lives.parents, id, None, &at);
                    }
                    _ => {}
                }
            }
        }
        lives
    }

    /// Gives each key that two customers had at one time.
    fn doubled_keys(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (key, mut spans) in by(&self.keys, |span| &span.had) {
            spans.sort_by(|one, other| one.from.cmp(&other.from));
            for pair in spans.windows(2) {
                if pair[0].overlaps(pair[1]) {
                    let holders = [pair[0].customer.clone(), pair[1].customer.clone()];
                    faults.push(Fault::KeyDoubled { key: key.to_owned(), holders });
                }
            }
        }
        faults
    }

    /// Gives each customer that had a parent and a child at one time; the child may be itself.
    fn nested(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let children = by(&self.parents, |span| &span.had);
        for above in &self.parents {
            let below = children.get(above.customer.as_str()).map_or(&[][..], Vec::as_slice);
            if let Some(below) = below.iter().find(|below| below.overlaps(above)) {
                let (parent, child) = (above.customer.clone(), below.customer.clone());
                faults.push(Fault::Nested { grandparent: above.had.clone(), parent, child });
            }
        }
        faults
    }

    /// Gives each child that got a parent that was not born yet or had come to its end.
    fn gone(&self) -> Vec<Fault> {
        let is_gone = |span: &&Span| {
            let there = self.born.get(&span.had).is_some_and(|born| *born <= span.from);
            !there || self.ended.get(&span.had).is_some_and(|ended| *ended < span.from)
        };
        let gone = self.parents.iter().filter(is_gone);
        gone.map(|span| Fault::ParentGone {
            child: span.customer.clone(),
            parent: span.had.clone(),
        })
        .collect()
    }
}

/// Ends what a customer has, and begins what it has from now on.
fn change(spans: &mut Vec<Span>, customer: &str, to: Option<String>, at: &str) {
    let open = |span: &&mut Span| span.customer == customer && span.until.is_none();
    if let Some(open) = spans.iter_mut().rev().find(open) {
        open.until = Some(at.to_owned());
    }
    let customer = customer.to_owned();
    spans.extend(to.map(|had| Span { customer, had, from: at.to_owned(), until: None }));
}

fn by<'a>(
    spans: &'a [Span],
    name: impl Fn(&'a Span) -> &'a String,
) -> BTreeMap<&'a str, Vec<&'a Span>> {
    let mut grouped: BTreeMap<&str, Vec<&Span>> = BTreeMap::new();
    for span in spans {
        grouped.entry(name(span).as_str()).or_default().push(span);
    }
    grouped
}
