//! Running Tallybook on a real Apache Kafka: roles apart, keys, topics, security, sending.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/kafka.rs"]
mod broker;
mod cluster;
mod keys;
mod topics;
mod roles;
mod dry_runs;
mod sending;
mod traces;
mod security;
