//! The contracts hold: what is served and printed is `OpenAPI` 3.1.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::python::Python;
use common::{Client, Server, run, tallybook};
use http::Method;
use serde_json::Value;

/// The APIs, each with a document.
const APIS: [&str; 6] = ["autumn", "flexprice", "native", "proxy", "respan", "zerodrift"];

/// Checks each document of an object by the meta-schema, and prints what is wrong.
const META: &str = "
import json, sys
from openapi_spec_validator import OpenAPIV31SpecValidator
for name, document in json.load(sys.stdin).items():
    for error in OpenAPIV31SpecValidator(document).iter_errors():
        print(name, list(error.path), error.message[:500])
";

/// Gives the environment with the tools that check documents and what is served by them.
fn tools() -> Python {
    Python::with("tests/python/requirements.txt")
}

/// Gives the documents as they are printed.
fn printed() -> BTreeMap<String, Value> {
    let ran = run(tallybook().arg("openapi"));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    serde_json::from_str(&ran.stdout).expect("an object with a document for each API")
}

#[test]
fn every_document_keeps_to_the_meta_schema() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let documents = folder.path().join("documents.json");
    let text = serde_json::to_string(&printed()).expect("JSON");
    std::fs::write(&documents, text).expect("it is written");
    let checked = |documents: &Path| {
        let input = std::fs::File::open(documents).expect("it was written");
        run(tools().command().args(["-c", META]).stdin(input))
    };
    let ran = checked(&documents);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(0), "", ""));
    // The check can fail.
    std::fs::write(&documents, r#"{"x": {"openapi": "3.1.0", "paths": {"y": 1}}}"#)
        .expect("written");
    assert_ne!(checked(&documents).stdout, "");
}

#[tokio::test]
async fn what_is_served_is_what_is_printed_and_needs_no_key() {
    let server = Server::start().await;
    let nobody = Client::new(&server.url, None);
    let printed = printed();
    assert_eq!(printed.keys().collect::<Vec<_>>(), APIS);
    for (name, document) in &printed {
        let one = run(tallybook().args(["openapi", name]));
        assert_eq!(serde_json::from_str::<Value>(&one.stdout).expect("JSON"), *document, "{name}");
        let path = place(document);
        let reply = nobody.get(&path).await;
        assert_eq!((reply.status, reply.json()), (200, document.clone()), "{path}");
        let tag = reply.header("etag").expect("a tag").to_owned();
        let again = nobody.request(Method::GET, &path).header("if-none-match", &tag);
        let again = nobody.send(again).await;
        assert_eq!(
            (again.status, again.header("etag"), again.text.as_str()),
            (304, Some(&*tag), "")
        );
    }
    let none = run(tallybook().args(["openapi", "nobody"]));
    assert_eq!((none.code, none.stdout.as_str()), (Some(3), ""));
    server.stop();
}

/// Gives where a document is served.
fn place(document: &Value) -> String {
    let base = document["servers"][0]["url"].as_str().expect("a base");
    format!("{}/openapi.json", base.trim_end_matches('/'))
}
