//! Keys: by which a request is known to be a tenant's.
//!
//! Of a key only its SHA-256 is known: it is a long random text, so nothing slower is needed, and a lookup by digest tells
//! an attacker nothing about the keys that there are. One may end by itself, at a moment that the configuration names; to
//! end one at once is to leave it out and reload.

use std::collections::HashMap;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};

use super::TenantSettings;
use crate::error::Error;
use crate::moment::moment;
use crate::wire::protocol::API_KEY;

/// What has to stand for a key.
pub(crate) const DIGEST: &str = "the 64 hexadecimal digits of its SHA-256 (`pointsman key` makes both)";

/// What is told of a text that may be a secret in the wrong place.
pub(crate) fn hidden(text: &str) -> String {
    format!("something else of {} characters", text.chars().count())
}

/// Longest key that is looked at.
const LONGEST_KEY: usize = 512;

/// A key of a tenant; [`TenantSettings::keys`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySettings {
    /// Its SHA-256, 64 hexadecimal digits.
    pub sha256: String,
    /// From when on it opens nothing, in RFC 3339, such as `2027-01-31T00:00:00Z`. Default: never.
    pub expires: Option<String>,
}

/// All keys, by their digests.
#[derive(Debug, Default)]
pub(super) struct Keys(HashMap<[u8; 32], Key>);

/// A key that is known.
#[derive(Clone, Copy, Debug)]
struct Key {
    /// Whose it is: a position among the tenants.
    tenant: usize,
    /// In microseconds since 1970.
    expires_us: Option<i64>,
}

impl Keys {
    /// Takes over the keys of the tenant that has this position.
    pub(super) fn know(&mut self, setting: &TenantSettings, tenant: usize) -> Result<(), Error> {
        let bad = |field, expected, got: &str| Error::tenant(&setting.name, field, expected, got);
        if setting.key_sha256.is_empty() && setting.keys.is_empty() {
            return Err(bad("key_sha256", "at least one digest, there or in `keys`", "none"));
        }
        let lasting = setting.key_sha256.iter().map(|sha256| ("key_sha256", sha256, None));
        let others = setting.keys.iter().map(|key| ("keys.sha256", &key.sha256, key.expires.as_ref()));
        for (field, text, expires) in lasting.chain(others) {
            let digest = digest_of(text).ok_or_else(|| bad(field, DIGEST, &hidden(text)))?;
            let expires_us = expires.map(|expires| {
                let expected = "a moment in RFC 3339, with its zone, such as 2027-01-31T00:00:00Z";
                moment(expires).ok_or_else(|| bad("keys.expires", expected, expires))
            });
            let key = Key { tenant, expires_us: expires_us.transpose()? };
            if self.0.insert(digest, key).is_some() {
                return Err(bad(field, "a key that nobody else has", text));
            }
        }
        Ok(())
    }

    /// The position of the tenant that a request has a key of. `clock` gives microseconds since 1970, to keys that expire.
    pub(super) fn whose(&self, headers: &HeaderMap, clock: impl FnOnce() -> i64) -> Result<usize, Error> {
        let digest = key(headers).map(|key| <[u8; 32]>::from(Sha256::digest(key)));
        let key = digest.and_then(|digest| self.0.get(&digest)).ok_or(Error::Unauthorized)?;
        if key.expires_us.is_some_and(|expires_us| expires_us <= clock()) {
            return Err(Error::KeyExpired);
        }
        Ok(key.tenant)
    }
}

/// The bearer token of a request.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, key) = value.split_at_checked("bearer ".len())?;
    let key = key.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && (1..=LONGEST_KEY).contains(&key.len())).then_some(key)
}

/// The key of a request: its bearer token, or where nothing stands in that header, what Anthropic's clients send.
fn key(headers: &HeaderMap) -> Option<&[u8]> {
    if headers.contains_key(AUTHORIZATION) {
        return bearer(headers);
    }
    headers.get(API_KEY).map(HeaderValue::as_bytes).filter(|key| (1..=LONGEST_KEY).contains(&key.len()))
}

/// The digest that a text of 64 hexadecimal digits stands for.
pub(crate) fn digest_of(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
    (digits.len() == 64).then_some(bytes)?.try_into().ok()
}
