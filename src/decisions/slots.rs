//! Who has a key? Its slot decides: it gives the key to one customer at a time, wherever that
//! lives. The command that needs the key is held at the customer until the slot has answered.

use tallybook_events::command::{Claim, Command, CommandBody, CustomerPatch, KeyClaim};
use tallybook_events::customer::{KeyClaimed, KeyReleased};
use tallybook_events::decision::{Rejection, RejectionCode};
use tallybook_events::event::Event;
use tallybook_events::ids::{CustomerId, CustomerKey};

use super::claims::{self, Grant, granted};
use super::{Ask, Record, Verdict};

/// Decides a claim, at the slot of the key. A claim by the holder is granted again without an
/// event.
///
/// # Errors
/// `key_taken` when another customer has the key.
pub(super) fn claim(
    record: &Record,
    ask: &Ask<'_>,
    claim: &KeyClaim,
) -> Result<Verdict, Rejection> {
    at_slot_of(ask, &claim.key)?;
    let events = match record.slot.holder {
        Some(holder) if holder == claim.holder => Vec::new(),
        Some(_) => return Err(taken(None)),
        None => vec![Event::KeyClaimed(KeyClaimed {
            key: claim.key.clone(),
            holder: claim.holder,
            birth: claim.birth,
            held: Some(claim.held),
        })],
    };
    Ok(Verdict::done(events))
}

/// Decides on a key that is given back, at its slot. One that the customer does not hold, or has got
/// by another claim since, stays as it is.
///
/// # Errors
/// `customer_id_refused` when this is not the slot of the key.
pub(super) fn release(
    record: &Record,
    ask: &Ask<'_>,
    claim: &KeyClaim,
) -> Result<Verdict, Rejection> {
    at_slot_of(ask, &claim.key)?;
    // A slot that does not know by which claim (rules of version 1 did not keep it) takes any.
    let by_that_claim = record.ties.get().slot.is_none_or(|by| claim.under == Some(by));
    // A customer that lives here gives its key back itself.
    let held = record.slot.holder == Some(claim.holder) && claim.holder != ask.id && by_that_claim;
    let event = held
        .then(|| Event::KeyReleased(KeyReleased { key: claim.key.clone(), holder: claim.holder }));
    Ok(Verdict::done(event.into_iter().collect()))
}

/// Holds a command until the slot of the key that it needs has answered; one whose claim was
/// granted goes through.
///
/// # Errors
/// `change_in_progress` when another change of the key is under way, or too much waits.
pub(super) fn await_key(
    record: &Record,
    claim: KeyClaim,
    grants: &[Grant],
    decided: Verdict,
) -> Result<Verdict, Rejection> {
    let claim = Claim::Key(claim);
    if granted(grants, &claim).is_some() {
        return Ok(decided);
    }
    claims::wait(record, claim, grants)
}

/// Gives the refusal of a held command whose key another customer has.
pub(super) fn refused(held: &Command) -> Rejection {
    match patch_of(held) {
        None => claims::overtaken(),
        Some(patch) => taken(Some(patch)),
    }
}

fn patch_of(command: &Command) -> Option<&CustomerPatch> {
    match &command.body {
        CommandBody::CreateCustomer(patch) | CommandBody::UpdateCustomer(patch) => Some(patch),
        CommandBody::RecordUsage(_)
        | CommandBody::ArchiveCustomer
        | CommandBody::Entitle(_)
        | CommandBody::Claim(_)
        | CommandBody::SettleClaim(_)
        | CommandBody::Release(_)
        | CommandBody::SettleRelease(_) => None,
    }
}

/// Gives the refusal of a key that another customer has; a key in the patch is pointed at.
pub(super) fn taken(patch: Option<&CustomerPatch>) -> Rejection {
    let detail = "another customer has that key";
    match patch.and_then(|patch| patch.key.as_set()) {
        Some(_) => Rejection::at(RejectionCode::KeyTaken, "/patch/key", detail),
        None => Rejection::new(RejectionCode::KeyTaken, detail),
    }
}

fn at_slot_of(ask: &Ask<'_>, key: &CustomerKey) -> Result<(), Rejection> {
    if CustomerId::slot(&ask.command.scope, key) == ask.id {
        return Ok(());
    }
    let detail = "this is not the slot of that key";
    Err(Rejection::new(RejectionCode::CustomerIdRefused, detail))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tallybook_events::command::CommandType;
    use tallybook_events::decision::Outcome;

    use super::super::given::{
        KEY, Reply, World, archive, by_id, by_key, create, given, nth, report, update, usage, with,
    };

    fn rename(to: &str) -> Value {
        update(json!({"key": to}))
    }

    fn use_one(id: &str) -> Value {
        usage(json!([report(id, "2026-01-10T00:00:00Z", "1")]))
    }

    fn worlds(customers: &[&str]) -> World {
        let mut world = World::default();
        for key in customers {
            world.ask(by_key(key, create(json!({}))));
        }
        world
    }

    fn key_of(world: &World, id: super::CustomerId) -> Value {
        world.document(id)["key"].clone()
    }

    /// Where the command of a reply was decided, and what became of it.
    fn told(reply: &Reply) -> (super::CustomerId, Vec<&'static str>) {
        (reply.id, reply.types())
    }

    #[test]
    fn a_rename_waits_for_the_slot_of_the_new_key() {
        let mut world = worlds(&[KEY]);
        assert!(world.send(rename("new")).is_deferred());
        assert_eq!(world.ask_by("new"), Err("unknown_customer"));
        assert_eq!(world.ask_by(KEY), Ok(nth(KEY, 0)));

        assert_eq!(told(&world.deliver()), (nth("new", 0), vec!["KeyClaimed"]));
        // The slot has given the key, but the customer does not have it yet.
        assert_eq!(world.ask_by("new"), Err("unknown_customer"));

        let settled = world.deliver();
        assert_eq!(told(&settled), (nth(KEY, 0), vec!["KeyChanged"]));
        assert_eq!(settled.events(), json!([{"type": "KeyChanged.v1", "from": KEY, "to": "new"}]));
        assert_eq!(world.ask_by("new"), Ok(nth(KEY, 0)));
        assert_eq!(world.ask_by(KEY), Err("unknown_customer"));
        assert_eq!((world.sent.len(), world.record(nth(KEY, 0)).version()), (0, 2));
        world.check();
    }

    impl World {
        /// Asks for a change that changes nothing; gives the id of the customer that took it.
        fn ask_by(&mut self, key: &str) -> Result<super::CustomerId, &'static str> {
            let sent = std::mem::take(&mut self.sent);
            let reply = self.send(by_key(key, update(json!({}))));
            assert!(self.sent.is_empty());
            self.sent = sent;
            if matches!(reply.outcome, Outcome::Accepted(_)) {
                Ok(reply.id)
            } else {
                Err(reply.code())
            }
        }
    }

    #[test]
    fn a_rename_to_the_same_key_is_none() {
        given().customer(json!({})).when(rename(KEY)).then_nothing();
    }

    #[test]
    fn a_key_that_is_taken_refuses_the_whole_patch() {
        let mut world = worlds(&[KEY, "other"]);
        let reply = world.ask(update(json!({"key": "other", "profile": {"name": "A"}})));
        assert_eq!(reply.code(), "key_taken");
        assert_eq!(world.record(nth(KEY, 0)).version(), 1);
        assert!(world.record(nth(KEY, 0)).held.is_empty());
        world.check();
        given()
            .customer(json!({}))
            .accepted(by_key("other", create(json!({}))))
            .when(rename("other"))
            .rejects("key_taken", Some("/patch/key"));
    }

    #[test]
    fn what_the_rules_refuse_claims_nothing() {
        let mut world = worlds(&[KEY]);
        let reply = world.send(update(json!({"key": "new", "contract": {"tier": "none"}})));
        assert_eq!((reply.code(), world.sent.len()), ("unknown_tier", 0));
        let reply = world.send(with("expected_version", json!(9), rename("new")));
        assert_eq!((reply.code(), world.sent.len()), ("version_mismatch", 0));
    }

    #[test]
    fn a_held_rename_is_decided_as_things_stand_when_the_slot_answers() {
        let mut world = worlds(&[KEY]);
        assert!(world.send(with("expected_version", json!(1), rename("new"))).is_deferred());
        world.send(update(json!({"profile": {"name": "A"}})));
        let codes: Vec<_> = world.settle().iter().map(|reply| reply.outcome.clone()).collect();
        assert_eq!(codes.len(), 4, "claim, answer, release, answer: {codes:?}");
        world.check();
        assert_eq!(world.record(nth("new", 0)).slot.holder, None);
        assert_eq!(world.ask_by(KEY), Ok(nth(KEY, 0)));
        assert_eq!(world.ask(by_key("new", create(json!({})))).types(), ["CustomerCreated"]);
    }

    #[test]
    fn a_customer_that_was_archived_meanwhile_gives_the_granted_key_back() {
        for (asked, code) in [
            (rename("new"), "unknown_customer"),
            (by_id(nth(KEY, 0), rename("new")), "customer_archived"),
        ] {
            let mut world = worlds(&[KEY]);
            world.send(asked);
            assert_eq!(world.send(archive()).types(), ["CustomerArchived"]);
            let replies = world.settle();
            assert_eq!(replies[1].code(), code);
            assert_eq!(world.record(nth("new", 0)).slot.holder, None);
            assert!(world.record(nth(KEY, 0)).releasing.is_empty());
            world.check();
        }
    }

    #[test]
    fn a_birth_that_is_refused_at_last_gives_the_granted_key_back() {
        let mut world = worlds(&[KEY]);
        world.ask(archive());
        assert!(world.send(create(json!({"contract": {"tier": "growth"}}))).is_deferred());
        world.tiers = super::super::TierCatalogue::default();
        let replies = world.settle();
        assert_eq!(replies[1].code(), "unknown_tier");
        assert_eq!(world.record(nth(KEY, 0)).slot.holder, None);
        assert_eq!(world.record(nth(KEY, 1)), super::Record::default());
        assert_eq!(world.ask(create(json!({}))).id, nth(KEY, 2));
        world.check();
    }

    #[test]
    fn a_second_change_of_the_key_waits_its_turn() {
        let mut world = worlds(&[KEY]);
        assert!(world.send(rename("new")).is_deferred());
        assert_eq!(world.send(rename("newer")).code(), "change_in_progress");
        assert_eq!(world.send(rename("new")).code(), "change_in_progress");
        assert_eq!(
            world.send(update(json!({"profile": {"name": "A"}}))).types(),
            ["CustomerUpdated"]
        );
        world.settle();
        assert_eq!(world.ask(by_key("new", rename("newer"))).types(), ["KeyChanged"]);
        world.check();
    }

    #[test]
    fn a_key_on_its_way_back_cannot_be_asked_for_again() {
        let mut world = worlds(&[KEY]);
        world.ask(rename("new"));
        assert_eq!(world.send(by_key("new", rename(KEY))).types(), ["KeyChanged"], "its own slot");
        assert_eq!(world.sent.len(), 1, "`new` is given back");
        assert_eq!(world.send(rename("new")).code(), "change_in_progress");
        world.settle();
        assert_eq!(world.ask(rename("new")).types(), ["KeyChanged"]);
        world.check();
    }

    #[test]
    fn a_freed_key_is_given_to_whoever_asks_first() {
        let mut world = worlds(&[KEY, "other"]);
        world.ask(rename("new"));
        // Its slot is where the first customer lives; the second one claims it from there.
        assert_eq!(world.ask(by_key("other", rename(KEY))).types(), ["KeyChanged"]);
        assert_eq!(world.ask_by(KEY), Ok(nth("other", 0)));
        assert_eq!(world.ask(by_key("new", rename(KEY))).code(), "key_taken");
        assert_eq!(key_of(&world, nth(KEY, 0)), json!("new"));
        world.check();
    }

    #[test]
    fn two_customers_cannot_swap_their_keys_at_once() {
        let mut world = worlds(&["a", "b"]);
        assert!(world.send(by_key("a", rename("b"))).is_deferred());
        assert!(world.send(by_key("b", rename("a"))).is_deferred());
        world.settle();
        assert_eq!(
            (key_of(&world, nth("a", 0)), key_of(&world, nth("b", 0))),
            (json!("a"), json!("b"))
        );
        world.check();
        for (from, to) in [("a", "c"), ("b", "a"), ("c", "b")] {
            assert_eq!(world.ask(by_key(from, rename(to))).types(), ["KeyChanged"]);
        }
        assert_eq!(
            (key_of(&world, nth("a", 0)), key_of(&world, nth("b", 0))),
            (json!("b"), json!("a"))
        );
        world.check();
    }

    #[test]
    fn two_renames_to_one_key_have_one_winner() {
        let mut world = worlds(&["a", "b"]);
        assert!(world.send(by_key("a", rename("c"))).is_deferred());
        assert!(world.send(by_key("b", rename("c"))).is_deferred());
        world.settle();
        assert_eq!(world.ask_by("c"), Ok(nth("a", 0)));
        assert_eq!(world.ask_by("b"), Ok(nth("b", 0)));
        world.check();
    }

    #[test]
    fn an_archived_key_bears_a_further_customer_at_its_own_id() {
        let mut world = worlds(&[KEY]);
        for n in 1..4 {
            assert_eq!(world.ask(archive()).types(), ["CustomerArchived"]);
            let born = world.ask(create(json!({"profile": {"name": n.to_string()}})));
            assert_eq!(told(&born), (nth(KEY, n), vec!["CustomerCreated", "CustomerUpdated"]));
            assert_eq!(born.events()[0]["birth"], json!(n));
            assert_eq!(world.record(nth(KEY, 0)).slot.births, n + 1);
            world.check();
        }
        assert_eq!(world.document(nth(KEY, 1))["archived_at"], json!("2026-01-15T10:00:00Z"));
        assert_eq!(
            world.ask(by_id(nth(KEY, 3), update(json!({"profile": {"name": "B"}})))).types(),
            ["CustomerUpdated"]
        );
    }

    #[test]
    fn a_freed_key_bears_a_further_customer_by_usage_too() {
        let mut world = worlds(&[KEY]);
        world.ask(archive());
        let born = world.ask(use_one("r1"));
        assert_eq!(told(&born), (nth(KEY, 1), vec!["CustomerCreated", "UsageRecorded"]));
        assert_eq!(told(&world.ask(use_one("r2"))), (nth(KEY, 1), vec!["UsageRecorded"]));
        world.check();
    }

    #[test]
    fn births_under_one_key_wait_side_by_side_and_one_is_the_first() {
        let mut world = worlds(&[KEY]);
        world.ask(archive());
        for asked in [use_one("r1"), create(json!({})), use_one("r2")] {
            assert!(world.send(asked).is_deferred());
        }
        world.check();
        world.deliver();
        // The slot has given the key: it sends on to a customer that is not born yet.
        assert!(world.send(use_one("r3")).is_deferred());
        assert_eq!(world.ask_by(KEY), Err("unknown_customer"));
        world.settle();
        assert_eq!(world.document(nth(KEY, 1))["usage"]["lifetime"]["count"], json!(3));
        assert_eq!(world.document(nth(KEY, 1))["version"], json!(4));
        assert!(world.record(nth(KEY, 1)).held.is_empty());
        world.check();
    }

    #[test]
    fn a_refused_birth_keeps_the_key_for_another_that_waits() {
        let mut world = worlds(&[KEY]);
        world.ask(archive());
        assert!(world.send(create(json!({"contract": {"tier": "growth"}}))).is_deferred());
        assert!(world.send(use_one("r1")).is_deferred());
        world.tiers = super::super::TierCatalogue::default();
        let replies = world.settle();
        assert_eq!(replies.len(), 4, "claims and answers, no release: {replies:?}");
        assert_eq!(replies[2].code(), "unknown_tier");
        assert_eq!(told(&replies[3]), (nth(KEY, 1), vec!["CustomerCreated", "UsageRecorded"]));
        world.check();
    }

    #[test]
    fn the_second_of_two_births_is_refused_and_the_first_keeps_the_key() {
        let mut world = worlds(&[KEY]);
        world.ask(archive());
        assert!(world.send(create(json!({"profile": {"name": "first"}}))).is_deferred());
        assert!(world.send(create(json!({"profile": {"name": "second"}}))).is_deferred());
        let replies = world.settle();
        let refused = |reply: &&Reply| matches!(reply.outcome, Outcome::Rejected(_));
        let refusals: Vec<_> = replies.iter().filter(refused).map(Reply::code).collect();
        assert_eq!(refusals, ["key_taken"]);
        assert_eq!(world.document(nth(KEY, 1))["profile"]["name"], json!("first"));
        assert_eq!(world.ask_by(KEY), Ok(nth(KEY, 1)));
        world.check();
    }

    #[test]
    fn a_birth_with_a_fault_claims_nothing() {
        let correction = super::super::given::correction("r1", "r0", "2026-01-10T00:00:00Z", "1");
        let mut world = worlds(&[KEY]);
        world.ask(archive());
        for asked in [usage(json!([correction])), create(json!({"contract": {"tier": "none"}}))] {
            world.send(asked).code();
            assert_eq!(world.sent.len(), 0);
        }
    }

    #[test]
    fn a_key_that_went_to_another_customer_is_not_born_under() {
        let mut world = worlds(&[KEY, "other"]);
        world.ask(archive());
        assert!(world.send(create(json!({}))).is_deferred());
        assert!(world.send(use_one("r1")).is_deferred());
        // The slot hears of the rename first.
        assert!(world.send(by_key("other", rename(KEY))).is_deferred());
        world.sent.rotate_right(1);
        let replies = world.settle();
        let refusals: Vec<_> =
            replies.iter().filter(|reply| reply.id == nth(KEY, 1)).map(Reply::code).collect();
        assert_eq!(refusals, ["key_taken", "change_in_progress"]);
        assert_eq!(told(&world.ask(use_one("r1"))), (nth("other", 0), vec!["UsageRecorded"]));
        world.check();
    }

    #[test]
    fn a_birth_is_sent_past_a_customer_that_left_the_key() {
        let mut world = worlds(&[KEY]);
        world.ask(archive());
        world.ask(create(json!({})));
        // A command that had been on its way to the first rebirth while that came and went.
        let late = with(
            "routed",
            json!({"customer_id": nth(KEY, 1).to_string(), "birth": 1}),
            create(json!({})),
        );
        world.ask(by_id(nth(KEY, 1), archive()));
        assert_eq!(told(&world.ask(late)), (nth(KEY, 2), vec!["CustomerCreated"]));
        world.check();
    }

    #[test]
    fn keys_that_look_like_numbered_births_do_not_collide() {
        let mut world = worlds(&[KEY]);
        world.ask(archive());
        let second = format!("{KEY}#1");
        assert_eq!(nth(KEY, 1), nth(&second, 0), "one id for two ideas");
        assert_eq!(world.ask(by_key(&second, create(json!({})))).id, nth(KEY, 1));
        assert_eq!(told(&world.ask(create(json!({})))), (nth(KEY, 2), vec!["CustomerCreated"]));
        world.check();
        let mut world = worlds(&[KEY]);
        world.ask(archive());
        assert_eq!(world.ask(create(json!({}))).id, nth(KEY, 1));
        assert_eq!(world.ask(by_key(&second, create(json!({})))).id, nth(&second, 1));
        world.check();
        let mut world = worlds(&[KEY]);
        world.ask(archive());
        assert!(world.send(create(json!({}))).is_deferred());
        assert!(world.send(by_key(&second, create(json!({})))).is_deferred());
        world.settle();
        assert_eq!(
            (world.ask_by(KEY), world.ask_by(&second)),
            (Ok(nth(KEY, 1)), Ok(nth(&second, 1)))
        );
        world.check();
    }

    #[test]
    fn a_repeated_or_late_follow_up_is_harmless() {
        let mut world = worlds(&[KEY]);
        world.send(rename("new"));
        let mut seen = Vec::new();
        while let Some(command) = world.sent.front().cloned() {
            world.deliver();
            seen.push(command);
        }
        let before = world.records.clone();
        for follow_up in seen.iter().chain(&seen).cloned() {
            world.decide(follow_up);
            world.settle();
            world.check();
        }
        assert_eq!(world.records, before);
    }

    #[test]
    fn a_grant_that_nothing_waits_for_is_given_back() {
        let mut world = worlds(&[KEY, "other"]);
        let claim = json!({"key": "new", "holder": nth(KEY, 0).to_string(),
            "held": "00000000-0000-4000-8000-00000000dead"});
        let reply = world.send(by_key("new", json!({"type": "ClaimKey", "claim": claim})));
        assert_eq!(reply.types(), ["KeyClaimed"]);
        let settled = world.deliver();
        assert_eq!((settled.id, settled.code()), (nth(KEY, 0), "nothing_held"));
        world.settle();
        assert_eq!(world.record(nth("new", 0)).slot.holder, None);
        world.check();
    }

    #[test]
    fn what_was_granted_for_nothing_is_given_back_each_time() {
        let mut world = worlds(&[KEY]);
        for held in 0..2 {
            let claim = json!({"key": "new", "holder": nth(KEY, 0).to_string(),
                "held": format!("00000000-0000-4000-8000-00000000dea{held}")});
            let asked = json!({"type": "SettleClaim", "claim": claim, "granted": true});
            assert_eq!(world.send(by_id(nth(KEY, 0), asked)).code(), "nothing_held");
        }
        // The second grant may have come after the first one was back.
        assert_eq!((world.sent.len(), world.record(nth(KEY, 0)).releasing.len()), (2, 2));
        world.send(update(json!({"profile": {"name": "A"}})));
        assert_eq!(world.sent.len(), 2, "a release follows from its own cause only");
    }

    #[test]
    fn a_late_release_takes_no_key_that_was_got_again() {
        let mut world = worlds(&[KEY]);
        let mut late = Vec::new();
        for (from, to) in [(KEY, "new"), ("new", "other"), ("other", "new")] {
            world.send(by_key(from, rename(to)));
            while let Some(command) = world.sent.front().cloned() {
                let release = command.body.command_type() == CommandType::ReleaseKey;
                late.extend(release.then_some(command));
                world.deliver();
            }
        }
        let [first, second] = &late[..] else { panic!("two keys were given back: {late:?}") };
        // Decided anew, as after the window in which it is known: the customer has the key again.
        for release in [first, second] {
            world.now = world.now.plus_micros(1);
            assert_eq!(world.decide(release.clone()).events(), json!([]));
            world.settle();
            world.check();
        }
        assert_eq!(world.ask_by("new"), Ok(nth(KEY, 0)));
        assert_eq!(world.ask_by("other"), Err("unknown_customer"));
    }

    #[test]
    fn a_slot_that_does_not_know_by_which_claim_takes_its_key_back_from_the_holder() {
        let mut world = worlds(&[KEY]);
        world.ask(rename("new"));
        // As rules of version 1 recorded it.
        let forget = |record: &mut super::Record| {
            record.ties.change(|ties| (ties.slot, ties.key) = (None, None));
        };
        world.records.values_mut().for_each(forget);
        world.ask(by_key("new", rename(KEY)));
        assert_eq!(world.record(nth("new", 0)).slot.holder, None);
    }

    #[test]
    fn an_answer_to_another_claim_settles_nothing() {
        let mut world = worlds(&[KEY]);
        let Outcome::Deferred(deferred) = world.send(rename("new")).outcome else { panic!() };
        let claim = json!({"key": "other", "holder": nth(KEY, 0).to_string(),
            "held": deferred.claim.held().to_string()});
        let asked = json!({"type": "SettleClaim", "claim": claim, "granted": false});
        let reply = world.send(by_id(nth(KEY, 0), asked));
        assert_eq!(reply.code(), "nothing_held");
        world.settle();
        assert_eq!(world.ask_by("new"), Ok(nth(KEY, 0)));
        world.check();
    }

    #[test]
    fn what_still_waits_is_asked_again_with_the_same_ids() {
        let mut world = worlds(&[KEY]);
        world.send(rename("new"));
        let sent: Vec<_> = world.sent.iter().cloned().collect();
        assert_eq!(world.record(nth(KEY, 0)).unanswered(), sent);
        assert_eq!(world.replayed()[&nth(KEY, 0)].unanswered(), sent);
        world.settle();
        assert_eq!(world.record(nth(KEY, 0)).unanswered(), []);
        world.send(by_key("new", archive()));
        let sent: Vec<_> = world.sent.drain(..).collect();
        assert_eq!(sent.len(), 1);
        assert_eq!(world.record(nth(KEY, 0)).unanswered(), sent);
        world.sent.extend(world.record(nth(KEY, 0)).unanswered());
        world.settle();
        assert_eq!(world.record(nth("new", 0)).slot.holder, None);
        world.check();
    }

    #[test]
    fn follow_ups_are_sent_on_behalf_of_the_asker() {
        let mut world = worlds(&[KEY]);
        let asked =
            with("correlation_id", json!("order-1"), with("reason", json!("moved"), rename("new")));
        let held = world.send(asked);
        let claim = world.sent.front().cloned().unwrap();
        let Outcome::Deferred(deferred) = held.outcome else { panic!("{held:?}") };
        world.deliver();
        let settle = world.sent.front().cloned().unwrap();
        for (follow_up, cause) in [(&claim, deferred.claim.held()), (&settle, claim.command_id)] {
            assert_eq!((follow_up.actor.as_str(), follow_up.source.as_str()), ("tester", "test"));
            let context = serde_json::to_value(follow_up).unwrap();
            assert_eq!(context["correlation_id"], json!("order-1"));
            assert_eq!(context["reason"], json!("moved"));
            assert_eq!(context["causation_id"], json!(cause.to_string()));
        }
        assert_ne!(claim.command_id, settle.command_id);
    }

    #[test]
    fn a_slot_decides_on_its_own_key_only() {
        let mut world = worlds(&[KEY]);
        let claim = json!({"key": "new", "holder": nth("other", 0).to_string(),
            "held": "00000000-0000-4000-8000-00000000dead"});
        for kind in ["ClaimKey", "ReleaseKey"] {
            let reply = world.send(json!({"type": kind, "claim": claim}));
            assert_eq!(reply.code(), "customer_id_refused");
        }
    }

    #[test]
    fn nobody_else_gives_a_key_back() {
        let mut world = worlds(&[KEY]);
        for holder in [nth("other", 0), nth(KEY, 0)] {
            let claim = json!({"key": KEY, "holder": holder.to_string(),
                "held": "00000000-0000-4000-8000-00000000dead"});
            assert_eq!(
                world.ask(json!({"type": "ReleaseKey", "claim": claim})).events(),
                json!([])
            );
        }
        assert_eq!(world.ask_by(KEY), Ok(nth(KEY, 0)));
        world.check();
    }

    #[test]
    fn only_so_many_commands_wait_at_one_customer() {
        let mut world = worlds(&[KEY]);
        world.ask(archive());
        for n in 0..super::claims::MAX_HELD {
            assert!(world.send(use_one(&format!("r{n}"))).is_deferred());
        }
        assert_eq!(world.send(use_one("one more")).code(), "change_in_progress");
    }
}
