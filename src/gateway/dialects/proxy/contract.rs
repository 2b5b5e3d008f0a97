//! Every operation of the dialect in one place.

use std::sync::Arc;

use axum::routing::{MethodRouter, delete, get, patch, post};
use http::Method;

use super::asked::{CreateCustomerRequest, UpdateCustomerRequest};
use super::customer::{Customer, ShownId};
use super::customers;
use super::error::ErrorBody;
use super::evaluate::{EvaluateSpendRequest, EvaluateSpendResponse, evaluate};
use super::list::{CustomerPage, Limit, list};
use crate::gateway::Core;
use crate::gateway::contract::{Contract, Operation, Reply, Security};
use crate::gateway::headers::{REPLAYED, RETRY_AFTER, WWW_AUTHENTICATE};
use crate::gateway::idempotency::IdempotencyKey;

/// Gives what the dialect can do.
pub(super) fn contract() -> Contract {
    Contract {
        name: "proxy",
        title: "Proxy customers",
        description: "The customers API of Proxy, served by Tallybook.",
        base: "/proxy",
        security: &[Security::Bearer],
        refusals: refusals(),
        operations: vec![
            update_customer(),
            get_customer(),
            create_customer(),
            delete_customer(),
            list_customers(),
            evaluate_spend(),
        ],
    }
}

fn update_customer() -> Operation {
    let operation = of_customer("updateCustomer", Method::PATCH, patch(customers::update))
        .also_at("/v1/customers/{id}")
        .summary("Updates customer details.")
        .body::<UpdateCustomerRequest>()
        .answer::<Customer>(200, "Customer updated.")
        .with_headers(&[REPLAYED]);
    reads_a_body(changes(operation))
}

fn get_customer() -> Operation {
    of_customer("getCustomer", Method::GET, get(customers::show))
        .summary("Retrieves a customer by ID.")
        .answer::<Customer>(200, "Customer details.")
}

fn create_customer() -> Operation {
    let operation =
        Operation::new("createCustomer", Method::POST, "/v1/customers", post(customers::create))
            .summary("Creates a new customer record.")
            .body::<CreateCustomerRequest>()
            .answer::<Customer>(201, "Customer created.")
            .with_headers(&[REPLAYED]);
    reads_a_body(changes(operation))
}

fn delete_customer() -> Operation {
    let operation = of_customer("deleteCustomer", Method::DELETE, delete(customers::delete))
        .summary("Soft-deletes a customer. Sets status to deleted.")
        .answer::<Customer>(200, "Customer deleted.")
        .with_headers(&[REPLAYED]);
    changes(operation)
}

fn list_customers() -> Operation {
    Operation::new("listCustomers", Method::GET, "/v1/customers", get(list))
        .summary("Retrieves a paginated list of all customers.")
        .in_query::<Limit>("limit", "Maximum number of results to return.")
        .in_query::<String>("cursor", "Pagination cursor for fetching the next page.")
        .answer::<CustomerPage>(200, "List of customers.")
}

fn evaluate_spend() -> Operation {
    let operation =
        Operation::new("evaluateSpendPolicy", Method::POST, "/v1/spend/evaluate", post(evaluate))
            .summary("Evaluates whether a proposed spend would be approved by the rules of now.")
            .body::<EvaluateSpendRequest>()
            .answer::<EvaluateSpendResponse>(200, "Policy evaluation result.")
            .answer::<ErrorBody<'_>>(404, "There is no such customer.");
    reads_a_body(operation)
}

fn of_customer(id: &'static str, method: Method, handler: MethodRouter<Arc<Core>>) -> Operation {
    Operation::new(id, method, "/v1/customers/{customerId}", handler)
        .in_path::<ShownId>("customerId", "Customer ID.")
        .answer::<ErrorBody<'_>>(404, "Resource not found.")
        .with_headers(&[REPLAYED])
}

/// Gives what any operation may answer instead of its own.
fn refusals() -> Vec<Reply> {
    let error = Reply::json::<ErrorBody<'_>>;
    vec![
        error(400, "Bad request: invalid parameters."),
        error(401, "Unauthorized: missing or invalid API key.").with(&[WWW_AUTHENTICATE]),
        error(403, "Forbidden: the API key may not be used for this."),
        error(429, "Too many requests.").with(&[RETRY_AFTER]),
        error(500, "Something went wrong here."),
        error(503, "Temporarily unavailable.").with(&[RETRY_AFTER]),
    ]
}

/// Adds what changes take, and how they may say no, too.
fn changes(operation: Operation) -> Operation {
    operation
        .in_header::<IdempotencyKey>(
            "Idempotency-Key",
            "Unique key for idempotent requests (24-hour cache).",
        )
        .answer::<ErrorBody<'_>>(409, "The customer is deleted, or another request is under way.")
        .with_headers(&[REPLAYED])
        .answer::<ErrorBody<'_>>(422, "The Idempotency-Key was used for another request.")
}

/// Adds how operations that read a body may say no, too.
fn reads_a_body(operation: Operation) -> Operation {
    operation
        .answer::<ErrorBody<'_>>(408, "The body did not come in time.")
        .answer::<ErrorBody<'_>>(413, "The body is too large.")
        .answer::<ErrorBody<'_>>(415, "The body is not of the type application/json.")
}
