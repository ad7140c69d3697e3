//! New keys: `pm-`, twelve digits that may be told, and a secret of 256 bits.

use std::fmt::{self, Write};

use rustls::crypto::ring::default_provider;
use sha2::{Digest, Sha256};

/// Random bytes of a key: six that may be told, and the secret.
const BYTES: [usize; 2] = [6, 32];

/// A key that did not exist before, for a tenant or for the admin plane. Nobody keeps it but who it is given to: what a
/// configuration holds is its digest.
#[derive(Clone)]
pub struct NewKey {
    /// `pm-<12 digits>-<64 digits>`, all hexadecimal. The first twelve may stand in a list or a log, to tell keys apart.
    pub key: String,
    /// Its SHA-256, 64 hexadecimal digits.
    pub sha256: String,
}

impl NewKey {
    /// One of the operating system's random numbers; `None` where it gives none.
    pub fn random() -> Option<Self> {
        let mut key = "pm".to_owned();
        for length in BYTES {
            let mut bytes = vec![0; length];
            default_provider().secure_random.fill(&mut bytes).ok()?;
            key.push('-');
            key.push_str(&hexadecimal(&bytes));
        }
        let sha256 = hexadecimal(&Sha256::digest(&key));
        Some(Self { key, sha256 })
    }
}

/// The key itself is not for logs.
impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewKey").field("sha256", &self.sha256).finish_non_exhaustive()
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_alike_and_none_shows_in_a_log() {
        let keys: Vec<NewKey> = (0..100).filter_map(|_| NewKey::random()).collect();
        assert_eq!(keys.len(), 100);
        for (at, NewKey { key, sha256 }) in keys.iter().enumerate() {
            let parts: Vec<&str> = key.split('-').collect();
            assert_eq!((parts[0], parts[1].len(), parts[2].len(), parts.len()), ("pm", 12, 64, 3), "{key}");
            assert!(key[3..].bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()));
            assert!(keys[..at].iter().all(|other| other.key[..15] != key[..15] && other.sha256 != *sha256));
            let shown = format!("{:?}", keys[at]);
            assert!(
                shown.contains(sha256.as_str()) && !shown.contains(parts[1]) && !shown.contains(parts[2]),
                "{shown}"
            );
        }
    }
}
