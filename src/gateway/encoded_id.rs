//! Customer ids as some dialects show them: the same UUID as a number in another alphabet, always of
//! the same width. Each id has one spelling; any other text is nobody's id.

use tallybook_events::ids::CustomerId;
use uuid::Uuid;

/// Digits and letters of both cases, by their ASCII order: 22 of them hold a UUID.
pub(crate) const BASE62: Alphabet = Alphabet {
    digits: b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    width: 22,
};

/// Crockford's base 32, in capitals, as ULIDs are spelled: 26 of them hold a UUID.
pub(crate) const CROCKFORD: Alphabet =
    Alphabet { digits: b"0123456789ABCDEFGHJKMNPQRSTVWXYZ", width: 26 };

/// A way to spell ids.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Alphabet {
    /// Digits, the smallest first.
    digits: &'static [u8],
    /// Digits of each id; enough for every UUID.
    width: usize,
}

impl Alphabet {
    /// Spells an id, with zeros before it to the full width.
    pub(crate) fn encode(self, id: CustomerId) -> String {
        let base = self.digits.len() as u128;
        let mut rest = id.0.as_u128();
        let mut text = vec!['0'; self.width];
        for place in text.iter_mut().rev() {
            let digit = usize::try_from(rest % base).expect("less than the number of digits");
            *place = char::from(self.digits[digit]);
            rest /= base;
        }
        text.into_iter().collect()
    }

    /// Reads an id in the spelling that [`Alphabet::encode`] gives it; nothing for any other text.
    pub(crate) fn decode(self, text: &str) -> Option<CustomerId> {
        if text.len() != self.width {
            return None;
        }
        let number = text.bytes().try_fold(0_u128, |number, byte| {
            let digit = self.digits.iter().position(|digit| *digit == byte)? as u128;
            number.checked_mul(self.digits.len() as u128)?.checked_add(digit)
        })?;
        Some(CustomerId(Uuid::from_u128(number)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> CustomerId {
        text.parse().unwrap()
    }

    #[test]
    fn ids_are_spelled_in_full_width() {
        for (uuid, base62, crockford) in [
            (
                "00000000-0000-0000-0000-000000000000",
                "0000000000000000000000",
                "00000000000000000000000000",
            ),
            (
                "00000000-0000-0000-0000-00000000003e",
                "0000000000000000000010",
                "0000000000000000000000001Y",
            ),
            // The ULID specification's own example.
            (
                "01563e3a-b5d3-d676-4c61-efb99302bd5b",
                "02WP8qFtGJTkHk10j5u4aZ",
                "01ARZ3NDEKTSV4RRFFQ69G5FAV",
            ),
            (
                "ffffffff-ffff-ffff-ffff-ffffffffffff",
                "7n42DGM5Tflk9n8mt7Fhc7",
                "7ZZZZZZZZZZZZZZZZZZZZZZZZZ",
            ),
        ] {
            assert_eq!(BASE62.encode(id(uuid)), base62);
            assert_eq!(BASE62.decode(base62), Some(id(uuid)));
            assert_eq!(CROCKFORD.encode(id(uuid)), crockford);
            assert_eq!(CROCKFORD.decode(crockford), Some(id(uuid)));
        }
    }

    #[test]
    fn every_id_comes_back_and_has_one_spelling() {
        let mut bits = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835_u128;
        for _ in 0..1_000 {
            bits = bits.wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645).wrapping_add(1);
            let id = CustomerId(Uuid::from_u128(bits));
            for alphabet in [BASE62, CROCKFORD] {
                assert_eq!(alphabet.decode(&alphabet.encode(id)), Some(id));
            }
        }
    }

    #[test]
    fn any_other_text_is_nobodys_id() {
        for text in [
            "",
            "000000000000000000000",   // one too few
            "00000000000000000000000", // one too many
            "000000000000000000000-",
            "7n42DGM5Tflk9n8mt7Fhc8", // one above the last UUID
            "zzzzzzzzzzzzzzzzzzzzzz",
            "0000000000000000000é0",
        ] {
            assert_eq!(BASE62.decode(text), None, "{text}");
        }
        for text in [
            "",
            "01ARYZ6S41TSV4RRFFQ69G5FA",
            "01arz3ndektsv4rrffq69g5fav", // small letters
            "01ARZ3NDEKTSV4RRFFQ69G5FAI", // no digit of Crockford's
            "8ZZZZZZZZZZZZZZZZZZZZZZZZZ", // above the last UUID
        ] {
            assert_eq!(CROCKFORD.decode(text), None, "{text}");
        }
    }
}
