//! The scan: bytes to lower-cased words and their hashes, while [`Counts`] watches every character.

use super::hash::{combine, hash_bytes};
use super::lexicon::Lexicon;
use super::surface::Counts;

/// Bytes of a turn that are read at most; of a longer one the first three quarters of the budget and the last
/// quarter. 16 KiB is about 4,000 tokens: what a prompt is about shows earlier (a guess; if wrong, raise it).
pub const MAX_SCANNED_BYTES: usize = 16 * 1024;

/// Longest word in bytes; a longer run of letters is cut into words of this length.
const MAX_WORD_BYTES: usize = 64;

/// Scans `text` and calls `word(hash, pair)` for every word, where `pair` joins it to the word before.
///
/// A word is a maximal run of letters (lower-cased) or of digits (by its length alone: a number's value says
/// little, its size much), or one ideograph.
pub(super) fn scan(text: &str, lexicon: &Lexicon, counts: &mut Counts, mut word: impl FnMut(u64, Option<u64>)) {
    counts.total_bytes += text.len();
    let (head, tail) = head_and_tail(text);
    let mut scanner = Scanner { lexicon, buffer: [0; MAX_WORD_BYTES], len: 0, kind: Kind::Letters, previous: None };
    for part in [head, tail] {
        for character in part.chars() {
            scanner.step(character, counts, &mut word);
        }
        scanner.flush(counts, &mut word);
        counts.end_line();
    }
}

/// The parts of a text that are read: all of it, or its head and its tail, cut at character boundaries.
fn head_and_tail(text: &str) -> (&str, &str) {
    if text.len() <= MAX_SCANNED_BYTES {
        return (text, "");
    }
    let mut head_end = MAX_SCANNED_BYTES / 4 * 3;
    while !text.is_char_boundary(head_end) {
        head_end -= 1;
    }
    let mut tail_start = text.len() - MAX_SCANNED_BYTES / 4;
    while !text.is_char_boundary(tail_start) {
        tail_start += 1;
    }
    (&text[..head_end], &text[tail_start..])
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Letters,
    Digits,
}

struct Scanner<'a> {
    lexicon: &'a Lexicon,
    buffer: [u8; MAX_WORD_BYTES],
    len: usize,
    kind: Kind,
    previous: Option<u64>,
}

impl Scanner<'_> {
    fn step(&mut self, character: char, counts: &mut Counts, word: &mut impl FnMut(u64, Option<u64>)) {
        counts.character(character);
        if character.is_ascii_alphabetic() {
            self.push(Kind::Letters, &[character.to_ascii_lowercase() as u8], counts, word);
        } else if character.is_ascii_digit() {
            self.push(Kind::Digits, b"0", counts, word);
        } else if character.is_ascii() {
            self.flush(counts, word);
        } else if is_ideograph(character) {
            self.flush(counts, word);
            self.push(Kind::Letters, character.encode_utf8(&mut [0; 4]).as_bytes(), counts, word);
            self.flush(counts, word);
        } else if character.is_alphabetic() || is_combining_mark(character) {
            for lower in character.to_lowercase() {
                self.push(Kind::Letters, lower.encode_utf8(&mut [0; 4]).as_bytes(), counts, word);
            }
        } else if character.is_numeric() {
            self.push(Kind::Digits, b"0", counts, word);
        } else {
            self.flush(counts, word);
        }
    }

    fn push(&mut self, kind: Kind, bytes: &[u8], counts: &mut Counts, word: &mut impl FnMut(u64, Option<u64>)) {
        if self.len > 0 && (self.kind != kind || self.len + bytes.len() > MAX_WORD_BYTES) {
            self.flush(counts, word);
        }
        self.kind = kind;
        self.buffer[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn flush(&mut self, counts: &mut Counts, word: &mut impl FnMut(u64, Option<u64>)) {
        if self.len == 0 {
            return;
        }
        let hash = hash_bytes(&self.buffer[..self.len]);
        match self.kind {
            Kind::Letters => counts.word(self.len, self.lexicon.classes(hash)),
            Kind::Digits => counts.number(self.len),
        }
        word(hash, self.previous.map(|previous| combine(previous, hash)));
        self.previous = Some(hash);
        self.len = 0;
    }
}

/// Chinese characters and Japanese kana: scripts written without spaces, where a character is the word.
fn is_ideograph(character: char) -> bool {
    matches!(character, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3134f}')
}

/// Marks that belong to the letter before them (accents, vowel signs) though they are no letters themselves.
fn is_combining_mark(character: char) -> bool {
    matches!(character, '\u{300}'..='\u{36f}' | '\u{483}'..='\u{487}' | '\u{591}'..='\u{5bd}' | '\u{64b}'..='\u{65f}'
        | '\u{93a}'..='\u{94f}' | '\u{e31}' | '\u{e34}'..='\u{e3a}' | '\u{e47}'..='\u{e4e}' | '\u{1ab0}'..='\u{1aff}'
        | '\u{20d0}'..='\u{20ff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<u64> {
        let mut found = Vec::new();
        scan(text, &Lexicon::new(), &mut Counts::default(), |word, _| found.push(word));
        found
    }

    #[test]
    fn words_numbers_and_ideographs_are_told_apart() {
        assert_eq!(words("abc 12ab").len(), 3);
        assert_eq!(words("学习abc").len(), 3);
        assert_eq!(words("12"), words("99"));
        assert_ne!(words("12"), words("123"));
        assert!(words("…!? \t\n").is_empty());
    }

    #[test]
    fn a_combining_accent_stays_in_its_word() {
        assert_eq!(words("cafe\u{301} x").len(), 2);
    }

    #[test]
    fn endless_words_are_cut_and_long_texts_sampled() {
        assert_eq!(words(&"a".repeat(200)).len(), 4);
        let long = "word ".repeat(1_000_000);
        let read = words(&long).len();
        assert!((3_000..3_400).contains(&read), "{read} words read");
        let umlauts = "ä".repeat(100_000);
        assert!(!words(&umlauts).is_empty());
    }
}
