//! `/customers` and `/customers/{customer}`: make, list, show, change, archive.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{ETAG, LINK, LOCATION};
use http::{HeaderValue, StatusCode, Uri};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tallybook_events::command::{Command, CommandBody, Context, CustomerPatch};
use tallybook_events::customer::{
    BillingControlsPatch, BudgetPatch, ContractPatch, CustomerDocument, IdentityPatch, PolicyPatch,
    ProfilePatch,
};
use tallybook_events::decision::{Rejection, RejectionCode};
use tallybook_events::field::{Edit, Patch};
use tallybook_events::ids::{CustomerId, CustomerKey, CustomerRef, Environment, Tenant};
use tallybook_projections::queries::{CustomerFilter, ListedStatus, Page};

use super::answer::{self, mark_repeated};
use super::asked::{Asked, check_scope};
use super::conditions::{etag, expected_version};
use super::later::{self, Decided};
use super::parameters::{AS_OF, Name, PAGE, Parameters, customer_name};
use super::problem::Problem;
use crate::gateway::Core;
use crate::gateway::answer::json as answer_json;
use crate::gateway::auth::Caller;
use crate::gateway::body::{JSON, MAX_SINGLE, MERGE_PATCH};
use crate::gateway::idempotency;
use crate::gateway::submit::{Verdict, verdict};
use crate::keys::KeyScope;
use tallybook_events::outside::{self, Fault};

/// The facts of a customer, as a caller gives them: one patch over all groups.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CustomerBody {
    tenant: Option<Tenant>,
    environment: Option<Environment>,
    #[serde(default)]
    key: Edit<CustomerKey>,
    #[serde(default)]
    profile: Edit<ProfilePatch>,
    #[serde(default)]
    contract: Edit<ContractPatch>,
    #[serde(default)]
    budget: Edit<BudgetPatch>,
    #[serde(default)]
    policy: Patch<PolicyPatch>,
    #[serde(default)]
    billing_controls: Patch<BillingControlsPatch>,
    #[serde(default)]
    identity: Edit<IdentityPatch>,
}

impl CustomerBody {
    fn read(asked: &Asked<'_>, text: &str) -> Result<CustomerPatch, Fault> {
        let Self {
            tenant,
            environment,
            key,
            profile,
            contract,
            budget,
            policy,
            billing_controls,
            identity,
        } = outside::read(text)?;
        check_scope(asked.caller.scope(), tenant.as_ref(), environment)?;
        Ok(CustomerPatch { key, profile, contract, budget, policy, billing_controls, identity })
    }
}

/// `POST /customers`: makes a customer.
pub(crate) async fn create(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    caller.require(KeyScope::Write)?;
    Parameters::none(request.uri())?;
    let (asked, body) = Asked::new(&core, &caller, request);
    let body = asked.body(body, &[JSON], MAX_SINGLE).await?;
    let text = outside::text(&body)?;
    let mut patch = CustomerBody::read(&asked, text)?;
    let context = asked.context(text)?;
    let customer = match (std::mem::take(&mut patch.key), &context.idempotency_key) {
        (Edit::Set(key), _) => CustomerRef::Key(key),
        (Edit::Keep, Some(key)) => CustomerRef::Id(idempotency::customer_id(caller.scope(), key)),
        (Edit::Keep, None) => CustomerRef::Id(core.gateway.clock.customer_id()),
    };
    let body = CommandBody::CreateCustomer(Box::new(patch));
    let command = asked.command(customer, context, body);
    change(&asked, command, StatusCode::CREATED).await
}

/// `PATCH /customers/{customer}`: changes a customer, by a merge patch.
pub(crate) async fn update(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    name: Name,
    request: Request,
) -> Result<Response, Problem> {
    caller.require(KeyScope::Write)?;
    Parameters::none(request.uri())?;
    let name = customer_name(name)?;
    let (asked, body) = Asked::new(&core, &caller, request);
    let expected_version = expected_version(&asked.parts.headers)?;
    let body = asked.body(body, &[MERGE_PATCH, JSON], MAX_SINGLE).await?;
    let text = outside::text(&body)?;
    let patch = CustomerBody::read(&asked, text)?;
    let context = Context { expected_version, ..asked.context(text)? };
    let customer = core.named(caller.scope(), &name).await?;
    let body = CommandBody::UpdateCustomer(Box::new(patch));
    change(&asked, asked.command(customer, context, body), StatusCode::OK).await
}

/// `DELETE /customers/{customer}`: archives a customer. It still answers by id.
pub(crate) async fn archive(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    name: Name,
    request: Request,
) -> Result<Response, Problem> {
    caller.require(KeyScope::Write)?;
    Parameters::none(request.uri())?;
    let name = customer_name(name)?;
    let (asked, _) = Asked::new(&core, &caller, request);
    let expected_version = expected_version(&asked.parts.headers)?;
    let context = Context { expected_version, ..asked.context("")? };
    let customer = core.named(caller.scope(), &name).await?;
    let command = asked.command(customer, context, CommandBody::ArchiveCustomer);
    change(&asked, command, StatusCode::OK).await
}

/// Has a command decided and answers with the customer that it left.
async fn change(
    asked: &Asked<'_>,
    command: Command,
    done: StatusCode,
) -> Result<Response, Problem> {
    let (core, scope) = (asked.core, asked.caller.scope());
    let answer = match later::decide(asked, command).await? {
        Decided::Now(answer) => answer,
        Decided::Later(response) => return Ok(response),
    };
    let response = match verdict(&answer)? {
        Verdict::Accepted(accepted) => {
            let shown = core.customer_after(scope, &answer, accepted).await;
            let document = shown.map_err(|error| Problem::not_shown(&answer, &error))?;
            let mut response = customer(done, &document);
            if done == StatusCode::CREATED {
                response.headers_mut().insert(LOCATION, location(document.id));
            }
            response
        }
        Verdict::Deferred => answer::decision(&answer),
        Verdict::Rejected(rejection) => {
            Problem::rejected(&answer, rejection, pointer(rejection)).into_response()
        }
    };
    Ok(mark_repeated(response, &answer))
}

fn location(id: CustomerId) -> HeaderValue {
    let path = format!("/api/v1/customers/{id}");
    HeaderValue::try_from(path).expect("a UUID in a path is a header's value")
}

/// Moves a rejection's pointer from the command to the caller's body, which is the patch.
fn pointer(rejection: &Rejection) -> Option<String> {
    match (rejection.pointer.as_deref(), rejection.code) {
        (Some(pointer), _) => Some(pointer.strip_prefix("/patch").unwrap_or(pointer).to_owned()),
        (None, RejectionCode::KeyTaken) => Some("/key".to_owned()),
        (None, _) => None,
    }
}

fn customer(status: StatusCode, document: &CustomerDocument) -> Response {
    let mut response = answer_json(status, document);
    response.headers_mut().insert(ETAG, etag(document.version));
    response
}

/// `GET /customers/{customer}`: shows a customer as it stands, or as it stood.
pub(crate) async fn show(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    name: Name,
    uri: Uri,
) -> Result<Response, Problem> {
    caller.require(KeyScope::Read)?;
    let as_of = Parameters::read(&uri, &[&AS_OF])?.as_of()?;
    let name = customer_name(name)?;
    let document = core.customer(caller.scope(), &name, as_of).await?;
    let document = document.ok_or_else(Problem::unknown_customer)?;
    Ok(customer(StatusCode::OK, &document))
}

/// `GET /customers`: lists customers, archived ones too, in the order of their birth.
pub(crate) async fn list(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Response, Problem> {
    caller.require(KeyScope::Read)?;
    let parameters = Parameters::read(&uri, &[&PAGE, &["status", "tier", "key_prefix"]])?;
    let statuses = [
        ("active", ListedStatus::Active),
        ("suspended", ListedStatus::Suspended),
        ("archived", ListedStatus::Archived),
    ];
    let filter = CustomerFilter {
        status: parameters.word("status", &statuses)?,
        tier: parameters.get("tier")?,
        key_prefix: parameters.text("key_prefix").map(str::to_owned),
        ..CustomerFilter::default()
    };
    let (page, now) = (parameters.page()?, core.gateway.clock.now());
    let found = core.gateway.queries.customers(caller.scope(), &filter, &page, now).await?;
    Ok(answer_page(&uri, &parameters, &found))
}

/// One page of a list.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PageOf{T}")]
pub(crate) struct PageBody<'a, T> {
    /// The items.
    items: &'a [T],
    /// Where the next page begins, when there is more.
    next: Option<&'a str>,
}

/// Answers with one page of a list, with a `Link` to the next.
pub(crate) fn answer_page<T: Serialize>(
    uri: &Uri,
    parameters: &Parameters,
    page: &Page<T>,
) -> Response {
    let next = page.next.as_deref();
    let mut response = answer_json(StatusCode::OK, &PageBody { items: &page.items, next });
    if let Some(link) = next.and_then(|next| parameters.link(uri, next)) {
        response.headers_mut().insert(LINK, link);
    }
    response
}
