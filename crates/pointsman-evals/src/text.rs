//! Text as splits and derived prompt ids see it, and small helpers for hashes.

use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

/// Normalises a prompt: Unicode NFKC, then lower case, then every run of white space one space, none at the ends.
///
/// Two prompts with the same result count as the same text: they get the same derived id and the same split.
///
/// # Examples
///
/// ```
/// use pointsman_evals::text::normalise;
///
/// assert_eq!(normalise("  What\tis  ＡＩ?\n"), "what is ai?");
/// assert_eq!(normalise(" \n"), "");
/// ```
#[must_use]
pub fn normalise(text: &str) -> String {
    if text.is_ascii() {
        return collapse(&text.to_ascii_lowercase());
    }
    let composed: String = text.nfkc().collect();
    collapse(&composed.to_lowercase())
}

fn collapse(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // Python's `str.split` also breaks at the four ASCII separators, which Unicode does not call white space.
    // Splits made elsewhere with it have to agree with ours.
    let is_space = |c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c);
    for word in text.split(is_space).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// SHA-256 of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    out
}

/// At most `most` characters of a value for a message, control characters escaped.
pub(crate) fn excerpt(text: &str, most: usize) -> String {
    let mut out: String = text.chars().take(most).flat_map(char::escape_debug).collect();
    if text.chars().nth(most).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalising_twice_changes_nothing() {
        for text in ["ﬁne  Ｗine", "ÀÉ\u{a0}x", "plain Text", "Σίσυφος ΟΔΟΣ"] {
            let once = normalise(text);
            assert_eq!(normalise(&once), once);
        }
    }

    #[test]
    fn ascii_takes_the_same_path_in_the_end() {
        assert_eq!(normalise("A  B"), normalise("A\u{3000}B"));
    }

    #[test]
    fn hex_is_lower_case() {
        assert_eq!(hex(&[0, 171, 255]), "00abff");
    }

    #[test]
    fn excerpts_are_short_and_on_one_line() {
        assert_eq!(excerpt("a\nb", 10), "a\\nb");
        assert_eq!(excerpt("abcdef", 3), "abc…");
    }
}
