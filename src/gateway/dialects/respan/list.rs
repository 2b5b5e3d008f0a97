//! `POST /api/users/list/`: customers, page by page, filtered and sorted.
//!
//! Pages are numbered, and beyond the last one there is an empty one: the vendor's client library asks
//! for it. `next` and `previous` are references relative to the address that was asked.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{StatusCode, Uri};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tallybook_events::field::Field as Member;
use tallybook_events::ids::{CustomerId, Scope};
use tallybook_events::json::Json;
use tallybook_events::outside;
use tallybook_events::time::Timestamp;
use tallybook_projections::queries::{
    Condition, CustomerFilter, ListedStatus, Order, PageRequest, PeriodKind, Queries, ReadError,
    SliceRequest, SortField, TextField, TextTest, TimeField,
};

use super::asked::{Asked, body, environment};
use super::error::RespanError;
use super::filters::{AskedFilters, Filters};
use super::listed::{Activity, Field, ListedUser, Row};
use crate::gateway::Core;
use crate::gateway::answer::json;
use crate::gateway::auth::Caller;
use crate::gateway::query::Query;
use crate::keys::KeyScope;

/// Users of a page, unless asked otherwise.
pub(super) const DEFAULT_PAGE_SIZE: usize = 50;
/// Most users of a page.
pub(super) const MAX_PAGE_SIZE: usize = 1_000;
/// Highest number of a page.
pub(super) const MAX_PAGE: u64 = 1_000_000_000;
/// Most customers that are looked at one by one, where the read model cannot sort or filter by itself.
const MAX_SCANNED: u64 = 20_000;
/// Days of one question for a customer's activity.
const DAYS: usize = 1_000;
/// Most such questions for one customer: more than 80 years of days.
const MAX_DAY_PAGES: usize = 30;

/// What a list takes. Unknown members are ignored.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ListUsers {
    /// Conditions by field. A user must match all of them.
    #[serde(default)]
    #[schemars(with = "Option<AskedFilters>")]
    filters: Member<Json>,
}

/// A page of a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct UserPage {
    /// Number of results on this page, not the total.
    count: usize,
    /// Next page, as a reference relative to this one.
    next: Option<String>,
    /// Previous page.
    previous: Option<String>,
    /// Users for the current page.
    results: Vec<ListedUser>,
}

/// Which page is asked for, and in which order.
struct Paging {
    page: u64,
    size: usize,
    sort: Field,
    descending: bool,
}

/// Lists customers.
pub(super) async fn list(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, RespanError> {
    caller.require(KeyScope::Read)?;
    let (parts, unread) = request.into_parts();
    let query = Query::read(&parts.uri)?;
    let asked = environment(&query, caller.scope())?;
    let paging = Paging::read(&query)?;
    let body = body(&core, &parts.headers, unread).await?;
    let ListUsers { filters } = outside::read(outside::text(&body)?)?;
    let filters = match filters {
        Member::Absent | Member::Null => Filters::default(),
        Member::Value(filters) => Filters::read(filters)?,
    };
    let filters = filters.settled(caller.scope().environment.into());
    let (rows, more) = match (asked, filters) {
        (Asked::Ours, Some(filters)) => {
            let now = core.gateway.clock.now();
            let list = List { queries: &*core.gateway.queries, scope: caller.scope(), now };
            list.page(&paging, &filters).await?
        }
        (Asked::Ours | Asked::Other, _) => (Vec::new(), false),
    };
    Ok(json(StatusCode::OK, &paging.show(rows, more, &query, &parts.uri)))
}

impl Paging {
    fn read(query: &Query) -> Result<Self, RespanError> {
        let number = |name: &'static str, default: u64, most: u64| {
            let says: Cow<'_, str> = match query.last(name).map(str::parse) {
                None => return Ok(default),
                Some(Ok(number)) if (1..=most).contains(&number) => return Ok(number),
                Some(Ok(0)) => "Ensure this value is greater than or equal to 1.".into(),
                Some(Ok(_)) => format!("Ensure this value is less than or equal to {most}.").into(),
                Some(Err(_)) => "A valid integer is required.".into(),
            };
            Err(RespanError::field(name, says))
        };
        let page = number("page", 1, MAX_PAGE)?;
        let size = number("page_size", DEFAULT_PAGE_SIZE as u64, MAX_PAGE_SIZE as u64)?;
        let size = usize::try_from(size).unwrap_or(MAX_PAGE_SIZE);
        let asked = query.last("sort_by").unwrap_or("-first_seen");
        let (descending, name) =
            asked.strip_prefix('-').map_or((false, asked), |name| (true, name));
        let sort = Field::SORTED.into_iter().find(|field| field.as_str() == name);
        let sort = sort.ok_or_else(|| {
            RespanError::field("sort_by", format!("\"{asked}\" is not a valid choice."))
        })?;
        Ok(Self { page, size, sort, descending })
    }

    /// Gives how many customers come before the page.
    fn offset(&self) -> u64 {
        (self.page - 1).saturating_mul(self.size as u64)
    }

    /// Gives the order in which the read model is to list, and whether it is the one that is asked.
    fn order(&self) -> (Vec<(SortField, Order)>, bool) {
        let order = if self.descending { Order::Descending } else { Order::Ascending };
        let field = match self.sort {
            Field::FirstSeen => SortField::Time(TimeField::Created),
            Field::CustomerIdentifier => SortField::Text(TextField::Key),
            Field::Name => SortField::Text(TextField::Name),
            Field::Email => SortField::Text(TextField::Email),
            Field::Environment
            | Field::LastActive
            | Field::ActiveDays
            | Field::Requests
            | Field::Cost
            | Field::Unknown(_) => {
                return (vec![(SortField::Time(TimeField::Created), Order::Descending)], false);
            }
        };
        (vec![(field, order)], true)
    }

    fn show(&self, rows: Vec<Row>, more: bool, query: &Query, uri: &Uri) -> UserPage {
        let results: Vec<ListedUser> = rows.into_iter().filter_map(ListedUser::of).collect();
        let link = |page: u64| query.link(uri, "page", &page.to_string());
        let next = more.then(|| link(self.page.saturating_add(1)));
        let previous = (self.page > 1).then(|| link(self.page - 1));
        UserPage { count: results.len(), next, previous, results }
    }
}

/// The list of which a page is asked.
struct List<'a> {
    queries: &'a dyn Queries,
    scope: &'a Scope,
    now: Timestamp,
}

impl List<'_> {
    /// Gives the customers of a page, and whether there are more after it.
    async fn page(
        &self,
        paging: &Paging,
        filters: &Filters,
    ) -> Result<(Vec<Row>, bool), RespanError> {
        let (conditions, filtered) = filters.conditions();
        let (sort, sorted) = paging.order();
        let keyed = Condition::Text(TextField::Key, TextTest::NoneOf(vec![String::new()]));
        let filter = CustomerFilter {
            status: Some(ListedStatus::Present),
            only: [keyed].into_iter().chain(conditions).collect(),
            ..CustomerFilter::default()
        };
        if filtered && sorted {
            return self.slice(paging, filter, sort).await;
        }
        let mut rows = self.scan(paging, filters, &filter, &sort).await?;
        if !sorted {
            let (field, descending) = (paging.sort, paging.descending);
            rows.sort_by(|one, other| one.cell(field).order(&other.cell(field), descending));
        }
        let offset = usize::try_from(paging.offset()).unwrap_or(usize::MAX);
        let more = rows.len() > offset.saturating_add(paging.size);
        let mut rows: Vec<Row> = rows.into_iter().skip(offset).take(paging.size).collect();
        self.look_up(&mut rows).await?;
        Ok((rows, more))
    }

    /// Gives a page that the read model can find by itself.
    async fn slice(
        &self,
        paging: &Paging,
        filter: CustomerFilter,
        sort: Vec<(SortField, Order)>,
    ) -> Result<(Vec<Row>, bool), RespanError> {
        let offset = paging.offset();
        let slice = SliceRequest { offset, limit: paging.size, sort };
        let found = self.queries.slice(self.scope, &filter, &slice, self.now).await?;
        let more = found.total > offset.saturating_add(found.items.len() as u64);
        let more = more && !found.items.is_empty();
        let row = |document| Row { document, activity: None };
        let mut rows: Vec<Row> = found.items.into_iter().map(row).collect();
        self.look_up(&mut rows).await?;
        Ok((rows, more))
    }

    /// Looks at all customers that the read model finds, and keeps those that pass.
    async fn scan(
        &self,
        paging: &Paging,
        filters: &Filters,
        filter: &CustomerFilter,
        sort: &[(SortField, Order)],
    ) -> Result<Vec<Row>, RespanError> {
        let by_activity = [Field::LastActive, Field::ActiveDays];
        let active = by_activity.iter().any(|field| paging.sort == *field || filters.name(*field));
        let mut rows = Vec::new();
        let mut offset = 0;
        while offset < MAX_SCANNED {
            let slice = SliceRequest { offset, limit: MAX_PAGE_SIZE, sort: sort.to_vec() };
            let found = self.queries.slice(self.scope, filter, &slice, self.now).await?;
            if found.total > MAX_SCANNED {
                let detail = format!(
                    "More than {MAX_SCANNED} users would have to be looked at; filter by \
                     customer_identifier, name or email, or sort by first_seen."
                );
                return Err(RespanError::detail(StatusCode::BAD_REQUEST, detail));
            }
            let last = found.items.len() < MAX_PAGE_SIZE;
            let row = |document| Row { document, activity: None };
            let mut looked_at: Vec<Row> = found.items.into_iter().map(row).collect();
            if active {
                self.look_up(&mut looked_at).await?;
            }
            rows.extend(looked_at.into_iter().filter(|row| filters.pass(row)));
            if last {
                break;
            }
            offset += MAX_PAGE_SIZE as u64;
        }
        Ok(rows)
    }

    /// Looks up when customers used something, where that is not known yet.
    async fn look_up(&self, rows: &mut [Row]) -> Result<(), ReadError> {
        for row in rows.iter_mut().filter(|row| row.activity.is_none()) {
            // Who never used anything needs no question.
            row.activity = Some(match row.document.usage.lifetime.count {
                0 => Activity::default(),
                _ => self.activity(row.document.id).await?,
            });
        }
        Ok(())
    }

    async fn activity(&self, customer: CustomerId) -> Result<Activity, ReadError> {
        let mut activity = Activity::default();
        let mut page = PageRequest { limit: DAYS, cursor: None, order: Order::Ascending };
        for _ in 0..MAX_DAY_PAGES {
            let found = self.queries.usage(customer, Some(PeriodKind::Day), &page).await?;
            for day in found.items.iter().filter(|day| day.count > 0) {
                activity.days = activity.days.saturating_add(1);
                activity.last = activity.last.max(day.last_at);
            }
            let Some(next) = found.next else { break };
            page.cursor = Some(next);
        }
        Ok(activity)
    }
}
