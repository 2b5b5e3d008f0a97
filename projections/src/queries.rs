//! Questions to the read models, and their answers. Every answer says which position it is true for,
//! and a question can wait for one.

use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tallybook_events::customer::CustomerDocument;
use tallybook_events::customer::entitlements::Entitlements;
use tallybook_events::decision::Outcome;
use tallybook_events::event::Event;
use tallybook_events::ids::{Actor, CommandId, CustomerId, CustomerRef, Position, Scope};
use tallybook_events::money::{Amount, Total};
use tallybook_events::text::TierName;
use tallybook_events::time::Timestamp;

use crate::spend::Spending;

/// Which state of a customer is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AsOf {
    /// As it stands.
    #[default]
    Now,
    /// After so many events.
    Version(u64),
    /// After all that was decided up to that moment.
    Time(Timestamp),
}

/// Which customers to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CustomerFilter {
    /// Only those.
    pub status: Option<ListedStatus>,
    /// Only those of a tier.
    pub tier: Option<TierName>,
    /// Only those whose key begins so.
    pub key_prefix: Option<String>,
    /// Only those of which all this is true.
    pub only: Vec<Condition>,
}

/// What must be true of a customer to be listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Its id is one of these.
    Id(Vec<CustomerId>),
    /// Its parent is one of these.
    Parent(Vec<CustomerId>),
    /// A text of it passes the test; one that it does not have is empty.
    Text(TextField, TextTest),
    /// A member of its metadata, by name, is this string.
    Metadata(String, String),
    /// A time of it is this one or a later one.
    From(TimeField, Timestamp),
    /// A time of it is this one or an earlier one.
    Until(TimeField, Timestamp),
}

/// A text by which customers are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextField {
    /// Its key.
    Key,
    /// Its whole name.
    Name,
    /// Its e-mail address.
    Email,
}

/// What a text must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextTest {
    /// One of these.
    OneOf(Vec<String>),
    /// None of these.
    NoneOf(Vec<String>),
    /// It has this in it, in capital or small letters (of ASCII).
    Contains(String),
}

/// A time by which customers are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeField {
    /// When it was born.
    Created,
    /// When its last event was decided.
    Updated,
}

/// What a list of customers is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortField {
    /// One of the times.
    Time(TimeField),
    /// One of the texts.
    Text(TextField),
}

/// Status of customers in lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListedStatus {
    /// Not archived.
    Present,
    /// Active and not archived.
    Active,
    /// Suspended and not archived.
    Suspended,
    /// Archived.
    Archived,
}

/// Direction of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// From old to new.
    #[default]
    Ascending,
    /// From new to old.
    Descending,
}

/// Which part of a list is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// Most items, 1 or more.
    pub limit: usize,
    /// Where the page before ended; opaque.
    pub cursor: Option<String>,
    /// Direction.
    pub order: Order,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins, when there is more.
    pub next: Option<String>,
}

/// Which part of a list is asked for, by its place. It costs more than a page by cursor, the more the
/// further down the list: for APIs that number their pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceRequest {
    /// How many items before it.
    pub offset: u64,
    /// Most items, 1 or more.
    pub limit: usize,
    /// What the list is sorted by; then by id. Nothing: by birth.
    pub sort: Vec<(SortField, Order)>,
}

/// A part of a list by its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice<T> {
    /// The items.
    pub items: Vec<T>,
    /// How many there are in all.
    pub total: u64,
}

/// Who asked for a customer's first event, and for its last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authors {
    /// Who made it.
    pub created: Actor,
    /// Who changed it last.
    pub updated: Actor,
}

/// Kind of a period in the usage ledger.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum PeriodKind {
    /// A budget window.
    Budget,
    /// A calendar day (UTC).
    Day,
    /// A calendar month (UTC).
    Month,
    /// A calendar year (UTC).
    Year,
    /// All time.
    Lifetime,
}

/// One row of the usage ledger, in the shape of the native API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsagePeriod {
    /// Kind of the period.
    pub kind: PeriodKind,
    /// First moment.
    pub start: Timestamp,
    /// First moment after it.
    pub end: Timestamp,
    /// Cost.
    pub raw: Total,
    /// Charge, with the markup.
    pub charged: Total,
    /// Quantity over all meters.
    pub quantity: Total,
    /// Number of reports.
    pub count: u64,
    /// For budget windows: the budget at its end (for the current one: now).
    pub budget: Option<Amount>,
    /// First report.
    pub first_at: Option<Timestamp>,
    /// Last report.
    pub last_at: Option<Timestamp>,
}

/// One event of a customer, in the shape of the native API.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TimelineItem {
    /// Place of its decision in the partition.
    pub seq: u64,
    /// Version of the customer after it.
    pub version: u64,
    /// When it was decided.
    pub recorded_at: Timestamp,
    /// The event, as it was recorded.
    #[schemars(with = "Event")]
    pub event: Box<RawValue>,
    /// The command that it came from.
    pub command_id: CommandId,
    /// Who asked.
    pub actor: Actor,
}

/// What became of a command.
#[derive(Debug, Clone)]
pub struct CommandOutcome {
    /// The command.
    pub command_id: CommandId,
    /// Where its decision is. Of one that was held: where it was settled, if it was.
    pub position: Position,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// Accepted, rejected, or deferred as long as it is held.
    pub outcome: Outcome,
    /// The events, as they were recorded, in an array.
    pub events: Box<RawValue>,
}

/// Why a question got no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The read model has not come so far in time. Ask again.
    #[error("the read model has not reached the position yet")]
    Behind,
    /// The cursor is not one of ours.
    #[error("the cursor is not one that was given out")]
    BadCursor,
    /// The store does not answer. Ask again.
    #[error("the read model does not answer")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The read models, as questions.
#[async_trait]
pub trait Queries: Send + Sync + 'static {
    /// Gives one customer of a scope, archived ones by id only; `now` says which period is the current one.
    /// Nothing when there is none (or there was none yet).
    async fn customer(
        &self,
        scope: &Scope,
        customer: &CustomerRef,
        as_of: AsOf,
        now: Timestamp,
    ) -> Result<Option<CustomerDocument>, ReadError>;

    /// Gives the id of a customer of a scope, archived ones by id only.
    async fn resolve(
        &self,
        scope: &Scope,
        customer: &CustomerRef,
    ) -> Result<Option<CustomerId>, ReadError>;

    /// Gives one customer of a scope, archived ones by id only, with what it spent around a moment, be
    /// it past or yet to come: the rules as they stand now, the reports that were recorded until now.
    async fn spending(
        &self,
        scope: &Scope,
        customer: &CustomerRef,
        at: Timestamp,
    ) -> Result<Option<Spending>, ReadError>;

    /// Gives what a customer of a scope is entitled to, or was, archived ones by id only; `now` is the
    /// moment from which a version is looked at. Nothing when there is no such customer (or there was
    /// none yet); what no command has set is empty.
    async fn entitlements(
        &self,
        scope: &Scope,
        customer: &CustomerRef,
        as_of: AsOf,
        now: Timestamp,
    ) -> Result<Option<Entitlements>, ReadError>;

    /// Lists customers of a scope, archived ones too, in the order of their birth.
    async fn customers(
        &self,
        scope: &Scope,
        filter: &CustomerFilter,
        page: &PageRequest,
        now: Timestamp,
    ) -> Result<Page<CustomerDocument>, ReadError>;

    /// Lists customers of a scope by their places in the list, archived ones too, and counts all of them.
    async fn slice(
        &self,
        scope: &Scope,
        filter: &CustomerFilter,
        slice: &SliceRequest,
        now: Timestamp,
    ) -> Result<Slice<CustomerDocument>, ReadError>;

    /// Gives, for each customer at a version, who made it and who asked for that version. Nothing
    /// where there is no such version.
    async fn authors(&self, of: &[(CustomerId, u64)]) -> Result<Vec<Option<Authors>>, ReadError>;

    /// Gives a customer's events.
    async fn timeline(
        &self,
        customer: CustomerId,
        page: &PageRequest,
    ) -> Result<Page<TimelineItem>, ReadError>;

    /// Gives a customer's usage by periods, of one kind or of all.
    async fn usage(
        &self,
        customer: CustomerId,
        kind: Option<PeriodKind>,
        page: &PageRequest,
    ) -> Result<Page<UsagePeriod>, ReadError>;

    /// Gives what became of a command of a scope; nothing when none of that id was decided there.
    async fn command(
        &self,
        scope: &Scope,
        command_id: CommandId,
    ) -> Result<Option<CommandOutcome>, ReadError>;

    /// Gives, per partition, the position that answers are true for.
    fn positions(&self) -> Vec<Position>;

    /// Waits until the read models have reached a position.
    ///
    /// # Errors
    /// [`ReadError::Behind`] when they have not, after `timeout`.
    async fn reached(&self, position: Position, timeout: Duration) -> Result<(), ReadError>;
}
