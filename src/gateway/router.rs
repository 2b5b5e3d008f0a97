//! Every way in, in one place.

use axum::Router;
use axum::middleware::from_fn;
use http::{HeaderMap, Uri};

use super::observe::observe;
use super::operations::{self, Operations};
use super::{Core, Gateway, dialects, documents, native};

/// Gives all routes of a process that takes requests for customers.
pub fn router(gateway: Gateway, operations: Operations) -> Router {
    let core = Core::new(gateway);
    let all = dialects::all();
    let refusals = dialects::Refusals::of(&all);
    let no_such_path = async move |uri: Uri, headers: HeaderMap| {
        let said = refusals.no_such_path(uri.path(), &headers);
        said.unwrap_or_else(|| native::no_such_path(&headers))
    };
    native::routes(&core)
        .merge(dialects::routes(&all, &core))
        .merge(operations::routes(operations))
        .merge(documents::routes(&all))
        .fallback(no_such_path)
        .method_not_allowed_fallback(native::no_such_method)
        .layer(from_fn(observe))
}

/// Gives the routes of a process that has another role: only what its operator asks.
pub fn operations_router(operations: Operations) -> Router {
    operations::routes(operations).layer(from_fn(observe))
}
