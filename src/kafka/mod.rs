//! How we talk to Apache Kafka: where it is, our topics, the settings of consumers and producers. What
//! the rules ask for (KAFKA.md of the design) is set here and nowhere else.

use std::time::Duration;

use rdkafka::ClientConfig;

pub use asking::KafkaFault;

pub mod topics;
mod asking;
mod birth;

/// Longest wait for one answer of a broker.
pub const ASK: Duration = Duration::from_secs(8);

/// A Kafka and our topics there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kafka {
    /// Addresses of brokers, with commas between them.
    pub bootstrap: String,
    /// What the names of our topics begin with, before the dot.
    pub prefix: String,
    /// Further settings of librdkafka, which beat ours: TLS, SASL.
    pub extra: Vec<(String, String)>,
}

impl Kafka {
    /// Names a Kafka, with the usual names of topics and nothing else set.
    pub fn at(bootstrap: impl Into<String>) -> Self {
        let prefix = "tallybook".to_owned();
        Self { bootstrap: bootstrap.into(), prefix, extra: Vec::new() }
    }

    /// Gives the name of a topic of ours.
    pub fn topic(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    /// Gives the settings of any client.
    pub fn client(&self) -> ClientConfig {
        self.with(&[])
    }

    /// Gives the settings of a consumer that reads from explicit offsets, outside of any group.
    pub fn reader(&self) -> ClientConfig {
        self.with(&[
            // A consumer must name a group, also when it never joins it.
            ("group.id", "tallybook-readers"),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "error"),
            ("check.crcs", "true"),
            ("fetch.wait.max.ms", "10"),
            ("fetch.queue.backoff.ms", "10"),
            ("fetch.message.max.bytes", "8388608"),
            ("queued.min.messages", "100000"),
        ])
    }

    /// Gives the settings of a producer of decisions: pipelined, in order, on every in-sync replica.
    pub fn producer(&self) -> ClientConfig {
        self.with(&[
            ("acks", "all"),
            ("enable.idempotence", "true"),
            ("linger.ms", "0"),
            ("queue.buffering.max.messages", "200000"),
            ("queue.buffering.max.kbytes", "1048576"),
            // As large as a record of the journal may be.
            ("message.max.bytes", "8388608"),
            ("compression.type", "lz4"),
            ("delivery.timeout.ms", "30000"),
        ])
    }

    /// Gives the settings of a consumer that shares the commands with others of its group. `name` is
    /// unique to the process, and the same after its restart.
    pub fn member(&self, name: &str) -> ClientConfig {
        let group = format!("{}.processors", self.prefix);
        self.with(&[
            ("group.id", &group),
            ("group.instance.id", name),
            ("partition.assignment.strategy", "cooperative-sticky"),
            ("session.timeout.ms", "6000"),
            // Others hear by it that a member has left: a command waits no longer.
            ("heartbeat.interval.ms", "150"),
            ("max.poll.interval.ms", "60000"),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "error"),
            ("check.crcs", "true"),
            ("fetch.wait.max.ms", "5"),
            ("fetch.queue.backoff.ms", "10"),
        ])
    }

    /// Gives the settings of a producer that publishes one partition in transactions. Whoever is made
    /// with them later fences those before.
    pub fn publisher(&self, partition: i32) -> ClientConfig {
        let name = format!("{}.publisher.{partition}", self.prefix);
        self.with(&[
            ("transactional.id", &name),
            // Readers of what is committed wait for no longer than this for one who is gone.
            ("transaction.timeout.ms", "10000"),
            ("delivery.timeout.ms", "9000"),
            ("acks", "all"),
            ("enable.idempotence", "true"),
            ("linger.ms", "1"),
            ("queue.buffering.max.messages", "200000"),
            ("queue.buffering.max.kbytes", "1048576"),
            ("message.max.bytes", "8388608"),
            ("compression.type", "lz4"),
        ])
    }

    /// Gives the settings of a consumer that asks where a topic ends, transactions under way included.
    pub fn end_reader(&self) -> ClientConfig {
        let mut config = self.reader();
        config.set("isolation.level", "read_uncommitted");
        config
    }

    /// Gives the settings of a consumer that reads what is committed, up to the end, which it tells.
    pub fn tail_reader(&self) -> ClientConfig {
        let mut config = self.reader();
        config.set("isolation.level", "read_committed").set("enable.partition.eof", "true");
        config
    }

    /// Gives the settings of a member of the group in which publishers share the partitions. `name` is
    /// unique to the process, and the same after its restart.
    pub fn publishers(&self, name: &str) -> ClientConfig {
        let group = format!("{}.publishers", self.prefix);
        self.with(&[
            ("group.id", &group),
            ("group.instance.id", name),
            ("partition.assignment.strategy", "cooperative-sticky"),
            ("session.timeout.ms", "6000"),
            ("heartbeat.interval.ms", "1500"),
            ("max.poll.interval.ms", "60000"),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "error"),
        ])
    }

    fn with(&self, settings: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("client.id", "tallybook")
            // With the defaults a frozen leader is asked for more than a minute.
            .set("socket.timeout.ms", "8000")
            .set("metadata.max.age.ms", "5000")
            .set("allow.auto.create.topics", "false");
        for (name, value) in settings {
            config.set(*name, *value);
        }
        for (name, value) in &self.extra {
            config.set(name, value);
        }
        config
    }
}
