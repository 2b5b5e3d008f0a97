//! One batch in one transaction.

use std::collections::BTreeMap;

use deadpool_postgres::{ClientWrapper, Transaction};
use tallybook_events::chain::Checkpoint;
use tallybook_events::customer::entitlements::Segments;
use tallybook_events::ids::{CustomerId, Meter, Partition};
use tallybook_events::money::Amount;
use tallybook_events::period::Window;
use tallybook_events::time::Timestamp;
use tokio::runtime::Runtime;

use super::ahead::{self, Touched};
use super::asking::{self, execute, moments_of, query};
use super::database::{PostgresError, within};
use super::memo::{Memo, Question, Spans};
use super::place::Side;
use super::rows::{Columns, checkpoint};
use super::write::{self, Writes};
use super::{ASK_WITHIN, FOLD_WITHIN, Own};
use crate::ledger::{LedgerRow, LedgerSource};
use crate::period_usage::RowKey;
use crate::projection::{Facts, Projection as _};
use crate::store::cache::Cache;
use crate::store::{Batch, StoreError};
use crate::timeline::Timeline;

/// Gives the generation of the rows, and where they stand.
pub(super) async fn stand(
    client: &mut ClientWrapper,
) -> Result<(i64, Vec<(Partition, Checkpoint)>), PostgresError> {
    let transaction = client.transaction().await?;
    let generation = lock_generation(&transaction).await?;
    let stand = checkpoints(&transaction).await?;
    transaction.commit().await?;
    Ok((generation, stand))
}

/// Gives where the rows stand.
pub(super) async fn checkpoints(
    transaction: &Transaction<'_>,
) -> Result<Vec<(Partition, Checkpoint)>, PostgresError> {
    let sql = "SELECT partition, next_offset, term, seq, head FROM positions ORDER BY partition";
    let rows = query(transaction, sql, &[]).await?;
    rows.iter().map(|row| checkpoint(Columns(row))).collect()
}

/// Keeps the rows from being put in place as a whole meanwhile, and gives their generation.
async fn lock_generation(transaction: &Transaction<'_>) -> Result<i64, PostgresError> {
    transaction.batch_execute("LOCK TABLE generation IN ROW SHARE MODE").await?;
    let rows = query(transaction, "SELECT number FROM generation", &[]).await?;
    let row = rows.first().ok_or_else(|| PostgresError::Row("no generation is kept".into()))?;
    Ok(row.try_get(0)?)
}

/// Folds a batch: all of it, or nothing.
pub(super) fn commit(
    runtime: &Runtime,
    client: &mut ClientWrapper,
    own: Own<'_>,
    batch: &Batch<'_>,
) -> Result<(), StoreError> {
    let Own { place, side, cache, generation, lead } = own;
    if let Some(lead) = lead {
        let asked = within(ASK_WITHIN, lead.may_fold(client, place, batch));
        if !runtime.block_on(asked)? {
            return Err(StoreError::Led);
        }
    }
    let transaction = runtime.block_on(within(ASK_WITHIN, begin(client)))?;
    let known = *generation;
    let reading = within(FOLD_WITHIN, read(&transaction, known, batch, cache));
    let written = runtime.block_on(reading).and_then(|mut touched| {
        let writes = fold(runtime, &transaction, batch, &mut touched)?;
        let channel = (side == Side::Folds).then(|| place.channel());
        runtime.block_on(within(FOLD_WITHIN, write(&transaction, &writes, channel, batch)))?;
        Ok(touched)
    });
    let touched = match written {
        Ok(touched) => touched,
        Err(error) => {
            // At once: what is open holds locks. Should it fail, so will whatever comes next.
            drop(runtime.block_on(within(ASK_WITHIN, rollback(transaction))));
            return Err(error);
        }
    };
    let end = async { Ok::<_, PostgresError>(transaction.commit().await?) };
    runtime.block_on(within(FOLD_WITHIN, end))?;
    for (id, Touched { mut fold, .. }) in touched {
        fold.written();
        cache.put(id, fold);
    }
    Ok(())
}

async fn begin(client: &mut ClientWrapper) -> Result<Transaction<'_>, PostgresError> {
    Ok(client.transaction().await?)
}

async fn rollback(transaction: Transaction<'_>) -> Result<(), PostgresError> {
    Ok(transaction.rollback().await?)
}

/// Moves the positions, and gives the customers that the batch is about.
async fn read(
    transaction: &Transaction<'_>,
    generation: i64,
    batch: &Batch<'_>,
    cache: &mut Cache,
) -> Result<BTreeMap<CustomerId, Touched>, StoreError> {
    if lock_generation(transaction).await? != generation {
        return Err(StoreError::Moved);
    }
    let mut parts: Vec<_> = batch.parts.iter().collect();
    // In one order for all who fold, so that none waits for one who waits for it.
    parts.sort_by_key(|part| part.partition);
    for part in parts {
        if !write::move_position(transaction, part).await? {
            return Err(StoreError::Moved);
        }
    }
    Ok(ahead::touched(transaction, batch, cache).await?)
}

async fn write(
    transaction: &Transaction<'_>,
    writes: &Writes,
    channel: Option<String>,
    batch: &Batch<'_>,
) -> Result<(), PostgresError> {
    writes.flush(transaction).await?;
    match channel {
        Some(channel) => tell(transaction, &channel, batch).await,
        None => Ok(()),
    }
}

/// Folds the facts of a batch, and gives what is to be written.
fn fold(
    runtime: &Runtime,
    transaction: &Transaction<'_>,
    batch: &Batch<'_>,
    touched: &mut BTreeMap<CustomerId, Touched>,
) -> Result<Writes, StoreError> {
    let mut writes = Writes::default();
    let mut applied: Vec<&Facts<'_>> = Vec::new();
    for facts in batch.parts.iter().flat_map(|part| &part.facts) {
        let id = facts.customer_id;
        let Touched { fold, memo } = touched.get_mut(&id).expect("all that are named were read");
        facts.follow(fold.version()).map_err(StoreError::Unfoldable)?;
        let mut source = Asking { runtime, transaction, customer: id, memo, applied: &applied };
        fold.apply(facts, &mut source)?;
        for row in Timeline::apply(&mut (), facts) {
            writes.event(&row)?;
        }
        applied.push(facts);
    }
    writes.commands(batch.parts.iter().flat_map(|part| &part.commands))?;
    for (id, touched) in touched {
        writes.customer(*id, touched)?;
    }
    Ok(writes)
}

/// Tells all who listen where the rows will stand: they hear it once that is so.
async fn tell(
    transaction: &Transaction<'_>,
    channel: &str,
    batch: &Batch<'_>,
) -> Result<(), PostgresError> {
    let news: Vec<String> =
        batch.parts.iter().map(|part| format!("{}:{}", part.partition, part.to.seq)).collect();
    // News may not be long; whoever hears nothing looks by itself.
    for part in news.chunks(super::watch::NEWS_AT_ONCE) {
        let sql = "SELECT pg_notify($1, $2)";
        execute(transaction, sql, &[&channel, &part.join(" ")]).await?;
    }
    Ok(())
}

/// The rows of one customer, for a fold that cannot wait: what was not read ahead is asked one by one.
struct Asking<'a> {
    runtime: &'a Runtime,
    transaction: &'a Transaction<'a>,
    customer: CustomerId,
    memo: &'a mut Memo,
    /// What was folded before in this batch, and is not written yet.
    applied: &'a [&'a Facts<'a>],
}

impl Asking<'_> {
    fn answered<T>(
        &mut self,
        mut ask: impl FnMut(&mut Memo) -> Result<T, Question>,
    ) -> Result<T, PostgresError> {
        let question = match ask(self.memo) {
            Ok(answer) => return Ok(answer),
            Err(question) => question,
        };
        let learned = asking::learn(self.transaction, self.customer, question, self.memo);
        self.runtime.block_on(within(FOLD_WITHIN, learned))?;
        ask(self.memo).map_err(|question| PostgresError::Row(format!("no answer to {question:?}")))
    }
}

impl LedgerSource for Asking<'_> {
    type Error = PostgresError;

    fn row(&mut self, key: &RowKey) -> Result<Option<LedgerRow>, PostgresError> {
        self.answered(|memo| memo.row(key))
    }

    fn windows_after(&mut self, at: Timestamp) -> Result<Spans, PostgresError> {
        self.answered(|memo| memo.windows_after(at))
    }

    fn hours(&mut self, window: Window) -> Result<Spans, PostgresError> {
        self.answered(|memo| memo.hours(window))
    }

    fn budget_before(&mut self, at: Timestamp) -> Result<Option<Amount>, PostgresError> {
        self.answered(|memo| memo.budget_before(at))
    }

    fn segments(&mut self, feature: &Meter, from: Timestamp) -> Result<Segments, PostgresError> {
        self.answered(|memo| memo.segments(feature, from))
    }

    fn moments(&mut self, feature: &Meter) -> Result<Vec<(Timestamp, i128)>, PostgresError> {
        let mut moments = self.answered(|memo| memo.moments(feature))?;
        let own = self.applied.iter().filter(|facts| facts.customer_id == self.customer);
        for fact in own.flat_map(|facts| &facts.facts) {
            moments_of(&fact.event, feature, &mut moments);
        }
        Ok(moments)
    }
}
