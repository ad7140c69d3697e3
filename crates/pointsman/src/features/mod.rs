//! Text to features, in one scan: hashed words and pairs of words, and surface signals.
//!
//! Training and serving call this very code, so both see the same bits. Nothing here is learned; what a
//! feature *means* is fixed by [`FEATURE_VERSION`], and an artifact made with another version is refused.

mod alphabet;
mod hash;
mod lexicon;
mod surface;
mod words;

use std::sync::Arc;

pub use surface::{SURFACE_NAMES, SURFACE_SIGNALS};
pub use words::MAX_SCANNED_BYTES;

use crate::embedding::{Embedding, Pieces};
use crate::kernels::dispatch::{Kernel, widest};
use crate::math::ln_1p_count;
use crate::request::{ContextValue, Request, Role};
use hash::{combine, hash_bytes};
use lexicon::Lexicon;
use surface::Counts;

/// Version of everything in this module that reaches a number; part of every artifact.
pub const FEATURE_VERSION: u32 = 1;

/// Weight of a word of the routed turn against a word of an earlier turn or a system prompt.
///
/// A guess: earlier text is about the same matter more often than not, but does not ask the question.
pub const MAIN_TURN_WEIGHT: i32 = 4;

/// What the predictor knows of a request; a reusable buffer that grows to the longest text seen.
#[derive(Clone, Debug)]
pub struct Features {
    /// Hashes of words, pairs of words and context values of the routed turn, in order of appearance.
    pub(crate) main: Vec<u64>,
    /// The same of earlier turns and system prompts.
    pub(crate) background: Vec<u64>,
    /// Surface signals, in the order of [`SURFACE_NAMES`].
    pub(crate) surface: [f32; SURFACE_SIGNALS],
    /// The base embedding of the routed turn; empty where the featuriser has none.
    pub(crate) embedding: Vec<f32>,
    /// Characters of the routed turn and all others: the basis of the input token estimate.
    pub(crate) chars: usize,
    pieces: Pieces,
}

impl Default for Features {
    fn default() -> Self {
        Self {
            main: Vec::new(),
            background: Vec::new(),
            surface: [0.0; SURFACE_SIGNALS],
            embedding: Vec::new(),
            chars: 0,
            pieces: Pieces::default(),
        }
    }
}

impl Features {
    /// Hashes of words, pairs of words and context values of the routed turn.
    pub fn main(&self) -> &[u64] {
        &self.main
    }

    /// Hashes of words and pairs of words of all other turns.
    pub fn background(&self) -> &[u64] {
        &self.background
    }

    /// Surface signals, in the order of [`SURFACE_NAMES`]; always finite.
    pub fn surface(&self) -> &[f32; SURFACE_SIGNALS] {
        &self.surface
    }

    /// The base embedding of the routed turn: of length 1, or all zero for a text without words; empty where there is none.
    pub fn embedding(&self) -> &[f32] {
        &self.embedding
    }

    /// Everything that is no word: surface signals, then the embedding; what the artifact calls `s` signals.
    #[inline(always)]
    pub fn dense(&self) -> impl Iterator<Item = f32> + '_ {
        self.surface.iter().chain(&self.embedding).copied()
    }

    /// Unicode characters of the whole conversation, without what the scan budget leaves out being dropped.
    pub fn chars(&self) -> usize {
        self.chars
    }

    fn clear(&mut self) {
        self.main.clear();
        self.background.clear();
        self.surface = [0.0; SURFACE_SIGNALS];
        self.embedding.clear();
        self.chars = 0;
    }
}

/// Computes [`Features`]; holds only fixed tables and a base embedding, if any, so one serves every thread.
#[derive(Clone, Debug)]
pub struct Featuriser {
    lexicon: Lexicon,
    /// `ln(1 + n)` of small counts, which most are.
    logarithms: Box<[f64; LOGARITHMS]>,
    base: Option<Arc<Embedding>>,
}

/// Counts whose logarithms are at hand.
const LOGARITHMS: usize = 256;

impl Default for Featuriser {
    fn default() -> Self {
        Self::new()
    }
}

impl Featuriser {
    /// Builds the fixed tables.
    pub fn new() -> Self {
        Self::with_base(None)
    }

    /// The same with a base embedding, if any.
    pub fn with_base(base: Option<Arc<Embedding>>) -> Self {
        Self { lexicon: Lexicon::new(), logarithms: Box::new(std::array::from_fn(ln_1p_count)), base }
    }

    /// Fills `features` from `request`, forgetting what it held.
    ///
    /// Never fails and never panics, whatever the text. Allocates only while `features` still grows. Time is
    /// linear in the text up to [`MAX_SCANNED_BYTES`] for the routed turn and about as many for all others together, the latest
    /// first; of a longer turn the head and the tail are read, and the whole is only counted.
    pub fn featurise(&self, request: &Request<'_>, features: &mut Features) {
        widest(Featurise(self, request, features));
    }

    #[inline(always)]
    fn fill(&self, request: &Request<'_>, features: &mut Features) {
        features.clear();
        let main = request.main_turn();
        let mut counts = Counts::default();
        let mut other_bytes = 0;
        let mut system_bytes = 0;
        let mut background_bytes = 0;
        for (position, turn) in request.turns.iter().enumerate().rev() {
            if Some(position) == main {
                words::scan(turn.text, &self.lexicon, &mut counts, &mut features.main);
                if let Some(base) = &self.base {
                    base.embed(words::head_and_tail(turn.text).into(), &mut features.pieces, &mut features.embedding);
                }
            } else {
                if background_bytes < MAX_SCANNED_BYTES {
                    background_bytes += turn.text.len();
                    words::scan(turn.text, &self.lexicon, &mut Counts::default(), &mut features.background);
                }
                if turn.role == Role::System {
                    system_bytes += turn.text.len();
                } else {
                    other_bytes += turn.text.len();
                }
            }
            features.chars += count_chars(turn.text);
        }
        if let Some(base) = &self.base {
            // Without a turn to route, there is nothing to know of it.
            features.embedding.resize(base.dimensions(), 0.0);
        }
        for (name, value) in request.context {
            features.main.extend(context_hash(name, *value));
        }
        counts.finish(request, system_bytes, other_bytes, &self.logarithms[..], &mut features.surface);
    }
}

struct Featurise<'a>(&'a Featuriser, &'a Request<'a>, &'a mut Features);

impl Kernel for Featurise<'_> {
    #[inline(always)]
    fn run(self) {
        self.0.fill(self.1, self.2);
    }
}

/// A context value as one lexical feature; numbers by the power of two below them, so that near values share one.
fn context_hash(name: &str, value: ContextValue<'_>) -> Option<u64> {
    const CONTEXT: u64 = 0x636f_6e74_6578_7400;
    let name = hash_bytes(name.as_bytes());
    let value = match value {
        ContextValue::Text(text) => hash_bytes(text.as_bytes()),
        ContextValue::Bool(flag) => u64::from(flag),
        ContextValue::Number(number) if number.is_finite() => (number + 0.0).to_bits() >> 52,
        ContextValue::Number(_) => return None,
    };
    Some(combine(combine(CONTEXT, name), value))
}

fn count_chars(text: &str) -> usize {
    text.bytes().filter(|byte| (byte & 0xc0) != 0x80).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Turn;

    fn features(request: &Request<'_>) -> Features {
        let mut features = Features::default();
        Featuriser::new().featurise(request, &mut features);
        features
    }

    #[test]
    fn letter_case_and_white_space_do_not_reach_the_words() {
        let a = features(&Request::new(&[Turn::user("Prove that  the ÄRGER is real")]));
        let b = features(&Request::new(&[Turn::user("prove that\nthe ärger is REAL")]));
        assert_eq!(a.main, b.main);
        assert!(a.surface.iter().zip(&b.surface).any(|(a, b)| a.to_bits() != b.to_bits()));
    }

    #[test]
    fn the_last_user_turn_is_the_text() {
        let turns = [
            Turn { role: Role::System, text: "be brief" },
            Turn::user("first question"),
            Turn { role: Role::Assistant, text: "an answer" },
            Turn::user("second question"),
            Turn { role: Role::Tool, text: "tool output" },
        ];
        let with_history = features(&Request::new(&turns));
        let alone = features(&Request::new(&[Turn::user("second question")]));
        assert_eq!(with_history.main, alone.main);
        assert_eq!(with_history.background.len(), 3 + 3 + 3 + 3);
        assert!(alone.background.is_empty());
    }

    #[test]
    fn a_long_history_costs_no_more_than_its_budget() {
        let long = "word ".repeat(10_000);
        let turns = [vec![Turn::user(&long); 50], vec![Turn::user("and now?")]].concat();
        let with_history = features(&Request::new(&turns));
        assert_eq!(with_history.main, features(&Request::new(&[Turn::user("and now?")])).main);
        assert!(with_history.background.len() < MAX_SCANNED_BYTES, "{}", with_history.background.len());
        assert_eq!(with_history.chars, 50 * long.len() + 8);
    }

    #[test]
    fn context_enters_by_name() {
        let turns = [Turn::user("hello")];
        let with = |context| features(&Request { context, ..Request::new(&turns) }).main;
        let plan = [("plan", ContextValue::Text("free"))];
        let tier = [("tier", ContextValue::Text("free"))];
        let not_a_number = [("age", ContextValue::Number(f64::NAN))];
        assert_ne!(with(&plan), with(&tier));
        assert_eq!(with(&not_a_number), with(&[]));
        assert_eq!(with(&[("age", ContextValue::Number(36.0))]), with(&[("age", ContextValue::Number(40.0))]));
    }

    #[test]
    fn nothing_at_all_is_a_request_too() {
        let nothing = features(&Request::new(&[]));
        assert!(nothing.main.is_empty());
        assert!(nothing.surface.iter().all(|signal| signal.is_finite()));
    }
}
