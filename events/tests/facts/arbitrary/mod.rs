//! Any command, any event, any outcome: strategies for proptest.

pub(crate) mod asked;
pub(crate) mod happened;
mod words;
