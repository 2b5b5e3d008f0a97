//! What is said when the rules refuse a command.

use http::StatusCode;
use tallybook_events::decision::Rejection;

use super::super::named::{AskedFor, Made, Name};
use super::{Code, Refused};
use crate::gateway::submit::Unchanged;

impl Refused {
    /// There is no such customer.
    pub(in super::super) fn no_customer(name: &Name) -> Self {
        let internal = "ent: customer not found";
        match name {
            Name::Id(id) => {
                let message = format!("Customer with ID {id} was not found");
                Self::new(Code::NotFound, message, internal).detail("customer_id", id)
            }
            Name::External(key) => {
                let message = format!("Customer with lookup key {key} was not found");
                Self::new(Code::NotFound, message, internal).detail("lookup_key", key)
            }
        }
    }

    /// The external id belongs to another customer.
    pub(in super::super) fn taken(external_id: &str, email: &str) -> Self {
        let internal = "ent: constraint failed: pq: duplicate key value violates unique constraint \
                        \"idx_tenant_environment_external_id_unique\"";
        Self::new(Code::AlreadyExists, "A customer with this identifier already exists", internal)
            .detail("external_id", external_id)
            .detail("email", email)
    }

    /// Says why a change was not made, or is not shown.
    pub(in super::super) fn unchanged(unchanged: Unchanged, asked: &AskedFor) -> Self {
        match &unchanged {
            Unchanged::Rejected { rejection, .. } => {
                Self::rejected(rejection, asked).repeated_as(&unchanged)
            }
            Unchanged::Undecided(error) => (*error).into(),
            Unchanged::Deferred => Self::unavailable(
                "the change waits for another customer's answer; ask for the customer a little later",
            ),
            Unchanged::NotShown => Self::unavailable(
                "the change was made, but is not shown yet; ask for the customer a little later",
            ),
        }
    }

    fn rejected(rejection: &Rejection, asked: &AskedFor) -> Self {
        let detail = &*rejection.detail;
        if let Some(refused) = parent_rule(rejection.code.as_str(), asked) {
            return refused;
        }
        match rejection.code.as_str() {
            "unknown_customer" => Self::no_customer(&asked.customer),
            "customer_archived" => {
                let message = "Archived customers cannot be changed";
                Self::new(Code::VersionConflict, message, "customer is not published")
            }
            "change_in_progress" => {
                let message = "The customer is being changed. Please try again";
                Self::new(Code::VersionConflict, message, detail)
            }
            "idempotency_key_reused" => {
                let message = "This idempotency key was used for another request";
                Self::new(Code::ValidationError, message, detail)
                    .at_status(StatusCode::UNPROCESSABLE_ENTITY)
            }
            "internal_fault" => {
                Self::new(Code::InternalError, "An unexpected error occurred", detail)
            }
            "parent_refused" => {
                let message = "The parent customer cannot be set";
                Self::new(Code::InvalidOperation, message, detail)
            }
            "metadata_too_large" => {
                Self::new(Code::ValidationError, "The metadata would be too large", detail)
            }
            _ => Self::new(Code::ValidationError, "Invalid customer", detail),
        }
    }
}

/// Says which rule of parents a command breaks, if it is one of them.
fn parent_rule(code: &str, asked: &AskedFor) -> Option<Refused> {
    let operation =
        |internal: &str, message: &str| Refused::new(Code::InvalidOperation, message, internal);
    Some(match (code, asked.made) {
        ("customer_has_subscriptions", _) => operation(
            "customer hierarchy cannot change with active subscriptions",
            "Cancel or transfer subscriptions before updating parent hierarchy",
        ),
        ("parent_is_self", _) => Refused::new(
            Code::ValidationError,
            "Please provide a different customer as parent",
            "customer cannot be its own parent",
        ),
        ("parent_unknown", _) => Refused::no_customer(asked.parent.as_ref()?),
        ("parent_is_child", Made::New) => operation(
            "parent customer cannot be a child",
            "Choose a parent customer that isn't a child of another",
        ),
        ("parent_is_child", Made::Known) => operation(
            "parent customer cannot have its own parent",
            "Nested hierarchies are not supported; pick a top-level customer as parent",
        ),
        ("customer_has_children", _) => operation(
            "customer already acts as a parent",
            "A customer cannot be both parent and child; detach child customers first",
        ),
        _ => return None,
    })
}
