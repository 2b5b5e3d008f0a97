//! The answers of calls, on the wire.

pub(super) mod customer;
pub(super) mod controls;
pub(super) mod entitlements;
pub(super) mod list;
