//! What spans customers: keys, parents, and commands that wait for a registrar.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    CUSTOMER, Writer, accepted, at_slot, command, created, follow_up, found, idle, renamed, sound,
    told,
};
use crate::checker::{Asked, Fault, check};

#[test]
fn a_slots_answer_settles_the_command_that_waited_for_it() {
    let (mut writer, mut asked) = sound();
    let deferred = json!({"deferred": {"customer_id": CUSTOMER, "claim": {}}});
    writer.decide(&command(5), &deferred, &json!([]));
    let events = json!([renamed(4, 5)]);
    let told = Some(told(7, 5, events.clone()));
    asked.push(Asked { client: 7, number: 5, command: command(5), told, mark: 0 });
    let otherwise = |what| Fault::ToldOtherwise { command_id: "c5".to_owned(), what };
    let checked = check(&writer.journal, &asked);
    assert_eq!(checked.faults, [otherwise("outcome")]);
    assert_eq!(checked.held, ["c5"]);

    writer.decide(&follow_up("s", "SettleClaim", "c5"), &accepted(4, 5), &events);
    let checked = check(&writer.journal, &asked);
    checked.assert_sound();
    assert_eq!((checked.held.len(), checked.seen.settled), (0, 1));
    // A second answer finds nothing held; one that changes something again is a fault.
    let nothing = json!({"rejected": {"code": "nothing_held", "detail": "nothing"}});
    writer.decide(&follow_up("s2", "SettleClaim", "c5"), &nothing, &json!([]));
    assert_eq!(found(&writer, &asked), []);
    writer.decide(&follow_up("s3", "SettleClaim", "c5"), &accepted(5, 6), &json!([renamed(5, 6)]));
    let what = "profile.name".to_owned();
    assert_eq!(
        found(&writer, &asked),
        [
            Fault::Doubled { command_id: "s3".to_owned() },
            Fault::NoEffect { command_id: "c5".to_owned(), what },
        ]
    );
}

#[test]
fn a_key_of_two_customers_or_of_none_is_found() {
    let other = "5f0c8bd4-0c5e-5d0a-9d6b-3d3f3d1c2b02";
    let (mut writer, asked) = sound();
    let claimed = json!([{"type": "KeyClaimed.v1", "key": "b", "holder": other}]);
    writer.decide(&follow_up("f", "ClaimKey", "c9"), &at_slot(), &claimed);
    let key = |key: &str| format!("t/live/{key}");
    let leaked = Fault::KeyLeaked { key: key("b"), holder: other.to_owned() };
    assert_eq!(found(&writer, &asked), [leaked]);

    let (mut writer, mut asked) = sound();
    let mut born = created();
    born["customer_id"] = json!(other);
    let birth = json!({"accepted": {"customer_id": other, "from_version": 0, "to_version": 1}});
    writer.decide(&idle(5), &birth, &json!([born]));
    asked.push(Asked { client: 7, number: 5, command: idle(5), told: None, mark: 0 });
    let holders = [CUSTOMER.to_owned(), other.to_owned()];
    assert_eq!(found(&writer, &asked), [Fault::KeyDoubled { key: key("a"), holders }]);
}

#[test]
fn a_command_that_is_held_on_is_settled_by_the_last_answer() {
    let (mut writer, mut asked) = sound();
    let deferred = json!({"deferred": {"customer_id": CUSTOMER, "claim": {}}});
    writer.decide(&command(5), &deferred, &json!([]));
    asked.push(Asked { client: 7, number: 5, command: command(5), told: None, mark: 0 });
    writer.decide(&follow_up("s", "SettleClaim", "c5"), &deferred, &json!([]));
    assert_eq!(check(&writer.journal, &asked).held, ["c5"]);
    writer.decide(&follow_up("t", "SettleClaim", "c5"), &accepted(4, 5), &json!([renamed(4, 5)]));
    let checked = check(&writer.journal, &asked);
    checked.assert_sound();
    assert_eq!((checked.held.len(), checked.seen.settled), (0, 1));
}

#[test]
fn a_held_command_that_is_accepted_without_effect_is_found() {
    let (mut writer, mut asked) = sound();
    let deferred = json!({"deferred": {"customer_id": CUSTOMER, "claim": {}}});
    writer.decide(&command(5), &deferred, &json!([]));
    asked.push(Asked { client: 7, number: 5, command: command(5), told: None, mark: 0 });
    writer.decide(&follow_up("s", "SettleClaim", "c5"), &accepted(4, 4), &json!([]));
    let what = "profile.name".to_owned();
    assert_eq!(found(&writer, &asked), [Fault::NoEffect { command_id: "c5".to_owned(), what }]);
}

/// Customers `a`, `b` and `c`, and who of them is whose parent.
struct Family {
    writer: Writer,
    asked: Vec<Asked>,
    versions: BTreeMap<&'static str, u64>,
    parents: BTreeMap<&'static str, &'static str>,
}

impl Family {
    fn new() -> Self {
        let mut writer = Writer::default();
        writer.claim();
        let (versions, parents) = (BTreeMap::new(), BTreeMap::new());
        let mut family = Self { writer, asked: Vec::new(), versions, parents };
        for id in ["a", "b", "c"] {
            let born = json!({"type": "CustomerCreated.v1", "customer_id": id, "tenant": "t",
                "environment": "live", "key": id, "birth": 0});
            family.tell(id, born);
        }
        family
    }

    /// Something happens to a customer.
    fn tell(&mut self, id: &'static str, event: Value) {
        let version = self.versions.entry(id).or_default();
        let (from, to) = (*version, *version + 1);
        *version = to;
        let number = u64::try_from(self.asked.len()).expect("a length fits");
        let accepted =
            json!({"accepted": {"customer_id": id, "from_version": from, "to_version": to}});
        self.writer.decide(&idle(number), &accepted, &json!([event]));
        self.asked.push(Asked { client: 7, number, command: idle(number), told: None, mark: 0 });
    }

    /// A registrar says something.
    fn registrar(&mut self, id: &str, kind: &str, event: Value) {
        let version = self.versions.get(id).copied().unwrap_or_default();
        let accepted = json!({"accepted":
            {"customer_id": id, "from_version": version, "to_version": version}});
        let name = format!("f{}", self.writer.journal.len());
        self.writer.decide(&follow_up(&name, kind, "c99"), &accepted, &json!([event]));
    }

    /// A customer gets another parent, by the customer's own word alone.
    fn only_the_child_says(&mut self, child: &'static str, to: Option<&'static str>) {
        let from = self.parents.remove(child);
        self.tell(child, json!({"type": "ParentChanged.v1", "from": from, "to": to}));
        if let Some(to) = to {
            self.parents.insert(child, to);
        }
    }

    fn hierarchy(&mut self, event_type: &str, child: &str, parent: &str) {
        let event = json!({"type": event_type, "child": child, "parent": parent, "held": parent});
        self.registrar("hierarchy", "ClaimEdge", event);
    }

    /// A customer gets another parent.
    fn moves(&mut self, child: &'static str, to: Option<&'static str>) {
        let from = self.parents.get(child).copied();
        if let Some(to) = to {
            self.hierarchy("EdgeClaimed.v1", child, to);
        }
        self.only_the_child_says(child, to);
        if let Some(from) = from {
            self.hierarchy("EdgeReleased.v1", child, from);
        }
    }

    fn faults(&self) -> Vec<Fault> {
        found(&self.writer, &self.asked)
    }
}

fn nested(grandparent: &str, parent: &str, child: &str) -> Fault {
    let [grandparent, parent, child] = [grandparent, parent, child].map(str::to_owned);
    Fault::Nested { grandparent, parent, child }
}

#[test]
fn parents_that_change_one_after_the_other_are_sound() {
    let mut family = Family::new();
    for (child, to) in [
        ("a", Some("b")),
        ("c", Some("b")),
        ("c", None),
        ("a", Some("c")),
        ("a", None),
        ("b", Some("a")),
    ] {
        family.moves(child, to);
    }
    assert_eq!(family.faults(), []);
    assert_eq!(check(&family.writer.journal, &family.asked).seen.moves, 6);
}

#[test]
fn a_child_of_a_child_at_any_time_is_found() {
    let mut family = Family::new();
    family.moves("a", Some("b"));
    family.moves("b", Some("c"));
    // It was so for a while, and is so no more.
    family.moves("a", None);
    assert_eq!(family.faults(), [nested("c", "b", "a")]);

    let mut family = Family::new();
    family.moves("a", Some("b"));
    family.moves("b", Some("a"));
    assert_eq!(family.faults(), [nested("b", "a", "b"), nested("a", "b", "a")]);

    let mut family = Family::new();
    family.moves("a", Some("a"));
    assert_eq!(family.faults(), [nested("a", "a", "a")]);
}

#[test]
fn a_parent_that_is_not_there_is_found() {
    let gone =
        |parent: &str| Fault::ParentGone { child: "a".to_owned(), parent: parent.to_owned() };
    let mut family = Family::new();
    family.moves("a", Some("nobody"));
    assert_eq!(family.faults(), [gone("nobody")]);

    let archived = || json!({"type": "CustomerArchived.v1", "key": "b"});
    let mut family = Family::new();
    family.tell("b", archived());
    family.moves("a", Some("b"));
    assert_eq!(family.faults(), [gone("b")]);
    // A parent that comes to its end keeps its children.
    let mut family = Family::new();
    family.moves("a", Some("b"));
    family.tell("b", archived());
    assert_eq!(family.faults(), []);
}

#[test]
fn a_hierarchy_that_says_otherwise_than_the_customers_is_found() {
    let differs = || [Fault::PlaceDiffers { child: "a".to_owned(), parent: "b".to_owned() }];
    let mut family = Family::new();
    family.only_the_child_says("a", Some("b"));
    assert_eq!(family.faults(), differs());

    let mut family = Family::new();
    family.moves("a", Some("b"));
    family.only_the_child_says("a", None);
    assert_eq!(family.faults(), differs());
    // A child that came to its end takes no place.
    let mut family = Family::new();
    family.moves("a", Some("b"));
    family.tell("a", json!({"type": "CustomerArchived.v1", "key": "a"}));
    assert_eq!(family.faults(), differs());
    family.hierarchy("EdgeReleased.v1", "a", "b");
    assert_eq!(family.faults(), []);
}

#[test]
fn a_pledge_that_is_not_given_back_is_found() {
    let mut family = Family::new();
    let pledge = |kind: &str| json!({"type": kind, "child": "a", "held": "c9"});
    family.registrar("b", "ClaimPledge", pledge("PledgeClaimed.v1"));
    let kept = Fault::PledgeKept { parent: "b".to_owned(), child: "a".to_owned() };
    assert_eq!(family.faults(), [kept]);
    family.registrar("b", "ReleasePledge", pledge("PledgeReleased.v1"));
    assert_eq!(family.faults(), []);
}

#[test]
fn a_key_that_two_customers_had_for_a_while_is_found() {
    let changed = |from: &str, to: &str| json!({"type": "KeyChanged.v1", "from": from, "to": to});
    let mut family = Family::new();
    family.tell("a", changed("a", "k"));
    family.tell("b", changed("b", "k"));
    family.tell("a", changed("k", "a"));
    let holders = ["a".to_owned(), "b".to_owned()];
    let doubled = Fault::KeyDoubled { key: "t/live/k".to_owned(), holders };
    assert_eq!(family.faults(), [doubled]);
    // One after the other is as it should be.
    let mut family = Family::new();
    family.tell("a", changed("a", "k"));
    family.tell("a", changed("k", "a"));
    family.tell("b", changed("b", "k"));
    assert_eq!(family.faults(), []);
}
