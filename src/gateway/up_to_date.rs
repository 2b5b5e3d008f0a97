//! Questions that wait until the read models show all that was answered here before: so callers read
//! what they wrote, and who only writes waits for nobody.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tallybook_events::customer::CustomerDocument;
use tallybook_events::customer::entitlements::Entitlements;
use tallybook_events::ids::{CommandId, CustomerId, CustomerRef, Position, Scope};
use tallybook_events::time::Timestamp;
use tallybook_projections::queries::{
    AsOf, Authors, CommandOutcome, CustomerFilter, Page, PageRequest, PeriodKind, Queries,
    ReadError, Slice, SliceRequest, TimelineItem, UsagePeriod,
};
use tallybook_projections::spend::Spending;

use super::Gateway;
use super::kept::Kept;

/// Has the questions of a gateway wait for what it has answered.
pub(super) fn asking(gateway: Gateway, kept: &Arc<Kept>) -> Gateway {
    let Gateway { queries, timeouts, .. } = &gateway;
    let (inner, timeout) = (Arc::clone(queries), timeouts.read_model);
    let queries = Arc::new(UpToDate { inner, kept: Arc::clone(kept), timeout });
    Gateway { queries, ..gateway }
}

/// Questions that wait.
struct UpToDate {
    inner: Arc<dyn Queries>,
    kept: Arc<Kept>,
    timeout: Duration,
}

impl UpToDate {
    /// Gives the read models once they show all that was answered before.
    async fn now(&self) -> Result<&dyn Queries, ReadError> {
        for position in self.kept.positions() {
            self.inner.reached(position, self.timeout).await?;
        }
        Ok(&*self.inner)
    }
}

#[async_trait]
impl Queries for UpToDate {
    async fn customer(
        &self,
        scope: &Scope,
        customer: &CustomerRef,
        as_of: AsOf,
        now: Timestamp,
    ) -> Result<Option<CustomerDocument>, ReadError> {
        self.now().await?.customer(scope, customer, as_of, now).await
    }

    async fn resolve(
        &self,
        scope: &Scope,
        customer: &CustomerRef,
    ) -> Result<Option<CustomerId>, ReadError> {
        self.now().await?.resolve(scope, customer).await
    }

    async fn spending(
        &self,
        scope: &Scope,
        customer: &CustomerRef,
        at: Timestamp,
    ) -> Result<Option<Spending>, ReadError> {
        self.now().await?.spending(scope, customer, at).await
    }

    async fn entitlements(
        &self,
        scope: &Scope,
        customer: &CustomerRef,
        as_of: AsOf,
        now: Timestamp,
    ) -> Result<Option<Entitlements>, ReadError> {
        self.now().await?.entitlements(scope, customer, as_of, now).await
    }

    async fn customers(
        &self,
        scope: &Scope,
        filter: &CustomerFilter,
        page: &PageRequest,
        now: Timestamp,
    ) -> Result<Page<CustomerDocument>, ReadError> {
        self.now().await?.customers(scope, filter, page, now).await
    }

    async fn slice(
        &self,
        scope: &Scope,
        filter: &CustomerFilter,
        slice: &SliceRequest,
        now: Timestamp,
    ) -> Result<Slice<CustomerDocument>, ReadError> {
        self.now().await?.slice(scope, filter, slice, now).await
    }

    async fn authors(&self, of: &[(CustomerId, u64)]) -> Result<Vec<Option<Authors>>, ReadError> {
        self.now().await?.authors(of).await
    }

    async fn timeline(
        &self,
        customer: CustomerId,
        page: &PageRequest,
    ) -> Result<Page<TimelineItem>, ReadError> {
        self.now().await?.timeline(customer, page).await
    }

    async fn usage(
        &self,
        customer: CustomerId,
        kind: Option<PeriodKind>,
        page: &PageRequest,
    ) -> Result<Page<UsagePeriod>, ReadError> {
        self.now().await?.usage(customer, kind, page).await
    }

    async fn command(
        &self,
        scope: &Scope,
        command_id: CommandId,
    ) -> Result<Option<CommandOutcome>, ReadError> {
        self.now().await?.command(scope, command_id).await
    }

    fn positions(&self) -> Vec<Position> {
        self.inner.positions()
    }

    async fn reached(&self, position: Position, timeout: Duration) -> Result<(), ReadError> {
        self.inner.reached(position, timeout).await
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use crate::gateway::testing::{FakeQueries, Fixture, accepted, acme};
    use crate::gateway::{Timeouts, Waits};

    fn fixture(reached: u64) -> Fixture {
        let queries = FakeQueries { documents: vec![acme()], reached, ..FakeQueries::default() };
        let (decide, timeouts) = (|command: &_| Ok(accepted(command, 7)), Timeouts::default());
        Fixture::waiting(decide, queries, timeouts, Waits::AtTheQuestion)
    }

    const COMMAND: &str = r#"{"type":"ArchiveCustomer","customer":{"key":"acme"}}"#;
    const CUSTOMER: &str = "/api/v1/customers/acme";

    #[tokio::test]
    async fn a_decision_is_answered_before_it_is_shown_and_questions_wait_for_it() {
        let fixture = fixture(4);
        assert_eq!(fixture.get(CUSTOMER).await.status, 200);
        let answer = fixture.call(Method::POST, "/api/v1/commands", COMMAND).await;
        assert_eq!((answer.status, &answer.json()["position"]["seq"]), (200, &5.into()));
        assert_eq!(fixture.get(CUSTOMER).await.status, 503);
    }

    #[tokio::test]
    async fn what_is_shown_is_not_waited_for() {
        let fixture = fixture(5);
        let answer = fixture.call(Method::POST, "/api/v1/commands", COMMAND).await;
        assert_eq!(answer.status, 200);
        assert_eq!(fixture.get(CUSTOMER).await.status, 200);
    }
}
