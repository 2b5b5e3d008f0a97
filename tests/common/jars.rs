//! Apache's own jars of Kafka, resolved by Maven, and the JVM that runs them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Gives the command of a JVM with the broker's jars.
pub(super) fn java() -> Command {
    let mut command = Command::new("java");
    command
        .args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
        .arg(format!("{}/*", jars().display()));
    command
}

/// Resolves the broker's jars, once for all tests.
fn jars() -> PathBuf {
    static RESOLVING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = RESOLVING.lock().unwrap_or_else(PoisonError::into_inner);
    let pom = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka/pom.xml");
    let jars = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kafka-4.1.0");
    if jars.join("complete").exists() {
        return jars;
    }
    let lacks = "tests of Kafka need a broker: set TALLYBOOK_TEST_KAFKA, or have java and mvn";
    let mut maven = Command::new("mvn");
    maven.args(["-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-f"]);
    maven.arg(pom).arg(format!("-DoutputDirectory={}", jars.display()));
    let output = maven.output().unwrap_or_else(|error| panic!("{lacks} (mvn: {error})"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{lacks} (mvn: {said})");
    fs::write(jars.join("complete"), "").expect("the folder of build results can be written");
    jars
}
