//! How an owner answers what counts, and sends what follows from it.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tallybook_events::chain::Offset;
use tallybook_events::command::{Command, CommandBody};
use tallybook_events::decision::{Outcome, SourceRef};
use tallybook_events::ids::Position;

use super::owner::Owner;
use super::state::is_first;
use crate::inbox::{Answer, Incoming, ReplyTo};

/// How long a held command waits before its claim is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// How many decisions count, by outcome.
pub(super) struct Counters {
    accepted: metrics::Counter,
    rejected: metrics::Counter,
    deferred: metrics::Counter,
    forwarded: metrics::Counter,
    repeated: metrics::Counter,
    previewed: metrics::Counter,
}

impl Counters {
    /// Finds the counters of the process; its recorder must be there by now.
    pub(super) fn find() -> Self {
        let of = |outcome| metrics::counter!("tallybook_decisions_total", "outcome" => outcome);
        Self {
            accepted: of("accepted"),
            rejected: of("rejected"),
            deferred: of("deferred"),
            forwarded: of("forwarded"),
            repeated: of("repeated"),
            previewed: of("previewed"),
        }
    }

    fn count(&self, outcome: &Outcome) {
        match outcome {
            Outcome::Accepted(_) => self.accepted.increment(1),
            Outcome::Rejected(_) | Outcome::DeadLettered { .. } => self.rejected.increment(1),
            Outcome::Deferred(_) => self.deferred.increment(1),
            Outcome::Forwarded { .. } => self.forwarded.increment(1),
            Outcome::Repeated { .. } => self.repeated.increment(1),
            Outcome::Previewed(_) => self.previewed.increment(1),
        }
    }
}

impl Owner {
    /// The oldest record decided ahead counts: remember it, answer, send what follows from it.
    pub(super) fn counted(&mut self, offset: Offset) {
        let Some(ahead) = self.ahead.pop_front() else { return };
        for key in ahead.key.iter().chain(&ahead.idempotency) {
            self.ahead_keys.remove(key);
        }
        self.counters.count(&ahead.outcome);
        self.shared.counted.fetch_add(1, Ordering::Release);
        self.state.take_in_source(ahead.source);
        let Some(command) = ahead.command else { return };
        if is_first(&ahead.outcome) {
            let (outcome, decided_at) = (&ahead.outcome, ahead.decided_at);
            self.state.remember(&command, outcome, &ahead.idempotency, offset, decided_at);
        }
        let mut reply = ahead.reply;
        if let (SourceRef::Local, Outcome::Forwarded { to: Some(to), .. }) =
            (ahead.source, &ahead.outcome)
        {
            let (command, json, reply) = (command.clone(), ahead.json, reply.take());
            self.forward(Incoming { command, json, source: SourceRef::Local, reply }, *to);
        }
        let answer = Answer {
            command_id: command.command_id,
            position: Some(Position { partition: self.partition, seq: ahead.seq }),
            decided_at: ahead.decided_at,
            outcome: ahead.outcome,
            events: ahead.events,
            repeated: false,
            preview: None,
        };
        self.answer(&command, answer, reply, ahead.repeats);
        self.send(ahead.follow_ups);
        if matches!(command.body, CommandBody::SettleRelease(_)) {
            self.unpark(command.home());
        }
    }

    /// Gives an answer to all who wait for it.
    pub(super) fn answer(
        &mut self,
        command: &Command,
        answer: Answer,
        reply: Option<ReplyTo>,
        repeats: Vec<ReplyTo>,
    ) {
        if let Some(held) = answer.outcome.settles(&command.body) {
            for reply in
                self.held_replies.remove(&(command.scope.clone(), held)).unwrap_or_default()
            {
                self.deliver(command, reply, Answer { command_id: held, ..answer.clone() });
            }
        }
        match &answer.outcome {
            Outcome::Deferred(_) => {
                let waiting: Vec<_> = reply.into_iter().chain(repeats).collect();
                if !waiting.is_empty() {
                    let key = (command.scope.clone(), command.command_id);
                    self.held_replies.entry(key).or_default().extend(waiting);
                }
            }
            Outcome::Forwarded { to, .. } => {
                // The reply went along; repeats that came in between go the same way.
                for reply in repeats {
                    let (command, json) = (command.clone(), Bytes::new());
                    let incoming = Incoming {
                        command: Box::new(command),
                        json,
                        source: SourceRef::Local,
                        reply: Some(reply),
                    };
                    if let Some(to) = to {
                        self.forward(incoming, *to);
                    }
                }
            }
            Outcome::Accepted(_)
            | Outcome::Rejected(_)
            | Outcome::DeadLettered { .. }
            | Outcome::Repeated { .. }
            | Outcome::Previewed(_) => {
                for reply in repeats {
                    self.deliver(command, reply, Answer { repeated: true, ..answer.clone() });
                }
                if let Some(reply) = reply {
                    self.deliver(command, reply, answer);
                }
            }
        }
    }

    /// Asks again for what waits for a registrar's answer.
    pub(super) fn ask_again(&mut self) {
        if self.asked_at.elapsed() >= ASK_AGAIN {
            self.asked_at = Instant::now();
            self.unpark_all();
            self.send(self.state.unanswered());
        }
    }

    /// Sends commands of our own to the partitions where they are decided.
    pub(super) fn send(&self, commands: Vec<Command>) {
        if commands.is_empty() {
            return;
        }
        if let Some(feed) = &self.shared.feed {
            let home = |command: Command| (self.shared.partition_of(command.home()), command);
            feed.post(commands.into_iter().map(home).collect());
            return;
        }
        for command in commands {
            let json = Bytes::from(serde_json::to_vec(&command).expect("a command is JSON"));
            let command = Box::new(command);
            self.shared.push(Incoming { command, json, source: SourceRef::Local, reply: None });
        }
    }
}
