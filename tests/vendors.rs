//! The vendors' own client libraries, changed in nothing but address and key, against the built binary.
//! What they do is in `tests/vendors/<name>/`, with a lock file of what is installed for them.

mod common;
#[path = "vendors/respan.rs"]
mod respan;
#[path = "vendors/flexprice.rs"]
mod flexprice;
#[path = "vendors/autumn.rs"]
mod autumn;
