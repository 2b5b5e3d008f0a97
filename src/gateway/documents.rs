//! The `OpenAPI` documents: one for the native API, with what an operator asks, and one for each
//! dialect; and the `AsyncAPI` document of our topics. Made once, served as the same bytes to everybody: they hold no secret and need no key.

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

use super::asyncapi::asyncapi;
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
    let ours = ours.merge(topics().routes().with_state(Served::new(&asyncapi())));
    dialects.iter().fold(ours, |router, Dialect { contract, .. }| {
        let itself = itself(contract.base);
        let served = Served::new(&Document::of(contract).with(&itself).finish());
        router.merge(itself.routes().with_state(served))
    })
}

fn native_document(native: &Contract) -> Value {
    let document = Document::of(native).with(&operations::contract());
    document.with(&itself(native.base)).with(&topics()).finish()
}

/// Gives the operation that every document tells of itself.
fn itself(base: &'static str) -> Contract<Served> {
    let operation = Operation::new("getDocument", Method::GET, "/openapi.json", get(serve))
        .summary("Gives this document.");
    alone(base, operation)
}

/// Gives the operation that gives the document of our topics.
fn topics() -> Contract<Served> {
    let operation = Operation::new("getTopics", Method::GET, "/asyncapi.json", get(serve))
        .summary("Gives the AsyncAPI document of all topics on Kafka.");
    alone("", operation)
}

/// Gives a contract of one operation that gives a document.
fn alone(base: &'static str, operation: Operation<Served>) -> Contract<Served> {
    let operation = operation
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use axum::body::Body;

    use super::*;
    use crate::gateway::testing::Fixture;

    /// Methods that a document may have.
    const METHODS: [Method; 5] =
        [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

    /// Collects the targets of all references.
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(target)) = members.get("$ref") {
                    found.insert(target.clone());
                }
                members.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_schema_is_led_to() {
        for (name, document) in documents() {
            let mut targets = BTreeSet::new();
            references(&document, &mut targets);
            for target in &targets {
                let pointer = target.strip_prefix('#').expect("into the same document");
                assert!(document.pointer(pointer).is_some(), "{name}: {target}");
            }
            for schema in document["components"]["schemas"].as_object().unwrap().keys() {
                let target = format!("#/components/schemas/{schema}");
                assert!(targets.contains(&target), "{name}: nothing leads to {target}");
            }
        }
    }

    #[test]
    fn every_operation_has_an_id_of_its_own_and_says_what_it_does_and_answers() {
        for (name, document) in documents() {
            let mut ids = BTreeSet::new();
            for (path, operations) in document["paths"].as_object().unwrap() {
                for (method, operation) in operations.as_object().unwrap() {
                    let id = operation["operationId"].as_str().unwrap().to_owned();
                    assert!(ids.insert(id.clone()), "{name}: {id} is there twice");
                    assert_ne!(operation["summary"], "", "{name}: {method} {path}");
                    let answers = operation["responses"].as_object().unwrap();
                    let good = |status: &String| status.starts_with('2') || status.starts_with('3');
                    assert!(answers.keys().any(good), "{name}: {method} {path}");
                    let parameters = operation["parameters"].as_array().into_iter().flatten();
                    let in_path = parameters.filter(|parameter| parameter["in"] == "path").count();
                    assert_eq!(in_path, path.matches('{').count(), "{name}: {method} {path}");
                }
            }
        }
    }

    /// Gives every method and path of the documents, with the base before it.
    fn documented() -> BTreeSet<(String, String)> {
        let mut all = BTreeSet::new();
        for document in documents().values() {
            let base = document["servers"][0]["url"].as_str().unwrap().trim_end_matches('/');
            for (path, operations) in document["paths"].as_object().unwrap() {
                let methods = operations.as_object().unwrap().keys();
                all.extend(methods.map(|method| (method.to_uppercase(), format!("{base}{path}"))));
            }
        }
        all
    }

    /// Gives the paths of the router, as it shows them itself.
    fn routed(router: &Router) -> BTreeSet<String> {
        let shown = format!("{router:?}");
        shown.split('"').filter(|text| text.starts_with('/')).map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn what_is_documented_is_served_and_what_is_served_is_documented() {
        let (fixture, documented) = (Fixture::new(), documented());
        let mut others: BTreeSet<String> = BTreeSet::new();
        for dialect in dialects::all() {
            let also_at = dialect.contract.operations.iter().flat_map(|one| one.also_at.clone());
            others.extend(also_at);
        }
        let routed = routed(&fixture.router);
        assert!(routed.len() > 20, "the router shows its paths: {routed:?}");
        for path in routed.iter().filter(|path| !others.contains(*path)) {
            for method in METHODS {
                let named = (method.to_string(), path.clone());
                // Without a key: served is what is not unknown, whatever it says then.
                let bare =
                    http::Request::builder().method(method).uri(path.replace(['{', '}'], ""));
                let got = fixture.send(bare.body(Body::empty()).unwrap()).await;
                let served = got.status != 405 && got.status != 404;
                assert_eq!(served, documented.contains(&named), "{named:?}: {}", got.status);
            }
        }
        let missing: Vec<_> =
            documented.iter().filter(|(_, path)| !routed.contains(path)).collect();
        assert!(missing.is_empty(), "not routed: {missing:?}");
    }
}
