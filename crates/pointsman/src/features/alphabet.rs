//! What a character outside ASCII is: looked up where the standard library would search its tables.

use std::sync::LazyLock;

/// Characters from here on are asked of the standard library: up to here are the scripts that have capitals or marks, and
/// the table takes 96 KiB for the whole process.
const END: u32 = 0x3000;

/// What a character is to the scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Chinese, or Japanese kana: written without spaces, so that the character is the word.
    Ideograph,
    /// A letter, or a mark that belongs to the letter before it.
    Letter,
    /// A digit of any script, a fraction, a numeral.
    Digit,
    /// Everything else: it ends a word.
    Other,
}

/// What is known of a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Character {
    pub(super) kind: Kind,
    pub(super) is_uppercase: bool,
    /// Its lower case, where that is one character.
    pub(super) lowercase: Option<char>,
}

/// The table, made at its first use.
static TABLE: LazyLock<Vec<Character>> =
    LazyLock::new(|| (0..END).map(|code| Character::of(char::from_u32(code).unwrap_or('\u{fffd}'))).collect());

/// The table of all characters before [`END`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Alphabet(&'static [Character]);

impl Alphabet {
    /// The one there is.
    pub(super) fn new() -> Self {
        Self(&TABLE)
    }

    #[inline(always)]
    pub(super) fn look_up(self, character: char) -> Character {
        match self.0.get(character as usize) {
            Some(known) => *known,
            None => Character::of(character),
        }
    }
}

impl Character {
    /// The scripts that have neither capitals nor marks are told by their ranges, which costs less than asking.
    fn of(character: char) -> Self {
        let caseless = |kind| Self { kind, is_uppercase: false, lowercase: Some(character) };
        match character {
            _ if is_ideograph(character) => caseless(Kind::Ideograph),
            HANGUL_FIRST..=HANGUL_LAST => caseless(Kind::Letter),
            _ => Self::asked(character),
        }
    }

    /// What the standard library says of it.
    fn asked(character: char) -> Self {
        let kind = if character.is_alphabetic() || is_combining_mark(character) {
            Kind::Letter
        } else if character.is_numeric() {
            Kind::Digit
        } else {
            Kind::Other
        };
        let mut lower = character.to_lowercase();
        let lowercase = lower.next().filter(|_| lower.next().is_none());
        Self { kind, is_uppercase: character.is_uppercase(), lowercase }
    }
}

/// Syllables of Korean.
const HANGUL_FIRST: char = '\u{ac00}';
const HANGUL_LAST: char = '\u{d7a3}';

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

    #[test]
    fn the_table_says_what_the_standard_library_says() {
        let alphabet = Alphabet::new();
        for character in ('\u{80}'..='\u{ffff}').chain('\u{1f300}'..='\u{1f6ff}') {
            let found = alphabet.look_up(character);
            let asked = Character::asked(character);
            if is_ideograph(character) {
                assert_eq!(found, Character { kind: Kind::Ideograph, ..asked }, "{character}");
            } else {
                assert_eq!(found, asked, "{character}");
            }
        }
        assert_eq!(alphabet.look_up('Ж').lowercase, Some('ж'));
        assert_eq!(alphabet.look_up('İ').lowercase, None, "two characters");
        assert_eq!(alphabet.look_up('한').kind, Kind::Letter);
        assert_eq!(alphabet.look_up('字').kind, Kind::Ideograph);
    }
}
