//! Evaluation logs to test on: synthetic, the included demonstration log, and real ones where they are at hand.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use pointsman_evals::synthetic::{SyntheticConfig, rows};
use pointsman_evals::write::{LogRow, LogWriter, TableSchema};
use pointsman_evals::{EvalLog, ReadOptions, read};
use pointsman_training::{Effort, Recipe, RecipeSettings};

/// The rows of a synthetic log.
pub fn synthetic_rows(n_prompts: u32, n_models: usize, seed: u64) -> Vec<LogRow> {
    rows(SyntheticConfig { n_prompts, n_models, seed }).collect()
}

/// Writes rows in the given order and reads them back, as the command line would.
///
/// # Errors
/// What writing and reading report.
pub fn log_of(rows: Vec<LogRow>) -> Result<EvalLog> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("log.jsonl");
    let mut writer = LogWriter::create(&file, TableSchema::of(&rows))?;
    for row in rows {
        writer.push(row)?;
    }
    writer.finish()?;
    Ok(read(&[file], &ReadOptions::default(), &mut |_| ())?)
}

/// The log in `data/demo`.
///
/// # Errors
/// What reading reports.
pub fn demo() -> Result<EvalLog> {
    let file = repository().join("data/demo/log.parquet");
    Ok(read(&[file], &ReadOptions::default(), &mut |_| ())?)
}

/// Real logs: every Parquet file of `$POINTSMAN_REAL_DATA`, else of the repository's `data/real`.
///
/// Where neither is there, says so in one line and gives none.
pub fn real_files() -> Vec<PathBuf> {
    let folder = std::env::var_os("POINTSMAN_REAL_DATA").map_or_else(|| repository().join("data/real"), PathBuf::from);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "parquet"))
        .collect();
    files.sort();
    if files.is_empty() {
        // Nothing depends on whether anybody reads this.
        let _ = writeln!(std::io::stderr(), "no real outcome data at {}: passed over", folder.display());
    }
    files
}

/// The smallest recipe that is a recipe: for tests of the machinery, not of quality.
///
/// # Panics
/// Never: the settings are constant and valid.
pub fn tiny_recipe(seed: u64) -> Recipe {
    let settings = RecipeSettings {
        effort: Effort::Quick,
        seed,
        vocabulary_bits: 8,
        trees: 8,
        depth: 4,
        ..RecipeSettings::default()
    };
    settings.validate().expect("every setting is within its domain")
}

/// The repository's root.
fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}
