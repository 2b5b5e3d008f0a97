//! Ids of customers as FlexPrice shows them: `cust_` and 26 characters of Crockford's base 32.

use tallybook_events::ids::CustomerId;

use crate::gateway::encoded_id::CROCKFORD;

/// What each id begins with.
const PREFIX: &str = "cust_";

/// Spells an id.
pub(super) fn shown(id: CustomerId) -> String {
    format!("{PREFIX}{}", CROCKFORD.encode(id))
}

/// Reads an id; nothing for a text that is nobody's.
pub(super) fn read(text: &str) -> Option<CustomerId> {
    CROCKFORD.decode(text.strip_prefix(PREFIX)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_as_it_is_shown_and_no_other_text_does() {
        let id: CustomerId = "01563e3a-b5d3-d676-4c61-efb99302bd5b".parse().unwrap();
        assert_eq!(shown(id), "cust_01ARZ3NDEKTSV4RRFFQ69G5FAV");
        assert_eq!(read(&shown(id)), Some(id));
        for text in ["", "cust_", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "cust_01arz3ndektsv4rrffq69g5fav"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
