//! Digests of texts: the same for the same parts in the same order, in every process.

use sha2::{Digest, Sha256};

/// The digest of these parts; the same parts cut in another way have another one.
pub(crate) fn digest(parts: &[&str]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part.as_bytes());
    }
    digest.finalize().into()
}

/// The digest of a text under another digest.
pub(crate) fn keyed(key: &[u8; 32], text: &str) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(key);
    digest.update(text.as_bytes());
    digest.finalize().into()
}
