//! What a crash must not do: processes killed at any moment, power lost, and builds that are broken on
//! purpose. A checker of its own looks at the journal, at what clients were told and at the rows.

#[path = "../common/mod.rs"]
mod common;

mod checked;
mod checker;
mod image;
mod kill;
mod load;
mod power;
mod sabotage;
