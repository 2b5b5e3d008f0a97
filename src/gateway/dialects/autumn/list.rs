//! `customers.list`: lists customers, from new to old, deleted ones not.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use tallybook_events::customer::CustomerDocument;
use tallybook_events::customer::entitlements::Entitlements;
use tallybook_events::ids::{CustomerKey, CustomerRef};
use tallybook_projections::queries::{
    AsOf, Condition, CustomerFilter, ListedStatus, PageRequest, TimeField,
};

use super::asked::page::{ListCustomers, MAX_LIMIT, Part, Wanted};
use super::call::{Call, answer};
use super::refused::Refused;
use super::shown::customer::Customer;
use super::shown::list::CustomerList;
use super::version::ApiVersion;
use crate::gateway::Core;
use crate::gateway::answer::json;
use crate::gateway::auth::Caller;

/// Most questions to the read model for one page: where few customers are wanted of many, a page is
/// short, and the next one goes on.
const MAX_QUESTIONS: usize = 100;

/// `POST /v1/customers.list`.
pub(super) async fn post(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    answer(&caller, list(&core, &caller, request).await)
}

async fn list(core: &Core, caller: &Caller, request: Request) -> Result<Response, Refused> {
    let call = Call::begin(core, caller, request).await?;
    let version = call.version;
    let read = |body: &_| ListCustomers::read(body, version).map_err(Refused::inputs);
    let asked = call.question(read)?;
    let limit = usize::try_from(asked.limit).unwrap_or(usize::MAX);
    let found;
    let page = match &asked.part {
        Part::Cursor(cursor) => {
            let next;
            (found, next) = find(&call, &asked, cursor.clone(), limit).await?;
            CustomerList::ByCursor { list: show(&found, version), next_cursor: next }
        }
        Part::Offset(offset) => {
            let skipped = usize::try_from(*offset).unwrap_or(usize::MAX);
            let all = find(&call, &asked, None, skipped.saturating_add(limit)).await?;
            let more = all.1.is_some();
            found = all.0.into_iter().skip(skipped).collect();
            CustomerList::ByNumber {
                list: show(&found, version),
                total: found.len(),
                limit: asked.limit,
                offset: *offset,
                has_more: more,
            }
        }
    };
    Ok(json(StatusCode::OK, &page))
}

fn show(found: &[Found], version: ApiVersion) -> Vec<Customer<'_>> {
    found.iter().map(|(document, of)| Customer::of(document, of, version)).collect()
}

/// A customer with what it is entitled to.
type Found = (CustomerDocument, Entitlements);

/// Finds so many of the customers that are wanted, and where the list goes on after them.
async fn find(
    call: &Call<'_>,
    asked: &ListCustomers,
    mut cursor: Option<String>,
    count: usize,
) -> Result<(Vec<Found>, Option<String>), Refused> {
    let gateway = &call.core.gateway;
    let (scope, now) = (call.scope(), gateway.clock.now());
    let from = asked.from.map(|from| Condition::From(TimeField::Created, from));
    let until = asked.until.map(|until| Condition::Until(TimeField::Created, until));
    let filter = CustomerFilter {
        status: Some(ListedStatus::Present),
        only: from.into_iter().chain(until).collect(),
        ..CustomerFilter::default()
    };
    let mut found = Vec::new();
    for _ in 0..MAX_QUESTIONS {
        // Never more than are still wanted: so the end of the last page is the end of this one.
        let limit = (count - found.len()).min(usize::try_from(MAX_LIMIT).unwrap_or(usize::MAX));
        let page = PageRequest { limit, cursor: cursor.take(), order: asked.order };
        let page = gateway.queries.customers(scope, &filter, &page, now).await?;
        for document in page.items {
            if !asked.wanted.document(&document) {
                continue;
            }
            let id = CustomerRef::Id(document.id);
            let entitlements = gateway.queries.entitlements(scope, &id, AsOf::Now, now).await?;
            let entitlements = entitlements.unwrap_or_default();
            if asked.wanted.entitlements(&entitlements) {
                found.push((document, entitlements));
            }
        }
        cursor = page.next;
        if cursor.is_none() || found.len() >= count {
            break;
        }
    }
    Ok((found, cursor))
}

impl Wanted {
    /// Tells whether a customer is wanted, as far as its document says.
    fn document(&self, document: &CustomerDocument) -> bool {
        let profile = &document.profile;
        let texts = [
            document.key.as_ref().map(CustomerKey::as_str),
            profile.name.as_deref(),
            profile.email.as_deref(),
        ];
        let has = |search: &String| {
            texts.iter().flatten().any(|text| text.to_lowercase().contains(search))
        };
        let linked = |provider: &&str| document.identity.links.contains_key(*provider);
        self.search.as_ref().is_none_or(has)
            && (self.processors.is_empty() || self.processors.iter().any(linked))
    }

    /// Tells whether a customer is wanted, as far as its subscriptions say.
    fn entitlements(&self, entitlements: &Entitlements) -> bool {
        if self.plans.is_empty() && self.status.is_none() {
            return true;
        }
        entitlements.subscriptions.iter().any(|subscription| {
            let asked = |plan: &super::asked::page::AskedPlan| {
                !plan.versioned && plan.id == subscription.plan_id.as_str()
            };
            (self.plans.is_empty() || self.plans.iter().any(asked))
                && self.status.is_none_or(|status| status == subscription.status)
        })
    }
}
