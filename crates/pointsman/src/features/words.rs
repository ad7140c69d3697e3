//! The scan: bytes to lower-cased words and their hashes, while [`Counts`] watches every character.

use super::alphabet;
use super::hash::{MAX_WORD_BYTES, WordBuffer, combine, hash_blocks, hash_word};
use super::lexicon::Lexicon;
use super::surface::Counts;

/// Bytes of a turn that are read at most; of a longer one the first three quarters of the budget and the last
/// quarter. 16 KiB is about 4,000 tokens: what a prompt is about shows earlier (a guess; if wrong, raise it).
pub const MAX_SCANNED_BYTES: usize = 16 * 1024;

/// Scans `text` and appends to `hashes` the hash of every word and, from the second on, of the pair it makes with the word
/// before.
///
/// A word is a maximal run of letters (lower-cased) or of digits (by its length alone: a number's value says
/// little, its size much), or one ideograph.
#[inline(always)]
pub(super) fn scan(text: &str, lexicon: &Lexicon, counts: &mut Counts, hashes: &mut Vec<u64>) {
    counts.total_bytes += text.len();
    let (head, tail) = head_and_tail(text);
    let mut scanner = Scanner::new(lexicon, counts, hashes);
    for part in [head, tail] {
        scanner.run(part);
        scanner.flush();
        scanner.counts.end_line();
    }
}

/// The parts of a text that are read: all of it, or its head and its tail, cut at character boundaries.
pub(super) fn head_and_tail(text: &str) -> (&str, &str) {
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
    counts: &'a mut Counts,
    hashes: &'a mut Vec<u64>,
    /// The word at hand, where it did not end inside one block; what follows its `len` bytes is left over from earlier ones.
    buffer: WordBuffer,
    len: usize,
    kind: Kind,
    previous: Option<u64>,
}

impl<'a> Scanner<'a> {
    fn new(lexicon: &'a Lexicon, counts: &'a mut Counts, hashes: &'a mut Vec<u64>) -> Self {
        let buffer = [0; MAX_WORD_BYTES + 8];
        Self { lexicon, counts, hashes, buffer, len: 0, kind: Kind::Letters, previous: None }
    }

    /// The same as [`Self::step`] for every character, in blocks of ASCII where there are any.
    #[inline(always)]
    fn run(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let block = Block::at_start_of(&bytes[at..]);
            at += self.block(&bytes[at..], block);
            for character in text[at..].chars().take_while(|character| !character.is_ascii()) {
                self.step(character);
                at += character.len_utf8();
            }
        }
    }

    /// Takes a block, or as much of it as ends with a whole word; returns how many bytes that is.
    #[inline(always)]
    fn block(&mut self, text: &[u8], mut block: Block) -> usize {
        if block.len == BLOCK && text.len() > BLOCK {
            block.cut(BLOCK - block.letters.leading_ones().max(block.digits.leading_ones()) as usize);
            if block.len == 0 {
                text[..BLOCK].iter().for_each(|&byte| self.step(char::from(byte)));
                return BLOCK;
            }
        }
        if block.len == 0 {
            return 0;
        }
        let text = &text[..text.len().min(block.len + 8)];
        self.words(text, &block);
        self.counts.block(&text[..block.len], &block);
        block.len
    }

    /// The words of a block: those that end inside it straight from the text, by their first byte and their length.
    #[inline(always)]
    fn words(&mut self, text: &[u8], block: &Block) {
        let (mut letters, mut digits) = (block.letters, block.digits);
        if self.len > 0 {
            // The word at hand goes on, or ends here.
            let run =
                if self.kind == Kind::Letters { letters.trailing_ones() } else { digits.trailing_ones() } as usize;
            self.push_run(&text[..run]);
            if run == block.len {
                return;
            }
            self.flush();
            let rest = if run == 0 { u64::MAX } else { u64::MAX << run };
            (letters, digits) = (letters & rest, digits & rest);
        }
        let mut starts = (letters & !(letters << 1)) | (digits & !(digits << 1));
        while starts != 0 {
            let start = starts.trailing_zeros() as usize;
            starts &= starts - 1;
            let (kind, run) = match letters >> start & 1 {
                1 => (Kind::Letters, (letters >> start).trailing_ones() as usize),
                _ => (Kind::Digits, (digits >> start).trailing_ones() as usize),
            };
            if start + run == block.len {
                self.kind = kind;
                self.push_run(&text[start..start + run]);
            } else {
                let hash = match kind {
                    Kind::Letters => hash_letters(&text[start..], run),
                    Kind::Digits => hash_word(&DIGITS, run),
                };
                self.found(kind, run, hash);
            }
        }
    }

    /// Sees a character.
    fn step(&mut self, character: char) {
        if !character.is_ascii() {
            return self.step_foreign(character);
        }
        self.counts.character(character, false);
        if character.is_ascii_alphabetic() {
            self.push(Kind::Letters, &[character.to_ascii_lowercase() as u8]);
        } else if character.is_ascii_digit() {
            self.push(Kind::Digits, b"0");
        } else {
            self.flush();
        }
    }

    /// Sees a character outside ASCII.
    fn step_foreign(&mut self, character: char) {
        let known = self.lexicon.alphabet.look_up(character);
        self.counts.character(character, known.is_uppercase);
        match (known.kind, known.lowercase) {
            (alphabet::Kind::Ideograph, _) => {
                self.flush();
                self.push(Kind::Letters, character.encode_utf8(&mut [0; 4]).as_bytes());
                self.flush();
            }
            (alphabet::Kind::Letter, Some(lower)) => {
                self.push(Kind::Letters, lower.encode_utf8(&mut [0; 4]).as_bytes());
            }
            (alphabet::Kind::Letter, None) => {
                for lower in character.to_lowercase() {
                    self.push(Kind::Letters, lower.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
            (alphabet::Kind::Digit, _) => self.push(Kind::Digits, b"0"),
            (alphabet::Kind::Other, _) => self.flush(),
        }
    }

    /// Appends ASCII of the kind at hand to the word at hand.
    fn push_run(&mut self, run: &[u8]) {
        for byte in run {
            match self.kind {
                Kind::Letters => self.push(Kind::Letters, &[byte | 0x20]),
                Kind::Digits => self.push(Kind::Digits, b"0"),
            }
        }
    }

    fn push(&mut self, kind: Kind, bytes: &[u8]) {
        if self.len > 0 && (self.kind != kind || self.len + bytes.len() > MAX_WORD_BYTES) {
            self.flush();
        }
        self.kind = kind;
        self.buffer[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Ends the word at hand, if there is one.
    fn flush(&mut self) {
        if self.len > 0 {
            let hash = hash_word(&self.buffer, self.len);
            self.found(self.kind, self.len, hash);
            self.len = 0;
        }
    }

    #[inline(always)]
    fn found(&mut self, kind: Kind, len: usize, hash: u64) {
        match kind {
            Kind::Letters => self.counts.word(len, self.lexicon.classes(hash)),
            Kind::Digits => self.counts.number(len),
        }
        self.hashes.push(hash);
        if let Some(previous) = self.previous.replace(hash) {
            self.hashes.push(combine(previous, hash));
        }
    }
}

/// What a run of digits is hashed as.
const DIGITS: WordBuffer = [b'0'; MAX_WORD_BYTES + 8];

/// Bytes of a block: one bit each.
pub(super) const BLOCK: usize = 64;

/// The ASCII characters that a text begins with, at most 64: one bit for each in every mask, the first in the lowest.
#[derive(Default)]
pub(super) struct Block {
    /// How many; the masks have no bits from here on.
    pub(super) len: usize,
    pub(super) letters: u64,
    pub(super) uppercase: u64,
    pub(super) digits: u64,
    pub(super) spaces: u64,
}

impl Block {
    /// Eight bytes are looked at in the same few instructions: the high bit of every byte tells what was found of it, and no
    /// byte carries into its neighbour, for its own high bit is cleared first.
    #[inline(always)]
    fn at_start_of(text: &[u8]) -> Self {
        const EACH: u64 = 0x0101_0101_0101_0101;
        const HIGH: u64 = 0x80 * EACH;
        let from = |bytes: u64, least: u8| (bytes & !HIGH) + (0x80 - u64::from(least)) * EACH;
        let mut block = Self::default();
        for (place, chunk) in text.chunks(8).take(BLOCK / 8).enumerate() {
            let bytes = little_endian(chunk);
            let lower = bytes | (0x20 * EACH);
            let letters = from(lower, b'a') & !from(lower, b'z' + 1) & HIGH;
            let digits = from(bytes, b'0') & !from(bytes, b'9' + 1) & HIGH;
            // Capitals lack the bit 0x20, which two places to the left is the high one.
            let uppercase = letters & !(bytes << 2);
            let spaces = from(bytes, b' ') & !from(bytes, b' ' + 1) & HIGH;
            for (mask, found) in [
                (&mut block.letters, letters),
                (&mut block.uppercase, uppercase),
                (&mut block.digits, digits),
                (&mut block.spaces, spaces),
            ] {
                *mask |= gathered(found) << (8 * place);
            }
            block.len += chunk.len();
            let foreign = bytes & HIGH;
            if foreign != 0 {
                block.cut(8 * place + foreign.trailing_zeros() as usize / 8);
                break;
            }
        }
        block
    }

    #[inline(always)]
    fn cut(&mut self, len: usize) {
        self.len = len;
        let kept = if len == BLOCK { u64::MAX } else { (1 << len) - 1 };
        for mask in [&mut self.letters, &mut self.uppercase, &mut self.digits, &mut self.spaces] {
            *mask &= kept;
        }
    }
}

/// The high bits of eight bytes, in eight bits.
#[inline(always)]
fn gathered(high_bits: u64) -> u64 {
    (high_bits >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

/// Hash of the `len` ASCII letters that `text` begins with, in lower case.
#[inline(always)]
fn hash_letters(text: &[u8], len: usize) -> u64 {
    hash_blocks(len, |at| little_endian(&text[at..]) | 0x2020_2020_2020_2020)
}

/// Up to eight bytes as a number, with zeros for those that are not there.
#[inline(always)]
fn little_endian(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(block) => u64::from_le_bytes(*block),
        None => bytes.iter().rev().fold(0, |block, byte| block << 8 | u64::from(*byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<u64> {
        let mut hashes = Vec::new();
        scan(text, &Lexicon::new(), &mut Counts::default(), &mut hashes);
        // Every word but the first is followed by its pair.
        hashes.iter().take(1).chain(hashes.iter().skip(1).step_by(2)).copied().collect()
    }

    #[test]
    fn words_numbers_and_ideographs_are_told_apart() {
        assert_eq!(words("abc 12ab").len(), 3);
        assert_eq!(words("学习abc").len(), 3);
        assert_eq!(words("12"), words("99"));
        assert_ne!(words("12"), words("123"));
        assert!(words("…!? \t\n").is_empty());
    }

    /// What a scan finds, character by character or as it is done.
    fn found(text: &str, is_stepwise: bool) -> (Vec<u64>, Counts) {
        let lexicon = Lexicon::new();
        let (mut counts, mut hashes) = (Counts::default(), Vec::new());
        if is_stepwise {
            counts.total_bytes = text.len();
            let mut scanner = Scanner::new(&lexicon, &mut counts, &mut hashes);
            text.chars().for_each(|character| scanner.step(character));
            scanner.flush();
            counts.end_line();
            counts.end_line();
        } else {
            scan(text, &lexicon, &mut counts, &mut hashes);
        }
        (hashes, counts)
    }

    #[test]
    fn blocks_are_the_characters_taken_one_by_one() {
        // Everything that can stand beside a letter, in random order; runs of letters that end at, before and after the
        // borders of blocks and of the longest word.
        let parts = [
            "a",
            "Z",
            "word",
            "Eight__8",
            "eightbyt",
            "NINEBYTES",
            "@",
            "[",
            "`",
            "{",
            " ",
            "  ",
            "\n",
            "\t",
            "\r",
            "0",
            "42",
            ".",
            "?",
            "A.",
            "(b)",
            "- ",
            "é",
            "É",
            "学",
            "😀",
            "\u{301}",
            "\0",
            "\u{7f}",
            "„",
            "_",
            "ſ",
            "İ",
        ];
        let mut random = 1_u64;
        let mut draw = |n: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as usize % n
        };
        for _ in 0..20_000 {
            let mut text: String = (0..draw(60)).map(|_| parts[draw(parts.len())]).collect();
            if draw(8) == 0 {
                text.push_str(&["abcdefg", "1234567", "a1"][draw(3)].repeat(draw(20)));
                text.push_str(parts[draw(parts.len())]);
            }
            assert_eq!(found(&text, false), found(&text, true), "{text:?}");
        }
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
