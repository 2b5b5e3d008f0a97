//! The facts from outside: what was ever written stays readable, what is written reads back, what is
//! published is what is written.

mod examples;
mod examples_entitlements;
mod golden;
mod schemas;
mod arbitrary;
mod round_trip;
mod draft;
