//! Every operation of the dialect in one place.

use std::borrow::Cow;
use std::sync::Arc;

use axum::routing::{MethodRouter, patch, post};
use http::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use tallybook_events::ids::CustomerKey;

use super::asked::customer::{GetOrCreate, LegacyChange, OneCustomer, UpdateCustomer};
use super::asked::page::ListCustomers;
use super::refused::ErrorBody;
use super::shown::customer::Customer;
use super::shown::list::{CustomerList, Deleted};
use super::{create, delete, get, list, update};
use crate::gateway::Core;
use crate::gateway::contract::{Contract, Operation, Reply, Security};
use crate::gateway::headers::{Header, RETRY_AFTER};
use crate::gateway::idempotency::IdempotencyKey;

/// Media type of the one answer that is no JSON.
const PLAIN_TEXT: &str = "text/plain";
/// Headers of the answer to too many requests.
const LIMITED: &[Header] = &[
    RETRY_AFTER,
    Header {
        name: "RateLimit-Limit",
        says: "How many requests the key may send in a second.",
        pattern: "^[0-9]+$",
        always: true,
    },
    Header {
        name: "RateLimit-Remaining",
        says: "How many it has left.",
        pattern: "^0$",
        always: true,
    },
    Header {
        name: "RateLimit-Reset",
        says: "Seconds after which it has one again.",
        pattern: "^[0-9]+$",
        always: true,
    },
];

/// Gives what the dialect can do.
pub(super) fn contract() -> Contract {
    Contract {
        name: "autumn",
        title: "Autumn customers",
        description: "The customers API of Autumn (useautumn.com), served by Tallybook.",
        base: "/autumn",
        security: &[Security::Bearer],
        refusals: refusals(),
        operations: vec![
            update_customer(),
            get_customer(),
            get_or_create_customer(),
            list_customers(),
            delete_customer(),
            legacy("updateCustomerByPost", Method::POST, post(update::legacy)),
            legacy("updateCustomerByPatch", Method::PATCH, patch(update::legacy)),
        ],
    }
}

fn update_customer() -> Operation {
    let path = "/v1/customers.update";
    let operation = call("updateCustomer", path, post(update::post))
        .also_at(path)
        .summary("Changes a customer. It never makes one.")
        .body::<UpdateCustomer>()
        .answer::<Customer<'_>>(200, "The customer, as it is now.");
    changes(of_one(operation))
}

fn get_customer() -> Operation {
    let operation = call("getCustomer", "/v1/customers.get", post(get::post))
        .summary("Gives a customer.")
        .body::<OneCustomer>()
        .answer::<Customer<'_>>(200, "The customer.");
    of_one(operation)
}

fn get_or_create_customer() -> Operation {
    let path = "/v1/customers.get_or_create";
    let operation = call("getOrCreateCustomer", path, post(create::post))
        .summary("Gives a customer as it stands, or makes it.")
        .body::<GetOrCreate>()
        .answer::<Customer<'_>>(200, "The customer.");
    changes(operation)
}

fn list_customers() -> Operation {
    call("listCustomers", "/v1/customers.list", post(list::post))
        .summary("Lists customers, page by page, from new to old.")
        .body::<Option<ListCustomers>>()
        .body_may_be_left_out()
        .answer::<CustomerList<'_>>(200, "A page of customers.")
}

fn delete_customer() -> Operation {
    let path = "/v1/customers.delete";
    let operation = Operation::new("deleteCustomer", Method::POST, path, post(delete::post));
    // No customer is shown, so no version is too old.
    let operation = bodied(operation)
        .in_header::<AnyVersion>("x-api-version", "Version of the API.")
        .summary("Deletes a customer: its id is free.")
        .body::<OneCustomer>()
        .answer::<Deleted>(200, "It is deleted.");
    changes(of_one(operation))
}

fn legacy(id: &'static str, method: Method, handler: MethodRouter<Arc<Core>>) -> Operation {
    let path = "/v1/customers/{customer_id}";
    let operation = reads(Operation::new(id, method, path, handler))
        .summary("Changes a customer, as older clients ask for it.")
        .in_path::<CustomerKey>("customer_id", "The customer: the caller's id, or ours.")
        .body::<Option<LegacyChange>>()
        .body_may_be_left_out()
        .answer::<Customer<'_>>(200, "The customer, as it is now.");
    changes(of_one(operation))
}

fn call(id: &'static str, path: &'static str, handler: MethodRouter<Arc<Core>>) -> Operation {
    reads(Operation::new(id, Method::POST, path, handler))
}

/// Adds what all take, and how those that read a body may say no.
fn reads(operation: Operation) -> Operation {
    let version = "Version of the API: 2.1 or later, as numbers or by the date of its release.";
    bodied(operation).in_header::<Version>("x-api-version", version)
}

/// Adds how those that read a body may say no.
fn bodied(operation: Operation) -> Operation {
    operation
        .answer::<ErrorBody>(408, "The body did not come in time.")
        .answer::<ErrorBody>(413, "The body is too large.")
}

/// Adds how an operation about one customer may say no.
fn of_one(operation: Operation) -> Operation {
    operation.answer::<ErrorBody>(404, "There is no such customer.")
}

/// Adds what changes take, and how they may say no, too.
fn changes(operation: Operation) -> Operation {
    operation
        .in_header::<IdempotencyKey>(
            "Idempotency-Key",
            "The caller's key for this request. Used again, it is a conflict; a request that failed \
             gives it back.",
        )
        .answer::<ErrorBody>(409, "The id is taken, or the Idempotency-Key was used before.")
}

/// Gives what any operation may answer instead of its own.
fn refusals() -> Vec<Reply> {
    vec![
        Reply::json::<ErrorBody>(400, "The request breaks a rule."),
        Reply::json::<ErrorBody>(401, "The key opens nothing."),
        Reply::json::<ErrorBody>(403, "The key may not be used so."),
        Reply::of::<String>(429, PLAIN_TEXT, "The key has sent too many requests.").with(LIMITED),
        Reply::json::<ErrorBody>(500, "Something failed here."),
        Reply::json::<ErrorBody>(503, "There is no answer now; ask again.").with(&[RETRY_AFTER]),
    ]
}

/// A version of the API in whose shape a customer is shown.
struct Version;

/// Any version of the API.
struct AnyVersion;

/// A day on which the latest version is out; many others are read, too.
const RELEASED: &str = "2026-0[4-9]-[0-2][1-8](\\.clover)?";

macro_rules! version_schema {
    ($name:ident, $numbers:literal) => {
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string", "maxLength": 32, "default": "2.1",
                    "pattern": format!("^({}|{RELEASED})?$", $numbers)
                })
            }
        }
    };
}
version_schema!(
    Version,
    r"(2\.[1-9][0-9]{0,3}|([3-9]|[1-9][0-9]{1,3})(\.[0-9]{1,4})?)(\.[0-9]{1,3})?"
);
version_schema!(AnyVersion, r"[0-9]{1,9}(\.[0-9]{1,9}){0,2}");
