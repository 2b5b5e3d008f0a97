//! Rules that span customers, checked exhaustively: claims that cross, answers that come twice, late or
//! never, owners that crash. The code under test is that of the rules themselves ([`decisions::decide`],
//! [`Record::apply`], [`Record::follow_ups`], [`Record::unanswered`]); the model carries commands between
//! records in every order there is, as owners do.
//!
//! Drivers that leave an essential part out are checked too: each must be found out.
//!
//! [`decisions::decide`]: crate::decisions::decide

use stateright::{Model, Property};

use left_out::LeftOut;
use stories::Story;
use world::World;

mod world;
mod stories;
mod left_out;
mod checks;

/// What may happen next.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Action {
    /// A caller sends its next command.
    Ask(usize),
    /// A command on its way arrives.
    Arrive(usize),
    /// A command on its way arrives, and will arrive again.
    ArriveAndRepeat(usize),
    /// An owner crashes: all that was on its way to it is lost, and it asks again for what waits.
    Crash(usize),
    /// All that was on its way is lost, but for what callers send again.
    LoseAll,
    /// Who waits for an answer asks again. Only when nothing is on its way: so it does some day.
    AskAgain,
    /// The window ends in which commands are known that were decided before.
    Forget,
}

impl Model for Story {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![self.world()]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        actions.extend(self.next_to_ask(world).map(Action::Ask));
        for index in 0..world.on_its_way() {
            actions.push(Action::Arrive(index));
            if world.repeats > 0 {
                actions.push(Action::ArriveAndRepeat(index));
            }
        }
        if world.crashes > 0 {
            actions.extend((0..world.owners()).map(Action::Crash));
        }
        if world.losses > 0 && world.on_its_way() > 0 {
            actions.push(Action::LoseAll);
        }
        let asks_again = self.left_out != LeftOut::AskingAgain;
        if world.on_its_way() == 0 && asks_again && world.something_waits() {
            actions.push(Action::AskAgain);
        }
        if world.forgets > 0 {
            actions.push(Action::Forget);
        }
    }

    fn next_state(&self, before: &World, action: Action) -> Option<World> {
        let mut world = before.clone();
        match action {
            Action::Ask(index) => world.ask(index, &self.asked[index]),
            Action::Arrive(index) => world.arrive(index, self, false),
            Action::ArriveAndRepeat(index) => {
                world.repeats -= 1;
                world.arrive(index, self, true);
            }
            Action::Crash(owner) => {
                world.crashes -= 1;
                world.crash(owner, self);
            }
            Action::LoseAll => {
                world.losses -= 1;
                world.lose_all(self);
            }
            Action::AskAgain => world.ask_again(),
            Action::Forget => {
                world.forgets -= 1;
                world.forget();
            }
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no parent has a parent", |_, world: &World| world.is_flat()),
            Property::always(
                "no customer has a parent that the hierarchy does not know",
                |_, it| World::parents_are_known(it),
            ),
            Property::always("no child gets a parent that is archived", |_, it: &World| {
                !it.crossed
            }),
            Property::always("no key has two customers", |_, it| World::keys_are_unique(it)),
            Property::always("no claim is lost: all is answered in the end", |story, it| {
                World::comes_to_an_end(it, story)
            }),
            Property::always(
                "no registrar has given out what nobody has, once quiet",
                |story, it: &World| !it.is_quiet(story) || it.is_tidy(),
            ),
            Property::sometimes("all is answered", |story: &Self, world: &World| {
                world.is_quiet(story) && world.answered() == story.asked.len()
            }),
            Property::sometimes("something is accepted", |_, it: &World| it.accepted() > 0),
            Property::sometimes("something is refused", |story: &Self, world: &World| {
                story.never_refused || world.answered() > world.accepted()
            }),
        ]
    }
}
