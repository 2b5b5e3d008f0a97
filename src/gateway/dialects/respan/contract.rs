//! Every operation of the dialect in one place.

use std::borrow::Cow;
use std::sync::Arc;

use axum::routing::{MethodRouter, delete, get, patch, post};
use http::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use tallybook_events::ids::CustomerKey;

use super::asked::RespanEnvironment;
use super::error::{BadRequest, Detail, Internal, Limited};
use super::list::{DEFAULT_PAGE_SIZE, ListUsers, MAX_PAGE, MAX_PAGE_SIZE, UserPage, list};
use super::listed::Field;
use super::update::UpdateUser;
use super::user::User;
use super::users;
use crate::gateway::Core;
use crate::gateway::contract::{Contract, Operation, Reply, Security};
use crate::gateway::headers::{REPLAYED, RETRY_AFTER, WWW_AUTHENTICATE};
use crate::gateway::idempotency::IdempotencyKey;

/// What an environment is asked for with.
const ENVIRONMENT: &str = "Environment. A key opens one: of the other it finds no customer.";
/// Gives what the dialect can do.
pub(super) fn contract() -> Contract {
    Contract {
        name: "respan",
        title: "Respan users",
        description: "The users API of Respan (formerly Keywords AI), served by Tallybook.",
        base: "/respan",
        security: &[Security::Bearer],
        refusals: refusals(),
        operations: vec![update_user(), retrieve_user(), delete_user(), list_users()],
    }
}

fn update_user() -> Operation {
    let operation = of_user("updateUser", Method::PATCH, patch(users::update))
        .also_at("/api/users/{customer_identifier}/")
        .also_at("/api/users/{customer_identifier}")
        .summary("Changes a user's profile and budget. It never makes one: usage does.")
        .body::<UpdateUser>()
        .body_may_be_left_out()
        .answer::<User>(200, "The user, as it is now.")
        .with_headers(&[REPLAYED]);
    reads_a_body(changes(operation))
}

fn retrieve_user() -> Operation {
    of_user("retrieveUser", Method::GET, get(users::show))
        .summary("Gives a user's profile and what it used in the current budget period.")
        .answer::<User>(200, "The user.")
}

fn delete_user() -> Operation {
    let operation = of_user("deleteUser", Method::DELETE, delete(users::delete))
        .summary("Deletes a user: its identifier is free.")
        .reply(Reply::empty(204, "It is deleted.").with(&[REPLAYED]));
    changes(operation)
}

fn list_users() -> Operation {
    let operation = Operation::new("listUsers", Method::POST, "/api/users/list/", post(list))
        .also_at("/respan/api/users/list")
        .summary("Lists users, page by page.")
        .in_query::<PageNumber>("page", "Page number, from 1.")
        .in_query::<PageSize>("page_size", "Users of a page.")
        .in_query::<SortBy>("sort_by", "Sort field; with `-` before it from high to low.")
        .in_query::<RespanEnvironment>("environment", ENVIRONMENT)
        .body::<ListUsers>()
        .body_may_be_left_out()
        .answer::<UserPage>(200, "A page of users; empty after the last one.");
    reads_a_body(operation)
}

fn of_user(id: &'static str, method: Method, handler: MethodRouter<Arc<Core>>) -> Operation {
    Operation::new(id, method, "/api/users/{customer_identifier}/", handler)
        .also_at("/respan/api/users/{customer_identifier}")
        // With the slash there are lists, and nothing else: without it the customer of that name, too.
        .also_at("/respan/api/users/list")
        .in_path::<CustomerKey>("customer_identifier", "Your unique identifier for this user.")
        .in_query::<RespanEnvironment>("environment", ENVIRONMENT)
        .answer::<Detail<'_>>(404, "There is no such user.")
}

/// Gives what any operation may answer instead of its own.
fn refusals() -> Vec<Reply> {
    vec![
        Reply::json::<BadRequest>(400, "The request breaks a rule."),
        Reply::json::<Detail<'_>>(401, "The key opens nothing.").with(&[WWW_AUTHENTICATE]),
        Reply::json::<Detail<'_>>(403, "The key may not be used so."),
        Reply::json::<Limited>(429, "The key has sent too many requests.").with(&[RETRY_AFTER]),
        Reply::json::<Internal>(500, "Something failed here."),
        Reply::json::<Detail<'_>>(503, "There is no answer now; ask again.").with(&[RETRY_AFTER]),
    ]
}

/// Adds what changes take, and how they may say no, too.
fn changes(operation: Operation) -> Operation {
    operation
        .in_header::<IdempotencyKey>(
            "Idempotency-Key",
            "The caller's key for repeats of this request.",
        )
        .answer::<Detail<'_>>(409, "Another change of this user is under way.")
        .with_headers(&[REPLAYED])
        .answer::<Detail<'_>>(422, "The Idempotency-Key was used for another request.")
}

/// Adds how operations that read a body may say no, too.
fn reads_a_body(operation: Operation) -> Operation {
    operation
        .answer::<Detail<'_>>(408, "The body did not come in time.")
        .answer::<Detail<'_>>(413, "The body is too large.")
        .answer::<Detail<'_>>(415, "The body is not of the type application/json.")
}

/// Number of a page.
struct PageNumber;

impl JsonSchema for PageNumber {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "PageNumber".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": 1})
    }
}

/// Number of users of a page.
struct PageSize;

impl JsonSchema for PageSize {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "PageSize".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let default = DEFAULT_PAGE_SIZE;
        json_schema!({"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": default})
    }
}

/// What a list is sorted by.
struct SortBy;

impl JsonSchema for SortBy {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "SortBy".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names = Field::SORTED.map(Field::as_str);
        let both: Vec<String> =
            names.iter().flat_map(|name| [(*name).to_owned(), format!("-{name}")]).collect();
        json_schema!({"type": "string", "enum": both, "default": "-first_seen"})
    }
}
