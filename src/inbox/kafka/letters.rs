//! What lies in the topic of commands: commands, and what is none.

use bytes::Bytes;
use rdkafka::message::{BorrowedMessage, Message as _};
use tallybook_events::command::{Command, CommandDraft, Defaults};
use tallybook_events::ids::{Actor, Origin};
use tallybook_events::outside;
use tallybook_events::time::Timestamp;

use crate::arena::Arena;
use crate::inbox::feed::{Dead, Fed, Letter};

/// Longest reason that is noted of what is no command.
const MAX_REASON: usize = 300;

/// Reads what lies in the topic; `arena` keeps commands as they are recorded.
pub(super) fn fed(message: &BorrowedMessage<'_>, now: Timestamp, arena: &mut Arena) -> Fed {
    let offset = u64::try_from(message.offset()).expect("offsets count from 0");
    let payload = message.payload().unwrap_or_default();
    let at = message
        .timestamp()
        .to_millis()
        .map_or(now, |millis| Timestamp::from_micros(millis.saturating_mul(1_000)));
    let letter = match command(payload, at) {
        Ok(command) => {
            let (json, written) = arena.write(|text| serde_json::to_writer(text, &command));
            written.expect("a command is JSON");
            Letter::Command { command: Box::new(command), json }
        }
        Err(reason) => Letter::Dead(Dead {
            reason: reason.chars().take(MAX_REASON).collect::<String>().into(),
            key: message.key().map(Bytes::copy_from_slice),
            payload: Bytes::copy_from_slice(payload),
        }),
    };
    Fed { offset, letter }
}

/// Reads a command, with the topic as its source where it is silent.
fn command(payload: &[u8], at: Timestamp) -> Result<Command, String> {
    let text = outside::text(payload).map_err(|fault| said(&fault))?;
    let draft: CommandDraft = outside::read(text).map_err(|fault| said(&fault))?;
    let actor: Actor = "kafka".parse().expect("a word is an actor");
    let source: Origin = "commands".parse().expect("a word is an origin");
    let defaults = Defaults {
        command_id: None,
        scope: None,
        issued_at: Some(at),
        actor: Some(actor),
        source: Some(source),
    };
    draft.complete(defaults).map_err(|fault| fault.to_string())
}

fn said(fault: &outside::Fault) -> String {
    format!("{} {}", fault.pointer, fault.detail)
}
