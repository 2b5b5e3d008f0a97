//! The store of the read models: rows, and the positions that they are true for.
//!
//! # What is promised
//!
//! - [`Store::commit`] folds a batch into the rows and moves the positions of its partitions in one
//!   transaction: after a return all of it is there, after an error or a crash none of it.
//! - Positions move by compare-and-set: a batch that does not begin where its partition stands is
//!   refused with [`StoreError::Moved`], for somebody else folds here too. So no record is folded
//!   twice, however many projectors there are.
//! - Any split of the same records into batches gives the same rows, and so the same digest.
//! - What was committed may be lost with the machine's power, rows together with their positions:
//!   whoever folds goes on from [`Store::checkpoints`].
//! - Whoever asks after a commit has returned gets answers from its rows, or later ones; one answer is
//!   made of the rows of one moment.
//! - A [`Rebuild`] fills new rows beside the live ones and then puts them in their place in one
//!   transaction. Who reads sees the old rows or the new ones. Who folds finds [`StoreError::Moved`].
//!
//! `conformance.rs` is this list as tests; every adapter runs it.

use tallybook_events::chain::Checkpoint;
use tallybook_events::ids::Partition;

use crate::commands::CommandRow;
use crate::digest::ModelsDigest;
use crate::projection::{Facts, Unfoldable};
use crate::told::Told;

mod cursor;
mod cache;
pub mod sqlite;
pub mod postgres;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod alike;

/// What some partitions add, folded in one transaction. At most one part for each partition.
#[derive(Debug, Default)]
pub struct Batch<'a> {
    /// By partition.
    pub parts: Vec<Part<'a>>,
}

/// What one partition adds.
#[derive(Debug)]
pub struct Part<'a> {
    /// The partition.
    pub partition: Partition,
    /// Where the rows stand; [`Checkpoint::START`] before the first record.
    pub from: Checkpoint,
    /// Where they stand then.
    pub to: Checkpoint,
    /// The facts in between, in their order.
    pub facts: Vec<Facts<'a>>,
    /// What became of commands in between, in the same order.
    pub commands: Vec<CommandRow>,
}

/// Why the store did not do it. Nothing of it was done.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The rows stand elsewhere: somebody else moved them. Ask where, go on from there.
    #[error("the read model does not stand where the batch begins: somebody else moved it")]
    Moved,
    /// Somebody else folds here at present. Stand by: ask where the rows stand from time to time, and
    /// try again.
    #[error("somebody else folds into the read model")]
    Led,
    /// The facts do not follow on the rows. Stop; a human must look.
    #[error("the journal does not follow on the read model")]
    Unfoldable(#[source] Unfoldable),
    /// The rows are not what this build writes. All of them can be built again from the journal.
    #[error("the read model cannot be read: {what}")]
    Damaged {
        /// What is wrong, and where.
        what: String,
        /// The cause, when there is one.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The store does not answer. Try again.
    #[error("the read model does not answer")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The side of the store that folds. One batch at a time.
pub trait Store: Send {
    /// Gives where the rows stand, for each partition that was ever folded, in order.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when there is no answer.
    fn checkpoints(&mut self) -> Result<Vec<(Partition, Checkpoint)>, StoreError>;

    /// Folds a batch.
    ///
    /// # Errors
    /// [`StoreError`]; nothing of the batch is there then.
    fn commit(&mut self, batch: &Batch<'_>) -> Result<(), StoreError>;

    /// Gives one number for all rows. Reads all of them.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when there is no answer.
    fn digest(&mut self) -> Result<ModelsDigest, StoreError>;
}

/// A store that says what a batch changes, to somebody who sends it on.
pub trait TellingStore: Store {
    /// Folds a batch like [`Store::commit`], but before it is kept says what it changes: each customer
    /// that its facts are about, in the order of their ids. What `tell` fails with is given back, and
    /// nothing of the batch is there then. A crash between the two leaves what was told, and rows that
    /// do not know of it: never the other way round.
    ///
    /// # Errors
    /// [`StoreError`]; nothing of the batch is there then.
    fn commit_told(&mut self, batch: &Batch<'_>, tell: Tell<'_>) -> Result<(), StoreError>;
}

/// Is told what a batch changes before it is kept.
pub type Tell<'a> = &'a mut dyn FnMut(Vec<Told>) -> Result<(), StoreError>;

/// Checks that rebuilt rows have come at least to where the live ones stand.
fn not_behind(
    new: &[(Partition, Checkpoint)],
    live: &[(Partition, Checkpoint)],
) -> Result<(), StoreError> {
    for (partition, stand) in live {
        let reached = new.iter().find(|(of, _)| of == partition).map_or(0, |(_, at)| at.offset);
        if reached < stand.offset {
            let what = format!(
                "partition {partition} was rebuilt up to offset {reached} only, \
                 the live rows stand at {}",
                stand.offset
            );
            return Err(StoreError::Damaged { what, source: None });
        }
    }
    Ok(())
}

/// Brings rebuilt rows at least to where the live ones stand.
pub type CatchUp<'a> =
    &'a mut dyn FnMut(&mut dyn Store, &[(Partition, Checkpoint)]) -> Result<(), StoreError>;

/// New rows beside the live ones.
pub trait Rebuild: Send {
    /// Gives the store of the new rows. It begins empty.
    fn store(&mut self) -> &mut dyn Store;

    /// Puts the new rows in the place of the live ones. `catch_up` is called with the store of the new
    /// rows and where the live ones stand; from then on these do not move any more, and the new ones
    /// must not be behind them when it returns.
    ///
    /// # Errors
    /// [`StoreError`], also that of `catch_up`; the live rows are then as they were.
    fn switch(self: Box<Self>, catch_up: CatchUp<'_>) -> Result<(), StoreError>;
}
