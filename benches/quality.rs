//! Quality of routing: every figure that the project claims for its predictor, from one command.
//!
//! ```text
//! cargo bench --workspace --bench quality                       everything, on real outcomes where they are at hand
//! cargo bench --workspace --bench quality -- --quick            everything at its smallest, on the included log
//! cargo bench --workspace --bench quality -- cv --seeds 1       one experiment
//! cargo bench --workspace --bench quality -- --help             experiments and flags
//! ```
//!
//! An experiment makes logs from a log (which prompts are trained on, which are evaluated, what is shown of their
//! outcomes), trains on each, and measures with `pointsman_bench`. One table each on stdout, progress on stderr,
//! every single run with `--json`. All choices are made on training prompts; only `test` looks at the test split.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints")]

#[path = "quality/ablation.rs"]
mod ablation;
#[path = "quality/cases.rs"]
mod cases;
#[path = "quality/duel.rs"]
mod duel;
#[path = "quality/experiment.rs"]
mod experiment;
#[path = "quality/mean.rs"]
mod mean;
#[path = "quality/options.rs"]
mod options;
#[path = "quality/relabel.rs"]
mod relabel;
#[path = "quality/section.rs"]
mod section;
#[path = "quality/sizes.rs"]
mod sizes;
#[path = "quality/test.rs"]
mod test;
#[path = "quality/trial.rs"]
mod trial;
#[path = "quality/validation.rs"]
mod validation;

use anyhow::Context;

use crate::experiment::Bench;
use crate::options::{Experiment, Options};

fn main() -> anyhow::Result<()> {
    let options = Options::read();
    let bench = Bench::new(&options)?;
    let mut sections = Vec::new();
    for experiment in &options.experiments {
        let section = match experiment {
            Experiment::Cv => validation::cv(&bench)?,
            Experiment::Test => test::test(&bench)?,
            Experiment::Unlabelled => validation::unlabelled(&bench)?,
            Experiment::Curve => sizes::curve(&bench)?,
            Experiment::Sparse => sizes::sparse(&bench)?,
            Experiment::LeaveTaskOut => validation::leave_task_out(&bench)?,
            Experiment::Shuffle => validation::shuffle(&bench)?,
            Experiment::Ablation => ablation::ablation(&bench)?,
            Experiment::Time => sizes::time(&bench)?,
        };
        println!("{}", section.markdown());
        sections.push(section);
        // After every experiment: the next one may take hours.
        if let Some(path) = &options.json {
            let results = serde_json::json!({
                "arguments": std::env::args().skip(1).collect::<Vec<_>>(),
                "recipe": bench.recipe.settings(),
                "threads": std::thread::available_parallelism().map_or(1, usize::from),
                "experiments": sections,
            });
            std::fs::write(path, serde_json::to_vec_pretty(&results)?).with_context(|| path.display().to_string())?;
        }
    }
    Ok(())
}

/// A line of progress.
fn say(line: &str) {
    eprintln!("{line}");
}
