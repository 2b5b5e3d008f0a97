//! The bodies of calls: how they are read, and what they may be.

pub(super) mod customer_id;
pub(super) mod customer;
pub(super) mod facts;
pub(super) mod controls;
mod controls_schema;
pub(super) mod page;
