//! What became of commands.

use serde_json::{Value, json};
use tallybook_events::command::{
    Claim, Command, CommandBody, Context, KeyClaim, RegistrarAnswer, Settlement,
};
use tallybook_events::decision::{Accepted, Deferred, Outcome, Rejection, RejectionCode};
use tallybook_events::event::Event;
use tallybook_events::ids::{CommandId, CustomerRef, Environment, Position, Scope};
use uuid::Uuid;

use super::{Fixture, commit, commit_some};
use crate::queries::{CommandOutcome, Queries};
use crate::testing::{Log, at, created, id, key, named, renamed, scope};

fn command_id(number: u128) -> CommandId {
    CommandId(Uuid::from_u128(number))
}

fn command(number: u128, scope: Scope, body: CommandBody) -> Command {
    Command {
        command_id: command_id(number),
        scope,
        customer: CustomerRef::Id(id("acme")),
        issued_at: at("2026-11-01"),
        actor: "key:1".parse().unwrap(),
        source: "api".parse().unwrap(),
        context: Context::default(),
        routed: None,
        body,
    }
}

fn asked(number: u128) -> Command {
    command(number, scope(), CommandBody::ArchiveCustomer)
}

fn accepted(from_version: u64, to_version: u64) -> Outcome {
    let (duplicates, conflicts) = (Vec::new(), Vec::new());
    let customer_id = id("acme");
    Outcome::Accepted(Accepted { customer_id, from_version, to_version, duplicates, conflicts })
}

fn rejected(code: RejectionCode) -> Outcome {
    Outcome::Rejected(Rejection::at(code, "/patch/key", "says the decision"))
}

async fn found(reads: &dyn Queries, scope: &Scope, number: u128) -> Option<CommandOutcome> {
    reads.command(scope, command_id(number)).await.unwrap()
}

/// What was found: where, what became of it, and its events.
async fn shown(reads: &dyn Queries, number: u128) -> Option<(Position, Outcome, Value)> {
    let found = found(reads, &scope(), number).await?;
    assert_eq!(found.command_id, command_id(number));
    let events = serde_json::from_str(found.events.get()).unwrap();
    Some((found.position, found.outcome, events))
}

fn events(events: &[Event]) -> Value {
    serde_json::to_value(events).unwrap()
}

pub(crate) async fn a_command_is_found_with_its_events_or_its_refusal(fixture: impl Fixture) {
    let mut log = Log::new(0);
    let day = at("2026-11-01");
    let born = [created("acme"), named("Acme")];
    log.record(&asked(1), day, &accepted(0, 2), &born);
    log.record(&asked(2), day, &accepted(2, 2), &[]);
    log.record(&asked(3), day, &rejected(RejectionCode::KeyTaken), &[]);
    let reports = |number: u32| vec![format!("r{number}").parse().unwrap()];
    let repeats = Outcome::Accepted(Accepted {
        customer_id: id("acme"),
        from_version: 2,
        to_version: 3,
        duplicates: reports(1),
        conflicts: reports(2),
    });
    log.record(&asked(4), day, &repeats, &[named("B")]);
    let elsewhere = Outcome::Forwarded { partition: log.partition, to: None };
    log.record(&asked(5), day, &elsewhere, &[]);
    // The same id again: what was decided first stays.
    log.record(&asked(1), day, &rejected(RejectionCode::CommandIdReused), &[]);
    commit(&mut *fixture.store(), &log);
    let reads = fixture.reads();
    let place = |seq| Position { partition: log.partition, seq };
    let expected = [
        Some((place(2), accepted(0, 2), events(&born))),
        Some((place(3), accepted(2, 2), json!([]))),
        Some((place(4), rejected(RejectionCode::KeyTaken), json!([]))),
        Some((place(5), repeats, events(&[named("B")]))),
        None,
        None,
    ];
    for (number, expected) in (1..).zip(expected) {
        assert_eq!(shown(&*reads, number).await, expected, "{number}");
    }
    let moment = found(&*reads, &scope(), 3).await.map(|found| found.decided_at);
    assert_eq!(moment, Some(day));
}

pub(crate) async fn a_held_command_is_what_settled_it(fixture: impl Fixture) {
    let mut log = Log::new(0);
    let day = at("2026-11-01");
    let (apex, holder) = (key("apex"), id("acme"));
    let claim =
        |held| Claim::Key(KeyClaim { key: apex.clone(), holder, held, birth: false, under: None });
    let held = |number| {
        Outcome::Deferred(Deferred { customer_id: id("acme"), claim: claim(command_id(number)) })
    };
    let settle = |number, of| {
        let settlement = Settlement {
            claim: claim(command_id(of)),
            granted: true,
            answer: RegistrarAnswer::default(),
        };
        command(number, scope(), CommandBody::SettleClaim(settlement))
    };
    log.record(&asked(1), day, &accepted(0, 1), &[created("acme")]);
    log.record(&asked(2), day, &held(2), &[]);
    log.record(&asked(3), day, &held(3), &[]);
    let (late, renamed) = (at("2026-11-02"), [renamed("acme", "apex")]);
    log.record(&settle(12, 2), late, &accepted(1, 2), &renamed);
    log.record(&settle(13, 3), late, &rejected(RejectionCode::KeyTaken), &[]);
    // An answer that comes again settles nothing; nor does a claim of our own.
    log.record(&settle(14, 2), late, &rejected(RejectionCode::NothingHeld), &[]);
    let claims = command(15, scope(), CommandBody::Claim(claim(command_id(2))));
    log.record(&claims, late, &accepted(2, 2), &[]);
    let place = |seq| Position { partition: log.partition, seq };
    let mut store = fixture.store();
    commit_some(&mut *store, &log, 4);
    let reads = fixture.reads();
    for number in [2, 3] {
        let seq = u64::try_from(number).unwrap() + 1;
        let expected = Some((place(seq), held(number), json!([])));
        assert_eq!(shown(&*reads, number).await, expected);
    }
    commit(&mut *store, &log);
    let refused = rejected(RejectionCode::KeyTaken);
    let expected = [
        (2, Some((place(5), accepted(1, 2), events(&renamed)))),
        (3, Some((place(6), refused, json!([])))),
        (12, None),
        (13, None),
        (14, None),
        (15, None),
    ];
    for (number, expected) in expected {
        assert_eq!(shown(&*reads, number).await, expected, "{number}");
    }
}

pub(crate) async fn a_command_of_another_scope_is_not_found(fixture: impl Fixture) {
    let other = Scope { tenant: "other".parse().unwrap(), environment: Environment::Live };
    let test = Scope { environment: Environment::Test, ..scope() };
    let nobody = Scope { tenant: "nobody".parse().unwrap(), environment: Environment::Live };
    let mut log = Log::new(0);
    let scopes = [(scope(), 2), (other, 3), (test, 4)];
    for (scope, _) in &scopes {
        let body = CommandBody::ArchiveCustomer;
        let outcome = rejected(RejectionCode::UnknownCustomer);
        log.record(&command(1, scope.clone(), body), at("2026-11-01"), &outcome, &[]);
    }
    commit(&mut *fixture.store(), &log);
    let reads = fixture.reads();
    for (scope, seq) in &scopes {
        let seen = found(&*reads, scope, 1).await.map(|found| found.position.seq);
        assert_eq!(seen, Some(*seq), "{scope:?}");
    }
    assert!(found(&*reads, &nobody, 1).await.is_none());
    assert!(found(&*reads, &scope(), 9).await.is_none());
}

pub(crate) async fn of_an_id_used_on_two_partitions_the_first_counts(fixture: impl Fixture) {
    let mut logs = [Log::new(0), Log::new(1)];
    let refused = rejected(RejectionCode::UnknownCustomer);
    for (log, day) in logs.iter_mut().zip(["2026-11-02", "2026-11-01"]) {
        log.record(&asked(1), at(day), &refused, &[]);
        commit(&mut *fixture.store(), log);
    }
    let place = Position { partition: logs[1].partition, seq: 2 };
    assert_eq!(shown(&*fixture.reads(), 1).await, Some((place, refused, json!([]))));
}
