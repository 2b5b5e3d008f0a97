//! Brokers in containers, where a Docker engine answers that has the image or can pull it. They use the
//! host's network and the folder of the test, so that a broker is configured, reached, killed and
//! started again as one on the local JVM is.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use testcontainers::core::Mount;
use testcontainers::runners::AsyncRunner as _;
use testcontainers::{ContainerAsync, ContainerRequest, GenericImage, ImageExt as _};
use tokio::runtime::Runtime;

/// The image of Apache Kafka.
const IMAGE: (&str, &str) = ("apache/kafka", "4.1.0");
/// Where its jars are: in Apache's image, and in one made as `tests/compose` makes it.
const JARS: &str = "/opt/kafka/libs/*:/opt/kafka/*";
/// How long an engine may take to find the image, or to pull it.
const PATIENCE: Duration = Duration::from_mins(10);

/// A broker in a container, on a leash.
#[derive(Debug)]
pub(crate) struct Container {
    container: Option<ContainerAsync<GenericImage>>,
    /// A shell that kills it when this process ends without having done so.
    leash: Child,
}

/// Tells whether brokers can be run in containers here; says on stderr why not.
pub(crate) fn are_there() -> bool {
    static THERE: OnceLock<bool> = OnceLock::new();
    *THERE.get_or_init(|| {
        let tried = wait(async {
            tokio::time::timeout(PATIENCE, shell("true").start())
                .await
                .map_err(|_| "the image does not come".to_owned())?
                .map_err(|error| error.to_string())
        });
        match tried {
            Ok(container) => {
                wait(container.rm()).expect("the engine removes what it has made");
                true
            }
            Err(why) => {
                eprintln!("brokers run on the local JVM, not in containers: {why}");
                false
            }
        }
    })
}

impl Container {
    /// Formats the broker's folder, if that was not done yet, and starts the broker.
    pub(crate) fn start(folder: &Path, properties: &Path, format: &[&str]) -> Self {
        let (folder, properties) = (text(folder), text(properties));
        let format = format.join("' '");
        let java = "java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp";
        let script = format!(
            "{java} '{JARS}' kafka.tools.StorageTool format --ignore-formatted -c '{properties}' \
             '{format}' && exec {java} '{JARS}' kafka.Kafka '{properties}'"
        );
        let request = shell(&script)
            .with_mount(Mount::bind_mount(folder.clone(), folder))
            .with_network("host")
            .with_user("0");
        let container = wait(request.start()).expect("the engine starts a broker");
        let leash = Command::new("sh")
            .args(["-c", "cat >/dev/null; docker rm --force \"$1\"", "leash", container.id()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self { container: Some(container), leash: leash.expect("a shell runs") }
    }

    /// Tells whether it has ended by itself.
    pub(crate) fn has_ended(&self) -> bool {
        let container = self.container.as_ref().expect("it is there until it is dropped");
        !wait(container.is_running()).expect("the engine tells how a broker does")
    }

    /// Stops it in its tracks.
    pub(crate) fn pause(&self) {
        let container = self.container.as_ref().expect("it is there until it is dropped");
        wait(container.pause()).expect("the engine pauses a broker");
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        let container = self.container.as_ref().expect("it is there until it is dropped");
        wait(container.unpause()).expect("the engine lets a broker go on");
    }
}

impl Drop for Container {
    /// Kills it at once; its folder stays.
    fn drop(&mut self) {
        if let Some(container) = self.container.take()
            && let Err(error) = wait(container.rm())
        {
            eprintln!("a container stays until its leash is let go: {error}");
        }
        drop(self.leash.stdin.take());
        // A leash that has ended already has done its work.
        let _ = self.leash.wait();
    }
}

fn shell(script: &str) -> ContainerRequest<GenericImage> {
    let (name, tag) = IMAGE;
    GenericImage::new(name, tag).with_entrypoint("sh").with_cmd(["-c", script])
}

fn text(path: &Path) -> String {
    path.to_str().expect("temporary folders have plain names").to_owned()
}

/// Waits for the engine, also where a runtime is at work already.
fn wait<T: Send>(what: impl Future<Output = T> + Send) -> T {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().expect("a runtime can be made")
    });
    std::thread::scope(|scope| {
        scope.spawn(|| runtime.block_on(what)).join().expect("the engine's client does not panic")
    })
}
