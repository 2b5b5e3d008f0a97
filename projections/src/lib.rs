//! The read side of Tallybook: decisions folded into rows, rows turned into answers.
//!
//! - [`projection`]: what a fold is. The folds: [`customers`], [`period_usage`], [`feature_usage`],
//!   [`timeline`],
//!   [`commands`].
//! - [`ledger`] and [`fold`]: one customer while it is folded, whatever store its rows are in; [`told`]:
//!   what that changed, for those who send it on.
//! - [`store`]: where rows are kept: the port, and its adapters. [`digest`]: one number for all rows.
//! - [`queries`]: questions and answers. [`progress`]: waiting until the rows have come so far.

pub mod projection;
pub mod customers;
pub mod period_usage;
pub mod feature_usage;
pub mod timeline;
pub mod commands;
pub mod ledger;
pub mod fold;
pub mod told;
pub mod spend;
pub mod check;
mod merchants;
mod history;
pub mod queries;
pub mod progress;
pub mod digest;
pub mod store;
#[cfg(test)]
mod testing;
