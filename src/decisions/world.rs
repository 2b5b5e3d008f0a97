//! The world of a test: all records there are, and the way of commands and follow-ups between them.
//! Each decision goes through its stored bytes and back.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};
use tallybook_events::chain::Head;
use tallybook_events::codec::{self, DecisionParts};
use tallybook_events::command::Command;
use tallybook_events::customer::entitlements::Segments;
use tallybook_events::decision::{Accepted, Deferred, Outcome, SourceRef};
use tallybook_events::event::Event;
use tallybook_events::ids::{CustomerId, CustomerKey, Meter, Scope};
use tallybook_events::time::Timestamp;

use super::{
    Ask, Decided, RULES, Record, TierCatalogue, Verdict, Whereabouts, decide, state_digest,
    whereabouts,
};

/// Most hops of one command, and most follow-ups of one.
const MAX_STEPS: usize = 1_000;
/// The key of the customer that most tests are about.
pub(crate) const KEY: &str = "acme";
/// When tests begin.
pub(crate) const NOW: &str = "2026-01-15T10:00:00Z";

pub(crate) fn scope() -> Scope {
    Scope { tenant: "t".parse().unwrap(), environment: "live".parse().unwrap() }
}

/// The id of the n-th customer born under a key.
pub(crate) fn nth(key: &str, n: u32) -> CustomerId {
    CustomerId::nth(&scope(), &key.parse::<CustomerKey>().unwrap(), n)
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) id: CustomerId,
    pub(crate) outcome: Outcome,
    pub(crate) events: Vec<Event>,
}

impl Reply {
    /// The events as they are stored.
    pub(crate) fn events(&self) -> Value {
        assert!(matches!(self.outcome, Outcome::Accepted(_)), "{self:?}");
        serde_json::from_str(&serde_json::to_string(&self.events).unwrap()).unwrap()
    }

    /// The types of the events, without their versions.
    pub(crate) fn types(&self) -> Vec<&'static str> {
        assert!(matches!(self.outcome, Outcome::Accepted(_)), "{self:?}");
        let bare = |event: &Event| event.type_name().trim_end_matches(".v1");
        self.events.iter().map(bare).collect()
    }

    /// The code of the rejection.
    pub(crate) fn code(&self) -> &'static str {
        let Outcome::Rejected(rejection) = &self.outcome else { panic!("not rejected: {self:?}") };
        rejection.code.as_str()
    }

    pub(crate) fn is_deferred(&self) -> bool {
        matches!(self.outcome, Outcome::Deferred(_))
    }
}

/// All records there are, and the way from one to the other.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) records: BTreeMap<CustomerId, Record>,
    pub(crate) now: Timestamp,
    /// Follow-ups that were sent and have not arrived.
    pub(crate) sent: VecDeque<Command>,
    /// What was decided, by the id where it was.
    pub(crate) journal: Vec<(CustomerId, Vec<u8>)>,
    pub(crate) tiers: TierCatalogue,
    last_id: u64,
}

impl Default for World {
    fn default() -> Self {
        Self {
            records: BTreeMap::new(),
            now: NOW.parse().unwrap(),
            sent: VecDeque::new(),
            journal: Vec::new(),
            tiers: TierCatalogue::builtin(),
            last_id: 0,
        }
    }
}

impl World {
    /// Makes a command of JSON; what is missing is filled in, the customer with `acme`.
    pub(crate) fn command(&mut self, asked: Value) -> Command {
        self.last_id += 1;
        let mut command = json!({
            "command_id": format!("00000000-0000-4000-8000-{:012}", self.last_id),
            "tenant": "t", "environment": "live", "customer": {"key": KEY},
            "issued_at": self.now.to_string(), "actor": "tester", "source": "test",
        });
        let members = command.as_object_mut().unwrap();
        members.extend(asked.as_object().expect("an object").clone());
        serde_json::from_str(&command.to_string()).expect("a command")
    }

    pub(crate) fn record(&self, id: CustomerId) -> Record {
        self.records.get(&id).cloned().unwrap_or_default()
    }

    /// Decides where the command belongs, applies the decision and keeps its follow-ups.
    pub(crate) fn send(&mut self, asked: Value) -> Reply {
        let command = self.command(asked);
        self.decide(command)
    }

    pub(crate) fn decide(&mut self, asked: Command) -> Reply {
        let mut command = asked.clone();
        for _ in 0..MAX_STEPS {
            let id = command.home();
            let none = Record::default();
            let record = self.records.get(&id).unwrap_or(&none);
            let ask = Ask { command: &command, id, decided_at: self.now, tiers: &self.tiers };
            let verdict = decide(record, &ask);
            let sent_on = |at: &Whereabouts| matches!(at, Whereabouts::SentOn(_));
            match (&verdict, whereabouts(record, &command, id)) {
                (Verdict::Forward(routed), at) => assert_eq!(at, Whereabouts::SentOn(*routed)),
                (_, at) => assert!(!sent_on(&at), "{command:?}"),
            }
            let version = record.version();
            let (outcome, events) = match verdict {
                Verdict::Forward(routed) => {
                    command.routed = Some(routed);
                    continue;
                }
                Verdict::Rejected(rejection) => (Outcome::Rejected(rejection), Vec::new()),
                Verdict::Deferred(claim) => {
                    (Outcome::Deferred(Deferred { customer_id: id, claim }), Vec::new())
                }
                Verdict::Accepted { events, duplicates, conflicts } => {
                    let more = events.iter().filter(|event| event.counts_in_version()).count();
                    let accepted = Accepted {
                        customer_id: id,
                        from_version: version,
                        to_version: version + more as u64,
                        duplicates,
                        conflicts,
                    };
                    (Outcome::Accepted(accepted), events)
                }
            };
            let reply = Reply { id, outcome, events };
            self.keep(&asked, &command, &reply);
            return reply;
        }
        panic!("sent on in a circle: {command:?}");
    }

    /// Like [`Self::send`], but forgets a command that is sent on in a circle, as one can be that
    /// Tallybook did not send itself.
    pub(crate) fn try_send(&mut self, asked: Value) {
        let command = self.command(asked);
        let mut hops = command.clone();
        for _ in 0..MAX_STEPS {
            let id = hops.home();
            let ask = Ask { command: &hops, id, decided_at: self.now, tiers: &self.tiers };
            let Verdict::Forward(routed) = decide(&self.record(id), &ask) else {
                self.decide(command);
                return;
            };
            hops.routed = Some(routed);
        }
    }

    /// Lets a follow-up arrive. A repeat is known by its id: it is not decided again, and what
    /// follows from it is sent again.
    pub(crate) fn hear(&mut self, follow_up: Command) {
        let decided = self.journal.iter().map(|(id, bytes)| (id, codec::read(bytes)));
        for (id, read) in decided {
            let Ok(codec::Record::Decision(decision)) = read else { panic!("no decision") };
            if decision.command.command_id == follow_up.command_id {
                let again = self.records[id].follow_ups(&Decided {
                    command: &decision.command,
                    id: *id,
                    decided_at: decision.decided_at,
                    outcome: &decision.outcome,
                    events: &decision.events,
                });
                return self.sent.extend(again);
            }
        }
        self.decide(follow_up);
    }

    fn keep(&mut self, asked: &Command, command: &Command, reply: &Reply) {
        let Reply { id, outcome, events } = reply;
        let decided = Decided { command, id: *id, decided_at: self.now, outcome, events };
        let record = self.records.entry(*id).or_default();
        record.apply(&decided);
        self.sent.extend(record.follow_ups(&decided));
        // The journal has the command as it was asked, without the hops within a partition.
        let parts = DecisionParts {
            decided_at: self.now,
            rules: RULES,
            source: SourceRef::Local,
            command: &serde_json::to_vec(asked).unwrap(),
            outcome,
            gives_back: &[],
            events,
        };
        let mut bytes = Vec::new();
        codec::write_decision(&mut bytes, 1, 1, &Head::START, &parts);
        self.journal.push((*id, bytes));
    }

    /// Lets one follow-up arrive.
    pub(crate) fn deliver(&mut self) -> Reply {
        let command = self.sent.pop_front().expect("a follow-up is on its way");
        self.decide(command)
    }

    /// Lets follow-ups arrive until none is on its way; gives their replies.
    pub(crate) fn settle(&mut self) -> Vec<Reply> {
        let mut replies = Vec::new();
        while let Some(command) = self.sent.pop_front() {
            replies.push(self.decide(command));
            assert!(replies.len() < MAX_STEPS, "follow-ups without an end");
        }
        replies
    }

    /// Sends a command and lets all follow-ups arrive: the reply that its caller gets.
    pub(crate) fn ask(&mut self, asked: Value) -> Reply {
        let reply = self.send(asked);
        let settled = self.settle();
        if reply.is_deferred() {
            let last = |settled: &Reply| settled.id == reply.id && !settled.is_deferred();
            settled.into_iter().find(last).expect("an answer")
        } else {
            reply
        }
    }

    /// Reads all from the journal's bytes.
    pub(crate) fn replayed(&self) -> BTreeMap<CustomerId, Record> {
        let mut records: BTreeMap<CustomerId, Record> = BTreeMap::new();
        for (id, bytes) in &self.journal {
            let Ok(codec::Record::Decision(decision)) = codec::read(bytes) else {
                panic!("no decision: {}", String::from_utf8_lossy(bytes));
            };
            records.entry(*id).or_default().apply(&Decided {
                command: &decision.command,
                id: *id,
                decided_at: decision.decided_at,
                outcome: &decision.outcome,
                events: &decision.events,
            });
        }
        records
    }

    pub(crate) fn digest(&self) -> [u8; 32] {
        state_digest(self.records.iter().map(|(id, record)| (*id, record)))
    }

    /// Checks what is true at any time: a replay comes to the same state; each key has one holder.
    pub(crate) fn check(&self) {
        let replayed = self.replayed();
        assert_eq!(replayed, self.records, "a replay comes to the same state");
        let digest = state_digest(replayed.iter().map(|(id, record)| (*id, record)));
        assert_eq!(digest, self.digest());
        self.check_holders();
        self.check_balances();
        self.check_hierarchy();
    }

    /// Checks that balances are what all reports that count say, added up anew.
    pub(crate) fn check_balances(&self) {
        let customers = self.records.values().filter_map(|record| record.customer.as_deref());
        for customer in customers {
            let (entitled, reports) = (customer.entitled(), &customer.usage().reports);
            let anew = |feature: &Meter| {
                let grants = entitled.facts.grants_of(feature);
                (feature.clone(), Segments::of(reports.counting(feature), grants))
            };
            let anew = entitled.facts.features().into_iter().map(anew).collect();
            let answer =
                |usage| entitled.facts.answer(usage, customer.billing_controls(), self.now);
            assert_eq!(answer(&entitled.usage), answer(&anew), "{}", customer.id);
        }
    }

    /// Checks that no parent has a parent, by what the hierarchy says, and that it says so of each
    /// customer that has one.
    pub(crate) fn check_hierarchy(&self) {
        for (id, record) in &self.records {
            let hierarchy = &record.ties.get().hierarchy;
            for (child, parents) in hierarchy.parents() {
                assert!(!hierarchy.is_parent(*child), "{child} has a parent and children");
                assert_eq!(*id, CustomerId::hierarchy(&scope()), "{parents:?}");
            }
            let Some(customer) = &record.customer else { continue };
            if let (Some(parent), None) = (customer.identity().parent, customer.archived_at) {
                let above = self.record(CustomerId::hierarchy(&customer.scope)).ties;
                let edge = record.ties.get().edge.expect("a parent is had by a claim");
                let above = above.get().hierarchy.parents().get(id).and_then(|it| it.get(&edge));
                assert_eq!(above, Some(&parent), "the hierarchy says whose child {id} is");
            }
        }
    }

    /// Checks what is true when nothing is on its way: registrars have given out what is used, and
    /// nothing else.
    pub(crate) fn check_quiet(&self) {
        assert!(self.sent.is_empty());
        for (id, record) in &self.records {
            assert_eq!(record.unanswered(), [], "{id} waits for nothing");
            let ties = record.ties.get();
            assert!(ties.pledges.is_empty(), "{id} has all its pledges back");
            for (child, parents) in ties.hierarchy.parents() {
                let customer = self.record(*child).customer.expect("a child lives");
                assert_eq!(customer.archived_at, None);
                let named: Vec<_> = parents.values().copied().map(Some).collect();
                assert_eq!(named, [customer.identity().parent], "{child} has one parent");
            }
            // A slot is held by a customer that has its key.
            let Some(holder) = record.slot.holder else { continue };
            let customer = self.record(holder).customer.expect("a holder lives");
            let key = customer.key.clone().expect("a holder has a key");
            assert!(customer.holds(&key));
            assert_eq!(CustomerId::slot(&customer.scope, &key), *id);
        }
    }

    /// Checks that each key has one holder, and that its slot says so.
    pub(crate) fn check_holders(&self) {
        let mut holders: BTreeMap<&CustomerKey, CustomerId> = BTreeMap::new();
        for (id, record) in &self.records {
            let Some(customer) = record.customer.as_deref() else { continue };
            let Some(key) = customer.key.as_ref().filter(|key| customer.holds(key)) else {
                continue;
            };
            let slot = self.record(CustomerId::slot(&customer.scope, key)).slot;
            assert_eq!(slot.holder, Some(*id), "the slot of {key} says who has it");
            assert_eq!(holders.insert(key, *id), None, "{key} has one holder");
        }
    }

    /// The document of a customer, as JSON.
    pub(crate) fn document(&self, id: CustomerId) -> Value {
        let document = self.record(id).document(self.now).expect("a customer");
        serde_json::from_str(&serde_json::to_string(&document).unwrap()).unwrap()
    }
}
