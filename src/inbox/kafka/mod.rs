//! The inbox on Apache Kafka: commands lie in a topic, their answers in the journal.
//!
//! - `sending`: a producer that is heard: what was handed over is kept, or nobody can tell.
//! - `feed`: the topic as the owners of partitions see it; `member`: the thread that reads it, a member
//!   of the `group` that shares it; `letters`: what lies in it.
//! - `entry`: the way in of a program that does not wait for decisions.
//! - `answers`: the gateway's side: follows the journal and gives each decision to who waits for it.

pub use answers::KafkaInbox;
pub use entry::Entry;
pub use feed::KafkaFeed;
pub use member::{Joined, Member};

mod sending;
mod feed;
mod member;
mod group;
mod letters;
mod answers;
mod waiters;
mod entry;
mod returning;
