//! The native API over fakes: what comes in, what goes out.

mod bad_input;
mod access;
mod changes;
mod commands;
mod reads;
mod later;
