//! What training must not find: gains where there are none.

use anyhow::Result;
use pointsman::artifact::Mode;
use pointsman_evals::log::Content;
use pointsman_evals::write::LogRow;
use pointsman_tests::logs::log_of;
use pointsman_training::{RecipeSettings, fit};

/// Prompts of words drawn at random, answered by every model with a probability of its own whatever the prompt; three
/// outcomes in ten were recorded.
fn chance(seed: u64) -> Vec<LogRow> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut rows = Vec::new();
    for prompt in 0..400 {
        let words: Vec<String> = (0..12).map(|_| format!("w{}", random.u32(..60))).collect();
        let text = format!("{prompt} {}", words.join(" "));
        for model in 0..24 {
            if random.f64() < 0.3 {
                let score = f64::from(u8::from(random.f64() < 0.5 + 0.01 * f64::from(model)));
                let mut row = LogRow::new(Content::Text(text.clone()), format!("model-{model:02}"), score);
                row.cost_usd = Some(0.001 * f64::from(model + 1));
                rows.push(row);
            }
        }
    }
    rows
}

#[test]
fn most_outcomes_missing_and_nothing_to_learn() -> Result<()> {
    for seed in 0..3 {
        let log = log_of(chance(seed))?;
        let trained = fit(&log, &RecipeSettings::default().validate()?, 150.0, &|_| ())?;
        assert_eq!(trained.artifact.document.decision.mode, Mode::Static, "seed {seed}");
    }
    Ok(())
}
