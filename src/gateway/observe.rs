//! What is told about every request: metrics with few labels, and one line of log where that is asked
//! for. Neither has bodies, secrets, headers or paths: the route's pattern stands for the path, the id of
//! the key for the key. The peer's address is that of the connection; what a header says of it (a
//! proxy's `Forwarded` or `X-Forwarded-For`) anybody can write, so it is told nowhere and decides nothing.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::{Method, StatusCode};
use metrics::{counter, gauge, histogram};

use crate::keys::KeyId;

/// Number of requests, by route, method and status.
const REQUESTS: &str = "tallybook_http_requests_total";
/// Seconds until the head of the answer, by route and method.
pub(crate) const REQUEST_SECONDS: &str = "tallybook_http_request_seconds";
/// Requests that wait for their answer.
const IN_FLIGHT: &str = "tallybook_http_requests_in_flight";
/// Number of handlers that panicked.
const PANICS: &str = "tallybook_http_panics_total";

/// Where the lines of log about requests belong.
pub(crate) const ACCESS_LOG: &str = "tallybook::access";

/// Where a connection comes from: an extension of its requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Whose request was answered: an extension of the answer, while requests are logged.
#[derive(Debug, Clone)]
pub(crate) struct KeyOfCaller(pub(crate) KeyId);

/// The route of a request that has none.
const NO_ROUTE: &str = "none";

/// Serves a request and tells about it.
pub(crate) async fn observe(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = method(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let peer = request.extensions().get::<Peer>().copied();
    let in_flight = InFlight::begin();
    let response = match catch_panic(next.run(request)).await {
        Ok(response) => response,
        Err(Panicked) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    drop(in_flight);
    let route = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    let taken = started.elapsed();
    measure(method, route, response.status(), taken);
    log(method, route, &response, peer, taken);
    response
}

fn measure(method: &'static str, route: &str, status: StatusCode, taken: Duration) {
    let labels = [("route", route.to_owned()), ("method", method.to_owned())];
    histogram!(REQUEST_SECONDS, &labels).record(taken);
    let [route_label, method_label] = labels;
    let labels = [route_label, method_label, ("status", status.as_str().to_owned())];
    counter!(REQUESTS, &labels).increment(1);
}

/// Logs a request. One line for each would cost more than many a request: so it is told only where it is
/// asked for (`serve --access-log`, or the filter `tallybook::access=debug`). Our own failures always are.
fn log(
    method: &'static str,
    route: &str,
    response: &Response,
    peer: Option<Peer>,
    taken: Duration,
) {
    let (code, failed) = (response.status().as_u16(), response.status().is_server_error());
    if !failed && !tracing::enabled!(target: ACCESS_LOG, tracing::Level::DEBUG) {
        return;
    }
    let micros = u64::try_from(taken.as_micros()).unwrap_or(u64::MAX);
    let peer = peer.map(|Peer(address)| tracing::field::display(address));
    let key = response.extensions().get::<KeyOfCaller>();
    let key = key.map(|KeyOfCaller(id)| id.as_str());
    if failed {
        tracing::warn!(target: ACCESS_LOG, method, route, status = code, micros, peer, key, "request failed");
    } else {
        tracing::debug!(target: ACCESS_LOG, method, route, status = code, micros, peer, key);
    }
}

/// Gives the method as a label: a caller can make up any number of methods.
fn method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// A handler panicked; that was told already.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Panicked;

/// Awaits a handler; a panic in it stays here.
pub(crate) async fn catch_panic<T>(handler: impl Future<Output = T>) -> Result<T, Panicked> {
    // What a handler leaves half done is its own request; all that it shares has locks that recover.
    AssertUnwindSafe(handler).catch_unwind().await.map_err(|panic| {
        let words = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        counter!(PANICS).increment(1);
        tracing::error!(panic = words.unwrap_or("of another type"), "a handler panicked");
        Panicked
    })
}

/// Counts a request as in flight until dropped, also when its caller goes away.
struct InFlight;

impl InFlight {
    fn begin() -> Self {
        gauge!(IN_FLIGHT).increment(1);
        Self
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        gauge!(IN_FLIGHT).decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;

    use crate::gateway::Operations;
    use crate::gateway::testing::Fixture;

    #[tokio::test]
    async fn requests_are_counted_by_route_and_never_by_path() {
        let recorder = Operations::recorder().build_recorder();
        let handle = recorder.handle();
        let _installed = metrics::set_default_local_recorder(&recorder);
        let fixture = Fixture::new();
        for path in ["/api/v1/customers/acme", "/api/v1/customers/nobody", "/secret", "/livez"] {
            fixture.get(path).await;
        }
        let made_up = fixture.request("BREW".parse().unwrap(), "/api/v1/customers/acme");
        fixture.send(made_up.body(Body::empty()).unwrap()).await;
        let bare = Request::get("/api/v1/customers/acme").body(Body::empty()).unwrap();
        fixture.send(bare).await;
        let told = handle.render();
        let customer = "/api/v1/customers/{customer}";
        for (route, method, status) in [
            (customer, "GET", 200),
            (customer, "GET", 404),
            (customer, "GET", 401),
            (customer, "other", 405),
            ("none", "GET", 404),
            ("/livez", "GET", 200),
        ] {
            let line = format!(
                r#"tallybook_http_requests_total{{route="{route}",method="{method}",status="{status}"}} 1"#
            );
            assert!(told.lines().any(|told| told == line), "{line}\n{told}");
        }
        let latency =
            r#"tallybook_http_request_seconds_bucket{route="/livez",method="GET",le="16"} 1"#;
        assert!(told.contains(latency), "{told}");
        assert!(told.contains("tallybook_http_requests_in_flight 0"), "{told}");
        for secret in ["acme", "secret", "BREW", &*fixture.key] {
            assert!(!told.contains(secret), "{secret}\n{told}");
        }
    }
}
