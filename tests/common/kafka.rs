//! A real Apache Kafka for tests: at an address from `TALLYBOOK_TEST_KAFKA`, else brokers in containers
//! where a Docker engine answers that has or gets the image, else brokers started from Apache's own jars
//! (resolved by Maven, `tests/kafka/pom.xml`) on the local JVM.
//!
//! Each broker hangs on a pipe of this process: when the test ends, however it ends, the broker is killed.

#![expect(dead_code, reason = "each test binary uses a part; the last item keeps this true")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tempfile::TempDir;

use crate::common::{run, until, until_within};
use disk::SmallDisk;

#[path = "containers.rs"]
mod containers;
#[path = "jars.rs"]
mod jars;
#[path = "ports.rs"]
mod ports;
#[path = "secured.rs"]
mod secured;
#[path = "disk.rs"]
mod disk;

use containers::Container;
use jars::java;
pub(crate) use ports::free_ports;

/// The variable that names a Kafka to be used instead of one that is started here.
const ADDRESS: &str = "TALLYBOOK_TEST_KAFKA";
/// How long one question to a broker may take.
const ASK: Duration = Duration::from_secs(2);
/// How long a broker may take until it is back, on a machine that has other things to do.
const BACK: Duration = Duration::from_mins(5);
/// Any text of 22 characters of base64 does as the cluster's id.
const CLUSTER_ID: &str = "dGFsbHlib29rLXRlc3RzAA";

/// Brokers that make up one cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    brokers: Vec<Broker>,
    bootstrap: String,
    /// Where one of the brokers has its files, when it has a disk of its own.
    disk: Option<SmallDisk>,
    folder: Option<TempDir>,
    /// What a client must be told to be let in.
    client: Vec<(String, String)>,
}

/// Whom a secured broker knows, and by what.
pub(crate) const USER: &str = "tally";
pub(crate) const PASSWORD: &str = "correct horse";

/// What a broker asks of its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    Nothing,
    /// TLS, and a name and password by SCRAM.
    Scram,
}

/// One broker, started here.
#[derive(Debug)]
struct Broker {
    address: String,
    properties: PathBuf,
    asks: Asks,
    running: Option<Running>,
}

/// How a broker runs.
#[derive(Debug)]
enum Running {
    Here(Leashed),
    Contained(Box<Container>),
}

/// A process on a leash.
#[derive(Debug)]
struct Leashed {
    /// A shell that kills the broker when its stdin closes.
    leash: Child,
    pid: String,
}

impl Cluster {
    /// Starts a cluster of so many brokers, or takes the one at the address given by the environment.
    pub(crate) fn start(count: usize) -> Self {
        if let Ok(bootstrap) = environment(ADDRESS) {
            let (brokers, client) = (Vec::new(), Vec::new());
            return Self { brokers, bootstrap, disk: None, folder: None, client };
        }
        Self::start_here(count, &[], Asks::Nothing, None)
    }

    /// Starts a cluster here, one of whose brokers has a small disk of its own, if such a one can be had.
    pub(crate) fn start_with_a_small_disk(count: usize, place: usize) -> Self {
        Self::start_here(count, &[], Asks::Nothing, Some(place))
    }

    /// Starts a cluster whose brokers have a listener each that is reached through a proxy: on the first
    /// port of each pair it listens, and tells its clients the second.
    pub(crate) fn start_behind(proxies: &[(u16, u16)]) -> Self {
        Self::start_here(proxies.len(), proxies, Asks::Nothing, None)
    }

    /// Starts one broker here that lets in by TLS and SCRAM only.
    pub(crate) fn start_secured() -> Self {
        Self::start_here(1, &[], Asks::Scram, None)
    }

    fn start_here(count: usize, proxies: &[(u16, u16)], asks: Asks, small: Option<usize>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let disk = small.and_then(|place| SmallDisk::mount(&logs(folder.path(), place)));
        let ports: Vec<(u16, u16)> =
            free_ports(2 * count).chunks(2).map(|two| (two[0], two[1])).collect();
        let mut brokers: Vec<Broker> = (0..count)
            .map(|place| Broker {
                address: format!("127.0.0.1:{}", ports[place].0),
                properties: configure(folder.path(), place, &ports, proxies.get(place).copied()),
                asks,
                running: None,
            })
            .collect();
        let addresses: Vec<&str> = brokers.iter().map(|broker| &*broker.address).collect();
        let bootstrap = addresses.join(",");
        let mut client = Vec::new();
        if asks == Asks::Scram {
            client = secured::secure(folder.path(), &brokers[0].properties);
        }
        for broker in &mut brokers {
            broker.format();
            broker.start();
        }
        let cluster = Self { brokers, bootstrap, disk, folder: Some(folder), client };
        cluster.wait_for(count);
        cluster
    }

    /// Gives what a client must be told to be let in.
    pub(crate) fn client(&self) -> &[(String, String)] {
        &self.client
    }

    /// Tells whether the brokers were started here, so that they may be killed.
    pub(crate) fn is_ours(&self) -> bool {
        !self.brokers.is_empty()
    }

    /// Gives the address of the cluster.
    pub(crate) fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Waits until so many brokers are known.
    pub(crate) fn wait_for(&self, count: usize) {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        config.extend(self.client.iter().cloned());
        let consumer: BaseConsumer = config.create().expect("a client needs no broker to be made");
        until("the brokers", || {
            let metadata = consumer.fetch_metadata(None, ASK).ok()?;
            (metadata.brokers().len() >= count).then_some(())
        });
    }

    /// Waits until a broker that was started again is one of so many. Panics when it ends.
    pub(crate) fn wait_until_back(&mut self, place: usize, count: usize) {
        let mut config = ClientConfig::new();
        // Of itself it is asked: others may say that it is there while they have not missed it yet.
        config.set("bootstrap.servers", &self.brokers[place].address);
        config.extend(self.client.iter().cloned());
        let consumer: BaseConsumer = config.create().expect("a client needs no broker to be made");
        until_within(BACK, "the broker to be back", || {
            let ended = self.brokers[place].has_ended();
            assert!(!ended, "broker {place} ended, and was to be back");
            let metadata = consumer.fetch_metadata(None, ASK).ok()?;
            (metadata.brokers().len() >= count).then_some(())
        });
    }

    /// Gives the small disk that one of the brokers has, if there could be one.
    pub(crate) fn small_disk(&self) -> Option<&SmallDisk> {
        self.disk.as_ref()
    }

    /// Tells whether a broker has ended by itself.
    pub(crate) fn has_ended(&mut self, place: usize) -> bool {
        self.brokers[place].has_ended()
    }

    /// Kills a broker at once.
    pub(crate) fn kill(&mut self, place: usize) {
        let running = self.brokers[place].running.take().expect("the broker runs");
        if let Running::Here(process) = &running
            && !process.has_ended()
        {
            process.signal("KILL");
        }
    }

    /// Stops a broker in its tracks.
    pub(crate) fn pause(&self, place: usize) {
        match self.brokers[place].running.as_ref().expect("the broker runs") {
            Running::Here(process) => process.signal("STOP"),
            Running::Contained(container) => container.pause(),
        }
    }

    /// Lets a stopped broker go on.
    pub(crate) fn resume(&self, place: usize) {
        match self.brokers[place].running.as_ref().expect("the broker runs") {
            Running::Here(process) => process.signal("CONT"),
            Running::Contained(container) => container.resume(),
        }
    }

    /// Starts a broker that was killed.
    pub(crate) fn restart(&mut self, place: usize) {
        self.brokers[place].start();
    }
}

/// Gives the one-broker cluster that the tests of one binary share; each uses topics of its own.
pub(crate) fn shared() -> &'static str {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(|| Cluster::start(1)).bootstrap()
}

impl Broker {
    /// Gives what the folder is formatted with.
    fn formatting(&self) -> Vec<String> {
        let mut words = vec!["-t".to_owned(), CLUSTER_ID.to_owned()];
        if self.asks == Asks::Scram {
            let user = format!("SCRAM-SHA-512=[name={USER},password=\"{PASSWORD}\"]");
            words.extend(["--add-scram".to_owned(), user]);
        }
        words
    }

    /// Formats the folder; in a container, that is done at the first start.
    fn format(&self) {
        if containers::are_there() {
            return;
        }
        let mut command = java();
        command.args(["kafka.tools.StorageTool", "format", "-c"]).arg(&self.properties);
        let ran = run(command.args(self.formatting()));
        assert_eq!(ran.code, Some(0), "formatting a broker failed: {}{}", ran.stdout, ran.stderr);
    }

    /// Tells whether it has ended, though nobody has killed it.
    fn has_ended(&self) -> bool {
        match self.running.as_ref() {
            Some(Running::Here(process)) => process.has_ended(),
            Some(Running::Contained(container)) => container.has_ended(),
            None => false,
        }
    }

    fn start(&mut self) {
        self.running = Some(if containers::are_there() {
            let folder = self.properties.parent().expect("it is in a folder");
            let words = self.formatting();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            Running::Contained(Box::new(Container::start(folder, &self.properties, &words)))
        } else {
            Running::Here(Leashed::start(&self.properties))
        });
    }
}

impl Leashed {
    fn start(properties: &Path) -> Self {
        let log = properties.with_extension("log");
        let java = java();
        let words = java.get_args().map(|word| word.to_string_lossy().into_owned());
        let script = "log=$1; shift; \"$@\" >>\"$log\" 2>&1 </dev/null & pid=$!; echo $pid; \
                      cat >/dev/null; kill -9 $pid";
        let mut leash = Command::new("sh")
            .args(["-c", script, "broker"])
            .arg(log)
            .arg("java")
            .args(words)
            .arg("kafka.Kafka")
            .arg(properties)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell runs");
        let mut pid = String::new();
        let stdout = leash.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut pid).expect("the shell says the broker's pid");
        Self { leash, pid: pid.trim().to_owned() }
    }

    /// Tells whether it has ended. One that was not waited for yet is a zombie.
    fn has_ended(&self) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok();
        status.is_none_or(|status| status.contains("State:\tZ"))
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(&self.pid).status();
        assert!(sent.expect("kill runs").success(), "kill -{name} {} failed", self.pid);
    }
}

impl Drop for Leashed {
    fn drop(&mut self) {
        drop(self.leash.stdin.take());
        // A leash that has ended already has done its work.
        let _ = self.leash.wait();
    }
}

fn configure(
    folder: &Path,
    place: usize,
    ports: &[(u16, u16)],
    proxied: Option<(u16, u16)>,
) -> PathBuf {
    let voters: Vec<String> =
        ports.iter().enumerate().map(|(id, (_, port))| format!("{id}@127.0.0.1:{port}")).collect();
    let (port, controller) = ports[place];
    let replicas = ports.len().min(3);
    let in_sync = replicas.div_ceil(2);
    let at = |port: u16| format!(",PROXIED://127.0.0.1:{port}");
    let listens = proxied.map(|(listens, _)| at(listens)).unwrap_or_default();
    let advertises = proxied.map(|(_, advertises)| at(advertises)).unwrap_or_default();
    let text = format!(
        "process.roles=broker,controller\nnode.id={place}\n\
         controller.quorum.voters={}\ncontroller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{listens}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}{advertises}\n\
         inter.broker.listener.name=PLAINTEXT\n\
         log.dirs={}\nauto.create.topics.enable=false\ngroup.initial.rebalance.delay.ms=0\n\
         offsets.topic.num.partitions=4\noffsets.topic.replication.factor={replicas}\n\
         transaction.state.log.num.partitions=4\n\
         transaction.state.log.replication.factor={replicas}\n\
         transaction.state.log.min.isr={in_sync}\nlog.cleaner.dedupe.buffer.size=4194304\n",
        voters.join(","),
        logs(folder, place).display(),
    );
    let properties = folder.join(format!("broker-{place}.properties"));
    fs::write(&properties, text).expect("a temporary file can be written");
    properties
}

/// Gives where a broker has its files.
fn logs(folder: &Path, place: usize) -> PathBuf {
    folder.join(format!("logs-{place}"))
}

#[expect(clippy::disallowed_methods, reason = "the tests' own switch, no setting of the product")]
fn environment(name: &str) -> Result<String, std::env::VarError> {
    std::env::var(name)
}

/// Used by none, so that what only some binaries use is expected to be unused in each.
const fn unused() {}

/// The variable that asks for a longer run of the tests that have one.
const CAMPAIGN: &str = "TALLYBOOK_CAMPAIGN";

/// Gives how often a test that is a campaign too is to try, if that is said.
pub(crate) fn campaign() -> Option<u64> {
    environment(CAMPAIGN).ok().and_then(|tries| tries.parse().ok())
}
