//! Every operation of the native API in one place.

use axum::routing::{delete, get, patch, post};
use http::Method;
use tallybook_events::customer::CustomerDocument;
use tallybook_events::customer::entitlements::Entitlements;
use tallybook_events::ids::{CommandId, CustomerKey};
use tallybook_events::text::TierName;
use tallybook_events::time::Timestamp;
use tallybook_projections::queries::{PeriodKind, TimelineItem, UsagePeriod};

use super::answer::CommandAnswer;
use super::check::{CheckAnswer, CheckBody};
use super::customers::{CustomerBody, PageBody};
use super::problem::{PROBLEM_JSON, Problem};
use super::shapes::{Cursor, IfMatch, Limit, Many, OneOrMany, OrderWord, StatusWord};
use super::usage::{UsageAnswer, UsageBody};
use super::{check, commands, customers, entitlements, history, usage};
use crate::gateway::body::{JSON, MERGE_PATCH};
use crate::gateway::contract::{Contract, Operation, Reply, Security};
use crate::gateway::headers::{
    ALLOW, ETAG, LATER, LINK, LOCATION, PREFERENCE_APPLIED, REPLAYED, RETRY_AFTER, WWW_AUTHENTICATE,
};
use crate::gateway::idempotency::IdempotencyKey;

/// Where customers are.
const CUSTOMERS: &str = "/api/v1/customers";
/// Where one customer is.
const CUSTOMER: &str = "/api/v1/customers/{customer}";

/// Gives what the native API can do.
pub(crate) fn contract() -> Contract {
    Contract {
        name: "native",
        title: "Tallybook",
        description: "Customers of usage-billed products: commands that change them, reports of what \
                      they used, and how they stand.",
        base: "",
        security: &[Security::Bearer, Security::ApiKey],
        refusals: refusals(),
        operations: [writing(), reading()].into_iter().flatten().collect(),
    }
}

fn problem(status: u16, description: &'static str) -> Reply {
    Reply::of::<Problem>(status, PROBLEM_JSON, description)
}

/// Gives what any operation may answer.
fn refusals() -> Vec<Reply> {
    vec![
        problem(400, "Two different credentials were shown."),
        problem(401, "No valid API key was shown.").with(&[WWW_AUTHENTICATE]),
        problem(403, "The API key lacks the scope that is needed."),
        problem(404, "There is nothing at the path."),
        problem(405, "The path does not take the method.").with(&[ALLOW]),
        problem(429, "The API key has sent too many requests.").with(&[RETRY_AFTER]),
        problem(500, "We failed. It is told in the log."),
        problem(503, "Something is overloaded, or too slow. The code says whether it was done.")
            .with(&[RETRY_AFTER]),
    ]
}

fn writing() -> Vec<Operation> {
    let create = Operation::new("createCustomer", Method::POST, CUSTOMERS, post(customers::create))
        .summary("Makes a customer.")
        .body::<CustomerBody>()
        .answer::<CustomerDocument>(201, "The customer was made.")
        .with_headers(&[ETAG, LOCATION, REPLAYED])
        .reply(problem(409, "The key is taken, or such a request is not answered yet."));
    let update =
        Operation::new("updateCustomer", Method::PATCH, CUSTOMER, patch(customers::update))
            .summary("Changes a customer, by a JSON merge patch (RFC 7396).")
            .body_of::<CustomerBody>(&[MERGE_PATCH, JSON]);
    let archive =
        Operation::new("archiveCustomer", Method::DELETE, CUSTOMER, delete(customers::archive))
            .summary("Archives a customer: its key is free, and it takes no changes any more.");
    let send =
        Operation::new("sendCommands", Method::POST, "/api/v1/commands", post(commands::post))
            .summary("Sends one command, or an array of commands.")
            .body::<OneOrMany>()
            .answer::<CommandAnswer<'_>>(200, "The command was accepted.")
            .with_headers(&[REPLAYED])
            .answer::<Many<CommandAnswer<'_>>>(200, "Of an array: what became of each.")
            .answer::<Many<CommandAnswer<'_>>>(202, "Of an array: each is kept.")
            .with_headers(&[PREFERENCE_APPLIED])
            .reply(problem(404, "There is no such customer."))
            .reply(problem(409, "Taken, archived, or an id that was used for something else."))
            .reply(problem(412, "The customer is at another version than expected."));
    let record = Operation::new("recordUsage", Method::POST, "/api/v1/usage", post(usage::post))
        .summary("Records reports of what a customer used. A customer that is not known is made.")
        .body::<UsageBody>()
        .answer::<UsageAnswer<'_>>(200, "What became of each report.")
        .with_headers(&[REPLAYED])
        .reply(problem(404, "There is no customer with that id."))
        .reply(problem(409, "The customer is archived, or such a request is not answered yet."));
    vec![
        with_body(changing(create)),
        with_body(changing(of_version(update))),
        changing(of_version(archive)),
        with_body(changing(send)),
        with_body(changing(record)),
    ]
}

/// Adds what all have that ask for a change.
fn changing(operation: Operation) -> Operation {
    operation
        .in_header::<IdempotencyKey>(
            "Idempotency-Key",
            "The same key and the same request get the first answer again.",
        )
        .in_header::<String>("Prefer", "With `respond-async` nobody waits for the decision.")
        .in_header::<String>("X-Request-Id", "The caller's word for all that belongs together.")
        .in_header::<String>("Traceparent", "W3C trace context.")
        .answer::<CommandAnswer<'_>>(
            202,
            "Kept, but not decided: nobody waits, or a slot is asked.",
        )
        .with_headers(&[REPLAYED, LATER, PREFERENCE_APPLIED])
        .reply(problem(400, "The request is malformed, or a field breaks its own rule."))
        .reply(problem(422, "A rule of the business is broken, or the idempotency key was used."))
}

/// Adds what all have that take a body.
fn with_body(operation: Operation) -> Operation {
    operation
        .reply(problem(408, "The body did not come in time."))
        .reply(problem(413, "The body is too big."))
        .reply(problem(415, "The body is not of a type that is taken, or it is encoded."))
}

/// Adds what those have that change a customer at a version.
fn of_version(operation: Operation) -> Operation {
    named(operation)
        .in_header::<IfMatch>("If-Match", "The version that the customer must have, by its ETag.")
        .answer::<CustomerDocument>(200, "The customer as it stands now.")
        .with_headers(&[ETAG, REPLAYED])
        .reply(problem(409, "The customer is archived, the key taken, or a change is under way."))
        .reply(problem(412, "The customer is at another version than If-Match says."))
}

/// Adds what those have that are about one customer.
fn named(operation: Operation) -> Operation {
    operation
        .in_path::<CustomerKey>("customer", "The customer: its id, or its key.")
        .reply(problem(404, "There is no such customer."))
}

fn reading() -> Vec<Operation> {
    let timeline = "/api/v1/customers/{customer}/timeline";
    let ledger = "/api/v1/customers/{customer}/usage";
    let list = Operation::new("listCustomers", Method::GET, CUSTOMERS, get(customers::list))
        .summary("Lists customers, in the order of their birth; archived ones too.")
        .in_query::<StatusWord>("status", "Only those.")
        .in_query::<TierName>("tier", "Only those of a tier.")
        .in_query::<String>("key_prefix", "Only those whose key begins so.")
        .answer::<PageBody<'_, CustomerDocument>>(200, "A page of customers.");
    let show = Operation::new("getCustomer", Method::GET, CUSTOMER, get(customers::show))
        .summary("Gives a customer, as it stands or as it stood.")
        .in_query::<Timestamp>("as_of", "As it stood at that moment; not beside `version`.")
        .in_query::<u64>("version", "As it stood after so many events; not beside `as_of`.")
        .answer::<CustomerDocument>(200, "The customer.")
        .with_headers(&[ETAG])
        .reply(problem(400, "A parameter is unknown or malformed."));
    let timeline = Operation::new("getTimeline", Method::GET, timeline, get(history::timeline))
        .summary("Gives a customer's events, from old to new.")
        .answer::<PageBody<'_, TimelineItem>>(200, "A page of events.");
    let ledger = Operation::new("getUsage", Method::GET, ledger, get(history::usage))
        .summary("Gives what a customer used, by periods, from old to new.")
        .in_query::<PeriodKind>("kind", "Only periods of that kind.")
        .answer::<PageBody<'_, UsagePeriod>>(200, "A page of periods.");
    let entitlements = Operation::new(
        "getEntitlements",
        Method::GET,
        "/api/v1/customers/{customer}/entitlements",
        get(entitlements::show),
    )
    .summary("Gives a customer's plans, purchases, balances by feature, flags and usage limits.")
    .in_query::<Timestamp>("as_of", "As they stood at that moment; not beside `version`.")
    .in_query::<u64>("version", "As they stood after so many events; not beside `as_of`.")
    .answer::<Entitlements>(200, "What the customer is entitled to.")
    .reply(problem(400, "A parameter is unknown or malformed."));
    let check = Operation::new(
        "checkSpend",
        Method::POST,
        "/api/v1/customers/{customer}/check",
        post(check::post),
    )
    .summary("Tells whether a spend would be allowed, with all that stands against it.")
    .body::<CheckBody>()
    .answer::<CheckAnswer>(200, "Whether it would be.")
    .reply(problem(400, "The body is malformed."));
    let check = with_body(named(check));
    let command = Operation::new(
        "getCommand",
        Method::GET,
        "/api/v1/commands/{command_id}",
        get(commands::show),
    )
    .summary("Tells what became of a command, in the shape of the answer to it.")
    .in_path::<CommandId>("command_id", "The command.")
    .answer::<CommandAnswer<'_>>(200, "What became of it.")
    .reply(problem(400, "A parameter is unknown."))
    .reply(problem(404, "There is no such command, or it is not decided yet."));
    vec![
        command,
        paged(list),
        named(show),
        check,
        named(entitlements),
        named(paged(timeline)),
        named(paged(ledger)),
    ]
}

/// Adds what all lists have; their page is the answer that was added last.
fn paged(operation: Operation) -> Operation {
    operation
        .with_headers(&[LINK])
        .in_query::<Limit>("limit", "Most items of the page; 50 unless asked otherwise.")
        .in_query::<Cursor>("cursor", "Where the page before ended: its `next`.")
        .in_query::<OrderWord>("order", "Direction; `asc` unless asked otherwise.")
        .reply(problem(400, "A parameter is unknown or malformed."))
}
