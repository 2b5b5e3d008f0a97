//! Which customer a path names.

use tallybook_events::customer::CustomerDocument;
use tallybook_events::ids::{CustomerId, CustomerRef, Scope};
use tallybook_events::time::Timestamp;
use tallybook_projections::queries::{AsOf, ReadError};
use tallybook_projections::spend::Spending;

use super::Core;

/// How a path names a customer: by key, or by what may be an id or a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CustomerName {
    /// A key.
    Key(CustomerRef),
    /// A UUID: tried as id, then as key.
    Either {
        /// The id.
        id: CustomerRef,
        /// The key of the same text.
        key: CustomerRef,
    },
}

impl CustomerName {
    /// Reads the decoded text of a path; nothing when it can be neither id nor key.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let key = CustomerRef::Key(text.parse().ok()?);
        Some(match text.parse() {
            Ok(id) => Self::Either { id: CustomerRef::Id(id), key },
            Err(_) => Self::Key(key),
        })
    }

    fn tried(&self) -> impl Iterator<Item = &CustomerRef> {
        let (first, second) = match self {
            Self::Key(key) => (key, None),
            Self::Either { id, key } => (id, Some(key)),
        };
        std::iter::once(first).chain(second)
    }
}

impl Core {
    /// Gives how a command is to name the customer that a path names: a UUID is an id, unless only a
    /// customer with that key is known.
    pub(crate) async fn named(
        &self,
        scope: &Scope,
        name: &CustomerName,
    ) -> Result<CustomerRef, ReadError> {
        match name {
            CustomerName::Key(key) => Ok(key.clone()),
            CustomerName::Either { id, key } => {
                let queries = &self.gateway.queries;
                if queries.resolve(scope, id).await?.is_none()
                    && queries.resolve(scope, key).await?.is_some()
                {
                    return Ok(key.clone());
                }
                Ok(id.clone())
            }
        }
    }

    /// Gives the id of the customer that a path names.
    pub(crate) async fn resolve(
        &self,
        scope: &Scope,
        name: &CustomerName,
    ) -> Result<Option<CustomerId>, ReadError> {
        for customer in name.tried() {
            if let Some(id) = self.gateway.queries.resolve(scope, customer).await? {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// Gives the customer that a path names, with what it spent around a moment.
    pub(crate) async fn spending(
        &self,
        scope: &Scope,
        name: &CustomerName,
        at: Timestamp,
    ) -> Result<Option<Spending>, ReadError> {
        for customer in name.tried() {
            let found = self.gateway.queries.spending(scope, customer, at).await?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Gives the customer that a path names.
    pub(crate) async fn customer(
        &self,
        scope: &Scope,
        name: &CustomerName,
        as_of: AsOf,
    ) -> Result<Option<CustomerDocument>, ReadError> {
        let now = self.gateway.clock.now();
        for customer in name.tried() {
            let found = self.gateway.queries.customer(scope, customer, as_of, now).await?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}
