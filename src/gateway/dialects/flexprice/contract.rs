//! Every operation of FlexPrice's API that is spoken here, in one place.

use std::sync::Arc;

use axum::routing::{MethodRouter, delete, get, post, put};
use http::Method;
use tallybook_events::text::Email;

use super::filter::FilterBody;
use super::filter::conditions::Sortable;
use super::list::ListCustomersResponse;
use super::refused::{AccessError, ErrorResponse};
use super::schemas::{
    CreateCustomerRequest, Direction, ErrorFormat, Expanded, Limit, Moment, Offset, OrEmpty,
    UpdateCustomerRequest,
};
use super::shown::CustomerResponse;
use super::{create, customers, list, update};
use crate::gateway::Core;
use crate::gateway::contract::{Contract, Operation, Reply, Security};
use crate::gateway::headers::{RATE_LIMIT, RATE_LIMIT_POLICY, REPLAYED, RETRY_AFTER};
use crate::gateway::idempotency::IdempotencyKey;

/// Gives what the dialect can do.
pub(super) fn contract() -> Contract {
    Contract {
        name: super::SOURCE,
        title: "Tallybook for clients of FlexPrice",
        description: "Customers as FlexPrice's API has them, parents and nested errors included. Errors \
                      are flat for the vendor's client libraries from 2.1 on, and for those who ask \
                      for it by the header X-Flexprice-Error-Format.",
        base: "/flexprice",
        security: &[Security::ApiKey, Security::Bearer],
        refusals: refusals(),
        operations: operations(),
    }
}

/// What is said before a handler is asked, and when it fails.
fn refusals() -> Vec<Reply> {
    vec![
        Reply::json::<ErrorResponse>(400, "What was sent cannot be read, or breaks a rule."),
        Reply::json::<AccessError>(401, "No key, or none that opens anything."),
        Reply::json::<AccessError>(403, "The key is not for this, or for another environment."),
        Reply::json::<ErrorResponse>(429, "The key has sent too many requests.").with(&[
            RETRY_AFTER,
            RATE_LIMIT,
            RATE_LIMIT_POLICY,
        ]),
        Reply::json::<ErrorResponse>(500, "We failed."),
        Reply::json::<ErrorResponse>(503, "Not now.").with(&[RETRY_AFTER]),
    ]
}

/// Begins an operation, with the headers that all of them take.
fn operation(
    id: &'static str,
    method: Method,
    path: &'static str,
    handler: MethodRouter<Arc<Core>>,
) -> Operation {
    Operation::new(id, method, path, handler)
        .in_header::<String>(
            "X-Environment-ID",
            "The environment. Beside a bearer token it must be that of the token.",
        )
        .in_header::<ErrorFormat>("X-Flexprice-Error-Format", "The shape of errors.")
}

/// Adds what all operations that change something take and answer.
fn changes(operation: Operation) -> Operation {
    operation
        .in_header::<IdempotencyKey>("Idempotency-Key", "A repeat with this key changes nothing.")
        .answer::<ErrorResponse>(404, "There is no such customer, or no such parent.")
        .answer::<ErrorResponse>(
            409,
            "Another customer has the external id; or the customer is archived, or being changed.",
        )
        .answer::<ErrorResponse>(422, "The idempotency key was used for another request.")
}

/// Adds what all operations with a body answer.
fn reads_a_body(operation: Operation) -> Operation {
    operation
        .answer::<ErrorResponse>(408, "The body did not come in time.")
        .answer::<ErrorResponse>(413, "The body is too big.")
}

const ALL: &str = "/v1/customers";
const ONE: &str = "/v1/customers/{id}";
const SEARCH: &str = "/v1/customers/search";
const BY_EXTERNAL_ID: &str = "/v1/customers/external/{external_id}";
const BY_LOOKUP_KEY: &str = "/v1/customers/lookup/{lookup_key}";

fn operations() -> Vec<Operation> {
    let mut operations = writes();
    operations.extend(reads());
    operations
}

fn writes() -> Vec<Operation> {
    let by_id = operation("updateCustomerById", Method::PUT, ONE, put(update::by_path));
    let by_query = operation("updateCustomer", Method::PUT, ALL, put(update::by_query));
    let create = operation("createCustomer", Method::POST, ALL, post(create::create));
    let archive = operation("deleteCustomer", Method::DELETE, ONE, delete(customers::archive));
    vec![
        reads_a_body(changes(by_id))
            .summary("Changes a customer: the fields that are given.")
            .also_at(ONE)
            .in_path::<String>("id", "The customer's id.")
            .in_query::<String>("external_customer_id", "Its external id, to be sure.")
            .body::<Option<UpdateCustomerRequest>>()
            .answer::<CustomerResponse>(200, "The customer, as it is now.")
            .with_headers(&[REPLAYED]),
        reads_a_body(changes(by_query))
            .summary("Changes a customer that the query names by one of its ids, or by both.")
            .also_at(ALL)
            .in_query::<String>("id", "The customer's id.")
            .in_query::<String>("external_customer_id", "Its external id.")
            .body::<Option<UpdateCustomerRequest>>()
            .answer::<CustomerResponse>(200, "The customer, as it is now.")
            .with_headers(&[REPLAYED]),
        reads_a_body(changes(create))
            .summary("Makes a customer.")
            .body::<CreateCustomerRequest>()
            .answer::<CustomerResponse>(201, "The customer.")
            .with_headers(&[REPLAYED]),
        changes(archive)
            .summary(
                "Archives a customer: its external id is free, and it takes no changes any more.",
            )
            .in_path::<String>("id", "The customer's id.")
            .reply(Reply::empty(204, "It is archived."))
            .with_headers(&[REPLAYED]),
    ]
}

fn reads() -> Vec<Operation> {
    let list = operation("listCustomers", Method::GET, ALL, get(list::list));
    let search = operation("searchCustomers", Method::POST, SEARCH, post(list::search));
    let show = operation("getCustomer", Method::GET, ONE, get(customers::show));
    let by_external_id = get(customers::show_by_external_id);
    let by_external =
        operation("getCustomerByExternalId", Method::GET, BY_EXTERNAL_ID, by_external_id.clone());
    let by_lookup_key =
        operation("getCustomerByLookupKey", Method::GET, BY_LOOKUP_KEY, by_external_id);
    vec![
        filtered(list)
            .summary(
                "Lists customers, archived ones too, unless asked otherwise; the newest first.",
            )
            .answer::<ListCustomersResponse>(200, "A part of the list."),
        reads_a_body(search)
            .summary("Lists customers by the conditions and in the order of the body.")
            .body::<Option<FilterBody>>()
            .answer::<ListCustomersResponse>(200, "A part of the list."),
        show.summary("Gives a customer, archived ones too, with its parent.")
            .in_path::<String>("id", "The customer's id.")
            .answer::<CustomerResponse>(200, "The customer.")
            .answer::<ErrorResponse>(404, "There is no such customer."),
        by_external
            .summary("Gives a customer by its external id.")
            .in_path::<String>("external_id", "The external id; of no archived customer.")
            .answer::<CustomerResponse>(200, "The customer.")
            .answer::<ErrorResponse>(404, "There is no such customer."),
        by_lookup_key
            .summary("Gives a customer by its external id; the old name of that operation.")
            .in_path::<String>("lookup_key", "The external id; of no archived customer.")
            .answer::<CustomerResponse>(200, "The customer.")
            .answer::<ErrorResponse>(404, "There is no such customer."),
    ]
}

/// Adds the parameters by which a list is filtered.
fn filtered(operation: Operation) -> Operation {
    operation
        .in_query::<Limit>("limit", "Most items; 0 for the default, which is 50.")
        .in_query::<Offset>("offset", "How many items to leave out first.")
        .in_query::<String>("status", "Only those: published, archived.")
        .in_query::<Sortable>("sort", "What to sort by; the default is created_at.")
        .in_query::<Direction>("order", "Direction; the default is desc.")
        .in_query::<Expanded>("expand", "What to show with each customer.")
        .in_query::<Moment>("start_time", "Only those made then or later.")
        .in_query::<Moment>("end_time", "Only those made then or earlier.")
        .in_query::<Vec<String>>("customer_ids", "Only those with one of these ids.")
        .in_query::<Vec<String>>("external_ids", "Only those with one of these external ids.")
        .in_query::<String>("external_id", "Only the one with this external id.")
        .in_query::<OrEmpty<Email>>("email", "Only those with this e-mail address.")
        .in_query::<Vec<String>>("parent_customer_ids", "Only those with one of these parents.")
}
