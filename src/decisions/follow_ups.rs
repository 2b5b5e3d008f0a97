//! What must be sent now that a decision counts? Claims to registrars, their answers, releases. An id is
//! derived from the decision that caused it (the command and the time), so a repeat is known as one, and
//! what is decided anew after it was forgotten is not.

use tallybook_events::command::{
    Claim, Command, CommandBody, Context, RegistrarAnswer, Settlement,
};
use tallybook_events::decision::Outcome;
use tallybook_events::ids::{CommandId, CustomerRef, Token};
use tallybook_events::time::Timestamp;
use uuid::Uuid;

use super::{Decided, Held, Record};

/// Gives the follow-ups of a decision that was applied to the record.
pub(super) fn of(record: &Record, decided: &Decided<'_>) -> Vec<Command> {
    let command = decided.command;
    match (&command.body, decided.outcome) {
        (
            _,
            Outcome::Forwarded { .. }
            | Outcome::DeadLettered { .. }
            | Outcome::Repeated { .. }
            | Outcome::Previewed(_),
        ) => Vec::new(),
        (_, Outcome::Deferred(deferred)) => {
            let held = record.held.get(&deferred.claim.held());
            held.filter(|held| held.claim == deferred.claim).map(claim).into_iter().collect()
        }
        (CommandBody::Claim(claim), outcome @ (Outcome::Accepted(_) | Outcome::Rejected(_))) => {
            let granted = matches!(outcome, Outcome::Accepted(_));
            let answer = answer(record, decided, claim);
            let body =
                CommandBody::SettleClaim(Settlement { claim: claim.clone(), granted, answer });
            let customer = CustomerRef::Id(claim.claimant());
            vec![follow_up(command, "settle", customer, decided.decided_at, body)]
        }
        (CommandBody::Release(claim), Outcome::Accepted(_) | Outcome::Rejected(_)) => {
            let body = CommandBody::SettleRelease(claim.clone());
            let customer = CustomerRef::Id(claim.claimant());
            vec![follow_up(command, "settle", customer, decided.decided_at, body)]
        }
        (_, Outcome::Accepted(_) | Outcome::Rejected(_)) => {
            let caused = |release: &&Command| is_caused(release, command.command_id);
            record.releasing.iter().filter(caused).cloned().collect()
        }
    }
}

/// Gives what a registrar says beside yes or no.
fn answer(record: &Record, decided: &Decided<'_>, claim: &Claim) -> RegistrarAnswer {
    let nothing = RegistrarAnswer::default();
    match (decided.outcome, claim) {
        (Outcome::Rejected(rejection), _) => {
            RegistrarAnswer { refusal: Some(rejection.code), ..nothing }
        }
        (_, Claim::Pledge(_)) => RegistrarAnswer { pledged: Some(decided.id), ..nothing },
        (_, Claim::Key(_)) => RegistrarAnswer { under: record.ties.get().slot, ..nothing },
        (_, Claim::Edge(_)) => nothing,
    }
}

/// Gives the follow-ups whose answer is missing.
pub(super) fn unanswered(record: &Record) -> Vec<Command> {
    record.held.values().map(claim).chain(record.releasing.iter().cloned()).collect()
}

/// Tells whether a release follows from a command.
pub(super) fn is_caused(release: &Command, cause: CommandId) -> bool {
    release.context.causation_id == Some(cause_of(cause))
}

/// Tells whether a registrar's word that it has something back answers a release: it names the release
/// that caused it. The same may be on its way back once more, and waits for a word of its own.
pub(super) fn answers(word: &Command, claim: &Claim, release: &Command) -> bool {
    let is_that = matches!(&release.body, CommandBody::Release(sent) if sent == claim);
    let cause = word.context.causation_id.as_ref();
    is_that && cause.is_none_or(|cause| *cause == cause_of(release.command_id))
}

/// Asks a registrar for what a held command waits for.
fn claim(held: &Held) -> Command {
    let Held { command, claim, since, .. } = held;
    let customer = claim.registrar(&command.scope);
    let body = CommandBody::Claim(claim.clone());
    follow_up(command, step("claim", claim), customer, *since, body)
}

/// Gives something back to a registrar.
pub(super) fn release(decided: &Decided<'_>, claim: Claim) -> Command {
    let customer = claim.registrar(&decided.command.scope);
    let step = step("release", &claim);
    let body = CommandBody::Release(claim);
    follow_up(decided.command, step, customer, decided.decided_at, body)
}

/// Names a step: a command may cause one of each kind.
fn step(verb: &str, claim: &Claim) -> &'static str {
    match (verb, claim) {
        ("claim", Claim::Key(_)) => "claim-key",
        ("claim", Claim::Pledge(_)) => "claim-pledge",
        ("claim", Claim::Edge(_)) => "claim-edge",
        (_, Claim::Key(_)) => "release-key",
        (_, Claim::Pledge(_)) => "release-pledge",
        (_, Claim::Edge(_)) => "release-edge",
    }
}

/// Makes a command that follows from another: in the same scope, on behalf of the same actor.
fn follow_up(
    cause: &Command,
    step: &str,
    customer: CustomerRef,
    issued_at: Timestamp,
    body: CommandBody,
) -> Command {
    let name = format!("{step}/{issued_at}");
    Command {
        command_id: CommandId(Uuid::new_v5(&cause.command_id.0, name.as_bytes())),
        scope: cause.scope.clone(),
        customer,
        issued_at,
        actor: cause.actor.clone(),
        source: cause.source.clone(),
        context: Context {
            correlation_id: cause.context.correlation_id.clone(),
            causation_id: Some(cause_of(cause.command_id)),
            traceparent: cause.context.traceparent.clone(),
            reason: cause.context.reason.clone(),
            ..Context::default()
        },
        routed: None,
        body,
    }
}

fn cause_of(command_id: CommandId) -> Token {
    command_id.to_string().parse().expect("a UUID is a plain text")
}
