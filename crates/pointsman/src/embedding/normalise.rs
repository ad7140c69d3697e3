//! Text to words as BERT's tokeniser sees them: cleaned, without accents, in lower case, punctuation standing alone.
//!
//! The tables of categories and decompositions are those of the `tokenizers` crate, which is what makes the identifiers equal: a
//! newer Unicode would take other characters for marks or punctuation.
//!
//! # References
//! - Devlin et al. (2019), *BERT*; the reference is `BasicTokenizer` of its published code, as `tokenizers` 0.23 has it.

use std::sync::LazyLock;

use unicode_categories::UnicodeCategories;
use unicode_normalization_alignments::char::{canonical_combining_class, decompose_canonical};

/// Characters of a word at most; a longer one is unknown as a whole.
const MOST_CHARACTERS: usize = 100;

/// Bytes of the longest word.
const MOST_BYTES: usize = MOST_CHARACTERS * 4;

/// Where a text falls apart.
pub(super) trait Sink {
    /// A word, or one mark of punctuation, or one ideograph; never empty, in UTF-8.
    fn word(&mut self, word: &[u8]);
    /// A word of more than a hundred characters.
    fn too_long(&mut self);
    /// `text` begins with `[`: how many bytes of it are a token of its own, taken as one; 0 where it is not.
    fn special(&mut self, text: &str) -> usize;
}

/// Splits `text`, calling `sink` in the order of the text.
#[inline(always)]
pub(super) fn split(text: &str, sink: &mut impl Sink) {
    let foreign = &*FOREIGN;
    let bytes = text.as_bytes();
    let mut word = Word::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if !byte.is_ascii() {
            let Some(character) = text[at..].chars().next() else { break };
            at += character.len_utf8();
            match foreign.get(character as usize) {
                Some(&Foreign::Letter(letter)) => word.push(letter),
                Some(Foreign::Dropped) => {}
                _ => word.push_foreign(character, sink),
            }
            continue;
        }
        match ASCII[usize::from(byte)] {
            DROPPED => {}
            SPACE => word.flush(sink),
            MARK => {
                word.flush(sink);
                if byte == b'[' {
                    let special = sink.special(&text[at..]);
                    if special > 0 {
                        at += special;
                        continue;
                    }
                }
                sink.word(&bytes[at..=at]);
            }
            lower => word.push_ascii(lower),
        }
        at += 1;
    }
    word.flush(sink);
}

const DROPPED: u8 = 0;
const SPACE: u8 = 1;
const MARK: u8 = 2;

/// What becomes of an ASCII character: one of the above, or the letter or digit it is in lower case.
const ASCII: [u8; 128] = {
    let mut table = [DROPPED; 128];
    let mut character = 0_u8;
    while character < 128 {
        table[character as usize] = match character {
            b'\t' | b'\n' | b'\r' | b' ' => SPACE,
            _ if character.is_ascii_punctuation() => MARK,
            _ if character.is_ascii_alphanumeric() => character.to_ascii_lowercase(),
            _ => DROPPED,
        };
        character += 1;
    }
    table
};

/// What becomes of a character outside ASCII, where that is simple.
#[derive(Clone, Copy)]
enum Foreign {
    Dropped,
    Letter(char),
    /// More than one character, a space, punctuation, or one that may change places with its neighbours.
    Other,
}

/// Characters up to here are looked up; of those behind, only the rare ones are costly.
const FOREIGN_END: u32 = 0x3000;

static FOREIGN: LazyLock<Vec<Foreign>> =
    LazyLock::new(|| (0..FOREIGN_END).map(|code| char::from_u32(code).map_or(Foreign::Dropped, Foreign::of)).collect());

impl Foreign {
    fn of(character: char) -> Self {
        if is_dropped(character) {
            return Self::Dropped;
        }
        let (mut found, mut is_simple) = (None, !is_space(character) && !is_ideograph(character));
        decompose_canonical(character, |part| {
            if !part.is_mark_nonspacing() {
                for lower in part.to_lowercase() {
                    is_simple &= found.replace(lower).is_none()
                        && !lower.is_whitespace()
                        && !is_mark(lower)
                        && canonical_combining_class(part) == 0;
                }
            }
        });
        match found {
            Some(letter) if is_simple => Self::Letter(letter),
            None if is_simple => Self::Dropped,
            _ => Self::Other,
        }
    }
}

fn is_space(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r') || character.is_whitespace()
}

fn is_dropped(character: char) -> bool {
    matches!(character, '\0' | '\u{fffd}') || (!matches!(character, '\t' | '\n' | '\r') && character.is_other())
}

fn is_mark(character: char) -> bool {
    character.is_ascii_punctuation() || character.is_punctuation()
}

fn is_ideograph(character: char) -> bool {
    matches!(u32::from(character), 0x4e00..=0x9fff | 0x3400..=0x4dbf | 0x20000..=0x2a6df | 0x2a700..=0x2b73f
        | 0x2b740..=0x2b81f | 0x2b920..=0x2ceaf | 0xf900..=0xfaff | 0x2f800..=0x2fa1f)
}

/// The word at hand.
struct Word {
    bytes: [u8; MOST_BYTES],
    len: usize,
    characters: usize,
}

impl Word {
    fn new() -> Self {
        Self { bytes: [0; MOST_BYTES], len: 0, characters: 0 }
    }

    #[inline(always)]
    fn push_ascii(&mut self, byte: u8) {
        self.characters += 1;
        if self.characters <= MOST_CHARACTERS {
            self.bytes[self.len] = byte;
            self.len += 1;
        }
    }

    fn push(&mut self, character: char) {
        self.characters += 1;
        if self.characters <= MOST_CHARACTERS {
            self.len += character.encode_utf8(&mut self.bytes[self.len..]).len();
        }
    }

    /// A character that is not simple, or not in the table.
    fn push_foreign(&mut self, character: char, sink: &mut impl Sink) {
        if is_dropped(character) {
            return;
        }
        if is_space(character) {
            return self.flush(sink);
        }
        let stands_alone = is_ideograph(character);
        if stands_alone {
            self.flush(sink);
        }
        decompose_canonical(character, |part| {
            if part.is_mark_nonspacing() {
                return;
            }
            let class = canonical_combining_class(part);
            for lower in part.to_lowercase() {
                if lower.is_whitespace() {
                    self.flush(sink);
                } else if is_mark(lower) {
                    self.flush(sink);
                    sink.word(lower.encode_utf8(&mut [0; 4]).as_bytes());
                } else {
                    self.push(lower);
                    if class > 0 {
                        self.order(lower, class);
                    }
                }
            }
        });
        if stands_alone {
            self.flush(sink);
        }
    }

    /// Moves the last character, of combining class `class`, before those of a higher one: the canonical order.
    #[cold]
    fn order(&mut self, last: char, class: u8) {
        let end = self.len.saturating_sub(last.len_utf8());
        let Ok(before) = std::str::from_utf8(&self.bytes[..end]) else { return };
        if self.characters > MOST_CHARACTERS {
            return;
        }
        let later = before.chars().rev().take_while(|before| canonical_combining_class(*before) > class);
        let place = end - later.map(char::len_utf8).sum::<usize>();
        self.bytes[place..self.len].rotate_right(last.len_utf8());
    }

    #[inline(always)]
    fn flush(&mut self, sink: &mut impl Sink) {
        if self.characters > MOST_CHARACTERS {
            sink.too_long();
        } else if self.len > 0 {
            sink.word(&self.bytes[..self.len]);
        }
        (self.len, self.characters) = (0, 0);
    }
}
