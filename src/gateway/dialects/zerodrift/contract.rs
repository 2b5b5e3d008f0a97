//! Every operation of the dialect in one place.

use std::borrow::Cow;

use axum::routing::{delete, get, post, put};
use http::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use tallybook_events::ids::CustomerId;

use super::asked::{ShownStatus, Tier};
use super::changes::{CreateCustomer, UpdateCustomer};
use super::customer::{CreatedCustomer, DeletedCustomer, ShownCustomer, UpdatedCustomer};
use super::error::{ErrorBody, MessageBody};
use super::list::{CustomerList, MAX_LISTED, list};
use super::usage::CustomerUsage;
use super::{customers, usage};
use crate::gateway::contract::{Contract, Operation, Reply, Security};
use crate::gateway::headers::{LINK, REPLAYED, RETRY_AFTER};
use crate::gateway::idempotency::IdempotencyKey;

/// All customers.
const CUSTOMERS: &str = "/admin/customers";
/// One customer.
const CUSTOMER: &str = "/admin/customers/{customer_id}";

/// Gives what the dialect can do.
pub(super) fn contract() -> Contract {
    Contract {
        name: "zerodrift",
        title: "ZeroDrift Admin API",
        description: "The customers of ZeroDrift's Admin API, served by Tallybook.",
        base: "/zerodrift",
        security: &[Security::ApiKey],
        refusals: refusals(),
        operations: vec![
            create_customer(),
            list_customers(),
            get_customer(),
            update_customer(),
            delete_customer(),
            get_usage(),
        ],
    }
}

fn create_customer() -> Operation {
    let operation =
        Operation::new("createCustomer", Method::POST, CUSTOMERS, post(customers::create))
            .summary("Makes a customer of a tier.")
            .body::<CreateCustomer>()
            .answer::<CreatedCustomer>(201, "The customer.")
            .with_headers(&[REPLAYED]);
    reads_a_body(changes(operation))
}

fn list_customers() -> Operation {
    Operation::new("listCustomers", Method::GET, CUSTOMERS, get(list))
        .summary("Lists customers, the youngest first.")
        .in_query::<ShownStatus>("status", "Only those of a status.")
        .in_query::<Tier>("tier", "Only those of a tier.")
        .in_query::<Limit>("limit", "Most customers of the answer.")
        .in_query::<String>("cursor", "Where the answer before ended, from its Link.")
        .answer::<CustomerList>(200, "The customers.")
        .with_headers(&[LINK])
}

fn get_customer() -> Operation {
    of_customer(Operation::new("getCustomer", Method::GET, CUSTOMER, get(customers::show)))
        .summary("Gives a customer, a cancelled one too.")
        .answer::<ShownCustomer>(200, "The customer.")
}

fn update_customer() -> Operation {
    let operation = Operation::new("updateCustomer", Method::PUT, CUSTOMER, put(customers::update))
        .also_at(CUSTOMER)
        .summary("Changes what is given of a customer, and nothing else.")
        .body::<UpdateCustomer>()
        .answer::<UpdatedCustomer>(200, "The customer, as it is now.")
        .with_headers(&[REPLAYED]);
    reads_a_body(changes(of_customer(operation)))
}

fn delete_customer() -> Operation {
    let operation =
        Operation::new("deleteCustomer", Method::DELETE, CUSTOMER, delete(customers::delete))
            .summary("Cancels a customer. It takes no changes any more.")
            .answer::<DeletedCustomer>(200, "It is cancelled.")
            .with_headers(&[REPLAYED]);
    changes(of_customer(operation))
}

fn get_usage() -> Operation {
    let path = "/admin/usage/{customer_id}";
    of_customer(Operation::new("getUsage", Method::GET, path, get(usage::show)))
        .summary("Gives what a customer used in the current month and year.")
        .answer::<CustomerUsage>(200, "Its usage.")
}

/// Gives what any operation may answer instead of its own.
fn refusals() -> Vec<Reply> {
    vec![
        Reply::json::<ErrorBody<'_>>(400, "The request breaks a rule."),
        Reply::json::<MessageBody>(403, "The key opens nothing, or not this."),
        Reply::json::<MessageBody>(429, "The key has sent too many requests.").with(&[RETRY_AFTER]),
        Reply::json::<ErrorBody<'_>>(500, "Something failed here."),
        Reply::json::<MessageBody>(503, "There is no answer now; ask again.").with(&[RETRY_AFTER]),
    ]
}

/// Adds what operations on one customer take, and how they may say no, too.
fn of_customer(operation: Operation) -> Operation {
    operation
        .in_path::<CustomerId>("customer_id", "Customer UUID.")
        .answer::<ErrorBody<'_>>(404, "There is no such customer.")
}

/// Adds what changes take, and how they may say no, too.
fn changes(operation: Operation) -> Operation {
    operation
        .in_header::<IdempotencyKey>(
            "Idempotency-Key",
            "The caller's key for repeats of this request.",
        )
        .answer::<ErrorBody<'_>>(409, "It is cancelled, or another change of it is under way.")
        .with_headers(&[REPLAYED])
        .answer::<ErrorBody<'_>>(422, "The Idempotency-Key was used for another request.")
}

/// Adds how operations that read a body may say no, too.
fn reads_a_body(operation: Operation) -> Operation {
    operation
        .answer::<MessageBody>(408, "The body did not come in time.")
        .answer::<MessageBody>(413, "The body is too large.")
        .answer::<MessageBody>(415, "The body is not of the type application/json.")
}

/// Most customers of one answer.
struct Limit;

impl JsonSchema for Limit {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Limit".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "minimum": 1, "maximum": MAX_LISTED, "default": MAX_LISTED})
    }
}
