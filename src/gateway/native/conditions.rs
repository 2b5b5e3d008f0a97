//! `ETag` and `If-Match`: a customer's version as an entity tag, `"v7"`.

use http::header::IF_MATCH;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::problem::Problem;

/// Gives the entity tag of a version.
pub(crate) fn etag(version: u64) -> HeaderValue {
    HeaderValue::try_from(format!("\"v{version}\"")).expect("digits in quotes are a header's value")
}

/// Reads which version `If-Match` wants: none in particular, or one.
///
/// Compared is strongly (RFC 9110): a weak tag, and one that was never given out, match nothing.
pub(crate) fn expected_version(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let mut values = headers.get_all(IF_MATCH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let one = Problem::parameter("If-Match", "must be * or one entity tag, like \"v7\"");
    let text = value.to_str().map_err(|_| one.clone())?.trim();
    if values.next().is_some() || text.contains(',') {
        return Err(one);
    }
    if text == "*" {
        return Ok(None);
    }
    let tag = text.strip_prefix("W/").unwrap_or(text);
    let opaque = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).ok_or(one)?;
    let version = opaque.strip_prefix('v').and_then(canonical);
    match version {
        Some(version) if tag.len() == text.len() => Ok(Some(version)),
        _ => Err(Problem::new(
            StatusCode::PRECONDITION_FAILED,
            "version_mismatch",
            "the entity tag in If-Match is none of a customer's",
        )),
    }
}

/// Reads a number that is spelled as we spell it.
fn canonical(digits: &str) -> Option<u64> {
    let number: u64 = digits.parse().ok()?;
    (number.to_string() == digits).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Result<Option<u64>, u16> {
        let mut headers = HeaderMap::new();
        headers.insert(IF_MATCH, value.parse().unwrap());
        expected_version(&headers).map_err(|problem| problem.status.as_u16())
    }

    #[test]
    fn a_tag_that_was_given_out_is_a_version_again() {
        assert_eq!(expected_version(&HeaderMap::new()), Ok(None));
        assert_eq!(read("*"), Ok(None));
        assert_eq!(read(etag(7).to_str().unwrap()), Ok(Some(7)));
        assert_eq!(read("\"v0\""), Ok(Some(0)));
    }

    #[test]
    fn any_other_tag_matches_nothing_and_what_is_no_tag_is_malformed() {
        for never in ["W/\"v7\"", "\"7\"", "\"v07\"", "\"v+7\"", "\"x\"", "\"\""] {
            assert_eq!(read(never), Err(412), "{never}");
        }
        for malformed in ["v7", "\"v7", "7", "\"v7\", \"v8\"", ""] {
            assert_eq!(read(malformed), Err(400), "{malformed}");
        }
    }
}
