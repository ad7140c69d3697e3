//! The invented models: prices over two orders of magnitude, skills that cross.

use super::prompts::Task;

/// An invented model.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) name: &'static str,
    pub(super) input_usd_per_mtok: f64,
    pub(super) output_usd_per_mtok: f64,
    /// Logit of the expected quality at difficulty ½, by task.
    pub(super) skill: [f64; Task::COUNT],
    /// How much of it a unit of difficulty takes.
    pub(super) slope: f64,
    /// What the variants 0, 1, 2, 3 of a task change, where they matter to this model.
    pub(super) variants: &'static [(Task, [f64; 4])],
    /// Answer length relative to the task's usual one.
    pub(super) verbosity: f64,
    /// Characters to a token of its tokenizer.
    pub(super) chars_per_token: f64,
    pub(super) first_token_ms: f64,
    pub(super) token_ms: f64,
}

impl Model {
    pub(super) fn variant(&self, task: Task, variant: usize) -> f64 {
        self.variants.iter().find(|(known, _)| *known == task).map_or(0.0, |(_, change)| change[variant.min(3)])
    }
}

use Task::{Arithmetic, CodeReview, CodeWriting, Creative, Extraction, Factual, Summary, Translation};

/// All invented models; the demo has the first six. Variants: code in 0 Python, 1 JavaScript, 2 SQL, 3 rarer
/// languages; translation into 0 Romance, 1 Germanic, 2 Slavic, 3 rarer languages; arithmetic with 0 money,
/// 1 rates, 2 shares, 3 several unknowns; factual 0 common, 1 science, 2 history, 3 several hops; summaries of
/// 0 news, 1 minutes, 2 reports, 3 letters; extraction from 0 orders, 1 bookings, 2 invoices, 3 chat; creative
/// 0 poem, 1 story, 2 slogan, 3 speech.
pub(super) const MODELS: [Model; 10] = [
    Model {
        name: "aster-nano",
        input_usd_per_mtok: 0.05,
        output_usd_per_mtok: 0.2,
        //      arith  write  review  summ  transl  fact   extr  creat
        skill: [0.1, 0.0, -0.2, 0.8, 0.3, 0.5, 0.9, 0.7],
        slope: 2.2,
        variants: &[(Factual, [0.5, 0.0, -0.1, -0.9]), (Translation, [0.5, 0.2, -0.5, -1.2])],
        verbosity: 0.8,
        chars_per_token: 4.0,
        first_token_ms: 120.0,
        token_ms: 4.0,
    },
    Model {
        name: "birch-code",
        input_usd_per_mtok: 0.2,
        output_usd_per_mtok: 0.6,
        skill: [0.7, 2.5, 1.9, 0.3, -0.7, -0.4, 2.3, -0.8],
        slope: 1.9,
        variants: &[
            (CodeWriting, [0.6, 0.3, -0.3, -2.0]),
            (CodeReview, [0.5, 0.3, -0.3, -1.8]),
            (Extraction, [0.3, 0.2, 0.3, -1.4]),
        ],
        verbosity: 0.9,
        chars_per_token: 3.7,
        first_token_ms: 180.0,
        token_ms: 8.0,
    },
    Model {
        name: "cedar-lingua",
        input_usd_per_mtok: 0.25,
        output_usd_per_mtok: 0.8,
        skill: [-0.6, -1.0, -0.8, 2.0, 2.4, 0.9, 0.8, 1.9],
        slope: 1.9,
        variants: &[
            (Translation, [0.5, 0.3, -0.3, -2.2]),
            (Creative, [0.5, 0.2, -1.1, 0.0]),
            (Summary, [0.3, -0.3, -0.6, 0.3]),
        ],
        verbosity: 1.0,
        chars_per_token: 4.4,
        first_token_ms: 200.0,
        token_ms: 9.0,
    },
    Model {
        name: "delta-mid",
        input_usd_per_mtok: 0.6,
        output_usd_per_mtok: 2.4,
        skill: [0.9, 0.9, 0.8, 1.4, 1.1, 1.2, 1.4, 1.3],
        slope: 1.7,
        variants: &[(Factual, [0.4, 0.2, 0.0, -0.7])],
        verbosity: 1.0,
        chars_per_token: 4.1,
        first_token_ms: 300.0,
        token_ms: 14.0,
    },
    Model {
        name: "ember-reason",
        input_usd_per_mtok: 1.5,
        output_usd_per_mtok: 6.0,
        skill: [2.6, 1.3, 1.5, 0.7, 0.5, 0.9, 1.0, 0.0],
        slope: 0.7,
        variants: &[
            (Arithmetic, [-0.2, 0.1, 0.2, 0.4]),
            (Factual, [-0.3, 0.5, -0.2, 0.7]),
            (CodeWriting, [-0.2, -0.2, 0.1, 0.5]),
        ],
        verbosity: 2.2,
        chars_per_token: 4.1,
        first_token_ms: 900.0,
        token_ms: 16.0,
    },
    Model {
        name: "fjord-grand",
        input_usd_per_mtok: 6.0,
        output_usd_per_mtok: 24.0,
        skill: [1.4, 1.4, 1.3, 1.5, 1.4, 1.9, 1.3, 1.5],
        slope: 1.1,
        variants: &[
            (CodeWriting, [0.0, 0.0, 0.1, 0.3]),
            (Translation, [0.0, 0.0, 0.1, 0.5]),
            (Factual, [0.1, 0.1, 0.3, 0.0]),
        ],
        verbosity: 1.1,
        chars_per_token: 4.2,
        first_token_ms: 500.0,
        token_ms: 28.0,
    },
    Model {
        name: "grove-mini",
        input_usd_per_mtok: 0.1,
        output_usd_per_mtok: 0.4,
        skill: [0.4, 0.2, 0.1, 1.0, 0.6, 0.7, 1.1, 0.8],
        slope: 2.0,
        variants: &[(Summary, [0.2, 0.3, -0.2, 0.0])],
        verbosity: 0.9,
        chars_per_token: 4.0,
        first_token_ms: 140.0,
        token_ms: 5.0,
    },
    Model {
        name: "heron-ledger",
        input_usd_per_mtok: 0.3,
        output_usd_per_mtok: 0.9,
        skill: [1.6, -0.4, -0.3, 1.1, -0.2, 0.2, 2.5, -0.6],
        slope: 1.5,
        variants: &[(Extraction, [0.2, 0.1, 0.4, -0.8]), (Arithmetic, [0.5, 0.2, 0.0, -0.8])],
        verbosity: 0.8,
        chars_per_token: 3.9,
        first_token_ms: 180.0,
        token_ms: 8.0,
    },
    Model {
        name: "iris-quill",
        input_usd_per_mtok: 1.0,
        output_usd_per_mtok: 4.0,
        skill: [0.2, 0.1, 0.3, 1.9, 1.2, 1.0, 0.8, 2.6],
        slope: 1.2,
        variants: &[(Creative, [0.5, 0.2, 0.0, 0.1])],
        verbosity: 1.3,
        chars_per_token: 4.3,
        first_token_ms: 350.0,
        token_ms: 15.0,
    },
    Model {
        name: "juniper-large",
        input_usd_per_mtok: 3.0,
        output_usd_per_mtok: 12.0,
        skill: [1.4, 1.3, 1.3, 1.5, 1.5, 1.6, 1.5, 1.3],
        slope: 1.3,
        variants: &[(Factual, [0.2, 0.0, 0.2, -0.2])],
        verbosity: 1.0,
        chars_per_token: 4.2,
        first_token_ms: 420.0,
        token_ms: 22.0,
    },
];
