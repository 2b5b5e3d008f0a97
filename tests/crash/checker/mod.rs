//! Checks a journal against what clients asked and were told, with nothing of the code under test:
//! its own reader rule, its own fold, its own arithmetic.
//!
//! Nothing that was acknowledged may be lost, nothing doubled, each client's commands to one customer
//! stay in their order, versions have no gaps, answers are those of the journal, and the read models
//! are the fold of the events.

pub(crate) mod amounts;
pub(crate) mod chain;
pub(crate) mod fold;
mod keys;
mod places;
mod spans;
pub(crate) mod stored;
pub(crate) mod views;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use serde_json::Value;

use chain::{Counted, Halted};
use fold::Fold;
use stored::Stored;

/// Most faults that are listed: the first ones tell the most.
const MAX_FAULTS: usize = 50;

/// One command that a client sent, and the answer if one came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Who sent it.
    pub(crate) client: usize,
    /// Its place among the client's commands.
    pub(crate) number: u64,
    /// The command, as sent.
    pub(crate) command: Value,
    /// The answer.
    pub(crate) told: Option<Told>,
    /// A mark of the moment at which the answer came.
    pub(crate) mark: u64,
}

/// What a client was told about a command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// `accepted`, `rejected` or `deferred`.
    pub(crate) outcome: String,
    /// Partition and seq.
    pub(crate) position: Option<(u64, u64)>,
    /// The customer.
    pub(crate) customer_id: Option<String>,
    /// Its version after the decision.
    pub(crate) version: Option<u64>,
    /// The events.
    pub(crate) events: Option<Value>,
    /// The code of a refusal.
    pub(crate) code: Option<String>,
}

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The chain cannot be read on.
    Halted { partition: u64, offset: u64, why: &'static str },
    /// Offsets have a gap, or one is there twice.
    Misplaced { partition: u64, offset: u64 },
    /// Journal time went backwards.
    Backwards { partition: u64, seq: u64 },
    /// A client was told of a decision that the journal has not.
    Lost { command_id: String },
    /// A command was decided more than once.
    Doubled { command_id: String },
    /// A decision of a command that nobody sent.
    Unasked { command_id: String },
    /// The journal has another command under the id than was sent.
    Altered { command_id: String, member: String },
    /// The client was told something else than what the journal has.
    ToldOtherwise { command_id: String, what: &'static str },
    /// A client's command was decided before one that it had sent to the same customer earlier.
    Reordered { client: usize, earlier: u64, later: u64 },
    /// An accepted command did not bring about what it asked for.
    NoEffect { command_id: String, what: String },
    /// A customer's version did not follow from the one before.
    VersionBroken { customer_id: String, seq: u64 },
    /// A report was recorded more than once for a customer.
    ReportDoubled { customer_id: String, report_id: String },
    /// An event tells another value of before than the events before it add up to.
    OtherPast { customer_id: String, seq: u64, what: String },
    /// Two customers had one key at one time.
    KeyDoubled { key: String, holders: [String; 2] },
    /// A slot has given its key to a customer that has it not.
    KeyLeaked { key: String, holder: String },
    /// A customer had a parent and a child at one time.
    Nested { grandparent: String, parent: String, child: String },
    /// A customer got a parent that was not there.
    ParentGone { child: String, parent: String },
    /// In the end the hierarchy knows a place below a parent that the child has not, or knows it not.
    PlaceDiffers { child: String, parent: String },
    /// In the end a parent has a pledge to stay that nobody waits for.
    PledgeKept { parent: String, child: String },
    /// A read model differs from the fold.
    View { what: String, seen: String, folded: String },
}

/// The result of a check.
#[derive(Debug)]
pub(crate) struct Checked {
    /// What must not be, the first of it.
    pub(crate) faults: Vec<Fault>,
    /// How customers stand by the events.
    pub(crate) fold: Fold,
    /// Where a reader of each partition may stand who has seen all decisions: seq and head.
    pub(crate) ends: BTreeMap<u64, Vec<(u64, [u8; 32])>>,
    /// Commands that wait for a registrar's answer.
    pub(crate) held: Vec<String>,
    /// What was seen.
    pub(crate) seen: Seen,
}

/// How much was checked. A check that saw nothing shows nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Records, those that do not count too.
    pub(crate) records: usize,
    /// Claims of owners.
    pub(crate) claims: usize,
    /// Decisions of clients' commands.
    pub(crate) decisions: usize,
    /// Of those, rejected.
    pub(crate) rejected: usize,
    /// Of those, settled by a registrar's answer.
    pub(crate) settled: usize,
    /// Changes of parents.
    pub(crate) moves: usize,
    /// Events.
    pub(crate) events: usize,
    /// Acknowledged commands.
    pub(crate) acknowledged: usize,
}

impl fmt::Display for Seen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records, claims, decisions, rejected, settled, moves, events, acknowledged } =
            self;
        write!(
            formatter,
            "{records} records, {claims} claims, {decisions} decisions ({rejected} rejected, \
             {settled} settled, {moves} moves), {events} events, {acknowledged} acknowledged"
        )
    }
}

impl Checked {
    /// Fails unless all is as it should be.
    pub(crate) fn assert_sound(&self) {
        assert!(self.faults.is_empty(), "{:#?}\n({})", self.faults, self.seen);
    }
}

/// A client's command in the journal.
#[derive(Debug)]
struct Decided<'a> {
    counted: &'a Counted,
    /// For one that was deferred: the decision in the end.
    settled: Option<&'a Counted>,
}

/// Checks a journal against what clients sent and were told.
pub(crate) fn check(journal: &[Stored], asked: &[Asked]) -> Checked {
    let mut faults = Vec::new();
    let mut seen = Seen { records: journal.len(), ..Seen::default() };
    let mut ends = BTreeMap::new();
    let mut counted: Vec<Counted> = Vec::new();
    for (partition, records) in by_partition(journal, &mut faults) {
        let (valid, halted) = chain::walk(partition, &records);
        if let Some(Halted { offset, why }) = halted {
            faults.push(Fault::Halted { partition, offset, why });
        }
        ends.insert(partition, chain::ends(&valid));
        counted.extend(valid);
    }
    seen.claims = counted.iter().filter(|record| record.value.get("claimed").is_some()).count();

    let decided = decisions(&counted, &mut faults, &mut seen);
    answers(asked, &decided, &mut faults, &mut seen);
    order(asked, &decided, &mut faults);
    times(&counted, &mut faults);
    let fold = fold::fold(&counted, &mut faults);
    let waits = |(id, it): (&&str, &Decided<'_>)| it.waits().then(|| (*id).to_owned());
    let held: Vec<String> = decided.iter().filter_map(waits).collect();
    faults.extend(spans::check(&counted));
    if held.is_empty() {
        faults.extend(keys::check(&counted, &fold));
        faults.extend(places::check(&counted, &fold));
    }
    faults.truncate(MAX_FAULTS);
    Checked { faults, fold, ends, held, seen }
}

fn by_partition<'a>(
    journal: &'a [Stored],
    faults: &mut Vec<Fault>,
) -> BTreeMap<u64, Vec<&'a Stored>> {
    let mut partitions: BTreeMap<u64, Vec<&Stored>> = BTreeMap::new();
    for stored in journal {
        let records = partitions.entry(stored.partition).or_default();
        if stored.offset != u64::try_from(records.len()).expect("a length fits") {
            faults.push(Fault::Misplaced { partition: stored.partition, offset: stored.offset });
        }
        records.push(stored);
    }
    partitions
}

/// Finds the decision of each client's command. What was sent on, and what Tallybook sent itself, is
/// none; but an answer of a registrar settles the command that it names, unless it waits for another.
fn decisions<'a>(
    counted: &'a [Counted],
    faults: &mut Vec<Fault>,
    seen: &mut Seen,
) -> HashMap<&'a str, Decided<'a>> {
    const FOLLOW_UPS: [&str; 8] = [
        "ClaimKey",
        "ClaimPledge",
        "ClaimEdge",
        "SettleClaim",
        "ReleaseKey",
        "ReleasePledge",
        "ReleaseEdge",
        "SettleRelease",
    ];
    let mut decided: HashMap<&str, Decided<'_>> = HashMap::new();
    let mut followed: HashSet<&str> = HashSet::new();
    let mut settled: HashMap<&str, &Counted> = HashMap::new();
    for counted in counted {
        let record = &counted.value;
        let (command, outcome) = (&record["command"], &record["outcome"]);
        let Some(command_id) = command["command_id"].as_str() else { continue };
        let events = record["events"].as_array().map_or(&[][..], Vec::as_slice);
        seen.events += events.len();
        seen.moves += events.iter().filter(|event| event["type"] == "ParentChanged.v1").count();
        if outcome.get("forwarded").is_some() {
            continue;
        }
        let doubled = Fault::Doubled { command_id: command_id.to_owned() };
        let follow_up = FOLLOW_UPS.iter().any(|name| command["type"] == *name);
        if follow_up {
            let held = command["claim"]["held"].as_str().unwrap_or_default();
            let settles = command["type"] == "SettleClaim"
                && outcome.get("deferred").is_none()
                && outcome["rejected"]["code"] != "nothing_held";
            let again = settles && settled.contains_key(held);
            if !followed.insert(command_id) || again {
                faults.push(doubled);
            } else if settles {
                settled.insert(held, counted);
            }
            continue;
        }
        seen.decisions += 1;
        seen.rejected += usize::from(outcome.get("rejected").is_some());
        if decided.insert(command_id, Decided { counted, settled: None }).is_some() {
            faults.push(doubled);
        }
    }
    for (held, counted) in settled {
        if let Some(decision) = decided.get_mut(held) {
            decision.settled = Some(counted);
            seen.settled += 1;
        }
    }
    decided
}

/// Compares what clients sent and were told with what the journal has.
fn answers(
    asked: &[Asked],
    decided: &HashMap<&str, Decided<'_>>,
    faults: &mut Vec<Fault>,
    seen: &mut Seen,
) {
    let mut sent = HashMap::new();
    for asked in asked {
        let command_id = asked.id();
        sent.insert(command_id, asked);
        let Some(decision) = decided.get(command_id) else {
            if asked.told.is_some() {
                seen.acknowledged += 1;
                faults.push(Fault::Lost { command_id: command_id.to_owned() });
            }
            continue;
        };
        for (member, value) in asked.command.as_object().expect("a command is an object") {
            if decision.counted.value["command"][member] != *value {
                let (command_id, member) = (command_id.to_owned(), member.clone());
                faults.push(Fault::Altered { command_id, member });
            }
        }
        if let Some(told) = &asked.told {
            seen.acknowledged += 1;
            if let Some(what) = decision.differs_from(told) {
                faults.push(Fault::ToldOtherwise { command_id: command_id.to_owned(), what });
            }
        }
    }
    let mut unasked: Vec<&str> =
        decided.keys().copied().filter(|command_id| !sent.contains_key(command_id)).collect();
    unasked.sort_unstable();
    for command_id in unasked {
        faults.push(Fault::Unasked { command_id: command_id.to_owned() });
    }
}

impl Asked {
    /// Gives the id of the command.
    pub(crate) fn id(&self) -> &str {
        self.command["command_id"].as_str().expect("a command has an id")
    }
}

impl Decided<'_> {
    /// Tells whether a registrar's answer is missing.
    fn waits(&self) -> bool {
        self.settled.is_none() && self.counted.value["outcome"].get("deferred").is_some()
    }

    /// Gives the first thing that a client was told otherwise.
    fn differs_from(&self, told: &Told) -> Option<&'static str> {
        let told_in_the_end = told.outcome != "deferred";
        let Counted { partition, seq, value: record, .. } =
            self.settled.filter(|_| told_in_the_end).unwrap_or(self.counted);
        let body = &record["outcome"][&told.outcome];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let position = match told.position {
            Some(position) => position == (*partition, *seq),
            // A customer that is not known has the same answer always, without a place.
            None => told.outcome == "rejected",
        };
        let customer_id =
            told.customer_id.is_none() || told.customer_id == text(&body["customer_id"]);
        let version = told.version.is_none() || told.version == body["to_version"].as_u64();
        let events = told.events.as_ref().is_none_or(|events| *events == record["events"]);
        let code = told.outcome != "rejected" || told.code == text(&body["code"]);
        let checks = [
            ("outcome", !body.is_null()),
            ("position", position),
            ("customer_id", customer_id),
            ("version", version),
            ("events", events),
            ("code", code),
        ];
        checks.into_iter().find(|(_, same)| !same).map(|(what, _)| what)
    }
}

/// Checks that what one client sent to one customer was decided in the order in which it was sent. A
/// key may change hands: then its customer lives on another partition, without an order between them.
fn order(asked: &[Asked], decided: &HashMap<&str, Decided<'_>>, faults: &mut Vec<Fault>) {
    let mut last: HashMap<(usize, String, u64), (u64, u64)> = HashMap::new();
    let mut in_order: Vec<&Asked> = asked.iter().collect();
    in_order.sort_by_key(|asked| (asked.client, asked.number));
    for Asked { client, number, command, .. } in in_order {
        let id = command["command_id"].as_str().unwrap_or_default();
        let Some(Decided { counted, .. }) = decided.get(id) else { continue };
        let key = (*client, command["customer"].to_string(), counted.partition);
        if let Some((earlier, seq)) = last.insert(key, (*number, counted.seq))
            && seq > counted.seq
        {
            faults.push(Fault::Reordered { client: *client, earlier, later: *number });
        }
    }
}

/// Checks that journal time does not go backwards in any partition.
fn times(counted: &[Counted], faults: &mut Vec<Fault>) {
    let mut last: HashMap<u64, String> = HashMap::new();
    for Counted { partition, seq, value, .. } in counted {
        let Some(decided_at) = value["decided_at"].as_str() else { continue };
        let now = amounts::comparable(decided_at);
        if last.get(partition).is_some_and(|before| *before > now) {
            faults.push(Fault::Backwards { partition: *partition, seq: *seq });
        }
        last.insert(*partition, now);
    }
}
