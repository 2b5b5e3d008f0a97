//! What an operator asks: does it live, is it ready, how does it do, what is it.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{Method, StatusCode};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use schemars::JsonSchema;

use super::contract::{Contract, Operation};
use super::observe::REQUEST_SECONDS;

/// Bounds of the buckets of latencies, in seconds.
const LATENCY_BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0, 4.0, 16.0];

/// Media type of plain text.
const TEXT: &str = "text/plain";

/// Tells whether the process can do its work, and if not, what it waits for.
pub type Ready = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What the operator's routes are built of.
#[derive(Clone)]
pub struct Operations {
    /// Whether the process can do its work.
    pub ready: Ready,
    /// The metrics of the process.
    pub metrics: PrometheusHandle,
}

impl fmt::Debug for Operations {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Operations").finish_non_exhaustive()
    }
}

impl Operations {
    /// Gives the recorder of metrics as the gateway wants it. The caller installs it, once for each process.
    ///
    /// # Panics
    /// Never: there are buckets.
    pub fn recorder() -> PrometheusBuilder {
        PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Full(REQUEST_SECONDS.into()), &LATENCY_BUCKETS)
            .expect("there are buckets")
    }
}

/// Gives what an operator can ask. It needs no key: the listener is on loopback unless told otherwise.
pub(crate) fn contract() -> Contract<Operations> {
    Contract {
        name: "operations",
        title: "",
        description: "",
        base: "",
        security: &[],
        refusals: Vec::new(),
        operations: vec![
            Operation::new("live", Method::GET, "/livez", get(live))
                .summary("Tells whether the process lives.")
                .answer_of::<String>(200, TEXT, "It lives."),
            Operation::new("ready", Method::GET, "/readyz", get(ready))
                .summary("Tells whether the process can do its work.")
                .answer_of::<String>(200, TEXT, "It can.")
                .answer_of::<String>(503, TEXT, "It cannot, with what it waits for."),
            Operation::new("metrics", Method::GET, "/metrics", get(metrics))
                .summary("Gives the metrics of the process, in the text format of Prometheus.")
                .answer_of::<String>(200, TEXT, "The metrics."),
            Operation::new("version", Method::GET, "/version", get(version))
                .summary("Tells what the process is.")
                .answer::<Version>(200, "Its name and version."),
        ],
    }
}

/// Gives the operator's routes.
pub(crate) fn routes(operations: Operations) -> Router {
    contract().routes().with_state(operations)
}

/// What the process is.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its shape is wanted")]
struct Version {
    /// `tallybook`
    name: String,
    /// Its version.
    version: String,
}

async fn live() -> Response {
    text(StatusCode::OK, "ok\n".into())
}

async fn ready(State(operations): State<Operations>) -> Response {
    match (operations.ready)() {
        Ok(()) => text(StatusCode::OK, "ok\n".into()),
        Err(waits_for) => {
            text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {waits_for}\n"))
        }
    }
}

async fn metrics(State(operations): State<Operations>) -> Response {
    operations.metrics.run_upkeep();
    let headers = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (headers, operations.metrics.render()).into_response()
}

async fn version() -> Response {
    let body = concat!(r#"{"name":"tallybook","version":""#, env!("CARGO_PKG_VERSION"), "\"}\n");
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

fn text(status: StatusCode, text: String) -> Response {
    let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "no-store")];
    (status, headers, text).into_response()
}
