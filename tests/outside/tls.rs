//! TLS from outside: by its settings, with both protocols, and with a new certificate while it runs.

use std::io::{Read as _, Write as _};
use std::net::TcpStream as PlainStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::common::{Client, Server, run, tallybook, until_async};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

const CUSTOMERS: &str = "/api/v1/customers";

/// A certificate for the loopback address, which vouches for itself, in the files that a server reads.
struct Pair {
    folder: tempfile::TempDir,
    certificate: String,
}

fn made(name: &str) -> (String, String) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    (made.cert.pem(), made.signing_key.serialize_pem())
}

impl Pair {
    fn new() -> Self {
        Self::of("127.0.0.1")
    }

    fn of(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (certificate, key) = made(name);
        let pair = Self { folder, certificate };
        pair.write(&key);
        pair
    }

    fn write(&self, key: &str) {
        std::fs::write(self.file("key.pem"), key).expect("it is written");
        std::fs::write(self.file("cert.pem"), &self.certificate).expect("it is written");
    }

    /// Puts another certificate with its key into the files.
    fn renew(&mut self) {
        let (certificate, key) = made("127.0.0.1");
        self.certificate = certificate;
        self.write(&key);
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn arguments(&self) -> [String; 4] {
        let file = |name| self.file(name).to_str().expect("a plain path").to_owned();
        ["--tls-cert".into(), file("cert.pem"), "--tls-key".into(), file("key.pem")]
    }

    async fn serve(&self) -> Server {
        let arguments = self.arguments();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let server = Server::start_with(&arguments).await;
        assert!(server.url.starts_with("https://127.0.0.1:"), "{}", server.url);
        server
    }

    fn client(&self, server: &Server) -> Client {
        Client::trusting(&server.url, Some(&server.key.key), [&*self.certificate])
    }

    /// Connects as one who trusts this pair and speaks these protocols.
    async fn connect(
        &self,
        server: &Server,
        protocols: &[&[u8]],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_slice(self.certificate.as_bytes());
        roots.add(certificate.expect("a certificate")).expect("it can be trusted");
        let provider = Arc::new(ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(rustls::DEFAULT_VERSIONS)
            .expect("the versions are there")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let stream = TcpStream::connect(address(server)).await?;
        let name = ServerName::try_from("127.0.0.1").expect("a name");
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }
}

fn address(server: &Server) -> &str {
    server.url.strip_prefix("https://").expect("it speaks TLS")
}

fn get(path: &str, server: &Server) -> http::Request<Empty<Bytes>> {
    http::Request::get(format!("{}{path}", server.url))
        .header("host", address(server))
        .header("authorization", format!("Bearer {}", server.key.key))
        .body(Empty::new())
        .expect("a request")
}

#[tokio::test(flavor = "multi_thread")]
async fn both_protocols_are_spoken_as_the_caller_wants() {
    let pair = Pair::new();
    let server = pair.serve().await;
    let client = pair.client(&server);
    client.post(CUSTOMERS, &json!({"key": "acme"})).await.expect(201);
    let of = |stream: &TlsStream<TcpStream>| stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
    let stream = pair.connect(&server, &[b"h2", b"http/1.1"]).await.expect("a handshake");
    assert_eq!(of(&stream).as_deref(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    tokio::spawn(connection);
    let answer = sender.send_request(get("/api/v1/customers/acme", &server)).await.expect("it");
    assert_eq!((answer.status(), answer.version()), (http::StatusCode::OK, http::Version::HTTP_2));
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    let shown: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(shown["key"], "acme");
    for protocols in [&[&b"http/1.1"[..]][..], &[]] {
        let stream = pair.connect(&server, protocols).await.expect("a handshake");
        assert_eq!(of(&stream).as_deref(), protocols.first().copied());
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.expect("HTTP/1.1");
        tokio::spawn(connection);
        let answer = sender.send_request(get("/livez", &server)).await.expect("an answer");
        assert_eq!(answer.status(), http::StatusCode::OK);
    }
    assert!(pair.connect(&server, &[b"spdy/3"]).await.is_err(), "no protocol in common");
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_taken_while_connections_go_on() {
    let mut pair = Pair::new();
    let server = pair.serve().await;
    let old = Pair { certificate: pair.certificate.clone(), ..Pair::new() };
    let stream = old.connect(&server, &[b"http/1.1"]).await.expect("a handshake");
    let (mut open, connection) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP/1.1");
    tokio::spawn(connection);
    pair.renew();
    assert!(pair.connect(&server, &[]).await.is_err(), "nobody told the server yet");
    server.signal("HUP");
    until_async("the new certificate", async || pair.connect(&server, &[]).await.ok()).await;
    assert!(old.connect(&server, &[]).await.is_err(), "the old one is gone");
    open.ready().await.expect("the old connection is open");
    let answer = open.send_request(get("/livez", &server)).await.expect("it is answered on");
    assert_eq!(answer.status(), http::StatusCode::OK);
    // What cannot be used is told, and changes nothing.
    std::fs::write(pair.file("key.pem"), made("127.0.0.1").1).expect("it is written");
    server.signal("HUP");
    let told = "the certificate stays as it was";
    until_async("the error", async || server.stderr().contains(told).then_some(())).await;
    assert!(server.stderr().contains("the key is not that of the certificate"));
    pair.client(&server).get(CUSTOMERS).await.expect(200);
    server.stop();
}

fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut serve = tallybook();
    serve.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(folder.path());
    let ran = run(serve.args(arguments));
    assert_eq!(ran.stdout, "");
    (ran.code, ran.stderr)
}

#[test]
fn a_pair_that_cannot_be_used_is_told_before_anything_else() {
    let (pair, other) = (Pair::new(), Pair::new());
    let text = |path: &Path| path.to_str().expect("a plain path").to_owned();
    let (cert, key) = (text(&pair.file("cert.pem")), text(&pair.file("key.pem")));
    let (code, told) = refused(&["--tls-cert", &cert, "--tls-key", &text(&other.file("key.pem"))]);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains(&cert) && told.contains("the key is not that of the certificate"));
    for (arguments, exit, says) in [
        (&["--tls-cert", &cert][..], 2, "--tls-cert needs --tls-key"),
        (&["--tls-key", &key], 2, "--tls-key needs --tls-cert"),
        (&["--tls-cert", &key, "--tls-key", &key], 2, "holds no certificate"),
        (&["--tls-cert", &cert, "--tls-key", &cert], 2, "holds no private key"),
        (&["--tls-cert", &cert, "--tls-key", "/no/such/key.pem"], 3, "/no/such/key.pem"),
    ] {
        let (code, told) = refused(arguments);
        assert_eq!(code, Some(exit), "{arguments:?}: {told}");
        assert!(told.contains(says), "{arguments:?}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_speaks_to_a_server_that_it_trusts_and_to_no_other() {
    let pair = Pair::new();
    let server = pair.serve().await;
    let trusted = pair.file("cert.pem");
    let ask = |arguments: &[&str], cacert: Option<&Path>| {
        let mut command = tallybook();
        command.args(arguments).args(["--url", &server.url, "--key", &server.key.key]);
        if let Some(cacert) = cacert {
            command.arg("--cacert").arg(cacert);
        }
        run(&mut command)
    };
    let commands = server.data().join("commands.jsonl");
    let create = json!({"type": "CreateCustomer", "customer": {"key": "acme"}});
    std::fs::write(&commands, create.to_string()).expect("it is written");
    let commands = commands.to_str().expect("a plain path");
    for arguments in [
        &["send", commands][..],
        &["customers", "show", "acme"],
        &["customers", "list"],
        &["usage", "show", "acme"],
    ] {
        let ran = ask(arguments, Some(&trusted));
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.stderr);
    }
    // Another certificate, and the system's, do not vouch for it; nor is one for another name taken.
    let stranger = Pair::new();
    let ran = ask(&["customers", "list"], Some(&stranger.file("cert.pem")));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(6), ""), "{}", ran.stderr);
    assert!(ran.stderr.contains("certificate"), "{}", ran.stderr);
    let ran = ask(&["customers", "list"], None);
    assert!([Some(1), Some(6)].contains(&ran.code), "{}", ran.stderr);
    let ran = ask(&["customers", "list"], Some(Path::new("/no/such/file")));
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let ran = ask(&["customers", "list"], Some(&pair.file("key.pem")));
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    server.stop();
    let elsewhere = Pair::of("elsewhere.example");
    let server = elsewhere.serve().await;
    let mut command = tallybook();
    command.args(["customers", "list", "--url", &server.url, "--key", &server.key.key]);
    let ran = run(command.arg("--cacert").arg(elsewhere.file("cert.pem")));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(6), ""), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_speaks_no_tls_is_sent_away_and_others_are_served() {
    let pair = Pair::new();
    let server = pair.serve().await;
    for said in ["GET /livez HTTP/1.1\r\nhost: x\r\n\r\n", "\0\0\0\0\0\0\0\0", "PRI * HTTP/2.0"] {
        let mut stream = PlainStream::connect(address(&server)).expect("it listens");
        stream.set_read_timeout(Some(crate::common::DEADLINE)).expect("a timeout can be set");
        stream.write_all(said.as_bytes()).expect("it can be sent");
        let mut answer = Vec::new();
        // A reset is an end, too.
        let _ = stream.read_to_end(&mut answer);
        assert!(!String::from_utf8_lossy(&answer).contains("HTTP/1.1"), "{answer:?}");
        pair.client(&server).get(CUSTOMERS).await.expect(200);
    }
    let metrics = pair.client(&server).get("/metrics").await.text;
    assert!(metrics.contains("tallybook_tls_handshakes_failed_total 3"), "{metrics}");
    server.stop();
}
