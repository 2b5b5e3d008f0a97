//! For tests: a journal in memory, written and read as the real ones are.

use serde_json::value::RawValue;
use tallybook_events::chain::{Chain, Checkpoint, Head};
use tallybook_events::codec::{self, Claimed, DecisionParts, Record};
use tallybook_events::command::{Command, CommandBody, Context};
use tallybook_events::customer::{
    Budget, Corrected, CustomerArchived, CustomerCreated, KeyChanged, StatusChanged, UsageRecorded,
};
use tallybook_events::customer::{Change, CustomerUpdated, Status, TierChanged};
use tallybook_events::decision::{Accepted, Outcome, Rejection, RejectionCode, SourceRef};
use tallybook_events::event::Event;
use tallybook_events::ids::{
    CommandId, CustomerId, CustomerKey, CustomerRef, Environment, Partition, Scope,
};
use tallybook_events::period::Window;
use tallybook_events::time::{MICROS_PER_HOUR, Timestamp};
use uuid::Uuid;

use crate::commands::CommandRow;
use crate::projection::Facts;
use crate::store::Part;

pub(crate) mod random_world;

pub(crate) fn at(text: &str) -> Timestamp {
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    whole.parse().expect("a time")
}

pub(crate) fn window(start: &str, end: &str) -> Window {
    Window { start: at(start), end: at(end) }
}

pub(crate) fn scope() -> Scope {
    Scope { tenant: "t".parse().expect("a tenant"), environment: Environment::Live }
}

pub(crate) fn id(key: &str) -> CustomerId {
    CustomerId::slot(&scope(), &self::key(key))
}

pub(crate) fn key(text: &str) -> CustomerKey {
    text.parse().expect("a key")
}

pub(crate) fn created(key: &str) -> Event {
    Event::CustomerCreated(CustomerCreated {
        customer_id: id(key),
        tenant: scope().tenant,
        environment: scope().environment,
        key: Some(self::key(key)),
        birth: 0,
    })
}

pub(crate) fn named(name: &str) -> Event {
    let change = Change { old: tallybook_events::json::Json::Null, new: name.into() };
    let set = [("profile.name".into(), change)].into();
    Event::CustomerUpdated(CustomerUpdated { set, removed: [].into() })
}

pub(crate) fn tier(name: &str) -> Event {
    Event::TierChanged(TierChanged {
        from: None,
        to: Some(name.parse().expect("a tier")),
        annual_commitment: None,
        annual_limit: Some(5),
        rate_per_second: None,
        burst: None,
    })
}

pub(crate) fn suspended() -> Event {
    Event::StatusChanged(StatusChanged { from: Status::Active, to: Status::Suspended })
}

pub(crate) fn renamed(from: &str, to: &str) -> Event {
    Event::KeyChanged(KeyChanged { from: Some(key(from)), to: Some(key(to)) })
}

pub(crate) fn archived(key: &str) -> Event {
    Event::CustomerArchived(CustomerArchived { key: Some(self::key(key)) })
}

pub(crate) fn budget_set(budget: &Budget) -> Event {
    Event::BudgetSet((*budget).into())
}

/// A report of a cost, in the window that a budget has at that moment; charged twice the cost.
pub(crate) fn used(report: &str, moment: &str, cost: u32, budget: &Budget) -> Event {
    let moment = at(moment);
    Event::UsageRecorded(UsageRecorded {
        report_id: report.parse().expect("a report id"),
        occurred_at: moment,
        meter: "tokens".parse().expect("a meter"),
        quantity: (10 * cost).into(),
        raw: cost.into(),
        charged: (2 * cost).into(),
        period: budget.schedule().window_at(moment),
        merchant: None,
        corrects: None,
    })
}

/// Gives where a report counts: from its hour on, or where its window begins within that.
fn hour_of(report: &UsageRecorded) -> Timestamp {
    Timestamp::from_hour(report.occurred_at.hour()).max(report.period.start)
}

/// A report that takes the place of another one.
pub(crate) fn corrected(earlier: &Event, later: Event) -> Event {
    let (Event::UsageRecorded(earlier), Event::UsageRecorded(later)) = (earlier, later) else {
        panic!("only reports are corrected");
    };
    let corrects = Corrected {
        report_id: earlier.report_id.clone(),
        occurred_at: earlier.occurred_at,
        meter: earlier.meter.clone(),
        quantity: earlier.quantity,
        raw: earlier.raw,
        charged: earlier.charged,
        counted_from: Some(hour_of(earlier)).filter(|from| from.micros() % MICROS_PER_HOUR != 0),
    };
    Event::UsageRecorded(UsageRecorded { corrects: Some(corrects), ..later })
}

/// The records of one partition.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) partition: Partition,
    pub(crate) records: Vec<Vec<u8>>,
    seq: u64,
    head: Head,
}

impl Log {
    /// Begins with the claim of an owner.
    pub(crate) fn new(partition: u32) -> Self {
        let claim =
            codec::write_claim(&Claimed { term: 1, owner: "test".into(), at: at("2026-01-01") });
        let head = Head::START.rolled(&claim);
        Self { partition: Partition(partition), records: vec![claim], seq: 1, head }
    }

    /// Writes a decision that was accepted; gives the id of its command.
    pub(crate) fn accept(
        &mut self,
        moment: &str,
        customer_id: CustomerId,
        from_version: u64,
        events: &[Event],
    ) -> CommandId {
        self.decide(at(moment), customer_id, from_version, events, CommandBody::ArchiveCustomer)
    }

    /// The same, for a command with that body.
    pub(crate) fn decide(
        &mut self,
        decided_at: Timestamp,
        customer_id: CustomerId,
        from_version: u64,
        events: &[Event],
        body: CommandBody,
    ) -> CommandId {
        let counted = events.iter().filter(|event| event.counts_in_version()).count();
        let accepted = Accepted {
            customer_id,
            from_version,
            to_version: from_version + u64::try_from(counted).expect("few events"),
            duplicates: Vec::new(),
            conflicts: Vec::new(),
        };
        self.write(decided_at, customer_id, &Outcome::Accepted(accepted), events, body)
    }

    /// Writes a decision that was a refusal.
    pub(crate) fn reject(&mut self, moment: &str, customer_id: CustomerId) {
        let rejection = Rejection::new(RejectionCode::UnknownCustomer, "there is none");
        let outcome = Outcome::Rejected(rejection);
        self.write(at(moment), customer_id, &outcome, &[], CommandBody::ArchiveCustomer);
    }

    fn write(
        &mut self,
        decided_at: Timestamp,
        customer_id: CustomerId,
        outcome: &Outcome,
        events: &[Event],
        body: CommandBody,
    ) -> CommandId {
        let number = u128::from(self.partition.0) << 64 | u128::from(self.seq + 1);
        let command = Command {
            command_id: CommandId(Uuid::from_u128(number)),
            scope: scope(),
            customer: CustomerRef::Id(customer_id),
            issued_at: decided_at,
            actor: "key:1".parse().expect("an actor"),
            source: "api".parse().expect("a source"),
            context: Context::default(),
            routed: None,
            body,
        };
        self.record(&command, decided_at, outcome, events);
        command.command_id
    }

    /// Writes any decision; gives its seq.
    pub(crate) fn record(
        &mut self,
        command: &Command,
        decided_at: Timestamp,
        outcome: &Outcome,
        events: &[Event],
    ) -> u64 {
        self.seq += 1;
        let json = serde_json::to_vec(&command).expect("a command is JSON");
        let parts = DecisionParts {
            decided_at,
            rules: "1",
            source: SourceRef::Local,
            command: &json,
            outcome,
            gives_back: &[],
            events,
        };
        let mut record = Vec::new();
        codec::write_decision(&mut record, 1, self.seq, &self.head, &parts);
        self.head = self.head.rolled(&record);
        self.records.push(record);
        self.seq
    }

    /// Reads on from a checkpoint, at most so many records, as a projector does.
    pub(crate) fn part(&self, from: Checkpoint, most: usize) -> Part<'_> {
        let mut chain = Chain::from(from);
        let (mut facts, mut commands) = (Vec::new(), Vec::new());
        let begin = usize::try_from(from.offset).expect("a small offset");
        for (offset, record) in (from.offset..).zip(self.records[begin..].iter().take(most)) {
            assert!(chain.judge(offset, record).expect("a chain").counts());
            let (read, recorded): (Record, Vec<&RawValue>) =
                codec::read_with_events(record).expect("a record");
            if let Record::Decision(decision) = read {
                commands.extend(CommandRow::of(self.partition, &decision));
                facts.extend(Facts::of(self.partition, *decision, &recorded).expect("facts"));
            }
        }
        Part { partition: self.partition, from, to: chain.checkpoint(), facts, commands }
    }

    /// Gives all facts.
    pub(crate) fn facts(&self) -> Vec<Facts<'_>> {
        self.part(Checkpoint::START, usize::MAX).facts
    }
}
