//! Who may use the admin plane: whoever has one of its keys; without keys everyone, which is why it is then on the
//! loopback alone.
//!
//! Of a key only its SHA-256 is known, as of a tenant's.

use std::net::{IpAddr, ToSocketAddrs};

use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::tenants::keys::{DIGEST, bearer, digest_of, hidden};

/// The digests of the admin plane's keys.
#[derive(Debug)]
pub(crate) struct Admins(Vec<[u8; 32]>);

impl Admins {
    /// Checks what is configured.
    pub(crate) fn new(key_sha256: &[String]) -> Result<Self, Error> {
        let digest = |text: &String| {
            let field = "admin_key_sha256";
            digest_of(text).ok_or_else(|| Error::BadSetting { field, expected: DIGEST, got: hidden(text) })
        };
        Ok(Self(key_sha256.iter().map(digest).collect::<Result<_, _>>()?))
    }

    /// Whether there is none, and so everyone may.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Refuses an address that other machines reach, where there is no key.
    pub(crate) fn may_listen(&self, address: &str) -> Result<(), Error> {
        if self.is_empty() && !is_loopback(address) {
            return Err(Error::OpenAdmin { address: address.to_owned() });
        }
        Ok(())
    }

    /// Whether a request with these headers may pass.
    pub(crate) fn admit(&self, headers: &HeaderMap) -> bool {
        self.is_empty() || password(headers).is_some_and(|key| self.knows(&key))
    }

    fn knows(&self, key: &[u8]) -> bool {
        let given: [u8; 32] = Sha256::digest(key).into();
        let differs = |known: &[u8; 32]| known.iter().zip(&given).fold(0, |bits, (a, b)| bits | (a ^ b)) != 0;
        // All of every digest is compared, so that the time it takes says nothing of how much of which one fits.
        self.0.iter().fold(false, |found, known| found | !differs(known))
    }
}

/// The bearer token of a request, or the password of HTTP Basic, which browsers ask for.
fn password(headers: &HeaderMap) -> Option<Vec<u8>> {
    if let Some(key) = bearer(headers) {
        return Some(key.to_vec());
    }
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, credentials) = value.split_at_checked("basic ".len())?;
    let credentials =
        scheme.eq_ignore_ascii_case(b"basic ").then(|| STANDARD.decode(credentials.trim_ascii()))?.ok()?;
    let colon = credentials.iter().position(|byte| *byte == b':')?;
    Some(credentials[colon + 1..].to_vec())
}

/// Whether a browser sends this for a page from elsewhere, which could ride on credentials that it remembers. Nothing
/// but a browser has these headers.
pub(crate) fn is_cross_site(method: &Method, headers: &HeaderMap) -> bool {
    if method.is_safe() {
        // It can be sent and not be read.
        return false;
    }
    if let Some(site) = headers.get("sec-fetch-site") {
        return site != "same-origin" && site != "none";
    }
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(origin) = text(ORIGIN) else { return headers.contains_key(ORIGIN) };
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    !authority.zip(text(HOST)).is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host))
}

/// Whether a request that needs no key came by a name that others may have given this machine: a page whose own name was made
/// to stand for the loopback reads and changes what it likes, for its browser takes it for this plane's own. An address, and
/// `localhost`, nobody can take.
pub(crate) fn is_by_name(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST) else { return false };
    let Ok(authority) = Authority::try_from(host.as_bytes()) else { return true };
    let host = authority.host();
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_local = host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost");
    !is_local && address.parse::<IpAddr>().is_err()
}

/// Whether only this machine reaches an address. One that cannot be made out is refused where it is to be bound.
fn is_loopback(address: &str) -> bool {
    address.to_socket_addrs().map_or(true, |mut all| all.all(|address| address.ip().to_canonical().is_loopback()))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn with(headers: &[(axum::http::HeaderName, &str)]) -> HeaderMap {
        let value = |value: &str| HeaderValue::try_from(value).expect("visible");
        headers.iter().map(|(name, text)| (name.clone(), value(text))).collect()
    }

    fn authorized(value: &str) -> HeaderMap {
        with(&[(AUTHORIZATION, value)])
    }

    #[test]
    fn a_key_lets_in_as_token_and_as_password() {
        let digests = ["pm-one", "pm-two"].map(|key| pointsman::artifact::identity(key.as_bytes()));
        let admins = Admins::new(&digests).expect("digests");
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        for right in ["Bearer pm-one", "bearer pm-two", &basic("me:pm-one"), &basic(":pm-two")] {
            assert!(admins.admit(&authorized(right)), "{right}");
        }
        for wrong in [
            "Bearer pm-on",
            "Bearer pm-onee",
            "pm-one",
            "Bearer",
            "",
            "Basic pm-one",
            "Basic",
            &format!("Bearer {}", digests[0]),
            &basic("pm-one"),
            &basic("pm-one:"),
            &basic("me:pm-one:"),
        ] {
            assert!(!admins.admit(&authorized(wrong)), "{wrong}");
        }
        assert!(!admins.admit(&HeaderMap::new()));
        assert!(Admins::new(&[]).expect("none").admit(&HeaderMap::new()));
        assert!(matches!(Admins::new(&["pm-one".into()]), Err(Error::BadSetting { field: "admin_key_sha256", .. })));
    }

    #[test]
    fn without_a_key_nobody_else_may_reach_it() {
        let (none, one) = (Admins(vec![]), Admins(vec![[0; 32]]));
        for own in ["127.0.0.1:8081", "[::1]:0", "localhost:80", "[::ffff:127.0.0.1]:80", "127.9.9.9:1"] {
            assert!(none.may_listen(own).is_ok(), "{own}");
        }
        for open in ["0.0.0.0:8081", "[::]:8081", "192.0.2.1:80", "[::ffff:192.0.2.1]:80"] {
            let error = none.may_listen(open).expect_err("open to others");
            assert!(error.to_string().contains(open) && error.hint().is_some(), "{error}");
            assert!(one.may_listen(open).is_ok());
        }
        assert!(none.may_listen("nonsense").is_ok(), "binding it says what is wrong");
    }

    #[test]
    fn names_that_others_may_give_are_told_apart() {
        for own in
            ["localhost", "localhost:8081", "LOCALHOST:1", "a.localhost", "127.0.0.1:8081", "[::1]:8081", "192.0.2.1"]
        {
            assert!(!is_by_name(&with(&[(HOST, own)])), "{own}");
        }
        for other in ["evil.example:8081", "localhost.evil.example", "127.0.0.1.evil.example", "x", "", "a b", "[::1"] {
            assert!(is_by_name(&with(&[(HOST, other)])), "{other}");
        }
        assert!(!is_by_name(&HeaderMap::new()), "browsers always say it");
    }

    #[test]
    fn pages_from_elsewhere_change_nothing() {
        let site = |value| with(&[("sec-fetch-site".parse().expect("a name"), value)]);
        let origin = |value| with(&[(ORIGIN, value), (HOST, "Admin:8081")]);
        for own in [HeaderMap::new(), site("same-origin"), site("none"), origin("http://admin:8081")] {
            assert!(!is_cross_site(&Method::POST, &own), "{own:?}");
        }
        let other = [site("cross-site"), site("same-site"), origin("null"), origin("http://admin"), origin("http://x")];
        for other in other {
            assert!(is_cross_site(&Method::POST, &other) && is_cross_site(&Method::PUT, &other), "{other:?}");
            assert!(!is_cross_site(&Method::GET, &other));
        }
    }
}
