//! Answers that wait: what a decision gives back is back with its registrars before its caller hears of
//! it, as where all is in one process. So whoever asks next, anywhere, finds the key free, the parent
//! without that child.
//!
//! Which decisions give something back, they say themselves; that it is back, the answer to the release
//! says, on the same partition and later. Only so many releases are waited for, and only so long: what
//! is forgotten keeps nobody waiting, whoever asks next may find the key not free yet.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use tallybook_events::command::CommandBody;
use tallybook_events::decision::Decision;
use tallybook_events::ids::CommandId;
use uuid::Uuid;

use super::waiters::{Waiter, answer_all};
use crate::inbox::{Answer, MAX_IN_FLIGHT};

/// Most releases on their way back that are kept in mind: as many as there are answers to wait for them.
/// Of more the oldest are forgotten.
const MAX_RELEASES: usize = MAX_IN_FLIGHT;
/// How long a release is kept in mind: longer than callers wait. The journal is followed as long as
/// there is one, so one that is never answered must not stay.
const LONGEST: Duration = Duration::from_mins(1);

/// What is on its way back, and who waits for it.
#[derive(Default)]
pub(super) struct Returning {
    releases: Releases,
    parked: Vec<Parked>,
}

/// Releases that follow from decisions that were seen, and whose answers were not.
#[derive(Default)]
struct Releases {
    /// Each with its number.
    numbers: HashMap<CommandId, u64>,
    /// By number: when each was seen.
    seen: BTreeMap<u64, (CommandId, Instant)>,
    last: u64,
}

/// An answer that waits for releases.
struct Parked {
    releases: Vec<CommandId>,
    waiters: Vec<Waiter>,
    answer: Answer,
}

impl Releases {
    fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    fn has(&self, id: CommandId) -> bool {
        self.numbers.contains_key(&id)
    }

    /// Tells whether it had to forget one for it.
    fn add(&mut self, id: CommandId, now: Instant) -> bool {
        if self.has(id) {
            return false;
        }
        self.last += 1;
        self.numbers.insert(id, self.last);
        self.seen.insert(self.last, (id, now));
        self.numbers.len() > MAX_RELEASES && self.forget_oldest()
    }

    /// Tells whether it was there.
    fn remove(&mut self, id: CommandId) -> bool {
        let number = self.numbers.remove(&id);
        number.is_some_and(|number| self.seen.remove(&number).is_some())
    }

    fn forget_oldest(&mut self) -> bool {
        let Some((_, (id, _))) = self.seen.pop_first() else { return false };
        self.numbers.remove(&id).is_some()
    }

    /// Forgets those that are not answered for too long; tells whether there were any.
    fn forget_late(&mut self, now: Instant) -> bool {
        let before = self.seen.len();
        let late =
            |(_, seen): &(CommandId, Instant)| now.saturating_duration_since(*seen) > LONGEST;
        while self.seen.first_key_value().is_some_and(|(_, oldest)| late(oldest)) {
            self.forget_oldest();
        }
        self.seen.len() < before
    }
}

impl Returning {
    /// Tells whether nothing is on its way back: then nobody waits for it either.
    pub(super) fn is_empty(&self) -> bool {
        self.releases.is_empty() && self.parked.is_empty()
    }

    /// Takes note of a decision that counts: what it gives back, or that something is back.
    pub(super) fn saw(&mut self, decision: &Decision, now: Instant) {
        let mut fewer = false;
        for release in &decision.gives_back {
            fewer |= self.releases.add(*release, now);
        }
        if let CommandBody::SettleRelease(_) = decision.command.body {
            let cause = decision.command.context.causation_id.as_ref();
            let id = cause.and_then(|cause| Uuid::parse_str(cause.as_str()).ok());
            fewer |= id.is_some_and(|id| self.releases.remove(CommandId(id)));
        }
        if fewer {
            self.let_go();
        }
    }

    /// Gives the answers that nothing holds any more.
    fn let_go(&mut self) {
        for parked in std::mem::take(&mut self.parked) {
            self.answer(parked.releases, parked.waiters, parked.answer);
        }
    }

    /// Gives an answer, at once or when all that its decision gives back is back.
    pub(super) fn answer(
        &mut self,
        mut releases: Vec<CommandId>,
        waiters: Vec<Waiter>,
        answer: Answer,
    ) {
        releases.retain(|release| self.releases.has(*release));
        if releases.is_empty() {
            answer_all(waiters, &answer);
        } else if !waiters.is_empty() {
            self.parked.push(Parked { releases, waiters, answer });
        }
    }

    /// Lets those go who have waited long enough, and forgets what was not answered for long.
    pub(super) fn forget_late(&mut self, now: Instant) {
        for parked in &mut self.parked {
            parked.waiters.retain(|waiter| waiter.until > now);
        }
        self.parked.retain(|parked| !parked.waiters.is_empty());
        if self.releases.forget_late(now) {
            self.let_go();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use bytes::Bytes;
    use tallybook_events::codec::{self, Record};
    use tallybook_events::command::{Claim, EdgeClaim};
    use tallybook_events::ids::CustomerId;
    use tokio::sync::oneshot;

    use super::*;
    use crate::inbox::kafka::waiters::Waiters;
    use crate::inbox::reply::{Answers, open_call};

    fn id(number: usize) -> CommandId {
        CommandId(Uuid::from_u128(number as u128))
    }

    fn decision() -> Decision {
        let golden = include_bytes!("../../../events/golden/DecisionRecord.v1.gives_back.json");
        let Ok(Record::Decision(decision)) = codec::read(golden) else { panic!("no decision") };
        *decision
    }

    fn gives_back(releases: impl IntoIterator<Item = usize>) -> Decision {
        Decision { gives_back: releases.into_iter().map(id).collect(), ..decision() }
    }

    fn answers(release: usize) -> Decision {
        let mut decision = gives_back([]);
        let customer = CustomerId(Uuid::nil());
        let edge = EdgeClaim { parent: customer, child: customer, held: id(0) };
        decision.command.body = CommandBody::SettleRelease(Claim::Edge(edge));
        decision.command.context.causation_id = Some(id(release).to_string().parse().unwrap());
        decision
    }

    /// An answer that waits for releases, and where it comes out.
    fn ask(
        returning: &mut Returning,
        releases: &[usize],
        until: Instant,
    ) -> oneshot::Receiver<Answers> {
        let Decision { command, outcome, decided_at, .. } = decision();
        let waiters = Waiters::default();
        let (replies, answers) = open_call(1, &Arc::new(AtomicUsize::new(0)));
        waiters.add(vec![command.clone()], replies, until);
        let answer = Answer {
            command_id: command.command_id,
            position: None,
            decided_at,
            outcome,
            events: Bytes::from_static(b"[]"),
            repeated: false,
            preview: None,
        };
        let releases = releases.iter().copied().map(id).collect();
        returning.answer(releases, waiters.take(&command), answer);
        answers
    }

    fn is_answered(answers: &mut oneshot::Receiver<Answers>) -> bool {
        answers.try_recv().is_ok_and(|answers| answers[0].is_ok())
    }

    #[test]
    fn an_answer_waits_until_all_that_it_gives_back_is_back() {
        let (mut returning, now) = (Returning::default(), Instant::now());
        returning.saw(&gives_back([1, 2]), now);
        let mut asked = ask(&mut returning, &[1, 2], now + LONGEST);
        returning.saw(&answers(1), now);
        assert!(!is_answered(&mut asked));
        returning.saw(&answers(2), now);
        assert!(is_answered(&mut asked));
        assert!(returning.is_empty());
        assert!(is_answered(&mut ask(&mut returning, &[1, 2], now)), "it is back already");
    }

    #[test]
    fn of_too_many_releases_the_oldest_keeps_nobody_waiting() {
        let (mut returning, now) = (Returning::default(), Instant::now());
        returning.saw(&gives_back(1..=MAX_RELEASES), now);
        let (mut first, mut second) =
            (ask(&mut returning, &[1], now + LONGEST), ask(&mut returning, &[2], now + LONGEST));
        returning.saw(&gives_back([1]), now);
        assert!(!is_answered(&mut first), "it was in mind already");
        returning.saw(&gives_back([MAX_RELEASES + 1]), now);
        assert!(is_answered(&mut first) && !is_answered(&mut second));
        assert_eq!(returning.releases.numbers.len(), MAX_RELEASES);
        assert_eq!(returning.releases.seen.len(), MAX_RELEASES);
    }

    #[test]
    fn a_release_that_is_never_answered_is_forgotten() {
        let (mut returning, now) = (Returning::default(), Instant::now());
        returning.saw(&gives_back([1]), now);
        returning.saw(&gives_back([2]), now + LONGEST);
        let mut asked = ask(&mut returning, &[1], now + 3 * LONGEST);
        returning.forget_late(now + LONGEST);
        assert!(!is_answered(&mut asked));
        returning.forget_late(now + LONGEST + Duration::from_millis(1));
        assert!(is_answered(&mut asked) && !returning.is_empty());
        returning.forget_late(now + 3 * LONGEST);
        assert!(returning.is_empty());
    }

    #[test]
    fn whoever_has_waited_long_enough_is_let_go() {
        let (mut returning, now) = (Returning::default(), Instant::now());
        returning.saw(&gives_back([1]), now);
        let mut asked = ask(&mut returning, &[1], now + Duration::from_secs(1));
        returning.forget_late(now + Duration::from_secs(1));
        assert!(!is_answered(&mut asked) && returning.parked.is_empty());
    }
}
