//! The committed artifact of `formats/fixtures` and what it must predict, bit for bit.
//!
//! It was made once by `examples/make_fixtures.rs`, which tells how, and stays as it is: files of released versions
//! keep opening. What it predicts is the same on every instruction set, because the arithmetic is specified.

use std::collections::BTreeMap;

use pointsman::{Error, Features, Limits, Objective, Policy, Predictions, Request, Router, Scratch, Turn};
use serde::{Deserialize, Serialize};

/// The artifact's file.
pub const ARTIFACT: &[u8] = include_bytes!("../formats/fixtures/router-v2.safetensors");

/// What it must predict and decide: [`Expected`] as JSON.
pub const EXPECTED: &str = include_str!("../formats/fixtures/router-v2.json");

/// Texts of many kinds: plain, Chinese, emoji, code, long, odd, none.
pub const PROMPTS: [&str; 14] = [
    "",
    " \n\t ",
    "What is the capital of Portugal?",
    "Translate to French: the meeting moved to Thursday.",
    "A train leaves at 9:40 and covers 210 km at 84 km/h. When does it arrive?",
    "Write a function in Python that returns the longest run of equal items in a list.",
    "```rust\nfn main() {\n    println!(\"{}\", (1..=10).map(|x| x * x).sum::<u64>());\n}\n```\nWhy does this not compile?",
    "请用三句话解释光合作用,并举一个例子。",
    "🚂🔀 which track? 👩🏽‍🔬🇵🇹",
    "Докажите, что корень из двух иррационален.",
    "قارن بين هاتين الطريقتين",
    "SELECT name, count(*) FROM t GROUP BY 1 HAVING count(*) > 3; -- (a) 3 (b) 4 (c) 5",
    "\u{0}\u{7}\u{1b}[31mred\u{202e}desrever\u{feff}",
    "Zzyzx qwfp arstdhneio?",
];

/// Objectives under which every prompt is decided.
pub const OBJECTIVES: [&str; 4] = ["cheap", "balanced", "quality", "0.001"];

/// Everything expected of the artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// SHA-256 of the file.
    pub identity: String,
    /// One entry for each of [`PROMPTS`].
    pub prompts: Vec<Answer>,
}

/// Everything expected for one prompt. Floats are the hexadecimal digits of their bits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The prompt.
    pub prompt: String,
    /// Each array of the predictions by name.
    pub bits: BTreeMap<String, Vec<String>>,
    /// Chosen model and reason by objective.
    pub decisions: BTreeMap<String, String>,
}

/// What `router` predicts and decides for one text, in buffers that may have been used before.
///
/// # Errors
/// An objective that cannot be bound.
pub fn answer(router: &Router, prompt: &str, scratch: &mut Scratch) -> Result<Answer, Error> {
    let turns = [Turn::user(prompt)];
    let mut decisions = BTreeMap::new();
    for objective in OBJECTIVES {
        let policy = Policy { objective: objective.parse::<Objective>()?, ..Policy::default() };
        let bound = router.bind(&router.default_catalog(), &policy)?;
        let decision = bound.route(&Request::new(&turns), &Limits::default(), scratch);
        decisions.insert(objective.to_owned(), format!("{}: {}", decision.model, decision.reason.as_str()));
    }
    let bits = bits(&scratch.features, &scratch.predictions);
    Ok(Answer { prompt: prompt.to_owned(), bits, decisions })
}

/// Every number of features and predictions as the hexadecimal digits of its bits, by name.
pub fn bits(features: &Features, predictions: &Predictions) -> BTreeMap<String, Vec<String>> {
    let Predictions { quality, quality_se, input_tokens, output_tokens, direct_cost_usd, latency_ms, .. } = predictions;
    let named: [(&str, &[f32]); 10] = [
        ("direct_cost_usd", direct_cost_usd),
        ("input_tokens", input_tokens),
        ("latency_ms", latency_ms),
        ("lexical", predictions.lexical()),
        ("novelty", std::slice::from_ref(&predictions.novelty)),
        ("output_tokens", output_tokens),
        ("quality", quality),
        ("quality_se", quality_se),
        ("surface", features.surface()),
        ("tasks", &predictions.tasks),
    ];
    let hex = |values: &[f32]| values.iter().map(|value| format!("{:08x}", value.to_bits())).collect();
    named.into_iter().map(|(name, values)| (name.to_owned(), hex(values))).collect()
}
