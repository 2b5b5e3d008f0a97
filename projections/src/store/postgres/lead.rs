//! Who leads, where several fold into one database. The leader holds a lock of its session; the others
//! stand by. A leader that holds it but does not fold (it is stopped, or cut off) is not waited for longer
//! than [`PATIENCE`]: then the compare-and-set of positions decides who folds.

use std::time::{Duration, Instant};

use deadpool_postgres::ClientWrapper;

use super::database::PostgresError;
use super::place::PostgresPlace;
use crate::store::Batch;

/// Second number of the lock of whoever leads.
const LEAD_LOCK: i32 = -2;
/// How long a leader may let stand what is to be folded.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is known of who leads.
#[derive(Debug)]
pub(super) struct Lead {
    held: bool,
    /// Where rows stood when somebody else led, and since when.
    standing: Option<(Vec<(u32, u64)>, Instant)>,
    now: Instant,
}

impl Lead {
    pub(super) const fn new(now: Instant) -> Self {
        Self { held: false, standing: None, now }
    }

    /// The session is gone, and its lock with it.
    pub(super) const fn lost(&mut self) {
        self.held = false;
    }

    /// Tells whether a batch may be folded here: by whoever leads, or when the leader does not.
    pub(super) async fn may_fold(
        &mut self,
        client: &ClientWrapper,
        place: &PostgresPlace,
        batch: &Batch<'_>,
    ) -> Result<bool, PostgresError> {
        if !self.held {
            let sql = "SELECT pg_try_advisory_lock($1, $2)";
            let statement = client.prepare_cached(sql).await?;
            let row = client.query_one(&statement, &[&place.lock(), &LEAD_LOCK]).await?;
            self.held = row.try_get(0)?;
        }
        self.now = Instant::now();
        Ok(self.decide(batch))
    }

    fn decide(&mut self, batch: &Batch<'_>) -> bool {
        if self.held {
            self.standing = None;
            return true;
        }
        let stand: Vec<(u32, u64)> =
            batch.parts.iter().map(|part| (part.partition.0, part.from.offset)).collect();
        match &self.standing {
            // Some part has not moved: the same position of one partition is enough.
            Some((before, since)) if before.iter().any(|at| stand.contains(at)) => {
                self.now.saturating_duration_since(*since) >= PATIENCE
            }
            _ => {
                self.standing = Some((stand, self.now));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Part;
    use tallybook_events::chain::Checkpoint;
    use tallybook_events::ids::Partition;

    fn batch(offset: u64) -> Batch<'static> {
        let from = Checkpoint { offset, ..Checkpoint::START };
        let (facts, commands) = (Vec::new(), Vec::new());
        Batch { parts: vec![Part { partition: Partition(0), from, to: from, facts, commands }] }
    }

    #[test]
    fn whoever_stands_by_takes_over_only_from_a_leader_that_does_not_fold() {
        let began = Instant::now();
        let mut lead = Lead::new(began);
        let mut after = |seconds, offset| {
            lead.now = began + Duration::from_secs(seconds);
            lead.decide(&batch(offset))
        };
        assert!(!after(0, 1));
        assert!(!after(4, 1));
        assert!(!after(6, 2), "the leader has folded");
        assert!(!after(10, 2));
        assert!(after(11, 2), "it has not, for five seconds");
        assert!(!after(12, 3), "what comes next is the leader's again");
        lead.held = true;
        lead.now = began;
        assert!(lead.decide(&batch(3)));
    }
}
