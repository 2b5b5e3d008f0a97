//! Recorded pairs of requests and answers, for each dialect: what its vendor documents, played against
//! the running server. They are in `tests/dialects/<name>/*.json`, and were written from the vendors'
//! documents, not from what comes out here.

mod common;
#[path = "common/kafka.rs"]
mod broker;
#[path = "common/postgres.rs"]
mod database;
#[path = "dialects/ordered.rs"]
mod ordered;
#[path = "dialects/pattern.rs"]
mod pattern;
#[path = "dialects/recorded.rs"]
mod recorded;
#[path = "dialects/keys.rs"]
mod keys;
#[path = "dialects/play.rs"]
mod play;
#[path = "dialects/shared.rs"]
mod shared;

use play::{play, play_with};
use tallybook::kafka::{Kafka, topics};

#[tokio::test(flavor = "multi_thread")]
async fn our_own_api_plays_by_its_recordings() {
    play("native", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn respan_plays_by_its_recordings() {
    play("respan", 90).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zerodrift_plays_by_its_recordings() {
    play("zerodrift", 80).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn proxy_plays_by_its_recordings() {
    play("proxy", 40).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flexprice_plays_by_its_recordings() {
    play("flexprice", 60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn autumn_plays_by_its_recordings() {
    play("autumn", 60).await;
}

/// Each dialect, and how many pairs of it are recorded at least.
const ALL: [(&str, usize); 6] = [
    ("native", 3),
    ("respan", 90),
    ("zerodrift", 80),
    ("proxy", 40),
    ("flexprice", 60),
    ("autumn", 60),
];

#[tokio::test(flavor = "multi_thread")]
async fn all_play_by_their_recordings_on_postgres() {
    for (dialect, at_least) in ALL {
        let url = database::shared().database(&format!("dialect_{dialect}"));
        play_with(dialect, at_least, &["--postgres", &url]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_play_by_their_recordings_on_kafka_with_postgres() {
    // Side by side: most of the time they wait.
    let play = |(dialect, at_least)| async move {
        let prefix = format!("{dialect}-{}", std::process::id());
        let kafka = Kafka { prefix, ..Kafka::at(broker::shared()) };
        topics::apply(&kafka, 4, 1).await.expect("the topics are made");
        let url = database::shared().database(&format!("kafka_{dialect}"));
        let named = ["--kafka", &kafka.bootstrap, "--kafka-prefix", &kafka.prefix];
        play_with(dialect, at_least, &[&named[..], &["--postgres", &url]].concat()).await;
    };
    let played: Vec<_> = ALL.into_iter().map(|it| tokio::spawn(play(it))).collect();
    for one in played {
        one.await.expect("it plays by its recordings");
    }
}
