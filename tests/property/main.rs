//! What holds for any text, any policy and any artifact.
//!
//! Cases are drawn from a fixed seed: a run is the same every time.
#![forbid(unsafe_code)]

mod artifacts;
mod pool;
mod text;
mod tradeoff;

use pointsman::Router;
use pointsman_tests::fixture::ARTIFACT;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, RngSeed};

/// `cases` cases from a fixed seed, no files.
fn config(cases: u32) -> Config {
    Config {
        cases,
        failure_persistence: None,
        rng_algorithm: RngAlgorithm::ChaCha,
        rng_seed: RngSeed::Fixed(20_260_101),
        ..Config::default()
    }
}

fn router() -> Router {
    Router::from_bytes(ARTIFACT).expect("the fixture opens")
}

/// Texts of every kind: any characters, words, control characters, code, digits, and repetitions of them.
fn text() -> impl Strategy<Value = String> {
    let anything = prop::collection::vec(any::<char>(), 0..200).prop_map(|chars| chars.into_iter().collect::<String>());
    let low = prop::collection::vec(0_u8..128, 0..200)
        .prop_map(|bytes| bytes.into_iter().map(char::from).collect::<String>());
    let words = prop::collection::vec(
        prop::sample::select(vec![
            "write",
            "Python",
            "prove",
            "translate",
            "$x^2$",
            "```",
            "\n",
            "42",
            "(a)",
            "?",
            "请",
            "🚂",
            "e\u{301}",
            "\u{200d}",
            "\u{202e}",
            "SELECT",
            "the",
            "Why",
            "\0",
            "İ",
            "ß",
            "https://x.y/z",
            "-",
            "\r\n",
            "\u{10ffff}",
        ]),
        0..120,
    )
    .prop_map(|words| words.join(" "));
    prop_oneof![anything, low, words]
}
