//! What is promised to whoever rebuilds.

use tallybook_events::chain::Checkpoint;
use tallybook_events::customer::Budget;
use tallybook_events::ids::Partition;

use super::{Fixture, by_key, commit, commit_some, customer, digest};
use crate::queries::AsOf;
use crate::store::{Batch, StoreError};
use crate::testing::{Log, created, id, named, used};

pub(crate) async fn a_rebuild_equals_the_live_rows_and_takes_their_place(fixture: impl Fixture) {
    let mut log = Log::new(0);
    log.accept("2026-11-01", id("acme"), 0, &[created("acme"), named("A")]);
    let report = used("r1", "2026-11-02T00:00:00Z", 5, &Budget::default());
    log.accept("2026-11-02", id("acme"), 2, &[report]);
    let mut live = fixture.store();
    commit(&mut *live, &log);
    let before = digest(&mut *live);
    let reads = fixture.reads();

    let mut rebuild = fixture.rebuild();
    commit_some(rebuild.store(), &log, 2);
    let mut asked = Vec::new();
    rebuild
        .switch(&mut |new, stand| {
            asked = stand.to_vec();
            commit(new, &log);
            assert_eq!(digest(new), before);
            Ok(())
        })
        .unwrap();
    assert_eq!(asked, [(Partition(0), log.part(Checkpoint::START, usize::MAX).to)]);
    assert_eq!(digest(&mut *fixture.store()), before);
    let document = customer(&*reads, &by_key("acme"), AsOf::Now, "2026-11-03").await.unwrap();
    assert_eq!(document.version, 3);

    // Whoever folded before the switch must not go on with what is in memory.
    log.accept("2026-11-03", id("acme"), 3, &[named("B")]);
    let next = Batch { parts: vec![log.part(asked[0].1, 1)] };
    assert!(matches!(live.commit(&next), Err(StoreError::Moved)));
    commit(&mut *live, &log);
    let document = customer(&*reads, &by_key("acme"), AsOf::Now, "2026-11-03").await.unwrap();
    assert_eq!((document.version, document.profile.name.as_deref()), (4, Some("B")));
    // And again: nothing is left of the first rebuild.
    let mut again = fixture.rebuild();
    assert_eq!(again.store().checkpoints().unwrap(), []);
}

pub(crate) async fn a_rebuild_that_is_behind_does_not_switch(fixture: impl Fixture) {
    let mut log = Log::new(0);
    log.accept("2026-11-01", id("acme"), 0, &[created("acme"), named("A")]);
    let mut live = fixture.store();
    commit(&mut *live, &log);
    let before = digest(&mut *live);
    let mut rebuild = fixture.rebuild();
    commit_some(rebuild.store(), &log, 1);
    let refused = rebuild.switch(&mut |_, _| Ok(()));
    assert!(matches!(refused, Err(StoreError::Damaged { .. })), "{refused:?}");
    let refused = fixture.rebuild().switch(&mut |_, _| Err(StoreError::Moved));
    assert!(matches!(refused, Err(StoreError::Moved)), "{refused:?}");
    assert_eq!(digest(&mut *live), before);
    log.accept("2026-11-02", id("acme"), 2, &[named("B")]);
    let from = log.part(Checkpoint::START, 2).to;
    live.commit(&Batch { parts: vec![log.part(from, 1)] }).unwrap();
}
