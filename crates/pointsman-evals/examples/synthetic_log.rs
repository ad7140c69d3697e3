//! Writes a synthetic evaluation log.
//!
//! ```text
//! cargo run --release -p pointsman-evals --example synthetic_log -- \
//!     [--prompts N] [--models K] [--seed S] -o FILE
//! ```
//!
//! The form of FILE (`.parquet`, `.csv`, `.jsonl`) follows from its name. Without `--prompts`, `--models` and
//! `--seed` it is the log of `data/demo`. List prices of the models go to `prices.csv` beside FILE with
//! `--with-prices`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use pointsman_evals::synthetic::{SyntheticConfig, prices_csv, rows, schema};
use pointsman_evals::write::LogWriter;

const USAGE: &str = "synthetic_log [--prompts N] [--models K] [--seed S] [--with-prices] -o FILE";

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            use std::io::Write;
            // Nothing to be done if even this cannot be written.
            let _ = writeln!(std::io::stderr(), "error: {problem}\nusage: {USAGE}");
            ExitCode::from(2)
        }
    }
}

fn run(mut arguments: impl Iterator<Item = String>) -> Result<(), Box<dyn std::error::Error>> {
    let mut config = SyntheticConfig::DEMO;
    let mut file: Option<PathBuf> = None;
    let mut with_prices = false;
    while let Some(argument) = arguments.next() {
        if argument == "--with-prices" {
            with_prices = true;
            continue;
        }
        let value = arguments.next();
        match argument.as_str() {
            "--prompts" => config.n_prompts = number(&argument, value)?,
            "--models" => config.n_models = number(&argument, value)?,
            "--seed" => config.seed = number(&argument, value)?,
            "-o" => file = value.map(PathBuf::from),
            _ => return Err(format!("unknown argument `{argument}`").into()),
        }
    }
    let file = file.ok_or("no file was named with -o")?;
    if !(1..=SyntheticConfig::MAX_MODELS).contains(&config.n_models) {
        return Err(format!("--models takes 1 to {}", SyntheticConfig::MAX_MODELS).into());
    }
    let mut writer = LogWriter::create(&file, schema())?;
    for row in rows(config) {
        writer.push(row)?;
    }
    writer.finish()?;
    if with_prices {
        std::fs::write(file.with_file_name("prices.csv"), prices_csv(&config))?;
    }
    Ok(())
}

fn number<T: FromStr>(name: &str, value: Option<String>) -> Result<T, String> {
    let value = value.ok_or_else(|| format!("{name} takes a number"))?;
    value.parse().map_err(|_| format!("{name} takes a number, got `{value}`"))
}
