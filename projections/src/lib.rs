//! The read side of Tallybook: decisions folded into rows, rows turned into answers.

pub mod queries;
