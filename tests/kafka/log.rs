//! What lies on Kafka, read as anybody could, and put together again by the reader rule alone.

use std::collections::BTreeMap;

use serde_json::Value;
use tallybook::journal::Journal as _;
use tallybook::journal::kafka::KafkaJournal;
use tallybook::kafka::Kafka;
use tallybook_events::chain::Chain;
use tallybook_events::ids::Partition;

use crate::work::Told;

/// Most records that are read at a time.
const RECORDS: usize = 10_000;
/// Most bytes that are read at a time.
const BYTES: usize = 8 << 20;

/// The records of the journal that count, by partition, and how many do not.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    /// Those that count: claims and decisions, in their order.
    pub(crate) counting: BTreeMap<u32, Vec<Value>>,
    /// How many do not.
    pub(crate) skipped: usize,
}

/// Reads the journal. Panics when the reader rule halts.
pub(crate) fn journal(kafka: &Kafka) -> Journal {
    let journal = KafkaJournal::open(kafka).expect("the journal is there");
    let mut read = Journal::default();
    for partition in (0..journal.partitions()).map(Partition) {
        let mut chain = Chain::default();
        let counting = read.counting.entry(partition.0).or_default();
        loop {
            let from = chain.checkpoint().offset;
            let stored = journal.read(partition, from, RECORDS, BYTES).expect("it can be read");
            if stored.is_empty() {
                break;
            }
            for stored in stored {
                let verdict = chain.judge(stored.offset, &stored.record).expect("no halt");
                if verdict.counts() {
                    counting.push(serde_json::from_slice(&stored.record).expect("JSON"));
                } else {
                    read.skipped += 1;
                }
            }
        }
    }
    read
}

impl Journal {
    /// Gives the decisions that count, of all partitions.
    pub(crate) fn decisions(&self) -> impl Iterator<Item = &Value> {
        self.counting.values().flatten().filter(|record| !record["outcome"].is_null())
    }

    /// Checks that each answer that was given stands here.
    pub(crate) fn check_told(&self, told: &[Told]) {
        let mut accepted = BTreeMap::new();
        for decision in self.decisions().filter(|of| !of["outcome"]["accepted"].is_null()) {
            let id = decision["command"]["command_id"].as_str().unwrap_or_default();
            accepted.insert(id, decision);
        }
        for told in told.iter().filter(|told| told.answer["outcome"] == "accepted") {
            let decision = accepted.get(&*told.command_id);
            let decision = decision.unwrap_or_else(|| panic!("lost: {told:?}"));
            assert_eq!(told.answer["position"]["seq"], decision["seq"], "{told:?}");
            assert_eq!(told.answer["version"], decision["outcome"]["accepted"]["to_version"]);
        }
    }

    /// Checks what must hold of any journal: every offset of the commands' topic has its one record, in
    /// order; no command is accepted twice; the versions of each customer have no gap.
    pub(crate) fn check(&self) {
        for (partition, records) in &self.counting {
            let mut last = None;
            for source in records.iter().map(|record| &record["source"]) {
                if source["kind"] == "topic" {
                    assert_eq!(source["prev_offset"].as_u64(), last, "partition {partition}");
                    let offset = source["offset"].as_u64().expect("an offset");
                    let next = last.map_or(0, |last| last + 1);
                    assert_eq!(offset, next, "partition {partition}: each offset has one record");
                    last = Some(offset);
                }
            }
        }
        let mut versions: BTreeMap<String, u64> = BTreeMap::new();
        let mut accepted: BTreeMap<String, u32> = BTreeMap::new();
        for decision in self.decisions() {
            let outcome = &decision["outcome"]["accepted"];
            if outcome.is_null() {
                continue;
            }
            *accepted.entry(decision["command"]["command_id"].to_string()).or_default() += 1;
            let version = versions.entry(outcome["customer_id"].to_string()).or_default();
            assert_eq!(outcome["from_version"].as_u64(), Some(*version), "{decision}");
            *version = outcome["to_version"].as_u64().expect("a version");
        }
        let doubled: Vec<_> = accepted.iter().filter(|(_, times)| **times > 1).collect();
        assert_eq!(doubled, [], "accepted more than once");
    }
}
