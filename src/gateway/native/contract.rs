//! Every operation of the native API in one place.

use axum::routing::{delete, get, patch, post};
use http::Method;

use super::{commands, customers, history, usage};
use crate::gateway::contract::{Contract, Operation, Security};

/// Gives what the native API can do.
pub(crate) fn contract() -> Contract {
    Contract {
        name: "native",
        title: "Tallybook",
        description: "Customers of usage-billed products: commands that change them, reports of what \
                      they used, and how they stand.",
        base: "",
        security: &[Security::Bearer, Security::ApiKey],
        refusals: Vec::new(),
        operations: operations(),
    }
}

fn operations() -> Vec<Operation> {
    let command = "/api/v1/commands/{command_id}";
    let customers = "/api/v1/customers";
    let customer = "/api/v1/customers/{customer}";
    let timeline = "/api/v1/customers/{customer}/timeline";
    let ledger = "/api/v1/customers/{customer}/usage";
    vec![
        Operation::new("sendCommands", Method::POST, "/api/v1/commands", post(commands::post))
            .summary("Sends one command, or an array of commands."),
        Operation::new("getCommand", Method::GET, command, get(commands::show))
            .summary("Tells what became of a command, in the shape of the answer to it."),
        Operation::new("listCustomers", Method::GET, customers, get(customers::list))
            .summary("Lists customers, in the order of their birth."),
        Operation::new("createCustomer", Method::POST, customers, post(customers::create))
            .summary("Makes a customer."),
        Operation::new("getCustomer", Method::GET, customer, get(customers::show))
            .summary("Gives a customer, as it stands or as it stood."),
        Operation::new("updateCustomer", Method::PATCH, customer, patch(customers::update))
            .summary("Changes a customer, by a JSON merge patch."),
        Operation::new("archiveCustomer", Method::DELETE, customer, delete(customers::archive))
            .summary("Archives a customer: its key is free, and it takes no changes any more."),
        Operation::new("getTimeline", Method::GET, timeline, get(history::timeline))
            .summary("Gives a customer's events."),
        Operation::new("getUsage", Method::GET, ledger, get(history::usage))
            .summary("Gives what a customer used, by periods."),
        Operation::new("recordUsage", Method::POST, "/api/v1/usage", post(usage::post))
            .summary("Records reports of what a customer used."),
    ]
}
