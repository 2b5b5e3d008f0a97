//! What a request says about where it comes from: its id and its W3C trace context. Neither is
//! needed; what is not well-formed is left out.

use http::HeaderMap;
use tallybook_events::ids::Token;

const REQUEST_ID: &str = "x-request-id";
const TRACEPARENT: &str = "traceparent";

/// Gives the caller's id of the request, the word for all that belongs together.
pub(crate) fn correlation_id(headers: &HeaderMap) -> Option<Token> {
    headers.get(REQUEST_ID)?.to_str().ok()?.parse().ok()
}

/// Gives the trace context of the request (W3C Trace Context, version 00 or later).
pub(crate) fn traceparent(headers: &HeaderMap) -> Option<Token> {
    let text = headers.get(TRACEPARENT)?.to_str().ok()?;
    well_formed(text).then(|| text.parse().ok()).flatten()
}

fn well_formed(text: &str) -> bool {
    let hex = |part: &str, length: usize| {
        let lower = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
        part.len() == length && part.bytes().all(lower)
    };
    let some = |part: &str| part.bytes().any(|byte| byte != b'0');
    let mut parts = text.split('-');
    let (Some(version), Some(trace), Some(parent), Some(flags)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    // Later versions may add parts; this one has four.
    let more = parts.next().is_some();
    hex(version, 2)
        && version != "ff"
        && !(version == "00" && more)
        && hex(trace, 32)
        && some(trace)
        && hex(parent, 16)
        && some(parent)
        && hex(flags, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_well_formed_trace_context_is_carried() {
        let (trace, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        for (text, expected) in [
            (format!("00-{trace}-{parent}-01"), true),
            (format!("01-{trace}-{parent}-01-more"), true),
            (format!("00-{trace}-{parent}-01-more"), false),
            (format!("ff-{trace}-{parent}-01"), false),
            (format!("00-{}-{parent}-01", "0".repeat(32)), false),
            (format!("00-{trace}-{}-01", "0".repeat(16)), false),
            (format!("00-{}-{parent}-01", trace.to_uppercase()), false),
            ("00".into(), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(TRACEPARENT, text.parse().unwrap());
            let carried = traceparent(&headers).map(|token| token.to_string());
            assert_eq!(carried, expected.then_some(text));
        }
    }

    #[test]
    fn a_request_id_is_carried_if_it_can_be_kept() {
        let mut headers = HeaderMap::new();
        assert_eq!(correlation_id(&headers), None);
        headers.insert(REQUEST_ID, "req-1".parse().unwrap());
        assert_eq!(correlation_id(&headers), Some("req-1".parse().unwrap()));
        headers.insert(REQUEST_ID, "x".repeat(256).parse().unwrap());
        assert_eq!(correlation_id(&headers), None);
    }
}
