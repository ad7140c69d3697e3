//! Makes the artifact of `tests/formats/fixtures` and the JSON of what it must predict.
//!
//! ```text
//! cargo run --release -p pointsman-tests --example make_fixtures -- FOLDER
//! ```
//!
//! Run it for a *new* schema version only, and keep the old files beside the new one: a fixture that is made again is
//! a promise broken. `router-v2` was made on x86-64 with one thread from 60 prompts of the synthetic log (3 models,
//! seed 1) by the smallest recipe. The decision rule was then set to act on predictions (60 prompts do not support any
//! gain), so that its decisions are various.

use std::path::PathBuf;

use anyhow::{Context, Result};
use pointsman::artifact::{Mode, identity};
use pointsman::{Router, Scratch};
use pointsman_tests::fixture::{Expected, PROMPTS, answer};
use pointsman_tests::logs::{log_of, synthetic_rows, tiny_recipe};

fn main() -> Result<()> {
    let folder = PathBuf::from(std::env::args_os().nth(1).context("expected a folder")?);
    let log = log_of(synthetic_rows(60, 3, 1))?;
    let mut artifact = pointsman_training::fit(&log, &tiny_recipe(1), 150.0, &|_| ())?.artifact;
    artifact.document.decision.mode = Mode::Learned;
    artifact.document.decision.trust = 1.0;
    artifact.document.decision.confidence = 0.25;
    artifact.document.decision.novelty_limit = 0.9;

    let bytes = artifact.to_bytes()?;
    let router = Router::from_bytes(&bytes)?;
    let mut scratch = Scratch::default();
    let prompts = PROMPTS.iter().map(|prompt| answer(&router, prompt, &mut scratch)).collect::<Result<_, _>>()?;
    let expected = Expected { identity: identity(&bytes), prompts };
    std::fs::write(folder.join("router-v2.safetensors"), bytes)?;
    std::fs::write(folder.join("router-v2.json"), serde_json::to_string_pretty(&expected)? + "\n")?;
    Ok(())
}
