//! `WordPiece`: words to the identifiers of the longest pieces that a vocabulary has.
//!
//! The same identifiers as the `tokenizers` crate gives for BERT's uncased vocabularies, without special tokens around them;
//! `tests/wordpiece.rs` holds the two against each other.

use super::normalise::{self, Sink};
use crate::error::Error;

/// Pieces that go on inside a word are written with this before them.
const CONTINUATION: &str = "##";

/// What stands for a word that no pieces make up.
const UNKNOWN: &str = "[UNK]";

/// Tokens that a text may spell out.
const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// Pieces longer than this are refused, so that the longest prefix to look up is bounded.
const MOST_BYTES: usize = 128;

/// A vocabulary and its index.
#[derive(Clone, Debug)]
pub(super) struct WordPiece {
    /// Open addressing by the hash of a piece; as many as a power of two.
    slots: Vec<Slot>,
    /// The bytes of pieces longer than eight, end to end.
    tails: Vec<u8>,
    longest: usize,
    unknown: u32,
    /// Identifiers of [`SPECIAL`].
    special: [Option<u32>; SPECIAL.len()],
    len: usize,
}

/// One piece. What is at most eight bytes long is compared without a second look.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// Its first eight bytes, zeros behind a shorter one.
    head: u64,
    /// Where the rest begins.
    tail: u32,
    id: u32,
    /// Bytes; 0 for an empty slot.
    len: u8,
    continues: bool,
}

impl WordPiece {
    /// A vocabulary whose identifiers are the places in `pieces`; `artifact` is what errors call it.
    pub(super) fn new<'a>(pieces: impl Iterator<Item = &'a str>, artifact: &str) -> Result<Self, Error> {
        let bad = |expected, got: &str| Error::OutOfDomain {
            artifact: artifact.into(),
            field: "base.pieces".into(),
            expected,
            got: format!("`{got}`"),
        };
        let pieces: Vec<&str> = pieces.collect();
        let mut found = Self {
            slots: vec![Slot::default(); (pieces.len() * 2 + 2).next_power_of_two()],
            tails: Vec::new(),
            longest: 0,
            unknown: 0,
            special: [None; SPECIAL.len()],
            len: pieces.len(),
        };
        let mut unknown = None;
        for (id, piece) in (0_u32..).zip(&pieces) {
            if *piece == UNKNOWN {
                unknown = Some(id);
            }
            if let Some(place) = SPECIAL.iter().position(|special| special == piece) {
                found.special[place] = Some(id);
            }
            let (text, continues) = match piece.strip_prefix(CONTINUATION) {
                Some(text) if !text.is_empty() => (text.as_bytes(), true),
                _ => (piece.as_bytes(), false),
            };
            if text.is_empty() || text.len() > MOST_BYTES {
                return Err(bad("pieces of 1 to 128 bytes", piece));
            }
            if found.find(text, hash(text, continues), continues).is_some() {
                return Err(bad("pieces that differ", piece));
            }
            found.insert(text, continues, id);
        }
        found.unknown = unknown.ok_or_else(|| bad("a piece [UNK]", ""))?;
        Ok(found)
    }

    /// Pieces.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[expect(clippy::cast_possible_truncation, reason = "pieces are short, and fewer than 2^32 bytes in all")]
    fn insert(&mut self, text: &[u8], continues: bool, id: u32) {
        let tail = self.tails.len() as u32;
        self.tails.extend(text.iter().skip(8));
        self.longest = self.longest.max(text.len());
        let mut slot = self.first_slot(hash(text, continues));
        while self.slots[slot].len > 0 {
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        self.slots[slot] = Slot { head: head(text), tail, id, len: text.len() as u8, continues };
    }

    #[expect(clippy::cast_possible_truncation, reason = "only the high bits are wanted")]
    #[inline(always)]
    fn first_slot(&self, hash: u64) -> usize {
        (hash.wrapping_mul(MULTIPLIER) >> (64 - self.slots.len().trailing_zeros())) as usize
    }

    #[inline(always)]
    fn find(&self, text: &[u8], hash: u64, continues: bool) -> Option<u32> {
        let head = head(text);
        let mut at = self.first_slot(hash);
        loop {
            let slot = &self.slots[at];
            if slot.len == 0 {
                return None;
            }
            if slot.head == head
                && usize::from(slot.len) == text.len()
                && slot.continues == continues
                && (text.len() <= 8 || self.tails[slot.tail as usize..].starts_with(&text[8..]))
            {
                return Some(slot.id);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// Appends the identifiers of `text`, without any that frame it.
    #[inline(always)]
    pub(super) fn encode(&self, text: &str, ids: &mut Vec<u32>) {
        normalise::split(text, &mut Pieces { vocabulary: self, ids });
    }

    /// A word that is no piece as a whole: the longest piece that it begins with, and so on.
    fn cut(&self, word: &[u8], ids: &mut Vec<u32>) {
        let first = ids.len();
        let mut hashes = [0; MOST_BYTES];
        let mut start = 0;
        while start < word.len() {
            let rest = &word[start..(start + self.longest).min(word.len())];
            let continues = start > 0;
            let mut hash = seed(continues);
            for (known, &byte) in hashes.iter_mut().zip(rest) {
                hash = step(hash, byte);
                *known = hash;
            }
            let ends_character = |len: &usize| word.get(start + len).is_none_or(|byte| (byte & 0xc0) != 0x80);
            let longest = (1..=rest.len())
                .rev()
                .filter(ends_character)
                .find_map(|len| Some((len, self.find(&rest[..len], hashes[len - 1], continues)?)));
            let Some((len, id)) = longest else {
                ids.truncate(first);
                ids.push(self.unknown);
                return;
            };
            ids.push(id);
            start += len;
        }
    }
}

struct Pieces<'a> {
    vocabulary: &'a WordPiece,
    ids: &'a mut Vec<u32>,
}

impl Sink for Pieces<'_> {
    #[inline(always)]
    fn word(&mut self, word: &[u8]) {
        match self.vocabulary.find(word, hash(word, false), false) {
            Some(id) => self.ids.push(id),
            None => self.vocabulary.cut(word, self.ids),
        }
    }

    fn too_long(&mut self) {
        self.ids.push(self.vocabulary.unknown);
    }

    fn special(&mut self, text: &str) -> usize {
        let known = SPECIAL.iter().zip(self.vocabulary.special);
        let found = known.filter_map(|(name, id)| Some((name, id?))).find(|(name, _)| text.starts_with(**name));
        found.map_or(0, |(name, id)| {
            self.ids.push(id);
            name.len()
        })
    }
}

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

fn seed(continues: bool) -> u64 {
    if continues { 0x2323 } else { 0 }
}

/// The hash of a text with one byte more: cheap for every prefix in turn.
#[inline(always)]
fn step(hash: u64, byte: u8) -> u64 {
    (hash.rotate_left(5) ^ u64::from(byte)).wrapping_mul(0x517c_c1b7_2722_0a95)
}

#[inline(always)]
fn hash(text: &[u8], continues: bool) -> u64 {
    text.iter().fold(seed(continues), |hash, &byte| step(hash, byte))
}

/// The first eight bytes, little-endian, zeros behind a shorter text.
#[inline(always)]
fn head(text: &[u8]) -> u64 {
    match text.first_chunk() {
        Some(block) => u64::from_le_bytes(*block),
        None => text.iter().rev().fold(0, |block, byte| block << 8 | u64::from(*byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str) -> Vec<u32> {
        let pieces = ["[UNK]", "[SEP]", "un", "##aff", "##able", "a", "##a", "!", "学", "extraordinary", "ss"];
        let vocabulary = WordPiece::new(pieces.into_iter(), "test").expect("a vocabulary");
        let mut ids = Vec::new();
        vocabulary.encode(text, &mut ids);
        ids
    }

    #[test]
    fn the_longest_piece_is_taken_first() {
        assert_eq!(ids("unaffable"), [2, 3, 4]);
        assert_eq!(ids("unaffordable"), [0], "a word that cannot be made up is unknown as a whole");
        assert_eq!(ids("Extraordinary UN!"), [9, 2, 7]);
    }

    #[test]
    fn accents_go_and_marks_and_ideographs_stand_alone() {
        assert_eq!(ids("A\u{301}á!a\u{0}a学学[SEP]"), [5, 6, 7, 5, 6, 8, 8, 1]);
        assert_eq!(ids("[SEP"), [0, 0], "no special token");
    }

    #[test]
    fn a_word_of_a_hundred_characters_is_cut_and_one_more_is_unknown() {
        assert_eq!(ids(&"a".repeat(100)).len(), 100);
        assert_eq!(ids(&"a".repeat(101)), [0]);
        assert_eq!(ids(&"á".repeat(100)).len(), 100);
        assert_eq!(ids(&"학".repeat(60)), [0]);
    }

    #[test]
    fn a_vocabulary_that_is_none_is_refused() {
        let long = "x".repeat(200);
        for pieces in [vec!["a"], vec!["[UNK]", "a", "a"], vec!["[UNK]", ""], vec!["[UNK]", &long]] {
            assert!(WordPiece::new(pieces.clone().into_iter(), "test").is_err(), "{pieces:?}");
        }
    }
}
