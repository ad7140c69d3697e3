//! Any bytes as an evaluation log of any form: a log whose figures are in their domains, or a typed error.

use std::cell::OnceCell;
use std::path::PathBuf;

use pointsman_evals::{ReadOptions, matrix, read};

/// The first byte chooses the form.
const FORMS: [&str; 8] =
    ["log.csv", "log.jsonl", "log.tsv", "log.parquet", "log.csv.gz", "log.jsonl.zst", "log.jsonl.gz", "log"];

thread_local! {
    static FOLDER: OnceCell<tempfile::TempDir> = const { OnceCell::new() };
}

/// Reads `data` as a log.
pub(crate) fn run(data: &[u8]) {
    let Some((form, bytes)) = data.split_first() else { return };
    let path = file(FORMS[usize::from(*form) % FORMS.len()]);
    std::fs::write(&path, bytes).expect("the temporary folder is writable");
    let Ok(log) = read(&[path], &ReadOptions::default(), &mut |_| ()) else { return };
    assert!(!log.outcomes.is_empty(), "a log with nothing usable is an error");
    for outcome in &log.outcomes {
        assert!((0.0..=1.0).contains(&outcome.score), "{outcome:?}");
        assert!((outcome.prompt as usize) < log.prompts.len() && (outcome.model as usize) < log.models.len());
        assert!(outcome.cost_usd.is_nan() || outcome.cost_usd >= 0.0, "{outcome:?}");
    }
    let (models, mut dropped) = matrix::pool(&log, 0.9);
    for split in ["train", "test"] {
        let split = split.parse().expect("a split");
        let matrix = matrix::matrix(&log, split, &models, &mut dropped);
        assert_eq!(matrix.quality.len(), matrix.prompts.len() * matrix.models.len());
    }
}

fn file(name: &str) -> PathBuf {
    FOLDER.with(|folder| folder.get_or_init(|| tempfile::tempdir().expect("a temporary folder")).path().join(name))
}
