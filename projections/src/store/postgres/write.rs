//! Writing a batch: each table in a few statements, each key once.

use std::collections::BTreeMap;

use deadpool_postgres::Transaction;
use tallybook_events::chain::Checkpoint;
use tallybook_events::customer::entitlements::Segment;
use tallybook_events::ids::CustomerId;
use tallybook_events::time::Timestamp;

use super::ahead::Touched;
use super::asking::{Values, execute};
use super::columns::{CommandColumns, CountedColumns, CustomerColumns, TimelineColumns};
use super::database::PostgresError;
use super::ledger_columns::{BudgetColumns, PeriodColumns, SegmentColumns};
use super::rows::signed;
use crate::commands::CommandRow;
use crate::customers::RowChange;
use crate::feature_usage::FeatureWrites;
use crate::ledger::LedgerRow;
use crate::ledger::working::Ledger;
use crate::store::Part;
use crate::timeline::TimelineRow;

/// Moves a partition's position from where the part begins to where it ends. Tells whether it stood
/// there.
pub(super) async fn move_position(
    transaction: &Transaction<'_>,
    part: &Part<'_>,
) -> Result<bool, PostgresError> {
    let Part { partition, from, to, .. } = part;
    let partition = i64::from(partition.0);
    if *from == Checkpoint::START {
        let sql = "INSERT INTO positions VALUES ($1, 0, 0, 0, $2) ON CONFLICT DO NOTHING";
        execute(transaction, sql, &[&partition, &&from.head.0[..]]).await?;
    }
    let sql = "UPDATE positions SET next_offset = $1, term = $2, seq = $3, head = $4 \
               WHERE partition = $5 AND next_offset = $6 AND term = $7 AND seq = $8 AND head = $9";
    let numbers = |at: &Checkpoint| {
        Ok::<_, PostgresError>((signed(at.offset)?, signed(at.term)?, signed(at.seq)?))
    };
    let ((to_offset, to_term, to_seq), (offset, term, seq)) = (numbers(to)?, numbers(from)?);
    let values: &Values<'_> = &[
        &to_offset,
        &to_term,
        &to_seq,
        &&to.head.0[..],
        &partition,
        &offset,
        &term,
        &seq,
        &&from.head.0[..],
    ];
    Ok(execute(transaction, sql, values).await? == 1)
}

/// All rows that a batch writes.
#[derive(Debug, Default)]
pub(super) struct Writes {
    born: CustomerColumns,
    changed: CustomerColumns,
    counted: CountedColumns,
    dropped_periods: PeriodColumns,
    periods: PeriodColumns,
    budgets: BudgetColumns,
    timeline: TimelineColumns,
    commands: CommandColumns,
    features_anew: SegmentColumns,
    dropped_segments: SegmentColumns,
    segments: SegmentColumns,
}

impl Writes {
    /// Adds one event of a timeline.
    pub(super) fn event(&mut self, row: &TimelineRow<'_>) -> Result<(), PostgresError> {
        self.timeline.push(row)
    }

    /// Adds what became of commands: for each the first that counts, unless it gives way.
    pub(super) fn commands<'a>(
        &mut self,
        rows: impl Iterator<Item = &'a CommandRow>,
    ) -> Result<(), PostgresError> {
        let mut first: BTreeMap<_, &CommandRow> = BTreeMap::new();
        for row in rows {
            let scope = (row.scope.tenant.as_str(), row.scope.environment.as_str());
            let held = first.entry((row.command_id, scope, row.place.partition)).or_insert(row);
            if held.gives_way() {
                *held = row;
            }
        }
        first.into_values().try_for_each(|row| self.commands.push(row))
    }

    /// Adds what changed of a customer.
    pub(super) fn customer(
        &mut self,
        id: CustomerId,
        touched: &Touched,
    ) -> Result<(), PostgresError> {
        if let Some((row, change)) = touched.fold.row() {
            match change {
                RowChange::Nothing => {}
                RowChange::Counted => self.counted.push(row)?,
                RowChange::Groups | RowChange::Listed => self.changed.push(row)?,
                RowChange::Born => self.born.push(row)?,
            }
        }
        for writes in touched.fold.features().writes() {
            self.feature(id, &writes)?;
        }
        self.ledger(id, touched.fold.ledger())
    }

    fn feature(&mut self, id: CustomerId, writes: &FeatureWrites<'_>) -> Result<(), PostgresError> {
        let FeatureWrites { feature, anew, dropped, changed } = writes;
        let nothing = |start| Segment { start, last: start, used: 0 };
        if *anew {
            self.features_anew.push(id, feature, &nothing(Timestamp::MIN))?;
        }
        for start in dropped {
            self.dropped_segments.push(id, feature, &nothing(*start))?;
        }
        changed.iter().try_for_each(|segment| self.segments.push(id, feature, segment))
    }

    fn ledger(&mut self, id: CustomerId, ledger: &Ledger) -> Result<(), PostgresError> {
        let writes = ledger.writes();
        for key in &writes.dropped {
            self.dropped_periods.push(id, key, &LedgerRow::default())?;
        }
        for (key, row) in writes.changed {
            self.periods.push(id, &key, row)?;
        }
        writes.budgets.iter().try_for_each(|set| self.budgets.push(id, set))
    }

    /// Writes it all. Take away first, then write.
    pub(super) async fn flush(&self, transaction: &Transaction<'_>) -> Result<(), PostgresError> {
        self.born.insert(transaction).await?;
        self.changed.update(transaction).await?;
        self.counted.update(transaction).await?;
        self.dropped_periods.delete(transaction).await?;
        self.periods.upsert(transaction).await?;
        self.budgets.insert(transaction).await?;
        self.timeline.insert(transaction).await?;
        self.commands.upsert(transaction).await?;
        self.features_anew.delete_all(transaction).await?;
        self.dropped_segments.delete(transaction).await?;
        self.segments.upsert(transaction).await
    }
}
