//! Any command, any event, any outcome: strategies for proptest.

pub(crate) mod asked;
mod entitled;
pub(crate) mod happened;
mod words;
