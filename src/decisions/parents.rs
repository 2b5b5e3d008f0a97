//! Which parent does a customer get? Decided at the child, in the order of the rules: nothing changes;
//! it may not move; it would be its own parent; the parent is not there (the parent pledges, or not);
//! the parent has a parent, or the customer has children (the hierarchy decides).
//!
//! First the parent pledges to stay, then the hierarchy gives the place, then the child has its parent,
//! then the pledge is given back. What the child is at last refused for gives both back.

use tallybook_events::command::{Claim, CustomerPatch, EdgeClaim, PledgeClaim};
use tallybook_events::customer::ParentChanged;
use tallybook_events::decision::{Rejection, RejectionCode};
use tallybook_events::field::Patch;
use tallybook_events::ids::{CustomerId, CustomerRef};

use super::Ask;
use super::claims::{Grant, Step, granted};
use super::customer::Customer;

/// Decides what a change of the parent needs, and what it comes to.
///
/// A key names whoever has it when its slot is asked. A parent that stays the same is no change.
///
/// # Errors
/// `customer_has_subscriptions`, then `parent_is_self`; what a registrar refuses is told when its
/// answer comes.
pub(super) fn step(
    customer: &Customer,
    ask: &Ask<'_>,
    patch: &CustomerPatch,
    grants: &[Grant],
) -> Result<Step<Option<ParentChanged>>, Rejection> {
    let named = match patch.identity.as_set().map(|asked| &asked.parent) {
        None | Some(Patch::Keep) => return Ok(Step::Done(None)),
        Some(Patch::Clear) => None,
        Some(Patch::Set(named)) => Some(named),
    };
    let (child, held) = (ask.id, ask.command.command_id);
    let pledge =
        |named: &CustomerRef| Claim::Pledge(PledgeClaim { pledge: named.clone(), child, held });
    let pledged = named.and_then(|named| granted(grants, &pledge(named))?.pledged);
    let from = customer.identity().parent;
    let to = pledged.or_else(|| known(customer, named?));
    if let (Some(named), None) = (named, to) {
        return Ok(Step::Needs(pledge(named)));
    }
    if from == to {
        return Ok(Step::Done(None));
    }
    if customer.has_live_subscriptions(ask.decided_at) {
        return Err(refusal(RejectionCode::CustomerHasSubscriptions));
    }
    let (Some(named), Some(parent)) = (named, to) else {
        return Ok(Step::Done(Some(ParentChanged { from, to: None })));
    };
    if parent == child {
        return Err(refusal(RejectionCode::ParentIsSelf));
    }
    if pledged.is_none() {
        return Ok(Step::Needs(pledge(named)));
    }
    let edge = Claim::Edge(EdgeClaim { parent, child, held });
    if granted(grants, &edge).is_none() {
        return Ok(Step::Needs(edge));
    }
    Ok(Step::Done(Some(ParentChanged { from, to: Some(parent) })))
}

/// Gives the parent that is named, as far as the child itself knows.
fn known(child: &Customer, named: &CustomerRef) -> Option<CustomerId> {
    match named {
        CustomerRef::Id(id) => Some(*id),
        CustomerRef::Key(key) => child.holds(key).then_some(child.id),
    }
}

/// Gives the refusal of a parent, in words.
pub(super) fn refusal(code: RejectionCode) -> Rejection {
    let detail = if code == RejectionCode::ParentIsSelf {
        "a customer cannot be its own parent"
    } else if code == RejectionCode::ParentUnknown {
        "there is no such parent"
    } else if code == RejectionCode::ParentIsChild {
        "that parent has a parent itself, and there is one level only"
    } else if code == RejectionCode::CustomerHasChildren {
        "the customer is a parent itself, and there is one level only"
    } else if code == RejectionCode::CustomerHasSubscriptions {
        "the customer has subscriptions that are not over, and keeps its place until they are"
    } else {
        "the parent cannot be given just now; try again later"
    };
    Rejection::at(code, "/patch/identity/parent", detail)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tallybook_events::decision::Outcome;
    use tallybook_events::ids::CustomerId;

    use super::super::given::{
        KEY, Reply, World, archive, by_id, by_key, create, nth, update, usage, with,
    };
    use super::super::world::scope;

    const V7: &str = "019bb0c0-0000-7000-8000-000000000001";

    fn below(parent: &str) -> Value {
        json!({"identity": {"parent": {"key": parent}}})
    }

    fn below_id(parent: CustomerId) -> Value {
        json!({"identity": {"parent": parent.to_string()}})
    }

    fn alone() -> Value {
        json!({"identity": {"parent": null}})
    }

    fn worlds(customers: &[&str]) -> World {
        let mut world = World::default();
        for key in customers {
            world.ask(by_key(key, create(json!({}))));
        }
        world
    }

    fn parent_of(world: &World, key: &str) -> Value {
        world.document(nth(key, 0))["identity"]["parent"].clone()
    }

    /// Asks for a change of a customer, and lets all that follows happen.
    fn ask(world: &mut World, key: &str, patch: Value) -> Reply {
        let reply = world.ask(by_key(key, update(patch)));
        world.check();
        world.check_quiet();
        reply
    }

    fn id(key: &str) -> Value {
        json!(nth(key, 0).to_string())
    }

    #[test]
    fn a_parent_is_asked_then_the_hierarchy_then_the_parent_is_let_go() {
        let mut world = worlds(&["child", "parent"]);
        assert!(world.send(by_key("child", update(below_id(nth("parent", 0))))).is_deferred());
        let hierarchy = CustomerId::hierarchy(&scope());
        let (child, parent) = (nth("child", 0), nth("parent", 0));
        let mut steps = Vec::new();
        while !world.sent.is_empty() {
            let reply = world.deliver();
            let told = if reply.is_deferred() { vec!["held on"] } else { reply.types() };
            steps.push((reply.id, told));
            world.check();
        }
        assert_eq!(
            steps,
            [
                (parent, vec!["PledgeClaimed"]),
                (child, vec!["held on"]),
                (hierarchy, vec!["EdgeClaimed"]),
                (child, vec!["ParentChanged"]),
                (parent, vec!["PledgeReleased"]),
                (child, vec![]),
            ]
        );
        world.check_quiet();
        assert_eq!(parent_of(&world, "child"), id("parent"));
        // Registrars' facts are no part of a version.
        assert_eq!((world.record(child).version(), world.record(parent).version()), (2, 1));
    }

    #[test]
    fn a_parent_changes_and_goes_by_events_that_tell_both() {
        let mut world = worlds(&[KEY, "p", "q"]);
        let changed =
            |from: Value, to: Value| json!([{"type": "ParentChanged.v1", "from": from, "to": to}]);
        assert_eq!(ask(&mut world, KEY, below("p")).events(), changed(json!(null), id("p")));
        assert_eq!(ask(&mut world, KEY, below("q")).events(), changed(id("p"), id("q")));
        assert_eq!(ask(&mut world, KEY, alone()).events(), changed(id("q"), json!(null)));
        assert_eq!(ask(&mut world, KEY, alone()).events(), json!([]));
        // Now it may have children itself.
        assert_eq!(ask(&mut world, "p", below(KEY)).types(), ["ParentChanged"]);
        assert_eq!(world.record(nth(KEY, 0)).version(), 4);
    }

    #[test]
    fn the_same_parent_again_is_no_event_however_it_is_named() {
        let mut world = worlds(&[KEY, "p"]);
        ask(&mut world, KEY, below("p"));
        assert!(!world.send(update(below_id(nth("p", 0)))).is_deferred(), "nobody is asked");
        assert_eq!(ask(&mut world, KEY, below_id(nth("p", 0))).events(), json!([]));
        assert_eq!(ask(&mut world, KEY, below("p")).events(), json!([]));
        assert_eq!(ask(&mut world, "p", json!({"key": "r"})).types(), ["KeyChanged"]);
        assert_eq!(ask(&mut world, KEY, below("r")).events(), json!([]), "by its new key");
        assert_eq!(ask(&mut world, KEY, below("p")).code(), "parent_unknown");
    }

    #[test]
    fn with_subscriptions_that_are_not_over_a_customer_keeps_its_place() {
        let attach = json!({"type": "AttachPlan", "plan": {"plan_id": "pro"}});
        let cancel = json!({"type": "CancelPlan", "plan_id": "pro"});
        let mut world = worlds(&[KEY, "p", "q"]);
        ask(&mut world, KEY, below("p"));
        world.ask(attach.clone());
        for patch in [below_id(nth("q", 0)), below("q"), below(KEY), alone()] {
            assert_eq!(ask(&mut world, KEY, patch).code(), "customer_has_subscriptions");
        }
        // Nothing changes, or another customer does.
        assert_eq!(ask(&mut world, KEY, below("p")).events(), json!([]));
        assert_eq!(ask(&mut world, "q", below("p")).types(), ["ParentChanged"]);
        world.ask(cancel);
        assert_eq!(ask(&mut world, KEY, alone()).types(), ["ParentChanged"]);
        // What begins while the hierarchy is asked counts too.
        assert!(world.send(update(below("p"))).is_deferred());
        assert_eq!(world.send(attach).types(), ["PlanAttached"]);
        let settled = world.settle();
        assert_eq!(settled[1].code(), "customer_has_subscriptions");
        assert_eq!(settled.len(), 4, "and the pledge is given back: {settled:?}");
        world.check_quiet();
        assert_eq!(parent_of(&world, KEY), json!(null));
    }

    #[test]
    fn rules_are_told_in_their_order() {
        let mut world = worlds(&[KEY, "p", "child", "gone"]);
        world.ask(by_key("gone", archive()));
        ask(&mut world, "child", below("p"));
        let other = CustomerId::slot(&scope(), &"nobody".parse().unwrap());
        let hierarchy = CustomerId::hierarchy(&scope());
        for (who, patch, code) in [
            (KEY, below(KEY), "parent_is_self"),
            (KEY, below_id(nth(KEY, 0)), "parent_is_self"),
            ("p", below("p"), "parent_is_self"),
            (KEY, below("nobody"), "parent_unknown"),
            (KEY, below_id(other), "parent_unknown"),
            (KEY, below_id(hierarchy), "parent_unknown"),
            (KEY, below("gone"), "parent_unknown"),
            (KEY, below_id(nth("gone", 0)), "parent_unknown"),
            ("p", below_id(nth("gone", 0)), "parent_unknown"),
            (KEY, below("child"), "parent_is_child"),
            // It has children itself; but first the parent is looked at.
            ("p", below("child"), "parent_is_child"),
            ("p", below(KEY), "customer_has_children"),
        ] {
            let reply = ask(&mut world, who, patch.clone());
            assert_eq!(reply.code(), code, "{who} {patch}");
            let Outcome::Rejected(rejection) = reply.outcome else { unreachable!() };
            assert_eq!(rejection.pointer.as_deref(), Some("/patch/identity/parent"));
        }
        assert_eq!(parent_of(&world, KEY), json!(null));
    }

    #[test]
    fn another_tenants_customer_is_no_parent() {
        let mut world = worlds(&[KEY]);
        world.ask(with("tenant", json!("other"), by_key("theirs", create(json!({})))));
        let tenant = "other".parse().unwrap();
        let theirs = tallybook_events::ids::Scope { tenant, ..scope() };
        let theirs = CustomerId::slot(&theirs, &"theirs".parse().unwrap());
        assert!(world.record(theirs).customer.is_some());
        assert_eq!(ask(&mut world, KEY, below_id(theirs)).code(), "parent_unknown");
    }

    #[test]
    fn two_that_become_each_others_child_have_one_winner() {
        let mut world = worlds(&["a", "b"]);
        assert!(world.send(by_key("a", update(below("b")))).is_deferred());
        assert!(world.send(by_key("b", update(below("a")))).is_deferred());
        world.settle();
        world.check();
        world.check_quiet();
        assert_eq!((parent_of(&world, "a"), parent_of(&world, "b")), (id("b"), json!(null)));
    }

    #[test]
    fn a_key_and_a_parent_are_granted_together_or_not_at_all() {
        let both = |key: &str, parent: &str| {
            let mut patch = below(parent);
            patch["key"] = json!(key);
            patch
        };
        let mut world = worlds(&[KEY, "p", "taken", "child"]);
        ask(&mut world, "child", below("p"));
        assert_eq!(ask(&mut world, KEY, both("taken", "p")).code(), "key_taken");
        assert_eq!(ask(&mut world, KEY, both("new", "child")).code(), "parent_is_child");
        assert_eq!(ask(&mut world, KEY, both("taken", "nobody")).code(), "parent_unknown");
        assert_eq!(parent_of(&world, KEY), json!(null));
        assert_eq!(world.record(nth("new", 0)).slot.holder, None);
        let done = ask(&mut world, KEY, both("new", "p"));
        assert_eq!(done.types(), ["ParentChanged", "KeyChanged"]);
        assert_eq!(world.document(nth(KEY, 0))["key"], json!("new"));
    }

    #[test]
    fn a_customer_is_born_below_a_parent() {
        let mut world = worlds(&["p", "child"]);
        let born = world.ask(create(below("p")));
        assert_eq!(born.types(), ["CustomerCreated", "ParentChanged"]);
        let by_own_id = by_id(V7.parse().unwrap(), create(below("p")));
        assert_eq!(world.ask(by_own_id).types(), ["CustomerCreated", "ParentChanged"]);
        ask(&mut world, "child", below("p"));
        for (parent, code) in
            [("child", "parent_is_child"), ("new", "parent_is_self"), ("nobody", "parent_unknown")]
        {
            assert_eq!(world.ask(by_key("new", create(below(parent)))).code(), code);
            assert!(world.record(nth("new", 0)).customer.is_none());
        }
        world.check();
        world.check_quiet();
        // A further one, whose key is asked too.
        world.ask(archive());
        let born = world.ask(create(below("p")));
        assert_eq!(
            (born.id, born.types()),
            (nth(KEY, 1), vec!["CustomerCreated", "ParentChanged"])
        );
        world.check();
        world.check_quiet();
    }

    #[test]
    fn who_is_born_first_has_the_key_while_another_birth_waits_for_a_parent() {
        let use_one = usage(json!([super::super::given::report("r", "2026-01-10T00:00:00Z", "1")]));
        for (first, types) in [
            (use_one, vec!["CustomerCreated", "UsageRecorded"]),
            (create(json!({})), vec!["CustomerCreated"]),
        ] {
            let mut world = worlds(&["p"]);
            assert!(world.send(create(below("p"))).is_deferred());
            let born = world.send(first);
            assert_eq!((born.id, born.types()), (nth(KEY, 0), types));
            let settled = world.settle();
            let refused = |reply: &&Reply| matches!(reply.outcome, Outcome::Rejected(_));
            let codes: Vec<_> = settled.iter().filter(refused).map(Reply::code).collect();
            assert_eq!(codes, ["key_taken"]);
            assert_eq!(parent_of(&world, KEY), json!(null));
            world.check();
            world.check_quiet();
        }
    }

    #[test]
    fn births_that_wait_for_parents_wait_side_by_side() {
        let mut world = worlds(&["p", "q"]);
        assert!(world.send(create(below("p"))).is_deferred());
        assert!(world.send(create(below("q"))).is_deferred());
        world.settle();
        assert_eq!(parent_of(&world, KEY), id("p"));
        world.check();
        world.check_quiet();
    }

    #[test]
    fn a_parent_that_pledged_is_not_archived_until_it_is_let_go() {
        let mut world = worlds(&[KEY, "p"]);
        world.send(update(below("p")));
        world.deliver();
        assert_eq!(world.send(by_key("p", archive())).code(), "change_in_progress");
        world.settle();
        assert_eq!(world.ask(by_key("p", archive())).types(), ["CustomerArchived"]);
        // Its children keep it, and may leave it.
        assert_eq!(parent_of(&world, KEY), id("p"));
        world.check();
        assert_eq!(ask(&mut world, KEY, alone()).types(), ["ParentChanged"]);
        assert_eq!(ask(&mut world, KEY, below_id(nth("p", 0))).code(), "parent_unknown");
    }

    #[test]
    fn a_parent_that_is_archived_first_gets_no_child() {
        let mut world = worlds(&[KEY, "p"]);
        world.send(update(below_id(nth("p", 0))));
        world.send(by_key("p", archive()));
        let settled = world.settle();
        assert_eq!((settled[0].code(), settled[1].code()), ("parent_unknown", "parent_unknown"));
        world.check();
        world.check_quiet();
    }

    #[test]
    fn an_archived_child_names_its_parent_and_takes_no_place() {
        let mut world = worlds(&[KEY, "p", "q"]);
        ask(&mut world, KEY, below("p"));
        world.ask(archive());
        world.check();
        world.check_quiet();
        assert_eq!(parent_of(&world, KEY), id("p"));
        assert_eq!(ask(&mut world, "p", below("q")).types(), ["ParentChanged"]);
    }

    #[test]
    fn what_is_refused_at_last_gives_all_back() {
        let mut world = worlds(&[KEY, "p"]);
        let asked = with("expected_version", json!(1), update(below("p")));
        assert!(world.send(asked).is_deferred());
        for _ in 0..3 {
            world.deliver();
        }
        world.send(update(json!({"profile": {"name": "A"}})));
        let settled = world.settle();
        assert_eq!(settled[0].code(), "version_mismatch");
        assert_eq!(settled.len(), 5, "two releases and their answers: {settled:?}");
        world.check();
        world.check_quiet();
        for (asked, code) in [
            (update(below("p")), "unknown_customer"),
            (by_id(nth(KEY, 0), update(below("p"))), "customer_archived"),
        ] {
            let mut world = worlds(&[KEY, "p"]);
            world.send(asked);
            world.send(archive());
            assert_eq!(world.settle()[1].code(), code);
            world.check();
            world.check_quiet();
        }
    }

    #[test]
    fn another_change_of_key_or_parent_waits_its_turn_and_a_parent_may_be_left_at_any_time() {
        let mut world = worlds(&[KEY, "p", "q"]);
        ask(&mut world, KEY, below("p"));
        assert!(world.send(update(below("q"))).is_deferred());
        for patch in [below("p"), below("q"), json!({"key": "new"})] {
            let refused = world.send(update(patch.clone()));
            let unchanged = patch == below_id(nth("p", 0));
            assert!(unchanged || refused.code() == "change_in_progress", "{patch} {refused:?}");
        }
        assert_eq!(world.send(update(alone())).types(), ["ParentChanged"]);
        let settled = world.settle();
        let moved =
            settled.iter().find(|reply| !reply.events.is_empty() && reply.id == nth(KEY, 0));
        assert_eq!(
            moved.expect("it moved").events(),
            json!([{"type": "ParentChanged.v1", "from": null, "to": id("q")}])
        );
        world.check();
        world.check_quiet();
    }

    #[test]
    fn follow_ups_that_come_again_or_late_change_nothing() {
        let mut world = worlds(&[KEY, "p", "q"]);
        let mut seen = Vec::new();
        for patch in [below("p"), below("q")] {
            world.send(update(patch));
            while let Some(command) = world.sent.front().cloned() {
                world.deliver();
                seen.push(command);
            }
        }
        let before = world.records.clone();
        // Decided anew, as after the window in which they are known: all at once, and one by one.
        for _ in 0..2 {
            for follow_up in seen.clone() {
                world.now = world.now.plus_micros(1);
                world.decide(follow_up);
                world.check_hierarchy();
                world.settle();
                world.check();
            }
        }
        assert_eq!(world.records, before);
    }

    #[test]
    fn what_still_waits_is_asked_again_with_the_same_ids() {
        let mut world = worlds(&[KEY, "p"]);
        world.send(update(below("p")));
        let mut rounds = 0;
        loop {
            let sent: Vec<_> = world.sent.drain(..).collect();
            let records = world.records.values();
            let unanswered: Vec<_> = records.flat_map(super::super::Record::unanswered).collect();
            assert_eq!(unanswered, sent, "what was lost on the way is asked again");
            let Some(asked) = unanswered.into_iter().next() else { break };
            // It comes twice; the first answer is lost.
            world.hear(asked.clone());
            world.sent.clear();
            world.hear(asked);
            world.deliver();
            rounds += 1;
        }
        assert_eq!(rounds, 3, "a pledge, an edge, and the pledge back");
        assert_eq!(parent_of(&world, KEY), id("p"));
        world.check_quiet();
    }

    #[test]
    fn only_so_many_pledges_are_given_at_one_time() {
        let mut world = worlds(&["p"]);
        let claim = |n: usize| {
            json!({"type": "ClaimPledge", "claim": {"pledge": {"key": "p"}, "child": V7,
                "held": format!("00000000-0000-4000-9000-{n:012}")}})
        };
        for n in 0..super::super::pledges::MAX_PLEDGES {
            assert_eq!(world.send(by_key("p", claim(n))).types(), ["PledgeClaimed"]);
            world.sent.clear();
        }
        let one_more = world.send(by_key("p", claim(super::super::pledges::MAX_PLEDGES)));
        assert_eq!(one_more.code(), "change_in_progress");
    }

    #[test]
    fn only_the_hierarchy_decides_who_is_whose_parent() {
        let mut world = worlds(&[KEY, "p"]);
        let claim = json!({"parent": nth("p", 0).to_string(), "child": nth(KEY, 0).to_string(),
            "held": "00000000-0000-4000-8000-00000000dead"});
        for kind in ["ClaimEdge", "ReleaseEdge"] {
            let reply = world.send(json!({"type": kind, "claim": claim}));
            assert_eq!(reply.code(), "customer_id_refused");
        }
    }
}
