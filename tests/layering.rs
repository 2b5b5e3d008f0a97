//! Who may import whom, and what no source may hold: the table of the style guide, kept by a test.
//!
//! A module that is new at the top of `src` has no line here and fails until it gets one.

#[path = "layering/source.rs"]
mod source;
#[path = "layering/table.rs"]
mod table;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use source::Source;
use table::{
    ANYTHING, BANNED, DEPENDENCIES, DIALECTS, LAYERS, Layer, MAX_LINES, PURE, STORES, TOP, WORLD,
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Reads all sources below the root, made-up ones in tests of this test.
fn sources(root: &Path) -> Vec<Source> {
    let mut sources = Vec::new();
    for folder in ["src", "events", "projections", "tests"] {
        collect(root, &root.join(folder), &mut sources);
    }
    sources
}

fn collect(root: &Path, folder: &Path, sources: &mut Vec<Source>) {
    let entries = std::fs::read_dir(folder).expect("the folders of the workspace are there");
    for path in entries.map(|entry| entry.expect("a folder can be listed").path()) {
        if path.is_dir() {
            collect(root, &path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).expect("a path below the root");
            let text = std::fs::read_to_string(&path).expect("sources are UTF-8");
            sources.push(Source::read(&name.to_string_lossy(), &text));
        }
    }
}

/// Gives every breach of the table, as sentences.
fn faults(sources: &[Source]) -> Vec<String> {
    let for_tests = test_modules(sources);
    let mut faults = Vec::new();
    for source in sources {
        let path = &source.path;
        for words in BANNED {
            if source.all_tokens.windows(words.len()).any(|window| window == words) {
                faults.push(format!("{path} holds {}", words.concat()));
            }
        }
        if !source.explains_itself {
            faults.push(format!("{path} does not begin with //!"));
        }
        let kept = ["src/", "events/src/", "projections/src/"];
        let is_test = for_tests.iter().any(|module| path.starts_with(module));
        let too_long = !is_test
            && source.lines > MAX_LINES
            && kept.iter().any(|folder| path.starts_with(folder));
        if too_long {
            faults.push(format!("{path} has {} lines before its tests", source.lines));
        }
        if !is_test {
            names(source, &mut faults);
        }
    }
    faults
}

/// Gives the paths (without `.rs`) of modules that are there for tests only.
fn test_modules(sources: &[Source]) -> BTreeSet<String> {
    let mut modules = BTreeSet::new();
    for source in sources {
        let file = source.path.strip_suffix(".rs").unwrap_or(&source.path);
        let folder = file.strip_suffix("/mod").or(file.strip_suffix("/lib")).unwrap_or(file);
        modules.extend(source.test_children().iter().map(|child| format!("{folder}/{child}")));
    }
    modules
}

/// Adds what a source names and must not.
fn names(source: &Source, faults: &mut Vec<String>) {
    let path = &source.path;
    let mut fault = |named: &[String]| faults.push(format!("{path} names {}", named.join("::")));
    let names = |named: &[String], prefix: &str| {
        let prefix: Vec<&str> = prefix.split("::").collect();
        named.len() >= prefix.len() && prefix.iter().zip(named).all(|(a, b)| a == b)
    };
    if path.starts_with("src/") {
        let module = source.module();
        if module.is_empty() {
            return;
        }
        let Some((own, layer)) = layer_of(&module) else {
            faults.push(format!("{path} belongs to no layer: give {} a line", module[0]));
            return;
        };
        for named in source.paths() {
            if named[0] == "crate" {
                let allowed = layer.may == ANYTHING
                    || layer_of(&named[1..]).is_some_and(|(module, _)| {
                        module == own || layer.may.contains(&module) || below(own, module)
                    });
                if !allowed || crosses_dialects(&module, &named[1..]) {
                    fault(&named);
                }
            } else if must_not(layer, &named) {
                fault(&named);
            }
        }
    } else if path.starts_with("events/src/") {
        for named in source.paths() {
            // Writing to memory is `std::io::Write`; nothing else of it is used.
            let world = WORLD.iter().any(|world| names(&named, world));
            if world && !names(&named, "std::io::Write") {
                fault(&named);
            }
        }
    } else if let Some(inside) = path.strip_prefix("projections/src/") {
        for named in source.paths() {
            for (store, driver) in STORES {
                let own = inside.starts_with(&format!("store/{store}"));
                let other = names(&named, &format!("crate::store::{store}"));
                let wired = ["lib.rs", "store/mod.rs"].contains(&inside);
                if !own && (names(&named, driver) || (other && !wired)) {
                    fault(&named);
                }
            }
        }
    } else if path.starts_with("tests/crash/checker") {
        // The checker must not believe the code that it checks.
        let ours = ["tallybook", "tallybook_events", "tallybook_projections"];
        for word in source.tokens.iter().filter(|word| ours.contains(&word.as_str())) {
            fault(std::slice::from_ref(word));
        }
    }
}

/// Gives the line of the longest prefix of a module's path.
fn layer_of(module: &[String]) -> Option<(&'static str, &'static Layer)> {
    let lines =
        LAYERS.iter().flat_map(|layer| layer.modules.iter().map(move |name| (*name, layer)));
    lines
        .filter(|(name, _)| {
            let words: Vec<&str> = name.split("::").collect();
            words.len() <= module.len() && words.iter().zip(module).all(|(a, b)| a == b)
        })
        .max_by_key(|(name, _)| name.len())
}

/// Tells whether an adapter names its own port.
fn below(adapter: &str, port: &str) -> bool {
    adapter.strip_prefix(port).is_some_and(|rest| rest.starts_with("::"))
}

/// Tells whether a dialect names another one.
fn crosses_dialects(module: &[String], named: &[String]) -> bool {
    let dialect = |path: &[String]| match path {
        [gateway, dialects, dialect, ..]
            if gateway == "gateway" && dialects == "dialects" && DIALECTS.contains(&&**dialect) =>
        {
            Some(dialect.clone())
        }
        _ => None,
    };
    let (own, other) = (dialect(module), dialect(named));
    own.is_some() && other.is_some() && own != other
}

fn must_not(layer: &Layer, named: &[String]) -> bool {
    let joined = named.join("::");
    layer.must_not.iter().copied().flatten().any(|banned| {
        if *banned == "*" {
            dependencies().contains(&named[0]) && !PURE.contains(&named[0].as_str())
        } else {
            joined == *banned || joined.starts_with(&format!("{banned}::"))
        }
    })
}

/// Gives the crates that the root package may name.
fn dependencies() -> BTreeSet<String> {
    let manifest = manifest(&root().join("Cargo.toml"));
    let listed = manifest["dependencies"].as_table().expect("a table").keys();
    listed.map(|name| name.replace('-', "_")).collect()
}

fn manifest(path: &Path) -> toml::Table {
    std::fs::read_to_string(path).expect("a manifest").parse().expect("TOML")
}

#[test]
fn the_table_of_layers_is_kept() {
    let sources = sources(&root());
    assert!(sources.len() > 50, "the sources were found");
    assert_eq!(faults(&sources), Vec::<String>::new());
}

#[test]
fn the_crates_depend_on_what_their_layer_may() {
    for (path, may) in DEPENDENCIES {
        let manifest = manifest(&root().join(path));
        let listed = manifest["dependencies"].as_table().expect("a table");
        for name in listed.keys() {
            assert!(may.contains(&name.as_str()), "{path} depends on {name}");
        }
        assert_eq!(manifest["lints"]["workspace"].as_bool(), Some(true), "{path}");
    }
}

#[test]
fn only_what_was_agreed_lies_at_the_top() {
    let entries = std::fs::read_dir(root()).expect("the root can be listed");
    let names: BTreeSet<String> = entries
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && !TOP.contains(&name.as_str()))
        .collect();
    assert_eq!(names, BTreeSet::new());
}

/// Checks made-up sources: path, text, and the faults that must be found, each one and no other.
fn check(made_up: &[(&str, (&str, &[&str]))]) {
    for (path, (text, expected)) in made_up {
        let found = faults(&[Source::read(path, &format!("//! Made up.\n\n{text}\n"))]);
        let expected: Vec<String> =
            expected.iter().map(|fault| format!("{path} {fault}")).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn a_breach_on_the_write_side_is_found() {
    check(&[
        ("src/decisions/x.rs", ("use tracing::warn;", &["names tracing::warn"][..])),
        (
            "src/decisions/y.rs",
            (
                "use crate::{clock, journal::{self, Journal}};",
                &["names crate::clock", "names crate::journal", "names crate::journal::Journal"],
            ),
        ),
        (
            "src/decisions/z.rs",
            (
                "fn f() { std::time::Instant::now(); super::super::gateway::f(); }",
                &["names crate::gateway::f", "names std::time::Instant::now"],
            ),
        ),
        (
            "src/journal/mod.rs",
            (
                "use crate::decisions::decide;\npub use sqlite::X;\nuse crate::journal::sqlite::Y;",
                &["names crate::decisions::decide", "names crate::journal::sqlite::Y"],
            ),
        ),
        (
            "src/journal/memory.rs",
            ("use super::sqlite::Z;\nuse super::Journal;", &["names crate::journal::sqlite::Z"]),
        ),
        (
            "src/journal/sqlite/read.rs",
            (
                "use super::super::memory::M;\nuse rusqlite::Row;\nuse super::write;",
                &["names crate::journal::memory::M"],
            ),
        ),
        (
            "src/processor/mod.rs",
            (
                "use tallybook_projections::queries::Queries;\nuse crate::inbox::local::L;",
                &["names crate::inbox::local::L", "names tallybook_projections::queries::Queries"],
            ),
        ),
        ("src/helpers.rs", ("", &["belongs to no layer: give helpers a line"])),
        (
            "src/clock.rs",
            (
                "fn f() { todo!() }\n#[allow(dead_code)]\nfn g() {}",
                &["holds #[allow", "holds todo!"],
            ),
        ),
        (
            "src/inbox/mod.rs",
            (
                "/* todo!() /* #[ignore] */ */\nconst A: &str = r#\"todo!() \" crate::cli::x\"#;\n// crate::cli::y\nfn f<'a>(c: char) -> bool { c == '\\'' || c == '\"' } const B: &str = \"\\\"crate::cli\";",
                &[],
            ),
        ),
        (
            "src/inbox/local.rs",
            (
                "use super::Inbox;\n#[cfg(test)]\nmod tests {\n    use crate::cli::Server;\n    #[ignore]\n}",
                &["holds #[ignore"],
            ),
        ),
    ]);
}

#[test]
fn a_breach_elsewhere_is_found() {
    check(&[
        (
            "src/projector.rs",
            (
                "use crate::decisions as d;\nuse tallybook_projections::store::S;",
                &["names crate::decisions"],
            ),
        ),
        (
            "src/gateway/mod.rs",
            (
                "use tallybook_projections::{queries::Q, store::S};\nuse crate::processor::P;",
                &["names crate::processor::P", "names tallybook_projections::store::S"],
            ),
        ),
        (
            "src/gateway/dialects/autumn/a.rs",
            (
                "use crate::gateway::dialects::proxy::P;\nuse super::super::Base;",
                &["names crate::gateway::dialects::proxy::P"],
            ),
        ),
        ("src/cli/serve.rs", ("use crate::journal::sqlite::S;\nuse axum::Router;", &[])),
        (
            "events/src/x.rs",
            (
                "use std::io::{Read, Write as _};\nuse std::fs::File;",
                &["names std::fs::File", "names std::io::Read"],
            ),
        ),
        ("projections/src/fold.rs", ("use rusqlite::Row;", &["names rusqlite::Row"])),
        (
            "projections/src/store/postgres.rs",
            (
                "use super::sqlite::S;\nuse rusqlite::Row;\nuse tokio_postgres::Row;",
                &["names crate::store::sqlite::S", "names rusqlite::Row"],
            ),
        ),
        (
            "tests/crash/checker/chain.rs",
            (
                "use tallybook_events::chain::Chain;\nuse tallybook::journal::J;\nuse super::Log;",
                &["names tallybook_events", "names tallybook"],
            ),
        ),
    ]);
}

#[test]
fn long_files_and_silent_ones_are_found_and_tests_do_not_count() {
    let line = "const A: u8 = 1;\n";
    let fits = format!("//! x\n{}", line.repeat(MAX_LINES - 2));
    let tests = format!("\n#[cfg(test)]\nmod tests {{\n{}}}\n", line.repeat(MAX_LINES));
    let of = |text: &str| faults(&[Source::read("src/clock.rs", text)]);
    assert_eq!(of(&format!("{fits}{tests}")), Vec::<String>::new());
    assert_eq!(
        of(&format!("{fits}{line}{line}{tests}")),
        ["src/clock.rs has 402 lines before its tests"]
    );
    assert_eq!(of(line), ["src/clock.rs does not begin with //!"]);
}

#[test]
fn a_module_for_tests_alone_may_name_what_its_tests_need() {
    let port = "//! x\n#[cfg(test)]\npub mod conformance;\nmod helper;\n";
    let suite = "//! x\nuse crate::journal::sqlite::S;\n";
    let named = |port: &str| {
        faults(&[
            Source::read("src/journal/mod.rs", port),
            Source::read("src/journal/conformance.rs", suite),
        ])
    };
    assert_eq!(named(&port.replace("pub ", "")), Vec::<String>::new());
    let always = port.replace("#[cfg(test)]\npub ", "");
    assert_eq!(named(&always), ["src/journal/conformance.rs names crate::journal::sqlite::S"]);
}
