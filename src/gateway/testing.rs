//! Fakes of what the gateway knows by its ports only: an inbox that answers as it is told, queries
//! over a few documents, keys in memory; and requests to a router over them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tallybook_events::command::Command;
use tallybook_events::customer::CustomerDocument;
use tallybook_events::customer::entitlements::Entitlements;
use tallybook_events::decision::{Accepted, Outcome, Rejection, RejectionCode};
use tallybook_events::ids::{CommandId, CustomerId, CustomerRef, Partition, Position, Scope};
use tallybook_events::money::Total;
use tallybook_events::time::Timestamp;
use tallybook_projections::queries::{
    AsOf, Authors, CommandOutcome, CustomerFilter, Page, PageRequest, PeriodKind, Queries,
    ReadError, Slice, SliceRequest, TimelineItem, UsagePeriod,
};
use tallybook_projections::spend::{SpendStats, Spending};
use tower::ServiceExt;

use super::{Gateway, Operations, Timeouts, Waits, router};
use crate::clock::FixedClock;
use crate::inbox::{Answer, Inbox, InboxError};
use crate::keys::{
    ApiKey, Credential, Digest, Former, IssuedKey, KeyId, KeyStore, KeyStoreError, issue,
};

/// The moment at which all tests happen.
pub(crate) const NOW: &str = "2026-03-15T12:00:00Z";

/// An answer to a command.
pub(crate) type Reply = Result<Answer, InboxError>;
type Decide = dyn Fn(&Command) -> Reply + Send + Sync;

/// An inbox that decides by a function and remembers what it was asked.
pub(crate) struct FakeInbox {
    decide: Box<Decide>,
    /// Held while no command may be answered.
    pub(crate) gate: tokio::sync::Mutex<()>,
    asked: Mutex<Vec<Command>>,
}

#[async_trait]
impl Inbox for FakeInbox {
    async fn submit(&self, commands: Vec<Command>, _: Duration) -> Vec<Reply> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).extend(commands.iter().cloned());
        drop(self.gate.lock().await);
        commands.iter().map(|command| (self.decide)(command)).collect()
    }
}

impl FakeInbox {
    /// Gives the commands that came so far.
    pub(crate) fn asked(&self) -> Vec<Command> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Queries over documents; timelines and usage are empty. A position with a higher `seq` than
/// `reached` is never reached.
#[derive(Default)]
pub(crate) struct FakeQueries {
    pub(crate) documents: Vec<CustomerDocument>,
    /// What became of commands, by scope.
    pub(crate) commands: Vec<(Scope, CommandOutcome)>,
    pub(crate) reached: u64,
    /// The questions for customers, as they came.
    pub(crate) asked: Mutex<Vec<(CustomerRef, AsOf)>>,
    /// The pages asked for.
    pub(crate) pages: Mutex<Vec<(CustomerFilter, PageRequest)>>,
    pub(crate) next: Option<String>,
    /// What each customer spent; nothing unless it is told.
    pub(crate) spent: Option<SpendStats>,
}

impl FakeQueries {
    fn find(&self, scope: &Scope, customer: &CustomerRef) -> Option<&CustomerDocument> {
        self.documents.iter().find(|document| {
            let ours = document.tenant == scope.tenant && document.environment == scope.environment;
            ours && match customer {
                CustomerRef::Id(id) => document.id == *id,
                CustomerRef::Key(key) => {
                    document.archived_at.is_none() && document.key.as_ref() == Some(key)
                }
            }
        })
    }
}

#[async_trait]
impl Queries for FakeQueries {
    async fn customer(
        &self,
        scope: &Scope,
        customer: &CustomerRef,
        as_of: AsOf,
        _: Timestamp,
    ) -> Result<Option<CustomerDocument>, ReadError> {
        self.asked.lock().unwrap().push((customer.clone(), as_of));
        Ok(self.find(scope, customer).cloned())
    }

    async fn spending(
        &self,
        scope: &Scope,
        customer: &CustomerRef,
        at: Timestamp,
    ) -> Result<Option<Spending>, ReadError> {
        let nothing = SpendStats {
            at,
            day: Total::ZERO,
            month: Total::ZERO,
            last_spend_at: None,
            first_merchant: None,
            recent: Vec::new(),
        };
        let stats = SpendStats { at, ..self.spent.clone().unwrap_or(nothing) };
        let found = self.find(scope, customer).cloned();
        Ok(found.map(|customer| Spending { customer, stats }))
    }

    async fn resolve(
        &self,
        scope: &Scope,
        customer: &CustomerRef,
    ) -> Result<Option<CustomerId>, ReadError> {
        Ok(self.find(scope, customer).map(|document| document.id))
    }

    async fn entitlements(
        &self,
        scope: &Scope,
        customer: &CustomerRef,
        _: AsOf,
        _: Timestamp,
    ) -> Result<Option<Entitlements>, ReadError> {
        Ok(self.find(scope, customer).map(|_| Entitlements::default()))
    }

    async fn customers(
        &self,
        scope: &Scope,
        filter: &CustomerFilter,
        page: &PageRequest,
        _: Timestamp,
    ) -> Result<Page<CustomerDocument>, ReadError> {
        if page.cursor.as_deref() == Some("bad") {
            return Err(ReadError::BadCursor);
        }
        self.pages.lock().unwrap().push((filter.clone(), page.clone()));
        let ours = |document: &&CustomerDocument| document.tenant == scope.tenant;
        let items = self.documents.iter().filter(ours).cloned().collect();
        Ok(Page { items, next: self.next.clone() })
    }

    async fn slice(
        &self,
        scope: &Scope,
        _: &CustomerFilter,
        slice: &SliceRequest,
        _: Timestamp,
    ) -> Result<Slice<CustomerDocument>, ReadError> {
        let ours = |document: &&CustomerDocument| document.tenant == scope.tenant;
        let all: Vec<_> = self.documents.iter().filter(ours).cloned().collect();
        let total = all.len() as u64;
        let offset = usize::try_from(slice.offset).unwrap();
        let items = all.into_iter().skip(offset).take(slice.limit).collect();
        Ok(Slice { items, total })
    }

    async fn authors(&self, of: &[(CustomerId, u64)]) -> Result<Vec<Option<Authors>>, ReadError> {
        Ok(vec![None; of.len()])
    }

    async fn timeline(
        &self,
        _: CustomerId,
        page: &PageRequest,
    ) -> Result<Page<TimelineItem>, ReadError> {
        self.pages.lock().unwrap().push((CustomerFilter::default(), page.clone()));
        Ok(Page { items: vec![], next: self.next.clone() })
    }

    async fn usage(
        &self,
        _: CustomerId,
        _: Option<PeriodKind>,
        page: &PageRequest,
    ) -> Result<Page<UsagePeriod>, ReadError> {
        self.pages.lock().unwrap().push((CustomerFilter::default(), page.clone()));
        Ok(Page { items: vec![], next: self.next.clone() })
    }

    async fn command(
        &self,
        scope: &Scope,
        command_id: CommandId,
    ) -> Result<Option<CommandOutcome>, ReadError> {
        let ours = |(of, outcome): &&(Scope, CommandOutcome)| {
            of == scope && outcome.command_id == command_id
        };
        Ok(self.commands.iter().find(ours).map(|(_, outcome)| outcome.clone()))
    }

    fn positions(&self) -> Vec<Position> {
        vec![Position { partition: Partition(0), seq: self.reached }]
    }

    async fn reached(&self, position: Position, _: Duration) -> Result<(), ReadError> {
        if position.seq <= self.reached { Ok(()) } else { Err(ReadError::Behind) }
    }
}

/// Keys in memory.
#[derive(Default)]
struct FakeKeys(Mutex<HashMap<KeyId, Arc<ApiKey>>>);

impl KeyStore for FakeKeys {
    fn find(&self, id: &KeyId) -> Option<Arc<ApiKey>> {
        self.0.lock().unwrap().get(id).cloned()
    }

    fn list(&self) -> Vec<Arc<ApiKey>> {
        self.0.lock().unwrap().values().cloned().collect()
    }

    fn find_imported(&self, digest: &Digest) -> Option<Arc<ApiKey>> {
        let credential = Credential::Imported(*digest);
        self.list().into_iter().find(|key| key.credential == credential)
    }

    fn insert(&self, key: &ApiKey) -> Result<(), KeyStoreError> {
        self.0.lock().unwrap().insert(key.id.clone(), Arc::new(key.clone()));
        Ok(())
    }

    fn rotate(
        &self,
        id: &KeyId,
        credential: &Credential,
        at: Timestamp,
        until: Timestamp,
    ) -> Result<(), KeyStoreError> {
        let key = self.find(id).ok_or_else(|| KeyStoreError::Unknown(id.clone()))?;
        let former = Some(Former { credential: key.credential, until });
        let (credential, rotated_at) = (*credential, Some(at));
        self.insert(&ApiKey { credential, former, rotated_at, ..(*key).clone() })
    }

    fn revoke(&self, id: &KeyId, at: Timestamp) -> Result<(), KeyStoreError> {
        let key = self.find(id).ok_or_else(|| KeyStoreError::Unknown(id.clone()))?;
        self.insert(&ApiKey { revoked_at: Some(at), ..(*key).clone() })
    }
}

/// A gateway over fakes.
pub(crate) struct Fixture {
    pub(crate) inbox: Arc<FakeInbox>,
    pub(crate) queries: Arc<FakeQueries>,
    pub(crate) keys: Arc<dyn KeyStore>,
    pub(crate) router: Router,
    /// A key of tenant `t`, live, for everything, without a rate limit.
    pub(crate) key: String,
}

/// An answer of the gateway.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Got {
    /// Gives the body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Gives status, code and pointer of a problem, after looking that it is one.
    pub(crate) fn problem(&self) -> (u16, String, Option<String>) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let body = self.json();
        assert_eq!(body["status"], self.status, "{self:?}");
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        assert!(text("title").is_some() && text("detail").is_some(), "{self:?}");
        let code = text("code").unwrap();
        assert_eq!(text("type"), Some(format!("urn:tallybook:problem:{code}")));
        (self.status, code, text("pointer"))
    }

    /// Gives a header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl Fixture {
    /// Makes a gateway whose inbox accepts everything, on a read model that shows `acme`.
    pub(crate) fn new() -> Self {
        Self::deciding(|command| Ok(accepted(command, 7)))
    }

    /// Makes a gateway whose inbox decides by a function.
    pub(crate) fn deciding(decide: impl Fn(&Command) -> Reply + Send + Sync + 'static) -> Self {
        Self::with(
            decide,
            FakeQueries { documents: vec![acme()], reached: 100, ..FakeQueries::default() },
        )
    }

    /// Makes a gateway of an inbox and queries.
    pub(crate) fn with(
        decide: impl Fn(&Command) -> Reply + Send + Sync + 'static,
        queries: FakeQueries,
    ) -> Self {
        let body = Duration::from_millis(200);
        Self::built(decide, queries, Timeouts { body, ..Timeouts::default() })
    }

    /// Makes a gateway of all its parts.
    pub(crate) fn built(
        decide: impl Fn(&Command) -> Reply + Send + Sync + 'static,
        queries: FakeQueries,
        timeouts: Timeouts,
    ) -> Self {
        Self::waiting(decide, queries, timeouts, Waits::AtTheAnswer)
    }

    /// Makes a gateway that waits somewhere.
    pub(crate) fn waiting(
        decide: impl Fn(&Command) -> Reply + Send + Sync + 'static,
        queries: FakeQueries,
        timeouts: Timeouts,
        waits: Waits,
    ) -> Self {
        let (asked, gate) = (Mutex::default(), tokio::sync::Mutex::default());
        let inbox = Arc::new(FakeInbox { decide: Box::new(decide), gate, asked });
        let queries = Arc::new(queries);
        let keys: Arc<dyn KeyStore> = Arc::new(FakeKeys::default());
        let gateway = Gateway {
            inbox: inbox.clone(),
            queries: queries.clone(),
            keys: keys.clone(),
            clock: Arc::new(FixedClock::new(NOW.parse().unwrap())),
            timeouts,
            waits,
        };
        let operations = Operations {
            ready: Arc::new(|| Ok(())),
            metrics: Operations::recorder().build_recorder().handle(),
        };
        let mut fixture =
            Self { inbox, queries, keys, router: router(gateway, operations), key: String::new() };
        fixture.key = fixture.make_key("t", "live", "admin", 0).reveal();
        fixture
    }

    /// Makes a key.
    pub(crate) fn make_key(
        &self,
        tenant: &str,
        environment: &str,
        scopes: &str,
        rate: u32,
    ) -> IssuedKey {
        let scope =
            Scope { tenant: tenant.parse().unwrap(), environment: environment.parse().unwrap() };
        let issued = issue(scope, scopes.parse().unwrap(), rate, NOW.parse().unwrap()).unwrap();
        self.keys.insert(&issued.key).unwrap();
        issued
    }

    /// Begins a request with the fixture's key and, as far as it may have a body, JSON's type.
    pub(crate) fn request(&self, method: Method, path: &str) -> http::request::Builder {
        let request =
            Request::builder().uri(path).header(AUTHORIZATION, format!("Bearer {}", self.key));
        let request = if method == Method::GET {
            request
        } else {
            request.header(CONTENT_TYPE, "application/json")
        };
        request.method(method)
    }

    /// Sends a request.
    pub(crate) async fn send(&self, request: Request<Body>) -> Got {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let text = body.collect().await.unwrap().to_bytes();
        Got {
            status: parts.status.as_u16(),
            headers: parts.headers,
            text: String::from_utf8(text.to_vec()).unwrap(),
        }
    }

    /// `GET path`.
    pub(crate) async fn get(&self, path: &str) -> Got {
        self.send(self.request(Method::GET, path).body(Body::empty()).unwrap()).await
    }

    /// Any method with a body.
    pub(crate) async fn call(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Got {
        let body = Body::from(body.into());
        self.send(self.request(method, path).body(body).unwrap()).await
    }
}

/// Accepts a command with one event, at `seq` 5.
pub(crate) fn accepted(command: &Command, to_version: u64) -> Answer {
    let outcome = Outcome::Accepted(Accepted {
        customer_id: acme().id,
        from_version: to_version - 1,
        to_version,
        duplicates: vec![],
        conflicts: vec![],
    });
    Answer {
        command_id: command.command_id,
        position: Some(Position { partition: Partition(0), seq: 5 }),
        decided_at: NOW.parse().unwrap(),
        outcome,
        events: Bytes::from_static(
            br#"[{"type":"StatusChanged.v1","from":"active","to":"suspended"}]"#,
        ),
        repeated: false,
        preview: None,
    }
}

/// Rejects a command.
pub(crate) fn rejected(command: &Command, code: RejectionCode, pointer: Option<&str>) -> Answer {
    let detail = "says the decision".into();
    let rejection = Rejection { code, detail, pointer: pointer.map(Into::into) };
    Answer {
        outcome: Outcome::Rejected(rejection),
        events: Bytes::from_static(b"[]"),
        ..accepted(command, 7)
    }
}

/// A customer of tenant `t`, live, with the key `acme`, at version 7.
pub(crate) fn acme() -> CustomerDocument {
    document("t", "acme", "5f0c1d0e-0000-5000-8000-000000000001")
}

/// A customer as a read model gives it.
pub(crate) fn document(tenant: &str, key: &str, id: &str) -> CustomerDocument {
    let (time, none) = ("2026-03-01T00:00:00Z", Value::Null);
    // By its text: amounts are read from the text of numbers and strings.
    let document = json!({
        "id": id, "key": key, "tenant": tenant, "environment": "live", "version": 7,
        "created_at": time, "updated_at": time, "archived_at": none,
        "profile": {"name": "Acme", "first_name": none, "last_name": none, "email": none,
            "phone": none, "metadata": {}, "fingerprint": none, "send_email_receipts": false,
            "address": {"line1": none, "line2": none, "city": none, "state": none,
                "postal_code": none, "country": none}},
        "contract": {"tier": none, "status": "active", "start": none, "end": none,
            "annual_commitment": none, "annual_limit": none, "rate_per_second": none,
            "burst": none},
        "budget": {"period_budget": none, "total_budget": none, "duration": "monthly",
            "period_start": none, "period_end": none, "markup_percentage": "0"},
        "policy": none, "billing_controls": {}, "identity": {"links": {}, "parent": none},
        "usage": {"period": {"start": time, "end": "2026-04-01T00:00:00Z", "raw": "0",
            "charged": "0", "count": 0, "budget": none, "remaining": none},
            "lifetime": {"raw": "0", "charged": "0", "count": 0}}
    });
    serde_json::from_str(&document.to_string()).unwrap()
}
