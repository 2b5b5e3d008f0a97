//! Tallybook: an event-sourced command processor for the customers of usage-billed products.

pub mod decisions;
pub mod processor;
pub mod journal;
pub mod inbox;
pub mod projector;
pub mod gateway;
pub mod keys;
pub mod clock;
pub mod cli;
pub mod config;
pub mod telemetry;
