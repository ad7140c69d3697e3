//! Short fixed lists of English words whose presence says what kind of request this is.
//!
//! They only feed surface signals; the learned part needs no language. In other languages the counts stay
//! zero and the hashed words carry the load.

use super::alphabet::Alphabet;
use super::hash::hash_bytes;

/// Classes a word can belong to, as bits.
pub(super) mod class {
    pub(in super::super) const QUESTION: u16 = 1;
    pub(in super::super) const CODE: u16 = 1 << 1;
    pub(in super::super) const MATHS: u16 = 1 << 2;
    pub(in super::super) const COMMAND: u16 = 1 << 3;
    pub(in super::super) const NEGATION: u16 = 1 << 4;
    pub(in super::super) const CHOICE: u16 = 1 << 5;
    pub(in super::super) const CHAT: u16 = 1 << 6;
    pub(in super::super) const REASON: u16 = 1 << 7;
    pub(in super::super) const QUANTITY: u16 = 1 << 8;
    pub(in super::super) const FORMAT: u16 = 1 << 9;
}

const LISTS: [(u16, &str); 10] = [
    (class::QUESTION, "who what when where why how which whose whom is are does do did can could would should"),
    (
        class::CODE,
        "def class function return import print int float void string select from where join lambda var let const \
         public private static assert elif else null none true false self array list dict tuple python java javascript \
         typescript rust sql html css regex code bug compile api json loop variable algorithm",
    ),
    (
        class::MATHS,
        "sum integral equation probability prove theorem calculate compute solve derivative matrix vector polynomial \
         triangle circle angle square root prime factor integer fraction percent ratio average mean median function \
         graph slope area volume radius",
    ),
    (
        class::COMMAND,
        "write explain summarize summarise translate list create implement describe generate give find make rewrite \
         classify extract compare draft fix edit answer complete choose tell show convert identify analyze analyse",
    ),
    (class::NEGATION, "not no never none neither nor without except cannot false incorrect least"),
    (
        class::CHOICE,
        "following options option choices answer correct best most statement statements true false above below",
    ),
    (class::CHAT, "i me my you your please thanks hello hi we our us"),
    (
        class::REASON,
        "because therefore if then suppose assume given thus hence since although however step steps reason",
    ),
    (
        class::QUANTITY,
        "many much total each every per half twice double more less than hours minutes days dollars cost price",
    ),
    (
        class::FORMAT,
        "json csv table markdown yaml xml bullet bullets paragraph paragraphs sentence sentences words format",
    ),
];

/// Slots of the hash table: a power of two, at least twice the number of words.
const SLOTS: usize = 1024;

/// Word hash → classes, by open addressing.
#[derive(Clone, Debug)]
pub(super) struct Lexicon {
    slots: Box<[(u64, u16); SLOTS]>,
    /// What the scan looks up beside it.
    pub(super) alphabet: Alphabet,
}

impl Lexicon {
    pub(super) fn new() -> Self {
        let mut lexicon = Self { slots: Box::new([(0, 0); SLOTS]), alphabet: Alphabet::new() };
        for (class, words) in LISTS {
            for word in words.split_ascii_whitespace() {
                let hash = hash_bytes(word.as_bytes());
                let slot = lexicon.slot(hash);
                lexicon.slots[slot].0 = hash;
                lexicon.slots[slot].1 |= class;
            }
        }
        lexicon
    }

    /// The classes of the word with this hash; 0 for a word on no list.
    pub(super) fn classes(&self, hash: u64) -> u16 {
        self.slots[self.slot(hash)].1
    }

    #[expect(clippy::cast_possible_truncation, reason = "only the low bits of the hash are wanted")]
    fn slot(&self, hash: u64) -> usize {
        let mut slot = hash as usize % SLOTS;
        while self.slots[slot].1 != 0 && self.slots[slot].0 != hash {
            slot = (slot + 1) % SLOTS;
        }
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_with_all_their_classes() {
        let lexicon = Lexicon::new();
        let classes = |word: &str| lexicon.classes(hash_bytes(word.as_bytes()));
        assert_eq!(classes("which"), class::QUESTION);
        assert_eq!(classes("false"), class::CODE | class::NEGATION | class::CHOICE);
        assert_eq!(classes("heliotrope"), 0);
        assert!(lexicon.slots.iter().filter(|slot| slot.1 != 0).count() * 2 < SLOTS);
    }
}
