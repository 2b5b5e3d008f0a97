//! The table of the style guide: who may import whom; and what no source may hold.

/// Crates that talk to a store or to a network.
pub(super) const DRIVERS: [&str; 6] =
    ["rusqlite", "rdkafka", "tokio_postgres", "deadpool_postgres", "reqwest", "hyper_util"];
/// Crates of the way in.
pub(super) const WEB: [&str; 5] = ["axum", "tower", "hyper", "hyper_util", "http"];
/// What pure code does not touch: the outer world, other threads, the clock.
pub(super) const WORLD: [&str; 7] =
    ["std::fs", "std::net", "std::thread", "std::env", "std::process", "std::io", "std::time"];
/// Most lines of a source before its tests.
pub(super) const MAX_LINES: usize = 400;
/// What may lie at the top, beside dotfiles. The last three are made by runs and not kept.
pub(super) const TOP: [&str; 13] = [
    "Cargo.toml",
    "Cargo.lock",
    "LICENSE",
    "README.md",
    "Dockerfile",
    "docker-compose.yml",
    "src",
    "events",
    "projections",
    "tests",
    "target",
    "data",
    "proptest-regressions",
];

/// One line of the table: which modules it is about, and what they may name.
pub(super) struct Layer {
    /// Modules of the root crate, with all below them that have no line of their own.
    pub(super) modules: &'static [&'static str],
    /// Modules of the crate that it may name, beside its own. `journal` is the port alone, without
    /// its adapters, which have lines of their own.
    pub(super) may: &'static [&'static str],
    /// Crates, or paths in them, that it must not name.
    pub(super) must_not: &'static [&'static [&'static str]],
}

pub(super) const LAYERS: &[Layer] = &[
    Layer {
        modules: &["decisions"],
        may: &[],
        must_not: &[&DRIVERS, &WEB, &WORLD, OUTSIDE_OF_DECISIONS],
    },
    Layer { modules: &["clock", "arena"], may: &[], must_not: &[&DRIVERS, &WEB, READ_SIDE] },
    Layer {
        modules: &["journal", "inbox", "keys"],
        may: &["clock"],
        must_not: &[&DRIVERS, &WEB, READ_SIDE],
    },
    Layer {
        modules: &["journal::memory", "journal::adversarial", "inbox::local"],
        may: &["journal", "inbox"],
        must_not: &[&DRIVERS, &WEB, READ_SIDE],
    },
    Layer {
        modules: &["journal::sqlite", "keys::sqlite"],
        may: &["journal", "keys", "clock"],
        must_not: &[
            &["rdkafka", "tokio_postgres", "deadpool_postgres", "reqwest"],
            &WEB,
            READ_SIDE,
        ],
    },
    Layer {
        modules: &["kafka"],
        may: &[],
        must_not: &[
            &["rusqlite", "tokio_postgres", "deadpool_postgres", "reqwest"],
            &WEB,
            READ_SIDE,
        ],
    },
    Layer {
        modules: &["journal::kafka"],
        may: &["journal", "kafka", "arena"],
        must_not: &[
            &["rusqlite", "tokio_postgres", "deadpool_postgres", "reqwest"],
            &WEB,
            READ_SIDE,
        ],
    },
    Layer {
        modules: &["keys::kafka"],
        may: &["keys", "kafka", "clock"],
        must_not: &[
            &["rusqlite", "tokio_postgres", "deadpool_postgres", "reqwest"],
            &WEB,
            READ_SIDE,
        ],
    },
    // Its answers lie in the journal, which it reads by the port.
    Layer {
        modules: &["inbox::kafka"],
        may: &["inbox", "journal", "kafka", "arena", "clock"],
        must_not: &[
            &["rusqlite", "tokio_postgres", "deadpool_postgres", "reqwest"],
            &WEB,
            READ_SIDE,
        ],
    },
    Layer {
        modules: &["processor"],
        may: &["decisions", "journal", "inbox", "arena", "clock"],
        must_not: &[&DRIVERS, &WEB, READ_SIDE, &["clap"]],
    },
    Layer {
        modules: &["projector", "publisher"],
        may: &["journal", "clock"],
        must_not: &[&DRIVERS, &WEB, &["clap"]],
    },
    Layer {
        modules: &["publisher::kafka"],
        may: &["publisher", "kafka"],
        must_not: &[&["rusqlite", "tokio_postgres", "deadpool_postgres", "reqwest", "clap"], &WEB],
    },
    Layer {
        modules: &["gateway"],
        may: &["inbox", "keys", "clock"],
        must_not: &[
            &["rusqlite", "rdkafka", "tokio_postgres", "deadpool_postgres", "reqwest", "clap"],
            &["tallybook_projections::store"],
        ],
    },
    Layer { modules: &["config", "telemetry"], may: &[], must_not: &[&DRIVERS, &WEB, READ_SIDE] },
    Layer { modules: &["cli", "audit", "console"], may: ANYTHING, must_not: &[] },
];

/// May name every module.
pub(super) const ANYTHING: &[&str] = &["*"];
pub(super) const READ_SIDE: &[&str] = &["tallybook_projections"];
/// Decisions know the facts and `std`; no crate but [`PURE`] ones.
pub(super) const OUTSIDE_OF_DECISIONS: &[&str] = &["*"];
/// Crates that compute and do nothing else: sizes of JSON, digests of states, ids derived from ids.
pub(super) const PURE: [&str; 5] = ["tallybook_events", "serde", "serde_json", "sha2", "uuid"];
/// What a crate of the workspace may depend on.
pub(super) const DEPENDENCIES: [(&str, &[&str]); 2] = [
    (
        "events/Cargo.toml",
        &[
            "base64",
            "chrono",
            "email_address",
            "rust_decimal",
            "schemars",
            "serde",
            "serde_json",
            "serde_path_to_error",
            "sha2",
            "thiserror",
            "uuid",
        ],
    ),
    (
        "projections/Cargo.toml",
        &[
            "async-trait",
            "chrono",
            "deadpool-postgres",
            "rusqlite",
            "rust_decimal",
            "schemars",
            "serde",
            "serde_json",
            "sha2",
            "tallybook-events",
            "thiserror",
            "tokio",
            "tokio-postgres",
            "tokio-postgres-rustls",
            "tokio-rustls",
            "tracing",
            "uuid",
        ],
    ),
];
/// Adapters of the read-model store: none may name another, nothing else may name a driver.
pub(super) const STORES: [(&str, &str); 2] =
    [("sqlite", "rusqlite"), ("postgres", "tokio_postgres")];
/// Words in a row that no source may hold.
pub(super) const BANNED: [&[&str]; 6] = [
    &["#", "[", "ignore"],
    &["#", "[", "should_panic"],
    &["#", "[", "allow"],
    &["#", "!", "[", "allow"],
    &["todo", "!"],
    &["unimplemented", "!"],
];
/// The dialects: none may name another.
pub(super) const DIALECTS: [&str; 5] = ["respan", "zerodrift", "flexprice", "proxy", "autumn"];
