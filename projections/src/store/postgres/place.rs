//! Where the read models are: the server, the way to it, and the schemas.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The schema of the views, and the beginning of the names of those of the tables.
const SCHEMA: &str = "tallybook";
/// Longest name of a schema: what is added to it must fit into a name of PostgreSQL's.
const MAX_SCHEMA: usize = 40;
/// Where systems keep the certificates that they trust.
const SYSTEM_ROOTS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
/// How long it may take to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long what was sent may go without a sign that it arrived.
const SENT_TIMEOUT: Duration = Duration::from_secs(20);

/// Why an address is not one.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// It is none of PostgreSQL's.
    #[error("it is no address of a PostgreSQL server")]
    Address(#[from] tokio_postgres::Error),
    /// Its schema is none.
    #[error("a schema is 1 to {MAX_SCHEMA} of a-z, 0-9 and _, and begins with a letter")]
    Schema,
    /// Its certificates cannot be read.
    #[error("no certificates can be read from {}", path.display())]
    Roots {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// There is nothing by which to trust a server.
    #[error("this system has no trusted certificates: name a file with `sslrootcert=PATH`")]
    NoRoots,
    /// The TLS library refused.
    #[error("TLS cannot be set up")]
    Tls(#[from] tokio_rustls::rustls::Error),
}

/// A PostgreSQL server, a database in it, and the schemas of the read models there.
///
/// `tallybook` has the views that are for everybody, `tallybook_rows` the tables.
#[derive(Clone)]
pub struct PostgresPlace {
    config: Config,
    tls: MakeRustlsConnect,
    schema: String,
}

impl std::fmt::Debug for PostgresPlace {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (hosts, database) = (self.config.get_hosts(), self.config.get_dbname());
        write!(formatter, "PostgresPlace({hosts:?}, {database:?}, {})", self.schema)
    }
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Answers.
    Reads,
    /// The fold of the live rows.
    Folds,
    /// The fold of new rows.
    Rebuilds,
}

impl PostgresPlace {
    /// Reads an address, `postgres://USER:PASSWORD@HOST:PORT/DATABASE`. With `sslmode=require` the
    /// connection is TLS and the server's certificate is checked, by the system's trusted certificates
    /// or those of the file `sslrootcert`; without it the connection is plain.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub fn parse(address: &str) -> Result<Self, PlaceError> {
        let (address, ours) = take_ours(address);
        let mut config: Config = address.parse()?;
        let wanted = ours.tls || config.get_ssl_mode() == SslMode::Require;
        config.ssl_mode(if wanted { SslMode::Require } else { SslMode::Disable });
        config.connect_timeout(CONNECT_TIMEOUT);
        config.tcp_user_timeout(SENT_TIMEOUT);
        if config.get_application_name().is_none() {
            config.application_name("tallybook");
        }
        let roots = match (wanted, ours.roots) {
            (false, _) => RootCertStore::empty(),
            (true, Some(path)) => roots(&path)?,
            (true, None) => system_roots()?,
        };
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { config, tls: MakeRustlsConnect::new(tls), schema: SCHEMA.into() })
    }

    /// Takes another schema for the views, and others named after it for the tables.
    ///
    /// # Errors
    /// [`PlaceError::Schema`].
    pub fn in_schema(self, schema: &str) -> Result<Self, PlaceError> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let begins = schema.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        if !begins || schema.len() > MAX_SCHEMA || !schema.bytes().all(allowed) {
            return Err(PlaceError::Schema);
        }
        Ok(Self { schema: schema.into(), ..self })
    }

    /// Takes another password.
    #[must_use]
    pub fn with_password(mut self, password: &str) -> Self {
        self.config.password(password);
        self
    }

    /// Gives the schema of the views.
    pub(super) fn home(&self) -> &str {
        &self.schema
    }

    /// Gives the schema of the live tables.
    pub(super) fn rows(&self) -> String {
        format!("{}_rows", self.schema)
    }

    /// Gives the schema of the tables of a rebuild.
    pub(super) fn new_rows(&self) -> String {
        format!("{}_new_rows", self.schema)
    }

    /// Gives the schema of tables that have had their time.
    pub(super) fn old_rows(&self) -> String {
        format!("{}_old_rows", self.schema)
    }

    /// Gives the channel on which positions are told.
    pub(super) fn channel(&self) -> String {
        format!("{}_positions", self.schema)
    }

    /// Gives the number that locks of ours begin with.
    pub(super) fn lock(&self) -> i32 {
        // FNV-1a: few places share a database, and a clash costs no more than waiting.
        let hash = self
            .schema
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        hash.cast_signed()
    }

    pub(super) fn tls(&self) -> MakeRustlsConnect {
        self.tls.clone()
    }

    /// Gives how to connect for a purpose.
    pub(super) fn config(&self, side: Side) -> Config {
        let rows = match side {
            Side::Reads | Side::Folds => self.rows(),
            Side::Rebuilds => self.new_rows(),
        };
        let mut options = self.config.get_options().unwrap_or_default().to_owned();
        let more = [
            format!("search_path={rows},{}", self.schema),
            "timezone=UTC".into(),
            // The position of rows is lost together with them.
            "synchronous_commit=off".into(),
            // Whoever is stopped in the middle must not keep the others waiting.
            "idle_in_transaction_session_timeout=15s".into(),
            "lock_timeout=10s".into(),
        ];
        for option in more {
            options.push_str(" -c ");
            options.push_str(&option);
        }
        let mut config = self.config.clone();
        config.options(options);
        config
    }
}

/// What of an address is not for the client library.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ours {
    tls: bool,
    roots: Option<PathBuf>,
}

/// Takes out of an address what the client library does not know.
fn take_ours(address: &str) -> (String, Ours) {
    let mut ours = Ours::default();
    let url = address.starts_with("postgres://") || address.starts_with("postgresql://");
    let Some((path, query)) = address.split_once('?').filter(|_| url) else {
        return (address.into(), ours);
    };
    let mut kept = Vec::new();
    for parameter in query.split('&') {
        match parameter.split_once('=') {
            Some(("sslrootcert", path)) => ours.roots = Some(PathBuf::from(decoded(path))),
            // A certificate is always checked, and so is the name in it.
            Some(("sslmode", "verify-ca" | "verify-full")) => ours.tls = true,
            _ => kept.push(parameter),
        }
    }
    let mark = if kept.is_empty() { "" } else { "?" };
    (format!("{path}{mark}{}", kept.join("&")), ours)
}

/// Reads `%XX` in a part of an address.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| first == b'%');
        let byte = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn roots(path: &Path) -> Result<RootCertStore, PlaceError> {
    let refused = |source| PlaceError::Roots { path: path.into(), source };
    let certificates = CertificateDer::pem_file_iter(path)
        .map_err(|error| refused(Some(error.to_string().into())))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        let certificate = certificate.map_err(|error| refused(Some(error.to_string().into())))?;
        roots.add(certificate).map_err(|error| refused(Some(error.into())))?;
    }
    if roots.is_empty() { Err(refused(None)) } else { Ok(roots) }
}

fn system_roots() -> Result<RootCertStore, PlaceError> {
    let path = SYSTEM_ROOTS.into_iter().map(Path::new).find(|path| path.exists());
    let path = path.ok_or(PlaceError::NoRoots)?;
    let mut roots = RootCertStore::empty();
    let read = CertificateDer::pem_file_iter(path)
        .map_err(|error| PlaceError::Roots { path: path.into(), source: Some(Box::new(error)) })?;
    // A system may trust what this library does not read.
    roots.add_parsable_certificates(read.filter_map(Result::ok));
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ours_is_taken_out_of_an_address() {
        let plain = "postgres://u:p@h:5432/d";
        assert_eq!(take_ours(plain), (plain.into(), Ours::default()));
        let (address, ours) =
            take_ours("postgres://h/d?sslrootcert=/a%20b&connect_timeout=3&sslmode=verify-full");
        assert_eq!(address, "postgres://h/d?connect_timeout=3");
        assert_eq!(ours, Ours { tls: true, roots: Some("/a b".into()) });
        let (address, _) = take_ours("postgresql://h/d?sslrootcert=/a");
        assert_eq!(address, "postgresql://h/d");
    }

    #[test]
    fn an_address_does_not_tell_its_password() {
        let place = PostgresPlace::parse("postgres://me:secret@db:5432/books").unwrap();
        let shown = format!("{place:?} {:?}", place.config(Side::Reads));
        assert!(shown.contains("books") && !shown.contains("secret"), "{shown}");
    }

    #[test]
    fn a_schema_is_a_plain_name() {
        let place = PostgresPlace::parse("postgres://h/d").unwrap();
        for name in ["", "1a", "A", "a-b", "a\"b", &"a".repeat(41)] {
            let refused = place.clone().in_schema(name);
            assert!(matches!(refused, Err(PlaceError::Schema)), "{name}");
        }
        assert_eq!(place.in_schema("a_1").unwrap().rows(), "a_1_rows");
    }

    #[test]
    fn tls_needs_certificates_to_trust() {
        let address = "postgres://h/d?sslmode=require&sslrootcert=/nowhere";
        assert!(matches!(PostgresPlace::parse(address), Err(PlaceError::Roots { .. })));
    }
}
