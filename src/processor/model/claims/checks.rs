//! The checks: all stories with all rules kept, and each essential part left out once.

use stateright::{Checker, HasDiscoveries, Model};

use super::left_out::LeftOut;
use super::stories::{Faults, Story, alone, archive, below, below_key, create, rename, update};

/// Most states of one check. None comes near; a model that grew past it would not be exhaustive.
const MAX_STATES: usize = 2_000_000;

const NONE: Faults = Faults { crashes: 0, losses: 0, repeats: 0, forgets: 0 };
const CRASH: Faults = Faults { crashes: 1, ..NONE };
const LOSS: Faults = Faults { losses: 1, ..NONE };
const REPEAT: Faults = Faults { repeats: 1, ..NONE };

fn customers(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| create(key)).collect()
}

/// Two customers become each other's children.
fn each_others() -> Story {
    Story::of(&customers(&["a", "b"]), &[below("a", "b"), below("b", "a")])
}

/// Two customers want one key.
fn one_key() -> Story {
    Story::of(&customers(&["a", "b"]), &[rename("a", "k"), rename("b", "k")])
}

/// A key and a parent at once, while another wants the key.
fn key_and_parent() -> Story {
    let both = update("a", r#"{"key":"k","identity":{"parent":{"key":"p"}}}"#);
    Story::of(&customers(&["a", "b", "p"]), &[both, rename("b", "k")])
}

/// A child gets a parent that comes to its end.
fn last_child() -> Story {
    Story::of(&customers(&["c", "p"]), &[below_key("c", "p"), archive("p")])
}

/// A child moves to another parent, while its old one becomes a child itself.
fn moves_on() -> Story {
    let before = [customers(&["a", "p", "q"]), vec![below("a", "p")]].concat();
    Story::of(&before, &[below("a", "q"), below("p", "q")])
}

/// A child leaves its parent, and both become something else.
fn leaves() -> Story {
    let before = [customers(&["a", "p", "x"]), vec![below("a", "p")]].concat();
    Story::of(&before, &[alone("a"), below("x", "a")])
}

/// A key is got, given up, and got again, with a message of then still about.
fn again() -> Story {
    Story::of(&customers(&["a"]), &[rename("a", "k"), rename("a", "m"), rename("a", "k")])
        .one_by_one()
}

/// A child gets a parent: a pledge is got and given back.
fn one_parent() -> Story {
    Story::of(&customers(&["c", "p"]), &[below("c", "p")]).one_by_one()
}

/// A child gets a parent and leaves it: a place is got and given back.
fn comes_and_goes() -> Story {
    Story::of(&customers(&["c", "p"]), &[below("c", "p"), alone("c")]).one_by_one()
}

fn nothing_fails(story: Story) {
    let checker = story
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .target_state_count(MAX_STATES)
        .spawn_dfs()
        .join();
    assert!(checker.state_count() < MAX_STATES, "not exhaustive");
    checker.assert_properties();
}

/// Gives the properties that a story breaks.
fn broken(story: Story) -> Vec<&'static str> {
    let checker = story
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .target_state_count(MAX_STATES)
        .spawn_bfs()
        .join();
    let discoveries = checker.discoveries();
    discoveries.into_keys().filter(|name| name.starts_with("no ")).collect()
}

#[test]
fn claims_that_cross_break_no_rule_whoever_crashes() {
    for story in [each_others, one_key, last_child, leaves] {
        for faults in [NONE, CRASH, LOSS, REPEAT] {
            nothing_fails(story().with(faults));
        }
    }
}

#[test]
fn claims_that_cross_break_no_rule_when_much_goes_wrong_at_once() {
    let all = Faults { crashes: 1, losses: 1, repeats: 1, forgets: 0 };
    nothing_fails(one_key().with(all));
}

#[test]
fn a_key_and_a_parent_at_once_break_no_rule_whoever_crashes() {
    for story in [key_and_parent, moves_on] {
        for faults in [NONE, CRASH, LOSS] {
            nothing_fails(story().with(faults));
        }
    }
}

#[test]
fn what_comes_after_it_is_forgotten_breaks_no_rule() {
    let late = Faults { repeats: 1, forgets: 1, ..NONE };
    nothing_fails(again().with(late));
}

#[test]
fn what_is_granted_once_more_while_it_is_on_its_way_back_is_given_back_once_more() {
    let late = Faults { repeats: 1, forgets: 1, ..NONE };
    for story in [one_parent, comes_and_goes] {
        nothing_fails(story().with(late));
    }
}

#[test]
fn leaving_out_the_look_for_children_is_found() {
    assert!(broken(each_others().without(LeftOut::Children)).is_empty(), "the other look finds it");
    let found = broken(moves_on().without(LeftOut::Children));
    assert!(found.contains(&"no parent has a parent"), "{found:?}");
}

#[test]
fn leaving_out_the_look_for_the_parents_parent_is_found() {
    let before = [customers(&["a", "p", "x"]), vec![below("a", "p")]].concat();
    let story = Story::of(&before, &[below("x", "a")]);
    let found = broken(story.without(LeftOut::ParentsParent));
    assert!(found.contains(&"no parent has a parent"), "{found:?}");
}

#[test]
fn a_registrar_that_forgets_what_it_granted_is_found() {
    let found = broken(one_key().without(LeftOut::Grants));
    assert!(found.contains(&"no key has two customers"), "{found:?}");
    let found = broken(each_others().without(LeftOut::Grants));
    let unknown = "no customer has a parent that the hierarchy does not know";
    assert!(found.contains(&unknown), "{found:?}");
}

#[test]
fn a_held_command_that_forgets_what_it_was_granted_is_found() {
    let found = broken(each_others().without(LeftOut::OldGrants));
    assert!(found.contains(&"no claim is lost: all is answered in the end"), "{found:?}");
}

#[test]
fn leaving_out_pledges_is_found() {
    let found = broken(last_child().without(LeftOut::Pledges));
    assert!(found.contains(&"no child gets a parent that is archived"), "{found:?}");
}

#[test]
fn leaving_out_the_names_of_claims_is_found() {
    let late = Faults { repeats: 1, forgets: 1, ..NONE };
    let found = broken(again().with(late).without(LeftOut::NamesOfClaims));
    assert!(!found.is_empty(), "a slot gives away what it has taken back too early");
}

#[test]
fn leaving_out_the_names_of_releases_is_found() {
    let late = Faults { repeats: 1, forgets: 1, ..NONE };
    for story in [one_parent, comes_and_goes] {
        let found = broken(story().with(late).without(LeftOut::NamesOfReleases));
        assert_eq!(found, ["no registrar has given out what nobody has, once quiet"]);
    }
}

#[test]
fn leaving_out_to_wait_for_old_releases_is_found() {
    let late = Faults { repeats: 1, forgets: 1, ..NONE };
    let found = broken(comes_and_goes().with(late).without(LeftOut::OldReleases));
    let unknown = "no customer has a parent that the hierarchy does not know";
    assert!(found.contains(&unknown), "{found:?}");
}

#[test]
fn leaving_out_to_give_back_is_found() {
    let found = broken(key_and_parent().without(LeftOut::GivingBack));
    let tidy = "no registrar has given out what nobody has, once quiet";
    assert!(found.contains(&tidy), "{found:?}");
}

#[test]
fn leaving_out_to_ask_again_is_found() {
    let found = broken(one_key().with(LOSS).without(LeftOut::AskingAgain));
    assert!(found.contains(&"no claim is lost: all is answered in the end"), "{found:?}");
}
