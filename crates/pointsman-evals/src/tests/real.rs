//! Real outcome data, where it is at hand: `$POINTSMAN_REAL_DATA`, else `data/real` in the repository.

use std::io::Write;

use super::*;
use crate::matrix::{matrix, pool};
use crate::text::normalise;
use crate::{Content, Outcome, Split};

/// The folder, or a line that says it is not there.
fn real() -> Option<PathBuf> {
    let folder = std::env::var_os("POINTSMAN_REAL_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/real"), PathBuf::from);
    if folder.join("prices.csv").is_file() {
        return Some(folder);
    }
    let _ = writeln!(std::io::stderr(), "no real outcome data at {}: passed over", folder.display());
    None
}

/// The published facts of one file, and what is expected of its costs.
struct Published {
    name: &'static str,
    n_rows: u64,
    n_prompts: usize,
    n_test: usize,
    n_models: usize,
    best: &'static str,
    best_score: f64,
    cost: &'static str,
    n_without_cost: usize,
}

const FILES: [Published; 5] = [
    Published {
        name: "bfcl_v1",
        n_rows: 109_908,
        n_prompts: 1_548,
        n_test: 302,
        n_models: 71,
        best: "claude-3-5-sonnet-20240620",
        best_score: 0.9044,
        cost: "mixed",
        n_without_cost: 22,
    },
    Published {
        name: "mmlu_pro",
        n_rows: 339_844,
        n_prompts: 10_682,
        n_test: 2_188,
        n_models: 32,
        best: "gemini-3.1-pro",
        best_score: 0.8567,
        cost: "estimated",
        n_without_cost: 0,
    },
    Published {
        name: "routerbench3",
        n_rows: 31_306,
        n_prompts: 2_846,
        n_test: 569,
        n_models: 11,
        best: "gpt-4-1106-preview",
        best_score: 0.8795,
        cost: "observed",
        n_without_cost: 0,
    },
    Published {
        name: "llmrouter_bench",
        n_rows: 48_618,
        n_prompts: 5_402,
        n_test: 1_078,
        n_models: 9,
        best: "llama-3.1-nemotron-51b-instruct",
        best_score: 0.6165,
        cost: "assumed",
        n_without_cost: 0,
    },
    Published {
        name: "routellm_pair",
        n_rows: 30_622,
        n_prompts: 15_311,
        n_test: 3_077,
        n_models: 2,
        best: "gpt-4-1106-preview",
        best_score: 0.8108,
        cost: "mixed",
        n_without_cost: 0,
    },
];

#[test]
fn every_file_is_read_as_published() {
    let Some(folder) = real() else { return };
    for file in &FILES {
        let name = file.name;
        let options = ReadOptions { prices: Some(folder.join("prices.csv")), ..ReadOptions::default() };
        let log = read_with(&folder.join(name).with_extension("parquet"), &options).expect("a valid log");
        assert_eq!(rejected(&log), [], "{name}");
        assert_eq!((log.reading.accepted, log.outcomes.len() as u64), (file.n_rows, file.n_rows), "{name}");
        assert_eq!((log.prompts.len(), log.models.len()), (file.n_prompts, file.n_models), "{name}");
        let n_test = log.prompts.iter().filter(|prompt| prompt.split == Split::Test).count();
        assert_eq!(n_test, file.n_test, "{name}");
        let mean = mean(&log, file.best, |outcome| outcome.score.into());
        assert!((mean - file.best_score).abs() < 5e-5, "{name}: {mean}");
        assert_eq!((log.reading.split_source.as_str(), log.reading.texts_across_splits), ("column", 0), "{name}");
        splits_are_ours(&log, name);
        costs_are_known(&log, file);
    }
}

/// The splits of the files were made by the rule of `crate::split`; those of `bfcl_v1` from the part of the
/// prompt before the tool list.
fn splits_are_ours(log: &EvalLog, name: &str) {
    for prompt in &log.prompts {
        let Content::Text(text) = &prompt.content else { panic!("{name} holds plain texts") };
        let key = if name == "bfcl_v1" { text.split("Tools:").next().unwrap_or(text) } else { text };
        assert_eq!(prompt.split, Split::of_text(&normalise(key)), "{name} {}", prompt.id);
    }
}

fn costs_are_known(log: &EvalLog, file: &Published) {
    let name = file.name;
    let (models, mut dropped) = pool(log, 0.9);
    assert_eq!(dropped.models_without_cost.len(), file.n_without_cost, "{name}");
    let test = matrix(log, Split::Test, &models, &mut dropped);
    assert_eq!(test.cost_kind.word, file.cost, "{name}");
    assert!(test.cost.iter().all(|usd| usd.is_finite() && *usd >= 0.0), "{name}");
    let n_incomplete = dropped.prompts_incomplete.get(&Split::Test).copied().unwrap_or(0);
    assert_eq!(test.prompts.len() + n_incomplete, file.n_test, "{name}");
    match name {
        "mmlu_pro" => assert_eq!(dropped.models_low_coverage.keys().collect::<Vec<_>>(), ["DeepSeek-Coder-V2"]),
        "routerbench3" => {
            // Published: 5.0274 USD per thousand calls.
            let mean = 1000.0 * mean(log, file.best, |outcome| outcome.cost_usd);
            assert!((mean - 5.0274).abs() < 5e-4, "{mean}");
        }
        _ => assert!(dropped.models_low_coverage.is_empty(), "{name}"),
    }
}

/// Mean over all prompts of a model.
fn mean(log: &EvalLog, model: &str, value: impl Fn(&Outcome) -> f64) -> f64 {
    let of_model = log.outcomes.iter().filter(|outcome| log.models[outcome.model as usize] == model);
    let values: Vec<f64> = of_model.map(value).collect();
    values.iter().sum::<f64>() / values.len() as f64
}
