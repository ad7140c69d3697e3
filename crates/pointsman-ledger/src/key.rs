//! Prompts by keyed hash: the same prompt has the same name, and nobody without the file can tell which prompt that is.

use sha2::{Digest, Sha256};

/// The key of one ledger's prompts.
#[derive(Clone, PartialEq, Eq)]
pub struct PromptKey([u8; 32]);

impl std::fmt::Debug for PromptKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PromptKey(…)")
    }
}

impl PromptKey {
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The name of a conversation, given as role and text of every turn: 32 hexadecimal digits.
    ///
    /// Every part is preceded by its length, so that no two conversations are written alike; the key stands at both ends
    /// (the envelope method), so that nobody can go on from one name to that of a longer conversation.
    pub fn id<'t>(&self, turns: impl IntoIterator<Item = (&'t str, &'t str)>) -> String {
        let mut hash = Sha256::new();
        hash.update(self.0);
        for part in turns.into_iter().flat_map(|(role, text)| [role, text]) {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.update(self.0);
        let digest = hash.finalize();
        let mut name = String::with_capacity(32);
        for byte in &digest[..16] {
            for digit in [byte >> 4, byte & 15] {
                name.extend(char::from_digit(u32::from(digit), 16));
            }
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_stable_and_hang_on_key_and_turns() {
        let (one, other) = (PromptKey::new([1; 32]), PromptKey::new([2; 32]));
        let name = one.id([("user", "hello")]);
        assert_eq!(name, one.id([("user", "hello")]));
        assert_eq!(name.len(), 32);
        for different in [
            other.id([("user", "hello")]),
            one.id([("user", "hell"), ("o", "")]),
            one.id([("userh", "ello")]),
            one.id([("user", "hello"), ("user", "")]),
            one.id([]),
        ] {
            assert_ne!(name, different);
        }
        assert!(!format!("{one:?}").contains('1'));
    }
}
