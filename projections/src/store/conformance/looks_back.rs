//! What is promised to whoever asks how it was.

use std::collections::BTreeSet;

use proptest::prelude::*;
use tallybook_events::customer::CustomerDocument;
use tallybook_events::ids::CustomerRef;
use tallybook_events::time::Timestamp;

use super::{Fixture, FreshFixture, block_on, config, fold_in_batches};
use crate::fold::CustomerFold;
use crate::ledger::NoRows;
use crate::queries::AsOf;
use crate::testing::random_world::{World, customer_id, steps};
use crate::testing::scope;

pub(crate) async fn a_customer_reads_as_of_any_version_and_time<F: FreshFixture>(fixture: F) {
    drop(fixture);
    let mut runner = proptest::test_runner::TestRunner::new(config(8));
    runner
        .run(&steps(60), |steps| {
            let world = World::of(&steps);
            let fixture = F::fresh();
            fold_in_batches(&fixture, &world, &[7], 100);
            std::thread::scope(|threads| {
                threads.spawn(|| block_on(look_back(&fixture, &world))).join().expect("no panic")
            })
        })
        .unwrap();
}

async fn look_back(fixture: &impl Fixture, world: &World) -> Result<(), TestCaseError> {
    let reads = fixture.reads();
    let now = world.now;
    let read = async |customer: &CustomerRef, as_of| -> Option<CustomerDocument> {
        reads.customer(&scope(), customer, as_of, now).await.unwrap()
    };
    for (number, reckoned) in &world.customers {
        let id = customer_id(*number);
        let customer = CustomerRef::Id(id);
        let log = &world.logs[number % 2];
        let mut fold = CustomerFold::unborn();
        let mut moments: BTreeSet<Timestamp> = BTreeSet::new();
        for facts in log.facts().into_iter().filter(|facts| facts.customer_id == id) {
            let Ok(()) = fold.apply(&facts, &mut NoRows);
            moments.insert(facts.decided_at);
            let Ok(then) = fold.clone().document(now, &mut NoRows);
            prop_assert_eq!(read(&customer, AsOf::Version(fold.version())).await, then);
        }
        // Within a decision each event is a version.
        for version in 1..=reckoned.version {
            let document = read(&customer, AsOf::Version(version)).await;
            prop_assert_eq!(document.map(|document| document.version), Some(version));
        }
        prop_assert_eq!(read(&customer, AsOf::Version(0)).await, None);
        prop_assert_eq!(read(&customer, AsOf::Version(reckoned.version + 1)).await, None);
        for moment in &moments {
            let mut fold = CustomerFold::unborn();
            let until = log.facts().into_iter();
            for facts in until.filter(|f| f.customer_id == id && f.decided_at <= *moment) {
                let Ok(()) = fold.apply(&facts, &mut NoRows);
            }
            let Ok(then) = fold.document(*moment, &mut NoRows);
            prop_assert_eq!(read(&customer, AsOf::Time(*moment)).await, then);
        }
        let birth = moments.first().unwrap().plus_micros(-1);
        prop_assert_eq!(read(&customer, AsOf::Time(birth)).await, None);
    }
    Ok(())
}
