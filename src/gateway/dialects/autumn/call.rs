//! One call: what its headers and its key say, and what comes before its body is looked at.

use axum::extract::Request;
use axum::response::Response;
use http::{HeaderValue, StatusCode};
use tallybook_events::command::{CommandBody, Context};
use tallybook_events::customer::CustomerDocument;
use tallybook_events::decision::{Accepted, Outcome, RejectionCode};
use tallybook_events::ids::{CustomerRef, Scope, Token};
use tallybook_events::json::Json;
use tallybook_events::outside::{self, Fault, FaultKind};
use tallybook_projections::queries::AsOf;

use super::SOURCE;
use super::refused::Refused;
use super::shown::customer::Customer;
use super::version::ApiVersion;
use crate::gateway::answer::json;
use crate::gateway::auth::Caller;
use crate::gateway::body::{self, MAX_SINGLE};
use crate::gateway::customer::CustomerName;
use crate::gateway::idempotency::IDEMPOTENCY_KEY;
use crate::gateway::{Core, ask};
use crate::inbox::{Answer, InboxError};
use crate::keys::KeyScope;

/// A call.
pub(super) struct Call<'a> {
    pub(super) core: &'a Core,
    pub(super) caller: &'a Caller,
    pub(super) version: ApiVersion,
    body: Result<Json, Refused>,
    context: Context,
    /// The idempotency key, as it was spelled.
    spelled_key: String,
}

impl<'a> Call<'a> {
    /// Takes a request in. A body that is no JSON, and none, is an empty object, whatever its type.
    pub(super) async fn begin(
        core: &'a Core,
        caller: &'a Caller,
        request: Request,
    ) -> Result<Self, Refused> {
        let (parts, body) = request.into_parts();
        let version = ApiVersion::of(&parts.headers).map_err(|text| Refused::version(&text))?;
        let timeout = core.gateway.timeouts.body;
        let bytes = body::read(&parts.headers, body, MAX_SINGLE, timeout).await?;
        let context =
            ask::context(&parts, &bytes).map_err(|error| Refused::request(error.to_string()))?;
        let spelled_key = parts.headers.get(IDEMPOTENCY_KEY).map(HeaderValue::as_bytes);
        let spelled_key = String::from_utf8_lossy(spelled_key.unwrap_or_default()).into_owned();
        let refusal_frees_key = context.idempotency_key.is_some();
        let context = Context { refusal_frees_key, ..context };
        Ok(Self { core, caller, version, body: read(&bytes), context, spelled_key })
    }

    /// Gives the tenant and environment.
    pub(super) fn scope(&self) -> &Scope {
        self.caller.scope()
    }

    /// Gives the idempotency key, if there is one.
    pub(super) fn idempotency_key(&self) -> Option<&Token> {
        self.context.idempotency_key.as_ref()
    }

    /// Gives the customer that the body names, if it does.
    pub(super) fn named(&self) -> Option<CustomerName> {
        let Ok(Json::Object(members)) = &self.body else { return None };
        CustomerName::parse(members.get("customer_id")?.as_str()?)
    }

    /// Reads the body of a question.
    pub(super) fn question<T>(
        &self,
        read: impl FnOnce(&Json) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        self.permitted(KeyScope::Read, read)
    }

    /// Reads the body of a change of a customer. That its idempotency key was used before comes first.
    pub(super) async fn change<T>(
        &self,
        customer: Option<CustomerName>,
        read: impl FnOnce(&Json) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        match (self.permitted(KeyScope::Write, read), customer) {
            (Err(refused), Some(customer)) => {
                self.check_unused(&customer).await?;
                Err(refused)
            }
            (read, _) => read,
        }
    }

    fn permitted<T>(
        &self,
        scope: KeyScope,
        read: impl FnOnce(&Json) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        self.caller.require(scope)?;
        match &self.body {
            Ok(body) => read(body),
            Err(refused) => Err(refused.clone()),
        }
    }

    /// Checks that the idempotency key was not used before, by a change that is not made.
    async fn check_unused(&self, customer: &CustomerName) -> Result<(), Refused> {
        if self.idempotency_key().is_none() {
            return Ok(());
        }
        let customer = self.reference(customer).await?;
        let context = Context { dry_run: true, ..self.context.clone() };
        let body = CommandBody::UpdateCustomer(Box::default());
        match self.submit(customer, context, body).await {
            Err(refused) if refused == self.duplicate() => Err(refused),
            // Whatever else it says, the change is refused for another reason.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Gives how a command is to name the customer that a call names. With an idempotency key by our
    /// id, so that the key is the customer's, whatever the customer is called.
    pub(super) async fn reference(&self, name: &CustomerName) -> Result<CustomerRef, Refused> {
        if self.idempotency_key().is_some()
            && let Some(id) = self.core.resolve(self.scope(), name).await?
        {
            return Ok(CustomerRef::Id(id));
        }
        Ok(self.core.named(self.scope(), name).await?)
    }

    /// Has a change of a customer decided.
    pub(super) async fn decide(
        &self,
        customer: CustomerRef,
        body: CommandBody,
    ) -> Result<Answer, Refused> {
        self.submit(customer, self.context.clone(), body).await
    }

    async fn submit(
        &self,
        customer: CustomerRef,
        context: Context,
        body: CommandBody,
    ) -> Result<Answer, Refused> {
        let command = self.core.command(self.caller, SOURCE, customer, context, body);
        match self.core.decide(command).await {
            Ok(answer) if was_used(&answer) => Err(self.duplicate()),
            Ok(answer) => Ok(answer),
            Err(undecided) if undecided.error == InboxError::InFlight => Err(self.duplicate()),
            Err(undecided) => Err(undecided.into()),
        }
    }

    fn duplicate(&self) -> Refused {
        Refused::duplicate(&self.spelled_key)
    }

    /// Answers with the customer that a decision left.
    pub(super) async fn show_after(
        &self,
        answer: &Answer,
        accepted: &Accepted,
    ) -> Result<Response, Refused> {
        let document = self.core.customer_after(self.scope(), answer, accepted).await?;
        self.show(&document).await
    }

    /// Answers with a customer.
    pub(super) async fn show(&self, document: &CustomerDocument) -> Result<Response, Refused> {
        let gateway = &self.core.gateway;
        let (id, now) = (CustomerRef::Id(document.id), gateway.clock.now());
        let entitlements = gateway.queries.entitlements(self.scope(), &id, AsOf::Now, now).await?;
        let entitlements = entitlements.unwrap_or_default();
        Ok(json(StatusCode::OK, &Customer::of(document, &entitlements, self.version)))
    }
}

/// Tells whether the idempotency key was used before. There is no replay.
fn was_used(answer: &Answer) -> bool {
    let reused = RejectionCode::IdempotencyKeyReused;
    let is_reused = |outcome: &Outcome| match outcome {
        Outcome::Rejected(rejection) => rejection.code == reused,
        Outcome::Accepted(_)
        | Outcome::Deferred(_)
        | Outcome::Forwarded { .. }
        | Outcome::DeadLettered { .. }
        | Outcome::Repeated { .. }
        | Outcome::Previewed(_) => false,
    };
    answer.repeated || is_reused(&answer.outcome)
}

/// Reads a body. What is no JSON is an empty object, and so is `null`.
fn read(bytes: &[u8]) -> Result<Json, Refused> {
    let empty = || Json::Object(std::collections::BTreeMap::new());
    match outside::text(bytes).and_then(outside::read::<Json>) {
        Ok(Json::Null) => Ok(empty()),
        Ok(body) => Ok(body),
        Err(fault) => match fault.kind {
            FaultKind::Empty | FaultKind::NotUtf8 | FaultKind::NotJson => Ok(empty()),
            FaultKind::TooDeep
            | FaultKind::UnsafeText
            | FaultKind::Repeated
            | FaultKind::Unknown
            | FaultKind::Missing
            | FaultKind::Invalid => Err(Refused::inputs(said(&fault))),
        },
    }
}

/// Says what is wrong with a body, and where, with points between.
fn said(fault: &Fault) -> String {
    let path = fault.pointer.trim_start_matches('/').replace('/', ".");
    let path = if path.is_empty() { "input" } else { &path };
    format!("{path}: {}", fault.detail)
}

/// Answers a call.
pub(super) fn answer(caller: &Caller, answered: Result<Response, Refused>) -> Response {
    answered.unwrap_or_else(|refused| refused.answer(caller.scope().environment.into()))
}
