//! Rows by columns: what a batch writes into one table, as arrays that `unnest` makes rows of again.

use deadpool_postgres::Transaction;
use tallybook_events::ids::CustomerKey;
use tallybook_events::text::TierName;
use tallybook_events::time::Timestamp;
use uuid::Uuid;

use super::asking::{Values, execute};
use super::database::PostgresError;
use super::rows::signed;
use crate::commands::CommandRow;
use crate::customers::CustomerRow;
use crate::timeline::TimelineRow;

/// Does it, unless there is nothing to do.
pub(super) async fn run(
    transaction: &Transaction<'_>,
    rows: usize,
    sql: &str,
    values: &Values<'_>,
) -> Result<(), PostgresError> {
    if rows > 0 {
        execute(transaction, sql, values).await?;
    }
    Ok(())
}

/// Rows of `customers`.
#[derive(Debug, Default)]
pub(super) struct CustomerColumns {
    id: Vec<Uuid>,
    tenant: Vec<String>,
    environment: Vec<&'static str>,
    key: Vec<Option<String>>,
    key_since: Vec<i64>,
    status: Vec<&'static str>,
    tier: Vec<Option<String>>,
    version: Vec<i64>,
    created_at: Vec<i64>,
    updated_at: Vec<i64>,
    archived_at: Vec<Option<i64>>,
    groups: Vec<String>,
    entitlements: Vec<Option<String>>,
}

impl CustomerColumns {
    pub(super) fn push(&mut self, row: &CustomerRow) -> Result<(), PostgresError> {
        let groups = serde_json::to_string(&row.groups).expect("groups are values JSON can hold");
        let entitlements = row
            .entitlements
            .as_ref()
            .map(|facts| serde_json::to_string(facts).expect("facts are values JSON can hold"));
        let tier = row.groups.contract.tier.as_ref().map(TierName::as_str);
        self.id.push(row.id.0);
        self.tenant.push(row.scope.tenant.as_str().into());
        self.environment.push(row.scope.environment.as_str());
        self.key.push(row.key.as_ref().map(CustomerKey::as_str).map(Into::into));
        self.key_since.push(row.key_since.micros());
        self.status.push(row.listed_under());
        self.tier.push(tier.map(Into::into));
        self.version.push(signed(row.version)?);
        self.created_at.push(row.created_at.micros());
        self.updated_at.push(row.updated_at.micros());
        self.archived_at.push(row.archived_at.map(Timestamp::micros));
        self.groups.push(groups);
        self.entitlements.push(entitlements);
        Ok(())
    }

    /// Writes rows that are new.
    pub(super) async fn insert(&self, transaction: &Transaction<'_>) -> Result<(), PostgresError> {
        let sql = "INSERT INTO customers SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], \
                   $4::text[], $5::bigint[], $6::text[], $7::text[], $8::bigint[], $9::bigint[], \
                   $10::bigint[], $11::bigint[], $12::text[], $13::text[])";
        let values: &Values<'_> = &[
            &self.id,
            &self.tenant,
            &self.environment,
            &self.key,
            &self.key_since,
            &self.status,
            &self.tier,
            &self.version,
            &self.created_at,
            &self.updated_at,
            &self.archived_at,
            &self.groups,
            &self.entitlements,
        ];
        run(transaction, self.id.len(), sql, values).await
    }

    /// Writes over rows that are there. What never changes stays.
    pub(super) async fn update(&self, transaction: &Transaction<'_>) -> Result<(), PostgresError> {
        let sql = "UPDATE customers SET key = new.key, key_since = new.key_since, \
                   status = new.status, tier = new.tier, version = new.version, \
                   updated_at = new.updated_at, archived_at = new.archived_at, \
                   groups = new.groups, entitlements = new.entitlements \
                   FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[], \
                   $6::bigint[], $7::bigint[], $8::bigint[], $9::text[], $10::text[]) \
                   AS new (id, key, key_since, status, tier, version, updated_at, archived_at, \
                   groups, entitlements) WHERE customers.id = new.id";
        let values: &Values<'_> = &[
            &self.id,
            &self.key,
            &self.key_since,
            &self.status,
            &self.tier,
            &self.version,
            &self.updated_at,
            &self.archived_at,
            &self.groups,
            &self.entitlements,
        ];
        run(transaction, self.id.len(), sql, values).await
    }
}

/// Rows of `customers` of which only version and time changed.
#[derive(Debug, Default)]
pub(super) struct CountedColumns {
    id: Vec<Uuid>,
    version: Vec<i64>,
    updated_at: Vec<i64>,
}

impl CountedColumns {
    pub(super) fn push(&mut self, row: &CustomerRow) -> Result<(), PostgresError> {
        self.id.push(row.id.0);
        self.version.push(signed(row.version)?);
        self.updated_at.push(row.updated_at.micros());
        Ok(())
    }

    pub(super) async fn update(&self, transaction: &Transaction<'_>) -> Result<(), PostgresError> {
        let sql = "UPDATE customers SET version = new.version, updated_at = new.updated_at \
                   FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) \
                   AS new (id, version, updated_at) WHERE customers.id = new.id";
        let values: &Values<'_> = &[&self.id, &self.version, &self.updated_at];
        run(transaction, self.id.len(), sql, values).await
    }
}

/// Rows of `timeline`.
#[derive(Debug, Default)]
pub(super) struct TimelineColumns {
    customer: Vec<Uuid>,
    version: Vec<i64>,
    seq: Vec<i64>,
    recorded_at: Vec<i64>,
    command_id: Vec<Uuid>,
    actor: Vec<String>,
    event: Vec<String>,
}

impl TimelineColumns {
    pub(super) fn push(&mut self, row: &TimelineRow<'_>) -> Result<(), PostgresError> {
        self.customer.push(row.customer_id.0);
        self.version.push(signed(row.version)?);
        self.seq.push(signed(row.seq)?);
        self.recorded_at.push(row.recorded_at.micros());
        self.command_id.push(row.command_id.0);
        self.actor.push(row.actor.as_str().into());
        self.event.push(row.event.into());
        Ok(())
    }

    pub(super) async fn insert(&self, transaction: &Transaction<'_>) -> Result<(), PostgresError> {
        let sql = "INSERT INTO timeline SELECT * FROM unnest($1::uuid[], $2::bigint[], \
                   $3::bigint[], $4::bigint[], $5::uuid[], $6::text[], $7::text[])";
        let values: &Values<'_> = &[
            &self.customer,
            &self.version,
            &self.seq,
            &self.recorded_at,
            &self.command_id,
            &self.actor,
            &self.event,
        ];
        run(transaction, self.customer.len(), sql, values).await
    }
}

/// Rows of `commands`.
#[derive(Debug, Default)]
pub(super) struct CommandColumns {
    id: Vec<Uuid>,
    tenant: Vec<String>,
    environment: Vec<&'static str>,
    partition: Vec<i64>,
    seq: Vec<i64>,
    decided_at: Vec<i64>,
    outcome: Vec<&'static str>,
    customer: Vec<Option<Uuid>>,
    from_version: Vec<Option<i64>>,
    to_version: Vec<Option<i64>>,
    told: Vec<Option<String>>,
}

impl CommandColumns {
    pub(super) fn push(&mut self, row: &CommandRow) -> Result<(), PostgresError> {
        let versions = row.versions();
        self.id.push(row.command_id.0);
        self.tenant.push(row.scope.tenant.as_str().into());
        self.environment.push(row.scope.environment.as_str());
        self.partition.push(i64::from(row.place.partition.0));
        self.seq.push(signed(row.place.seq)?);
        self.decided_at.push(row.decided_at.micros());
        self.outcome.push(row.word());
        self.customer.push(row.outcome.customer_id().map(|id| id.0));
        self.from_version.push(versions.map(|(from, _)| signed(from)).transpose()?);
        self.to_version.push(versions.map(|(_, to)| signed(to)).transpose()?);
        self.told.push(row.told());
        Ok(())
    }

    /// Writes what became of commands. What is there already counts, unless it gives way.
    pub(super) async fn upsert(&self, transaction: &Transaction<'_>) -> Result<(), PostgresError> {
        let sql = "INSERT INTO commands SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], \
                   $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::uuid[], \
                   $9::bigint[], $10::bigint[], $11::text[]) \
                   ON CONFLICT (id, tenant, environment, partition) DO UPDATE SET \
                   seq = excluded.seq, decided_at = excluded.decided_at, \
                   outcome = excluded.outcome, customer = excluded.customer, \
                   from_version = excluded.from_version, to_version = excluded.to_version, \
                   told = excluded.told WHERE commands.outcome = 'deferred'";
        let values: &Values<'_> = &[
            &self.id,
            &self.tenant,
            &self.environment,
            &self.partition,
            &self.seq,
            &self.decided_at,
            &self.outcome,
            &self.customer,
            &self.from_version,
            &self.to_version,
            &self.told,
        ];
        run(transaction, self.id.len(), sql, values).await
    }
}
