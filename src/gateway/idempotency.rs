//! The `Idempotency-Key` header and the fingerprint of the request that came with it. The rule itself
//! is the processor's.

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, Method, Uri};
use schemars::JsonSchema;
use sha2::{Digest, Sha256};
use tallybook_events::ids::{CustomerId, Scope, Token};

/// Name of the header.
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Header of answers that were given before.
const REPLAYED: &str = "idempotent-replayed";

/// What the header may hold: a key in quotes, with `\"` and `\\` in it, or bare.
#[derive(Debug, JsonSchema)]
#[schemars(inline)]
pub(crate) struct IdempotencyKey(
    #[schemars(regex(
        pattern = r#"^([!#-~]([ -~]{0,253}[!-~])?|"([ !#-\[\]-~]|\\["\\]){1,255}")$"#
    ))]
    #[expect(dead_code, reason = "only the shape is wanted")]
    String,
);

/// Says, where it is so, that an answer was given before.
pub(crate) fn mark_replayed(mut response: Response, repeated: bool) -> Response {
    if repeated {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// The header is there and no key can be made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the header Idempotency-Key must be there once, with 1 to 255 characters")]
pub(crate) struct BadIdempotencyKey;

/// Reads the header: a string in quotes (as the draft has it), or bare.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<Token>, BadIdempotencyKey> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(BadIdempotencyKey);
    }
    let text = value.to_str().map_err(|_| BadIdempotencyKey)?.trim();
    let bare = match text.strip_prefix('"') {
        None => text.to_owned(),
        Some(rest) => unquoted(rest.strip_suffix('"').ok_or(BadIdempotencyKey)?)?,
    };
    bare.parse().map(Some).map_err(|_| BadIdempotencyKey)
}

/// Takes the escapes out of a structured-field string (RFC 8941): `\"` and `\\`, no others.
fn unquoted(text: &str) -> Result<String, BadIdempotencyKey> {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return Err(BadIdempotencyKey),
            '\\' => match characters.next() {
                Some(escaped @ ('"' | '\\')) => plain.push(escaped),
                _ => return Err(BadIdempotencyKey),
            },
            _ => plain.push(character),
        }
    }
    Ok(plain)
}

/// Gives the digest of what was asked: method, path, query, body.
pub(crate) fn fingerprint(method: &Method, uri: &Uri, body: &[u8]) -> Token {
    let mut digest = Sha256::new();
    for part in [method.as_str().as_bytes(), uri.path().as_bytes()] {
        digest.update(part);
        digest.update(b"\n");
    }
    digest.update(uri.query().unwrap_or_default());
    digest.update(b"\n");
    digest.update(body);
    let text = URL_SAFE_NO_PAD.encode(digest.finalize());
    text.parse().expect("43 characters of base64 are a token")
}

/// Gives the id of a customer that is born without a key, by a request with an idempotency key: the
/// same for each repeat, so that the repeat finds the customer and no second one is born. It has the
/// form of a `UUIDv7`, with bits of a digest in all places.
pub(crate) fn customer_id(scope: &Scope, key: &Token) -> CustomerId {
    let mut digest = Sha256::new();
    for part in [scope.tenant.as_str(), scope.environment.as_str(), key.as_str()] {
        digest.update(part);
        digest.update(b"\n");
    }
    let digest: [u8; 32] = digest.finalize().into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    let builder = uuid::Builder::from_bytes(bytes).with_variant(uuid::Variant::RFC4122);
    CustomerId(builder.with_version(uuid::Version::SortRand).into_uuid())
}

#[cfg(test)]
mod tests {
    use tallybook_events::ids::Environment;

    use super::*;

    fn read(value: &str) -> Result<Option<String>, BadIdempotencyKey> {
        let mut headers = HeaderMap::new();
        headers.insert(IDEMPOTENCY_KEY, value.parse().unwrap());
        idempotency_key(&headers).map(|key| key.map(|key| key.to_string()))
    }

    #[test]
    fn a_key_is_quoted_or_bare() {
        assert_eq!(idempotency_key(&HeaderMap::new()), Ok(None));
        assert_eq!(read("abc"), Ok(Some("abc".into())));
        assert_eq!(read("\"abc\""), Ok(Some("abc".into())));
        assert_eq!(read(r#""a\"b\\c""#), Ok(Some(r#"a"b\c"#.into())));
        assert_eq!(read(&"x".repeat(255)), Ok(Some("x".repeat(255))));
        for bad in ["", "\"\"", "\"abc", r#""a\b""#, r#""a"b""#] {
            assert_eq!(read(bad), Err(BadIdempotencyKey), "{bad}");
        }
        assert_eq!(read(&"x".repeat(256)), Err(BadIdempotencyKey));
    }

    #[test]
    fn each_part_of_a_request_counts_in_its_fingerprint() {
        let of = |method: Method, uri: &str, body: &str| {
            fingerprint(&method, &uri.parse().unwrap(), body.as_bytes())
        };
        let one = of(Method::POST, "/a?b", "c");
        assert_eq!(one, of(Method::POST, "/a?b", "c"));
        for other in [
            of(Method::PATCH, "/a?b", "c"),
            of(Method::POST, "/ab", "c"),
            of(Method::POST, "/a?bc", ""),
            of(Method::POST, "/a?b", "c "),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn a_repeat_without_a_customer_key_finds_the_same_customer() {
        let scope = |tenant: &str| Scope {
            tenant: tenant.parse().unwrap(),
            environment: Environment::Live,
        };
        let of = |tenant, key: &str| customer_id(&scope(tenant), &key.parse().unwrap());
        let id = of("t", "k");
        assert_eq!(id, of("t", "k"));
        assert_ne!(id, of("u", "k"));
        assert_ne!(id, of("t", "l"));
        assert_eq!(id.0.get_version_num(), 7);
        assert_eq!(id.0.get_variant(), uuid::Variant::RFC4122);
    }
}
