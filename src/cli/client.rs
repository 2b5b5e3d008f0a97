//! The HTTP client of the commands that talk to a server: address, key, and refusals as errors.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Certificate, Method, StatusCode, Url};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio_rustls::rustls::crypto::ring;

use super::exit::Usage;

/// How long to wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);
/// Longest key that is read from a file.
const MAX_KEY_BYTES: usize = 1_024;

/// Options that say which server, and as whom.
#[derive(Debug, Clone, Args)]
pub(super) struct Connection {
    /// The server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: Url,
    /// API key (better in the environment or in a file: others can see arguments)
    #[arg(long, value_name = "KEY", hide_env_values = true, hide_default_value = true)]
    key: Option<String>,
    /// File that holds the API key
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Certificates, in PEM, that vouch for a server at `https`, instead of those of the system
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
}

/// A server, asked as the holder of one key.
#[derive(Debug, Clone)]
pub(super) struct Api {
    base: Url,
    authorization: HeaderValue,
    key: HeaderValue,
    http: reqwest::Client,
}

/// A server's refusal: a problem (RFC 9457), or whatever it said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the server answered {status}{}: {detail}", Code(code.as_deref()))]
pub(super) struct Refused {
    /// Status.
    pub(super) status: u16,
    /// The stable word, when there is one.
    pub(super) code: Option<String>,
    /// The sentence.
    pub(super) detail: String,
    /// When to come again, in seconds.
    pub(super) retry_after: Option<u64>,
}

struct Code<'a>(Option<&'a str>);

impl std::fmt::Display for Code<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.map_or(Ok(()), |code| write!(formatter, " {code}"))
    }
}

/// The members of a problem that are shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: Option<String>,
    detail: Option<String>,
    code: Option<String>,
    pointer: Option<String>,
}

impl Refused {
    /// A server that has no room for a command.
    pub(super) fn no_room() -> Self {
        let detail = "there is no room for the command".to_owned();
        Self { status: 503, code: None, detail, retry_after: None }
    }
}

impl Connection {
    /// Makes the client.
    ///
    /// # Errors
    /// [`Usage`] when there is no key, or the address is none that can be spoken to.
    pub(super) fn open(&self) -> anyhow::Result<Api> {
        let key = match (&self.key, &self.key_file) {
            (Some(key), _) => key.clone(),
            (None, Some(file)) => read_key(file)?,
            (None, None) => {
                return Err(Usage(
                    "no API key: give --key or --key-file, or set TALLYBOOK_KEY (make a key with \
                     `tallybook keys create`)"
                        .into(),
                )
                .into());
            }
        };
        let trusted = match &self.cacert {
            Some(file) => Trusted::Only(read_certificates(file)?),
            None => Trusted::System,
        };
        Api::trusting(self.url.clone(), &key, trusted)
    }
}

/// Who is trusted to vouch for a server.
enum Trusted {
    /// Whom the system trusts.
    System,
    /// These.
    Only(Vec<Certificate>),
}

fn read_certificates(file: &Path) -> anyhow::Result<Vec<Certificate>> {
    let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let none = || Usage(format!("{} holds no certificate in PEM", file.display()));
    let certificates = Certificate::from_pem_bundle(&text).map_err(|_| none())?;
    if certificates.is_empty() { Err(none().into()) } else { Ok(certificates) }
}

fn read_key(file: &PathBuf) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the API key from {}", file.display()))?;
    let key = text.trim();
    if key.is_empty() || key.len() > MAX_KEY_BYTES {
        return Err(Usage(format!("{} holds no API key", file.display())).into());
    }
    Ok(key.to_owned())
}

impl Api {
    /// Makes a client of a server for one key; for TLS it trusts whom the system trusts.
    ///
    /// # Errors
    /// [`Usage`] when the address is none of HTTP, or the key cannot be sent.
    pub(super) fn new(base: Url, key: &str) -> anyhow::Result<Self> {
        Self::trusting(base, key, Trusted::System)
    }

    fn trusting(base: Url, key: &str, trusted: Trusted) -> anyhow::Result<Self> {
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
            let told = format!("{base} is not an address like http://HOST:PORT or https://HOST");
            return Err(Usage(told).into());
        }
        let mut authorization = HeaderValue::from_str(&format!("Bearer {key}"))
            .map_err(|_| Usage("the API key has characters that no key has".into()))?;
        authorization.set_sensitive(true);
        // An error says that there is a provider already.
        let _ = ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .user_agent(concat!("tallybook/", env!("CARGO_PKG_VERSION")));
        let http = match trusted {
            Trusted::Only(certificates) => http.tls_certs_only(certificates),
            // Nobody vouches for a server without TLS: a system without certificates will do.
            Trusted::System if base.scheme() == "http" => http.tls_certs_only([]),
            Trusted::System => http,
        };
        let http = http.build().context("TLS cannot be set up")?;
        let mut key = HeaderValue::from_str(key)
            .map_err(|_| Usage("the API key has characters that no key has".into()))?;
        key.set_sensitive(true);
        Ok(Self { base, authorization, key, http })
    }

    /// Gives the address of a path below the server's; segments are encoded.
    ///
    /// # Errors
    /// [`Usage`] when a segment cannot stand in a path.
    pub(super) fn address(&self, segments: &[&str]) -> anyhow::Result<Url> {
        let mut address = self.base.clone();
        let mut path =
            address.path_segments_mut().map_err(|()| Usage("the address has no path".into()))?;
        path.pop_if_empty();
        for segment in segments {
            // Addresses drop these two, encoded or not.
            if matches!(*segment, "." | "..") {
                return Err(Usage(format!("{segment:?} cannot stand in a path: use the id")).into());
            }
            path.push(segment);
        }
        drop(path);
        Ok(address)
    }

    /// Asks for something.
    ///
    /// # Errors
    /// [`Refused`], or an error of the connection.
    pub(super) async fn get<T: for<'de> Deserialize<'de>>(&self, from: Url) -> anyhow::Result<T> {
        let body = self.send(Method::GET, from, None).await?;
        serde_json::from_str(&body).context("the server's answer is not as it should be")
    }

    /// Sends a request, with a JSON body or none, and gives the body of the answer.
    ///
    /// # Errors
    /// [`Refused`], or an error of the connection.
    pub(super) async fn send(
        &self,
        method: Method,
        to: Url,
        body: Option<String>,
    ) -> anyhow::Result<String> {
        let (status, retry_after, body) = self.ask(method, to, body, Shown::Bearer).await?;
        if status.is_success() { Ok(body) } else { Err(refusal(status, &body, retry_after).into()) }
    }

    /// Sends a request and gives status and body of the answer, whatever it says.
    ///
    /// # Errors
    /// An error of the connection.
    pub(super) async fn exchange(
        &self,
        method: Method,
        to: Url,
        body: Option<String>,
        shown: Shown,
    ) -> anyhow::Result<(u16, String)> {
        let (status, _, body) = self.ask(method, to, body, shown).await?;
        Ok((status.as_u16(), body))
    }

    async fn ask(
        &self,
        method: Method,
        to: Url,
        body: Option<String>,
        shown: Shown,
    ) -> anyhow::Result<(StatusCode, Option<u64>, String)> {
        let mut request = self.http.request(method, to);
        request = match shown {
            Shown::Bearer => request.header(AUTHORIZATION, self.authorization.clone()),
            Shown::XApiKey => request.header("x-api-key", self.key.clone()),
        };
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let answer = request.send().await.map_err(reqwest::Error::without_url);
        let answer = answer.with_context(|| format!("no answer from {}", self.base))?;
        let status = answer.status();
        let header = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = header.and_then(|seconds| seconds.parse().ok());
        let body = answer.text().await.context("the answer broke off")?;
        Ok((status, retry_after, body))
    }
}

/// Where the key is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// `x-api-key: KEY`.
    XApiKey,
}

fn refusal(status: StatusCode, body: &str, retry_after: Option<u64>) -> Refused {
    let problem: Problem = serde_json::from_str(body).unwrap_or_default();
    let sentence = problem.detail.or(problem.title);
    let sentence =
        sentence.unwrap_or_else(|| status.canonical_reason().unwrap_or("no reason").to_owned());
    let detail = match problem.pointer {
        Some(pointer) if !pointer.is_empty() => format!("{pointer}: {sentence}"),
        Some(_) | None => sentence,
    };
    Refused { status: status.as_u16(), code: problem.code, detail, retry_after }
}

/// A page of a list: the items as they came.
#[derive(Debug, Deserialize)]
pub(super) struct ListPage {
    /// The items.
    pub(super) items: Vec<Box<RawValue>>,
    /// Where the next page begins.
    pub(super) next: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(url: &str) -> Api {
        Api::new(url.parse().unwrap(), "tb_live_x_y").unwrap()
    }

    #[test]
    fn keys_of_customers_are_encoded_in_paths() {
        let address = |url, key| api(url).address(&["api", "v1", "customers", key]).unwrap();
        assert_eq!(
            address("http://h:1", "a b/c?d#e%2e").as_str(),
            "http://h:1/api/v1/customers/a%20b%2Fc%3Fd%23e%252e"
        );
        assert_eq!(address("http://h:1/base/", "x").as_str(), "http://h:1/base/api/v1/customers/x");
        assert!(api("http://h:1").address(&[".."]).is_err());
    }

    #[test]
    fn only_http_is_spoken() {
        for bad in ["ftp://h", "unix:/h", "mailto:a@b.c"] {
            assert!(Api::new(bad.parse().unwrap(), "k").is_err(), "{bad}");
        }
    }

    #[test]
    fn a_problem_is_told_with_its_code_and_place() {
        let body = r#"{"title":"t","status":422,"detail":"no such tier","code":"unknown_tier",
            "pointer":"/contract/tier"}"#;
        let refused = refusal(StatusCode::UNPROCESSABLE_ENTITY, body, None);
        assert_eq!(
            refused.to_string(),
            "the server answered 422 unknown_tier: /contract/tier: no such tier"
        );
        let plain = refusal(StatusCode::BAD_GATEWAY, "<html>", Some(3));
        assert_eq!(plain.to_string(), "the server answered 502: Bad Gateway");
    }
}
