//! Asking brokers, and hearing why they do not answer: librdkafka tells the reason of a failed
//! connection beside the answer, not in it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;

use super::{ASK, Kafka};

/// How long to listen for the reason, once there was no answer.
const LISTEN: Duration = Duration::from_millis(50);
/// How often.
const LISTENINGS: usize = 4;

/// Why a Kafka cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KafkaFault {
    /// No broker answers, or none lets us in.
    #[error("the Kafka at {bootstrap} does not answer{}", Reason(reason.as_deref()))]
    Down {
        /// Where it is.
        bootstrap: String,
        /// What librdkafka says of the connection.
        reason: Option<String>,
        /// The cause.
        #[source]
        source: Box<KafkaError>,
    },
    /// librdkafka has no such setting, or does not take the value.
    #[error("librdkafka does not take the setting `{name}`{}", Reason(reason.as_deref()))]
    Setting {
        /// The setting.
        name: String,
        /// What librdkafka says. None where the value is a secret.
        reason: Option<String>,
    },
}

struct Reason<'a>(Option<&'a str>);

impl fmt::Display for Reason<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |reason| write!(formatter, ": {reason}"))
    }
}

/// Keeps what librdkafka says of connections.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard(Arc<Mutex<Option<(RDKafkaErrorCode, String)>>>);

impl ClientContext for Heard {
    fn error(&self, error: KafkaError, reason: &str) {
        let KafkaError::Global(code) = error else { return };
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // That nobody is let in says more than that all brokers are away, which follows from it.
        let known = heard.as_ref().map(|(code, _)| *code);
        if known != Some(RDKafkaErrorCode::Authentication)
            && (known.is_none() || code != RDKafkaErrorCode::AllBrokersDown)
        {
            *heard = Some((code, reason.to_owned()));
        }
    }
}

impl ConsumerContext for Heard {}

/// Asks brokers.
pub(super) struct Asker<'a> {
    kafka: &'a Kafka,
    heard: Heard,
    pub(super) consumer: BaseConsumer<Heard>,
}

impl<'a> Asker<'a> {
    /// Makes a client; nobody is asked yet.
    pub(super) fn open(kafka: &'a Kafka) -> Result<Self, KafkaFault> {
        let heard = Heard::default();
        let made = kafka
            .reader()
            // Little is read here.
            .set("queued.min.messages", "1")
            .set("fetch.message.max.bytes", "1048576")
            .create_with_context(heard.clone());
        let consumer = made.map_err(|error| Self::not_made(kafka, error))?;
        Ok(Self { kafka, heard, consumer })
    }

    fn not_made(kafka: &Kafka, error: KafkaError) -> KafkaFault {
        if let KafkaError::ClientConfig(_, reason, name, _) = error {
            let secret = ["password", "secret", "key", "jaas", "oauth"];
            let told = !secret.iter().any(|word| name.contains(word));
            return KafkaFault::Setting { name, reason: told.then_some(reason) };
        }
        KafkaFault::Down {
            bootstrap: kafka.bootstrap.clone(),
            reason: None,
            source: Box::new(error),
        }
    }

    /// Asks for brokers and topics. Blocks.
    pub(super) fn metadata(&self, topic: Option<&str>) -> Result<Metadata, KafkaFault> {
        self.consumer.fetch_metadata(topic, ASK).map_err(|error| self.down(error))
    }

    /// Says that there was no answer, and not more.
    pub(super) fn failed(&self, source: KafkaError) -> KafkaFault {
        KafkaFault::Down {
            bootstrap: self.kafka.bootstrap.clone(),
            reason: None,
            source: Box::new(source),
        }
    }

    /// Says why there was no answer.
    pub(super) fn down(&self, source: KafkaError) -> KafkaFault {
        for _ in 0..LISTENINGS {
            // Nothing is assigned: only what is said of connections can come.
            drop(self.consumer.poll(LISTEN));
        }
        let heard = self.heard.0.lock().unwrap_or_else(PoisonError::into_inner);
        let reason = heard.as_ref().map(|(_, reason)| short(reason));
        KafkaFault::Down {
            bootstrap: self.kafka.bootstrap.clone(),
            reason,
            source: Box::new(source),
        }
    }
}

/// Leaves out how long it took and in what state it was.
fn short(reason: &str) -> String {
    reason.split(" (after ").next().unwrap_or(reason).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_librdkafka_does_not_take_are_named_and_secrets_are_not_shown() {
        let fault = |name: &str, value: &str| {
            let extra = vec![(name.to_owned(), value.to_owned())];
            let kafka = Kafka { extra, ..Kafka::at("127.0.0.1:1") };
            Asker::open(&kafka).err().map(|fault| fault.to_string()).unwrap_or_default()
        };
        let unknown = fault("no.such", "1");
        assert!(
            unknown.starts_with("librdkafka does not take the setting `no.such`: "),
            "{unknown}"
        );
        let wrong = fault("socket.timeout.ms", "soon");
        assert!(wrong.contains("`socket.timeout.ms`: "), "{wrong}");
        assert_eq!(fault("acks", "all"), "");
    }

    #[test]
    fn whom_nobody_lets_in_hears_of_that() {
        let heard = Heard::default();
        let global = KafkaError::Global;
        heard.error(global(RDKafkaErrorCode::BrokerTransportFailure), "a");
        heard.error(global(RDKafkaErrorCode::Authentication), "wrong (after 3ms in state X)");
        heard.error(global(RDKafkaErrorCode::AllBrokersDown), "all");
        let said = heard.0.lock().unwrap().clone().unwrap().1;
        assert_eq!(short(&said), "wrong");
    }
}
