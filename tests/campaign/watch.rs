//! Who owns which partition, by the journal itself; and how much this machine holds everybody up.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tallybook::journal::Journal as _;
use tallybook::journal::kafka::KafkaJournal;
use tallybook::kafka::Kafka;
use tallybook_events::chain::Chain;
use tallybook_events::codec::{self, Claimed, Record};
use tallybook_events::ids::Partition;
use tallybook_events::time::Timestamp;

/// Most records that are looked at at a time.
const RECORDS: usize = 1_000;
/// How long one look takes.
const LOOK: Duration = Duration::from_millis(50);
/// How long the thread that measures stalls sleeps at a time.
const NAP: Duration = Duration::from_millis(5);

/// A claim that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) owner: String,
    /// When its owner made it.
    pub(crate) at: Timestamp,
    /// When it first decided something.
    pub(crate) decided: Option<Timestamp>,
}

/// The last claim of each partition.
pub(crate) type Claims = BTreeMap<u32, Claim>;

/// Follows the journal, and sleeps lightly.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    claims: Arc<Mutex<Claims>>,
    stalls: Arc<Mutex<Vec<(Instant, Duration)>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Watch {
    pub(crate) fn start(kafka: &Kafka) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let (claims, stalls) = (Arc::<Mutex<Claims>>::default(), Arc::default());
        let follow = {
            let (kafka, claims, stop) = (kafka.clone(), Arc::clone(&claims), Arc::clone(&stop));
            std::thread::spawn(move || follow(&kafka, &claims, &stop))
        };
        let nap = {
            let (stalls, stop) = (Arc::clone(&stalls), Arc::clone(&stop));
            std::thread::spawn(move || nap(&stalls, &stop))
        };
        Self { stop, claims, stalls, threads: vec![follow, nap] }
    }

    /// Gives the last claim of each partition.
    pub(crate) fn claims(&self) -> Claims {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells for how long, in all, a thread that wanted to run could not, between two moments.
    pub(crate) fn stalled(&self, from: Instant, to: Instant) -> Duration {
        let stalls = self.stalls.lock().unwrap_or_else(PoisonError::into_inner);
        let within = stalls.iter().filter(|(at, _)| *at >= from && *at <= to);
        within.map(|(_, late)| *late).sum()
    }

    /// Ends it. Panics when the reader rule has halted.
    pub(crate) fn finish(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("the journal is judged to its end");
        }
    }
}

fn follow(kafka: &Kafka, claims: &Mutex<Claims>, stop: &AtomicBool) {
    let journal = KafkaJournal::open(kafka).expect("the journal is there");
    let mut chains: BTreeMap<Partition, Chain> =
        (0..journal.partitions()).map(|number| (Partition(number), Chain::default())).collect();
    while !stop.load(Ordering::Relaxed) {
        let from = chains.iter().map(|(of, chain)| (*of, chain.checkpoint().offset)).collect();
        let Ok(mut follower) = journal.follow(from) else { continue };
        while !stop.load(Ordering::Relaxed) {
            // Brokers are killed: it is followed anew.
            let Ok(stored) = follower.next(RECORDS, LOOK) else { break };
            for (partition, stored) in stored {
                let chain = chains.get_mut(&partition).expect("it is followed");
                let counts = chain.judge(stored.offset, &stored.record).expect("no halt").counts();
                if counts {
                    take_note(
                        &mut claims.lock().unwrap_or_else(PoisonError::into_inner),
                        partition,
                        &stored.record,
                    );
                }
            }
        }
    }
}

fn take_note(claims: &mut Claims, partition: Partition, record: &[u8]) {
    match codec::read(record) {
        Ok(Record::Claim(Claimed { owner, at, .. })) => {
            claims.insert(partition.0, Claim { owner: owner.into(), at, decided: None });
        }
        Ok(Record::Decision(decision)) => {
            if let Some(claim) = claims.get_mut(&partition.0) {
                claim.decided.get_or_insert(decision.decided_at);
            }
        }
        Ok(Record::DeadLetter(_)) | Err(_) => {}
    }
}

fn nap(stalls: &Mutex<Vec<(Instant, Duration)>>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        std::thread::sleep(NAP);
        let late = began.elapsed().saturating_sub(NAP);
        if late >= NAP {
            stalls.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), late));
        }
    }
}
