//! Tallybook: an event-sourced command processor for the customers of usage-billed products.
//!
//! # The way of one command
//!
//! `PATCH /api/v1/customers/acme` with `{"contract":{"tier":"growth"}}`, step by step.
//!
//! 1. **Asked.** The listener ([`gateway::serve`]) hands the request to the router
//!    ([`gateway::router`]). Before the handler stands a guard: is there room, whose key is it
//!    ([`keys::KeyStore`]), has it requests left. The handler reads the body as a merge patch into a
//!    [`CustomerPatch`]: absent, null and a value are three things from here on ([`Patch`], [`Edit`]).
//!    It becomes a [`Command`]: who asks what of which customer. Here text becomes types, and here
//!    [`clock::Clock`] is read: time and ids come in with the command.
//! 2. **On its way.** The command goes into the [`inbox::Inbox`]: in one process
//!    [`inbox::local::LocalInbox`]. Where it is decided follows from the customer: [`Command::home`]
//!    gives an id, [`Partition::of`] the partition of that id, and each partition has one owner.
//! 3. **May it?** The owner (in [`processor`]) has all customers of its partition in memory. A command
//!    id that it knows gets the answer of then. For a new one it calls [`decisions::decide`], which
//!    reads its arguments and nothing else: the [`decisions::Record`] at that id and the
//!    [`decisions::Ask`]. The verdict is a list of facts ([`Event`]: `TierChanged` with the limits that
//!    now hold), or a [`Rejection`], or that the key's slot elsewhere must be asked first.
//! 4. **It happened.** Command, [`Outcome`] and events become one record ([`codec::write_decision`])
//!    that continues the partition's chain: its sequence number, and the hash of all before it. The
//!    owner applies it to its own state at once ([`decisions::Record::apply`]) and decides the next
//!    command while this one is on its way to the disk.
//! 5. **Kept in order.** [`journal::Appender::append`] takes the record without waiting. The SQLite
//!    journal ([`journal::sqlite`]) writes all that waits in one transaction, fsyncs it, and tells the
//!    owner at which offset it is. An offset alone proves nothing: the reader rule ([`chain::Chain`])
//!    judges every record, also our own ([`processor::Ownership`]). Only what counts is answered. What
//!    does not make the owner throw away all that it had decided ahead, and begin anew from the log.
//! 6. **Rows.** The [`projector`] follows the journal, judges by the same rule, takes the facts out of
//!    each decision ([`Facts::of`]), folds them ([`projection::Projection`]), and commits rows and
//!    position in one transaction ([`Store::commit`]).
//! 7. **Answered.** The owner's [`inbox::Answer`] has the position of the decision. The gateway asks the
//!    read models for the customer ([`Queries::customer`]), once they have come so far
//!    ([`Queries::reached`]), and sends the document: the caller reads its own write. Where all questions
//!    come through one process, an answer that shows no rows does not wait for them; each later question
//!    does ([`gateway::Waits`]), and the projector gathers what nobody waits for.
//!
//! # Rules that span customers
//!
//! A key has one customer; a parent has no parent, and a child no children. Each such rule has one
//! registrar that decides it, which lives in some partition as a customer does: the *slot* of the key,
//! the *hierarchy* of the scope, and the parent itself, which pledges to stay until the child has it
//! ([`Claim`]). The command is held at its customer ([`decisions::Held`]), a claim goes to the registrar
//! as a command of our own, and its answer ([`Settlement`]) decides the held command as a whole, or
//! lets it ask the next registrar. What was given up, or was granted for nothing, goes back the same way
//! before the caller hears of the decision. Ids of such commands are derived, so one that comes again
//! is known; what is not answered is asked again ([`decisions::Record::unanswered`]).
//!
//! # After a crash
//!
//! The owner reads its partition from the first record on ([`processor::restore`]), claims
//! it with a record of its own, and goes on. Nothing outside the journal says what happened.
//!
//! # Who knows whom
//!
//! Imports point one way; `tests/layering.rs` keeps the table. [`decisions`] know facts only. The
//! [`processor`] knows the rules and two ports ([`inbox`], [`journal`]), no adapter. The [`gateway`]
//! knows no rule. Read side and write side share the facts and nothing else. Only the command line
//! ([`cli`]) builds adapters: how the parts are wired is in its `serve`, and only [`config`] reads the
//! environment.
//!
//! [`CustomerPatch`]: tallybook_events::command::CustomerPatch
//! [`Patch`]: tallybook_events::field::Patch
//! [`Edit`]: tallybook_events::field::Edit
//! [`Command`]: tallybook_events::command::Command
//! [`Command::home`]: tallybook_events::command::Command::home
//! [`Partition::of`]: tallybook_events::ids::Partition::of
//! [`Event`]: tallybook_events::event::Event
//! [`Claim`]: tallybook_events::command::Claim
//! [`Settlement`]: tallybook_events::command::Settlement
//! [`Rejection`]: tallybook_events::decision::Rejection
//! [`Outcome`]: tallybook_events::decision::Outcome
//! [`codec::write_decision`]: tallybook_events::codec::write_decision
//! [`chain::Chain`]: tallybook_events::chain::Chain
//! [`Facts::of`]: tallybook_projections::projection::Facts::of
//! [`projection::Projection`]: tallybook_projections::projection::Projection
//! [`Store::commit`]: tallybook_projections::store::Store::commit
//! [`Queries::reached`]: tallybook_projections::queries::Queries::reached
//! [`Queries::customer`]: tallybook_projections::queries::Queries::customer

pub mod decisions;
pub mod processor;
pub mod journal;
pub mod inbox;
pub mod projector;
pub mod publisher;
pub mod gateway;
pub mod keys;
pub mod kafka;
mod arena;
pub mod clock;
pub mod cli;
pub mod config;
pub mod telemetry;
