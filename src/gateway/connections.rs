//! What happens on the connections there are: how many, which are idle and for how long, and which have
//! to go when others want in.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use metrics::{counter, gauge};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::server::ServerLimits;

/// How long a connection that was asked to close may take, when nothing is being answered on it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
/// Most connections that are told to go at once. Looking for them costs a look at all.
const SHED_AT_ONCE: usize = 64;
/// How long a connection must have been idle before it may be told to go: who has just connected is
/// about to ask.
const SPARED: Duration = Duration::from_millis(200);
/// Fewest connections that are remembered before those that have ended are forgotten.
const FORGET_FROM: usize = 1_024;

/// Connections that are open.
const CONNECTIONS: &str = "tallybook_http_connections";
/// Connections that were told to go because others wanted in.
const SHED: &str = "tallybook_http_connections_shed_total";

/// What happens on one connection.
#[derive(Debug)]
pub(super) struct Activity {
    /// Requests that have begun.
    begun: AtomicU64,
    /// Requests that are not answered yet.
    open: AtomicUsize,
    /// When it began, or was answered last: milliseconds since the listener began.
    idle_since: AtomicU64,
    listener_began: Instant,
    told_to_go: AtomicBool,
    go: Notify,
}

impl Activity {
    fn new(listener_began: Instant) -> Self {
        let activity = Self {
            begun: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            idle_since: AtomicU64::new(0),
            listener_began,
            told_to_go: AtomicBool::new(false),
            go: Notify::new(),
        };
        activity.idle_from_now();
        activity
    }

    fn idle_from_now(&self) {
        self.idle_since.store(millis(self.listener_began.elapsed()), Ordering::Relaxed);
    }

    fn is_idle(&self) -> bool {
        self.open.load(Ordering::Relaxed) == 0
    }

    fn was_used(&self) -> bool {
        self.begun.load(Ordering::Relaxed) > 0
    }

    /// Waits until it is told to go.
    pub(super) async fn told_to_go(&self) {
        self.go.notified().await;
    }
}

/// One request on a connection, until its answer is there or its caller has gone.
pub(super) struct OpenRequest(Arc<Activity>);

impl OpenRequest {
    /// Begins a request.
    pub(super) fn begin(activity: &Arc<Activity>) -> Self {
        activity.begun.fetch_add(1, Ordering::Relaxed);
        activity.open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(activity))
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.idle_from_now();
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All connections, as the listener knows them.
#[derive(Debug)]
pub(super) struct Connections {
    began: Instant,
    known: Vec<Arc<Activity>>,
    forget_at: usize,
}

impl Connections {
    /// Begins without any.
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), known: Vec::new(), forget_at: FORGET_FROM }
    }

    /// Takes note of a new one. Nobody else keeps what it gives, beyond the connection's end.
    pub(super) fn begin(&mut self) -> Arc<Activity> {
        if self.known.len() >= self.forget_at {
            self.forget_ended();
            self.forget_at = FORGET_FROM.max(2 * self.known.len());
        }
        let activity = Arc::new(Activity::new(self.began));
        self.known.push(Arc::clone(&activity));
        activity
    }

    fn forget_ended(&mut self) {
        self.known.retain(|activity| Arc::strong_count(activity) > 1);
    }

    /// Tells idle connections to go: first those on which nothing was ever asked, then the others; among
    /// these the ones that are idle for longest. A few, and none twice.
    pub(super) fn shed(&mut self) {
        if let Some(moment) = self.began.elapsed().checked_sub(SPARED) {
            self.shed_idle_before(millis(moment));
        }
    }

    fn shed_idle_before(&mut self, moment: u64) {
        self.forget_ended();
        let idle = self
            .known
            .iter()
            .filter(|activity| activity.is_idle() && !activity.told_to_go.load(Ordering::Relaxed));
        let mut idle: Vec<(Reverse<bool>, Reverse<u64>, &Arc<Activity>)> = idle
            .map(|activity| {
                let since = activity.idle_since.load(Ordering::Relaxed);
                (Reverse(activity.was_used()), Reverse(since), activity)
            })
            .filter(|(_, Reverse(since), _)| *since <= moment)
            .collect();
        let key = |(used, since, _): &(Reverse<bool>, Reverse<u64>, _)| Reverse((*used, *since));
        if idle.len() > SHED_AT_ONCE {
            idle.select_nth_unstable_by_key(SHED_AT_ONCE, key);
            idle.truncate(SHED_AT_ONCE);
        }
        for (_, _, activity) in &idle {
            activity.told_to_go.store(true, Ordering::Relaxed);
            activity.go.notify_one();
        }
        counter!(SHED).increment(u64::try_from(idle.len()).unwrap_or(u64::MAX));
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// What is to become of a connection that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// It is in use.
    Busy,
    /// Nothing has come for long: let it end what it does and close.
    AskToClose,
    /// It had its time.
    Cut,
}

/// The watch over one connection: when to look at it next, and what was seen then.
#[derive(Debug)]
pub(super) struct Idleness {
    idle_timeout: Duration,
    pub(super) next_look: Instant,
    seen: u64,
    closing: bool,
}

impl Idleness {
    /// Begins to watch.
    pub(super) fn new(limits: ServerLimits) -> Self {
        let next_look = Instant::now() + limits.head_timeout;
        Self { idle_timeout: limits.idle_timeout, next_look, seen: 0, closing: false }
    }

    /// The connection was asked to close.
    pub(super) fn close(&mut self) {
        self.closing = true;
        self.next_look = Instant::now() + CLOSE_TIMEOUT;
    }

    /// Looks, at `next_look`.
    pub(super) fn look(&mut self, activity: &Activity) -> Look {
        let begun = activity.begun.load(Ordering::Relaxed);
        let answering = !activity.is_idle();
        if begun == 0 || (self.closing && !answering) {
            return Look::Cut;
        }
        if !answering && begun == self.seen {
            self.close();
            return Look::AskToClose;
        }
        self.seen = begun;
        let until = if self.closing { CLOSE_TIMEOUT } else { self.idle_timeout };
        self.next_look = Instant::now() + until;
        Look::Busy
    }

    /// Says what becomes of a connection that was told to go. What is asked on it by now is answered.
    pub(super) fn go(&mut self, activity: &Activity) -> Look {
        if !activity.was_used() {
            return Look::Cut;
        }
        self.close();
        Look::AskToClose
    }
}

/// Counts a connection as open until dropped.
pub(super) struct OpenConnection;

impl OpenConnection {
    /// Begins to count.
    pub(super) fn begin() -> Self {
        gauge!(CONNECTIONS).increment(1);
        Self
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        gauge!(CONNECTIONS).decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(activities: &[Arc<Activity>]) -> Vec<usize> {
        let told = |activity: &Activity| activity.told_to_go.load(Ordering::Relaxed);
        (0..activities.len()).filter(|at| told(&activities[*at])).collect()
    }

    #[tokio::test]
    async fn the_longest_idle_go_first_and_before_them_those_that_were_never_used() {
        let mut connections = Connections::new();
        let activities: Vec<_> = (0..SHED_AT_ONCE + 4).map(|_| connections.begin()).collect();
        // Two are in use, one was; the others never were. The last one is idle for longest.
        let open = [OpenRequest::begin(&activities[0]), OpenRequest::begin(&activities[2])];
        drop(OpenRequest::begin(&activities[1]));
        for (since, activity) in (0..).zip(activities.iter().rev()) {
            activity.idle_since.store(since, Ordering::Relaxed);
        }
        connections.shed_idle_before(u64::MAX);
        let never_used: Vec<usize> = (4..SHED_AT_ONCE + 4).collect();
        assert_eq!(told(&activities), never_used);
        let [first, _second] = open;
        drop(first);
        connections.shed_idle_before(u64::MAX);
        let all_but_the_busy = (0..activities.len()).filter(|at| *at != 2).collect::<Vec<_>>();
        assert_eq!(told(&activities), all_but_the_busy);
        let was_told = tokio::time::timeout(CLOSE_TIMEOUT, activities[4].told_to_go()).await;
        assert!(was_told.is_ok());
    }

    #[test]
    fn who_has_just_come_is_spared() {
        let mut connections = Connections::new();
        let activities = [connections.begin()];
        activities[0].idle_since.store(0, Ordering::Relaxed);
        connections.shed_idle_before(0);
        assert_eq!(told(&activities), [0]);
        let activities = [connections.begin()];
        activities[0].idle_since.store(1, Ordering::Relaxed);
        connections.shed_idle_before(0);
        assert_eq!(told(&activities), Vec::<usize>::new());
    }

    #[test]
    fn those_that_have_ended_are_forgotten() {
        let mut connections = Connections::new();
        let kept: Vec<_> = (0..10).map(|_| connections.begin()).collect();
        for _ in 0..10 * FORGET_FROM {
            drop(connections.begin());
            assert!(connections.known.len() <= FORGET_FROM);
        }
        connections.shed_idle_before(0);
        assert_eq!(connections.known.len(), kept.len());
    }
}
