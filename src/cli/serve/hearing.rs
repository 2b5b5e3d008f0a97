//! A process hears from the database how far the read models have come, whoever folds them.

use std::sync::Arc;

use tallybook_projections::store::postgres::Watch;

use super::part::Part;
use crate::gateway::Ready;

/// A listener at work.
pub(super) struct Hearing(pub(super) Arc<Watch>);

impl Part for Hearing {
    fn ready(&self) -> Ready {
        let watch = Arc::downgrade(&self.0);
        Arc::new(move || match watch.upgrade().map(|watch| watch.deaf()) {
            Some(None) => Ok(()),
            Some(Some(why)) => Err(format!("the read models do not tell how far they are: {why}")),
            None => Err("nobody listens to the read models any more".into()),
        })
    }

    fn failure(&self) -> Option<anyhow::Error> {
        None
    }

    fn stop(self: Box<Self>) {
        drop(self);
    }
}
