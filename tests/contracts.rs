//! The contracts hold: the served documents are `OpenAPI` 3.1, and the server does what they say.

mod common;

use common::python::Python;
use common::run;

/// Gives the environment with the tools that check documents and what is served by them.
fn tools() -> Python {
    Python::with("tests/python/requirements.txt")
}

#[test]
fn the_tools_are_those_of_the_lock_file() {
    let versions = "import importlib.metadata as m; \
                    print(m.version('schemathesis'), m.version('openapi-spec-validator'))";
    let ran = run(tools().command().args(["-c", versions]));
    assert_eq!((ran.code, ran.stdout.trim()), (Some(0), "4.32.5 0.9.0"), "{}", ran.stderr);
}
