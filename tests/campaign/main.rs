//! Three brokers, a database, two processors, two gateways with projectors, under load from HTTP and from
//! Kafka, while any of them is killed, stopped in its tracks or asked to leave and a disk is full: no
//! command is lost or doubled, the read models are what the journal adds up to, and who takes over does
//! so in time. This binary is on its own, so that no other test is on the machine while waits are measured.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/kafka.rs"]
mod broker;
#[path = "../common/postgres.rs"]
mod database;
#[path = "../kafka/log.rs"]
mod log;
#[path = "../kafka/work.rs"]
mod work;
mod stage;
mod watch;
mod load;
mod plan;
mod play;
mod models;

use std::time::{Duration, Instant};

use load::{Probes, Upstream};
use plan::Plan;
use play::{HandOver, Play};
use stage::Stage;
use work::Writers;

/// Partitions of the topics.
const PARTITIONS: u32 = 4;
/// How long anything may take while things are killed.
const PATIENCE: Duration = Duration::from_mins(5);
/// How long a member of the group may be silent.
const SESSION: Duration = Duration::from_secs(6);
/// How long a command may wait while its partition changes hands: when its owner is asked to leave (half a
/// second is what is aimed at; here it is shown that nobody waits for a session to end),
const LEAVING: Duration = Duration::from_secs(2);
/// and when it is killed.
const TAKING_OVER: Duration = SESSION.saturating_add(LEAVING);
/// Fewest answers to them that show anything.
const FEWEST: u64 = 1_500;
/// Clients that write to all customers, and their pause between two commands.
const CLIENTS: (u64, Duration) = (6, Duration::from_millis(60));

/// `TALLYBOOK_KILLS=60 TALLYBOOK_BROKER_KILLS=5` (or 1000 and 200) makes it a long campaign.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_ends_no_command_is_lost_or_doubled_and_others_go_on_in_time() {
    let began = Instant::now();
    let plan = Plan::asked();
    let mut stage = Stage::set().await;
    stage.both_own().await;
    let writers = Writers::start(CLIENTS.0, &stage.servers, CLIENTS.1);
    let upstream = Upstream::start(&stage.kafka);
    let probes = Probes::start(&stage.servers);
    let mut campaign = Play::new(stage, probes, plan.seed);
    for deed in plan.deeds() {
        campaign.act(deed).await;
    }
    let Play { mut stage, probes, left, killed, .. } = campaign;
    assert!(writers.told() > FEWEST, "{} answers are too few to show anything", writers.told());
    let mut told = writers.finish().await;
    told.extend(probes.finish().await);
    let published = tokio::task::block_in_place(|| upstream.finish());
    let journal =
        common::until_async_within(PATIENCE, "decisions on all that is in the topic", || {
            let journal = tokio::task::block_in_place(|| log::journal(&stage.kafka));
            let all =
                models::accepted(&journal).is_superset(&published.iter().map(|id| &**id).collect());
            std::future::ready(all.then_some(journal))
        })
        .await;
    eprintln!("{:.0?}: all is decided", began.elapsed());
    journal.check();
    journal.check_told(&told);
    stage.compare_models(&journal).await;
    stage.end().await;
    let (claims, skipped) = (models::claims(&journal), journal.skipped);
    stage.watch.finish();
    eprintln!(
        "{plan}: {} answered, {} published, {claims} claims, {skipped} records skipped, {:.0?}",
        told.len(),
        published.len(),
        began.elapsed()
    );
    in_time("asked to leave", &left, LEAVING);
    in_time("killed", &killed, TAKING_OVER);
}

/// Checks how long commands waited when partitions changed hands, beyond what the machine makes any command
/// wait meanwhile: half of the times no longer than that, and no time so long as if somebody had been
/// forgotten.
fn in_time(why: &str, hand_overs: &[HandOver], within: Duration) {
    let median = |of: fn(&HandOver) -> Duration| {
        let mut all: Vec<Duration> = hand_overs.iter().map(of).collect();
        all.sort_unstable();
        all.get(all.len() / 2).copied().expect("there were hand-overs")
    };
    let waited = median(|of| of.waited);
    let beyond = median(HandOver::beyond_round_trips);
    let others = median(HandOver::others_beyond_round_trips);
    eprintln!("{why}: half of the times commands waited for at most {waited:.0?}");
    assert!(beyond <= within, "commands waited for {beyond:?} too long: {hand_overs:.0?}");
    assert!(others <= LEAVING, "commands of other owners waited, too: {hand_overs:.0?}");
    let longest = hand_overs.iter().map(HandOver::beyond_round_trips).max().unwrap_or_default();
    assert!(longest <= within + SESSION, "somebody was forgotten: {hand_overs:.0?}");
}
