//! What must be sent now that a decision counts? Claims to slots, their answers, releases. An id is
//! derived from that of the command that caused it, so a repeat is known as one.

use tallybook_events::command::{Claim, Command, CommandBody, Context, Settlement};
use tallybook_events::decision::Outcome;
use tallybook_events::ids::{CommandId, CustomerKey, CustomerRef, Token};
use tallybook_events::time::Timestamp;
use uuid::Uuid;

use super::{Decided, Record};

/// Gives the follow-ups of a decision that was applied to the record.
pub(super) fn of(record: &Record, decided: &Decided<'_>) -> Vec<Command> {
    let command = decided.command;
    let mut follow_ups = Vec::new();
    match (&command.body, decided.outcome) {
        (
            _,
            Outcome::Forwarded { .. } | Outcome::DeadLettered { .. } | Outcome::Repeated { .. },
        ) => {}
        (_, Outcome::Deferred(deferred)) => follow_ups.push(claim(command, &deferred.claim)),
        (CommandBody::ClaimKey(claim), outcome @ (Outcome::Accepted(_) | Outcome::Rejected(_))) => {
            let granted = matches!(outcome, Outcome::Accepted(_));
            let body = CommandBody::SettleClaim(Settlement { claim: claim.clone(), granted });
            let customer = CustomerRef::Id(claim.holder);
            follow_ups.push(follow_up(command, "settle", customer, decided.decided_at, body));
        }
        (CommandBody::ReleaseKey(claim), Outcome::Accepted(_) | Outcome::Rejected(_)) => {
            let body = CommandBody::SettleRelease(claim.clone());
            let customer = CustomerRef::Id(claim.holder);
            follow_ups.push(follow_up(command, "settle", customer, decided.decided_at, body));
        }
        (_, Outcome::Accepted(_) | Outcome::Rejected(_)) => {
            let cause = command.command_id;
            let caused = |release: &&Command| matches!(&release.body, CommandBody::ReleaseKey(claim) if claim.held == cause);
            follow_ups.extend(record.releasing.iter().filter(caused).cloned());
        }
    }
    follow_ups
}

/// Gives the follow-ups whose answer is missing.
pub(super) fn unanswered(record: &Record) -> Vec<Command> {
    let claims = record.held.values().map(|held| claim(&held.command, &held.claim));
    claims.chain(record.releasing.iter().cloned()).collect()
}

/// Asks a slot for the key that a held command waits for.
fn claim(held: &Command, claim: &Claim) -> Command {
    let customer = CustomerRef::Key(claim.key.clone());
    follow_up(held, "claim", customer, held.issued_at, CommandBody::ClaimKey(claim.clone()))
}

/// Gives a key back to its slot.
pub(super) fn release(decided: &Decided<'_>, key: &CustomerKey) -> Command {
    let cause = decided.command;
    let claim =
        Claim { key: key.clone(), holder: decided.id, held: cause.command_id, birth: false };
    let customer = CustomerRef::Key(key.clone());
    let body = CommandBody::ReleaseKey(claim);
    follow_up(cause, "release", customer, decided.decided_at, body)
}

/// Makes a command that follows from another: in the same scope, on behalf of the same actor.
fn follow_up(
    cause: &Command,
    step: &str,
    customer: CustomerRef,
    issued_at: Timestamp,
    body: CommandBody,
) -> Command {
    let causation: Token = cause.command_id.to_string().parse().expect("a UUID is a plain text");
    Command {
        command_id: CommandId(Uuid::new_v5(&cause.command_id.0, step.as_bytes())),
        scope: cause.scope.clone(),
        customer,
        issued_at,
        actor: cause.actor.clone(),
        source: cause.source.clone(),
        context: Context {
            correlation_id: cause.context.correlation_id.clone(),
            causation_id: Some(causation),
            traceparent: cause.context.traceparent.clone(),
            reason: cause.context.reason.clone(),
            ..Context::default()
        },
        routed: None,
        body,
    }
}
