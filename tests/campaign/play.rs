//! What is done, and how long commands wait for it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tallybook::clock::{Clock as _, SystemClock};
use tallybook::journal::Journal as _;
use tallybook::journal::kafka::KafkaJournal;
use tallybook_events::ids::Partition;
use tallybook_events::time::Timestamp;

use crate::common::until_async_within;
use crate::load::{Probes, Wait};
use crate::plan::Deed;
use crate::stage::{BROKERS, PROCESSORS, SMALL, Stage};
use crate::watch::Claim;
use crate::{PARTITIONS, PATIENCE, SESSION};

/// Longest time between a start and the next kill.
const MOST_MILLIS: u64 = 1_500;
/// For how much longer than its session a processor is stopped.
const OVER: Duration = Duration::from_secs(2);
/// A broker that is silent for so long is no leader any more,
const ELECTED: Duration = Duration::from_secs(10);
/// and within this time its successors are asked. With the client library's defaults it takes longer.
const ASKED: Duration = Duration::from_secs(80);
/// Answers on each partition by which it is seen that all goes on.
const GOES_ON: usize = 3;

/// A hand-over has about so many times the round trips to brokers that a command has: the group is left
/// and joined, the end of the log is asked for, a producer is made, a claim appended and read back.
const ROUND_TRIPS: u32 = 3;
/// How long before a hand-over it is looked how long commands usually wait.
const BEFORE: Duration = Duration::from_secs(5);

/// How long commands waited while partitions changed hands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HandOver {
    /// The longest wait of a command to one of these partitions,
    pub(crate) waited: Duration,
    /// the longest one meanwhile of a command to another partition,
    others: Duration,
    /// the longest one of all commands shortly before,
    usual: Duration,
    /// and how long, in all, a thread that wanted to run could not.
    stalled: Duration,
    /// After the beginning: when the last claim was made,
    #[expect(dead_code, reason = "it is shown")]
    claimed: Duration,
    /// and when all new owners had decided something.
    #[expect(dead_code, reason = "it is shown")]
    decided: Duration,
}

impl HandOver {
    /// How much longer commands waited than the round trips of a hand-over take on this machine now.
    pub(crate) fn beyond_round_trips(&self) -> Duration {
        self.waited.saturating_sub(ROUND_TRIPS * self.others.max(self.usual).max(self.stalled))
    }

    /// The same for commands of other partitions, which nobody hands over.
    pub(crate) fn others_beyond_round_trips(&self) -> Duration {
        self.others.saturating_sub(ROUND_TRIPS * self.usual.max(self.stalled))
    }
}

/// The campaign so far.
pub(crate) struct Play {
    pub(crate) stage: Stage,
    pub(crate) probes: Probes,
    /// What came of it when an owner was asked to leave,
    pub(crate) left: Vec<HandOver>,
    /// and when it was killed.
    pub(crate) killed: Vec<HandOver>,
    /// It has asked all leaders.
    journal: KafkaJournal,
    random: StdRng,
    began: Instant,
}

impl Play {
    pub(crate) fn new(stage: Stage, probes: Probes, seed: u64) -> Self {
        let random = StdRng::seed_from_u64(seed);
        let (left, killed) = (Vec::new(), Vec::new());
        let journal = KafkaJournal::open(&stage.kafka).expect("the journal is there");
        Self { stage, probes, left, killed, journal, random, began: Instant::now() }
    }

    /// Does one thing, at a moment by chance, and sees that all goes on.
    pub(crate) async fn act(&mut self, deed: Deed) {
        let moment = self.random.random_range(0..MOST_MILLIS * 1_000);
        tokio::time::sleep(Duration::from_micros(moment)).await;
        eprintln!("{:.1?}: {deed:?}", self.began.elapsed());
        match deed {
            Deed::Kill(place) => self.kill(place).await,
            Deed::KillFront(place) => {
                self.stage.kill_front(place).await;
                self.probes.more(1).await;
                self.stage.start_front(place).await;
            }
            Deed::Leave(place) => {
                let hand_over = self.without(place, async |stage| stage.leave(place).await).await;
                self.left.push(hand_over);
            }
            Deed::Orphan(place) => {
                let kill = async |stage: &mut Stage| {
                    stage.processors[place].take().expect("it runs").kill();
                };
                let hand_over = self.without(place, kill).await;
                self.killed.push(hand_over);
            }
            Deed::Freeze(place) => self.freeze(place).await,
            Deed::KillBroker(place) => self.kill_broker(place).await,
            Deed::PauseBroker(place, seconds) => {
                self.pause_broker(place, Duration::from_secs(seconds)).await;
            }
            Deed::FillDisk => self.fill_disk().await,
        }
        self.probes.more(GOES_ON).await;
    }

    async fn kill(&mut self, place: usize) {
        self.stage.processors[place].take().expect("it runs").kill();
        self.stage.start(place).await;
    }

    /// Lets a processor come to its end, sees how long commands wait for the other, and starts it again.
    async fn without(&mut self, place: usize, end: impl AsyncFnOnce(&mut Stage)) -> HandOver {
        self.stage.both_own().await;
        self.probes.more(GOES_ON).await;
        let its = |(partition, claim): (u32, Claim)| {
            (claim.owner == PROCESSORS[place]).then_some(partition)
        };
        let moved: BTreeSet<u32> = self.stage.watch.claims().into_iter().filter_map(its).collect();
        let (since, told) = (Instant::now(), SystemClock.now());
        end(&mut self.stage).await;
        self.stage.owns_all(1 - place).await;
        self.probes.more(1).await;
        let hand_over = self.hand_over(&moved, since, told);
        eprintln!("{hand_over:.1?}");
        self.stage.start(place).await;
        hand_over
    }

    fn hand_over(&self, moved: &BTreeSet<u32>, since: Instant, told: Timestamp) -> HandOver {
        let before = self.probes.since(since.checked_sub(BEFORE).unwrap_or(since)).into_iter();
        let usual = before.filter(|wait| wait.ended() < since).map(|wait| wait.took).max();
        let waits = self.probes.since(since);
        let (moved, others): (Vec<Wait>, Vec<Wait>) =
            waits.into_iter().partition(|wait| moved.contains(&wait.partition));
        let longest = moved.into_iter().max_by_key(|wait| wait.took).expect("there were commands");
        let (began, ended) = (longest.began, longest.ended());
        let meanwhile = others.iter().filter(|wait| wait.ended() >= began && wait.began <= ended);
        let claims = self.stage.watch.claims();
        let last = |of: fn(&Claim) -> Option<Timestamp>| {
            let last = claims.values().filter_map(of).map(Timestamp::micros).max();
            let after = last.map_or(0, |last| last - told.micros());
            Duration::from_micros(u64::try_from(after).unwrap_or(0))
        };
        HandOver {
            waited: longest.took,
            others: meanwhile.map(|wait| wait.took).max().unwrap_or_default(),
            usual: usual.unwrap_or_default(),
            stalled: self.stage.watch.stalled(began, ended),
            claimed: last(|claim| Some(claim.at)),
            decided: last(|claim| claim.decided),
        }
    }

    /// Stops one in its tracks for longer than its session: when it goes on, two write at once.
    async fn freeze(&mut self, place: usize) {
        let frozen = Instant::now();
        self.signal(place, "STOP");
        tokio::time::sleep_until((frozen + SESSION + OVER).into()).await;
        self.stage.owns_all(1 - place).await;
        self.probes.more(1).await;
        self.signal(place, "CONT");
        self.stage.both_own().await;
    }

    fn signal(&self, place: usize, name: &str) {
        self.stage.processors[place].as_ref().expect("it runs").signal(name);
    }

    /// Kills a broker, and half of the times a processor while it is away.
    async fn kill_broker(&mut self, place: usize) {
        self.stage.cluster.kill(place);
        self.probes.more(GOES_ON).await;
        if self.random.random() {
            self.kill(place % PROCESSORS.len()).await;
        }
        self.restart_broker(place);
    }

    /// Stops a broker in its tracks, for so long, and until where all partitions end is known without it.
    async fn pause_broker(&mut self, place: usize, long: Duration) {
        let stopped = Instant::now();
        self.stage.cluster.pause(place);
        tokio::time::sleep_until((stopped + long).into()).await;
        if long >= ELECTED {
            let partitions = (0..PARTITIONS).map(Partition);
            let journal = &self.journal;
            until_async_within(ASKED, "the ends of all partitions, their leader stopped", || {
                let asked = |of| journal.bounds(of).is_ok();
                let all = tokio::task::block_in_place(|| partitions.clone().all(asked));
                std::future::ready(all.then_some(()))
            })
            .await;
        }
        self.stage.cluster.resume(place);
    }

    fn restart_broker(&mut self, place: usize) {
        tokio::task::block_in_place(|| {
            self.stage.cluster.restart(place);
            self.stage.cluster.wait_until_back(place, BROKERS);
        });
    }

    /// Fills up a broker's disk: it ends, the others go on. With room it comes back.
    async fn fill_disk(&mut self) {
        let Some(disk) = self.stage.cluster.small_disk() else { return };
        disk.fill();
        until_async_within(PATIENCE, "the end of the broker whose disk is full", || {
            std::future::ready(self.stage.cluster.has_ended(SMALL).then_some(()))
        })
        .await;
        self.probes.more(GOES_ON).await;
        self.stage.cluster.kill(SMALL);
        self.stage.cluster.small_disk().expect("it was filled").make_room();
        self.restart_broker(SMALL);
    }
}
