//! One line of the input: a command, with an id that is the same when the line is sent again.

use sha2::{Digest as _, Sha256};
use tallybook_events::json::Json;
use uuid::Uuid;

/// Longest line: what the server takes as one command.
pub(super) const MAX_LINE_BYTES: usize = 64 * 1024;

/// A line that can be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Its number in the input, from 1.
    pub(super) number: u64,
    /// The command as JSON.
    pub(super) command: String,
    /// What tells customers apart: lines of one customer are sent in their order.
    pub(super) customer: u64,
}

/// What a line of the input is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Read {
    /// Nothing.
    Blank,
    /// A command.
    Command(Line),
    /// No command: why.
    Malformed(&'static str),
}

/// Reads a line. One without a command id gets one made of the run's id and the line's number.
pub(super) fn read(run: Uuid, number: u64, text: &[u8]) -> Read {
    let text = text.trim_ascii();
    if text.is_empty() {
        return Read::Blank;
    }
    if text.len() > MAX_LINE_BYTES {
        return Read::Malformed("is longer than 65536 bytes");
    }
    let Ok(Json::Object(mut members)) = serde_json::from_slice::<Json>(text) else {
        return Read::Malformed("is not a JSON object");
    };
    let Some(customer) = members.get("customer") else {
        return Read::Malformed("has no customer");
    };
    let customer = customer_number(customer);
    let command = if matches!(members.get("command_id"), None | Some(Json::Null)) {
        let id = command_id(run, number);
        members.insert("command_id".into(), Json::String(id.to_string().into()));
        serde_json::to_string(&Json::Object(members)).unwrap_or_default()
    } else {
        String::from_utf8_lossy(text).into_owned()
    };
    Read::Command(Line { number, command, customer })
}

fn command_id(run: Uuid, number: u64) -> Uuid {
    Uuid::new_v5(&run, number.to_string().as_bytes())
}

fn customer_number(customer: &Json) -> u64 {
    let text = serde_json::to_vec(customer).unwrap_or_default();
    let digest = Sha256::digest(text);
    let (first, _) = digest.split_first_chunk::<8>().expect("a SHA-256 digest has 32 bytes");
    u64::from_be_bytes(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: Uuid = Uuid::from_u128(7);

    fn command(number: u64, text: &str) -> Line {
        match read(RUN, number, text.as_bytes()) {
            Read::Command(line) => line,
            other @ (Read::Blank | Read::Malformed(_)) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_command_with_an_id_is_sent_as_it_is() {
        let text = r#"{"command_id":"x", "customer":{"key":"a"},"n":1e999}"#;
        assert_eq!(command(1, &format!("  {text}\r\n")).command, text);
    }

    #[test]
    fn a_command_without_an_id_gets_the_same_one_each_time() {
        let text = r#"{"customer":{"key":"a"},"command_id":null,"n":1.50}"#;
        let first = command(3, text);
        assert_eq!(
            first.command,
            format!(
                r#"{{"command_id":"{}","customer":{{"key":"a"}},"n":1.50}}"#,
                command_id(RUN, 3)
            )
        );
        assert_eq!(command(3, text), first);
        assert_ne!(command(4, text).command, first.command);
    }

    #[test]
    fn lines_of_one_customer_are_told_apart_from_others() {
        let of = |text| command(1, text).customer;
        assert_eq!(of(r#"{"customer":{"key":"a"}}"#), of(r#"{"x":1,"customer": { "key" : "a" }}"#));
        assert_ne!(of(r#"{"customer":{"key":"a"}}"#), of(r#"{"customer":{"key":"b"}}"#));
    }

    #[test]
    fn what_is_no_command_is_said() {
        assert_eq!(read(RUN, 1, b" \t\r\n"), Read::Blank);
        for text in ["[]", "nonsense", "1", "\u{fe}"] {
            assert_eq!(read(RUN, 1, text.as_bytes()), Read::Malformed("is not a JSON object"));
        }
        assert_eq!(read(RUN, 1, b"{}"), Read::Malformed("has no customer"));
        let long = format!(r#"{{"customer":"{}"}}"#, "a".repeat(MAX_LINE_BYTES));
        assert_eq!(read(RUN, 1, long.as_bytes()), Read::Malformed("is longer than 65536 bytes"));
    }
}
