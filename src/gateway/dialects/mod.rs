//! Foreign APIs that we speak, one folder each. All are about the same customers; each has its own
//! paths, shapes, units, errors and meaning of `null`, as its vendor documents them. None knows another.
//!
//! A dialect gives its [`Contract`] and its
//! [`Voice`]; [`routes`] puts them beside ours, each under its own base, and the
//! operations that are `also_at` the root there, too.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use http::HeaderMap;

use super::Core;
use super::contract::Contract;
use super::guard::{Refusal, Voice, guard};

mod respan;
mod zerodrift;
mod proxy;
mod flexprice;
mod autumn;

/// One dialect, as the router wants it.
pub(crate) struct Dialect {
    /// What it can do.
    pub(crate) contract: Contract,
    /// Its routes, with its guard before them.
    mount: fn(&Contract, &Arc<Core>) -> Router,
    /// How it says no.
    refuse: Refuse,
}

impl Dialect {
    /// Makes a dialect of its contract and its voice.
    fn new<V: Voice>(contract: Contract) -> Self {
        Self { contract, mount: mount::<V>, refuse: V::refuse }
    }
}

/// Gives all dialects.
pub(crate) fn all() -> Vec<Dialect> {
    vec![
        respan::dialect(),
        zerodrift::dialect(),
        flexprice::dialect(),
        proxy::dialect(),
        autumn::dialect(),
    ]
}

/// Gives the routes of dialects.
pub(crate) fn routes(dialects: &[Dialect], core: &Arc<Core>) -> Router {
    dialects.iter().fold(Router::new(), |router, dialect| {
        router.merge((dialect.mount)(&dialect.contract, core))
    })
}

/// How a dialect says no.
type Refuse = fn(Refusal, &HeaderMap) -> Response;

/// How each dialect says no, by its base.
#[derive(Clone)]
pub(crate) struct Refusals(Arc<[(&'static str, Refuse)]>);

impl Refusals {
    /// Takes note of how the dialects say no.
    pub(crate) fn of(dialects: &[Dialect]) -> Self {
        Self(dialects.iter().map(|dialect| (dialect.contract.base, dialect.refuse)).collect())
    }

    /// Says no to a request for a path below a dialect's base; nothing when it is below no base.
    pub(crate) fn of_base(
        &self,
        refusal: Refusal,
        path: &str,
        headers: &HeaderMap,
    ) -> Option<Response> {
        let below = |base: &str| {
            path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let (_, refuse) = self.0.iter().find(|(base, _)| below(base))?;
        Some(refuse(refusal, headers))
    }
}

fn mount<V: Voice>(contract: &Contract, core: &Arc<Core>) -> Router {
    let guarded = |router: Router<Arc<Core>>| {
        router
            .route_layer(from_fn_with_state(Arc::clone(core), guard::<V>))
            .with_state(Arc::clone(core))
    };
    guarded(contract.routes()).merge(guarded(contract.other_routes()))
}
