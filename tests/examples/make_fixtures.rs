//! Makes the artifact of `tests/formats/fixtures` and the JSON of what it must predict.
//!
//! ```text
//! cargo run --release -p pointsman-tests --example make_fixtures -- FOLDER
//! ```
//!
//! Run it for a *new* schema version only, and keep the old files beside the new one: a fixture that is made again is
//! a promise broken. `router-v1` was made on x86-64 with one thread from 60 prompts of the synthetic log (3 models,
//! seed 1) by the smallest recipe. Two things were then set by hand, through the public API, so that the file is small
//! and its decisions are various: the set of seen words was folded from 2^18 to 2^12 bits, and the decision rule was
//! set to act on predictions (60 prompts do not support any gain).

use std::path::PathBuf;

use anyhow::{Context, Result};
use pointsman::artifact::{Artifact, Mode, identity};
use pointsman::{Router, Scratch};
use pointsman_tests::fixture::{Expected, PROMPTS, answer};
use pointsman_tests::logs::{log_of, synthetic_rows, tiny_recipe};

/// Bits of the folded set of seen words, as a power of two.
const SEEN_BITS: u32 = 12;

fn main() -> Result<()> {
    let folder = PathBuf::from(std::env::args_os().nth(1).context("expected a folder")?);
    let log = log_of(synthetic_rows(60, 3, 1))?;
    let mut artifact = pointsman_training::fit(&log, &tiny_recipe(1), 150.0, &|_| ())?.artifact;
    fold_seen(&mut artifact);
    artifact.document.decision.mode = Mode::Learned;
    artifact.document.decision.confidence = 0.25;
    artifact.document.decision.novelty_limit = 0.9;

    let bytes = artifact.to_bytes()?;
    let router = Router::from_bytes(&bytes)?;
    let mut scratch = Scratch::default();
    let prompts = PROMPTS.iter().map(|prompt| answer(&router, prompt, &mut scratch)).collect::<Result<_, _>>()?;
    let expected = Expected { identity: identity(&bytes), prompts };
    std::fs::write(folder.join("router-v1.safetensors"), bytes)?;
    std::fs::write(folder.join("router-v1.json"), serde_json::to_string_pretty(&expected)? + "\n")?;
    Ok(())
}

/// Keeps the high bits of every word's position: the smaller set that training would have made.
fn fold_seen(artifact: &mut Artifact) {
    let shift = artifact.document.dimensions.seen_bits - SEEN_BITS;
    let mut folded = vec![0_u8; (1 << SEEN_BITS) / 8];
    for (byte, bits) in artifact.weights.seen.iter().enumerate() {
        for bit in (0..8).filter(|bit| bits >> bit & 1 == 1) {
            let position = (byte * 8 + bit) >> shift;
            folded[position / 8] |= 1 << (position % 8);
        }
    }
    artifact.weights.seen = folded;
    artifact.document.dimensions.seen_bits = SEEN_BITS;
}
