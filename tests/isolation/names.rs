//! The ways to name a customer, and what of an answer is chance.

use uuid::Uuid;

use crate::table::Form;

const CROCKFORD: &[u8] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const BASE62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A customer, and the command that made it.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    pub(crate) key: String,
    pub(crate) id: Uuid,
    pub(crate) command_id: Uuid,
}

impl Names {
    /// Gives names that nobody has.
    pub(crate) fn of_nobody(key: &str, number: u128) -> Self {
        let id = Uuid::new_v5(&Uuid::NAMESPACE_DNS, key.as_bytes());
        Self { key: key.to_owned(), id, command_id: Uuid::from_u128(number | 7 << 76 | 2 << 62) }
    }

    /// Spells one of them.
    pub(crate) fn spelled(&self, form: Form) -> String {
        match form {
            Form::Key => self.key.clone(),
            Form::Id => self.id.to_string(),
            Form::Cust => format!("cust_{}", spelled(self.id.as_u128(), CROCKFORD, 26)),
            Form::Cus => format!("cus_{}", spelled(self.id.as_u128(), BASE62, 22)),
            Form::Command => self.command_id.to_string(),
        }
    }
}

fn spelled(mut number: u128, digits: &[u8], length: usize) -> String {
    let base = digits.len() as u128;
    let mut text = vec![0; length];
    for place in text.iter_mut().rev() {
        *place = digits[usize::try_from(number % base).expect("a digit")];
        number /= base;
    }
    String::from_utf8(text).expect("digits are ASCII")
}

/// Gives a text with ids, moments and positions taken out: what differs between two that are alike.
pub(crate) fn without_chance(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut word = String::new();
    for character in text.chars().chain([' ']) {
        if character.is_ascii_alphanumeric() || "-_:.".contains(character) {
            word.push(character);
            continue;
        }
        kept.push_str(if is_chance(word.trim_matches(':')) { "{chance}" } else { &word });
        word.clear();
        kept.push(character);
    }
    kept
}

fn is_chance(word: &str) -> bool {
    let is_moment = word.len() >= 20 && word.starts_with("20") && word.ends_with('Z');
    let is_number = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let is_id = word.parse::<Uuid>().is_ok()
        || word.starts_with("cust_")
        || word.starts_with("cus_")
        || word.starts_with("req_");
    is_moment || is_number || is_id
}
