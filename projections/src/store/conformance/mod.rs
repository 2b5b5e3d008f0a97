//! The promises of the store as tests: every adapter runs this list.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tallybook_events::chain::Checkpoint;
use tallybook_events::customer::CustomerDocument;
use tallybook_events::ids::{CustomerRef, Partition};

use super::{Batch, Part, Rebuild, Store};
use crate::digest::ModelsDigest;
use crate::progress::Progress;
use crate::queries::{AsOf, Order, PageRequest, Queries};
use crate::testing::random_world::World;
use crate::testing::{Log, at, id, key, scope};

pub(crate) mod folds;
pub(crate) mod reads;
pub(crate) mod slices;
pub(crate) mod looks_back;
pub(crate) mod commands;
pub(crate) mod entitlements;
pub(crate) mod spends;
pub(crate) mod rebuilds;

/// An adapter, with a database of its own that begins empty. Each call opens it anew.
pub(crate) trait Fixture {
    fn store(&self) -> Box<dyn Store>;
    fn queries(&self, progress: Arc<Progress>) -> Box<dyn Queries>;
    fn rebuild(&self) -> Box<dyn Rebuild>;

    fn reads(&self) -> Box<dyn Queries> {
        self.queries(Arc::new(Progress::new(2)))
    }
}

/// Makes the list of tests for one adapter.
macro_rules! suite {
    ($fixture:expr; $($module:ident::$name:ident),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $name() {
                crate::store::conformance::$module::$name($fixture).await;
            }
        )+
    };
}

/// Every test there is, for one adapter.
macro_rules! conformance {
    ($fixture:expr) => {
        crate::store::conformance::suite! { $fixture;
            folds::a_new_store_stands_nowhere,
            folds::a_batch_moves_rows_and_positions_together,
            folds::a_second_projector_is_refused_and_goes_on_from_where_the_rows_stand,
            folds::two_projectors_may_take_turns,
            folds::a_batch_that_fails_leaves_nothing_behind,
            folds::what_gave_way_in_a_batch_does_not_come_back_in_it,
            folds::the_budget_of_a_period_is_the_last_before_its_end,
            folds::any_split_gives_the_same_rows,
            folds::rows_are_what_a_plain_reckoning_gives,
            reads::a_customer_is_found_by_the_key_that_it_holds_now,
            reads::the_later_of_two_holders_has_the_key,
            reads::customers_are_listed_in_the_order_of_their_birth,
            slices::customers_are_listed_by_their_place,
            slices::conditions_leave_those_that_pass_all_of_them,
            slices::every_version_has_its_authors,
            reads::a_timeline_has_the_recorded_bytes_page_by_page,
            reads::a_ledger_is_read_page_by_page,
            looks_back::a_customer_reads_as_of_any_version_and_time,
            reads::an_unknown_cursor_is_refused,
            spends::a_day_of_spends_is_exact_to_the_report,
            spends::a_part_of_an_hour_is_exact_where_a_window_begins_within_it,
            spends::the_last_spend_is_one_that_cost_something_and_still_counts,
            spends::reports_of_the_last_moments_are_told_for_a_customer_with_a_rate,
            spends::nobody_elses_spends_are_told,
            reads::readers_wait_for_a_position,
            commands::a_command_is_found_with_its_events_or_its_refusal,
            commands::a_held_command_is_what_settled_it,
            commands::a_command_of_another_scope_is_not_found,
            commands::of_an_id_used_on_two_partitions_the_first_counts,
            entitlements::what_no_command_has_set_is_empty,
            entitlements::balances_are_as_of_now,
            entitlements::corrections_and_late_reports_change_the_balance_of_their_window,
            entitlements::a_grant_that_reaches_back_counts_what_was_reported_before,
            entitlements::plans_and_flags_end_when_they_end,
            entitlements::usage_limits_count_what_was_used_in_their_windows,
            entitlements::what_was_known_then_is_told_as_of_then,
            entitlements::balances_are_what_a_plain_reckoning_gives,
            rebuilds::a_rebuild_equals_the_live_rows_and_takes_their_place,
            rebuilds::a_rebuild_that_is_behind_does_not_switch,
        }
    };
}
pub(super) use {conformance, suite};

pub(super) const SOON: Duration = Duration::from_secs(10);

/// Commits all that a log has beyond where the rows stand.
pub(super) fn commit(store: &mut dyn Store, log: &Log) {
    commit_some(store, log, usize::MAX);
}

pub(super) fn commit_some(store: &mut dyn Store, log: &Log, most: usize) {
    let part = log.part(stand(store, log.partition), most);
    store.commit(&Batch { parts: vec![part] }).expect("the part follows");
}

pub(super) fn stand(store: &mut dyn Store, partition: Partition) -> Checkpoint {
    let checkpoints = store.checkpoints().expect("an answer");
    checkpoints.iter().find(|(of, _)| *of == partition).map_or(Checkpoint::START, |(_, at)| *at)
}

pub(super) fn digest(store: &mut dyn Store) -> ModelsDigest {
    store.digest().expect("an answer")
}

pub(super) fn page(limit: usize, order: Order) -> PageRequest {
    PageRequest { limit, cursor: None, order }
}

pub(super) fn by_key(text: &str) -> CustomerRef {
    CustomerRef::Key(key(text))
}

pub(super) fn by_id(text: &str) -> CustomerRef {
    CustomerRef::Id(id(text))
}

pub(super) async fn customer(
    reads: &dyn Queries,
    customer: &CustomerRef,
    as_of: AsOf,
    now: &str,
) -> Option<CustomerDocument> {
    reads.customer(&scope(), customer, as_of, at(now)).await.unwrap()
}

/// Folds a world in batches of these sizes, both partitions in each; after every `reopen`-th batch with
/// a store opened anew.
pub(super) fn fold_in_batches(
    fixture: &impl Fixture,
    world: &World,
    sizes: &[usize],
    reopen: usize,
) {
    let mut store = fixture.store();
    let mut stand = [Checkpoint::START; 2];
    for (batch, size) in sizes.iter().cycle().enumerate() {
        if batch % reopen == 0 {
            drop(store);
            store = fixture.store();
        }
        let logs = world.logs.iter().zip(&stand);
        let parts: Vec<Part<'_>> = logs.map(|(log, from)| log.part(*from, *size)).collect();
        if parts.iter().all(|part| part.from == part.to) {
            return;
        }
        let to = [parts[0].to, parts[1].to];
        store.commit(&Batch { parts }).expect("the parts follow");
        stand = to;
    }
}

pub(super) fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// An adapter whose databases can be made by the dozen.
pub(crate) trait FreshFixture: Fixture + Sync {
    /// How many random worlds are tried.
    const CASES: u32 = 24;

    fn fresh() -> Self;
}
