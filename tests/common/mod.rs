//! What tests from outside share: the built binary as a server in a temporary folder, API keys, a
//! small HTTP client, and waiting with a deadline. It knows the binary, HTTP and nothing else.
//!
//! `mod common;` in each test; `common::Server::start().await` gives a server on a port of its own.

#![expect(dead_code, reason = "each test binary uses a part; the last item keeps this true")]
#![expect(unreachable_pub, reason = "shared by test binaries, not by a crate")]

use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

pub mod node;
mod once;
pub mod python;

/// How long anything may take before a test gives up.
pub const DEADLINE: Duration = Duration::from_mins(2);
/// How long to wait between two looks at a condition.
const POLL: Duration = Duration::from_millis(5);
/// The tenant of keys that a test does not name otherwise.
pub const TENANT: &str = "t";
/// All scopes of a key.
pub const ALL_SCOPES: &str = "read,write,usage,audit,admin";

/// Gives the built binary, with no setting of this process's environment and in no folder of ours.
pub fn tallybook() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tallybook"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TALLYBOOK_") {
            command.env_remove(name);
        }
    }
    command.current_dir(std::env::temp_dir()).stdin(Stdio::null());
    command
}

/// What a run of the binary came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Ran {
    let output = command.output().expect("the built binary runs");
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
    }
}

/// Runs a command to its end, with a text as its standard input.
pub fn run_with(command: &mut Command, input: &str) -> Ran {
    use std::io::{Seek as _, Write as _};
    let mut file = tempfile::tempfile().expect("a temporary file can be made");
    file.write_all(input.as_bytes()).and_then(|()| file.rewind()).expect("it can be written");
    run(command.stdin(file))
}

/// Looks again and again until there is something, and gives it. Panics after [`DEADLINE`].
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    until_within(DEADLINE, what, look)
}

/// The same for what takes long: panics after a time of its own.
pub fn until_within<T>(patience: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited too long for: {what}");
        thread::sleep(POLL);
    }
}

/// The same for conditions that must be awaited.
pub async fn until_async<T, F>(what: &str, look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    until_async_within(DEADLINE, what, look).await
}

/// The same for what takes long: panics after a time of its own.
pub async fn until_async_within<T, F>(
    patience: Duration,
    what: &str,
    mut look: impl FnMut() -> F,
) -> T
where
    F: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited too long for: {what}");
        tokio::time::sleep(POLL).await;
    }
}

/// An API key as `keys create` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: String,
    /// The key itself.
    pub key: String,
}

/// Makes an API key in a data folder, beside a server that may run there.
pub fn make_key(data: &Path, tenant: &str, environment: &str, scopes: &str) -> ApiKey {
    make_key_at(data, tenant, environment, scopes, "0", &[])
}

/// Gives those arguments of `serve` that say which Kafka: keys are there, too.
pub fn kafka_of<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    let pairs = arguments.windows(2).filter(|pair| pair[0].starts_with("--kafka"));
    pairs.flatten().copied().collect()
}

/// Makes an API key where those arguments of `serve` say.
pub fn make_key_at(
    data: &Path,
    tenant: &str,
    environment: &str,
    scopes: &str,
    rate: &str,
    arguments: &[&str],
) -> ApiKey {
    let ran = run(tallybook()
        .args(["keys", "create", "--tenant", tenant, "--environment", environment])
        .args(["--scopes", scopes, "--rate", rate, "--output", "json", "--data"])
        .arg(data)
        .args(kafka_of(arguments)));
    assert_eq!(ran.code, Some(0), "keys create failed: {}", ran.stderr);
    let printed: Value = serde_json::from_str(&ran.stdout).expect("keys create prints JSON");
    let member = |name: &str| {
        printed.get(name).and_then(Value::as_str).expect("an id and a key are printed").to_owned()
    };
    ApiKey { id: member("id"), key: member("key") }
}

/// Makes an API key that may send one request in a second.
pub fn make_slow_key(data: &Path, tenant: &str) -> ApiKey {
    make_key_at(data, tenant, "live", ALL_SCOPES, "1", &[])
}

/// A running server: the built binary, its folder, its address and a key with all scopes.
#[derive(Debug)]
pub struct Server {
    process: Process,
    /// `http://127.0.0.1:PORT`
    pub url: String,
    /// Key of [`TENANT`], live, with all scopes and without a rate limit.
    pub key: ApiKey,
    folder: Folder,
}

/// The folder of a server: made for it and removed with it, or given.
#[derive(Debug)]
enum Folder {
    Own(TempDir),
    Given(PathBuf),
}

impl Server {
    /// Starts a server on an empty folder of its own.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts a server on an empty folder of its own, with further arguments of `serve`.
    pub async fn start_with(arguments: &[&str]) -> Self {
        let folder = Folder::Own(tempfile::tempdir().expect("a temporary folder can be made"));
        Self::start_on(folder, arguments).await
    }

    /// Starts a server on a folder that the test keeps.
    pub async fn start_in(data: &Path, arguments: &[&str]) -> Self {
        Self::start_on(Folder::Given(data.to_owned()), arguments).await
    }

    async fn start_on(folder: Folder, arguments: &[&str]) -> Self {
        let data = folder.path().to_owned();
        let key = make_key_at(&data, TENANT, "live", ALL_SCOPES, "0", arguments);
        let mut command = tallybook();
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&data).args(arguments);
        let mut process = Process::spawn(command);
        let url = until_async("the line `listening on`", || {
            assert_eq!(process.ended(), None, "serve ended: {}", process.stderr());
            std::future::ready(process.listening_on())
        })
        .await;
        Self { process, url, key, folder }
    }

    /// Gives the data folder.
    pub fn data(&self) -> &Path {
        self.folder.path()
    }

    /// Gives a client with the server's key.
    pub fn client(&self) -> Client {
        self.client_with(&self.key.key)
    }

    /// Gives a client with another key.
    pub fn client_with(&self, key: &str) -> Client {
        Client::new(&self.url, Some(key))
    }

    /// Gives what the server has written to stderr so far.
    pub fn stderr(&self) -> String {
        self.process.stderr()
    }

    /// Gives the process id.
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// Gives how many bytes of memory the process has.
    pub fn memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(path).expect("the process lives");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kib.expect("the system tells the memory") << 10
    }

    /// Sends a signal by its name, like `TERM`.
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Waits until the process has ended.
    pub fn wait(&mut self) -> ExitStatus {
        self.process.wait()
    }

    /// Asks the server to stop (SIGTERM), waits for its end, checks that it exits with 0, and gives
    /// what it wrote to stderr. A folder of its own is removed.
    pub fn stop(mut self) -> String {
        self.process.signal("TERM");
        let status = self.process.wait();
        assert!(status.success(), "serve ended with {status}: {}", self.process.stderr());
        self.process.stderr()
    }

    /// Ends the process at once (SIGKILL). A folder of its own is removed.
    pub fn kill(mut self) {
        self.process.kill();
    }
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Self::Own(folder) => folder.path(),
            Self::Given(path) => path,
        }
    }
}

/// A child process whose stderr is read line by line. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Process {
    /// Starts a command and reads its stderr.
    pub fn spawn(mut command: Command) -> Self {
        let mut child =
            command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("the binary runs");
        let stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        let reader = thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        Self { child, lines, reader: Some(reader) }
    }

    /// Gives the address of the line `listening on ADDRESS`, once it was printed.
    pub fn listening_on(&self) -> Option<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().find_map(|line| line.strip_prefix("listening on ")).map(str::to_owned)
    }

    /// Gives stderr so far.
    pub fn stderr(&self) -> String {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    /// Gives the process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Gives how the process ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("our own child can be waited for")
    }

    /// Sends a signal by its name, like `TERM`.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id();
        let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {pid}")).status();
        assert!(sent.expect("a shell runs").success(), "kill -{name} {pid} failed");
    }

    /// Waits until the process has ended and all of its stderr was read.
    pub fn wait(&mut self) -> ExitStatus {
        let status = until("the end of the process", || self.ended());
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader of stderr does not panic");
        }
        status
    }

    /// Ends the process at once.
    pub fn kill(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        self.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client of one server, with one key or none.
#[derive(Debug, Clone)]
pub struct Client {
    url: String,
    key: Option<String>,
    http: reqwest::Client,
}

/// An answer: status, headers, body.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Headers.
    pub headers: http::HeaderMap,
    /// Body, as it came.
    pub text: String,
}

impl Client {
    /// Makes a client.
    pub fn new(url: &str, key: Option<&str>) -> Self {
        Self::trusting(url, key, [])
    }

    /// Makes a client that trusts these certificates, in PEM, and no others.
    pub fn trusting<'a>(
        url: &str,
        key: Option<&str>,
        certificates: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        // An error says that there is a provider already.
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        let certificate = |pem: &str| {
            reqwest::Certificate::from_pem(pem.as_bytes()).expect("a certificate in PEM")
        };
        let http = reqwest::Client::builder()
            .timeout(DEADLINE)
            .tls_certs_only(certificates.into_iter().map(certificate))
            .build()
            .expect("a client can be made");
        Self { url: url.to_owned(), key: key.map(str::to_owned), http }
    }

    /// Gives the server's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Begins a request that the test fills itself. The key is set already.
    pub fn request(&self, method: http::Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    /// Sends a request. Panics when there is no answer.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Reply {
        self.try_send(request).await.expect("the server answers")
    }

    /// Sends a request; an error is no answer.
    pub async fn try_send(&self, request: reqwest::RequestBuilder) -> reqwest::Result<Reply> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Reply { status, headers, text: response.text().await? })
    }

    /// `GET path`.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(self.request(http::Method::GET, path)).await
    }

    /// `POST path` with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(self.request(http::Method::POST, path).json(body)).await
    }

    /// `PATCH path` with a JSON body.
    pub async fn patch(&self, path: &str, body: &Value) -> Reply {
        self.send(self.request(http::Method::PATCH, path).json(body)).await
    }

    /// Any method, with a body that need not be JSON but says that it is.
    pub async fn raw(&self, method: http::Method, path: &str, body: impl Into<Vec<u8>>) -> Reply {
        let request = self.request(method, path).header("content-type", "application/json");
        self.send(request.body(body.into())).await
    }
}

impl Reply {
    /// Gives the body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{self} has a body that is not JSON: {error}"))
    }

    /// Gives the body as JSON, after checking the status.
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self}");
        self.json()
    }

    /// Gives the member at a JSON pointer of the body; null when there is none.
    pub fn at(&self, pointer: &str) -> Value {
        self.json().pointer(pointer).cloned().unwrap_or_default()
    }

    /// Gives a header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "answer {} {}", self.status, self.text)
    }
}

/// Used by no test, so that the expectation at the top holds in a test that uses all the rest.
const fn used_by_no_test() {}
