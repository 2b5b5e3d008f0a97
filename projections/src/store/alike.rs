//! The same facts in both stores: the same rows, byte for byte.

use proptest::prelude::*;

use super::conformance::{Fixture, FreshFixture, config, fold_in_batches};
use super::postgres::tests::Schema;
use super::sqlite::tests::Folder;
use crate::testing::random_world::{World, steps};

#[test]
fn both_stores_have_equal_digests() {
    let sizes = prop::collection::vec(1..40_usize, 1..6);
    let mut runner = proptest::test_runner::TestRunner::new(config(8));
    runner
        .run(&(steps(150), sizes, 1..5_usize), |(steps, sizes, reopen)| {
            let world = World::of(&steps);
            let (folder, schema) = (Folder::fresh(), Schema::fresh());
            fold_in_batches(&folder, &world, &[usize::MAX], 100);
            fold_in_batches(&schema, &world, &sizes, reopen);
            let (one, other) = (folder.store().digest().unwrap(), schema.store().digest().unwrap());
            prop_assert_eq!(&one, &other);
            prop_assert_eq!(one.to_string(), other.to_string());
            Ok(())
        })
        .unwrap();
}
