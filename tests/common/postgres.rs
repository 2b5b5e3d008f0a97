//! A real PostgreSQL for tests: at an address from `TALLYBOOK_TEST_POSTGRES`, else a container where a
//! Docker engine has an image for it, else the local server binaries in a temporary folder, on a free
//! port of the loopback address.
//!
//! It is on a leash: when this process ends, however it ends, the server ends and its folder is removed.
//! This file knows nothing else of the tests: the crate `projections` uses it, too.

#![expect(dead_code, reason = "each test binary uses a part; the last item keeps this true")]

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The variable that names a PostgreSQL to be used instead of one that is started here.
const ADDRESS: &str = "TALLYBOOK_TEST_POSTGRES";
/// The image that a container is made of, where there is an engine.
const IMAGE: &str = "postgres:15";
/// What is said when there is none to be had.
const LACKS: &str = "tests of PostgreSQL need a server: set TALLYBOOK_TEST_POSTGRES to the URL of one, \
                     or install the package postgresql (its initdb, postgres and psql)";
/// How long the server may take to answer.
const DEADLINE: Duration = Duration::from_mins(1);
/// How long to wait between two looks.
const POLL: Duration = Duration::from_millis(20);
/// Users that may run the server when we are root, who may not.
const USERS: [&str; 2] = ["postgres", "nobody"];

/// A PostgreSQL server.
#[derive(Debug)]
pub(crate) struct Postgres {
    /// The address without the name of a database, and what comes after that.
    address: (String, String),
    local: Option<Local>,
    _container: Option<Leash>,
}

/// A server that was started here.
#[derive(Debug)]
struct Local {
    binaries: PathBuf,
    user: Option<String>,
    port: u16,
    folder: TempDir,
    process: Option<Child>,
    _leash: Leash,
}

/// A shell that waits for the end of this process, and then cleans up.
#[derive(Debug)]
struct Leash(Child);

impl Leash {
    fn new(script: &str, argument: &str) -> Self {
        let shell = Command::new("sh")
            .args(["-c", &format!("cat > /dev/null; {script}"), "leash", argument])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(shell.expect("a shell runs"))
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // A leash that has ended already has done its work.
        let _ = self.0.wait();
    }
}

impl Postgres {
    /// Starts a server of its own, or takes the one at the address given by the environment.
    pub(crate) fn start() -> Self {
        if let Ok(address) = environment(ADDRESS) {
            let (address, rest) = parts(&address);
            return Self { address: (address, rest), local: None, _container: None };
        }
        container().unwrap_or_else(|| Self::start_local(&[]))
    }

    /// Starts a server of its own from the local binaries, with more lines of settings.
    pub(crate) fn start_local(settings: &[&str]) -> Self {
        let binaries = binaries().unwrap_or_else(|| panic!("{LACKS}"));
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let user = is_root().then(some_user);
        let data = folder.path().join("data");
        fs::create_dir(&data).expect("a folder can be made");
        if let Some(user) = &user {
            done(Command::new("chmod").arg("755").arg(folder.path()));
            done(Command::new("chown").arg(format!("{user}:")).arg(&data));
        }
        let mut initdb = as_user(user.as_deref(), &binaries.join("initdb"));
        initdb.args(["--auth=trust", "--no-sync", "--username=postgres", "--encoding=UTF8"]);
        done(initdb.args(["--locale=C.UTF-8", "--pgdata"]).arg(&data));
        let port = free_port();
        let mut lines = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = ''\n\
             fsync = off\nmax_connections = 300\nshared_buffers = 64MB\n"
        );
        for line in settings {
            writeln!(lines, "{line}").expect("writing to a string");
        }
        let written = data.join("postgresql.auto.conf");
        fs::write(written, lines).expect("the settings can be written");
        let leash = Leash::new(
            "pid=$(head -n 1 \"$1/data/postmaster.pid\") && { \
             kill -CONT $pid $(cat /proc/$pid/task/$pid/children); kill -QUIT $pid; \
             for i in 1 2 3 4 5 6 7 8 9 10; do kill -0 $pid || break; sleep 0.2; done; }; \
             rm -rf \"$1\"",
            &folder.path().display().to_string(),
        );
        let mut local = Local { binaries, user, port, folder, process: None, _leash: leash };
        local.start();
        let address = (format!("postgres://postgres@127.0.0.1:{port}/"), String::new());
        Self { address, local: Some(local), _container: None }
    }

    /// Gives the address of a database.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("{}{database}{}", self.address.0, self.address.1)
    }

    /// Makes a database and gives its address.
    pub(crate) fn database(&self, name: &str) -> String {
        self.sql("postgres", &format!("DROP DATABASE IF EXISTS {name}"));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(name)
    }

    /// Runs a statement and gives its rows, as `psql` prints them: columns by `|`, no headers.
    pub(crate) fn sql(&self, database: &str, sql: &str) -> String {
        let output = psql(&self.url(database), sql);
        let (said, failed) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{sql}: {failed}");
        said.trim_end().to_owned()
    }

    /// Tells whether the server was started here, so that it may be killed.
    pub(crate) fn is_ours(&self) -> bool {
        self.local.is_some()
    }

    fn local(&mut self) -> &mut Local {
        self.local.as_mut().expect("only a server that was started here can be stopped")
    }

    /// Kills the server at once, with all its processes.
    pub(crate) fn kill(&mut self) {
        let local = self.local();
        local.signal("KILL");
        if let Some(mut process) = local.process.take() {
            process.wait().expect("it was ours");
        }
    }

    /// Stops all processes of the server in their tracks.
    pub(crate) fn pause(&mut self) {
        self.local().signal("STOP");
    }

    /// Lets a stopped server go on.
    pub(crate) fn resume(&mut self) {
        self.local().signal("CONT");
    }

    /// Starts a server that was killed.
    pub(crate) fn restart(&mut self) {
        self.local().start();
    }
}

impl Local {
    fn start(&mut self) {
        let data = self.folder.path().join("data");
        let log = self.folder.path().join("log");
        let log = fs::File::options().create(true).append(true).open(log);
        let mut postgres = as_user(self.user.as_deref(), &self.binaries.join("postgres"));
        postgres.arg("-D").arg(&data).stdin(Stdio::null()).stdout(Stdio::null());
        postgres.stderr(log.expect("a log can be written"));
        self.process = Some(postgres.spawn().expect("the server's binary runs"));
        let url = format!("postgres://postgres@127.0.0.1:{}/postgres", self.port);
        let began = Instant::now();
        while !psql(&url, "SELECT 1").status.success() {
            let process = self.process.as_mut().expect("it was started");
            if process.try_wait().expect("it is ours").is_some() {
                // What a killed server left in memory may not be gone yet.
                self.process = Some(postgres.spawn().expect("the server's binary runs"));
            }
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(began.elapsed() < DEADLINE, "the server does not answer: {}", log());
            std::thread::sleep(POLL);
        }
    }

    /// Sends a signal to the server and the processes that it has made.
    fn signal(&self, name: &str) {
        let process = self.process.as_ref().expect("the server runs");
        let pid = process.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.unwrap_or_default();
        // The server first, so that it makes no more.
        let mut kill = Command::new("kill");
        kill.arg(format!("-{name}")).arg(pid.to_string()).args(children.split_whitespace());
        // A process of the server may have ended by itself in between.
        let _ = kill.stderr(Stdio::null()).status().expect("kill runs");
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            self.process = None;
            let pid = process.id().to_string();
            // A server that was killed or stopped is the leash's.
            let told = Command::new("kill").args(["-QUIT", &pid]).stderr(Stdio::null()).status();
            if told.is_ok_and(|status| status.success()) {
                let began = Instant::now();
                while process.try_wait().is_ok_and(|ended| ended.is_none())
                    && began.elapsed() < Duration::from_secs(2)
                {
                    std::thread::sleep(POLL);
                }
            }
        }
    }
}

/// Gives the server that the tests of one binary share; each uses a database or schema of its own.
pub(crate) fn shared() -> &'static Postgres {
    static SHARED: OnceLock<Postgres> = OnceLock::new();
    SHARED.get_or_init(Postgres::start)
}

/// Starts a container, where an engine answers that has the image.
fn container() -> Option<Postgres> {
    let docker = |words: &[&str]| {
        let output = Command::new("docker").args(words).stdin(Stdio::null()).output().ok()?;
        output.status.success().then(|| text(&output.stdout).trim().to_owned())
    };
    docker(&["image", "inspect", "--format", "{{.Id}}", IMAGE])?;
    let trust = "POSTGRES_HOST_AUTH_METHOD=trust";
    let run = ["run", "--detach", "--rm", "--publish", "127.0.0.1::5432", "--env", trust, IMAGE];
    let id = docker(&run)?;
    let leash = Leash::new("docker kill \"$1\"", &id);
    let port = docker(&["port", &id, "5432/tcp"])?;
    let address = format!("postgres://postgres@{}/", port.lines().next()?);
    let server =
        Postgres { address: (address, String::new()), local: None, _container: Some(leash) };
    let began = Instant::now();
    while !psql(&server.url("postgres"), "SELECT 1").status.success() {
        assert!(began.elapsed() < DEADLINE, "the container's server does not answer");
        std::thread::sleep(POLL);
    }
    Some(server)
}

/// Splits a URL before and after the name of the database.
fn parts(url: &str) -> (String, String) {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let authority = path.find("://").map_or(0, |at| at + 3);
    let end = path[authority..].find('/').map_or(path.len(), |at| authority + at);
    let rest = if query.is_empty() { String::new() } else { format!("?{query}") };
    (format!("{}/", &path[..end]), rest)
}

fn psql(url: &str, sql: &str) -> Output {
    let program = binaries().map_or_else(|| "psql".into(), |folder| folder.join("psql"));
    let mut psql = Command::new(program);
    psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "-v", "ON_ERROR_STOP=1"]);
    psql.arg("--dbname").arg(url).args(["--command", sql]).stdin(Stdio::null());
    psql.env("PGCONNECT_TIMEOUT", "5");
    psql.output().unwrap_or_else(|error| panic!("{LACKS} (psql: {error})"))
}

/// Finds the folder of the server's binaries: in the path, else where Debian has them.
fn binaries() -> Option<PathBuf> {
    let has_all = |folder: &Path| {
        ["initdb", "postgres", "psql"].iter().all(|name| folder.join(name).is_file())
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).find(|folder| has_all(folder));
    in_path.or_else(|| {
        let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
        let folders = versions.filter_map(|version| Some(version.ok()?.path().join("bin")));
        folders.filter(|folder| has_all(folder)).max()
    })
}

fn is_root() -> bool {
    text(&Command::new("id").arg("-u").output().expect("id runs").stdout).trim() == "0"
}

fn some_user() -> String {
    let is_there = |user: &&&str| {
        let asked = Command::new("id").args(["-u", user]).output().expect("id runs");
        asked.status.success()
    };
    let user = USERS.iter().find(is_there);
    (*user.expect("PostgreSQL does not run as root, and there is no user postgres or nobody"))
        .into()
}

/// Gives the command of a program as a user; as this one when there is none.
fn as_user(user: Option<&str>, program: &Path) -> Command {
    let mut command = match user {
        None => Command::new(program),
        Some(user) => {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", user, "--regid"]).arg(group_of(user)).arg("--clear-groups");
            command.arg(program);
            command
        }
    };
    // The folder that we are in may be closed to that user.
    command.current_dir("/");
    command
}

fn group_of(user: &str) -> String {
    text(&Command::new("id").args(["-g", user]).output().expect("id runs").stdout).trim().into()
}

fn done(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; {LACKS}"));
    assert!(output.status.success(), "{command:?} failed: {}", text(&output.stderr));
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there are free ports");
    listener.local_addr().expect("an address").port()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[expect(clippy::disallowed_methods, reason = "the tests' own switch, no setting of the product")]
fn environment(name: &str) -> Result<String, std::env::VarError> {
    std::env::var(name)
}

/// Nobody needs it: so there is always something here that a test binary does not use.
const NEVER_USED: () = ();
