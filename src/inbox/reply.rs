//! Answers on their way back: one waiter for all commands of one call.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::{Answer, InboxError};

/// What a call waits for: an answer to each of its commands, in their order.
pub type Answers = Vec<Result<Answer, InboxError>>;

/// The place where one command's answer is to go. Dropped without an answer, it answers
/// [`InboxError::Unknown`], so that nobody waits for ever.
pub struct ReplyTo {
    call: Arc<Call>,
    index: usize,
    answered: bool,
}

struct Call {
    open: Mutex<Open>,
    in_flight: Arc<AtomicUsize>,
}

struct Open {
    answers: Vec<Option<Result<Answer, InboxError>>>,
    missing: usize,
    waiter: Option<oneshot::Sender<Answers>>,
}

/// Opens a call of `count` commands. `in_flight` counts commands that are not answered yet.
pub fn open_call(
    count: usize,
    in_flight: &Arc<AtomicUsize>,
) -> (Vec<ReplyTo>, oneshot::Receiver<Answers>) {
    let (waiter, answers) = oneshot::channel();
    in_flight.fetch_add(count, Ordering::Relaxed);
    let call = Arc::new(Call {
        open: Mutex::new(Open { answers: vec![None; count], missing: count, waiter: Some(waiter) }),
        in_flight: Arc::clone(in_flight),
    });
    let replies = (0..count)
        .map(|index| ReplyTo { call: Arc::clone(&call), index, answered: false })
        .collect();
    (replies, answers)
}

impl ReplyTo {
    /// Gives the answer.
    pub fn answer(mut self, answer: Result<Answer, InboxError>) {
        self.put(answer);
    }

    fn put(&mut self, answer: Result<Answer, InboxError>) {
        if std::mem::replace(&mut self.answered, true) {
            return;
        }
        self.call.in_flight.fetch_sub(1, Ordering::Relaxed);
        let mut open = self.call.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = open.answers.get_mut(self.index) {
            *place = Some(answer);
        }
        open.missing -= 1;
        if open.missing == 0
            && let Some(waiter) = open.waiter.take()
        {
            let answers = std::mem::take(&mut open.answers);
            let answers = answers
                .into_iter()
                .map(|answer| answer.unwrap_or(Err(InboxError::Unknown)))
                .collect();
            // Nobody waits any more: the call has run into its timeout.
            drop(waiter.send(answers));
        }
    }
}

impl Drop for ReplyTo {
    fn drop(&mut self) {
        self.put(Err(InboxError::Unknown));
    }
}

impl fmt::Debug for ReplyTo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ReplyTo").field("index", &self.index).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_answered_once_all_its_commands_are() {
        let in_flight = Arc::new(AtomicUsize::new(0));
        let (mut replies, mut answers) = open_call(2, &in_flight);
        assert_eq!(in_flight.load(Ordering::Relaxed), 2);
        replies.pop().unwrap().answer(Err(InboxError::Full));
        assert!(answers.try_recv().is_err());
        replies.pop().unwrap().answer(Err(InboxError::Stopping));
        assert_eq!(answers.try_recv().unwrap(), [Err(InboxError::Stopping), Err(InboxError::Full)]);
        assert_eq!(in_flight.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_dropped_reply_is_an_unknown_outcome() {
        let in_flight = Arc::new(AtomicUsize::new(0));
        let (replies, mut answers) = open_call(1, &in_flight);
        drop(replies);
        assert_eq!(answers.try_recv().unwrap(), [Err(InboxError::Unknown)]);
    }
}
