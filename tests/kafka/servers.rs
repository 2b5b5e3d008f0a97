//! Servers that share one Kafka.

use std::path::Path;

use tallybook::kafka::Kafka;

use crate::common::Server;

/// Starts a server that has its files in a folder and its log on Kafka.
pub(crate) async fn start(kafka: &Kafka, data: &Path, name: &str) -> Server {
    start_with(kafka, data, name, &[]).await
}

/// The same, with further arguments of `serve`.
pub(crate) async fn start_with(kafka: &Kafka, data: &Path, name: &str, more: &[&str]) -> Server {
    let arguments = ["--kafka", &kafka.bootstrap, "--kafka-prefix", &kafka.prefix, "--name", name];
    Server::start_in(data, &[&arguments, more].concat()).await
}
