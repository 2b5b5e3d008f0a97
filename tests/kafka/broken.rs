//! Builds that are broken on purpose, each in one part of the rule that makes the journal safe. The
//! parts are taken away at the journal's port, so that no build of the product has such a switch.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tallybook::journal::{
    Appender, Bounds, Delivery, DeliverySink, Follower, Journal, JournalError, Stored,
};
use tallybook_events::chain::{Chain, Head, Offset};
use tallybook_events::codec::{self, DecisionParts, Record};
use tallybook_events::decision::SourceRef;
use tallybook_events::ids::Partition;

/// Most that is read at a time to see a partition as a broken build does.
const ALL: usize = 1 << 20;

/// What is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeftOut {
    /// Nothing.
    Nothing,
    /// The chain: every decision counts, whatever its term, its seq and the head before it.
    Chain,
    /// What lies between two deliveries: each is taken for the next offset.
    Between,
    /// What lies between the end that was restored and the claim.
    UpToTheClaim,
    /// The offsets of deliveries: the build is not broken, the client library does not tell them.
    Offsets,
}

/// A journal as an owner sees it in a build where something is left out.
pub(crate) struct Broken<J> {
    journal: Arc<J>,
    left_out: LeftOut,
    /// Where claims were delivered that were not read yet.
    claims: Arc<Mutex<BTreeMap<Partition, Offset>>>,
}

impl<J: Journal> Broken<J> {
    pub(crate) fn new(journal: J, left_out: LeftOut) -> Self {
        Self { journal: Arc::new(journal), left_out, claims: Arc::default() }
    }

    /// Reads all from the start, and makes every decision continue the chain.
    fn all_chained(&self, partition: Partition) -> Result<Vec<Stored>, JournalError> {
        let end = self.journal.bounds(partition)?.end;
        let (mut chained, mut chain) = (Vec::new(), Chain::default());
        let mut next = 0;
        while next < end {
            for Stored { offset, record } in self.journal.read(partition, next, ALL, ALL)? {
                next = offset + 1;
                let at = chain.checkpoint();
                let record = rewritten(&record, (at.term, at.seq + 1, at.head)).unwrap_or(record);
                drop(chain.judge(offset, &record));
                chained.push(Stored { offset, record });
            }
        }
        Ok(chained)
    }
}

/// Writes a decision anew, for another place in the chain; none when it is at that place, or is a claim.
fn rewritten(record: &Bytes, (term, seq, head): (u64, u64, Head)) -> Option<Bytes> {
    let Ok(Record::Decision(decision)) = codec::read(record) else { return None };
    if (decision.term, decision.seq, decision.prev) == (term, seq, head) {
        return None;
    }
    let command = serde_json::to_vec(&decision.command).expect("a command is JSON");
    let source: SourceRef = decision.source;
    let parts = DecisionParts {
        decided_at: decision.decided_at,
        rules: &decision.rules,
        source,
        command: &command,
        outcome: &decision.outcome,
        gives_back: &[],
        events: &decision.events,
    };
    let mut bytes = Vec::new();
    codec::write_decision(&mut bytes, term, seq, &head, &parts);
    Some(Bytes::from(bytes))
}

impl<J: Journal> Journal for Broken<J> {
    fn partitions(&self) -> u32 {
        self.journal.partitions()
    }

    fn bounds(&self, partition: Partition) -> Result<Bounds, JournalError> {
        self.journal.bounds(partition)
    }

    fn read(
        &self,
        partition: Partition,
        from: Offset,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Stored>, JournalError> {
        match self.left_out {
            LeftOut::Nothing | LeftOut::Between | LeftOut::Offsets => {}
            LeftOut::Chain => {
                let all = self.all_chained(partition)?;
                let from = all.partition_point(|stored| stored.offset < from);
                return Ok(all[from..].iter().take(max_records).cloned().collect());
            }
            LeftOut::UpToTheClaim => {
                let claim =
                    self.claims.lock().unwrap_or_else(PoisonError::into_inner).remove(&partition);
                if let Some(claim) = claim.filter(|claim| *claim > from) {
                    return self.journal.read(partition, claim, 1, max_bytes);
                }
            }
        }
        self.journal.read(partition, from, max_records, max_bytes)
    }

    fn appender(
        &self,
        partition: Partition,
        mut sink: DeliverySink,
    ) -> Result<Box<dyn Appender>, JournalError> {
        let (left_out, claims) = (self.left_out, Arc::clone(&self.claims));
        let mut claim = None;
        let telling: DeliverySink = Box::new(move |mut deliveries| {
            for delivery in &mut deliveries {
                let Delivery::At(offset) = delivery else { continue };
                match &mut claim {
                    // The first record of an appender is its claim.
                    None => {
                        claim = Some(*offset);
                        if left_out == LeftOut::UpToTheClaim {
                            let mut claims = claims.lock().unwrap_or_else(PoisonError::into_inner);
                            claims.insert(partition, *offset);
                        }
                    }
                    Some(last) if left_out == LeftOut::Between => {
                        *last += 1;
                        *offset = *last;
                    }
                    Some(_) if left_out == LeftOut::Offsets => *delivery = Delivery::Unknown,
                    Some(_) => {}
                }
            }
            sink(deliveries);
        });
        self.journal.appender(partition, telling)
    }

    fn follow(&self, from: Vec<(Partition, Offset)>) -> Result<Box<dyn Follower>, JournalError> {
        self.journal.follow(from)
    }
}
