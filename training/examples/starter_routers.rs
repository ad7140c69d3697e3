//! Makes the starter routers of `models/` from public outcomes, and the figures of their cards.
//!
//! ```text
//! cargo build --release --workspace --example starter_routers
//! target/release/examples/starter_routers data/real models
//! ```
//!
//! Each router learns from the train split of one file whose source states a licence that allows it. Questions of one
//! original benchmark occur in several files under other wordings and option lists, so training prompts that hold a
//! question of another file's test split are left out first: whoever measures a starter router on one of those files
//! finds it has not seen the questions. Figures go to stdout as markdown, on the file's own test split.

use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use pointsman::artifact::identity;
use pointsman_bench::{BenchOptions, BenchReport, RouterEntry, RouterReport};
use pointsman_evals::log::Content;
use pointsman_evals::text::normalise;
use pointsman_evals::{EvalLog, ReadOptions, Split, read};
use pointsman_training::{RecipeSettings, fit};

/// Answer length where the log says nothing of it, as on the command line.
const ASSUMED_OUTPUT_TOKENS: f64 = 150.0;

/// Words in a row that make two texts the same question: the length that Brown et al. (2020, appendix C) look for when
/// they clean a training set of test sets.
const RUN: usize = 13;

/// Words below which a question is not looked for: shorter ones are the same by chance.
const FEWEST_WORDS: usize = 4;

/// The recipe of all starter routers.
const RECIPE: &str = include_str!("../recipes/starter.toml");

struct Starter {
    name: &'static str,
    file: &'static str,
    models: Option<&'static [&'static str]>,
    pair: Option<(&'static str, &'static str)>,
}

const STARTERS: [Starter; 3] = [
    Starter { name: "llmrouter-bench", file: "llmrouter_bench", models: None, pair: None },
    // Of the 32 models, ten that span vendors and prices: beside the newest of them the others would never be called.
    Starter {
        name: "mmlu-pro",
        file: "mmlu_pro",
        models: Some(&[
            "gpt-4o-2024-05-13",
            "gemini-1.5-pro-002",
            "gemini-1.5-flash-002",
            "Meta-Llama-3.1-70B-Instruct",
            "Meta-Llama-3.1-8B-Instruct",
            "Mixtral-8x7B-Instruct-v0.1",
            "jamba-1.5-large",
            "c4ai-command-r-v01",
            "Phi-3-mini-4k-instruct",
            "deepseek-chat-v2",
        ]),
        pair: None,
    },
    Starter {
        name: "routellm-pair",
        file: "routellm_pair",
        models: None,
        pair: Some(("gpt-4-1106-preview", "mistralai/Mixtral-8x7B-Instruct-v0.1")),
    },
];

/// Files whose test splits stay unseen.
const FILES: [&str; 5] = ["llmrouter_bench", "mmlu_pro", "routellm_pair", "routerbench3", "bfcl_v1"];

fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [data, models] = arguments.as_slice() else { anyhow::bail!("usage: starter_routers REAL_DATA MODELS") };
    let recipe = RecipeSettings::from_toml(RECIPE)?.validate()?;
    let mut out = std::io::stdout();
    for starter in &STARTERS {
        let mut log = starter.read(data)?;
        let others = FILES.iter().filter(|file| **file != starter.file);
        let mut unseen = Questions::default();
        for file in others {
            let other = read_file(data, file, None)?;
            other.prompts.iter().filter(|prompt| prompt.split == Split::Test).for_each(|p| unseen.add(&p.content));
        }
        let left_out = leave_out(&mut log, &unseen);
        let trained = fit(&log, &recipe, ASSUMED_OUTPUT_TOKENS, &|_| ())?;
        let file = models.join(starter.name).with_extension("safetensors");
        std::fs::write(&file, &trained.bytes).with_context(|| file.display().to_string())?;

        let router = RouterEntry { name: starter.name.into(), router: pointsman::Router::from_bytes(&trained.bytes)? };
        let pair = starter.pair.map(|(strong, weak)| (strong.to_owned(), weak.to_owned()));
        // What was left out must not count as gaps.
        let options = BenchOptions { pair, min_coverage: 0.5, ..BenchOptions::default() };
        let report = pointsman_bench::run(&log, &options, vec![router], &[], &mut |_| ())?;
        writeln!(out, "## {}\n", starter.name)?;
        writeln!(out, "identity {}, {} bytes", identity(&trained.bytes), trained.bytes.len())?;
        writeln!(out, "{left_out} training prompts left out\n")?;
        write!(out, "{}", figures(&report))?;
        writeln!(out, "\n{}\n", report.verdict)?;
    }
    Ok(())
}

impl Starter {
    fn read(&self, data: &Path) -> Result<EvalLog> {
        read_file(data, self.file, self.models.map(|names| names.iter().map(|name| (*name).to_owned()).collect()))
    }
}

fn read_file(data: &Path, file: &str, models: Option<Vec<String>>) -> Result<EvalLog> {
    let options = ReadOptions { models, prices: Some(data.join("prices.csv")), ..ReadOptions::default() };
    let file = data.join(file).with_extension("parquet");
    read(std::slice::from_ref(&file), &options, &mut |_| ()).with_context(|| file.display().to_string())
}

/// Takes the outcomes of training prompts that hold an unseen question out of the log; returns how many prompts that is.
fn leave_out(log: &mut EvalLog, unseen: &Questions) -> usize {
    let held: Vec<bool> =
        log.prompts.iter().map(|prompt| prompt.split == Split::Train && unseen.hold(&prompt.content)).collect();
    log.outcomes.retain(|outcome| !held[outcome.prompt as usize]);
    held.into_iter().filter(|held| *held).count()
}

/// Questions to be recognised in other wordings and with other options.
#[derive(Default)]
struct Questions {
    whole: HashSet<Vec<String>>,
    runs: HashSet<Vec<String>>,
}

impl Questions {
    fn add(&mut self, content: &Content) {
        let words = stem(content);
        self.runs.extend(words.windows(RUN).map(<[String]>::to_vec));
        self.whole.insert(words);
    }

    /// Whether the question of `content` is one of these, or has a run of words in common with one.
    fn hold(&self, content: &Content) -> bool {
        let words = stem(content);
        words.len() >= FEWEST_WORDS
            && (words.windows(RUN).any(|run| self.runs.contains(run)) || self.whole.contains(&words))
    }
}

/// Words of the question, in lower case, without the options behind it and without what is asked of the answer.
fn stem(content: &Content) -> Vec<String> {
    let (Content::Text(text) | Content::Messages(text)) = content;
    let is_option = |line: &&str| {
        let line = line.trim_start().trim_start_matches('(').as_bytes();
        matches!(line, [b'A', b'.' | b')' | b':', ..])
    };
    let question: Vec<&str> = text.lines().take_while(|line| !is_option(line)).collect();
    let question = normalise(&question.join(" "));
    question.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The table of a card: the router beside the baselines, with 95 % intervals.
fn figures(report: &BenchReport) -> String {
    let mut lines = vec![
        format!(
            "Test split: {} prompts, {} models; intervals over {} resamples of prompts.\n",
            report.n_queries,
            report.models.len(),
            report.resamples
        ),
        "| router | AIQ | best quality at any price | gap closed | APGR | Brier | AUC | ECE (floor) |".to_owned(),
        "|---|---|---|---|---|---|---|---|".to_owned(),
    ];
    let shown = |router: &&RouterReport| !matches!(router.name.as_str(), "random" | "cheapest" | "dearest");
    for router in report.routers.iter().filter(shown) {
        let interval = |figure: Option<pointsman_bench::report::IntervalReport>| {
            figure.map_or_else(|| "–".to_owned(), |i| format!("{:.4} [{:.3}, {:.3}]", i.value, i.low, i.high))
        };
        let plain = |figure: Option<f64>| figure.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"));
        lines.push(format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} ({}) |",
            router.name,
            interval(router.aiq),
            interval(router.quality_max),
            interval(router.gap_closed),
            interval(router.apgr),
            plain(router.brier),
            plain(router.auc_mean),
            plain(router.ece),
            plain(router.ece_floor),
        ));
    }
    lines.push(String::new());
    for pair in report.paired.iter().filter(|pair| pair.metric == "aiq") {
        if let (Some(diff), Some(low), Some(high)) = (pair.diff, pair.low, pair.high) {
            lines.push(format!("AIQ over {}: {diff:+.4} [{low:+.4}, {high:+.4}]", pair.b));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}
