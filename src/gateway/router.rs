//! Every way in, in one place.

use axum::Router;
use axum::middleware::from_fn;

use super::observe::observe;
use super::operations::{self, Operations};
use super::{Core, Gateway, native};

/// Gives all routes of a process that takes requests for customers.
pub fn router(gateway: Gateway, operations: Operations) -> Router {
    let core = Core::new(gateway);
    native::routes(&core)
        .merge(operations::routes(operations))
        .fallback(native::no_such_path)
        .method_not_allowed_fallback(native::no_such_method)
        .layer(from_fn(observe))
}

/// Gives the routes of a process that has another role: only what its operator asks.
pub fn operations_router(operations: Operations) -> Router {
    operations::routes(operations).layer(from_fn(observe))
}
