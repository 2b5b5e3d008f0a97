//! What is done to whom, how often, and in which order.

use std::fmt;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};

use crate::stage::BROKERS;

/// Kills of a processor when nothing else is said,
const KILLS: u64 = 6;
/// and of each broker.
const BROKER_KILLS: u64 = 1;
/// For so many kills of a processor, one is stopped in its tracks, and a broker is.
const KILLS_TO_A_STOP: u64 = 12;
/// For so many, a disk fills up.
const KILLS_TO_A_FULL_DISK: u64 = 60;
/// How often a gateway with its projector is killed, for so many kills of a processor.
const KILLS_TO_A_FRONT: u64 = 5;
/// Hand-overs whose time is taken: after SIGTERM and after a kill.
const HAND_OVERS: (u64, u64) = (3, 3);

/// One thing that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Kill a processor and start it again at once.
    Kill(usize),
    /// Kill a gateway with its projector.
    KillFront(usize),
    /// Ask a processor to leave.
    Leave(usize),
    /// Kill a processor, and leave its partitions to the other.
    Orphan(usize),
    /// Stop a processor for longer than its session.
    Freeze(usize),
    /// Kill a broker and start it again.
    KillBroker(usize),
    /// Stop a broker for so many seconds.
    PauseBroker(usize, u64),
    /// Fill up a broker's disk.
    FillDisk,
}

/// How much is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    kills: u64,
    broker_kills: u64,
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, kills, broker_kills } = self;
        write!(formatter, "seed {seed}, {kills} kills, {broker_kills} of each broker")
    }
}

impl Plan {
    /// Gives what the environment asks for, or the short one.
    pub(crate) fn asked() -> Self {
        let seed = asked("TALLYBOOK_SEED").unwrap_or(20_261_124);
        let kills = asked("TALLYBOOK_KILLS").unwrap_or(KILLS);
        Self { seed, kills, broker_kills: asked("TALLYBOOK_BROKER_KILLS").unwrap_or(BROKER_KILLS) }
    }

    /// Gives what is done, in an order by chance.
    pub(crate) fn deeds(&self) -> Vec<Deed> {
        let mut random = StdRng::seed_from_u64(self.seed);
        let mut deeds = Vec::new();
        let mut add = |times: u64, deed: &mut dyn FnMut(u64) -> Deed| {
            deeds.extend((0..times).map(deed));
        };
        let two = |number: u64| usize::try_from(number % 2).expect("small");
        add(self.kills, &mut |number| Deed::Kill(two(number)));
        add(self.kills.div_ceil(KILLS_TO_A_FRONT), &mut |number| Deed::KillFront(two(number)));
        add(HAND_OVERS.0, &mut |number| Deed::Leave(two(number)));
        add(HAND_OVERS.1, &mut |number| Deed::Orphan(two(number)));
        add(self.kills.div_ceil(KILLS_TO_A_STOP), &mut |number| Deed::Freeze(two(number)));
        let brokers = u64::try_from(BROKERS).expect("few");
        let broker = |number: u64| usize::try_from(number % brokers).expect("small");
        add(self.broker_kills * brokers, &mut |number| Deed::KillBroker(broker(number)));
        let stops = self.kills.div_ceil(KILLS_TO_A_STOP);
        add(stops, &mut |number| {
            // The first is long enough that the others must elect another leader.
            let long = if number == 0 { 10 } else { random.random_range(1..=30) };
            Deed::PauseBroker(broker(number), long)
        });
        add(self.kills.div_ceil(KILLS_TO_A_FULL_DISK), &mut |_| Deed::FillDisk);
        deeds.shuffle(&mut random);
        deeds
    }
}

fn asked(name: &str) -> Option<u64> {
    let asked = std::env::var_os(name).and_then(|asked| asked.into_string().ok());
    asked.map(|asked| asked.parse().expect("a number"))
}
