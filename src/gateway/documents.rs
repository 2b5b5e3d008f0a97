//! The `OpenAPI` documents: one for the native API, with what an operator asks, and one for each
//! dialect. Made once, served as the same bytes to everybody: they hold no secret and need no key.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::contract::{Contract, JSON, Operation, Reply};
use super::dialects::{self, Dialect};
use super::headers::DOCUMENT_ETAG;
use super::openapi::Document;
use super::{native, operations};

/// Gives every document by the name of its API.
pub fn documents() -> BTreeMap<&'static str, Value> {
    let native = native::contract();
    let ours = (native.name, native_document(&native));
    let others = dialects::all().into_iter().map(|Dialect { contract, .. }| {
        let document = Document::of(&contract).with(&itself(contract.base));
        (contract.name, document.finish())
    });
    others.chain([ours]).collect()
}

/// Gives the routes of the documents.
pub(crate) fn routes(dialects: &[Dialect]) -> Router {
    let native = native::contract();
    let ours = itself(native.base).routes().with_state(Served::new(&native_document(&native)));
    dialects.iter().fold(ours, |router, Dialect { contract, .. }| {
        let itself = itself(contract.base);
        let served = Served::new(&Document::of(contract).with(&itself).finish());
        router.merge(itself.routes().with_state(served))
    })
}

fn native_document(native: &Contract) -> Value {
    Document::of(native).with(&operations::contract()).with(&itself(native.base)).finish()
}

/// Gives the operation that every document tells of itself.
fn itself(base: &'static str) -> Contract<Served> {
    let operation = Operation::new("getDocument", Method::GET, "/openapi.json", get(serve))
        .summary("Gives this document.")
        .in_header::<String>("If-None-Match", "The document that the caller has, by its ETag.")
        .answer::<Map<String, Value>>(200, "The document.")
        .with_headers(&[DOCUMENT_ETAG])
        .reply(Reply::empty(304, "The caller has it already.").with(&[DOCUMENT_ETAG]));
    Contract {
        name: "documents",
        title: "",
        description: "",
        base,
        security: &[],
        refusals: Vec::new(),
        operations: vec![operation],
    }
}

/// A document as it is served.
#[derive(Debug, Clone)]
struct Served {
    bytes: Bytes,
    etag: HeaderValue,
}

impl Served {
    fn new(document: &Value) -> Self {
        let bytes = serde_json::to_vec(document).expect("writing JSON to memory");
        let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(Sha256::digest(&bytes)));
        let etag = HeaderValue::try_from(etag).expect("base64 in quotes is a header's value");
        Self { bytes: bytes.into(), etag }
    }
}

async fn serve(State(Served { bytes, etag }): State<Served>, headers: HeaderMap) -> Response {
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = known.flat_map(|value| value.split(',')).map(str::trim);
    let is_ours = |tag: &str| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag;
    let is_known = tags.any(is_ours);
    let named = [(ETAG, etag), (CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
    if is_known {
        return (StatusCode::NOT_MODIFIED, named).into_response();
    }
    (named, [(CONTENT_TYPE, JSON)], bytes).into_response()
}
