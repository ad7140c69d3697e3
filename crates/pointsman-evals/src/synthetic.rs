//! A synthetic evaluation log: prompts from templates, invented models, outcomes drawn from a documented rule.
//!
//! Nothing here was observed of any real model. The log is for demonstrations and tests: it has the shape of a
//! real one (tasks, crossings of skill, difficulty that shows in the text and difficulty that does not, noise,
//! gaps, repeats) at a size of one's choice. Numbers measured on it say whether the machinery works, not how
//! well routing works on real traffic.
//!
//! # The rule
//!
//! A prompt has a task t, a variant v within it (a programming language, a target language, …), and a
//! difficulty d = visible + latent. The visible part is in the text: number of steps, length, rare words. The
//! latent part, normal with standard deviation 0.5, is not. Model m answers with
//!
//! ```text
//! logit q = skill[m][t] + variant[m][t][v] − slope[m] · (d − ½) + ε     ε ~ N(0, 0.45) per prompt and model
//! ```
//!
//! Tasks with right and wrong answers (arithmetic, code writing, factual, extraction) draw a score 0 or 1 with
//! probability q; the draws of one prompt's models are correlated half and half through a common uniform number,
//! as real models tend to fail on the same prompts. Graded tasks score q plus noise, in steps of 0.1. Repeated
//! runs draw again.
//!
//! Tokens, latency and cost follow from the text, the task, and the model's verbosity, speed and price.
//!
//! # Determinism
//!
//! Prompt i depends on the seed and i alone, so a log of any size is made lazily and a smaller one is a prefix
//! of a larger one in its prompts.

mod models;
mod prompts;
mod words;

use fastrand::Rng;

use crate::columns::Column;
use crate::log::{Content, ContextValue};
use crate::write::{ContextType, LogRow, TableSchema};
use models::{MODELS, Model};
use prompts::{Drawn, Task};

/// Share of cells that are missing.
const MISSING: f64 = 0.03;
/// Share of cells with a second run, and of those with a third.
const REPEATED: f64 = 0.06;
/// Standard deviation of the latent difficulty.
const LATENT: f64 = 0.5;
/// Standard deviation of what one model finds hard in one prompt.
const IDIOSYNCRASY: f64 = 0.45;
/// Standard deviation of a graded mark about its expectation.
const GRADING: f64 = 0.08;
/// Share of the draw that a prompt's models have in common.
const COMMON: f64 = 0.5;
/// Midnight of 2026-01-01 UTC, the first prompt's time, in microseconds.
const START_US: i64 = 1_767_225_600_000_000;
/// Mean time between prompts: seven minutes.
const STEP_US: u64 = 420_000_000;

/// Size and seed of a synthetic log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyntheticConfig {
    /// Number of prompts.
    pub n_prompts: u32,
    /// Number of models, `1..=SyntheticConfig::MAX_MODELS`; larger numbers are taken as the largest.
    pub n_models: usize,
    /// Everything drawn depends on it.
    pub seed: u64,
}

impl SyntheticConfig {
    /// Number of models that were invented.
    pub const MAX_MODELS: usize = MODELS.len();

    /// The log in `data/demo`.
    pub const DEMO: Self = Self { n_prompts: 2_000, n_models: 6, seed: 20_260_101 };
}

/// The columns of a synthetic log.
#[must_use]
pub fn schema() -> TableSchema {
    TableSchema::new(
        &[
            Column::PromptId,
            Column::Group,
            Column::CostUsd,
            Column::InputTokens,
            Column::OutputTokens,
            Column::LatencyMs,
            Column::Task,
            Column::Timestamp,
            Column::Repeat,
            Column::Source,
        ],
        &[("plan", ContextType::Text), ("locale", ContextType::Text)],
    )
}

/// The list prices of the invented models, as the lines of a `--prices` file.
#[must_use]
pub fn prices_csv(config: &SyntheticConfig) -> String {
    let line = |model: &Model| {
        let (input, output) = (model.input_usd_per_mtok.to_string(), model.output_usd_per_mtok.to_string());
        [model.name, &input, &output].join(",")
    };
    let header = "model,input_usd_per_mtok,output_usd_per_mtok".to_owned();
    let lines: Vec<String> = std::iter::once(header).chain(pool(config).iter().map(line)).collect();
    lines.join("\n") + "\n"
}

/// The rows of a synthetic log, prompt by prompt, made as they are asked for.
///
/// # Examples
///
/// ```
/// use pointsman_evals::synthetic::{SyntheticConfig, rows};
///
/// let config = SyntheticConfig { n_prompts: 1_000_000, n_models: 10, seed: 7 };
/// let first = rows(config).next().expect("a million prompts have a first row");
/// assert_eq!(Some(first), rows(config).next());
/// ```
pub fn rows(config: SyntheticConfig) -> impl Iterator<Item = LogRow> {
    (0..config.n_prompts).flat_map(move |index| prompt_rows(&config, index))
}

fn pool(config: &SyntheticConfig) -> &'static [Model] {
    &MODELS[..config.n_models.clamp(1, MODELS.len())]
}

fn prompt_rows(config: &SyntheticConfig, index: u32) -> Vec<LogRow> {
    // The golden-ratio step keeps neighbouring seeds apart; fastrand mixes its seed no further.
    let seed = config.seed.wrapping_add(u64::from(index).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut rng = Rng::with_seed(mix(seed));
    let drawn = prompts::draw(&mut rng);
    let frame = frame(&mut rng, config, index, &drawn);
    let latent = LATENT * normal(&mut rng);
    let common = rng.f64();
    // Models draw from streams of their own, so that a larger pool leaves the first models' outcomes as they are.
    let mut rows = Vec::with_capacity(MODELS.len() + 1);
    for (position, model) in pool(config).iter().enumerate() {
        let mut rng = Rng::with_seed(mix(seed ^ mix(position as u64 + 1)));
        let quality = quality(model, &drawn, latent + drawn.difficulty, &mut rng);
        let is_missing = rng.f64() < MISSING;
        let mut runs = 1;
        while runs < 3 && rng.f64() < REPEATED {
            runs += 1;
        }
        for repeat in 0..runs {
            let row = run(model, &drawn, quality, common, &mut rng);
            if !is_missing {
                rows.push(LogRow {
                    repeat: Some(repeat),
                    content: frame.content.clone(),
                    context: frame.context.clone(),
                    prompt_id: frame.prompt_id.clone(),
                    group: frame.group.clone(),
                    task: frame.task.clone(),
                    timestamp_us: frame.timestamp_us,
                    source: frame.source.clone(),
                    ..row
                });
            }
        }
    }
    rows
}

/// What all rows of a prompt share.
fn frame(rng: &mut Rng, config: &SyntheticConfig, index: u32, drawn: &Drawn) -> LogRow {
    let mut row = LogRow::new(Content::Text(drawn.text.clone()), String::new(), 0.0);
    row.prompt_id = Some(format!("syn-{index:07}"));
    row.task = Some(drawn.task.name().to_owned());
    row.source = Some("synthetic".to_owned());
    let plan = match rng.u32(0..10) {
        0..=5 => "free",
        6..=8 => "pro",
        _ => "team",
    };
    let locale = words::LOCALES[rng.usize(..words::LOCALES.len())];
    row.context = vec![
        ("locale".to_owned(), ContextValue::Text(locale.to_owned())),
        ("plan".to_owned(), ContextValue::Text(plan.to_owned())),
    ];
    // A quarter of the prompts belong to users who ask about ten questions each.
    if rng.u32(0..4) == 0 {
        let n_users = (config.n_prompts / 40).max(1);
        row.group = Some(format!("user-{:05}", rng.u32(..n_users)));
    }
    let step = u64::from(index) * STEP_US + rng.u64(..STEP_US);
    row.timestamp_us = Some(START_US + i64::try_from(step).expect("2^32 steps are fewer than 2^63 microseconds"));
    row
}

/// Expected quality of a model's answer.
fn quality(model: &Model, drawn: &Drawn, difficulty: f64, rng: &mut Rng) -> f64 {
    let skill = model.skill[drawn.task as usize] + model.variant(drawn.task, drawn.variant);
    let logit = skill - model.slope * (difficulty - 0.5) + IDIOSYNCRASY * normal(rng);
    1.0 / (1.0 + (-logit).exp())
}

/// One run: score, tokens, latency, cost.
fn run(model: &Model, drawn: &Drawn, quality: f64, common: f64, rng: &mut Rng) -> LogRow {
    let score = if drawn.task.is_graded() {
        let mark = quality + GRADING * normal(rng);
        (mark.clamp(0.0, 1.0) * 10.0).round() / 10.0
    } else {
        let draw = if rng.f64() < COMMON { common } else { rng.f64() };
        f64::from(u8::from(draw < quality))
    };
    let chars = drawn.text.chars().count() as f64;
    let input_tokens = whole(chars / model.chars_per_token + 8.0);
    let length = drawn.answer_tokens * model.verbosity * (0.35 * normal(rng)).exp();
    let output_tokens = whole(length.max(1.0));
    let wall = model.first_token_ms + f64::from(output_tokens) * model.token_ms;
    let mut row = LogRow::new(Content::Text(String::new()), model.name.to_owned(), score);
    row.input_tokens = Some(input_tokens);
    row.output_tokens = Some(output_tokens);
    row.latency_ms = Some((wall * (0.2 * normal(rng)).exp()).round());
    row.cost_usd = Some(
        (f64::from(input_tokens) * model.input_usd_per_mtok + f64::from(output_tokens) * model.output_usd_per_mtok)
            / 1e6,
    );
    row
}

fn whole(value: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "token counts are small and positive")]
    let whole = value.round() as u32;
    whole
}

/// Standard normal to good approximation: the sum of twelve uniform numbers, which needs no function that
/// platforms round differently.
fn normal(rng: &mut Rng) -> f64 {
    (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0
}

/// The finaliser of the generator known as split-mix.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Names of the tasks, in the order of the skill tables.
#[must_use]
pub fn task_names() -> [&'static str; Task::COUNT] {
    Task::ALL.map(Task::name)
}
