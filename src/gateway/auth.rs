//! Who calls: from the headers of a request to the key that opens a tenant's environment.
//!
//! Tenant and environment come from the key and from nothing else.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use tallybook_events::ids::{Actor, Scope};

use crate::clock::Clock;
use crate::keys::{ApiKey, KeyScope, KeyStore, PREFIX, opened};

/// The header that carries a key without a scheme.
pub(crate) const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The one who calls: a key that was shown and found good.
#[derive(Debug, Clone)]
pub(crate) struct Caller(Arc<ApiKey>);

impl Caller {
    /// Gives the tenant and environment that the key opens.
    pub(crate) fn scope(&self) -> &Scope {
        &self.0.scope
    }

    /// Gives the caller as the one who asks.
    pub(crate) fn actor(&self) -> &Actor {
        self.0.id.actor()
    }

    /// Gives the key.
    pub(crate) fn key(&self) -> &Arc<ApiKey> {
        &self.0
    }

    /// Checks that the key may be used so.
    pub(crate) fn require(&self, scope: KeyScope) -> Result<(), MissingScope> {
        if self.0.scopes.allow(scope) { Ok(()) } else { Err(MissingScope(scope)) }
    }
}

/// The key is good, but not for this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key lacks the scope `{0}`")]
pub(crate) struct MissingScope(pub(crate) KeyScope);

/// Why nobody is known to call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AuthError {
    /// No key was shown, or not in a way that is taken here.
    #[error("no API key was given")]
    Missing,
    /// The key is none of ours, or was revoked, or its secret is wrong. Which one is not told.
    #[error("the API key is not valid")]
    Refused,
    /// Two different keys were shown.
    #[error("two different credentials were given")]
    Conflicting,
}

/// Gives the text after `Bearer` in the `Authorization` header.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<Option<&str>, AuthError> {
    let Some(value) = single(headers, &AUTHORIZATION)? else { return Ok(None) };
    let (scheme, credential) = value.split_once(' ').ok_or(AuthError::Missing)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(Some(credential.trim()))
    } else {
        Err(AuthError::Missing)
    }
}

/// Gives the text of the `x-api-key` header.
pub(crate) fn x_api_key(headers: &HeaderMap) -> Result<Option<&str>, AuthError> {
    single(headers, &X_API_KEY)
}

/// Gives the key of either header; both may be there if they say the same.
pub(crate) fn either(headers: &HeaderMap) -> Result<&str, AuthError> {
    let plain = x_api_key(headers)?;
    let bearer = match bearer(headers) {
        // Another scheme beside a key is a second credential.
        Err(AuthError::Missing) if plain.is_some() => return Err(AuthError::Conflicting),
        other => other?,
    };
    match (bearer, plain) {
        (Some(bearer), Some(plain)) if bearer != plain => Err(AuthError::Conflicting),
        (Some(credential), _) | (None, Some(credential)) => Ok(credential),
        (None, None) => Err(AuthError::Missing),
    }
}

/// Gives the key of the `Authorization` header alone; another key in the other header is refused.
pub(crate) fn bearer_only(headers: &HeaderMap) -> Result<&str, AuthError> {
    only(bearer(headers)?, x_api_key(headers)?)
}

/// Gives the key of the `x-api-key` header alone; another key in the other header is refused.
pub(crate) fn x_api_key_only(headers: &HeaderMap) -> Result<&str, AuthError> {
    let plain = x_api_key(headers)?;
    match bearer(headers) {
        Err(AuthError::Missing) if plain.is_some() => Err(AuthError::Conflicting),
        other => only(plain, other?),
    }
}

/// Gives the credential, which another beside it must not contradict.
fn only<'a>(credential: Option<&'a str>, beside: Option<&str>) -> Result<&'a str, AuthError> {
    match (credential, beside) {
        (Some(credential), Some(beside)) if credential != beside => Err(AuthError::Conflicting),
        (Some(credential), _) => Ok(credential),
        (None, _) => Err(AuthError::Missing),
    }
}

/// Gives a header that may be there once; repeats must say the same.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, AuthError> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.any(|other| other != first) {
        return Err(AuthError::Conflicting);
    }
    first.to_str().map(|text| Some(text.trim())).map_err(|_| AuthError::Refused)
}

/// Finds the key that a text opens, one of ours or an imported one.
pub(crate) fn identify(
    keys: &dyn KeyStore,
    credential: &str,
    clock: &dyn Clock,
) -> Result<Caller, AuthError> {
    opened(keys, credential, || clock.now()).map(Caller).ok_or(AuthError::Refused)
}

/// Tells whether a text that opened nothing looks like one of our own keys. For APIs that tell
/// [`AuthError::Refused`] apart by how the key begins.
pub(crate) fn looks_like_ours(credential: &str) -> bool {
    credential.starts_with(PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_key_is_taken_from_either_header() {
        for (pairs, expected) in [
            (&[][..], Err(AuthError::Missing)),
            (&[("authorization", "Bearer a")], Ok("a")),
            (&[("authorization", "bearer  a ")], Ok("a")),
            (&[("x-api-key", "a")], Ok("a")),
            (&[("authorization", "Bearer a"), ("x-api-key", "a")], Ok("a")),
            (&[("authorization", "Bearer a"), ("x-api-key", "b")], Err(AuthError::Conflicting)),
            (&[("authorization", "Basic a"), ("x-api-key", "b")], Err(AuthError::Conflicting)),
            (&[("x-api-key", "a"), ("x-api-key", "b")], Err(AuthError::Conflicting)),
            (&[("x-api-key", "a"), ("x-api-key", "a")], Ok("a")),
            (&[("authorization", "Basic a")], Err(AuthError::Missing)),
            (&[("authorization", "Bearer")], Err(AuthError::Missing)),
        ] {
            assert_eq!(either(&headers(pairs)), expected, "{pairs:?}");
        }
    }

    #[test]
    fn where_one_header_is_meant_the_other_alone_is_no_key() {
        for (pairs, as_bearer, as_plain) in [
            (&[][..], Err(AuthError::Missing), Err(AuthError::Missing)),
            (&[("authorization", "Bearer a")], Ok("a"), Err(AuthError::Missing)),
            (&[("x-api-key", "a")], Err(AuthError::Missing), Ok("a")),
            (&[("authorization", "Bearer a"), ("x-api-key", "a")], Ok("a"), Ok("a")),
            (
                &[("authorization", "Bearer a"), ("x-api-key", "b")],
                Err(AuthError::Conflicting),
                Err(AuthError::Conflicting),
            ),
            (
                &[("authorization", "Basic a"), ("x-api-key", "b")],
                Err(AuthError::Missing),
                Err(AuthError::Conflicting),
            ),
        ] {
            let headers = headers(pairs);
            assert_eq!(bearer_only(&headers), as_bearer, "{pairs:?}");
            assert_eq!(x_api_key_only(&headers), as_plain, "{pairs:?}");
        }
    }
}
