//! The facts of Tallybook. Pure: no I/O, no clock, no async; both sides use it.
//!
//! - [`command`]: what was asked. [`decision`]: our answer, one per command. [`event`]: the catalogue
//!   of facts, by concept in [`customer`].
//! - [`chain`]: which records of a journal count: the reader rule. [`codec`]: bytes and records;
//!   [`lean`]: the same, for whoever has millions to read;
//!   [`versions`]: every event version that was ever written. [`schemas`]: all of it as JSON Schemas.
//! - [`outside`]: JSON from outside becomes one of these, or a fault with its place.
//! - [`ids`], [`text`], [`money`], [`time`], [`period`], [`field`], [`json`]: the words they are made of.

pub mod command;
pub mod decision;
pub mod event;
pub mod customer;
pub mod chain;
pub mod codec;
pub mod lean;
pub mod versions;
pub mod schemas;
pub mod outside;
pub mod ids;
pub mod text;
mod decimal;
pub mod money;
pub mod time;
mod calendar;
pub mod period;
pub mod field;
pub mod json;
