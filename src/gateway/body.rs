//! Reading a request's body: of the right type, not too big, not too slow.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use http_body_util::{BodyExt, LengthLimitError, Limited};

/// Most bytes of a single command, customer or patch.
pub(crate) const MAX_SINGLE: usize = 64 * 1024;
/// Most bytes of many commands or reports.
pub(crate) const MAX_MANY: usize = 1024 * 1024;

/// Most bytes that are read and thrown away of a body that is too big. A caller that still sends when
/// the connection is closed on it would not read the answer.
const MAX_DISCARDED: usize = 4 * 1024 * 1024;
/// How long that may take.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

/// Media type of plain JSON.
pub(crate) const JSON: &str = "application/json";
/// Media type of a JSON merge patch (RFC 7396).
pub(crate) const MERGE_PATCH: &str = "application/merge-patch+json";

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    /// The content type is missing or another.
    #[error("the body must have one of the content types that are taken here, in UTF-8")]
    WrongType,
    /// The body is compressed.
    #[error("the body must not be encoded")]
    Encoded,
    /// It is bigger than allowed.
    #[error("the body has more than {limit} bytes")]
    TooLarge {
        /// Most bytes.
        limit: usize,
    },
    /// It did not come in time.
    #[error("the body did not come in time")]
    Slow,
    /// The caller went away, or broke the protocol.
    #[error("the body did not come whole")]
    Broken,
}

/// Checks that the body says it is one of these media types, in UTF-8, and not compressed.
pub(crate) fn check_type(headers: &HeaderMap, taken: &[&str]) -> Result<(), BodyError> {
    if headers.get_all(CONTENT_ENCODING).iter().any(|encoding| encoding != "identity") {
        return Err(BodyError::Encoded);
    }
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(BodyError::WrongType);
    };
    let value = value.to_str().map_err(|_| BodyError::WrongType)?;
    let mut parts = value.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    let known = taken.iter().any(|taken| media_type.eq_ignore_ascii_case(taken));
    if known && parts.all(names_utf8) { Ok(()) } else { Err(BodyError::WrongType) }
}

/// Tells whether a parameter of the content type leaves the text in UTF-8.
fn names_utf8(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return parameter.is_empty() };
    !name.eq_ignore_ascii_case("charset") || value.trim_matches('"').eq_ignore_ascii_case("utf-8")
}

/// Reads a whole body of at most `limit` bytes within `timeout`.
pub(crate) async fn read(
    headers: &HeaderMap,
    mut body: Body,
    limit: usize,
    timeout: Duration,
) -> Result<Bytes, BodyError> {
    let told = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let read = if told.is_some_and(|length: u64| length > limit as u64) {
        Err(BodyError::TooLarge { limit })
    } else {
        let whole = Limited::new(&mut body, limit).collect();
        match tokio::time::timeout(timeout, whole).await {
            Err(_) => Err(BodyError::Slow),
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge { limit }),
            Ok(Err(_)) => Err(BodyError::Broken),
        }
    };
    // A caller that waits to be told to send has sent nothing yet.
    if matches!(read, Err(BodyError::TooLarge { .. })) && !headers.contains_key(EXPECT) {
        // In time or not, the answer is the same.
        let _ = tokio::time::timeout(DISCARD_TIMEOUT, discard(body)).await;
    }
    read
}

/// Reads a body's rest, up to [`MAX_DISCARDED`], and keeps nothing.
async fn discard(mut body: Body) {
    let mut left = MAX_DISCARDED;
    while let Some(Ok(frame)) = body.frame().await {
        let size = frame.data_ref().map_or(0, Bytes::len);
        let Some(rest) = left.checked_sub(size) else { return };
        left = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(content_type: &str) -> Result<(), BodyError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        check_type(&headers, &[JSON, MERGE_PATCH])
    }

    #[test]
    fn only_json_in_utf_8_is_taken() {
        for taken in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
            "application/json; profile=x",
            "application/merge-patch+json",
        ] {
            assert_eq!(checked(taken), Ok(()), "{taken}");
        }
        for refused in [
            "text/plain",
            "application/json; charset=latin1",
            "application/jsonx",
            "application/json; x",
            "",
        ] {
            assert_eq!(checked(refused), Err(BodyError::WrongType), "{refused}");
        }
        assert_eq!(check_type(&HeaderMap::new(), &[JSON]), Err(BodyError::WrongType));
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit() {
        let read = |bytes: &'static [u8], limit| async move {
            read(&HeaderMap::new(), Body::from(bytes), limit, Duration::from_secs(5)).await
        };
        assert_eq!(read(b"abc", 3).await, Ok(Bytes::from_static(b"abc")));
        assert_eq!(read(b"abcd", 3).await, Err(BodyError::TooLarge { limit: 3 }));
    }
}
