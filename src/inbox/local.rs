//! The inbox of one process: a bounded queue per worker, straight to the owners of partitions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tallybook_events::command::Command;
use tallybook_events::decision::SourceRef;
use tallybook_events::ids::Partition;
use tokio::sync::oneshot;

use super::reply::{Answers, open_call};
use super::{Answer, Inbox, InboxError, Incoming, Lanes, MAX_IN_FLIGHT};

/// The inbox of one process. Clones share it.
#[derive(Debug, Clone)]
pub struct LocalInbox {
    lanes: Arc<dyn Lanes>,
    in_flight: Arc<AtomicUsize>,
    stopping: Arc<AtomicBool>,
}

impl LocalInbox {
    /// Makes an inbox in front of the owners of partitions.
    pub fn new(lanes: Arc<dyn Lanes>) -> Self {
        Self { lanes, in_flight: Arc::default(), stopping: Arc::default() }
    }

    /// Takes no more commands; what was accepted is still answered.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Gives the number of commands that are not answered yet.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    fn refuse(&self, count: usize) -> Option<InboxError> {
        if self.stopping.load(Ordering::Acquire) {
            return Some(InboxError::Stopping);
        }
        (self.in_flight.load(Ordering::Relaxed) + count > MAX_IN_FLIGHT).then_some(InboxError::Full)
    }

    /// Hands commands over without waiting for their answers.
    ///
    /// # Errors
    /// [`InboxError::Full`] and [`InboxError::Stopping`]: none was taken.
    pub fn send(&self, commands: Vec<Command>) -> Result<oneshot::Receiver<Answers>, InboxError> {
        if let Some(error) = self.refuse(commands.len()) {
            return Err(error);
        }
        let (replies, answers) = open_call(commands.len(), &self.in_flight);
        self.hand_over(commands, replies);
        Ok(answers)
    }

    /// Hands the commands to their lanes, one batch for each.
    fn hand_over(&self, commands: Vec<Command>, replies: Vec<super::ReplyTo>) {
        let partitions = self.lanes.partitions();
        let mut batches: Vec<(Partition, Vec<Incoming>)> = Vec::new();
        for (command, reply) in commands.into_iter().zip(replies) {
            let partition = Partition::of(command.home(), partitions);
            let json = Bytes::from(serde_json::to_vec(&command).expect("a command is JSON"));
            let command = Box::new(command);
            let incoming = Incoming { command, json, source: SourceRef::Local, reply: Some(reply) };
            match batches.iter_mut().find(|(of, _)| *of == partition) {
                Some((_, batch)) => batch.push(incoming),
                None => batches.push((partition, vec![incoming])),
            }
        }
        for (partition, batch) in batches {
            // A lane that is gone drops the batch: its callers hear that the outcome is unknown.
            self.lanes.push(partition, batch);
        }
    }
}

#[async_trait]
impl Inbox for LocalInbox {
    async fn submit(
        &self,
        commands: Vec<Command>,
        timeout: Duration,
    ) -> Vec<Result<Answer, InboxError>> {
        let count = commands.len();
        if count == 0 {
            return Vec::new();
        }
        let answers = match self.send(commands) {
            Ok(answers) => answers,
            Err(error) => return vec![Err(error); count],
        };
        match tokio::time::timeout(timeout, answers).await {
            Ok(Ok(answers)) => answers,
            Ok(Err(_)) | Err(_) => vec![Err(InboxError::Unknown); count],
        }
    }
}
