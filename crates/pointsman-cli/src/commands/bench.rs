//! `pointsman bench`.

use std::path::{Path, PathBuf};

use pointsman::Router;
use pointsman_bench::controls::{self, Control, ControlOptions, Trainer};
use pointsman_bench::off_policy::{self, OffPolicyOptions};
use pointsman_bench::{
    BenchOptions, BenchReport, PredictionCoverage, PromptListing, RouterEntry, Strata, export, html,
};
use pointsman_evals::{EvalLog, Split};
use pointsman_training::{Effort, RecipeSettings, fit};

use crate::args::Bench;
use crate::failure::unusable;
use crate::files::{check_writable, write_whole};
use crate::reading::{options, read_files, read_logs};
use crate::terminal::{bar, print, say, show};
use crate::text::{bench_table, off_policy_table};

pub(crate) fn run(args: &Bench) -> anyhow::Result<()> {
    let json_to_stdout = args.report.json.as_deref() == Some(Path::new("-"));
    let read = args.log.logs.iter().chain(&args.router).chain(&args.predictions).chain(&args.train_log);
    let inputs: Vec<&Path> = read.map(PathBuf::as_path).collect();
    let outputs = args
        .report
        .json
        .iter()
        .filter(|_| !json_to_stdout)
        .chain(&args.report.html)
        .chain(&args.report.markdown)
        .chain(&args.report.csv);
    for output in outputs {
        check_writable(output, &inputs)?;
    }
    if let Some(folder) = &args.report.plots {
        std::fs::create_dir_all(folder)
            .map_err(|error| unusable(format!("plots `{}`: expected a folder, {error}", folder.display())))?;
    }
    let controls = controls(&args.controls)?;
    let pair = args.pair.as_deref().map(pair).transpose()?;
    // Routers first: loading is quick and their faults should not wait for the log.
    let routers = args.router.iter().map(|path| entry(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let log = read_logs(&args.log)?;
    if args.off_policy {
        return off_policy(args, &log, &routers);
    }
    let train_log = match &args.train_log {
        Some(path) => Some(read_files(std::slice::from_ref(path), &options(&args.log.reading)?)?),
        None => None,
    };
    let settings = BenchOptions {
        split: args.split.parse::<Split>()?,
        train_log: train_log.as_ref(),
        min_coverage: args.log.reading.min_coverage,
        pair,
        coverage: if args.allow_partial { PredictionCoverage::Partial } else { PredictionCoverage::Complete },
        resamples: args.resamples,
        seed: args.seed,
        strata: if args.stratify { Strata::Task } else { Strata::None },
        prompts: if args.report.with_prompts { PromptListing::Included } else { PromptListing::Omitted },
    };
    let subject = routers.first().cloned();
    let mut report = measure(&log, &settings, routers, &args.predictions)?;
    if !controls.is_empty() {
        let options = ControlOptions { bench: &settings, controls: &controls, subsamples: args.subsamples };
        let trainer = Quick { assume_output_tokens: args.log.reading.assume_output_tokens };
        let progress_bar = bar("controls", 0);
        report.controls = Some(controls::run(&log, &options, &trainer, subject.as_ref(), &mut |progress| {
            progress_bar.set_message(progress.stage.to_owned());
            progress_bar.set_length(progress.total as u64);
            progress_bar.set_position(progress.done as u64);
        })?);
        progress_bar.finish_and_clear();
    }
    if let Some(path) = &args.report.html {
        write_whole(path, html::render(&report)?.as_bytes())?;
        say(format_args!("wrote {}", path.display()));
    }
    if let Some(path) = &args.report.markdown {
        write_whole(path, export::markdown(&report).as_bytes())?;
        say(format_args!("wrote {}", path.display()));
    }
    if let Some(path) = &args.report.csv {
        write_whole(path, &export::csv(&report)?)?;
        say(format_args!("wrote {}", path.display()));
    }
    if let Some(folder) = &args.report.plots {
        plots(folder, &report)?;
    }
    match &args.report.json {
        Some(_) if json_to_stdout => print(serde_json::to_string_pretty(&report)?),
        Some(path) => {
            write_whole(path, serde_json::to_string_pretty(&report)?.as_bytes())?;
            say(format_args!("wrote {}", path.display()));
            show(bench_table(&report));
        }
        None => show(bench_table(&report)),
    }
    Ok(())
}

/// Writes every figure as SVG, and as PNG where the system has a font.
fn plots(folder: &Path, report: &BenchReport) -> anyhow::Result<()> {
    let plots = export::plots(report)?;
    for plot in &plots {
        write_whole(&folder.join(format!("{}.svg", plot.name)), plot.svg.as_bytes())?;
    }
    let mut forms = "SVG and PNG";
    for plot in &plots {
        match plot.png() {
            Ok(png) => write_whole(&folder.join(format!("{}.png", plot.name)), &png)?,
            Err(pointsman_bench::Error::NoFont) => {
                forms = "SVG; PNG needs a font on this system";
                break;
            }
            Err(error) => return Err(error.into()),
        }
    }
    say(format_args!("wrote {} figures to {} ({forms})", plots.len(), folder.display()));
    Ok(())
}

/// Trains for the controls: many times over, so quickly.
struct Quick {
    assume_output_tokens: f64,
}

impl Trainer for Quick {
    fn fit(&self, log: &EvalLog) -> Result<Router, Box<dyn std::error::Error + Send + Sync>> {
        let settings = RecipeSettings { effort: Effort::Quick, ..RecipeSettings::default() };
        let trained = fit(log, &settings.validate()?, self.assume_output_tokens, &|_| ())?;
        Ok(Router::from_bytes(&trained.bytes)?)
    }
}

/// Names of controls, `all` among them.
fn controls(names: &[String]) -> anyhow::Result<Vec<Control>> {
    let mut controls = Vec::new();
    for name in names {
        match name.as_str() {
            "all" => controls.extend(Control::ALL),
            name => controls.push(name.parse::<Control>()?),
        }
    }
    controls.sort_unstable();
    controls.dedup();
    Ok(controls)
}

/// Estimates from logged choices instead of measuring on full outcomes.
fn off_policy(args: &Bench, log: &EvalLog, routers: &[RouterEntry]) -> anyhow::Result<()> {
    let options =
        OffPolicyOptions { split: Some(args.split.parse::<Split>()?), resamples: args.resamples, seed: args.seed };
    let report = off_policy::run(log, &options, routers)?;
    match args.report.json.as_deref() {
        Some(path) if path == Path::new("-") => print(serde_json::to_string_pretty(&report)?),
        Some(path) => {
            write_whole(path, serde_json::to_string_pretty(&report)?.as_bytes())?;
            say(format_args!("wrote {}", path.display()));
            show(off_policy_table(&report));
        }
        None => show(off_policy_table(&report)),
    }
    Ok(())
}

/// Runs a benchmark with a progress bar.
pub(crate) fn measure(
    log: &EvalLog,
    settings: &BenchOptions<'_>,
    routers: Vec<RouterEntry>,
    predictions: &[PathBuf],
) -> anyhow::Result<BenchReport> {
    let progress_bar = bar("measuring", 0);
    let report = pointsman_bench::run(log, settings, routers, predictions, &mut |progress| {
        progress_bar.set_message(progress.stage.to_owned());
        progress_bar.set_length(progress.total as u64);
        progress_bar.set_position(progress.done as u64);
    });
    progress_bar.finish_and_clear();
    Ok(report?)
}

fn entry(path: &Path) -> anyhow::Result<RouterEntry> {
    let name = path.file_stem().map_or_else(|| "router".to_owned(), |stem| stem.to_string_lossy().into_owned());
    Ok(RouterEntry { name, router: Router::load(path)? })
}

fn pair(text: &str) -> anyhow::Result<(String, String)> {
    match text.split_once(',') {
        Some((strong, weak)) if !strong.is_empty() && !weak.is_empty() => Ok((strong.to_owned(), weak.to_owned())),
        _ => Err(unusable(format!("--pair: expected STRONG,WEAK, got `{text}`"))),
    }
}
