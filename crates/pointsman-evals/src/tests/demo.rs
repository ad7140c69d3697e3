//! The demonstration log: what the generator makes, and what it was made for.

use super::*;
use crate::log::ContextValue;
use crate::matrix::{matrix, pool};
use crate::synthetic::{SyntheticConfig, prices_csv, rows, schema, task_names};
use crate::{Content, Split};

fn demo() -> EvalLog {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/demo/log.parquet");
    read_with(&path, &ReadOptions::default()).expect("the demonstration log is valid")
}

fn generated(config: SyntheticConfig, name: &str, folder: &TempDir) -> PathBuf {
    let path = folder.path().join(name);
    let mut writer = LogWriter::create(&path, schema()).expect("a known form");
    for row in rows(config) {
        writer.push(row).expect("the generator keeps to its schema");
    }
    writer.finish().expect("temporary folder is writable");
    path
}

#[test]
fn the_committed_log_is_what_the_generator_makes() {
    let folder = folder();
    let path = generated(SyntheticConfig::DEMO, "log.jsonl", &folder);
    let made = read_with(&path, &ReadOptions::default()).expect("valid");
    let committed = demo();
    assert_eq!(committed.reading.data_sha256, made.reading.data_sha256);
    assert_eq!(committed.reading.split_sha256, made.reading.split_sha256);
    let prices = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/demo/prices.csv");
    let prices = std::fs::read_to_string(prices).expect("the price list is there");
    assert_eq!(prices, prices_csv(&SyntheticConfig::DEMO));
}

#[test]
fn the_log_has_what_its_readme_says() {
    let log = demo();
    assert_eq!((log.prompts.len(), log.models.len(), log.tasks.len()), (2_000, 6, 8));
    assert_eq!(rejected(&log), []);
    assert_eq!(log.reading.sources.keys().collect::<Vec<_>>(), ["synthetic"]);
    let mut tasks = task_names();
    tasks.sort_unstable();
    assert_eq!(log.tasks, tasks);
    let missing = 1.0 - log.outcomes.len() as f64 / 12_000.0;
    assert!((0.02..0.04).contains(&missing), "{missing}");
    assert!(log.outcomes.iter().any(|outcome| outcome.runs == 3));
    let grouped = log.prompts.iter().filter(|prompt| prompt.group.is_some()).count();
    assert!((400..600).contains(&grouped), "{grouped}");
    assert!(log.prompts.iter().all(|prompt| {
        prompt.timestamp_us.is_some()
            && prompt.context.len() == 2
            && prompt.context.iter().all(|(_, value)| matches!(value, ContextValue::Text(_)))
            && matches!(prompt.content, Content::Text(_))
    }));
}

#[test]
fn routing_pays_but_not_trivially() {
    let log = demo();
    let (models, mut dropped) = pool(&log, 0.9);
    assert_eq!(models.len(), 6);
    let train = matrix(&log, Split::Train, &models, &mut dropped);
    let (k, n) = (models.len(), train.prompts.len());
    let mean = |values: &[f64], model: usize| (0..n).map(|i| values[i * k + model]).sum::<f64>() / n as f64;
    let qualities: Vec<f64> = (0..k).map(|model| mean(&train.quality, model)).collect();
    let best = (0..k).max_by(|a, b| qualities[*a].total_cmp(&qualities[*b])).expect("six models");
    assert!((0.75..0.81).contains(&qualities[best]), "{qualities:?}");
    let costs: Vec<f64> = (0..k).map(|model| mean(&train.cost, model)).collect();
    assert_eq!(best, (0..k).max_by(|a, b| costs[*a].total_cmp(&costs[*b])).expect("six models"));
    let oracle =
        (0..n).map(|i| train.quality[i * k..][..k].iter().copied().fold(0.0, f64::max)).sum::<f64>() / n as f64;
    assert!((0.92..0.97).contains(&oracle), "{oracle}");

    // The best model of each task, with a cent a point as the price of quality.
    let (mut quality, mut cost) = (0.0, 0.0);
    for task in 0..log.tasks.len() {
        let of_task: Vec<usize> =
            (0..n).filter(|i| log.prompts[train.prompts[*i] as usize].task == u32::try_from(task).ok()).collect();
        let sum = |values: &[f64], model: usize| of_task.iter().map(|i| values[i * k + model]).sum::<f64>();
        let gain = |model: usize| 0.05 * sum(&train.quality, model) - sum(&train.cost, model);
        let chosen = (0..k).max_by(|a, b| gain(*a).total_cmp(&gain(*b))).expect("six models");
        quality += sum(&train.quality, chosen) / n as f64;
        cost += sum(&train.cost, chosen) / n as f64;
    }
    assert!(quality > qualities[best] + 0.015, "{quality} against {}", qualities[best]);
    assert!(cost < 0.5 * costs[best], "{cost} against {}", costs[best]);
    assert!(quality < 0.5 * (qualities[best] + oracle), "the table leaves something to learn");
}

#[test]
fn prompts_do_not_depend_on_the_size_of_the_log_or_the_pool() {
    let small = SyntheticConfig { n_prompts: 20, n_models: 2, seed: 11 };
    let large = SyntheticConfig { n_prompts: 1_000_000, n_models: 10, seed: 11 };
    let of_small: Vec<_> = rows(small).map(|row| (row.content, row.model, row.score)).collect();
    let of_large: Vec<_> = rows(large)
        .take_while(|row| row.prompt_id < Some("syn-0000020".into()))
        .filter(|row| row.model == "aster-nano" || row.model == "birch-code")
        .map(|row| (row.content, row.model, row.score))
        .collect();
    assert_eq!(of_small, of_large);
}

#[test]
fn another_seed_is_another_log() {
    let first = |seed| rows(SyntheticConfig { n_prompts: 1, n_models: 1, seed }).next().map(|row| row.content);
    assert_ne!(first(1), first(2));
}
