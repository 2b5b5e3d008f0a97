//! Every way in, in one place.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn;
use http::{HeaderMap, Uri};

use super::guard::Refusal;
use super::observe::observe;
use super::operations::{self, Operations};
use super::{Core, Gateway, dialects, documents, native};

/// Where a server that is measured gives back what it reads.
pub const ECHO: &str = "/echo";

/// Gives all routes of a process that takes requests for customers.
pub fn router(gateway: Gateway, operations: Operations) -> Router {
    routes(&Core::new(gateway), operations, Router::new())
}

/// Gives the same, and [`ECHO`], for a server that is measured.
pub fn measured_router(gateway: Gateway, operations: Operations) -> Router {
    let core = Core::new(gateway);
    routes(&core, operations, native::echo(ECHO, &core))
}

fn routes(core: &Arc<Core>, operations: Operations, more: Router) -> Router {
    let all = dialects::all();
    let refusals = dialects::Refusals::of(&all);
    // At the root dialects may share a path: there it is the native API that says no.
    let refuse = move |refusal: Refusal| {
        let refusals = refusals.clone();
        async move |uri: Uri, headers: HeaderMap| {
            let said = refusals.of_base(refusal, uri.path(), &headers);
            said.unwrap_or_else(|| native::refuse(refusal, &headers))
        }
    };
    native::routes(core)
        .merge(dialects::routes(&all, core))
        .merge(more)
        .merge(operations::routes(operations))
        .merge(documents::routes(&all))
        .fallback(refuse(Refusal::NoSuchPath))
        .method_not_allowed_fallback(refuse(Refusal::NoSuchMethod))
        .layer(from_fn(observe))
}

/// Gives the routes of a process that has another role: only what its operator asks.
pub fn operations_router(operations: Operations) -> Router {
    operations::routes(operations).layer(from_fn(observe))
}
