//! One server from outside: the command line, our own HTTP API, its edge, and what the README says.

#[path = "../common/mod.rs"]
mod common;
mod readme;
mod cli;
mod serve;
mod demo;
mod http_native;
mod bad_input;
mod later;
mod parents;
mod entitlements;
mod keys;
mod access_log;
mod tls;
mod send;
mod rebuild;
