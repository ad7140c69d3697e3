//! Changes to a prompt that change nothing of substance.

/// One kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Perturbation {
    LowerCase,
    UpperCase,
    Spaces,
    Typos,
    Greeting,
    Instruction,
    Thanks,
}

/// One word in so many gets a typo: dense enough to meet the words that matter, readable still.
const TYPO_EVERY: u64 = 8;

impl Perturbation {
    pub(super) const ALL: [Self; 7] =
        [Self::LowerCase, Self::UpperCase, Self::Spaces, Self::Typos, Self::Greeting, Self::Instruction, Self::Thanks];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::LowerCase => "lower case",
            Self::UpperCase => "upper case",
            Self::Spaces => "white space",
            Self::Typos => "typos",
            Self::Greeting => "greeting before",
            Self::Instruction => "instruction before",
            Self::Thanks => "thanks after",
        }
    }

    /// The changed text; `seed` decides where typos fall.
    pub(super) fn apply(self, text: &str, seed: u64) -> String {
        match self {
            Self::LowerCase => text.to_lowercase(),
            Self::UpperCase => text.to_uppercase(),
            Self::Spaces => format!("\n{}  \n", text.replace(' ', "  ")),
            Self::Typos => typos(text, seed),
            Self::Greeting => format!("Hi! I hope you are well. {text}"),
            Self::Instruction => format!("Please answer the following carefully.\n\n{text}"),
            Self::Thanks => format!("{text}\n\nThank you very much!"),
        }
    }
}

/// Swaps two inner letters of about one word in [`TYPO_EVERY`]; words of fewer than four letters are left alone.
fn typos(text: &str, seed: u64) -> String {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut out = String::with_capacity(text.len());
    for piece in text.split_inclusive(|c: char| !c.is_alphabetic()) {
        let mut letters: Vec<char> = piece.chars().collect();
        let length = letters.iter().take_while(|c| c.is_alphabetic()).count();
        if length >= 4 && rng.u64(..TYPO_EVERY) == 0 {
            let at = rng.usize(1..length - 2);
            letters.swap(at, at + 1);
        }
        out.extend(letters);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typos_keep_the_letters_and_every_other_character() {
        let text = "Please compute the derivative of 3x² + sin(x), and explain every transformation you make. Größe!";
        let changed: Vec<String> = (0..20).map(|seed| Perturbation::Typos.apply(text, seed)).collect();
        for other in &changed {
            let sorted = |t: &str| {
                let mut chars: Vec<char> = t.chars().collect();
                chars.sort_unstable();
                chars
            };
            assert_eq!(sorted(other), sorted(text));
        }
        assert!(changed.iter().filter(|t| *t != text).count() > 10);
        assert_eq!(Perturbation::Typos.apply("a to the", 1), "a to the");
    }

    #[test]
    fn any_text_can_be_changed() {
        for text in ["", " ", "ß", "数学", "a\u{301}bcd efgh"] {
            for p in Perturbation::ALL {
                let _ = p.apply(text, 3);
            }
        }
    }
}
